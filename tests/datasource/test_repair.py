"""Repairs: only what is certain, as new rows, never twice, and a past view stays what it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource.quality import assess
from mech_exo.datasource.quality.repair import Repair, apply, chosen, proposals
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.panel import BarPanel
from mech_exo.utils.settings import Config
from tests.datasource.faults import SESSIONS, clean, put, scaled
from tests.datasource.market import changed

IMPORTED = datetime(2014, 1, 2, 12, tzinfo=UTC)
NOW = IMPORTED + timedelta(hours=1)
CONFIG = Config()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DataStorage]:
    with DataStorage(tmp_path / "data" / "mech_exo.duckdb") as storage:
        yield storage


def stored(store: DataStorage, panel: BarPanel, frame: pl.DataFrame | None = None) -> pl.DataFrame:
    """Import a panel; its frame."""
    rows = panel.to_frame() if frame is None else frame
    store.store_ohlc_data(rows, source="vendor", recorded_at=IMPORTED)
    assess(store, CONFIG, now=IMPORTED)
    return rows


def repaired(store: DataStorage, now: datetime = NOW) -> tuple[tuple[Repair, ...], int]:
    found = proposals(store, CONFIG)
    return found, apply(store, CONFIG, found, now=now)


def same(one: BarPanel, other: BarPanel) -> bool:
    return all(np.allclose(getattr(one, name), getattr(other, name), equal_nan=True) for name in ("open", "high", "low", "close", "volume"))


def blocked(store: DataStorage) -> set[str]:
    view = store.view()
    panel = view.panel()
    verdict = view.universe(panel, None).verdict
    return set() if verdict is None else {panel.symbols[j] for j in np.flatnonzero((verdict == 2).any(axis=0))}


def test_bars_on_another_footing_are_put_on_their_neighbours(store: DataStorage) -> None:
    stored(store, scaled(clean(), 3, 200, 204, 0.1))
    assert blocked(store) == {"N03"}
    found, count = repaired(store)
    assert [(r.symbol, r.kind, r.certain, r.bars.height) for r in found] == [("N03", "rescale", True, 4)] and count == 4
    assert same(store.view().panel(), clean()) and blocked(store) == set()


def test_a_repair_is_a_new_row_and_the_past_stays_as_it_was(store: DataStorage) -> None:
    stored(store, scaled(clean(), 3, 200, 204, 0.1))
    night = clean().sessions[300].item()
    before = store.view(night, recorded_by=IMPORTED)
    panel, verdict = before.panel(), before.universe(before.panel(), None).data_hash()
    repaired(store)
    after = store.view(night, recorded_by=IMPORTED)
    assert after.panel().data_hash() == panel.data_hash() and after.universe(after.panel(), None).data_hash() == verdict
    assert store.view(night).panel().data_hash() == panel.data_hash(), "it was not known at that close either"
    assert not same(store.view().panel().rows(0, 301), panel)


def test_repairing_twice_does_nothing_and_the_same_import_does_not_undo_it(store: DataStorage) -> None:
    late = put(put(scaled(clean(), 3, 200, SESSIONS, 0.5), "split_ratio", 204, 3, 2.0), "split_ratio", 250, 5, 3.0)
    frame = stored(store, scaled(late, 7, 100, 103, 100.0))
    _, count = repaired(store)
    assert count > 0
    good = store.view().panel()
    assert repaired(store, NOW + timedelta(hours=1)) == ((), 0)
    again = store.store_ohlc_data(frame, source="vendor", recorded_at=NOW + timedelta(hours=2))
    assert (again.new, again.restated, again.actions) == (0, 0, 0)
    assert store.view().panel().data_hash() == good.data_hash()
    restated = changed(frame, "N07", clean().sessions[101].item(), close=41.0, open=41.0, high=42.0, low=40.0)
    assert store.store_ohlc_data(restated, source="vendor", recorded_at=NOW + timedelta(hours=3)).restated == 1, "news of the vendor counts"


def test_a_missed_split_becomes_an_action_and_its_block_ends(store: DataStorage) -> None:
    stored(store, scaled(clean(), 3, 200, SESSIONS, 1 / 3))
    found, _ = repaired(store)
    assert [(r.kind, r.actions.select("kind", "value").rows()) for r in found] == [("split", [("split", pytest.approx(3.0))])]
    panel = store.view().panel()
    assert panel.split_ratio[200, 3] == pytest.approx(3.0) and blocked(store) == set()


def test_an_invented_split_is_taken_back_and_a_late_one_moved(store: DataStorage) -> None:
    late = put(scaled(clean(), 3, 200, SESSIONS, 0.5), "split_ratio", 204, 3, 2.0)
    stored(store, put(late, "split_ratio", 250, 5, 3.0))
    found, _ = repaired(store)
    assert [(r.symbol, r.kind, r.certain) for r in found] == [("N03", "move", True), ("N05", "withdraw", True)]
    ratio = store.view().panel().split_ratio
    assert ratio[200, 3] == 2.0 and ratio[204, 3] == 1.0 and ratio[250, 5] == 1.0 and (ratio != 1.0).sum() == 1
    assert blocked(store) == set()


@pytest.mark.parametrize(
    ("factor", "first", "last"),
    [(0.42, 200, SESSIONS), (0.42, 200, 203), (0.8, 200, SESSIONS), (0.5, SESSIONS - 2, SESSIONS)],
    ids=["no ratio", "no ratio, undone", "5:4", "too fresh"],
)
def test_what_is_not_certain_needs_a_person(store: DataStorage, factor: float, first: int, last: int) -> None:
    frame = stored(store, scaled(clean(), 3, first, last, factor))
    found, count = repaired(store)
    assert [(r.symbol, r.certain) for r in found] == [("N03", False)] and count == 0
    assert found[0].bars.is_empty() and found[0].actions.is_empty()
    assert store.view().panel().to_frame().height == frame.height


def test_refused_rows_come_back_only_by_swapping_or_rounding(store: DataStorage) -> None:
    frame, day = clean().to_frame(), [clean().sessions[k].item() for k in range(6)]
    row = frame.filter((pl.col("symbol") == "N01") & (pl.col("date") == day[1])).row(0, named=True)
    frame = changed(frame, "N01", day[1], high=row["low"], low=row["high"])
    lower = frame.filter((pl.col("symbol") == "N01") & (pl.col("date") == day[2])).row(0, named=True)
    frame = changed(frame, "N01", day[2], high=max(lower["open"], lower["close"]) * 0.9995)
    frame = changed(frame, "N01", day[3], open=0.0)
    frame = changed(frame, "N01", day[4], high=0.0)
    frame = changed(frame, "N01", day[5], close=row["close"] * 3)
    stored(store, clean(), frame)
    assert store.view().panel().to_frame().height == frame.height - 5
    found, count = repaired(store)
    assert sorted((r.kind, r.certain) for r in found) == [("refused", False), ("swap", True), ("widen", True)] and count == 2
    panel = store.view().panel()
    assert (panel.high[1, 1], panel.low[1, 1]) == (row["high"], row["low"])
    assert panel.high[2, 1] == max(lower["open"], lower["close"]) and panel.open[2, 1] == lower["open"]
    assert np.isnan(panel.close[3:6, 1]).all(), "no price is made up"


def test_each_can_be_chosen(store: DataStorage) -> None:
    stored(store, scaled(scaled(clean(), 3, 200, 204, 0.1), 5, 100, 102, 100.0))
    every = proposals(store, CONFIG)
    assert [(r.number, r.symbol) for r in every] == [(1, "N03"), (2, "N05")]
    assert [r.symbol for r in chosen(every, ["N05"])] == ["N05"] and [r.symbol for r in chosen(every, numbers=[1])] == ["N03"]
    assert chosen(every, ["N05"], [1]) == ()
    assert apply(store, CONFIG, chosen(every, ["N05"]), now=NOW) == 2
    assert [(r.symbol) for r in proposals(store, CONFIG)] == ["N03"] and blocked(store) == {"N03"}


def test_an_accepted_finding_is_no_longer_proposed_nor_blocked(store: DataStorage) -> None:
    stored(store, scaled(clean(), 3, 200, SESSIONS, 0.42))
    session: date = clean().sessions[200].item()
    store.quality().accept("N03", session, "jump", "spin-off", NOW)
    assess(store, CONFIG, now=NOW)
    assert blocked(store) == set() and proposals(store, CONFIG) == ()
    told = store.view().findings().filter(pl.col("symbol") == "N03")
    assert told["verdict"].to_list() == ["ok"] and told["evidence"][0].startswith("accepted: spin-off (")
    assert store.view(recorded_by=IMPORTED).findings()["verdict"].to_list() == ["block"]
