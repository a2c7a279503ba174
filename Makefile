# Mech-Exo. Two commands do everything:  make run  ·  make test
# Needs Python >= 3.11 (with venv) and make; everything else goes into .venv, pinned and hashed.

SHELL  := /bin/sh
PYTHON ?= python3
BIN    := .venv/bin
USER   := .venv/.installed-user
DEV    := .venv/.installed-dev
# Tests at a time: one more than two cores, for they wait for servers, disks and browsers as often as they compute.
JOBS   ?= 3
LEAST  ?= 100
UPGRADE ?= --upgrade
IMAGE  ?= build/image
# What the lock of everything holds: every extra but finbert, whose torch weighs more than all the rest.
EXTRAS := ib dash alerts flows ray ml user build dev

# uv does not read pip's settings: pass on the index a machine gives to pip.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
export UV_NO_PROGRESS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Where a machine forbids it, each of the hundreds of processes that tests start would compile every module it imports anew: 2 s for 0.6 s.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test browser screenshots lint types layers docs bench bench-peers faults newcomer package image-check lock clean check-python

help: ## What can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: $(USER) ## Install what is needed and run the demo: a whole night and a ten-year backtest.
	@$(BIN)/exo demo

test: ## Install everything and run all checks and tests.
	@$(MAKE) --no-print-directory -j$(JOBS) $(if $(filter output-sync,$(.FEATURES)),--output-sync=line) checks
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --least-passed $(LEAST)

.PHONY: checks style kernels
# All that has to hold before the tests, beside each other; what waits for a network and what takes longest first.
checks: browser types kernels docs style layers

# What the program compiles, once, before tests on several processes would each compile the same.
kernels: $(DEV)
	$(BIN)/python -m tests.compiled

# What the tests of pages are opened with. Where it cannot be installed they skip and say so, or fail if CI=true.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || test -n "$$EXO_CHROMIUM" || \
		if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			echo "Installing Chromium for the tests of pages ..."; \
			{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium poppler-utils; } >/dev/null 2>&1 || \
			echo "Chromium cannot be installed: the tests of pages will be skipped" >&2; \
		else echo "no Chromium: the tests of pages will be skipped   (apt install chromium poppler-utils)" >&2; fi

screenshots: $(DEV) browser ## Pictures: those of the README into docs/pictures, every page of the dashboard into build/screenshots.
	$(BIN)/python scripts/screenshots.py

lint: types layers style ## Style, types and layers.

style: $(DEV)
	$(BIN)/ruff check .

types: $(DEV)
	$(BIN)/mypy

layers: $(DEV)
	$(BIN)/lint-imports --no-logo

docs: $(DEV) ## Build the documentation into site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(DEV) ## Run every benchmark in bench/ (ARGS=--json for machines).
	@ran=0; missed=0; for script in bench/[!_]*.py; do test -f "$$script" || continue; echo "== $$script" >&2; \
		$(BIN)/python "$$script" $(ARGS) || missed=1; ran=1; done; \
	test $$ran = 1 || { echo "bench/ holds no script" >&2; exit 1; }; exit $$missed

bench-peers: $(DEV) ## Install the peers and measure them beside us in the same run: half an hour (ARGS="--only vectorbt").
	$(BIN)/python bench/_peers.py $(ARGS)

faults: $(DEV) ## Long campaigns of what `make test` has a slice of: kill -9, random markets, laws (KILLS=200 EXAMPLES=5000 PLANS=300).
	EXO_TEST_SECONDS=$(or $(SECONDS),60) EXO_TEST_NIGHTS=253 EXO_TEST_SESSIONS=$(or $(SESSIONS),252) EXO_TEST_KILLS=$(or $(KILLS),200) EXO_TEST_IB_RUNS=$(or $(PLANS),300) ORACLE_EXAMPLES=$(or $(EXAMPLES),5000) HYPOTHESIS_PROFILE=thorough \
		$(BIN)/python -m pytest tests/faults tests/browser/test_dashboard_pages.py tests/oracles tests/laws tests/session/test_parity.py tests/session/test_nightly.py tests/execution/test_ib_faults.py tests/datasource/test_sentiment.py

newcomer: $(DEV) ## A fresh clone, the README's own commands, a tear sheet and a dashboard: how many minutes.
	EXO_TEST_NEWCOMER=1 $(BIN)/python -m pytest -s tests/docs/test_newcomer.py

package: $(DEV) ## Build wheel and sdist into dist/, and install and try them in an environment made from nothing (downloads).
	rm -rf dist && $(BIN)/python -m build --no-isolation
	EXO_TEST_CLEAN_INSTALL=1 $(BIN)/python -m pytest tests/packaging

image-check: $(DEV) ## Execute the Dockerfile's steps in a Debian made from nothing and run its services (root, debootstrap; IMAGE=folder).
	rm -rf $(IMAGE) && mkdir -p $(IMAGE) && $(BIN)/python scripts/image_steps.py $(IMAGE)

lock: $(BIN)/uv ## Resolve pyproject.toml anew into the hashed requirements files (UPGRADE= keeps every version that still fits).
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 $(EXTRAS:%=--extra %) $(UPGRADE) pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 --extra user --extra dash --extra alerts --extra build $(UPGRADE) \
		--constraint requirements-dev.txt pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 --extra ib --extra dash --extra alerts --extra flows --extra build $(UPGRADE) \
		--constraint requirements-dev.txt pyproject.toml -o requirements-server.txt
	echo uv | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 $(UPGRADE) - -o requirements-uv.txt
	@! grep -l '://' requirements*.txt || { echo "a lock must not name an index" >&2; exit 1; }

clean: ## Remove what was installed and built; data and reports stay.
	rm -rf .venv build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

check-python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed and $(PYTHON) is not installed; or name it: make run PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V). Name another one: make run PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv is incomplete. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(BIN)/python: | check-python
	@$(PYTHON) -m venv .venv

# uv installs five times faster than pip; where it cannot be had, pip does the same.
$(BIN)/uv: requirements-uv.txt | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.txt && touch $@ || echo "uv cannot be had; pip does its work" >&2

define install
	@echo "Installing $(1) into .venv ..."
	@{ test -x $(BIN)/uv && $(BIN)/uv pip install --quiet --python $(BIN)/python $(2) --require-hashes -r $(1); } || \
		$(BIN)/python -m pip install --quiet --require-hashes -r $(1)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
endef

$(USER): requirements.txt requirements-uv.txt pyproject.toml | $(BIN)/uv
	$(call install,requirements.txt,--compile-bytecode)
	@touch $@

$(DEV): requirements-dev.txt requirements-uv.txt pyproject.toml | $(BIN)/uv
	$(call install,requirements-dev.txt)
	@touch $@ $(USER)
