"""`exo backtest run` from its outermost edge."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mech_exo.assembly import Workspace

Exo = Callable[..., Any]
PERIOD = ("--start", "2021-01-04", "--end", "2023-12-29")
METRICS = {
    "cagr", "volatility_ann", "sharpe", "sortino", "max_drawdown", "calmar", "turnover_ann", "total_costs", "orders", "stop_outs",
    "final_equity", "total_return", "win_rate", "trades",
}  # fmt: skip
FRACTIONS = ("cagr", "volatility_ann", "max_drawdown", "total_return", "win_rate")


@pytest.fixture(scope="module")
def ran(market_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """One run in JSON and its workspace."""
    import contextlib
    import io
    import shutil

    from mech_exo.cli.__main__ import main

    home = tmp_path_factory.mktemp("backtest") / "w"
    shutil.copytree(market_home, home)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(["--home", str(home), "backtest", "run", *PERIOD, "--json"]) == 0
    assert err.getvalue() == ""
    return json.loads(out.getvalue()), home


def test_json_has_what_a_machine_needs(ran: tuple[dict[str, Any], Path]) -> None:
    data, _ = ran
    assert set(data) == {
        "run_id",
        "name",
        "start",
        "end",
        "config_hash",
        "code_version",
        "data_hash",
        "metrics",
        "kpi",
        "warnings",
        "report",
        "saved",
        "pdf",
        "large_losses",
    }
    assert (data["start"], data["end"], data["name"]) == ("2021-01-04", "2023-12-29", "default")
    for key in ("run_id", "config_hash", "code_version", "data_hash"):
        assert re.fullmatch(r"[0-9a-f]{16}", data[key]), key
    metrics = data["metrics"]
    assert set(metrics) >= METRICS
    assert all(isinstance(metrics[name], int) for name in ("orders", "stop_outs", "trades")) and metrics["orders"] > 300
    assert all(abs(metrics[name]) <= 1.0 for name in FRACTIONS), "fractions, not percent"
    assert metrics["total_return"] == pytest.approx(metrics["final_equity"] / 100_000.0 - 1.0, rel=1e-9)
    assert metrics["total_costs"] > 0 and metrics["calmar"] == pytest.approx(metrics["cagr"] / metrics["max_drawdown"])
    assert "synthetic sample" in data["warnings"]
    assert data["kpi"]


def test_the_report_stands_alone_and_says_what_it_is_made_of(ran: tuple[dict[str, Any], Path]) -> None:
    data, home = ran
    report = Path(data["report"])
    page = report.read_text("utf-8")
    assert report.parent == home / "reports" / "backtests" and "synthetic sample" in page and data["run_id"] in page
    markup = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""<(script|link|img|iframe)\b[^>]*\b(src|href)\s*=\s*["']?(https?:)?//""", page), "nothing is fetched"
    assert not re.search(r"url\(\s*['\"]?https?:|@import", markup)


def test_the_same_run_is_the_same_and_counts_once(exo: Exo, ran: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    data, home = ran
    again = json.loads(exo("backtest", "run", *PERIOD, "--report", tmp_path / "deep" / "r.html", "--home", home, "--json").out)
    assert again.pop("report") == str(tmp_path / "deep" / "r.html") and (tmp_path / "deep" / "r.html").is_file()
    assert again == {key: value for key, value in data.items() if key != "report"}
    assert Path(data["saved"]) == home / "data" / "runs" / data["run_id"]
    with Workspace.open(home).ledger(read_only=True) as ledger:
        assert [trial.run_id for trial in ledger.trials()].count(data["run_id"]) == 1
        (trial,) = [trial for trial in ledger.trials() if trial.run_id == data["run_id"]]
    assert {metric.name: metric.value for metric in trial.metrics} == data["metrics"]
    other = json.loads(exo("backtest", "run", *PERIOD, "--cash", "50000", "--home", home, "--json").out)
    assert other["run_id"] != data["run_id"]
    with Workspace.open(home).ledger(read_only=True) as ledger:
        assert {data["run_id"], other["run_id"]} <= {trial.run_id for trial in ledger.trials()}


def test_the_same_run_id_has_identical_fills(ran: tuple[dict[str, Any], Path]) -> None:
    from datetime import date

    from mech_exo.cli.backtest import backtester

    data, home = ran
    results = [backtester(Workspace.open(home)).run(date(2021, 1, 4), date(2023, 12, 29)) for _ in range(2)]
    assert {result.run_id for result in results} == {data["run_id"]}
    assert results[0].fills.equals(results[1].fills) and len(results[0].fills) > 300
    assert results[0].events.tobytes() == results[1].events.tobytes()
    assert isinstance(results[0].fills, pl.DataFrame)


def test_for_a_person(exo: Exo, ran: tuple[dict[str, Any], Path]) -> None:
    data, home = ran
    shown = exo("backtest", "run", *PERIOD, "--home", home)
    assert shown.code == 0 and "Traceback" not in shown.out + shown.err
    text = " ".join(shown.out.split())
    for part in (data["run_id"], "synthetic sample", "KPI contract", "Max drawdown", "Stop-outs", "Report:"):
        assert part in text, part
    assert f"{data['metrics']['cagr']:.2%}" in text and f"{data['metrics']['final_equity']:,.2f} USD" in text


def test_too_short_to_say_anything_is_unknown_not_zero(exo: Exo, ran: tuple[dict[str, Any], Path]) -> None:
    _, home = ran
    words = ("backtest", "run", "--start", "2023-12-28", "--end", "2023-12-28", "--home", home)
    metrics = json.loads(exo(*words, "--json").out)["metrics"]
    assert metrics["sharpe"] is None and metrics["cagr"] is None and metrics["win_rate"] is None
    shown = exo(*words)
    assert shown.code == 0 and "unknown" in shown.out and "nan" not in shown.out.lower()


def test_a_report_that_cannot_be_written(exo: Exo, ran: tuple[dict[str, Any], Path]) -> None:
    _, home = ran
    place = home / "config" / "strategy.yml" / "r.html"
    shown = exo("backtest", "run", *PERIOD, "--report", place, "--home", home)
    assert shown.code == 2 and "the report must be writable" in shown.err and "--report" in shown.err and "bug" not in shown.err


def test_a_night_that_is_writing_is_waited_for(exo: Exo, ran: tuple[dict[str, Any], Path]) -> None:
    """The ledger has one writer; a backtest that is done waits to be counted instead of failing."""
    import threading

    _, home = ran
    held, release = threading.Event(), threading.Event()

    def night() -> None:
        with Workspace.open(home).ledger():
            held.set()
            release.wait(20)

    writer = threading.Thread(target=night)
    writer.start()
    assert held.wait(20)
    threading.Timer(1.0, release.set).start()
    words = ("backtest", "run", "--start", "2022-01-03", "--end", "2022-03-31", "--home", home, "--json")
    run_id = json.loads(exo(*words).out)["run_id"]
    writer.join()
    with Workspace.open(home).ledger(read_only=True) as ledger:
        assert run_id in {trial.run_id for trial in ledger.trials()}


def test_a_period_in_which_nothing_is_bought(exo: Exo, ran: tuple[dict[str, Any], Path]) -> None:
    """The first weeks have no momentum yet: no orders, a report all the same."""
    _, home = ran
    data = json.loads(exo("backtest", "run", "--end", "2019-01-31", "--home", home, "--json").out)
    assert data["metrics"]["orders"] == 0 and data["metrics"]["final_equity"] == 100_000.0
    assert Path(data["report"]).is_file() and any("nobody had a score" in warning for warning in data["warnings"])
    assert exo("backtest", "run", "--end", "2019-01-31", "--home", home).code == 0
