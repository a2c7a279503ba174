"""The tests of router, recovery, reconciliation, protection and ledger are tested: a bug seeded into a rule must be noticed.

The list is ``router_mutants.py``; ``make faults`` runs all of it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.faults.mutants import Mutant
from tests.faults.router_mutants import MUTANTS, SUITES
from tests.faults.test_mutants import ROOT

QUICK = ("reconcile",)
"""Suites whose first bug is tried in a run that is no campaign: that a bug is seeded and seen at all."""
CAMPAIGN = "EXO_TEST_KILLS" in os.environ
CHOSEN = MUTANTS if CAMPAIGN else [next(m for m in MUTANTS if m.suite == suite) for suite in QUICK]


def verdict(suite: str, mutant: Mutant | None) -> subprocess.CompletedProcess[str]:
    """What the tests of ``suite`` say of the rules with (or without) a bug, in a process of their own."""
    seeded = "" if mutant is None else f"{mutant.module}|{mutant.old}|{mutant.new}"
    environment = os.environ | {"MUTANT": seeded, "HYPOTHESIS_PROFILE": "mutants", "ROUTER_FAULTS": "2000", "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "tests.faults.plain_rules", *SUITES[suite]]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900)


def test_the_list_is_long_enough_and_says_what_each_bug_does() -> None:
    assert len(MUTANTS) >= 50
    assert len({mutant[1:] for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.what for mutant in MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_seeded_bug_replaces_text_that_stands_once(mutant: Mutant) -> None:
    source = (ROOT / (mutant.module.replace(".", "/") + ".py")).read_text("utf-8")
    assert source.count(mutant.old) == 1
    assert mutant.old != mutant.new and "|" not in mutant.old + mutant.new, "the plugin's own separator"
    compile(source.replace(mutant.old, mutant.new), mutant.module, "exec")


if CAMPAIGN:  # in any other run the suites are part of it

    @pytest.mark.parametrize("suite", sorted({mutant.suite for mutant in CHOSEN}))
    def test_without_a_bug_the_suite_passes(suite: str) -> None:
        said = verdict(suite, None)
        assert said.returncode == 0, said.stdout[-3000:]


@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda mutant: mutant.what)
def test_a_seeded_bug_is_noticed(mutant: Mutant) -> None:
    said = verdict(mutant.suite, mutant)
    assert said.returncode == 1, f"{mutant.what}: nobody noticed\n{said.stdout[-2000:]}{said.stderr[-1000:]}"
