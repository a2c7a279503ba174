"""When facts came: what a night could not have read, told without reading every night's view of the store."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from mech_exo.datasource.storage import facts
from mech_exo.datasource.storage.connection import Connection, table

BY_SESSION = (facts.BARS, facts.ACTIONS)
"""Facts of a session: a restatement changes the past, whenever it became known."""
BY_TIME = (facts.SECTORS, facts.UNIVERSE, facts.FUNDAMENTALS, facts.NEWS, facts.QUALITY)
"""Facts that every row of a history takes as they were known at its close."""


def arrivals(con: Connection, since: datetime) -> pl.DataFrame:
    """Clocks of the facts recorded after ``since`` and of every restatement: table, session (null: a fact of no session), known_at,
    recorded_at; each combination once."""
    parts = [_clocks(fact, "session") for fact in BY_SESSION] + [_clocks(fact, "null::date") for fact in BY_TIME]
    return table(con, " union all ".join(parts), {"since": since})


def _clocks(fact: facts.FactTable, session: str) -> str:
    return (
        f"select distinct '{fact.name}' as \"table\", {session} as session, known_at, recorded_at "
        f"from {fact.name} where recorded_at > $since or version > 0"
    )
