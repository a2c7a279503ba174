"""Every benchmark runs and prints what machines read; its figures are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPTS = (
    "alerts", "backtest", "dash", "execution", "ingest", "metrics", "research", "risk", "scaling", "scoring", "sentiment", "startup", "storage",
)  # fmt: skip


def test_every_script_is_listed(repository):
    assert {path.stem for path in (repository / "bench").glob("[!_]*.py")} == set(SCRIPTS)


@pytest.mark.parametrize("script", ["execution", "metrics", "research", "risk", "scoring", "sentiment", "startup"])
def test_a_benchmark_prints_a_list_of_figures(repository, script):
    ran = subprocess.run(
        [sys.executable, f"bench/{script}.py", "--json", "--quick"], cwd=repository, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode in (0, 1), ran.stderr  # 1: a bar was missed, on a busy machine no fault of the script
    figures = json.loads(ran.stdout)
    assert figures
    assert all({"name", "value", "unit", "bar", "holds"} <= figure.keys() and figure["value"] > 0 for figure in figures)
    assert all(figure["holds"] is None or figure["holds"] == (figure["value"] <= figure["bar"]) for figure in figures)
