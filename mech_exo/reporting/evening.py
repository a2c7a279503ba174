"""What the store knows of a night's session, read once: bars, the market as risk sees it, doubts, and of when all of it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.errors import DataError, MissingDataError
from mech_exo.reporting.night_parts import Age, Doubt, Quality
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from mech_exo.datasource.quality import QualityReport
    from mech_exo.decision.night import Known
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.risk.model import Market

READ = {"fundamentals": "company figures", "news": "headlines"}
NEWS = "news_"
"""How the names of inputs made from headlines begin; all others are made from company figures."""


@dataclass(frozen=True, eq=False)
class Evening:
    """The store at the close of ``session``; ``known`` None: nothing could be read, ``why`` says so.

    ``newest`` tells by kind when the newest fact became known, ``quality`` how the gate judges, ``assessed`` whether it has looked.
    """

    session: date
    known: Known | None
    market: Market | None
    quality: QualityReport | None
    assessed: bool | None
    newest: Mapping[str, datetime | None]
    why: str

    @classmethod
    def of(cls, house: House, session: date) -> Evening:
        """Read the published snapshot as it could be known at the close of ``session``."""
        from mech_exo.datasource.quality import report

        try:
            known = house.seen(session)
            view = house.storage.view(session)
            found = report(known.panel, view.findings())
            return cls(session, known, house.market(known), found, view.assessed(), view.newest(), "")
        except (MissingDataError, DataError) as error:
            return cls(session, None, None, None, None, {}, error.message)

    @property
    def last_bar(self) -> date | None:
        """The last session with any bar."""
        if self.known is None:
            return None
        traded = np.flatnonzero((~np.isnan(self.known.panel.close)).any(axis=1))
        return self.known.panel.sessions[traded[-1]].astype(object) if len(traded) else None

    @property
    def has_session(self) -> bool:
        """Whether there are bars of this very session."""
        return self.known is not None and self.known.as_of == self.session == self.last_bar

    def sectors(self) -> dict[str, str | None]:
        """Every name's sector as known then; of a name that is not in it nothing is known."""
        if self.known is None:
            return {}
        known, row = self.known, self.known.row
        return {symbol: known.universe.sector_name(row, column) for column, symbol in enumerate(known.panel.symbols)}


def quality(evening: Evening, held: Collection[str]) -> Quality:
    """Coverage and doubts of the session; names that are held first, then what blocks, then by symbol."""
    found = evening.quality
    if found is None:
        return Quality(None, None, None, None, (), evening.why)
    doubts = [
        Doubt(one.symbol, one.symbol in held, "block", one.check, one.session, one.evidence, one.clear) for one in found.blocked
    ] + [Doubt(symbol, symbol in held, "warn", "", None, "", f"exo data quality --symbol {symbol}") for symbol in found.warned]
    doubts.sort(key=lambda one: (not one.held, one.verdict, one.symbol, one.check))
    return Quality(found.as_of, found.names, found.coverage, evening.assessed, tuple(doubts), "")


def ages(evening: Evening, scores: date | None, decided: bool, reads: Collection[str]) -> tuple[Age, ...]:
    """Of when each part of the report is; ``scores``: the close that the causes' factor scores are of, ``reads``: inputs of the factors."""
    session = evening.session
    bars = evening.last_bar
    backfilled = evening.known is not None and evening.known.universe.backfilled
    told = "backfilled: taken as known always" if backfilled else ""
    lines = [
        _of_session("ledger", session, session, ""),
        _of_session("decision", session if decided else None, session, "" if decided else "no decision was journaled"),
        _of_session("bars", bars, session, evening.why),
        _of_session("factor scores of the causes", scores, session, "" if scores else "unknown"),
        _of_session("sectors and members", bars, session, told or evening.why),
    ]
    kinds = {"news" if one.startswith(NEWS) else "fundamentals" for one in reads}
    for kind, name in READ.items():
        at = evening.newest.get(kind)
        note = evening.why or ("" if at else "none stored") if kind in kinds else "not read by the configured factors"
        lines.append(Age(name, None, at, _sessions_since(at, session), note))
    return tuple(lines)


def _of_session(part: str, session: date | None, now: date, note: str) -> Age:
    return Age(part, session, None, None if session is None else _sessions(session, now), note)


def _sessions_since(at: datetime | None, now: date) -> int | None:
    """Sessions from the last one closed by ``at``; None before the calendar begins."""
    return None if at is None or at.date() <= calendar.FIRST_DAY else _sessions(calendar.latest_session(at), now)


def _sessions(then: date, now: date) -> int:
    """Sessions from one to the other."""
    return calendar.ordinal(now) - calendar.ordinal(then)
