"""The store: versions, cuts, views, snapshots, locks, backups.

Long because every promise of one store is read beside the others: they share its rows and fixtures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from mech_exo.datasource.storage import DataStorage
from mech_exo.datasource.storage.connection import SETTINGS, migrations
from mech_exo.datasource.storage.panel_files import intact
from mech_exo.datasource.storage.publish import KEEP, restore, verify
from mech_exo.domain.errors import InputError, MissingDataError, StoreError
from mech_exo.domain.panel import BAR_FIELDS, BarPanel, PriceBasis
from mech_exo.utils import calendar
from tests.datasource.market import NOW, bars, changed, days

DAY = timedelta(days=1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "w"


@pytest.fixture
def store(home: Path) -> Iterator[DataStorage]:
    with DataStorage(DataStorage.path_in(home)) as storage:
        yield storage


def everything(path: Path) -> dict[str, list[dict[str, object]]]:
    """Every fact of the database with its clocks, read by DuckDB alone."""
    con = duckdb.connect(str(path), read_only=True, config=SETTINGS)
    names = ("bars", "corporate_actions", "sectors", "universe", "benchmarks", "data_quality", "quarantine")
    rows = {name: con.sql(f"select * from {name} order by all").to_arrow_table().to_pylist() for name in names}
    con.close()
    return rows


def same(left: BarPanel, right: BarPanel) -> bool:
    return left.data_hash() == right.data_hash()


# --- bars -------------------------------------------------------------------------------------------------------------


def test_what_is_stored_comes_back_to_the_bit(store: DataStorage) -> None:
    frame = bars(("B", "A", "C"), days(count=30))
    summary = store.store_ohlc_data(frame, recorded_at=NOW)
    assert (summary.rows, summary.new, summary.restated, summary.unchanged, summary.symbols) == (90, 90, 0, 0, 3)
    assert (summary.first, summary.last) == (days(count=30)[0], days(count=30)[-1])
    assert same(store.view().panel(), BarPanel.from_frame(frame))


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "arrow"])
def test_any_frame_will_do(store: DataStorage, kind: str) -> None:
    frame = bars()
    made = {"polars": lambda: frame, "lazy": frame.lazy, "pandas": frame.to_pandas, "arrow": frame.to_arrow}[kind]()
    assert store.store_ohlc_data(made).new == frame.height
    assert same(store.view().panel(), BarPanel.from_frame(frame))


def test_float32_prices_and_categorical_symbols_are_taken_exactly(store: DataStorage) -> None:
    prices = ["open", "high", "low", "close"]
    frame = bars().with_columns(pl.col(prices).cast(pl.Float32), pl.col("symbol").cast(pl.Categorical))
    store.store_ohlc_data(frame)
    panel = store.view().panel()
    assert np.array_equal(panel.close[:, 0], frame["close"].to_numpy()[:10].astype(np.float64))


def test_storing_twice_changes_nothing(store: DataStorage) -> None:
    frame = changed(bars(), "AAA", days()[3], open=0.0).with_columns(
        dividend=pl.when(pl.col("date") == days()[2]).then(0.5).otherwise(0.0), sector=pl.lit("Energy")
    )
    store.store_ohlc_data(frame, recorded_at=NOW)
    first = store.publish()
    before = everything(first.path)
    again = store.store_ohlc_data(frame, recorded_at=NOW + DAY)
    assert (again.new, again.restated, again.unchanged, again.actions, again.sectors) == (0, 0, 19, 0, 0)
    assert not again.changed
    second = store.publish()
    assert (second.hash, second.fresh) == (first.hash, False)
    assert everything(second.path) == before


def test_a_restated_value_is_known_when_first_seen(store: DataStorage) -> None:
    day = days()[4]
    frame = bars()
    store.store_ohlc_data(frame, recorded_at=NOW)
    corrected = changed(frame, "AAA", day, close=frame["close"][4] * 1.001)
    later = datetime(2021, 6, 10, 20, tzinfo=UTC)
    summary = store.store_ohlc_data(corrected, recorded_at=later)
    assert (summary.new, summary.restated, summary.unchanged) == (0, 1, 19)
    old, new = BarPanel.from_frame(frame), BarPanel.from_frame(corrected)
    assert same(store.view().panel(), new)
    last = days()[-1]
    assert same(store.view(last).panel(), old)
    assert store.view(date(2021, 6, 9)).panel().close[4, 0] == old.close[4, 0]
    assert store.view(date(2021, 6, 10)).panel().close[4, 0] == new.close[4, 0]  # seen at the very close: known at it
    assert same(store.view(recorded_by=NOW).panel(), old)
    assert same(store.view(recorded_by=later).panel(), new)


def test_a_first_seen_bar_is_known_at_its_own_close_however_late_it_is_stored(store: DataStorage) -> None:
    frame = bars()
    store.store_ohlc_data(frame, recorded_at=NOW)
    cut = store.view(days()[5]).panel()
    assert same(cut, BarPanel.from_frame(frame.filter(pl.col("date") <= days()[5])))
    with pytest.raises(MissingDataError):
        store.view(days()[5], recorded_by=NOW - DAY).panel()


def test_an_absent_value_does_not_take_back_a_stored_one(store: DataStorage) -> None:
    frame = bars()
    store.store_ohlc_data(frame)
    store.store_ohlc_data(frame.filter(pl.col("symbol") == "BBB").head(2))
    assert same(store.view().panel(), BarPanel.from_frame(frame))


def test_recording_time_never_runs_backwards(store: DataStorage) -> None:
    store.store_ohlc_data(bars(), recorded_at=NOW)
    with pytest.raises(InputError, match="must not be before what is stored"):
        store.store_ohlc_data(bars(("CCC",)), recorded_at=NOW - DAY)
    with pytest.raises(InputError, match="time zone"):
        store.store_ohlc_data(bars(("CCC",)), recorded_at=datetime(2022, 1, 1))  # noqa: DTZ001


def test_a_failed_import_leaves_the_store_as_it_was(store: DataStorage) -> None:
    store.store_ohlc_data(bars(), source="one")
    before = store.view().panel().data_hash()
    with pytest.raises(InputError, match="one price basis"):
        store.store_ohlc_data(bars(("CCC",)), source="one", price_basis="split_adjusted")
    assert store.view().panel().data_hash() == before
    assert store.status().bars == 20


# --- views ------------------------------------------------------------------------------------------------------------


def test_rows_are_the_exchanges_sessions_and_gaps_are_nan(store: DataStorage) -> None:
    sessions = days(count=10)
    frame = bars().filter(~pl.col("date").is_in(sessions[3:5]))
    store.store_ohlc_data(frame)
    panel = store.view(sessions[-1] + 3 * DAY).panel()
    assert panel.sessions.tolist() == calendar.sessions(sessions[0], sessions[-1] + 3 * DAY).tolist()
    assert np.isnan(panel.close[3:5]).all() and np.isnan(panel.volume[3:5]).all()
    assert not np.isnan(panel.close[[2, 5]]).any()


def test_a_store_that_is_behind_shows_rows_without_bars(store: DataStorage) -> None:
    store.store_ohlc_data(bars())
    store.publish()
    later = calendar.next_session(calendar.next_session(days()[-1]))
    with DataStorage.snapshot(store.path.parent.parent) as snapshot:
        for storage in (store, snapshot):
            panel = storage.view(later).panel()
            assert panel.shape == (12, 2)
            assert np.isnan(panel.close[10:]).all()
            assert not np.isnan(panel.close[9]).any()


def test_a_day_without_trading_looks_back_to_the_session_before(store: DataStorage) -> None:
    store.store_ohlc_data(bars())
    friday = date(2021, 1, 8)
    view = store.view(friday + DAY)
    assert view.as_of == friday
    assert same(view.panel(), store.view(friday).panel())


def test_start_and_symbols_select(store: DataStorage) -> None:
    frame = bars(("AAA", "BBB", "CCC")).filter(~((pl.col("symbol") == "BBB") & (pl.col("date") > days()[3])))
    store.store_ohlc_data(frame)
    assert store.view().panel(start=days()[5]).symbols == ("AAA", "CCC")
    assert store.view().panel(symbols=["CCC"]).symbols == ("CCC",)
    with pytest.raises(InputError, match="CCC"):
        store.view().panel(symbols=["CCD"])


def test_an_empty_store_says_how_to_fill_it(store: DataStorage) -> None:
    with pytest.raises(MissingDataError, match="exo data import"):
        store.view().panel()
    store.store_ohlc_data(bars())
    with pytest.raises(MissingDataError):
        store.view(date(2020, 1, 2)).panel()
    with pytest.raises(MissingDataError):
        store.view().panel(start=date(2021, 3, 1))


def test_splits_dividends_and_delistings_reach_the_panel(store: DataStorage) -> None:
    sessions = days()
    frame = bars().with_columns(
        split_ratio=pl.when((pl.col("symbol") == "AAA") & (pl.col("date") == sessions[4])).then(2.0).otherwise(1.0),
        dividend=pl.when((pl.col("symbol") == "BBB") & (pl.col("date") == sessions[6])).then(0.25).otherwise(0.0),
    )
    frame = frame.filter(~((pl.col("symbol") == "BBB") & (pl.col("date") > sessions[7])))
    assert store.store_ohlc_data(frame).actions == 2
    store.store_corporate_actions(pl.DataFrame({"symbol": ["BBB"], "date": [sessions[8]], "kind": ["delisting"], "value": [12.5]}))
    panel = store.view().panel()
    assert np.argwhere(panel.split_ratio != 1.0).tolist() == [[4, 0]] and panel.split_ratio[4, 0] == 2.0
    assert np.argwhere(panel.dividend != 0.0).tolist() == [[6, 1]] and panel.dividend[6, 1] == 0.25
    assert panel.delisted.tolist() == [10, 8]
    assert np.isnan(panel.delisting_value[0]) and panel.delisting_value[1] == 12.5
    assert store.view(sessions[7]).panel().delisted.tolist() == [8, 8]
    assert store.view(sessions[3]).panel().has_actions is False


def test_a_source_may_take_a_dividend_back(store: DataStorage) -> None:
    frame = bars().with_columns(dividend=pl.when(pl.col("date") == days()[2]).then(0.5).otherwise(0.0))
    store.store_ohlc_data(frame, recorded_at=NOW)
    store.store_ohlc_data(frame.with_columns(dividend=pl.lit(0.0)), recorded_at=NOW + DAY)
    assert not store.view().panel().has_actions
    assert store.view(recorded_by=NOW).panel().has_actions


def test_the_price_basis_is_that_of_the_visible_sources(store: DataStorage) -> None:
    store.store_ohlc_data(bars(("AAA",)), source="raw")
    assert store.view().panel().price_basis is PriceBasis.AS_TRADED
    later = days(date(2021, 3, 1))
    store.store_ohlc_data(bars(("BBB",), later), source="adjusted", price_basis="split_adjusted")
    assert store.view().panel().price_basis is PriceBasis.SPLIT_ADJUSTED
    assert store.view(days()[-1]).panel().price_basis is PriceBasis.AS_TRADED
    assert any("mixed" in text for text in store.view().warnings())
    assert not store.view(days()[-1]).warnings()


def test_splits_of_a_split_adjusted_source_are_not_applied_twice(store: DataStorage) -> None:
    frame = bars().with_columns(split_ratio=pl.when(pl.col("date") == days()[4]).then(2.0).otherwise(1.0))
    summary = store.store_ohlc_data(frame, price_basis="split_adjusted")
    assert summary.actions == 0 and any("splits were not stored" in text for text in summary.notices)
    assert not store.view().panel().has_actions


def test_the_label_is_said(store: DataStorage) -> None:
    store.store_ohlc_data(bars())
    assert store.view().panel().label == ""
    store.set_label("synthetic sample")
    assert store.view().panel().label == "synthetic sample"
    assert "synthetic sample" in store.view().warnings()


# --- universe, sectors, benchmark, fundamentals, news ------------------------------------------------------------------


def test_membership_is_that_of_each_session(store: DataStorage) -> None:
    sessions = days()
    store.store_ohlc_data(bars(("AAA", "BBB", "CCC")))
    rows = {
        "ticker": ["AAA", "BBB", "BBB"],
        "start_date": [date(1999, 1, 1), sessions[2], sessions[7]],
        "end_date": [None, sessions[5], None],
    }
    store.store_universe(pl.DataFrame(rows), name="sp500")
    panel = store.view().panel()
    member = store.view().universe(panel, "sp500").member
    assert member[:, 0].all() and not member[:, 2].any()
    assert member[:, 1].tolist() == [row in (2, 3, 4, 7, 8, 9) for row in range(10)]
    assert store.view().universe(panel, None).member.all()
    with pytest.raises(MissingDataError, match="sp500"):
        store.view().universe(panel, "sp600")


def test_the_end_of_an_open_membership_is_news_of_its_day_and_a_moved_end_a_restatement(store: DataStorage) -> None:
    sessions = days()
    store.store_ohlc_data(bars(), recorded_at=NOW)
    store.store_universe(pl.DataFrame({"symbol": ["AAA"], "start": [sessions[1]], "end": [None]}), name="u", recorded_at=NOW)
    store.store_universe(pl.DataFrame({"symbol": ["AAA"], "start": [sessions[1]], "end": [sessions[6]]}), name="u", recorded_at=NOW + DAY)
    panel = store.view().panel()
    assert store.view().universe(panel, "u").member[:, 0].tolist() == [1 <= row < 6 for row in range(10)]
    assert store.view(recorded_by=NOW).universe(panel, "u").member[:, 0].tolist() == [row >= 1 for row in range(10)]
    store.store_universe(
        pl.DataFrame({"symbol": ["AAA"], "start": [sessions[1]], "end": [sessions[3]]}), name="u", recorded_at=NOW + 2 * DAY
    )
    assert store.view().universe(panel, "u").member[:, 0].tolist() == [1 <= row < 6 for row in range(10)]


def test_undated_sectors_hold_always_and_are_flagged_dated_ones_from_their_day(store: DataStorage) -> None:
    sessions = days()
    store.store_ohlc_data(bars(("AAA", "BBB", "CCC")), recorded_at=NOW)
    store.store_sectors(
        pl.DataFrame({"Ticker Symbol": ["AAA", "BBB", "ZZZ"], "GICS Sector": ["Energy", "Utilities", "Materials"]}), recorded_at=NOW
    )
    panel = store.view().panel()
    first = store.view().universe(panel, None)
    assert first.backfilled and first.sector_names == ("Energy", "Utilities")
    assert (first.sector == [[0, 1, -1]]).all()
    dated = pl.DataFrame({"symbol": ["AAA"], "sector": ["Materials"], "valid_from": [sessions[4]]})
    store.store_sectors(dated, recorded_at=NOW + DAY)
    second = store.view().universe(panel, None)
    names = np.array([*second.sector_names, "unknown"])
    assert names[second.sector[:, 0]].tolist() == ["Energy"] * 4 + ["Materials"] * 6
    corrected = pl.DataFrame({"symbol": ["AAA"], "sector": ["Financials"], "valid_from": [sessions[4]]})
    store.store_sectors(corrected, recorded_at=NOW + 2 * DAY)
    assert store.view().universe(panel, None).data_hash() == second.data_hash()  # seen in June: says nothing about January
    assert any("backfilled" in text for text in store.view().warnings())


def test_a_correction_shows_from_the_close_at_which_it_was_seen(store: DataStorage) -> None:
    sessions = calendar.sessions(days()[0], date(2021, 6, 30)).tolist()
    early, late, corrected = datetime(2021, 1, 5, tzinfo=UTC), datetime(2021, 7, 1, tzinfo=UTC), datetime(2021, 6, 1, 21, tzinfo=UTC)
    store.store_sectors(pl.DataFrame({"symbol": ["AAA"], "sector": ["Energy"]}), recorded_at=early)
    store.store_universe(pl.DataFrame({"symbol": ["AAA"], "start": [sessions[1]], "end": [sessions[6]]}), name="u", recorded_at=early)
    store.store_sectors(pl.DataFrame({"symbol": ["AAA"], "sector": ["Materials"]}), recorded_at=corrected)
    store.store_universe(pl.DataFrame({"symbol": ["AAA"], "start": [sessions[1]], "end": [None]}), name="u", recorded_at=corrected)
    store.store_ohlc_data(bars(("AAA",), sessions), recorded_at=late)
    panel = store.view().panel()
    found = store.view().universe(panel, "u")
    seen = sessions.index(date(2021, 6, 2))  # an hour after the close of the 1st
    assert [found.sector_names[code] for code in found.sector[:, 0]] == ["Energy"] * seen + ["Materials"] * (len(sessions) - seen)
    assert found.member[:, 0].tolist() == [1 <= row < 6 or row >= seen for row in range(len(sessions))]


def test_a_benchmark_is_cut_and_closes_become_returns(store: DataStorage) -> None:
    sessions = days()
    store.store_benchmark(pl.DataFrame({"date": sessions, "close": [100.0 + row for row in range(10)]}), name="IDX")
    found = store.view(sessions[3]).benchmark("IDX")
    assert found is not None and found["date"].to_list() == sessions[1:4]
    assert found["return"].to_list() == [101.0 / 100.0 - 1.0, 102.0 / 101.0 - 1.0, 103.0 / 102.0 - 1.0]
    assert store.view().benchmark("SPY") is None
    with pytest.raises(InputError, match="above -1"):
        store.store_benchmark(pl.DataFrame({"date": sessions[:1], "return": [-2.0]}), name="BAD")


def test_a_filing_with_a_date_alone_is_usable_from_the_next_sessions_close(store: DataStorage) -> None:
    friday, monday = date(2021, 1, 8), date(2021, 1, 11)
    facts = {
        "symbol": ["AAA"],
        "metric": ["eps"],
        "period_end": [date(2020, 12, 31)],
        "fiscal_period": ["Q4"],
        "value": [1.5],
        "unit": ["USD"],
    }
    store.store_fundamentals(pl.DataFrame({**facts, "filed": [friday]}), source="edgar")
    assert store.view(friday).fundamentals().is_empty()
    assert store.view(monday).fundamentals()["value"].to_list() == [1.5]
    assert store.view(monday).fundamentals(["BBB"]).is_empty()


def test_news_is_known_when_published_and_stored_once(store: DataStorage) -> None:
    at = datetime(2021, 1, 5, 22, tzinfo=UTC)
    news = pl.DataFrame({"symbol": ["AAA"], "published": [at], "headline": ["AAA buys BBB"], "source": ["wire"]})
    assert store.store_news(news).new == 1
    assert store.store_news(news).unchanged == 1
    assert store.view(date(2021, 1, 5)).news().is_empty()
    assert store.view(date(2021, 1, 6)).news()["headline"].to_list() == ["AAA buys BBB"]
    with pytest.raises(InputError, match="time zone"):
        store.store_news(news.with_columns(pl.col("published").dt.replace_time_zone(None)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"symbol": "AAA", "date": date(2021, 1, 5), "kind": "split", "value": 0.0}, "split"),
        ({"symbol": "AAA", "date": date(2021, 1, 5), "kind": "dividend", "value": -1.0}, "dividend"),
        ({"symbol": "AAA", "date": date(2021, 1, 5), "kind": "dividend", "value": float("nan")}, "dividend"),
        ({"symbol": "AAA", "date": date(2021, 1, 5), "kind": "merger", "value": 1.0}, "merger"),
    ],
)
def test_a_bad_action_is_refused(store: DataStorage, row: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        store.store_corporate_actions(pl.DataFrame([row]))


# --- ohlc_data --------------------------------------------------------------------------------------------------------


def test_ohlc_data_has_returns_volatility_and_atr_of_the_current_bars(store: DataStorage) -> None:
    sessions = days(count=40)
    frame = bars(("AAA", "BBB"), sessions).with_columns(
        split_ratio=pl.when((pl.col("symbol") == "AAA") & (pl.col("date") == sessions[25])).then(2.0).otherwise(1.0)
    )
    store.store_ohlc_data(frame)
    frame = changed(frame, "AAA", sessions[30], close=frame["close"][30] * 1.002)
    store.store_ohlc_data(frame)
    path = store.publish().path
    con = duckdb.connect(str(path), read_only=True, config=SETTINGS)
    rows = con.sql("select returns, volatility, atr from ohlc_data where symbol = 'AAA' order by date").to_arrow_table()
    con.close()
    found = {name: rows[name].to_numpy().astype(float) for name in ("returns", "volatility", "atr")}
    high, low, close = (frame[name].to_numpy()[:40] for name in ("high", "low", "close"))
    before = np.r_[np.nan, close[:-1] / np.where(np.arange(1, 40) == 25, 2.0, 1.0)]
    returns = close / before - 1.0
    span = np.fmax(high, before) - np.fmin(low, before)
    np.testing.assert_allclose(found["returns"][1:], returns[1:], rtol=1e-12)
    assert np.isnan(found["volatility"][:20]).all() and np.isnan(found["atr"][:14]).all()
    np.testing.assert_allclose(found["volatility"][20:], [returns[row - 19 : row + 1].std(ddof=1) for row in range(20, 40)], rtol=1e-10)
    np.testing.assert_allclose(found["atr"][14:], [span[row - 13 : row + 1].mean() for row in range(14, 40)], rtol=1e-10)


# --- snapshots, locks, backups -------------------------------------------------------------------------------------------


def test_a_snapshot_serves_what_the_store_serves_and_never_changes(store: DataStorage, home: Path) -> None:
    store.store_ohlc_data(bars())
    with pytest.raises(MissingDataError, match="exo data publish"):
        DataStorage.snapshot(home)
    store.publish()
    old = DataStorage.snapshot(home)
    before = old.view().panel()
    assert same(before, store.view().panel())
    assert not before.close.flags.writeable
    store.store_ohlc_data(bars(("CCC",)))
    store.publish()
    new = DataStorage.snapshot(home)
    assert new.view().panel().symbols == ("AAA", "BBB", "CCC")
    assert same(old.view().panel(), before)
    with pytest.raises(StoreError, match="read-only"):
        new.store_ohlc_data(bars())
    old.close()
    new.close()


def test_the_arrays_beside_a_snapshot_answer_every_cut_as_the_store_does(store: DataStorage, home: Path) -> None:
    frame = bars(("AAA", "BBB", "CCC")).filter(~((pl.col("symbol") == "CCC") & (pl.col("date") < days()[5])))
    store.store_ohlc_data(frame, recorded_at=NOW)
    restated = changed(frame, "BBB", days()[2], volume=1.0)
    store.store_ohlc_data(restated, recorded_at=NOW + DAY)
    store.store_ohlc_data(bars(("AAA", "DDD"), days(date(2021, 6, 3), 3)), recorded_at=NOW + 30 * DAY)
    store.publish()
    with DataStorage.snapshot(home) as snapshot:
        assert snapshot.view()._grid() is not None
        for as_of in (None, *days()[4:], date(2021, 6, 1), date(2021, 6, 2), date(2021, 6, 3), date(2021, 6, 7)):
            for recorded_by in (None, NOW, NOW + DAY, NOW + 30 * DAY):
                for start in (None, days()[4]):
                    mapped = snapshot.view(as_of, recorded_by=recorded_by).panel(start=start)
                    queried = store.view(as_of, recorded_by=recorded_by).panel(start=start)
                    assert same(mapped, queried), (as_of, recorded_by, start)
        volume = snapshot.view(date(2021, 6, 1)).panel().volume[2, 1]
        assert volume == frame.filter(pl.col("symbol") == "BBB")["volume"][2]
        assert snapshot.view(date(2021, 6, 3)).panel().volume[2, 1] == 1.0


def test_the_arrays_are_really_used_and_without_them_the_answer_is_the_same(
    store: DataStorage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.store_ohlc_data(bars())
    folder = store.publish().path.with_suffix(".panel")
    with DataStorage.snapshot(home) as snapshot:
        with monkeypatch.context() as patch:  # the query is not needed
            patch.delattr("mech_exo.datasource.storage.view.query_grid")
            expected = snapshot.view().panel().data_hash()
        for file in folder.iterdir():
            file.unlink()
        assert snapshot.view().panel().data_hash() == expected


def test_arrays_that_were_changed_are_not_believed_and_publishing_mends_them(
    store: DataStorage, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.store_ohlc_data(bars())
    folder = store.publish().path.with_suffix(".panel")
    expected = store.view().panel().data_hash()
    np.save(folder / "close.npy", np.load(folder / "close.npy") * 2.0)
    with DataStorage.snapshot(home) as snapshot:
        assert snapshot.view().panel().data_hash() == expected
    assert "exo data publish" in caplog.text
    assert store.publish().fresh and intact(folder)
    assert not store.publish().fresh


def base_files(snapshot: Path) -> list[int]:
    """The inodes of the arrays beside ``snapshot``: two with the same share one base."""
    return [(snapshot.with_suffix(".panel") / f"{name}.npy").stat().st_ino for name in ("sessions", *BAR_FIELDS)]


def published_as_stored(store: DataStorage, home: Path, *cuts: datetime) -> Path:
    """Publish; what every cut sees through the arrays is what the store answers itself. The snapshot."""
    path = store.publish().path
    with DataStorage.snapshot(home) as snapshot:
        for recorded_by in (None, *cuts):
            assert same(snapshot.view(recorded_by=recorded_by).panel(), store.view(recorded_by=recorded_by).panel())
    return path


def test_arrays_grow_twice_on_one_base_which_outlives_its_first_snapshot(store: DataStorage, home: Path) -> None:
    frame = bars(("AAA", "CCC"), days(count=60))
    store.store_ohlc_data(frame, recorded_at=NOW)
    first = store.publish().path
    files = base_files(first)
    held = np.load(first.with_suffix(".panel") / "close.npy")
    corrected = changed(frame, "AAA", days()[4], close=frame["close"][4] * 1.001)  # an old cell said anew
    store.store_ohlc_data(corrected.filter(pl.col("date") == days()[4]), recorded_at=NOW + DAY)
    second = published_as_stored(store, home, NOW)
    again = changed(frame, "AAA", days()[4], close=frame["close"][4] * 1.002)
    store.store_ohlc_data(again.filter(pl.col("date") == days()[4]), recorded_at=NOW + 2 * DAY)
    store.store_ohlc_data(bars(("AAA",), days(date(2021, 4, 5), 2)), recorded_at=NOW + 3 * DAY)  # new sessions
    for night in range(KEEP):
        store.store_ohlc_data(bars(("CCC",), days(date(2021, 4, 8 + night), 1)), recorded_at=NOW + (4 + night) * DAY)
        last = published_as_stored(store, home, NOW, NOW + DAY, NOW + 3 * DAY)
        assert base_files(last) == files
    assert not first.exists() and not second.with_suffix(".panel").exists()
    assert np.array_equal(np.load(last.with_suffix(".panel") / "close.npy"), held, equal_nan=True), "loading never writes to the base"
    with DataStorage.snapshot(home) as snapshot:
        grid = snapshot.view()._grid()
        assert grid is not None and not any(array.flags.writeable for array in grid.bars.values())


@pytest.mark.parametrize(
    "more",
    [
        bars(("BBB",), days(date(2021, 3, 1), 2)),  # a new symbol
        bars(("AAA",), days(date(2020, 12, 28), 1)),  # before the first session
        bars(("AAA",), days(date(2021, 12, 1), 1)),  # beyond the spare ones
        bars(("AAA", "CCC"), days(count=60), seed=9),  # more than a patch should hold
    ],
    ids=["symbol", "earlier", "later", "much"],
)
def test_what_the_base_has_no_room_for_makes_a_new_one(store: DataStorage, home: Path, more: pl.DataFrame) -> None:
    store.store_ohlc_data(bars(("AAA", "CCC"), days(count=60)), recorded_at=NOW)
    first = store.publish().path
    store.store_ohlc_data(more, recorded_at=NOW + 300 * DAY)
    second = published_as_stored(store, home, NOW)
    assert base_files(second) != base_files(first)
    assert not store.publish().fresh
    store.store_ohlc_data(bars(("AAA",), days(date(2021, 4, 5), 1)), recorded_at=NOW + 301 * DAY)
    assert base_files(published_as_stored(store, home, NOW, NOW + 300 * DAY)) == base_files(second)


@pytest.mark.parametrize("days_later", [0, 5])
def test_arrays_grow_only_out_of_this_stores(store: DataStorage, home: Path, days_later: int) -> None:
    frame = bars(("AAA", "CCC"), days(count=60))
    before_any = store.backup(home / "empty.duckdb")
    store.store_ohlc_data(frame, recorded_at=NOW)
    store.publish()
    older = store.backup(home / "older.duckdb")
    store.store_ohlc_data(changed(frame, "AAA", days()[4], volume=7.0).filter(pl.col("volume") == 7.0), recorded_at=NOW + DAY)
    store.store_ohlc_data(bars(("BBB",), days(count=60)), recorded_at=NOW + DAY)
    second = store.publish().path
    store.close()
    for backup in (older, before_any):  # another past, and as many rows: the arrays of the store replaced are not its own
        restore(backup, store.path, overwrite=True)
        with DataStorage(store.path) as other:
            if backup == before_any:
                other.store_ohlc_data(bars(("AAA", "CCC"), days(count=60), seed=8), recorded_at=NOW)
            other.store_ohlc_data(changed(frame, "CCC", days()[9], volume=9.0).filter(pl.col("volume") == 9.0), recorded_at=NOW + DAY)
            other.store_ohlc_data(bars(("DDD",), days(count=60), seed=5), recorded_at=NOW + (1 + days_later) * DAY)
            path = published_as_stored(other, home, NOW)
            assert base_files(path) != base_files(second)
            second = path


def test_a_bar_stored_at_the_very_instant_of_the_bases_last_is_not_missed(store: DataStorage, home: Path) -> None:
    store.store_ohlc_data(bars(("AAA", "CCC"), days(count=60)), recorded_at=NOW)
    store.publish()
    store.store_ohlc_data(bars(("AAA",), days(date(2021, 4, 5), 1)), recorded_at=NOW)
    published_as_stored(store, home)


def test_a_damaged_patch_is_not_believed_and_publishing_mends_it(store: DataStorage, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    store.store_ohlc_data(bars(("AAA", "CCC"), days(count=60)), recorded_at=NOW)
    store.publish()
    store.store_ohlc_data(bars(("AAA", "CCC"), days(date(2021, 4, 5), 1)), recorded_at=NOW + DAY)
    patch = published_as_stored(store, home).with_suffix(".panel") / "patch.npy"
    content = bytearray(patch.read_bytes())
    content[-3] ^= 1
    patch.write_bytes(content)
    with DataStorage.snapshot(home) as snapshot:
        assert same(snapshot.view().panel(), store.view().panel())
    assert "exo data publish" in caplog.text
    mended = published_as_stored(store, home)
    assert intact(mended.with_suffix(".panel")) and not store.publish().fresh


def test_only_the_last_snapshots_are_kept_and_leftovers_go(store: DataStorage, home: Path) -> None:
    folder = home / "data" / "snapshots"
    published = []
    for number in range(KEEP + 2):
        store.store_ohlc_data(bars((f"S{number}",)))
        (folder / "publishing-1.partial").parent.mkdir(exist_ok=True)
        (folder / "publishing-1.partial").write_text("a killed publisher left this")
        published.append(store.publish().path)
    assert sorted(folder.glob("*.duckdb")) == sorted(published[-KEEP:])
    assert sorted(folder.glob("*.panel")) == sorted(path.with_suffix(".panel") for path in published[-KEEP:])
    assert not list(folder.glob("*.partial"))
    assert (folder / "CURRENT").read_text().strip() == published[-1].name


def test_a_second_writer_fails_within_a_second_and_learns_who_holds_the_store(store: DataStorage) -> None:
    code = f"from mech_exo.datasource import DataStorage; DataStorage({str(store.path)!r})"
    import_only = [sys.executable, "-c", "from mech_exo.datasource import DataStorage"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(import_only, check=True, env=environment)
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert f"process {os.getpid()}" in done.stderr and "StoreError" in done.stderr
    assert time.perf_counter() - began < 10.0  # mostly imports; the lock itself is asked once, without waiting
    began = time.perf_counter()
    with pytest.raises(StoreError, match="this very process"):
        DataStorage(store.path)
    assert time.perf_counter() - began < 1.0


def test_the_lock_is_given_back(home: Path) -> None:
    for _ in range(2):
        DataStorage(DataStorage.path_in(home)).close()


def test_the_store_opens_no_files_and_sees_no_python_variables(store: DataStorage, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    secret = pl.DataFrame({"a": [1]}).to_arrow()
    assert secret.num_rows == 1
    con = store._con
    for sql in (
        f"select * from '{tmp_path}/secret.csv'",
        f"copy bars to '{tmp_path}/out.csv'",
        "select * from secret",
        "set enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            con.execute(sql).fetchall()


def test_a_store_of_a_newer_program_is_refused(home: Path) -> None:
    path = DataStorage.path_in(home)
    DataStorage(path).close()
    con = duckdb.connect(str(path))
    con.execute("insert into meta values ('schema_version', $n, now())", {"n": str(len(migrations()) + 1)}).fetchall()
    con.close()
    with pytest.raises(StoreError, match="newer"):
        DataStorage(path)


def test_a_damaged_store_is_refused_with_a_remedy(home: Path) -> None:
    path = DataStorage.path_in(home)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="restore"):
        DataStorage(path)


def test_a_pointer_to_a_missing_snapshot_is_said_and_mended_by_publishing(store: DataStorage, home: Path) -> None:
    store.store_ohlc_data(bars())
    store.publish().path.unlink()
    with pytest.raises(StoreError, match="exo data publish"):
        DataStorage.snapshot(home)
    store.publish()
    DataStorage.snapshot(home).close()


def test_backup_and_restore(store: DataStorage, home: Path, tmp_path: Path) -> None:
    store.store_ohlc_data(bars())
    expected = store.view().panel().data_hash()
    copy = store.backup(tmp_path / "backup.duckdb")
    with pytest.raises(InputError, match="never overwrites"):
        store.backup(copy)
    store.store_ohlc_data(bars(("CCC",)))
    with pytest.raises(StoreError, match="one writer"):
        restore(copy, store.path, overwrite=True)
    store.close()
    with pytest.raises(InputError, match="--yes"):
        restore(copy, store.path)
    assert restore(copy, store.path, overwrite=True)["bars"] == 20
    with DataStorage(store.path) as restored:
        assert restored.view().panel().data_hash() == expected
    assert verify(store.path.with_name(store.path.name + ".replaced"))["bars"] == 30


def test_a_damaged_backup_is_not_restored(store: DataStorage, tmp_path: Path) -> None:
    store.store_ohlc_data(bars())
    copy = store.backup(tmp_path / "backup.duckdb")
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 0xFF
    copy.write_bytes(content)
    expected = store.view().panel().data_hash()
    store.close()
    with pytest.raises(StoreError, match="another backup"):
        restore(copy, store.path, overwrite=True)
    with pytest.raises(MissingDataError):
        restore(tmp_path / "none.duckdb", store.path, overwrite=True)
    with DataStorage(store.path) as storage:
        assert storage.view().panel().data_hash() == expected


def test_status_tells_what_is_there(store: DataStorage) -> None:
    assert store.status().stale_sessions is None
    store.store_ohlc_data(changed(bars(), "AAA", days()[1], low=-1.0), source="me")
    found = store.status()
    assert (found.bars, found.symbols, found.first, found.last) == (19, 2, days()[0], days()[-1])
    assert found.bars_by_year == {2021: (19, 2)}
    assert found.sources == {"me": "as_traded"}
    assert sum(found.quarantined.values()) == 1
    today = datetime.now(UTC)
    assert found.stale_sessions == len(calendar.sessions(days()[-1] + DAY, calendar.latest_session(today)))
