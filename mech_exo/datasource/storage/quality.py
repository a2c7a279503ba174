"""What the quality gate reads beside the bars, and how its findings are stored. All its SQL."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime

import polars as pl

from mech_exo.datasource import base
from mech_exo.datasource.columns import renamed, typed
from mech_exo.datasource.inspection import Reason
from mech_exo.datasource.storage import facts
from mech_exo.datasource.storage.connection import Connection, run, table, transaction
from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.panel import PRICE_FIELDS
from mech_exo.utils import calendar

AT_FAULT = (Reason.NO_PRICE, Reason.PRICE, Reason.VOLUME, Reason.RANGE, Reason.CONFLICT)
ASSESSED = "quality:assessed"


class QualityTables:
    """The tables of the quality gate. Made by :meth:`mech_exo.datasource.storage.DataStorage.quality`."""

    def __init__(self, con: Connection, clock: Callable[[datetime | None], datetime], writing: Callable[[], None]) -> None:
        self._con, self._clock, self._writing = con, clock, writing

    def refused(self) -> pl.DataFrame:
        """symbol, session, open … volume, reason: quarantined rows whose prices were at fault; the last one of each cell."""
        rows = table(self._con, 'select "row", reason, file from quarantine order by recorded_at')
        rows = rows.filter(pl.col("reason").is_in([reason.value for reason in AT_FAULT]))
        parts = []
        for part in rows.partition_by("file", maintain_order=True):
            told = pl.DataFrame([json.loads(row) for row in part["row"]], infer_schema_length=None, strict=False)
            frame = typed(renamed(told, base.BARS, base.BAR_EXTRAS, what="quarantine"), {**base.BARS, **base.BAR_EXTRAS})
            parts.append(frame.select("symbol", pl.col("date").alias("session"), *PRICE_FIELDS, "volume", part["reason"]))
        schema = {"symbol": pl.String, "session": pl.Date, **dict.fromkeys((*PRICE_FIELDS, "volume"), pl.Float64), "reason": pl.String}
        every = pl.concat([pl.DataFrame(schema=schema), *parts])
        return every.drop_nulls(["symbol", "session"]).unique(["symbol", "session"], keep="last", maintain_order=True)

    def disputes(self) -> pl.DataFrame:
        """symbol, session, value, evidence: bars of one source that took the place of another's; value is how far the closes differ."""
        sql = """
            select n.symbol, n.session, n.close / o.close - 1.0 as value,
                n.source || ' says ' || printf('%.4f', n.close) || ', ' || o.source || ' said ' || printf('%.4f', o.close) as evidence
            from bars n join bars o on n.symbol = o.symbol and n.session = o.session and o.version = n.version - 1
            where n.version > 0 and n.source <> o.source and n.source <> $repair order by n.symbol, n.session, n.version
        """
        return table(self._con, sql, {"repair": facts.REPAIR}).unique(["symbol", "session"], keep="last", maintain_order=True)

    def foreign(self) -> pl.DataFrame:
        """symbol, session, unit: the first session by which a report in another currency than USD was known, by symbol."""
        sql = """
            select symbol, arg_min(unit, known_at) as unit, min(known_at) as known_at from fundamental_data
            where regexp_matches(unit, '^[A-Z]{3}([/-].*)?$') and unit not like 'USD%' group by symbol order by symbol
        """
        rows = table(self._con, sql)
        days = [_first_close(moment) for moment in rows["known_at"]]
        return rows.with_columns(session=pl.Series(days, dtype=pl.Date)).select("symbol", "session", "unit")

    def late(self) -> pl.DataFrame:
        """symbol, session, known_at: bars and actions that became known after their session: restated or repaired."""
        one = "select symbol, session, known_at from {} where version > 0 or source = $repair"
        sql = " union all ".join(one.format(fact.name) for fact in (facts.BARS, facts.ACTIONS))
        return table(self._con, f"select * from ({sql}) order by symbol, session", {"repair": facts.REPAIR})

    def state(self) -> str:
        """Changes with everything the gate reads of the store."""
        parts = [f"(select count(*) || ':' || coalesce(max(recorded_at)::varchar, '') from {name})" for name in
                 ("bars", "corporate_actions", "quality_notes", "quarantine", "fundamental_data")]  # fmt: skip
        return str(run(self._con, "select " + " || ' ' || ".join(parts))[0][0])

    def assessed(self) -> str | None:
        """What :func:`record` was last told of the state it assessed."""
        rows = run(self._con, "select value from meta where key = $key order by recorded_at desc limit 1", {"key": ASSESSED})
        return str(rows[0][0]) if rows else None

    def record(self, findings: pl.DataFrame, basis: str, *, taken_back_at: datetime, now: datetime | None) -> facts.Added:
        """Store what changed among ``findings`` (the columns of ``facts.QUALITY`` and known_at); what is no longer found is taken back."""
        now = self._clock(now)
        keys = list(facts.QUALITY.keys)
        stored = facts.read(self._con, facts.QUALITY, facts.Cut()).filter(pl.col("verdict").is_not_null())
        gone = stored.join(findings, on=keys, how="anti").select(*keys, *facts.QUALITY.values)
        back = pl.lit(taken_back_at).dt.convert_time_zone("UTC")
        gone = gone.with_columns(pl.lit(None, pl.String).alias("verdict"), back.alias("known_at"))
        with transaction(self._con):
            added = facts.add(self._con, facts.QUALITY, pl.concat([findings.select(gone.columns), gone]), now)
            run(self._con, "insert into meta values ($key, $value, $now)", {"key": ASSESSED, "value": basis, "now": now})
        return added

    def repair(self, bars: pl.DataFrame, actions: pl.DataFrame, known_at: datetime, now: datetime | None) -> int:
        """Store ``bars`` and ``actions`` of a repair as new versions, known at ``known_at``; how many rows changed."""
        now = self._clock(now)
        changed = 0
        with transaction(self._con):
            for fact, rows in ((facts.BARS, bars), (facts.ACTIONS, actions)):
                said = rows.with_columns(source=pl.lit(facts.REPAIR), known_at=pl.lit(known_at).dt.convert_time_zone("UTC"))
                added = facts.add(self._con, replace(fact, restated=pl.col("known_at")), said, now)
                changed += added.new + added.restated
        return changed

    def notes(self) -> pl.DataFrame:
        """symbol, session, check, because, said_at: findings a person has accepted, and since when that is known."""
        rows = facts.read(self._con, facts.QUALITY_NOTES, facts.Cut())
        return rows.select(*facts.QUALITY_NOTES.keys, "because", pl.col("known_at").alias("said_at"))

    def accept(self, symbol: str, session: date, check: str, because: str, now: datetime | None = None) -> None:
        """Journal that a person accepts a finding; known from the last close on. Raises InputError where there is no such finding."""
        stored = facts.read(self._con, facts.QUALITY, facts.Cut(), "symbol = $symbol", {"symbol": symbol})
        open_ones = stored.filter(pl.col("verdict").is_in(["warn", "block"]))
        if open_ones.filter((pl.col("session") == session) & (pl.col("check") == check)).is_empty():
            known = ", ".join(f"{row[1]} {row[0]}" for row in open_ones.sort("session").tail(5).select("check", "session").iter_rows())
            raise InputError(
                f"what is accepted must have been found; {cut(symbol)} has no {cut(check)} at {session}",
                remedy=f"its last findings: {known}" if known else f"exo data quality --symbol {cut(symbol)}",
            )
        now = self._clock(now)
        moment = calendar.session_close(calendar.latest_session(now))
        row = {"symbol": [symbol], "session": [session], "check": [check], "because": [because], "known_at": [moment]}
        with transaction(self._con):
            facts.add(self._con, facts.QUALITY_NOTES, pl.DataFrame(row), now)


def assessed_at(con: Connection, cut: facts.Cut | None = None) -> datetime | None:
    """When the data were last assessed (UTC), as recorded by ``cut``; None: never."""
    sql = "select max(recorded_at) as moment from meta where key = $key and recorded_at <= $recorded"
    moment: datetime | None = table(con, sql, {"key": ASSESSED, "recorded": (cut or facts.Cut()).recorded})["moment"][0]
    return moment


def _first_close(moment: datetime) -> date:
    """The session at whose close an instant's news is first known."""
    last = calendar.latest_session(moment)
    return last if calendar.session_close(last) == moment else calendar.next_session(last)
