"""How far the store reaches: what a download asks it before it asks a vendor, and what it notes down afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl

from mech_exo.datasource.fetching import Outcome
from mech_exo.datasource.storage import facts
from mech_exo.datasource.storage.connection import Connection, run, table, transaction
from mech_exo.datasource.storage.facts import Cut

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

DOWNLOADS: dict[str, PolarsDataType] = {
    "kind": pl.String, "source": pl.String, "symbol": pl.String, "status": pl.String, "rows": pl.Int64, "detail": pl.String,
    "asked_at": pl.Datetime("us", "UTC"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reach:
    """``last``: each symbol's last session with a bar; ``delisted``: the symbols with a delisting."""

    last: Mapping[str, date]
    delisted: frozenset[str]

    def alive(self, since: date) -> tuple[str, ...]:
        """Symbols with a bar on or after ``since`` and no delisting, sorted."""
        return tuple(sorted(name for name, day in self.last.items() if day >= since and name not in self.delisted))


def reach(con: Connection) -> Reach:
    """How far the bars reach."""
    gone = run(con, "select distinct symbol from corporate_actions where kind = 'delisting'")
    return Reach(dict(run(con, "select symbol, max(session) from bars group by 1")), frozenset(name for (name,) in gone))


def members(con: Connection, name: str, day: date) -> tuple[str, ...]:
    """Members of the universe ``name`` on ``day``, as known by now, sorted."""
    rows = facts.read(con, facts.UNIVERSE, Cut(), "name = $name and start <= $day and (\"end\" is null or \"end\" > $day)",
                      {"name": name, "day": day})  # fmt: skip
    return tuple(rows["symbol"].unique().sort())


def closes_since(con: Connection, symbols: Collection[str], since: date) -> pl.DataFrame:
    """symbol, date, close as they are known by now, from ``since`` on."""
    rows = facts.read(con, facts.BARS, Cut(), "session >= $since", {"since": since})
    return rows.filter(pl.col("symbol").is_in(list(symbols))).select("symbol", pl.col("session").alias("date"), "close")


def note_downloads(con: Connection, kind: str, source: str, outcomes: Collection[Outcome], now: datetime) -> None:
    """Remember what became of a download."""
    rows = [(kind, source, one.symbol, one.status.value, one.rows, one.detail, now) for one in outcomes]
    if rows:
        con.register(facts.STAGED, pl.DataFrame(rows, schema=DOWNLOADS, orient="row").to_arrow())
        with transaction(con):
            run(con, f"insert into downloads select * from {facts.STAGED}")
        con.unregister(facts.STAGED)


def answered(con: Connection, kind: str, source: str) -> dict[str, datetime]:
    """When each symbol was last asked for with an answer, rows or none (UTC)."""
    sql = """
        select symbol, max(asked_at) as moment from downloads
        where kind = $kind and source = $source and status in ('ok', 'empty') group by 1
    """
    return dict(table(con, sql, {"kind": kind, "source": source}).iter_rows())
