"""Storing everything but bars. These tables are small and come from a person or a downloader: one bad row refuses the frame."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl

from mech_exo.datasource import base
from mech_exo.datasource.columns import refuse_conflicts, refuse_missing, refuse_unreadable, renamed, shown, typed
from mech_exo.datasource.inspection import REMEDIES, Reason, no_symbols
from mech_exo.datasource.sentiment import GIVEN, Scorer, scored
from mech_exo.datasource.storage import facts
from mech_exo.datasource.storage.connection import Connection, run, transaction
from mech_exo.datasource.storage.facts import ALWAYS, KNOWN_ALWAYS, Added, Cut, FactTable
from mech_exo.datasource.storage.summary import FactSummary
from mech_exo.domain.errors import InputError, cut
from mech_exo.utils import calendar

INSTANT = pl.Datetime("us", "UTC")
UNDATED = "filed_assumed:"
"""Prefix of the keys of meta that name sources of fundamentals without filing dates."""


def store_actions(con: Connection, frame: Any, source: str, now: datetime) -> FactSummary:
    """Splits, dividends and delistings, dated by the session they take effect in (a day without trading: the next one)."""
    rows = _read(frame, base.ACTIONS, ("symbol", "date", "kind"), what="corporate actions")
    value, kind = pl.col("value"), pl.col("kind")
    good = (
        ((kind == "split") & (value > 0.0))
        | ((kind == "dividend") & (value >= 0.0))
        | ((kind == "delisting") & (value.is_null() | (value >= 0.0)))
    )
    rows = rows.with_columns(value.fill_nan(None))
    bad = rows.filter(~(good & (value.is_finite() | value.is_null())).fill_null(False))
    if bad.height:
        raise InputError(
            f"an action is a split (ratio above 0), dividend (USD, 0 or more) or delisting (USD or empty); {bad.height} rows are not, "
            f"first {shown(bad.row(0, named=True))}",
            remedy="correct these rows",
        )
    rows = rows.with_columns(session=_on_sessions(rows["date"])).with_columns(source=pl.lit(source)).drop("date")
    return _store(con, facts.ACTIONS, rows.with_columns(known_at=_closes(rows["session"])), now, "corporate actions")


def store_sectors(con: Connection, frame: Any, now: datetime) -> FactSummary:
    """Sectors; a dated one holds and is known from the first close on or after its date."""
    rows = _read(frame, {**base.SECTORS, "valid_from": pl.Date}, tuple(base.SECTORS), optional=("valid_from",), what="sectors")
    with transaction(con):
        added = add_sectors(con, rows, now)
    undated = rows["valid_from"].is_null().any()
    return _summary("sectors", rows, added, ("without dates: taken as known always, flagged backfilled",) if undated else ())


def add_sectors(con: Connection, rows: pl.DataFrame, now: datetime) -> Added:
    """Add symbol, sector, valid_from (null: always) inside the caller's transaction."""
    rows = rows.with_columns(pl.col("valid_from").fill_null(ALWAYS), pl.col("valid_from").is_null().alias("backfilled"))
    rows = refuse_conflicts(rows, facts.SECTORS.keys, what="sectors")
    return facts.add(con, facts.SECTORS, rows.with_columns(known_at=_closes(rows["valid_from"])), now)


def store_universe(con: Connection, frame: Any, name: str, now: datetime) -> FactSummary:
    """Membership intervals; each is known from the close of its start, its end from the close of its end."""
    optional = {"start": pl.Date, "end": pl.Date}
    rows = _read(frame, {**base.UNIVERSE, **optional}, tuple(base.UNIVERSE), optional=tuple(optional), what=f"universe {name}")
    wrong = rows.filter(pl.col("end") <= pl.col("start"))
    if wrong.height:
        raise InputError(
            f"a membership must end after it starts; {wrong.height} do not, first {shown(wrong.row(0, named=True))}",
            remedy="correct these rows; end is the first day outside",
        )
    undated = bool(rows["start"].is_null().any())
    rows = rows.with_columns(pl.lit(name).alias("name"), pl.col("start").fill_null(ALWAYS))
    rows = rows.with_columns(known_at=_closes(rows["start"]), ended_at=_closes(rows["end"]))
    return _store(
        con,
        facts.UNIVERSE,
        rows,
        now,
        f"universe {name}",
        ("without start dates: taken as members always, flagged backfilled",) if undated else (),
    )


def store_benchmark(con: Connection, frame: Any, name: str, now: datetime) -> FactSummary:
    """Daily returns, or closes turned into returns. Days that are no session are left out and counted."""
    what = f"benchmark {name}"
    try:
        rows = _read(frame, base.BENCHMARK, tuple(base.BENCHMARK), what=what)
    except InputError as first:
        try:
            closes = _read(frame, {"date": pl.Date, "close": pl.Float64}, ("date", "close"), what=what).sort("date")
        except InputError:
            raise first from None
        rows = closes.select("date", (pl.col("close") / pl.col("close").shift(1) - 1.0).alias("return")).slice(1)
    wrong = rows.filter((pl.col("return") <= -1.0) | ~pl.col("return").is_finite())
    if wrong.height:
        raise InputError(
            f"a daily return is a fraction above -1; {wrong.height} are not, first {shown(wrong.row(0, named=True))}",
            remedy="write 0.01 for one percent",
        )
    on_session = rows.filter(pl.Series([day is not None and calendar.is_session(day) for day in rows["date"]], dtype=pl.Boolean))
    outside = rows.height - on_session.height
    if on_session.is_empty():
        raise InputError(f"{what}: at least one date must be a session; none of {rows.height} is")
    kept = on_session.rename({"date": "session"}).with_columns(pl.lit(name).alias("name"))
    notices = (f"{outside} dates are no sessions and were left out",) if outside else ()
    return _store(con, facts.BENCHMARKS, kept.with_columns(known_at=_closes(kept["session"])), now, what, notices)


def store_fundamentals(con: Connection, frame: Any, source: str, now: datetime, *, undated: bool = False) -> FactSummary:
    """Reported figures; one with a filing date alone is usable from the close of the next session.

    ``source`` stands for rows that name none themselves. A figure filed again unchanged is not news and is not stored again.
    """
    what = "fundamentals"
    optional = {"known_at": INSTANT, "source": pl.String}
    schema = {**base.FUNDAMENTALS, **optional}
    rows = _read(as_utc(frame, "known_at"), schema, tuple(base.FUNDAMENTALS), optional=tuple(optional), what=what)
    early = rows.filter(pl.col("period_end") > pl.col("filed"))
    if early.height:
        raise InputError(
            f"a figure is filed when its period is over; {early.height} of {rows.height} are not, first {shown(early.row(0, named=True))}",
            remedy="correct period_end or filed of these rows",
        )
    rows = rows.with_columns(pl.coalesce("known_at", _closes(_days_after(rows["filed"]))), pl.col("source").fill_null(source))
    single = refuse_conflicts(rows, facts.FUNDAMENTALS.keys, what=what)
    with transaction(con):
        added = facts.add(con, facts.FUNDAMENTALS, _changed(con, single), now)
        if undated:
            run(con, "insert into meta values ($key, 'assumed', $now)", {"key": f"{UNDATED}{source}", "now": now})
    return FactSummary(what, rows.height, added.new, added.restated, rows.height - added.new - added.restated)


def _changed(con: Connection, rows: pl.DataFrame) -> pl.DataFrame:
    """``rows`` without those that repeat what the same source's filing before them, stored or in ``rows``, said about the same period."""
    stored = facts.read(con, facts.FUNDAMENTALS, Cut()).join(rows.select("symbol").unique(), on="symbol", how="semi")
    about = ["symbol", "metric", "period_end", "fiscal_period", "source"]
    columns = [*about, "filed", "value", "unit"]
    whole = pl.concat([stored.select(*columns, fresh=pl.lit(False)), rows.select(*columns, fresh=pl.lit(True))])
    ordered = whole.sort(*about, "filed", "fresh")
    before = [pl.col(name).shift(1).over(about) for name in ("value", "unit", "filed")]
    repeated = (pl.col("value") == before[0]) & (pl.col("unit") == before[1]) & (pl.col("filed") > before[2])
    told = ordered.filter(repeated.fill_null(False) & pl.col("fresh"))
    return rows.join(told, on=[*about, "filed"], how="anti")


def store_news(con: Connection, frame: Any, now: datetime, judge: Scorer | None) -> FactSummary:
    """Headlines, known when published, scored here and nowhere else. Without an id, the text, source and time make one."""
    optional = {"id": pl.String, "url": pl.String, "sentiment": pl.Float64, "sentiment_version": pl.String}
    rows = _read(as_utc(frame, "published"), {**base.NEWS, **optional}, tuple(base.NEWS), optional=tuple(optional), what="news")
    made = (
        pl.concat_str([pl.col("headline"), pl.col("source"), pl.col("published").dt.epoch("us").cast(pl.String)], separator="\0")
        .hash(seed=1)
        .cast(pl.String)
    )
    wrong = rows.filter(~pl.col("sentiment").fill_nan(None).is_between(-1.0, 1.0))
    if wrong.height:
        raise InputError(
            f"a sentiment is between -1 and 1; {wrong.height} are not, first {shown(wrong.row(0, named=True))}", remedy="correct these rows"
        )
    rows = rows.with_columns(pl.coalesce("id", made).alias("id"), pl.col("published").alias("known_at"), pl.col("sentiment").fill_nan(None))
    return _store(con, facts.NEWS, scored(rows, judge), now, "news")


def score_news(con: Connection, now: datetime, judge: Scorer) -> FactSummary:
    """Score every stored headline anew but those that came with a score: a changed score is a restatement, known from ``now``."""
    rows = facts.read(con, facts.NEWS, facts.Cut(), "sentiment_version is distinct from $given", {"given": GIVEN})
    bare = rows.select(*facts.NEWS.columns, "known_at").with_columns(sentiment=pl.lit(None, pl.Float64))
    return _store(con, facts.NEWS, scored(bare, judge), now, "news")


def set_label(con: Connection, text: str, now: datetime) -> None:
    """Remember ``text`` as the store's label, once."""
    if run(con, "select count(*) from meta where key = 'label' and value = $text", {"text": text})[0][0] == 0:
        run(con, "insert into meta values ('label', $text, $now)", {"text": text, "now": now})


def as_utc(frame: Any, column: str) -> pl.DataFrame:
    """``frame`` as Polars with the instants of ``column``, if it has it, in UTC. Raises InputError for instants without a time zone."""
    from mech_exo.domain.frames import as_polars

    rows = as_polars(frame)
    if column not in rows.columns or rows.schema[column] == pl.Null:
        return rows
    kind = rows.schema[column]
    if not isinstance(kind, pl.Datetime) or kind.time_zone is None:
        raise InputError(
            f"{column} must be instants with a time zone; the column is {kind}", remedy="e.g. pl.col(name).dt.replace_time_zone('UTC')"
        )
    return rows.with_columns(pl.col(column).dt.convert_time_zone("UTC").cast(INSTANT))


def _read(frame: Any, schema: dict[str, Any], required: tuple[str, ...], *, optional: tuple[str, ...] = (), what: str) -> pl.DataFrame:
    """``frame`` in the columns of ``schema``, all required cells filled, absent optional columns null."""
    needed = tuple(name for name in schema if name not in optional)
    rows = refuse_unreadable(typed(renamed(frame, needed, optional, what=what), schema), what=what)
    rows = refuse_missing(rows, required, what=what)
    if "symbol" in schema:
        _refuse_no_symbols(rows["symbol"], what=what)
    return rows.with_columns(pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in rows.columns)


def _refuse_no_symbols(names: pl.Series, *, what: str) -> None:
    foreign = no_symbols(names).sort()
    if len(foreign):
        raise InputError(f"{what}: {Reason.SYMBOL}; {len(foreign)} are none, first {cut(foreign[0])!r}", remedy=REMEDIES[Reason.SYMBOL])


def _store(con: Connection, fact: FactTable, rows: pl.DataFrame, now: datetime, what: str, notices: tuple[str, ...] = ()) -> FactSummary:
    single = refuse_conflicts(rows, fact.keys, what=what)
    with transaction(con):
        added = facts.add(con, fact, single, now)
    return _summary(what, rows, added, notices)


def _summary(what: str, rows: pl.DataFrame, added: Added, notices: tuple[str, ...]) -> FactSummary:
    return FactSummary(what, rows.height, added.new, added.restated, added.unchanged, notices)


def _on_sessions(days: pl.Series) -> pl.Series:
    """The first session on or after each day."""
    found = {day: day if calendar.is_session(day) else calendar.next_session(day) for day in days.drop_nulls().unique()}
    return days.replace_strict(found, return_dtype=pl.Date) if found else days


def _closes(days: pl.Series) -> pl.Series:
    """The close of the first session on or after each day; "always" is known always; null stays null."""
    once = days.drop_nulls().unique()
    found = {
        day: KNOWN_ALWAYS if day < calendar.FIRST_DAY else calendar.session_close(session)
        for day, session in zip(once, _sessions_or_none(once), strict=True)
    }
    return days.replace_strict(found, default=None, return_dtype=INSTANT)


def _sessions_or_none(days: pl.Series) -> pl.Series:
    late = days.set(days < calendar.FIRST_DAY, None) if days.len() else days
    return _on_sessions(late)


def _days_after(days: pl.Series) -> pl.Series:
    """The day after each: a filing with a date only is usable from the next session's close."""
    return days + timedelta(days=1)
