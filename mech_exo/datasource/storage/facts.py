"""The tables of facts, how a version is added, and which version is visible at a cut: the two-clock rules, once for all tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from mech_exo.datasource.storage.connection import Connection, run, table

ALWAYS = date(1900, 1, 1)
KNOWN_ALWAYS = datetime(1900, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
LAST_DATE = date(9999, 12, 31)
STAGED = "staged_rows"
REPAIR = "repair"  # the source of repaired rows


@dataclass(frozen=True, slots=True)
class FactTable:
    """A table of versioned facts.

    ``keys`` name a fact, ``values`` are what a restatement changes, ``extras`` travel along. ``restated`` is SQL for the moment a
    changed value became known: ``$now`` (first seen) unless a rule says more; ``c`` is the stored and ``s`` the new row.
    """

    name: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    extras: tuple[str, ...] = ()
    restated: str = "$now"

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
    restated='case when c."end" is null and s.ended_at is not null then s.ended_at else $now end',
)
BENCHMARKS = FactTable("benchmarks", ("name", "session"), ("return",))
# Two vendors' figures stand beside each other: neither restates the other.
FUNDAMENTALS = FactTable("fundamental_data", ("symbol", "metric", "period_end", "fiscal_period", "filed", "source"), ("value", "unit"))
NEWS = FactTable("news_data", ("id", "symbol"), ("headline", "source", "url", "published", "sentiment", "sentiment_version"))
# What can be found is known by the rule of the finding itself, however late it was looked for; see docs/data-quality.md.
QUALITY = FactTable(
    "data_quality", ("symbol", "session", "check"), ("verdict", "value", "limit", "evidence", "lasts"), restated="s.known_at"
)
QUALITY_NOTES = FactTable("quality_notes", ("symbol", "session", "check"), ("because",), restated="s.known_at")
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

    def params(self) -> dict[str, date | datetime]:
        """The parameters ``visible`` uses."""
        return {"session": self.session, "known": self.known, "recorded": self.recorded}


def names(columns: tuple[str, ...], prefix: str = "") -> str:
    """A quoted, comma-separated column list."""
    return ", ".join(f'{prefix}"{column}"' for column in columns)


def within(fact: FactTable) -> str:
    """SQL condition of the rows, of any version, within a :class:`Cut`. A fact is visible when one of its rows is."""
    return "known_at <= $known and recorded_at <= $recorded and " + (
        "session <= $session" if "session" in fact.keys else "$session is not null"
    )


def visible(fact: FactTable) -> str:
    """SQL of the rows of ``fact`` visible at a :class:`Cut`: per key the last version among those known and recorded by then."""
    cut = within(fact)
    keys = names(fact.keys)
    return f"""
        select t.* from {fact.name} t
        left join (select {keys}, max(version) as top from {fact.name} where version > 0 and {cut} group by all) r using ({keys})
        where {cut} and t.version = coalesce(r.top, 0)
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


def add(con: Connection, fact: FactTable, rows: pl.DataFrame, now: datetime) -> Added:
    """Add what ``rows`` say that is not stored yet, inside the caller's transaction. Keys in ``rows`` must be unique.

    ``rows`` holds ``fact.columns`` and ``known_at``, the moment the rule gives to a fact first seen.
    """
    if rows.is_empty():
        return Added(0, 0, 0)
    con.register(STAGED, rows.to_arrow())
    before = _restated(con, fact)
    values = names(fact.values, "s."), names(fact.values, "c.")
    changed = f"({values[0]}) is distinct from ({values[1]})" if len(fact.values) > 1 else f"{values[0]} is distinct from {values[1]}"
    keys = names(fact.keys)
    stored = run(
        con,
        f"""
        insert into {fact.name} by name
        select {names(fact.columns, "s.")},
            case when c.version is null then s.known_at else {fact.restated} end as known_at,
            $now as recorded_at, coalesce(c.version + 1, 0) as version
        from {STAGED} s left join (
            select t.* from {fact.name} t
            left join (select {keys}, max(version) as top from {fact.name} where version > 0 group by all) r using ({keys})
            where t.version = coalesce(r.top, 0)
        ) c on {" and ".join(f's."{key}" = c."{key}"' for key in fact.keys)}
        where c.version is null or {changed}
        order by {names(fact.keys, "s.")}
        """,
        {"now": now},
    )[0][0]
    con.unregister(STAGED)
    restated = _restated(con, fact) - before
    return Added(stored - restated, restated, rows.height - stored)


def without_repaired(con: Connection, fact: FactTable, rows: pl.DataFrame) -> pl.DataFrame:
    """``rows`` less those that repeat what a repair has put right: a source that says the same again does not undo it."""
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


def _restated(con: Connection, fact: FactTable) -> int:
    return int(run(con, f"select count(*) from {fact.name} where version > 0")[0][0])
