"""The tables of facts, how a version is added, and which version is visible at a cut: the two-clock rules, once for all tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import polars as pl

from mech_exo.datasource.storage.connection import Connection, run, table
from mech_exo.domain.errors import StoreError

ALWAYS = date(1900, 1, 1)
KNOWN_ALWAYS = datetime(1900, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
LAST_DATE = date(9999, 12, 31)
STAGED = "staged_rows"
REPAIR = "repair"  # the source of repaired rows
ROW_GROUP = 122_880
"""Rows of a DuckDB row group: rows handed over in such pieces need no re-cutting, which halves a bulk load and the file it makes."""


@dataclass(frozen=True, slots=True)
class FactTable:
    """A table of versioned facts.

    ``keys`` name a fact, ``values`` are what a restatement changes, ``extras`` travel along. ``restated`` is the moment a changed value
    became known where a rule says more than "when first seen" (null: that); the stored values stand beside the new as ``stored_``….
    """

    name: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    extras: tuple[str, ...] = ()
    restated: pl.Expr | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What a frame to be stored must hold, beside ``known_at``."""
        return (*self.keys, *self.values, *self.extras)


BARS = FactTable("bars", ("symbol", "session"), ("open", "high", "low", "close", "volume"), ("source",))
ACTIONS = FactTable("corporate_actions", ("symbol", "session", "kind"), ("value",), ("source",))
SECTORS = FactTable("sectors", ("symbol", "valid_from"), ("sector",), ("backfilled",))
# An open membership that ends is news of that day, not a correction of the past.
UNIVERSE = FactTable(
    "universe",
    ("name", "symbol", "start"),
    ("end",),
    restated=pl.when(pl.col("stored_end").is_null()).then(pl.col("ended_at")),
)
BENCHMARKS = FactTable("benchmarks", ("name", "session"), ("return",))
# Two vendors' figures stand beside each other: neither restates the other.
FUNDAMENTALS = FactTable("fundamental_data", ("symbol", "metric", "period_end", "fiscal_period", "filed", "source"), ("value", "unit"))
NEWS = FactTable("news_data", ("id", "symbol"), ("headline", "source", "url", "published", "sentiment", "sentiment_version"))
# What can be found is known by the rule of the finding itself, however late it was looked for; see docs/data-quality.md.
QUALITY = FactTable(
    "data_quality", ("symbol", "session", "check"), ("verdict", "value", "limit", "evidence", "lasts"), restated=pl.col("known_at")
)
QUALITY_NOTES = FactTable("quality_notes", ("symbol", "session", "check"), ("because",), restated=pl.col("known_at"))
ALL = (BARS, ACTIONS, SECTORS, UNIVERSE, BENCHMARKS, FUNDAMENTALS, NEWS, QUALITY, QUALITY_NOTES)


@dataclass(frozen=True, slots=True)
class Added:
    """What a write did: facts first seen, facts restated, facts that were there already."""

    new: int
    restated: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Which rows are visible: of sessions up to ``session``, known by ``known`` and recorded by ``recorded`` (UTC, both inclusive)."""

    session: date = LAST_DATE
    known: datetime = END_OF_TIME
    recorded: datetime = END_OF_TIME

    def params(self, which: str = "") -> dict[str, Any]:
        """The parameters ``visible`` uses; ``which`` tells two cuts of one query apart."""
        return {f"session{which}": self.session, f"known{which}": self.known, f"recorded{which}": self.recorded}


def names(columns: tuple[str, ...], prefix: str = "") -> str:
    """A quoted, comma-separated column list."""
    return ", ".join(f'{prefix}"{column}"' for column in columns)


def within(fact: FactTable, which: str = "") -> str:
    """SQL condition of the rows, of any version, within a :class:`Cut`. A fact is visible when one of its rows is."""
    return f"known_at <= $known{which} and recorded_at <= $recorded{which} and " + (
        f"session <= $session{which}" if "session" in fact.keys else f"$session{which} is not null"
    )


def visible(fact: FactTable, condition: str = "true", which: str = "") -> str:
    """SQL of the rows of ``fact`` visible at a :class:`Cut`: per key the last version among those known and recorded by then.

    ``condition`` is one on the key alone: it holds for every version of a fact or for none.
    """
    cut = f"{within(fact, which)} and ({condition})"
    keys = names(fact.keys)
    return f"""
        select t.* from (select * from {fact.name} where {cut}) t
        left join (select {keys}, max(version) as top from {fact.name} where version > 0 and {cut} group by all) r using ({keys})
        where t.version = coalesce(r.top, 0)
    """


def read(con: Connection, fact: FactTable, cut: Cut, condition: str = "true", params: dict[str, object] | None = None) -> pl.DataFrame:
    """Visible rows of ``fact`` that meet ``condition``, sorted by key."""
    return table(con, f"select * from ({visible(fact)}) where {condition} order by {names(fact.keys)}", {**cut.params(), **(params or {})})


def read_all_versions(
    con: Connection, fact: FactTable, cut: Cut, condition: str = "true", params: dict[str, object] | None = None
) -> pl.DataFrame:
    """Every version of ``fact`` known and recorded by ``cut``, by key and version: for histories read row by row."""
    cut_sql = f"known_at <= $known and recorded_at <= $recorded and {condition}"
    sql = f"select * from {fact.name} where {cut_sql} order by {names(fact.keys)}, version"
    return table(con, sql, {"known": cut.known, "recorded": cut.recorded, **(params or {})})


@contextmanager
def staged(con: Connection, rows: pl.DataFrame) -> Iterator[None]:
    """``rows`` as the table ``STAGED`` while the block lasts."""
    import pyarrow as pa

    whole = rows.rechunk().to_arrow()
    con.register(STAGED, pa.Table.from_batches(whole.to_batches(max_chunksize=ROW_GROUP), schema=whole.schema))
    try:
        yield
    finally:
        with suppress(duckdb.Error):  # in a transaction that was broken off
            con.unregister(STAGED)


def add(con: Connection, fact: FactTable, rows: pl.DataFrame, now: datetime, *, source: str | None = None) -> Added:
    """Add what ``rows`` say that is not stored yet, inside the caller's transaction. Keys in ``rows`` must be unique.

    ``rows`` holds ``fact.columns`` and ``known_at``, the moment the rule gives to a fact first seen; ``source`` stands for a column of
    that name.

    Raises StoreError, and the caller's transaction is rolled back, when the table did not grow by what was meant.
    """
    if rows.is_empty():
        return Added(0, 0, 0)
    news = _news(fact, rows, latest(con, fact, *span(fact, rows)), now)
    if news.is_empty():
        return Added(0, 0, rows.height)
    columns = names(tuple(name for name in news.columns if name in (*fact.columns, "known_at", "version")))
    named = "" if source is None else ", $source as source"
    sql = f"insert into {fact.name} by name select {columns}, $now as recorded_at{named} from {STAGED}"
    total = _count(con, fact)
    with staged(con, news):
        run(con, sql, {"now": now} | ({} if source is None else {"source": source}))
    grown = _count(con, fact) - total
    if grown != news.height:
        raise StoreError(f"{fact.name} must grow by the {news.height} rows written; it grew by {grown}", remedy="try again")
    restated = int((news["version"] > 0).sum())
    return Added(news.height - restated, restated, rows.height - news.height)


def _news(fact: FactTable, rows: pl.DataFrame, stored: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The rows that are the first of their fact or say something else than its last version, with their version and known_at."""
    if stored.is_empty():
        return rows.with_columns(version=pl.lit(0, pl.Int32))
    before = stored.rename({name: f"stored_{name}" for name in fact.values})
    both = rows.join(before, on=list(fact.keys), how="left", maintain_order="left")
    first = pl.col("version").is_null()
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"stored_{name}")) for name in fact.values)
    first_seen = pl.lit(now, pl.Datetime("us", "UTC"))
    seen = first_seen if fact.restated is None else pl.coalesce(fact.restated, first_seen)
    return both.filter(first | changed).select(
        *(name for name in fact.columns if name in rows.columns),
        pl.when(first).then(pl.col("known_at")).otherwise(seen).alias("known_at"),
        (pl.col("version") + 1).fill_null(0).alias("version"),
    )


def latest(con: Connection, fact: FactTable, first: date = ALWAYS, last: date = LAST_DATE) -> pl.DataFrame:
    """Keys, values and version of the last version of every fact, of sessions from ``first`` to ``last`` where it has one."""
    among = "session between $first and $last" if "session" in fact.keys else "$first <= $last"
    sql = f"select {names((*fact.keys, *fact.values))}, version from ({visible(fact, among)})"
    return table(con, sql, {**Cut().params(), "first": first, "last": last})


def last_versions(fact: FactTable, rows: pl.DataFrame) -> pl.DataFrame:
    """Of rows of ``fact``, the one with the last version per key: the rule of :func:`visible` for rows that are out of the store."""
    if rows.is_empty() or not rows["version"].max():
        return rows
    return rows.sort("version").unique(list(fact.keys), keep="last")


def span(fact: FactTable, rows: pl.DataFrame) -> tuple[date, date]:
    """First and last session of ``rows``; all time for facts of no session."""
    if "session" not in fact.keys:
        return ALWAYS, LAST_DATE
    return rows["session"].min(), rows["session"].max()  # type: ignore[return-value]


def _count(con: Connection, fact: FactTable) -> int:
    return int(run(con, f"select count(*) from {fact.name}")[0][0])


def without_repaired(con: Connection, fact: FactTable, rows: pl.DataFrame) -> pl.DataFrame:
    """``rows`` less those that repeat what a repair has put right: a source that says the same again does not undo it."""
    if not run(con, f"select 1 from {fact.name} where source = $repair limit 1", {"repair": REPAIR}):
        return rows
    keys, values = list(fact.keys), list(fact.values)
    sql = f"""
        select {names(fact.keys, "o.")}, {names(fact.values, "o.")} from {fact.name} n join {fact.name} o using ({names(fact.keys)})
        where n.source = $repair and o.version = n.version - 1
    """
    replaced = table(con, sql, {"repair": REPAIR})
    return rows if replaced.is_empty() else rows.join(replaced, on=keys + values, how="anti", maintain_order="left")


def last_recorded(con: Connection) -> datetime | None:
    """The latest ``recorded_at`` of any fact; None in an empty store."""
    clocks = " union all ".join(f"select max(recorded_at) as moment from {fact.name}" for fact in ALL)
    latest: datetime | None = table(con, f"select max(moment) as moment from ({clocks})")["moment"][0]
    return latest
