"""What keeps a store alive for years: migrations, backups beside readers, locks, and reference files as they come."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from mech_exo.datasource.importer import ImportRequest, run_import
from mech_exo.datasource.storage import DataStorage
from mech_exo.datasource.storage.connection import SETTINGS, migrations
from mech_exo.datasource.storage.publish import restore, verify
from mech_exo.domain.errors import InputError
from mech_exo.utils import calendar
from tests.conftest import Ran
from tests.datasource.market import NOW, bars, changed, days

ROWS = {
    "bars": "('AAA', '2021-01-05', 1, 2, 1, 1.5, 100, '2021-01-05 21:00+00', '2021-02-01 00:00+00', 'me', 0)",
    "corporate_actions": "('AAA', '2021-01-05', 'split', 2, '2021-01-05 21:00+00', '2021-02-01 00:00+00', 'me', 0)",
    "sectors": "('AAA', '1900-01-01', 'Energy', '1900-01-01 00:00+00', '2021-02-01 00:00+00', true, 0)",
    "universe": "('u', 'AAA', '1900-01-01', null, '1900-01-01 00:00+00', '2021-02-01 00:00+00', 0)",
    "benchmarks": "('SPY', '2021-01-05', 0.01, '2021-01-05 21:00+00', '2021-02-01 00:00+00', 0)",
    "fundamental_data": "('AAA', 'eps', '2020-12-31', 'Q4', '2021-01-04', 1.5, 'USD', '2021-01-05 21:00+00', '2021-02-01 00:00+00', 'me', 0)",
    "news_data": "('1', 'AAA', 'words', 'wire', null, '2021-01-05 12:00+00', 0.5, 'v', '2021-01-05 12:00+00', '2021-02-01 00:00+00', 0)",
    "quarantine": "('{}', 'why', 'f.csv', '2021-02-01 00:00+00')",
}
"""One row of each table as the first schema had it."""


def of_version(path: Path, version: int) -> None:
    """A store as the program of that schema version left it, with rows of the first version in it."""
    path.parent.mkdir(parents=True)
    con = duckdb.connect(str(path), config=SETTINGS)
    for number, script in enumerate(migrations()[:version], 1):
        for statement in con.extract_statements(script):
            con.execute(statement).fetchall()
        con.execute(f"insert into meta values ('schema_version', '{number}', now())").fetchall()
        if number == 1:
            for name, row in ROWS.items():
                con.execute(f"insert into {name} values {row}").fetchall()
            con.execute("insert into meta values ('price_basis:me', 'as_traded', now())").fetchall()
    con.close()


@pytest.mark.parametrize("version", range(1, len(migrations()) + 1))
def test_a_store_of_every_earlier_version_is_opened_with_all_that_is_in_it(tmp_path: Path, version: int) -> None:
    path = DataStorage.path_in(tmp_path)
    of_version(path, version)
    with DataStorage(path) as storage:
        view = storage.view()
        panel = view.panel()
        assert (panel.symbols, panel.close.tolist(), panel.split_ratio.tolist()) == (("AAA",), [[1.5]], [[2.0]])
        assert view.universe(panel, "u").sector_names == ("Energy",) and view.universe(panel, "u").member.all()
        assert view.benchmark("SPY") is not None
        assert view.fundamentals()["value"].to_list() == [1.5] and view.news()["headline"].to_list() == ["words"]
        assert storage.status().schema_version == len(migrations())
        assert storage.quarantine().height == 1
        storage.store_ohlc_data(bars(("BBB",)), source="me")
        storage.publish()
    with DataStorage.snapshot(tmp_path) as snapshot:
        assert snapshot.view().panel().symbols == ("AAA", "BBB")


@pytest.mark.parametrize("version", range(1, len(migrations()) + 1))
def test_a_backup_of_every_earlier_version_is_restored_and_migrated(tmp_path: Path, version: int) -> None:
    of_version(tmp_path / "old" / "backup.duckdb", version)
    path = DataStorage.path_in(tmp_path / "w")
    assert restore(tmp_path / "old" / "backup.duckdb", path)["bars"] == 1
    with DataStorage(path) as storage:
        assert storage.view().panel().symbols == ("AAA",)


def test_publishing_and_backing_up_keep_foreign_programs_out_of_the_open_database(tmp_path: Path) -> None:
    """Opening and closing the file beside DuckDB would drop DuckDB's lock on it, and a second program could write into it."""
    with DataStorage(DataStorage.path_in(tmp_path)) as storage:
        storage.store_ohlc_data(bars())
        storage.publish()
        storage.publish()
        storage.backup(tmp_path / "backup.duckdb")
        code = f"import duckdb; duckdb.connect({str(storage.path)!r}).execute('create table t (a int)').fetchall()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode != 0 and "lock" in done.stderr


def test_a_backup_drill_beside_readers(tmp_path: Path) -> None:
    """Backed up while readers have the snapshot open, restored elsewhere, the same answers: in seconds."""
    home = tmp_path / "w"
    frame = bars(tuple(f"S{n:03d}" for n in range(100)), days(count=500))
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(frame)
        storage.publish()
        with DataStorage.snapshot(home) as one, DataStorage.snapshot(home) as two:
            expected = one.view().panel().data_hash()
            began = time.perf_counter()
            backup = storage.backup(tmp_path / "backup.duckdb")
            assert two.view().panel().data_hash() == expected
            assert verify(backup)["bars"] == frame.height
            other = DataStorage.path_in(tmp_path / "elsewhere")
            restore(backup, other)
            took = time.perf_counter() - began
    with DataStorage(other) as restored:
        assert restored.view().panel().data_hash() == expected
    assert took < 20.0, "a drill of fifty thousand bars takes well under a second on a machine of its own"


def test_the_second_writer_of_the_command_line_ends_at_once_and_names_the_first(tmp_path: Path) -> None:
    with DataStorage(DataStorage.path_in(tmp_path)) as storage:
        storage.store_ohlc_data(bars())
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        code = "import time; import mech_exo.datasource.storage; from mech_exo.cli.__main__ import main; b = time.perf_counter(); print(main(['--home', {0!r}, 'data', 'publish']), time.perf_counter() - b)"
        done = subprocess.run([sys.executable, "-c", code.format(str(tmp_path))], capture_output=True, text=True, env=environment)
        answer, seconds = done.stdout.split()
        assert answer == "3" and f"process {os.getpid()}" in done.stderr and f"ps -p {os.getpid()}" in done.stderr
        assert float(seconds) < 2.0  # a tenth of that on a machine of its own


# --- differences and single symbols -----------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DataStorage]:
    with DataStorage(DataStorage.path_in(tmp_path)) as storage:
        frame = bars()
        storage.store_ohlc_data(frame, recorded_at=NOW)
        corrected = changed(frame, "AAA", days()[4], close=frame["close"][4] * 1.001)
        storage.store_ohlc_data(corrected, source="other", recorded_at=datetime(2021, 6, 10, 12, tzinfo=UTC))
        yield storage


def test_bars_of_one_symbol_are_the_panels(store: DataStorage) -> None:
    for view in (store.view(), store.view(days()[5]), store.view(recorded_by=NOW), store.view(date(2021, 6, 9))):
        panel = view.panel()
        for column, symbol in enumerate(panel.symbols):
            rows = view.bars(symbol)
            assert rows["date"].to_list() == panel.sessions[: len(rows)].tolist()
            for name in ("open", "high", "low", "close", "volume"):
                assert np.array_equal(rows[name].to_numpy(), getattr(panel, name)[: len(rows), column])
    assert store.view().bars("AAA").row(4, named=True)["version"] == 1
    assert store.view().bars(["BBB", "AAA", "BBB"], days()[2], days()[3])["symbol"].to_list() == ["AAA", "AAA", "BBB", "BBB"]
    assert store.view().bars([]).is_empty() and store.view().bars("ZZZ").is_empty()
    assert store.view().bars("ZZZ").columns == store.view().bars("AAA").columns


def test_a_difference_tells_old_and_new_and_when_it_was_known(store: DataStorage, exo: Callable[..., Ran]) -> None:
    (found,) = store.view(recorded_by=NOW).diff(store.view())
    (change,) = found.changes
    assert (found.table, found.counts, change.kind.value) == ("bars", {"restated": 1}, "restated")
    assert change.key == {"symbol": "AAA", "session": days()[4]}
    assert set(change.old) == {"close", "source"} and change.new["close"] == pytest.approx(change.old["close"] * 1.001)
    assert change.known_at == change.recorded_at == datetime(2021, 6, 10, 12, tzinfo=UTC)
    (back,) = store.view().diff(store.view(recorded_by=NOW))
    assert back.changes[0].new == change.old
    (grown,) = store.view(days()[2]).diff(store.view(days()[5]), limit=2)
    assert grown.counts == {"new": 6} and len(grown.changes) == 2
    assert store.view(days()[2]).diff(store.view(days()[5]), symbols=["ZZZ"]) == ()
    with pytest.raises(InputError, match="a table of facts is one of"):
        store.view().diff(store.view(), tables=["nothing"])
    store.publish()
    home = store.path.parents[1]
    ran = exo("--home", home, "data", "diff", "--as-of", "2021-06-09", "--as-of", "2021-06-11", "--json")
    (told,) = json.loads(ran.out)
    assert told["counts"] == {"restated": 1} and told["changes"][0]["new"]["source"] == "other"
    ran = exo("--home", home, "data", "diff", "--as-of", "2021-06-09", "--as-of", "2021-06-11")
    assert "AAA 2021-01-08" in ran.out and "2021-06-10 12:00" in ran.out
    assert exo("--home", home, "data", "diff", "--as-of", "2021-06-09").code == 2
    assert exo("--home", home, "data", "diff", "--recorded-by", "yesterday", "--recorded-by", "today").code == 2
    assert "nothing changed" in exo("--home", home, "data", "diff", "--as-of", "2022-06-09", "--as-of", "2022-06-10").out


# --- reference files as they come -------------------------------------------------------------------------------------


def test_membership_of_the_real_file_is_the_naive_models(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    source = shared("data/reference/sp500_ticker_start_end.csv")
    spans = [
        (row["ticker"], date.fromisoformat(row["start_date"]), date.fromisoformat(row["end_date"]) if row["end_date"] else None)
        for row in csv.DictReader(source.read_text().splitlines())
    ]
    symbols = sorted({symbol for symbol, _, _ in spans})[::9]
    sessions = calendar.sessions(date(2007, 1, 3), date(2009, 12, 31)).tolist()
    with DataStorage(DataStorage.path_in(tmp_path)) as storage:
        run_import(storage, ImportRequest(universe=source))
        storage.store_ohlc_data(bars(tuple(symbols), sessions))
        for view in (storage.view(), storage.view(date(2008, 9, 15))):
            panel = view.panel()
            member = view.universe(panel, "sp500").member
            for row in range(0, panel.shape[0], 40):
                day = panel.sessions[row].item()
                expected = [any(s == symbol and start <= day and (end is None or day < end) for s, start, end in spans) for symbol in panel.symbols]
                assert member[row].tolist() == expected, day


@pytest.mark.parametrize("name", ["sp500_sectors_2016.csv", "sp500_constituents_current.csv"])
def test_the_sector_files_work_as_they_are(tmp_path: Path, shared: Callable[[str], Path], name: str) -> None:
    rows = pl.read_csv(shared(f"data/reference/{name}"), infer_schema=False)
    column = {text.lower().replace(" ", "_"): text for text in rows.columns}
    ticker = next(column[alias] for alias in ("symbol", "ticker", "ticker_symbol") if alias in column)
    sector = next(column[alias] for alias in ("sector", "gics_sector") if alias in column)
    with DataStorage(DataStorage.path_in(tmp_path)) as storage:
        (summary,) = run_import(storage, ImportRequest(sectors=shared(f"data/reference/{name}"))).facts
        assert summary.new == rows.height
        storage.store_ohlc_data(bars(tuple(rows[ticker].head(50))))
        panel = storage.view().panel()
        found = storage.view().universe(panel, None)
        told = dict(zip(rows[ticker], rows[sector], strict=True))
        assert [found.sector_names[code] for code in found.sector[0]] == [told[symbol] for symbol in panel.symbols]
        assert found.backfilled
