"""What the ledger tells of each booked session, in the form in which a replay takes over what happened."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.domain.orders import OrderReason, OrderState
from mech_exo.domain.verdict import RiskState

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.ledger_journal import Decided
    from mech_exo.execution.rows import BookedDay, BookId, DayFigures, EventLine, OrderRow, SessionRow

ORDER, FILLED = "order", "filled"
EXITS = ("stop", "target")
NOT_DECIDED = (OrderReason.FLATTEN, OrderReason.NONE)
"""Orders that no decision made: the operator's, and the one share that tries a connection."""
WITHDRAWN = "cancelled before it was sent"
HALTED = "halted:"


@dataclass(frozen=True, slots=True)
class Traded:
    """Executions taken together: signed ``shares``, average ``price`` and ``reference`` in USD (NaN unknown), ``commission`` in USD."""

    shares: float
    price: float
    reference: float
    commission: float
    kind: str
    reason: OrderReason


@dataclass(frozen=True, slots=True)
class Told:
    """One symbol in one session, as booked.

    ``held`` shares before the session; ``ordered`` by the decision (signed; ``withdrawn`` of them by the operator, or held back because he
    had halted); ``ending`` says how what was left of the order ended. ``traded`` is the decided order's, ``exit`` a stop's or target's,
    ``flattened`` the operator's, ``given`` shares he accepted. ``split`` and ``dividend`` (USD a share) as booked; ``ended``: the price a
    delisting was booked at, None where none was.
    """

    held: float = 0.0
    kept: float = 0.0
    ordered: float = 0.0
    withdrawn: float = 0.0
    note: str = ""
    ending: str = ""
    traded: Traded | None = None
    exit: Traded | None = None
    flattened: Traded | None = None
    given: Traded | None = None
    split: float = 1.0
    dividend: float = 0.0
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class BookedNight:
    """A booked session: its figures, its decision (None: the night was not run), every name that something is told of.

    ``received``: USD by symbol (None: of no symbol) that the operator accepted beside shares. ``stored_until``: what the night could read.
    """

    session: date
    day: DayFigures
    decided: Decided | None
    stored_until: datetime | None
    told: Mapping[str, Told]
    received: Mapping[str | None, float] = field(default_factory=dict)

    @property
    def halted(self) -> bool:
        """Whether new risk was forbidden by a halt when this night decided."""
        return self.day.state is RiskState.HALTED


@dataclass(frozen=True, slots=True)
class Account:
    """The booked sessions that are looked at, the one before them (None: the book begins with them), and every day booked earlier."""

    book: BookId
    began: date
    before: SessionRow | None
    earlier: tuple[BookedDay, ...]
    nights: tuple[BookedNight, ...]

    @property
    def opening(self) -> float:
        """NAV in USD before the first session; of a new book what its first session says it began with."""
        if self.before is not None:
            return self.before.day.nav
        day = self.nights[0].day
        paid = day.price_pnl + day.dividends + day.interest - day.borrow - day.commission - day.slippage
        return round(day.nav - day.flow - paid, 6)


def booked(ledger: Ledger, book: BookId, first: date | None = None, last: date | None = None) -> Account:
    """The account from ``first`` to ``last`` (both included; None: all).

    Raises
    ------
    MissingDataError
        Nothing is booked, or nothing in these days, or the NAV of one of them or of the session before is unknown.
    InputError
        ``first`` comes after ``last``.
    """
    if first is not None and last is not None and first > last:
        raise InputError(f"a range begins before it ends; got {first} to {last}", remedy="exchange the two dates")
    history = ledger.day_history(book)
    if not history:
        raise MissingDataError(f"drift needs booked sessions; {book} has none", remedy="exo run --mode paper --date YYYY-MM-DD")
    chosen = [one for one in history if (first is None or one.session >= first) and (last is None or one.session <= last)]
    if not chosen:
        said = f"{history[0].session} to {history[-1].session} are booked"
        raise MissingDataError(f"no session of {book} is booked from {first or 'the start'} to {last or 'the end'}; {said}")
    start, end = chosen[0].session, chosen[-1].session
    earlier = tuple(one for one in history if one.session < start)
    unknown = next((one.session for one in (*earlier[-1:], *chosen) if not math.isfinite(one.day.nav)), None)
    if unknown is not None:
        raise MissingDataError(f"drift needs the NAV of every session; that of {unknown} is unknown", remedy="--range that leaves it out")
    before = ledger.session(book, earlier[-1].session) if earlier else None
    return Account(book, history[0].session, before, earlier, _nights(ledger, book, chosen, start, end, before))


def _nights(
    ledger: Ledger, book: BookId, chosen: Sequence[BookedDay], start: date, end: date, before: SessionRow | None
) -> tuple[BookedNight, ...]:
    decided = {one.session: one for one in ledger.nights(book)}
    events = dict(ledger.events(book))
    orders: dict[date, list[OrderRow]] = defaultdict(list)
    for row in ledger.orders(book):
        if start <= row.order.session <= end and not row.order.rests and row.order.parent is None and row.order.reason not in NOT_DECIDED:
            orders[row.order.session].append(row)
    held = {} if before is None else {line.symbol: int(line.shares) for line in before.lines if line.shares}
    closes = ledger.holdings(book, start, end)
    accepted = _accepted(ledger, book, before, [one.session for one in chosen])
    nights, until = [], _stored(chosen, decided)
    for one in chosen:
        day = one.session
        lines = events.get(day, ())
        told = _told(lines, orders.get(day, ()), held, closes.get(day, {}))
        nights.append(BookedNight(day, one.day, decided.get(day), until[day], told, _received(accepted.get(day, {}), told)))
        held = closes.get(day, {})
    return tuple(nights)


def _stored(chosen: Sequence[BookedDay], decided: Mapping[date, Decided]) -> dict[date, datetime | None]:
    """What each night could read: a session booked later was booked by the next night that was run."""
    found: dict[date, datetime | None] = {}
    until: datetime | None = None
    for one in reversed(chosen):
        night = decided.get(one.session)
        if night is not None:
            until = night.stored_until or night.recorded_at
        found[one.session] = until
    return found


def _accepted(ledger: Ledger, book: BookId, before: SessionRow | None, sessions: Sequence[date]) -> dict[date, dict[str | None, float]]:
    """USD accepted beside shares, by the session it was booked with and by symbol."""
    rows = ledger.accepted(book)
    if not rows:
        return {}
    entries = [ledger.booked_at(book, session) for session in sessions]
    at = [entry.at for entry in entries if entry is not None]
    former = None if before is None else ledger.booked_at(book, before.session)
    found: dict[date, dict[str | None, float]] = {}
    for row in rows:
        place = bisect_right(at, row.at)
        if place < len(sessions) and (former is None or row.at >= former.at):
            by = found.setdefault(sessions[place], defaultdict(float))
            by[row.symbol] += row.cash
    return found


def _received(cash: Mapping[str | None, float], told: Mapping[str, Told]) -> dict[str | None, float]:
    """Accepted shares were booked at a price and with the cash they cost, so that they came for nothing: the cash goes with them."""
    found = dict(cash)
    for symbol, one in told.items():
        if one.given is not None:
            found[symbol] = found.get(symbol, 0.0) + one.given.shares * one.given.price
    return {symbol: value for symbol, value in found.items() if value}


def _told(lines: Sequence[EventLine], orders: Iterable[OrderRow], held: Mapping[str, int], kept: Mapping[str, int]) -> dict[str, Told]:
    rows: dict[str, list[OrderRow]] = defaultdict(list)
    for row in orders:
        rows[row.order.symbol].append(row)
    by: dict[str, list[EventLine]] = defaultdict(list)
    for line in lines:
        by[line.symbol].append(line)
    return {
        symbol: _of(by.get(symbol, []), rows.get(symbol, []), held.get(symbol, 0), kept.get(symbol, 0))
        for symbol in held.keys() | rows.keys() | by.keys()
    }


def _of(lines: Sequence[EventLine], rows: Sequence[OrderRow], held: int, kept: int) -> Told:
    done = [line for line in lines if line.outcome == FILLED]
    own = [line for line in done if line.kind == ORDER]
    given = [line for line in own if line.reason is OrderReason.CORPORATE_ACTION]
    flattened = [line for line in own if line.reason is OrderReason.FLATTEN]
    decided = [line for line in own if line.reason not in (OrderReason.CORPORATE_ACTION, OrderReason.FLATTEN)]
    left = [line.outcome for line in lines if line.kind == ORDER and line.outcome != FILLED]
    withdrawn = [row for row in rows if _withdrawn(row)]
    ended = [line.price for line in done if line.kind == "delisting"]
    return Told(
        held=float(held),
        kept=float(kept),
        ordered=float(sum(row.order.shares for row in rows)),
        withdrawn=float(sum(row.order.shares for row in withdrawn)),
        note=next((row.note for row in rows if row.filled != row.order.shares), ""),
        ending=left[0] if left else "",
        traded=_together(decided),
        exit=_together([line for line in done if line.kind in EXITS]),
        flattened=_together(flattened),
        given=_together(given),
        split=math.prod(line.price for line in done if line.kind == "split"),
        dividend=math.fsum(line.price for line in done if line.kind == "dividend"),
        ended=ended[0] if ended else None,
    )


def _withdrawn(row: OrderRow) -> bool:
    if row.state is OrderState.DENIED:
        return row.note.startswith(HALTED)
    return row.state is OrderState.CANCELLED and row.note == WITHDRAWN


def _together(lines: Sequence[EventLine]) -> Traded | None:
    """The executions as one; None where there are none, or where they cancel out."""
    shares = sum(line.shares for line in lines)
    if not shares:
        return None
    if len(lines) == 1:  # to the last bit
        (line,) = lines
        return Traded(line.shares, line.price, line.reference, line.commission, line.kind, line.reason)
    price = math.fsum(line.shares * line.price for line in lines) / shares
    reference = math.fsum(line.shares * line.reference for line in lines) / shares
    return Traded(shares, price, reference, math.fsum(line.commission for line in lines), lines[0].kind, lines[0].reason)
