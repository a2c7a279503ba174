"""`exo backtest list | show | compare | explain | delete` on runs of a real workspace."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mech_exo.assembly import Workspace
from mech_exo.backtest import BacktestResult, EventBacktester
from mech_exo.cli.backtest import is_counted

Exo = Callable[..., Any]
PERIOD = ("--start", "2020-06-01", "--end", "2022-12-30")


@pytest.fixture(scope="module")
def stage(market_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A workspace with two runs; the ids, oldest first. Not to be changed."""
    import contextlib
    import io

    from mech_exo.cli.__main__ import main

    home = tmp_path_factory.mktemp("runs") / "w"
    shutil.copytree(market_home, home)
    ids = []
    for cash in ("100000", "60000"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert main(["--home", str(home), "backtest", "run", *PERIOD, "--cash", cash, "--json"]) == 0
        ids.append(json.loads(out.getvalue())["run_id"])
    return home, ids


@pytest.fixture
def copy(stage: tuple[Path, list[str]], tmp_path: Path) -> tuple[Path, list[str]]:
    shutil.copytree(stage[0], tmp_path / "w", copy_function=shutil.copy2)
    return tmp_path / "w", stage[1]


def asked(exo: Exo, home: Path, *words: object) -> Any:
    ran = exo("--home", home, "backtest", *words, "--json")
    assert (ran.code, ran.err) == (0, ""), ran.err
    return json.loads(ran.out)


def test_list(exo: Exo, stage: tuple[Path, list[str]]) -> None:
    home, ids = stage
    runs = asked(exo, home, "list")["runs"]
    assert [run["run_id"] for run in runs] == ids[::-1], "the latest first"
    assert all(run["start"] == "2020-06-01" and run["trades"] > 50 and run["damaged"] is None for run in runs)
    shown = exo("--home", home, "backtest", "list")
    assert shown.code == 0 and all(run_id in shown.out for run_id in ids) and "nan" not in shown.out.lower()


def test_list_of_nothing(exo: Exo, workspace: Path) -> None:
    assert asked(exo, workspace, "list") == {"runs": []}
    assert "exo backtest run" in exo("--home", workspace, "backtest", "list").out


def test_show_is_the_run(exo: Exo, stage: tuple[Path, list[str]]) -> None:
    home, ids = stage
    first = asked(exo, home, "show", ids[0])
    assert first["run_id"] == ids[0] and first["report"].endswith(f"{ids[0]}.html") and Path(first["saved"]).is_dir()
    assert asked(exo, home, "show", "last")["run_id"] == ids[1]
    assert {line["kind"] for line in first["costs_by_kind"]} == {"commission", "slippage", "borrow", "margin_interest", "total"}
    shown = exo("--home", home, "backtest", "show", ids[0])
    assert all(part in shown.out for part in ("KPI contract", "Saved:", f"{first['metrics']['cagr']:.2%}"))


def test_a_unique_beginning_names_a_run(exo: Exo, stage: tuple[Path, list[str]]) -> None:
    home, ids = stage
    short = next(ids[0][:n] for n in range(1, 17) if not ids[1].startswith(ids[0][:n]))
    assert asked(exo, home, "show", short)["run_id"] == ids[0]


@pytest.mark.parametrize("name", ["nonsense", "", "LAST", "../" * 3, "*"])
def test_a_wrong_name_says_what_there_is(exo: Exo, stage: tuple[Path, list[str]], name: str) -> None:
    home, ids = stage
    for words in (("show", name), ("compare", ids[0], name), ("explain", name, "--date", "2021-06-30", "--symbol", "SYN001"), ("delete", name, "--yes")):
        ran = exo("--home", home, "backtest", *words)
        assert (ran.code, ran.out) == (2, "") and all(run_id in ran.err for run_id in ids) and "Traceback" not in ran.err


def test_a_name_before_any_run(exo: Exo, workspace: Path) -> None:
    ran = exo("--home", workspace, "backtest", "show", "last")
    assert ran.code == 2 and "a run must be saved first" in ran.err and "exo backtest run" in ran.err


def test_compare(exo: Exo, stage: tuple[Path, list[str]]) -> None:
    home, ids = stage
    found = asked(exo, home, "compare", *ids)
    assert {"key": "strategy.initial_cash", "a": 100_000.0, "b": 60_000.0} in found["differences"] and not found["identical"]
    assert found["first_fill_a"]["date"] == found["first_fill_b"]["date"] and found["correlation"] > 0.9
    shown = exo("--home", home, "backtest", "compare", *ids)
    assert shown.code == 0 and "strategy.initial_cash" in shown.out and "first fill of" in shown.out
    assert asked(exo, home, "compare", ids[0], ids[0])["identical"]
    assert "to the last bit" in exo("--home", home, "backtest", "compare", ids[0], ids[0]).out


def test_explain(exo: Exo, stage: tuple[Path, list[str]]) -> None:
    home, ids = stage
    run = BacktestResult.load(home / "data" / "runs" / ids[0])
    order = run.orders.filter(run.orders["kind"] == "order").row(40, named=True)
    words = ("explain", ids[0], "--date", order["decided"], "--symbol", order["symbol"])
    found = asked(exo, home, *words)
    assert found["orders"][0]["shares"] == order["shares"] and found["scheduled"]
    factors = found["score"]["factors"].values() if found["score"] else ()
    assert sum(line["contribution"] for line in factors) == pytest.approx(found["score"]["score"] if found["score"] else 0.0)
    shown = exo("--home", home, "backtest", *words)
    assert shown.code == 0 and found["verdict"] in " ".join(shown.out.split()) and ids[0] in shown.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--date", "2021-07-04", "--symbol", "SYN001"), "must be a session of the run"),
        (("--date", "2030-01-02", "--symbol", "SYN001"), "must be a session of the run"),
        (("--date", "2021-06-30", "--symbol", "SYN01"), "did you mean"),
    ],
)
def test_explain_of_a_wrong_date_or_symbol(exo: Exo, stage: tuple[Path, list[str]], words: tuple[str, ...], said: str) -> None:
    ran = exo("--home", stage[0], "backtest", "explain", "last", *words)
    assert (ran.code, ran.out) == (2, "") and said in ran.err


def test_delete_asks(exo: Exo, copy: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    home, ids = copy
    folder, page = home / "data" / "runs" / ids[0], home / "reports" / "backtests" / f"{ids[0]}.html"
    refused = exo("--home", home, "backtest", "delete", ids[0], "--json")
    assert refused.code == 2 and "needs --yes" in refused.err and folder.is_dir()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    kept = exo("--home", home, "backtest", "delete", ids[0])
    assert kept.code == 1 and "nothing was removed" in kept.err and folder.is_dir() and page.is_file()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert exo("--home", home, "backtest", "delete", ids[0]).code == 0
    assert not folder.exists() and not page.exists() and [path.name for path in folder.parent.iterdir()] == [ids[1]]
    assert is_counted(Workspace.open(home), ids[0]), "what was looked at was looked at"
    assert asked(exo, home, "delete", ids[1], "--yes")["run_id"] == ids[1]


def test_a_damaged_run_is_listed_told_and_can_be_deleted(exo: Exo, copy: tuple[Path, list[str]]) -> None:
    home, ids = copy
    (home / "data" / "runs" / ids[0] / "run.json").write_text("{")
    (home / "data" / "runs" / ids[1] / "days.parquet").unlink()
    runs = {run["run_id"]: run["damaged"] for run in asked(exo, home, "list")["runs"]}
    assert "can be read" in runs[ids[0]]
    assert "damaged" in exo("--home", home, "backtest", "list").out
    for run_id, said in zip(ids, ("can be read", "days.parquet is missing"), strict=True):
        ran = exo("--home", home, "backtest", "show", run_id)
        assert ran.code == 3 and said in ran.err
        assert asked(exo, home, "delete", run_id, "--yes")["run_id"] == run_id


def test_the_latest_run_is_the_one_run_last(exo: Exo, copy: tuple[Path, list[str]]) -> None:
    """Running an older one again saves nothing new, and yet it is the last one."""
    home, ids = copy
    assert asked(exo, home, "run", *PERIOD, "--cash", "100000")["run_id"] == ids[0]
    assert asked(exo, home, "show", "last")["run_id"] == ids[0]


def test_a_run_made_in_python_counts_when_it_is_looked_at(exo: Exo, copy: tuple[Path, list[str]]) -> None:
    home, _ = copy
    workspace = Workspace.open(home)
    known = workspace.known()

    def hold(view: Any, portfolio: Any) -> dict[str, float] | None:
        return {view.symbols[int(np.nanargmax(view.price))]: 0.5} if view.row % 50 == 0 else None

    run = EventBacktester(known.panel, hold, universe=known.universe, warnings=known.warnings).run()
    run.save(workspace.runs / run.run_id)
    assert not is_counted(workspace, run.run_id)
    assert asked(exo, home, "show", run.run_id)["name"] == "hold" and is_counted(workspace, run.run_id)
    why = asked(exo, home, "explain", run.run_id, "--date", str(run.fills["date"][0]), "--symbol", run.fills["symbol"][0])
    assert any("code is not saved" in note for note in why["notes"]) and why["held"]["shares"] == run.fills["shares"][0]


def test_data_that_changed_since_is_told(exo: Exo, copy: tuple[Path, list[str]]) -> None:
    import polars as pl

    from mech_exo.datasource.storage import DataStorage

    home, ids = copy
    panel = Workspace.open(home).known().panel
    frame = panel.rows(500, 501).to_frame().select("symbol", "date", "open", "high", "low", "close", "volume")
    changed = frame.head(1).with_columns(pl.col("open", "high", "low", "close") * 1.01)
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(changed, source="restated")
        storage.publish()
    ran = exo("--home", home, "backtest", "explain", ids[0], "--date", "2021-06-30", "--symbol", "SYN001")
    assert ran.code == 2 and "the data changed since it was saved" in ran.err
    assert exo("--home", home, "backtest", "show", ids[0]).code == 0


def test_a_run_that_cannot_be_counted_is_not_left(exo: Exo, market_copy: Path) -> None:
    """A damaged ledger counts nothing: what was made is taken back, so that nobody looks at what does not count."""
    (market_copy / "data" / "ledger.sqlite").write_bytes(b"not a ledger at all" * 100)
    ran = exo("--home", market_copy, "backtest", "run", *PERIOD)
    assert ran.code == 4 and "Traceback" not in ran.err
    assert not any((market_copy / "data" / "runs").glob("*")) and not any((market_copy / "reports" / "backtests").glob("*"))
