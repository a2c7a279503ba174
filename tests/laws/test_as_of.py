"""Two clocks on every table: whatever is said, restated and taken back, a view shows what a list of all sayings would.

The model keeps everything ever said and answers by looking at all of it; it shares no code with the store but the calendar.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.datasource.storage import DataStorage, StoreView, facts
from mech_exo.datasource.storage.connection import transaction
from mech_exo.domain.errors import MissingDataError
from mech_exo.utils import calendar

SESSIONS = calendar.sessions(date(2021, 1, 4), date(2021, 1, 15)).tolist()
SYMBOLS = ("AAA", "BBB", "CCC")
BEGIN = datetime(2021, 1, 5, 6, tzinfo=UTC)
KEYS = {
    "bars": ("symbol", "session"),
    "corporate_actions": ("symbol", "session", "kind"),
    "sectors": ("symbol", "valid_from"),
    "universe": ("name", "symbol", "start"),
    "benchmarks": ("name", "session"),
    "fundamental_data": ("symbol", "metric", "period_end", "fiscal_period", "filed"),
    "news_data": ("id", "symbol"),
    "data_quality": ("symbol", "session", "check"),
}
ALWAYS, KNOWN_ALWAYS = date(1900, 1, 1), datetime(1900, 1, 1, tzinfo=UTC)


def close_after(day: date) -> datetime:
    """The close of the first session on or after ``day``."""
    while not calendar.is_session(day):
        day += timedelta(days=1)
    return calendar.session_close(day)


@dataclass(frozen=True)
class Said:
    """One value of one fact, and its clocks."""

    value: Any
    known: datetime
    recorded: datetime


@dataclass
class Model:
    """Everything ever said: for each table and key, in order."""

    said: dict[str, dict[tuple[Any, ...], list[Said]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def say(self, table: str, key: tuple[Any, ...], value: Any, known: datetime, now: datetime) -> None:
        history = self.said[table][key]
        if not history:
            history.append(Said(value, known, now))
        elif history[-1].value != value:
            ended = table == "universe" and history[-1].value is None
            # What is found in old bars was to be found at once: a finding is known by its own rule, however late it is made.
            seen = close_after(value) if ended else known if table == "data_quality" else now
            history.append(Said(value, seen, now))

    def answer(self, table: str, as_of: date | None, recorded_by: datetime | None) -> dict[tuple[Any, ...], tuple[int, Any]]:
        """key → (which saying it is, its value) of all that is visible."""
        found = {}
        for key, history in self.said[table].items():
            for number, said in enumerate(history):
                if as_of is not None and (said.known > calendar.session_close(as_of) or self._session(table, key) > as_of):
                    continue
                if recorded_by is None or said.recorded <= recorded_by:
                    found[key] = (number, said.value)
        return found

    def _session(self, table: str, key: tuple[Any, ...]) -> date:
        return key[KEYS[table].index("session")] if "session" in KEYS[table] else date.min

    def member(self, symbol: str, day: date, as_of: date | None, recorded_by: datetime | None) -> bool:
        spans = {
            key[2]: value
            for key, (_, value) in self.answer("universe", min(day, as_of or day), recorded_by).items()
            if key[1] == symbol
        }
        return any(start <= day and (end is None or day < end) for start, end in spans.items())

    def sector(self, symbol: str, day: date, as_of: date | None, recorded_by: datetime | None) -> str:
        known = self.answer("sectors", min(day, as_of or day), recorded_by)
        told = {key[1]: value for key, (_, value) in known.items() if key[0] == symbol and key[1] <= day}
        return told[max(told)] if told else "unknown"


symbols, sessions = st.sampled_from(SYMBOLS), st.sampled_from(SESSIONS)
prices = st.sampled_from([10.0, 11.0, 12.5])
any_day = st.sampled_from([day.item() for day in np.arange("2021-01-01", "2021-01-19", dtype="datetime64[D]")])
batches = st.one_of(
    st.tuples(st.just("bars"), st.dictionaries(st.tuples(symbols, sessions), prices, min_size=1, max_size=12)),
    st.tuples(
        st.just("corporate_actions"),
        st.dictionaries(st.tuples(symbols, sessions, st.sampled_from(["split", "dividend"])), st.sampled_from([2.0, 3.0]), min_size=1, max_size=4),
    ),
    st.tuples(
        st.just("sectors"),
        st.dictionaries(st.tuples(symbols, st.none() | any_day), st.sampled_from(["Energy", "Materials", "Utilities"]), min_size=1, max_size=3),
    ),
    st.tuples(
        st.just("universe"),
        st.dictionaries(st.tuples(st.just("u"), symbols, st.none() | any_day), st.none() | st.just(SESSIONS[-1] + timedelta(4)) | any_day, min_size=1, max_size=3),
    ),
    st.tuples(
        st.just("benchmarks"),
        st.dictionaries(st.tuples(st.just("SPY"), sessions), st.sampled_from([0.01, -0.02, 0.0]), min_size=1, max_size=5),
    ),
    st.tuples(
        st.just("fundamental_data"),
        st.dictionaries(
            st.tuples(symbols, st.just("eps"), st.just(date(2020, 12, 31)), st.just("Q4"), any_day), st.sampled_from([1.0, 2.0]), min_size=1, max_size=4
        ),
    ),
    st.tuples(
        st.just("news_data"),
        st.dictionaries(st.tuples(st.sampled_from(["1", "2"]), symbols), st.sampled_from(["up", "down", "up again"]), min_size=1, max_size=4),
    ),
    st.tuples(
        st.just("data_quality"),
        st.dictionaries(st.tuples(symbols, sessions, st.sampled_from(["jump", "stale"])), st.sampled_from([0.5, 0.9]), min_size=1, max_size=4),
    ),
)  # fmt: skip
instants = st.lists(st.integers(0, 14 * 24), min_size=3, max_size=7).map(lambda hours: [BEGIN + timedelta(hours=h) for h in sorted(hours)])
PUBLISHED = {"1": datetime(2021, 1, 6, 13, tzinfo=UTC), "2": datetime(2021, 1, 8, 23, 30, tzinfo=UTC)}


def repeated(model: Model, rows: Mapping[tuple[Any, ...], Any], key: tuple[Any, ...], value: Any) -> bool:
    """Whether a figure filed anew says what the filing before it said: that is no news."""
    stored = {filing: told for filing, (_, told) in model.answer("fundamental_data", None, None).items()}
    earlier = {filing[4]: told for filing, told in {**stored, **rows}.items() if filing[0] == key[0] and filing[4] < key[4]}
    return key not in stored and bool(earlier) and earlier[max(earlier)] == value


def tell(store: DataStorage, model: Model, table: str, rows: Mapping[tuple[Any, ...], Any], now: datetime) -> None:
    """Say ``rows`` to the store through its public door, and to the model."""
    if table == "bars":
        rows = {key: value for key, value in rows.items() if calendar.session_close(key[1]) <= now}
    if table == "universe":
        rows = {key: end for key, end in rows.items() if end is None or key[2] is None or key[2] < end}
    if not rows:
        return
    frame = pl.DataFrame([(*key, value) for key, value in rows.items()], schema=[*KEYS[table], "value"], orient="row", infer_schema_length=None)
    match table:
        case "bars":
            said = frame.select("symbol", pl.col("session").alias("date"), *(pl.col("value").alias(f) for f in ("open", "high", "low", "close")))
            store.store_ohlc_data(said.with_columns(volume=1000.0), recorded_at=now)
        case "corporate_actions":
            store.store_corporate_actions(frame.rename({"session": "date"}), recorded_at=now)
        case "sectors":
            store.store_sectors(frame.rename({"value": "sector"}).cast({"valid_from": pl.Date}), recorded_at=now)
        case "universe":
            store.store_universe(frame.drop("name").rename({"value": "end"}).cast({"start": pl.Date, "end": pl.Date}), name="u", recorded_at=now)
        case "benchmarks":
            store.store_benchmark(frame.select(pl.col("session").alias("date"), pl.col("value").alias("return")), name="SPY", recorded_at=now)
        case "fundamental_data":
            store.store_fundamentals(frame.with_columns(unit=pl.lit("USD")), recorded_at=now)
        case "news_data":
            published = frame["id"].replace_strict(PUBLISHED, return_dtype=pl.Datetime("us", "UTC"))
            news = frame.rename({"value": "headline"}).with_columns(source=pl.lit("wire"), published=published)
            store.store_news(news, recorded_at=now)
        case "data_quality":
            closes = pl.Series([calendar.session_close(day) for day in frame["session"]], dtype=pl.Datetime("us", "UTC"))
            rest = {"verdict": pl.lit("warn"), "limit": pl.lit(0.4), "evidence": pl.lit(""), "lasts": pl.lit(None, pl.Int32)}
            with transaction(store._con):
                facts.add(store._con, facts.QUALITY, frame.with_columns(**rest, known_at=closes), now)
    told_before = {key for key, value in rows.items() if table == "fundamental_data" and repeated(model, rows, key, value)}
    for key, value in rows.items():
        if key in told_before:
            continue
        known = now
        if "session" in KEYS[table]:
            known = calendar.session_close(key[KEYS[table].index("session")])
        elif table == "news_data":
            known = PUBLISHED[key[0]]
        elif table == "fundamental_data":
            known = close_after(key[4] + timedelta(days=1))
        elif key[-1] is None:
            key, known = (*key[:-1], ALWAYS), KNOWN_ALWAYS
        else:
            known = close_after(key[-1])
        model.say(table, key, value, known, now)


def compare(view: StoreView, model: Model, as_of: date | None, recorded_by: datetime | None) -> None:
    def values(table: str) -> dict[tuple[Any, ...], Any]:
        told = {key: value for key, (_, value) in model.answer(table, as_of, recorded_by).items()}
        if as_of is not None or view.as_of is None or "session" not in KEYS[table]:
            return told
        place = KEYS[table].index("session")  # a view of all there is ends with the last session that has a bar
        return {key: value for key, value in told.items() if key[place] <= view.as_of}

    bars = view.bars(SYMBOLS)
    assert dict(zip(bars.select("symbol", "date").iter_rows(), bars["close"], strict=True)) == values("bars")
    figures = view.fundamentals()
    assert dict(zip(figures.select(KEYS["fundamental_data"]).iter_rows(), figures["value"], strict=True)) == values("fundamental_data")
    findings = view.findings()
    assert dict(zip(findings.select(KEYS["data_quality"]).iter_rows(), findings["value"], strict=True)) == values("data_quality")
    news = view.news()
    assert dict(zip(news.select("id", "symbol").iter_rows(), news["headline"], strict=True)) == values("news_data")
    benchmark = view.benchmark("SPY")
    told = {} if benchmark is None else {("SPY", day): figure for day, figure in benchmark.iter_rows()}
    assert told == (values("benchmarks") if as_of or benchmark is not None else {})
    try:
        panel = view.panel()
    except MissingDataError:
        assert not values("bars")
        return
    actions = values("corporate_actions")
    member = view.universe(panel, "u").member if values("universe") else np.zeros(panel.shape, bool)
    found = view.universe(panel, None)
    names = np.array([*found.sector_names, "unknown"])
    for row, day in enumerate(panel.sessions.tolist()):
        for column, symbol in enumerate(panel.symbols):
            np.testing.assert_equal(panel.close[row, column], values("bars").get((symbol, day), np.nan))
            assert panel.split_ratio[row, column] == actions.get((symbol, day, "split"), 1.0)
            assert panel.dividend[row, column] == actions.get((symbol, day, "dividend"), 0.0)
            assert member[row, column] == model.member(symbol, day, as_of, recorded_by), (symbol, day)
            assert names[found.sector[row, column]] == model.sector(symbol, day, as_of, recorded_by), (symbol, day)


def compare_difference(views: tuple[StoreView, StoreView], model: Model, cuts: list[tuple[date | None, datetime | None]]) -> None:
    """What the store says changed from one cut to the other is what the model's two answers disagree about."""
    told = {difference.table: difference for difference in views[0].diff(views[1], limit=1000)}
    for table, keys in KEYS.items():
        before, after = (model.answer(table, *cut) for cut in cuts)
        expected = {
            key: "new" if key not in before else "removed" if key not in after else "restated"
            for key in before.keys() | after.keys()
            if before.get(key) != after.get(key)
        }
        changes = told[table].changes if table in told else ()
        assert {tuple(change.key[name] for name in keys): change.kind.value for change in changes} == expected
        for change in changes:
            key = tuple(change.key[name] for name in keys)
            value = {"bars": "close", "sectors": "sector", "universe": "end", "benchmarks": "return", "news_data": "headline"}.get(table, "value")
            if change.kind.value == "restated" and before[key][1] != after[key][1]:  # not one that went back to what it was
                assert (change.old[value], change.new[value]) == (before[key][1], after[key][1])
            assert change.recorded_at == model.said[table][key][(after if key in after else before)[key][0]].recorded


@settings(max_examples=settings.default.max_examples // 4)  # seven batches and 24 comparisons each: a second
@given(times=instants, said=st.lists(batches, min_size=7, max_size=7), cut=st.tuples(st.none() | sessions, st.integers(0, 15 * 24)))
def test_every_view_of_every_table_is_the_models(
    times: list[datetime], said: list[tuple[str, dict[tuple[Any, ...], Any]]], cut: tuple[date | None, int]
) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as folder, DataStorage(DataStorage.path_in(Path(folder))) as store:
        for now, (table, rows) in zip(times, said, strict=False):
            tell(store, model, table, rows, now)
        store.publish()
        anywhen = BEGIN + timedelta(hours=cut[1], minutes=1)
        cuts = [(cut[0], anywhen), (SESSIONS[3], None), (SESSIONS[-1], times[0]), (date(2021, 1, 22), times[-1])]
        with DataStorage.snapshot(Path(folder)) as snapshot:
            for storage in (store, snapshot):
                for as_of, recorded_by in cuts:
                    compare(storage.view(as_of, recorded_by=recorded_by), model, as_of, recorded_by)
            pairs = [[one, two] for one in cuts[1:] for two in cuts[1:] if one != two]
            for pair in pairs:
                compare_difference(tuple(snapshot.view(day, recorded_by=moment) for day, moment in pair), model, pair)  # type: ignore[arg-type]
