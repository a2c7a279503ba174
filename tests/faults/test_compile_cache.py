"""Numba's disk cache does not notice an edited function in another file. Ours does: an edited rule is the rule in the next process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "mech_exo"

CALLER = '''
"""Stands between the rule and the process: its own file never changes."""
from mech_exo.kernels import njit
from mech_exo.risk.stops import stop_level


@njit
def twice(entry, stops):
    return 2.0 * stop_level(1.0, entry, entry, 1.0, stops)[0]
'''
PROCESS = """
import json
from mech_exo.risk.stops import StopParams
from mech_exo.utils.settings import StopRules
from mech_exo.probe import twice

level = twice(100.0, StopParams.of(StopRules(hard=0.15, trailing=None, volatility_atr=None)))
print(json.dumps([level, sum(twice.stats.cache_hits.values()), sum(twice.stats.cache_misses.values())]))
"""


@pytest.fixture
def tree(tmp_path):
    """A copy of the package with one more compiled function in it, that calls a rule of another file."""
    shutil.copytree(PACKAGE, tmp_path / "src" / "mech_exo", ignore=shutil.ignore_patterns("__pycache__", "*.html", "*.css"))
    (tmp_path / "src" / "mech_exo" / "probe.py").write_text(CALLER)
    return tmp_path


def process(tree):
    """(level, cache hits, cache misses) of a new process on the tree's sources and its own cache."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tree / "cache"), "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, env=environment, cwd=tree, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return tuple(json.loads(ran.stdout))


def test_an_edited_rule_is_the_rule_of_the_next_process(tree):
    assert process(tree) == (170.0, 0, 1)
    assert process(tree) == (170.0, 1, 0), "nothing was edited: the second process must compile nothing"
    rule = tree / "src" / "mech_exo" / "risk" / "stops.py"
    formula = "entry * (1 - stops.hard) if side > 0.0"
    text = rule.read_text()
    assert text.count(formula) == 1
    rule.write_text(text.replace(formula, "entry * (1 - 2 * stops.hard) if side > 0.0"))
    assert process(tree) == (140.0, 0, 1)
    rule.write_text(text)
    assert process(tree) == (170.0, 1, 0), "the old sources find their own compiled functions again"
    other = tree / "src" / "mech_exo" / "domain" / "portfolio.py"
    other.write_text(other.read_text() + "\n# a comment\n")
    assert process(tree) == (170.0, 1, 0), "an edited page compiles nothing"


def test_a_cache_that_cannot_be_written_costs_time_only(repository, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code = "from mech_exo.kernels import cache_folder; from mech_exo.risk.stops import target_level; print(cache_folder())"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "file")}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert not Path(ran.stdout.strip()).exists(), "it is taken away at the end"
