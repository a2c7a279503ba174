"""The tests of sizing and risk are tested: a bug seeded into a rule must be noticed. The list is ``mutants.py``; ``make faults`` runs all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS, SUITES, Mutant

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("stops", "governor", "filters")
"""Suites whose first bug is tried in a run that is no campaign."""
CHOSEN = MUTANTS if "EXO_TEST_KILLS" in os.environ else [next(m for m in MUTANTS if m.suite == suite) for suite in QUICK]


def verdict(suite: str, mutant: Mutant | None) -> subprocess.CompletedProcess[str]:
    """What the tests of ``suite`` say of the rules with (or without) a bug, in a process of their own."""
    seeded = "" if mutant is None else f"{mutant.module}|{mutant.old}|{mutant.new}"
    environment = os.environ | {"MUTANT": seeded, "HYPOTHESIS_PROFILE": "mutants", "LAW_EXAMPLES": "60", "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore::RuntimeWarning", "-p", "tests.faults.plain_rules", *SUITES[suite]]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)


def test_the_list_is_long_enough_and_says_what_each_bug_does():
    assert len(MUTANTS) >= 25
    assert len({(mutant.module, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.what for mutant in MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_seeded_bug_replaces_text_that_stands_once(mutant):
    source = (ROOT / (mutant.module.replace(".", "/") + ".py")).read_text("utf-8")
    assert source.count(mutant.old) == 1
    assert mutant.old != mutant.new


@pytest.mark.parametrize("suite", sorted({mutant.suite for mutant in CHOSEN}))
def test_without_a_bug_the_rules_pass_as_plain_python_too(suite):
    said = verdict(suite, None)
    assert said.returncode == 0, said.stdout[-3000:]


@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda mutant: mutant.what)
def test_a_seeded_bug_is_noticed(mutant):
    said = verdict(mutant.suite, mutant)
    assert said.returncode == 1, f"{mutant.what}: nobody noticed\n{said.stdout[-2000:]}{said.stderr[-1000:]}"
