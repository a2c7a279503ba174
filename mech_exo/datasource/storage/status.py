"""The store at a glance, for ``exo data status``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from mech_exo.datasource.storage import facts, publish
from mech_exo.datasource.storage.connection import Connection, run, schema_version, table
from mech_exo.datasource.storage.summary import Status
from mech_exo.datasource.storage.view import StoreView, stale_sessions

BY_YEAR = "select year(session), count(*), count(distinct symbol) from bars where version = 0 group by 1 order by 1"
FLAGGED = f"select \"check\", count(*) from ({facts.visible(facts.QUALITY)}) where verdict in ('warn', 'block') group by 1 order by 1"
SPANS = "select name, min(session), max(session) from benchmarks group by 1 order by 1"


def status(con: Connection, path: Path, now: datetime) -> Status:
    """Coverage, staleness against the last session closed by ``now``, sources, other facts, quarantine and the snapshot."""
    sql = "select count(*), count(distinct symbol), min(session), max(session) from bars where version = 0"
    bars, symbols, first, last = run(con, sql)[0]
    snapshot = path if path.parent.name == publish.FOLDER else publish.current(path)
    return Status(
        path=str(path),
        schema_version=schema_version(con),
        bars=bars,
        symbols=symbols,
        first=first,
        last=last,
        stale_sessions=stale_sessions(last, now),
        restated=_count(con, "bars where version > 0"),
        bars_by_year={year: (count, names) for year, count, names in run(con, BY_YEAR)},
        sources=_mapping(con, "select substr(key, 13), value from meta where key like 'price_basis:%' order by 1"),
        actions=_mapping(con, "select kind, count(*) from corporate_actions where version = 0 group by 1 order by 1"),
        sectors=_count(con, "(select distinct symbol from sectors)"),
        sectors_backfilled=bool(_count(con, "sectors where backfilled")),
        universes=_mapping(con, "select name, count(distinct symbol) from universe group by 1 order by 1"),
        benchmarks={name: (begin, end) for name, begin, end in run(con, SPANS)},
        fundamentals=_count(con, "fundamental_data where version = 0"),
        news=_count(con, "news_data where version = 0"),
        flagged=_mapping(con, FLAGGED),
        quarantined=_mapping(con, "select reason, count(*) from quarantine group by 1 order by 2 desc"),
        snapshot=snapshot.stem if snapshot else None,
        last_recorded=facts.last_recorded(con),
        warnings=StoreView(con, None, None, None, path).warnings(),
    )


SOURCES = " union all ".join(
    f"select '{kind}' as kind, source, count(*) as rows, max(known_at) as known_at, max(recorded_at) as recorded_at from {fact.name} "
    "group by source"
    for kind, fact in (("bars", facts.BARS), ("splits and dividends", facts.ACTIONS), ("company figures", facts.FUNDAMENTALS),
                       ("headlines", facts.NEWS))
)  # fmt: skip


def sources(con: Connection) -> pl.DataFrame:
    """kind, source, rows, known_at and recorded_at (UTC) of its newest row: who told what, and when last."""
    return table(con, f"select * from ({SOURCES}) order by kind, source")


def quarantined_rows(con: Connection, limit: int) -> pl.DataFrame:
    """The last ``limit`` quarantined rows, newest first."""
    return table(con, 'select "row", reason, file, recorded_at from quarantine order by recorded_at desc limit $limit', {"limit": limit})


def _count(con: Connection, what: str) -> int:
    return int(run(con, f"select count(*) from {what}")[0][0])


def _mapping(con: Connection, sql: str) -> dict[str, Any]:
    params = facts.Cut().params() if "$known" in sql else None
    return {str(key): value for key, value in run(con, sql, params)}
