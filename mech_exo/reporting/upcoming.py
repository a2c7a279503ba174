"""What comes after a night: exits that are near, the next session and the next decision of the whole book, orders that may still trade."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.reporting.night_parts import NearExit, NextSession, Resting, TimeExit, Upcoming
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from mech_exo.decision.strategy import Strategy
    from mech_exo.domain.panel import BarPanel
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId, BookLine, SessionRow
    from mech_exo.utils.settings import StopRules

NEAR = 0.05
"""Levels so close to the price are shown, a fraction of it."""
AHEAD = 5
"""Sessions in which a time stop is looked for."""
HORIZON = 70
"""Sessions looked through for the next decision: a quarter has up to 64."""
NO_EARNINGS = "no source of announcement dates is stored: whether a held company reports before then is unknown"


def upcoming(row: SessionRow, ledger: Ledger, strategy: Strategy, panel: BarPanel | None, began: date) -> Upcoming:
    """What comes after ``row``; ``began`` is the book's first session, ``panel`` the bars stored up to it (None: there are none)."""
    rebalance, note = next_decision(strategy, panel, began, row.session)
    held = [line for line in row.lines if line.shares]
    return Upcoming(
        near=NEAR,
        ahead=AHEAD,
        session=next_session(row.session),
        rebalance=rebalance,
        rebalance_note=note,
        exits=tuple(sorted(_exits(held), key=lambda one: (one.distance, one.symbol, one.kind))),
        time_exits=time_exits(held, row.session, strategy.config.risk.stops),
        resting=resting(ledger, row.book, row.session),
        earnings=(),
        earnings_note=NO_EARNINGS,
    )


def next_session(after: date) -> NextSession:
    """The session after ``after`` and its bells."""
    from mech_exo.execution.booking import CLOSE

    session = calendar.next_session(after)
    closes = calendar.session_close(session)
    return NextSession(session, calendar.session_open(session), closes, closes.astimezone(calendar.NEW_YORK).time() < CLOSE)


def next_decision(strategy: Strategy, panel: BarPanel | None, began: date, after: date) -> tuple[date | None, str]:
    """The first session after ``after`` at whose close the book is decided anew, by the schedule itself; None and why where nobody knows.

    Some schedules count from the first bar the strategy reads, so ``panel`` is needed for them.
    """
    from mech_exo.utils.settings import Every

    if strategy.settings.schedule.every is Every.SIGNAL:
        return None, "the schedule waits for a signal: any close may decide"
    if panel is None and (strategy.settings.schedule.anchor is not None or strategy.settings.schedule.every is not Every.SESSIONS):
        return None, "the schedule counts from the first stored session; no bars are at hand"
    axis = _axis(strategy, panel, began, after)
    place = int(np.searchsorted(axis, np.datetime64(after, "D")))
    rows = strategy.decision_rows(_Sessions(axis), int(np.searchsorted(axis, np.datetime64(began, "D"))), place + 1, len(axis))  # type: ignore[arg-type]
    if not len(rows):
        return None, f"not within {HORIZON} sessions"
    found: date = axis[rows[0]].astype(object)
    return found, ""


class _Sessions:
    """As much of a panel as a schedule reads: its sessions, those to come included."""

    def __init__(self, sessions: np.ndarray) -> None:
        self.sessions = sessions


def _axis(strategy: Strategy, panel: BarPanel | None, began: date, after: date) -> np.ndarray:
    """Sessions from the first the strategy reads to :data:`HORIZON` after ``after``."""
    first = np.datetime64(began, "D")
    if panel is not None:
        start = strategy.config.strategy.history_start
        stored = panel.sessions if start is None else panel.sessions[panel.sessions >= np.datetime64(start, "D")]
        first = min(stored[0], first) if len(stored) else first
    last = min(np.datetime64(after, "D") + 2 * HORIZON, np.datetime64(calendar.LAST_DAY, "D"))
    axis = calendar.sessions(first.astype(object), last.astype(object))
    return axis[: int(np.searchsorted(axis, np.datetime64(after, "D"))) + 1 + HORIZON]


def _exits(held: Sequence[BookLine]) -> Iterator[NearExit]:
    for line in held:
        side = math.copysign(1.0, line.shares)
        for kind, level, toward in (("stop", line.stop, -side), ("target", line.target, side)):
            distance = toward * (level - line.mark) / line.mark
            if distance <= NEAR:  # never where one of them is unknown
                reason = line.stop_reason.value if kind == "stop" else "profit_target"
                yield NearExit(line.symbol, kind, reason, line.stop if kind == "stop" else line.target, line.mark, distance)


def time_exits(held: Sequence[BookLine], session: date, rules: StopRules) -> tuple[TimeExit, ...]:
    """Positions whose time stop ends them within :data:`AHEAD` sessions, by the very rule, as long as nothing else does; soonest first."""
    from mech_exo.risk.stops import StopParams, outlived

    stops = StopParams.of(rules)
    oldest = max((line.age for line in held), default=0)
    now = calendar.ordinal(session)
    days = _around(session, min(oldest, now), AHEAD)
    found = []
    for line in held:
        for k in range(AHEAD):
            row = min(oldest, now) + k
            if outlived(row, line.age + k, days.astype(np.int64), stops):
                found.append(TimeExit(line.symbol, days[row + 1].astype(object), k + 1))
                break
    return tuple(sorted(found, key=lambda one: (one.sessions, one.symbol)))


def _around(session: date, before: int, after: int) -> np.ndarray:
    """``(before + 1 + after,)`` sessions around ``session``."""
    day = np.datetime64(session, "D")
    first, last = day - 2 * before - 10, day + 2 * after + 10
    axis = calendar.sessions(max(first.astype(object), calendar.FIRST_DAY), min(last.astype(object), calendar.LAST_DAY))
    place = int(np.searchsorted(axis, day))
    return axis[place - before : place + after + 1]


def resting(ledger: Ledger, book: BookId, session: date) -> tuple[Resting, ...]:
    """Orders decided by ``session`` that may still trade, as the ledger knows them now: what protects a position, and what it takes on."""
    from mech_exo.execution.rows import OPEN_STATES

    return tuple(
        Resting(
            id=row.order.id,
            symbol=row.order.symbol,
            shares=row.order.shares,
            type=row.order.type.value,
            level=row.order.level,
            protects=row.order.rests or row.order.parent is not None,
            state=row.state.value,
        )
        for row in ledger.orders(book, states=OPEN_STATES)
        if row.decided <= session and (row.order.rests or row.order.parent is not None or row.decided < session)
    )
