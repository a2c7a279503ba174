"""`exo backtest sweep` from its outermost edge."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mech_exo.assembly import Workspace
from mech_exo.cli.sweep import verdict
from mech_exo.performance.overfitting import OverfittingReport

Exo = Callable[..., Any]
PERIOD = ("--start", "2021-01-04", "--end", "2023-12-29")
SETS = ("--set", "strategy.selection.top=10,20", "--set", "risk.stops.hard=0.1,null", "--set", "strategy.schedule.anchor=2019-06-03,null")
NAN = float("nan")


@pytest.fixture(scope="module")
def home(market_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sweep") / "w"
    shutil.copytree(market_home, place)
    return place


@pytest.fixture(scope="module")
def ran(home: Path) -> dict[str, Any]:
    import contextlib
    import io

    from mech_exo.cli.__main__ import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(["--home", str(home), "backtest", "sweep", *PERIOD, *SETS, "--json", "--report", str(home / "best.html")]) == 0, err.getvalue()
    assert err.getvalue() == ""
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_json_has_every_trial_and_the_ledger_counts_each_once(exo: Exo, home: Path, ran: dict[str, Any]) -> None:
    trials = ran["trials"]
    assert len(trials) == 8 and len({trial["run_id"] for trial in trials}) == 8
    assert {trial["risk.stops.hard"] for trial in trials} == {0.1, None}
    best = max(trials, key=lambda trial: trial["sharpe"])
    assert ran["best"]["run_id"] == best["run_id"] and ran["best"]["choice"]["strategy.selection.top"] == best["strategy.selection.top"]
    assert ran["overfitting"]["trials"] == 8 and 0 <= ran["overfitting"]["spa"] <= 1
    with Workspace.open(home).ledger(read_only=True) as ledger:
        counted = [trial for trial in ledger.trials() if trial.kind == "sweep"]
    assert {trial.run_id for trial in counted} == {trial["run_id"] for trial in trials}
    page = Path(ran["report"]).read_text("utf-8")
    assert best["run_id"] in page and "synthetic sample" in page.lower()
    again = json.loads(exo("backtest", "sweep", *PERIOD, *SETS, "--backend", "serial", "--home", home, "--json").out)
    assert (again["id"], again["trials"], again["overfitting"]) == (ran["id"], trials, ran["overfitting"])


def test_for_a_person(exo: Exo, home: Path, ran: dict[str, Any]) -> None:
    shown = exo("backtest", "sweep", *PERIOD, *SETS, "--objective", "max_drawdown", "--home", home)
    assert shown.code == 0, shown.err
    text = " ".join(shown.out.split())
    for part in ("synthetic sample", "The best by max drawdown", "top", "hard", "null", "8 trials", "The best is", "2019-06-03"):
        assert part in text, part
    assert "nan" not in text.lower() and "Traceback" not in shown.err


def test_drawn_at_random(exo: Exo, home: Path) -> None:
    words = ("backtest", "sweep", *PERIOD, "--set", "strategy.selection.top=5..30", "--home", home, "--json")
    drawn = [json.loads(exo(*words, "--trials", "4", "--seed", seed).out) for seed in (1, 1)]
    assert drawn[0]["trials"] == drawn[1]["trials"] and len(drawn[0]["trials"]) == 4
    refused = exo(*words)
    assert refused.code == 2 and "add --trials" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "strategy.selection.topp=5"), "did you mean strategy.selection.top"),
        (("--set", "strategy.selection.top"), "KEY=V1,V2"),
        (("--set", "strategy.selection.top=0"), "at least 1"),
        ((), "at least one key"),
        (("--set", "strategy.selection.top=5", "--objective", "sharp"), "did you mean sharpe"),
        (("--set", "strategy.selection.top=5", "--backend", "cloud"), "serial, threads, processes, ray, dask"),
        (("--set", "strategy.selection.top=5", "--workers", "0"), "at least 1"),
    ],
)
def test_mistakes_are_named_and_count_nothing(exo: Exo, home: Path, words: tuple[str, ...], said: str) -> None:
    def counted() -> int:
        with Workspace.open(home).journal() as ledger:
            return len(ledger.trials())

    before = counted()
    shown = exo("backtest", "sweep", *PERIOD, *words, "--home", home)
    assert shown.code == 2 and said in shown.err and "Traceback" not in shown.err
    assert counted() == before


def test_a_report_that_cannot_be_written_leaves_no_look_uncounted(exo: Exo, home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with Workspace.open(home).journal() as ledger:
        before = len(ledger.trials())
    words = ("--set", "strategy.selection.top=3,4", "--report", tmp_path / "file" / "page.html")
    shown = exo("backtest", "sweep", *PERIOD, *words, "--home", home)
    assert shown.code == 2 and "the report must be writable" in shown.err and "Traceback" not in shown.err
    with Workspace.open(home).journal() as ledger:
        assert len(ledger.trials()) == before + 2


def test_interrupted_counts_nothing(exo: Exo, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the trials are played, as Python delivers it: in the caller's thread."""
    from rich.progress import Progress

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with Workspace.open(home).journal() as ledger:
        before = len(ledger.trials())
    monkeypatch.setattr(Progress, "update", stop)
    shown = exo("backtest", "sweep", *PERIOD, "--set", "strategy.selection.top=7,8,9", "--home", home)
    assert shown.code == 130 and shown.out == ""
    with Workspace.open(home).journal() as ledger:
        assert len(ledger.trials()) == before


def test_a_plan_of_any_size(exo: Exo, home: Path) -> None:
    words = ("backtest", "sweep", "--plan", "--symbols", "200", "--years", "30", "--trials", "10000", "--workers", "200", "--home", home)
    made = json.loads(exo(*words, "--json").out)
    assert (made["sessions"], made["backend"]) == (7560, "ray") and made["panel_bytes"] == 200 * 7560 * 56
    assert made["cpu_hours"] > 0 and made["assumptions"]
    shown = exo(*words)
    assert shown.code == 0 and "Wall time" in shown.out and "Processor time" in shown.out


def report(**figures: float) -> OverfittingReport:
    known = {"deflated_sharpe": 0.99, "pbo": 0.1, "spa": 0.01} | figures
    return OverfittingReport(10, 1.0, 0.5, 1.5, 0.99, 0.4, known["deflated_sharpe"], 500.0, known["pbo"], 0.01, known["spa"], ())


def test_the_verdict_needs_every_test_to_agree() -> None:
    assert "more than luck" in verdict(report()) and "more than luck" in verdict(report(pbo=NAN, spa=NAN))
    for figures in ({"deflated_sharpe": 0.8}, {"deflated_sharpe": NAN}, {"pbo": 0.6}, {"spa": 0.2}):
        assert "probably luck" in verdict(report(**figures)), figures
