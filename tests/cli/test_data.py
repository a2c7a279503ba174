"""`exo data …` from the command line's outermost edge."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel
from tests.datasource.market import bars, changed, days

Exo = Callable[..., Any]


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    bars().write_csv(path)
    return path


@pytest.fixture
def data(exo: Exo, workspace: Path) -> Exo:
    return lambda *words: exo("--home", workspace, "data", *words)


def test_import_status_quarantine_in_json(data: Exo, prices: Path, tmp_path: Path) -> None:
    changed(bars(), "AAA", days()[3], open=0.0).write_csv(prices)
    (tmp_path / "sectors.csv").write_text("Ticker Symbol,GICS Sector\nAAA,Energy\n")
    (tmp_path / "members.csv").write_text("ticker,start_date,end_date\nAAA,2000-01-03,\n")
    (tmp_path / "spy.csv").write_text("date,return\n2021-01-05,0.01\n")
    options = ("--sectors", tmp_path / "sectors.csv", "--universe", tmp_path / "members.csv", "--benchmark", tmp_path / "spy.csv")
    ran = data("import", prices, "--adjusted", "split", "--source", "me", *options, "--json")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert report["bars"][0]["new"] == 19 and report["bars"][0]["quarantined"] == {"a price must be above 0 and finite": 1}
    assert [fact["new"] for fact in report["facts"]] == [1, 1, 1]
    found = json.loads(data("status", "--json").out)
    assert (found["bars"], found["snapshot"], found["sources"]) == (19, report["snapshot"], {"me": "split_adjusted"})
    assert found["universes"] == {"sp500": 1} and found["benchmarks"] == {"SPY": ["2021-01-05", "2021-01-05"]}
    assert found["sectors_backfilled"] is True and found["stale_sessions"] > 0
    rows = json.loads(data("quarantine", "--json").out)
    assert len(rows) == 1 and rows[0]["file"] == "prices.csv" and json.loads(rows[0]["row"])["open"] == "0.0"


def test_import_twice_for_a_person(data: Exo, prices: Path) -> None:
    first, second = data("import", prices), data("import", prices)
    assert first.code == second.code == 0
    assert "stored new" in first.out and "2021-01-04 to 2021-01-15" in first.out
    assert first.out.splitlines()[-1].split()[1] == second.out.splitlines()[-1].split()[1]
    for words in (("status",), ("quarantine",), ("publish",)):
        shown = data(*words)
        assert shown.code == 0 and shown.out and not shown.err
    assert "is up to date" in data("publish").out


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("empty", 2, "must not be empty"),
        ("missing column", 2, "missing: close"),
        ("wrong types", 2, "a date and numbers are needed"),
        ("all-NaN symbol", 1, "every symbol needs at least one usable bar; NAN"),
        ("all-NaN file", 2, "a price is missing"),
        ("one-row symbol", 1, "at least two bars; ONE"),
        ("duplicated rows", 1, "identical rows"),
        ("contradicting rows", 1, "two different rows"),
        ("future dates", 1, "had not closed yet"),
        ("no file", 2, "must exist"),
    ],
)
def test_bad_input_is_said_and_costs_nothing_stored(
    data: Exo, tmp_path: Path, workspace: Path, fault: str, code: int, message: str
) -> None:
    bars(("OLD",)).write_csv(tmp_path / "old.csv")
    assert data("import", tmp_path / "old.csv").code == 0
    good, blank = bars(), bars(("NAN",)).with_columns(close=pl.lit(None, pl.Float64))
    frames = {
        "missing column": good.drop("close"),
        "wrong types": good.with_columns(open=pl.lit("much")),
        "all-NaN symbol": pl.concat([good, blank]),
        "all-NaN file": blank,
        "one-row symbol": bars(("ONE",), days(count=1)),
        "duplicated rows": pl.concat([good, good]),
        "contradicting rows": pl.concat([good, bars(("AAA",), days(count=1), seed=5)]),
        "future dates": good.with_columns(pl.when(pl.col("date") == days()[-1]).then(pl.date(2044, 1, 4)).otherwise("date").alias("date")),
    }
    path = tmp_path / "x.csv"
    if fault == "empty":
        path.write_text("")
    elif fault in frames:
        frames[fault].write_csv(path)
    ran = data("import", path)
    said = ran.out + ran.err
    assert ran.code == code and message in said, said
    assert "→" in said or fault == "no file"
    assert "Traceback" not in said
    with DataStorage.snapshot(workspace) as snapshot:
        assert "OLD" in snapshot.view().panel().symbols
        assert snapshot.view().panel(symbols=["OLD"]).shape[0] >= 10


def test_commands_on_nothing_say_what_to_do(data: Exo) -> None:
    for words in (("status",), ("quarantine",), ("publish",), ("backup", "x.duckdb")):
        ran = data(*words)
        assert (ran.code, ran.out) == (3, "") and "exo data import" in ran.err


def test_without_a_snapshot_the_remedy_is_what_is_missing(data: Exo, prices: Path, workspace: Path) -> None:
    assert data("import", prices.with_name("absent.csv")).code == 2  # the store is made, nothing is in it
    assert DataStorage.path_in(workspace).exists() and "→ exo data import" in data("status").err
    assert data("import", prices).code == 0
    shutil.rmtree(workspace / "data" / "snapshots")
    assert "→ exo data publish" in data("status").err


def test_a_store_made_outside_a_workspace_says_where_once(exo: Exo, prices: Path, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    first = exo("--home", place, "data", "import", prices, "--json")
    assert first.code == 0 and json.loads(first.out)["bars"]
    assert str(place / "data") in first.err.replace("\n", "") and f"exo init {place}" in first.err.replace("\n", "")
    assert "exo init" not in exo("--home", place, "data", "import", prices).err


def test_a_long_symbol_is_cut_in_what_is_said(data: Exo, prices: Path) -> None:
    long = "X" * 300
    bars(("AAA", long)).write_csv(prices)
    ran = data("import", prices)
    assert ran.code == 1 and "X" * 39 + "…" in ran.out and "X" * 40 not in ran.out
    with pytest.raises(InputError, match=r"X{39}…'$") as raised:
        BarPanel.from_frame(bars()).column_of(long)
    assert "X" * 40 not in str(raised.value)


def test_one_name_for_two_things_is_refused(data: Exo, prices: Path) -> None:
    ran = data("import", "--universe", prices, "--benchmark", prices, "--name", "X")
    assert ran.code == 2 and "one after the other" in ran.err
    assert data("import").code == 2


def test_a_second_writer_is_told_who_is_writing(data: Exo, prices: Path, workspace: Path) -> None:
    with DataStorage(DataStorage.path_in(workspace)):
        ran = data("import", prices)
    assert ran.code == 3 and "one writer" in ran.err


def test_an_import_is_assessed_by_the_rules_of_the_workspace(data: Exo, prices: Path, workspace: Path) -> None:
    sessions = days(count=60)
    frame = bars(("AAA", "BBB"), sessions).with_columns(volume=pl.lit(5000.0))
    half = (pl.col("symbol") == "AAA") & (pl.col("date") >= sessions[55])
    frame = frame.with_columns(pl.when(half).then(pl.col(n) * 0.4).otherwise(pl.col(n)).alias(n) for n in ("open", "high", "low", "close"))
    frame.write_csv(prices)
    ran = json.loads(data("import", prices, "--json").out)
    assert ran["quality"]["blocked"] == 1 and ran["quality"]["as_of"] == sessions[-1].isoformat()
    (workspace / "config" / "data.yml").write_text("max_jump: 2.0\n")
    assert json.loads(data("import", prices, "--json").out)["quality"]["blocked"] == 0
    assert "0 get no new risk" in data("import", prices).out


def test_backup_and_restore(data: Exo, prices: Path, tmp_path: Path, workspace: Path) -> None:
    data("import", prices)
    assert data("backup", tmp_path / "b.duckdb").code == 0
    assert data("backup", tmp_path / "b.duckdb").code == 2
    bars(("CCC",)).write_csv(prices)
    data("import", prices)
    refused = data("restore", tmp_path / "b.duckdb")
    assert refused.code == 2 and "--yes" in refused.err
    restored = json.loads(data("restore", tmp_path / "b.duckdb", "--yes", "--json").out)
    assert restored["rows"]["bars"] == 20
    with DataStorage.snapshot(workspace) as snapshot:
        assert snapshot.view().panel().symbols == ("AAA", "BBB")
