"""Live against backtest, in dollars: what an account earned less what a replay of the same days earns, and why.

The replay plays the book's own sessions from its own state with the decision path of the backtest. The causes are taken over one after
the other from what really happened, each on top of those before it (:data:`TAKEN_OVER`), and each is what its step changed: so they add
up to the difference exactly, whatever it is. What is left when all are taken over is the residual. docs/drift.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from mech_exo.domain.errors import DataError
from mech_exo.kernels import code_version
from mech_exo.reporting.drift.course import Course, play
from mech_exo.reporting.drift.facts import Account, booked
from mech_exo.reporting.drift.market import KnownWith, Market
from mech_exo.reporting.drift.values import Cause, DriftDay, DriftParts, DriftPosition, DriftReport
from mech_exo.utils.log import mask_accounts

if TYPE_CHECKING:
    from mech_exo.decision.night import Known
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.utils.settings import Config

TAKEN_OVER = (Cause.LATE_DATA, Cause.CORPORATE_ACTION, Cause.MANUAL, Cause.MISSED, Cause.PRICE, Cause.COSTS)
"""The order in which causes are put in the place of what the replay would have done: what was known, what was booked of splits, dividends
and delistings, what a person did, what became of the orders, at which price, at which cost. A cause takes its consequences with it."""
MOST_EVENTS = 500
CENT = 0.005


def drift(
    house: House, ledger: Ledger, book: BookId, first: date | None = None, last: date | None = None, patience: float = math.inf
) -> DriftReport:
    """The booked sessions of ``book`` from ``first`` to ``last`` (both included; None: all) beside their replay.

    Raises
    ------
    DataError
        It took longer than ``patience`` seconds: given up at the next course or past night, with nothing half made.
    MissingDataError
        Nothing is booked in these days, none of them was decided, or the store lacks one of them.
    InputError
        ``first`` comes after ``last``.
    """
    account = booked(ledger, book, first, last)
    check = _until(time.monotonic() + patience, patience)
    market = Market(ledger, account, _checked(house.known_with, check), house.storage.arrivals)
    courses = _courses(account, market, check)
    replay = courses[0]
    days = tuple(_day(account, courses, k) for k in range(len(account.nights)))
    events = [event for course in courses for event in course.events]
    events.sort(key=lambda event: (event.session, event.symbol, event.cause))
    return DriftReport(
        book=mask_accounts(str(book)),
        start=account.nights[0].session,
        end=account.nights[-1].session,
        made=ledger.now(),
        code_version=code_version(),
        nav=account.nights[-1].day.nav,
        live_pnl=math.fsum(day.live_pnl for day in days),
        replay_pnl=math.fsum(day.replay_pnl for day in days),
        parts=DriftParts.summed(day.parts for day in days),
        days=days,
        positions=_positions(ledger, account, replay),
        events=tuple(events[-MOST_EVENTS:]),
        notes=_notes(account, market, days, len(events)),
    )


def _until(end: float, patience: float) -> Callable[[], None]:
    """What refuses to go on after ``end``."""

    def check() -> None:
        if time.monotonic() > end:
            raise DataError(f"the replay took longer than {patience:.0f} seconds and was given up", remedy="exo report drift")

    return check


def _checked(known_with: KnownWith, check: Callable[[], None]) -> KnownWith:
    """As ``known_with``, refusing first what comes too late: reading back a past night is what takes long."""

    def read(config: Config, as_of: date | None, recorded_by: datetime | None) -> Known:
        check()
        return known_with(config, as_of, recorded_by)

    return read


def _courses(account: Account, market: Market, check: Callable[[], None]) -> list[Course]:
    """The replay, and one course more for each cause taken over; a cause that nothing speaks of changes nothing."""
    courses = [play(market, ())]
    for number, cause in enumerate(TAKEN_OVER, 1):
        check()
        if _spoken_of(cause, account, market):
            courses.append(play(market, TAKEN_OVER[:number]))
        else:
            courses.append(Course(courses[-1].pnl, courses[-1].held, ()))
    return courses


def _spoken_of(cause: Cause, account: Account, market: Market) -> bool:
    if cause is Cause.LATE_DATA:
        return bool(market.late)
    if cause is Cause.CORPORATE_ACTION:
        return bool(market.differing)
    if cause is Cause.MANUAL:
        acted = (told.withdrawn or told.given or told.flattened for night in account.nights for told in night.told.values())
        return any(night.halted or night.received for night in account.nights) or any(acted)
    return True


def _day(account: Account, courses: Sequence[Course], k: int) -> DriftDay:
    night = account.nights[k]
    before = account.opening if k == 0 else account.nights[k - 1].day.nav
    live = night.day.nav - before - night.day.flow
    parts = {cause.value: float(now.pnl[k] - former.pnl[k]) for cause, former, now in zip(TAKEN_OVER, courses, courses[1:], strict=False)}
    parts["residual"] = live - float(courses[-1].pnl[k])
    held = {symbol: told.kept for symbol, told in night.told.items() if told.kept}
    apart = sum(held.get(symbol, 0) != courses[0].held[k].get(symbol, 0) for symbol in held.keys() | courses[0].held[k].keys())
    return DriftDay(night.session, live, float(courses[0].pnl[k]), DriftParts(**parts), apart)


def _positions(ledger: Ledger, account: Account, replay: Course) -> tuple[DriftPosition, ...]:
    row = ledger.session(account.book, account.nights[-1].session)
    lines = {} if row is None else {line.symbol: line for line in row.lines if line.shares}
    found = []
    for symbol in sorted(lines.keys() | replay.held[-1].keys()):
        ours, theirs = int(lines[symbol].shares) if symbol in lines else 0, replay.held[-1].get(symbol, 0)
        if ours != theirs:
            mark = lines[symbol].mark if symbol in lines else math.nan
            found.append(DriftPosition(symbol, ours, theirs, mark if math.isfinite(mark) else None))
    return tuple(found)


def _notes(account: Account, market: Market, days: Sequence[DriftDay], events: int) -> tuple[str, ...]:
    said = []
    unexplained = any(abs(day.parts.residual) >= CENT for day in days)
    others = {night.decided.code_version for night in account.nights if night.decided is not None} - {code_version()}
    if others and unexplained:
        nights = sum(night.decided is not None and night.decided.code_version in others for night in account.nights)
        said.append(f"{nights} of {len(account.nights)} nights were decided by another version of the code: what that changed is residual")
    hashes = {night.decided.config_hash for night in account.nights if night.decided is not None}
    if len(hashes) > 1:
        said.append(f"the configuration changed {len(hashes) - 1} times or more: each night is replayed with its own")
    if market.forgotten:
        count = len(market.forgotten)
        said.append(f"what {count} night{'s' if count > 1 else ''} had in hand cannot be read any more: replayed with what is known now")
    missed = sum(night.decided is None for night in account.nights)
    if missed:
        said.append(f"{missed} of {len(account.nights)} nights were not run; the replay decides at them")
    if events > MOST_EVENTS:
        said.append(f"{events - MOST_EVENTS} earlier differences are left out of the list; the sums hold all")
    return tuple(said)
