"""Ctrl-C at any moment of a real `exo backtest run`: no torn report, no torn run, nothing counted that cannot be looked at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mech_exo.assembly import Workspace
from mech_exo.backtest.result import BacktestResult

PERIOD = ("--start", "2019-06-03", "--end", "2023-12-29")
INTERRUPTED = 130
pytestmark = pytest.mark.slow


def start(home: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mech_exo.cli", "--home", str(home), "backtest", "run", *PERIOD, *words]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ.copy())


def interrupted(home: Path, moment: Callable[[], bool], *words: str) -> tuple[int, str, str]:
    """Send Ctrl-C as soon as ``moment`` has come, or not at all where the command is done before."""
    process = start(home, *words)
    deadline = time.monotonic() + 120
    while process.poll() is None and not moment() and time.monotonic() < deadline:
        time.sleep(0.0005)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    # CPython ends by the signal itself where it met the interrupt in code made by exec (templates, dataclasses): 130 to a shell, too
    return INTERRUPTED if process.returncode == -signal.SIGINT else process.returncode, out, err


def runs(home: Path) -> list[Path]:
    place = home / "data" / "runs"
    return sorted(place.iterdir()) if place.exists() else []


def counted(home: Path) -> set[str]:
    with Workspace.open(home).journal() as ledger:
        return {trial.run_id for trial in ledger.trials()}


def sound(home: Path) -> set[str]:
    """Nothing in the workspace is half-written; the ids of the saved runs."""
    for folder in runs(home):
        assert not folder.name.startswith("."), f"left behind: {folder}"
        assert BacktestResult.load(folder).run_id == folder.name
    reports = home / "reports" / "backtests"
    for page in reports.iterdir() if reports.exists() else ():
        assert page.suffix == ".html" and page.read_text("utf-8").rstrip().endswith("</html>"), page
    saved = {folder.name for folder in runs(home)}
    assert counted(home) == saved, "what counts can be looked at, and what can be looked at counts"
    return saved


@pytest.mark.parametrize("happened", ["data/runs/.*.partial", "data/runs/[!.]*", "reports/backtests/.*.partial", "reports/backtests/*.html"])
def test_in_the_middle_of_what_it_writes(market_copy: Path, happened: str) -> None:
    """The moment a file appears is the moment the signal is sent."""
    code, out, err = interrupted(market_copy, lambda: next(market_copy.glob(happened), None) is not None, "--json")
    assert code in (0, INTERRUPTED) and "Traceback" not in err and "bug" not in err
    assert (out == "") == (code == INTERRUPTED)
    assert bool(sound(market_copy)) or code == INTERRUPTED


def test_at_many_moments(market_copy: Path) -> None:
    """Spread over the whole life of the command, from its first import to its last line."""
    begun = time.monotonic()
    process = start(market_copy, "--json")
    process.communicate(timeout=120)
    whole = time.monotonic() - begun
    assert process.returncode == 0 and len(sound(market_copy)) == 1
    stopped = 0
    for part in (0.35, 0.65, 0.85):
        for folder in runs(market_copy):  # a run that is there already would hide what an interrupted one leaves
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        (market_copy / "data" / "ledger.sqlite").unlink(missing_ok=True)
        for path in (market_copy / "data").glob("ledger.*"):
            path.unlink()
        until = time.monotonic() + part * whole
        code, _, err = interrupted(market_copy, lambda until=until: time.monotonic() >= until)
        stopped += code == INTERRUPTED
        assert code in (0, INTERRUPTED) and "Traceback" not in err, (part, code, err)
        sound(market_copy)
    assert stopped


def test_what_a_killed_one_left_behind_goes_with_the_next(market_copy: Path) -> None:
    process = start(market_copy)
    while process.poll() is None and next(market_copy.glob("data/runs/.*.partial"), None) is None:
        time.sleep(0.0005)
    process.kill()
    process.communicate()
    assert not [folder for folder in runs(market_copy) if not folder.name.startswith(".")] or process.returncode == 0
    code, _, _ = interrupted(market_copy, lambda: False)
    assert code == 0 and len(sound(market_copy)) == 1
