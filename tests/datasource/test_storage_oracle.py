"""The two-clock rules against a model so simple that it is obviously right: a list of everything ever said."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.errors import MissingDataError
from mech_exo.utils import calendar

SESSIONS = calendar.sessions(date(2021, 1, 4), date(2021, 1, 15)).tolist()
SYMBOLS = ("AAA", "BBB", "CCC")
VALUES = (10.0, 11.0, 12.5)
SPLITS = (1.0, 2.0, 3.0)


@dataclass
class Said:
    """One thing said about one cell, and when."""

    cell: tuple[str, date]
    value: float
    known: datetime
    recorded: datetime


@dataclass
class Model:
    """All sayings of one kind. ``neutral``: a value that, said first, says nothing."""

    neutral: float | None = None
    said: list[Said] = field(default_factory=list)

    def say(self, cell: tuple[str, date], value: float, now: datetime) -> None:
        earlier = [entry for entry in self.said if entry.cell == cell]
        if not earlier and value != self.neutral:
            self.said.append(Said(cell, value, calendar.session_close(cell[1]), now))
        elif earlier and earlier[-1].value != value:
            self.said.append(Said(cell, value, now, now))

    def answer(self, as_of: date | None, recorded_by: datetime | None) -> dict[tuple[str, date], float]:
        found = {}
        for entry in self.said:
            known = as_of is None or (entry.cell[1] <= as_of and entry.known <= calendar.session_close(as_of))
            if known and (recorded_by is None or entry.recorded <= recorded_by):
                found[entry.cell] = entry.value
        return found


row = st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(SESSIONS))
batch = st.dictionaries(row, st.tuples(st.sampled_from(VALUES), st.sampled_from(SPLITS)), min_size=1, max_size=12)
# Batches arrive while the sessions are still fresh, so that restatements fall between the cuts.
BEGIN = datetime(2021, 1, 5, 6, tzinfo=UTC)
instants = st.lists(st.integers(0, 14 * 24), min_size=1, max_size=4).map(
    lambda hours: [BEGIN + timedelta(hours=hour) for hour in sorted(hours)]
)


def frame(rows: dict[tuple[str, date], tuple[float, float]]) -> pl.DataFrame:
    cells = [(symbol, day, price, price, price, price, 1000.0, split) for (symbol, day), (price, split) in rows.items()]
    return pl.DataFrame(cells, schema=["symbol", "date", "open", "high", "low", "close", "volume", "split_ratio"], orient="row")


@settings(max_examples=settings.default.max_examples // 2)
@given(times=instants, batches=st.lists(batch, min_size=4, max_size=4))
def test_every_cut_of_the_store_is_the_models(times: list[datetime], batches: list[dict[tuple[str, date], tuple[float, float]]]) -> None:
    bars, splits = Model(), Model(neutral=1.0)
    with tempfile.TemporaryDirectory() as folder, DataStorage(DataStorage.path_in(Path(folder))) as store:
        for now, rows in zip(times, batches, strict=False):
            closed = {cell: said for cell, said in rows.items() if calendar.session_close(cell[1]) <= now}
            if not closed:
                continue
            store.store_ohlc_data(frame(closed), recorded_at=now)
            for cell, (price, split) in closed.items():
                bars.say(cell, price, now)
                splits.say(cell, split, now)
            store.publish()  # so that the next one's arrays grow out of these
        store.publish()
        with DataStorage.snapshot(Path(folder)) as snapshot:
            for as_of in (None, SESSIONS[0], SESSIONS[3], SESSIONS[6], SESSIONS[-1], date(2021, 1, 22)):
                for recorded_by in (None, *times):
                    expected = bars.answer(as_of, recorded_by), splits.answer(as_of, recorded_by)
                    for storage in (store, snapshot):
                        compare(storage, as_of, recorded_by, *expected)


def compare(
    storage: DataStorage,
    as_of: date | None,
    recorded_by: datetime | None,
    bars: dict[tuple[str, date], float],
    splits: dict[tuple[str, date], float],
) -> None:
    try:
        panel = storage.view(as_of, recorded_by=recorded_by).panel()
    except MissingDataError:
        assert not bars
        return
    first, last = min(day for _, day in bars), as_of or max(day for _, day in bars)
    assert panel.sessions.tolist() == calendar.sessions(first, last).tolist()
    assert panel.symbols == tuple(sorted({symbol for symbol, _ in bars}))
    for row, day in enumerate(panel.sessions.tolist()):
        for column, symbol in enumerate(panel.symbols):
            expected = bars.get((symbol, day), np.nan)
            np.testing.assert_equal(panel.close[row, column], expected)
            np.testing.assert_equal(panel.volume[row, column], np.nan if np.isnan(expected) else 1000.0)
            assert panel.split_ratio[row, column] == splits.get((symbol, day), 1.0)
