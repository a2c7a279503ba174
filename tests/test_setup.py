"""The set-up: locks without addresses, layers, and the user's own entry points (what is packed: tests/packaging)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-server.txt", "requirements-uv.txt")


def names(lock: Path) -> dict[str, set[str]]:
    """Versions by package of a lock (a package may be pinned twice under different markers)."""
    found: dict[str, set[str]] = {}
    for match in re.finditer(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(\S+)", lock.read_text(), re.MULTILINE):
        found.setdefault(match[1], set()).add(match[2])
    return found


@pytest.mark.parametrize("file", LOCKS)
def test_a_lock_names_no_address_and_hashes_everything(file: str, repository: Path) -> None:
    text = (repository / file).read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(entries) >= 1
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-server.txt"])
def test_the_locks_agree_with_each_other(file: str, repository: Path) -> None:
    small, large = names(repository / file), names(repository / "requirements-dev.txt")
    assert {name: (versions, large.get(name)) for name, versions in small.items() if versions - large.get(name, set())} == {}


def test_the_locks_hold_what_pyproject_asks_for(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def asked(*groups: list[str]) -> set[str]:
        words = {re.split(r"[\[<>=~! ]", line)[0].lower().replace("_", "-") for group in groups for line in group}
        return words - {"mech-exo"}

    small, large = set(names(repository / "requirements.txt")), set(names(repository / "requirements-dev.txt"))
    assert asked(project["dependencies"], extras["user"], extras["build"]) - small == set()
    served = set(names(repository / "requirements-server.txt"))
    assert asked(project["dependencies"], *(extras[name] for name in ("ib", "dash", "alerts", "flows", "build"))) - served == set()
    locked = [lines for name, lines in extras.items() if name != "finbert"]  # torch alone weighs more than everything else
    assert asked(project["dependencies"], *locked) - large == set()
    assert {"ib", "dash", "flows", "ray", "ml", "dev"} <= set(extras)


def test_the_users_plain_install_brings_what_his_examples_import(repository: Path) -> None:
    assert {"yfinance", "finnhub-python", "pytest", "jupyter", "hypothesis"} <= set(names(repository / "requirements.txt"))


def test_the_layers_hold(repository: Path) -> None:
    api = pytest.importorskip("importlinter.api", reason="needs import-linter, from the development extra: make test")
    assert len(api.read_configuration(str(repository / "pyproject.toml"))["contracts_options"]) >= 1
    ran = subprocess.run([sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
                         cwd=repository, capture_output=True, text=True, check=False)  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_broken_layer_would_be_seen(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("importlinter", reason="needs import-linter, from the development extra: make test")
    shutil.copytree(repository / "mech_exo", tmp_path / "mech_exo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "pyproject.toml", tmp_path)
    lazily = tmp_path / "mech_exo" / "domain" / "scores.py"
    lazily.write_text(lazily.read_text() + "\n\ndef _peek() -> object:\n    from mech_exo.cli import app\n\n    return app\n")
    ran = subprocess.run([sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
                         cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert ran.returncode != 0
    assert "mech_exo.domain.scores -> mech_exo.cli" in ran.stdout.replace("\n", " ")


def test_the_readme_opens_with_the_two_commands(repository: Path) -> None:
    lines = (repository / "README.md").read_text().splitlines()
    assert [line.split("#")[0].strip() for line in lines if line.startswith("make ")][:2] == ["make run", "make test"]
    assert next(i for i, line in enumerate(lines) if line.startswith("make run")) < 12


def test_ci_runs_make_test_and_is_executable(repository: Path) -> None:
    run = repository / ".ci" / "run"
    assert run.stat().st_mode & 0o111
    assert run.read_text().rstrip().endswith("make test")


def test_keys_are_ignored_by_git(repository: Path) -> None:
    assert "config/api_keys_local.yml" in (repository / ".gitignore").read_text().split()
