"""Files as the world writes them: names, types, endings, faults; and the real ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource.importer import ImportRequest, read_table, run_import, source_of
from mech_exo.datasource.inspection import Reason
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel, PriceBasis
from tests.datasource.market import bars, changed, days


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DataStorage]:
    with DataStorage(DataStorage.path_in(tmp_path / "w")) as storage:
        yield storage


def written(path: Path, frame: pl.DataFrame) -> Path:
    text = frame.write_csv()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_every_kind_of_file_gives_the_same_panel(store: DataStorage, tmp_path: Path, ending: str) -> None:
    frame = bars()
    report = run_import(store, ImportRequest(bars=(written(tmp_path / f"My.Prices.{ending}", frame),)))
    assert (report.bars[0].source, report.bars[0].file, report.bars[0].new) == ("my.prices", f"My.Prices.{ending}", 20)
    with DataStorage.snapshot(tmp_path / "w") as snapshot:
        assert snapshot.path.stem == report.snapshot
        assert snapshot.view().panel().data_hash() == BarPanel.from_frame(frame).data_hash()


def test_usual_spellings_are_understood(store: DataStorage, tmp_path: Path) -> None:
    frame = bars().with_columns(pl.lit(0.0).alias("Ex-Dividend"), pl.lit(0.0).alias("Stock Splits"), pl.col("close").alias("Adj Close"))
    names = {"symbol": "Ticker", "date": "Date", "open": "Open", "high": "HIGH", "low": " Low ", "close": "Close", "volume": "Vol"}
    frame = changed(frame, "AAA", days()[3], **{"Ex-Dividend": 0.4}).rename(names)
    frame = frame.with_columns(pl.col("Date").cast(pl.String) + " 00:00:00-05:00")
    report = run_import(store, ImportRequest(bars=(written(tmp_path / "x.csv", frame),)))
    assert (report.bars[0].new, report.bars[0].actions, report.attention) == (20, 1, ())
    assert store.view().panel().dividend[3, 0] == 0.4


def test_two_columns_for_one_name_are_not_guessed_between(store: DataStorage, tmp_path: Path) -> None:
    frame = bars().rename({"symbol": "Ticker"}).with_columns(pl.lit("X").alias("sym"))
    with pytest.raises(InputError, match="one column may hold symbol; Ticker, sym"):
        run_import(store, ImportRequest(bars=(written(tmp_path / "x.csv", frame),)))


def test_whole_numbers_as_dates(store: DataStorage) -> None:
    frame = bars().with_columns(pl.col("date").dt.strftime("%Y%m%d").cast(pl.Int64))
    assert store.store_ohlc_data(frame).last == days()[-1]


UNUSABLE = {
    "header alone": (bars().clear(), "at least one row"),
    "missing column": (bars().drop("close"), "missing: close"),
    "text for prices": (bars().with_columns(close=pl.lit("n.v.")), Reason.UNREADABLE.value),
    "foreign dates": (bars().with_columns(date=pl.lit("31/12/2020")), "YYYY-MM-DD"),
    "all NaN": (bars().with_columns(open=None, high=None, low=None, close=None), Reason.NO_PRICE.value),
    "all in the future": (bars(sessions=days(date(2040, 1, 2))), Reason.FUTURE.value),
    "no sessions": (bars(sessions=[date(2021, 1, 9), date(2021, 1, 10)]), Reason.SESSION.value),
    "small letters": (bars(("aapl",)), "capitals"),
    "contradictions only": (pl.concat([bars(seed=1), bars(seed=2)]), Reason.CONFLICT.value),
}


@pytest.mark.parametrize("fault", UNUSABLE)
def test_an_unusable_file_is_refused_and_nothing_stored_is_lost(store: DataStorage, tmp_path: Path, fault: str) -> None:
    store.store_ohlc_data(bars(("OLD",)))
    before = store.view().panel().data_hash()
    frame, message = UNUSABLE[fault]
    with pytest.raises(InputError, match=r"^x\.csv: ") as caught:
        run_import(store, ImportRequest(bars=(written(tmp_path / "x.csv", frame),)))
    assert message in str(caught.value) and caught.value.remedy
    assert store.view().panel().data_hash() == before
    assert not store.status().quarantined


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "must not be empty"),
        ("blank.csv", b"\n\n", "cannot be read|need the columns"),
        ("torn.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("torn.csv.gz", gzip.compress(bars().write_csv().encode())[:-40], "cannot be read as CSV"),
        ("prices.xlsx", b"PK", "bars come in .csv, .csv.gz, .parquet"),
        ("none.csv", None, "must exist"),
    ],
)
def test_a_file_that_is_none_is_refused(store: DataStorage, tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        run_import(store, ImportRequest(bars=(tmp_path / name,)))


def test_bad_rows_go_to_quarantine_as_they_stood_and_once(store: DataStorage, tmp_path: Path) -> None:
    frame = changed(changed(bars(), "AAA", days()[2], open=0.0), "BBB", days()[4], high=1.0).with_columns(pl.col("open").cast(pl.String))
    frame = changed(frame, "BBB", days()[6], open="about 50")
    path = written(tmp_path / "x.csv", frame)
    for _ in range(2):
        report = run_import(store, ImportRequest(bars=(path,)))
        assert report.bars[0].quarantined == {Reason.PRICE: 1, Reason.RANGE: 1, Reason.UNREADABLE: 1}
    rows = store.quarantine()
    assert rows.height == 3 and set(rows["file"]) == {"x.csv"}
    told = {reason: json.loads(row) for row, reason in rows.select("row", "reason").iter_rows()}
    assert told[Reason.UNREADABLE]["open"] == "about 50" and told[Reason.UNREADABLE]["symbol"] == "BBB"
    panel = store.view().panel()
    assert np.argwhere(np.isnan(panel.close)).tolist() == [[2, 0], [4, 1], [6, 1]]


def attention(store: DataStorage, frame: pl.DataFrame) -> str:
    return "\n".join(store.store_ohlc_data(frame).attention)


def test_faults_of_the_file_want_attention_and_bad_ticks_do_not(store: DataStorage) -> None:
    frame = bars()
    assert attention(store, changed(frame, "AAA", days()[2], open=0.0)) == ""
    assert "identical rows" in attention(store, pl.concat([frame, frame]))
    lost = pl.concat([frame, bars(("NAN",)).with_columns(close=None)], how="diagonal_relaxed")
    assert "NAN" in attention(store, lost) and "usable bar" in attention(store, lost)
    late = pl.concat([frame, bars(("AAA",), days(date(2040, 1, 2), 1))])
    assert Reason.FUTURE in attention(store, late) and "AAA" in attention(store, late)
    assert Reason.CONFLICT in attention(store, pl.concat([frame, bars(("AAA",), days(count=1), seed=9)]))


def test_a_single_bar_wants_attention_only_when_it_is_all_there_is(store: DataStorage) -> None:
    one = bars(("ONE",), days(count=1))
    assert "at least two bars; ONE" in attention(store, one)
    assert attention(store, bars(("ONE",), days()[1:2])) == ""
    mixed = store.store_ohlc_data(pl.concat([bars(), bars(("TWO",), days(count=1))]))
    assert mixed.attention == () and any("TWO" in text for text in mixed.notices)


def test_files_before_a_bad_one_stay_and_are_published(store: DataStorage, tmp_path: Path) -> None:
    good, bad = written(tmp_path / "good.csv", bars()), tmp_path / "bad.csv"
    bad.write_text("symbol\n")
    with pytest.raises(InputError, match=r"bad\.csv"):
        run_import(store, ImportRequest(bars=(good, bad)))
    with DataStorage.snapshot(tmp_path / "w") as snapshot:
        assert snapshot.status().bars == 20


def test_nothing_to_import_is_said(store: DataStorage) -> None:
    with pytest.raises(InputError, match="at least one file"):
        run_import(store, ImportRequest())


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            pl.DataFrame({"ticker": ["A", "A"], "start_date": ["2001-01-01", "2001-01-01"], "end_date": ["2002-01-01", "2003-01-01"]}),
            "contradict",
        ),
        (pl.DataFrame({"ticker": ["A"], "start_date": ["2001-01-02"], "end_date": ["2001-01-02"]}), "end after it starts"),
        (pl.DataFrame({"ticker": ["A"], "start_date": ["1/2/2001"]}), "YYYY-MM-DD"),
        (pl.DataFrame({"name": ["A"]}), "missing: symbol"),
        (pl.DataFrame({"symbol": [""]}, schema={"symbol": pl.String}), "every row needs a symbol"),
    ],
)
def test_a_bad_universe_is_refused_whole(store: DataStorage, tmp_path: Path, frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_import(store, ImportRequest(universe=written(tmp_path / "u.csv", frame)))
    assert store.status().universes == {}


def test_source_names_come_from_files() -> None:
    assert [source_of(Path(name)) for name in ("/x/A.b.CSV.gz", "prices.parquet")] == ["a.b", "prices"]


# --- the real files -----------------------------------------------------------------------------------------------------


def test_the_raw_panel_and_the_golden_split(store: DataStorage, shared: Callable[[str], Path]) -> None:
    raw = shared("data/prices/us_top1500_raw_2015_2016.parquet")
    report = run_import(store, ImportRequest(bars=(raw, shared("data/prices/quandl_wiki_sample_2014.csv.gz"))))
    assert (report.bars[0].rows, report.bars[0].new, report.bars[0].symbols) == (536_591, 536_591, 1_473)
    assert report.attention == ()
    panel = store.view(date(2014, 12, 31)).panel()
    assert panel.symbols == ("AAPL", "BRK_A", "MSFT", "ZEN")
    row = panel.row_of(date(2014, 6, 9))
    assert np.argwhere(panel.split_ratio != 1.0).tolist() == [[row, 0]] and panel.split_ratio[row, 0] == 7.0
    assert panel.close[row - 1, 0] == 645.57 and (panel.dividend[:, 0] > 0).sum() == 4


def test_the_real_panel_with_members_sectors_and_benchmark(store: DataStorage, shared: Callable[[str], Path], tmp_path: Path) -> None:
    path = shared("data/prices/us_sp500_members_2003_2016.parquet")
    request = ImportRequest(
        bars=(path,),
        price_basis=PriceBasis.SPLIT_ADJUSTED,
        sectors=shared("data/reference/sp500_sectors_2016.csv"),
        universe=shared("data/reference/sp500_ticker_start_end.csv"),
        benchmark=shared("data/prices/zipline_SPY_benchmark_returns.csv.gz"),
    )
    report = run_import(store, request)
    bars_, (sectors, universe, benchmark) = report.bars[0], report.facts
    assert (bars_.rows, bars_.symbols, report.attention) == (1_762_212, 582, ())
    assert bars_.new + sum(bars_.quarantined.values()) == bars_.rows
    assert bars_.quarantined[Reason.PRICE] == 1_980
    assert (sectors.new, universe.new, benchmark.new) == (505, 1_230, 6_357)
    again = run_import(store, request)
    assert again.snapshot == report.snapshot and not again.bars[0].changed and not any(fact.changed for fact in again.facts)
    with DataStorage.snapshot(tmp_path / "w") as snapshot:
        view = snapshot.view(date(2015, 12, 31))
        panel = view.panel(start=date(2003, 1, 2))
        assert panel.shape[0] == len(np.unique(panel.sessions)) == 3_273 and panel.price_basis is PriceBasis.SPLIT_ADJUSTED
        members = view.universe(panel, "sp500")
        assert members.backfilled and len(members.sector_names) == 11
        row, column = panel.row_of(date(2010, 1, 4)), panel.column_of("AMD")
        assert members.member[row, column] and not members.member[panel.row_of(date(2014, 1, 2)), column]
        assert 370 <= members.member[row].sum() <= 500
        source = read_table(path).filter((pl.col("symbol") == "AMD") & (pl.col("date") == date(2010, 1, 4)))
        assert panel.close[row, column] == float(source["close"][0])
        spy = view.benchmark("SPY")
        assert spy is not None and spy["date"][-1] == date(2015, 12, 31)
        assert any("split-adjusted" in text for text in view.warnings())
