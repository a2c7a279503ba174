"""What the store knows of a night's session, read once: bars, the market as risk sees it, doubts, and of when all of it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.decision.night import Known
from mech_exo.domain.errors import DataError
from mech_exo.reporting.night_parts import Age, Doubt, Quality
from mech_exo.risk.model import Market
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from mech_exo.datasource.quality import QualityReport
    from mech_exo.domain.panel import BarPanel, Universe
    from mech_exo.reporting.dashboard.house import House

RECENT = 300
"""Sessions in which a name must have traded to have a return, and a doubt to be told."""
SLACK = 5
"""Sessions beside a window: the first one has no return."""
READ = {"fundamentals": "company figures", "news": "headlines"}
NEWS = "news_"
"""How the names of inputs made from headlines begin; all others are made from company figures."""


@dataclass(frozen=True, eq=False)
class Evening:
    """The store at the close of ``session``; ``panel`` None: nothing could be read, ``why`` says so.

    ``panel`` holds every stored session, ``recent`` and ``universe`` the last :data:`RECENT` of them; ``newest`` tells by kind when the
    newest fact became known, ``quality`` how the gate judges, ``assessed`` whether it has looked.
    """

    session: date
    panel: BarPanel | None
    recent: BarPanel | None
    universe: Universe | None
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
            view = house.storage.view(session)
            panel = view.panel()
            recent = panel.rows(max(0, len(panel.sessions) - _span(house)), len(panel.sessions))  # the whole history stays on disk
            universe = view.universe(recent, house.config.strategy.universe.name)
            near = house.market(Known(recent, universe))
            market = Market(panel, near.returns, near.name)
            found = report(recent, view.findings())
            return cls(session, panel, recent, universe, market, found, view.assessed(), view.newest(), "")
        except DataError as error:
            return cls(session, None, None, None, None, None, None, {}, error.message)

    @property
    def last_bar(self) -> date | None:
        """The last session with any bar."""
        if self.recent is None:
            return None
        traded = np.flatnonzero((~np.isnan(self.recent.close)).any(axis=1))
        found: date | None = self.recent.sessions[traded[-1]].astype(object) if len(traded) else None
        return found

    @property
    def has_session(self) -> bool:
        """Whether there are bars of this very session."""
        return self.session == self.last_bar

    def sectors(self) -> dict[str, str | None]:
        """Every name's sector as known then; of a name that is not in it nothing is known."""
        if self.recent is None or self.universe is None:
            return {}
        row, universe = len(self.recent.sessions) - 1, self.universe
        return {symbol: universe.sector_name(row, column) for column, symbol in enumerate(self.recent.symbols)}


def _span(house: House) -> int:
    """Sessions that anything but a scenario of long ago looks back at."""
    limits = house.config.risk
    return max(RECENT, limits.risk_model.window + SLACK)


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
    backfilled = evening.universe is not None and evening.universe.backfilled
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
