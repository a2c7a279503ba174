"""Between the kernels' records and the ledger's rows: the same figures to the last bit, columns by name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time

import numpy as np

from mech_exo.domain.errors import DataError
from mech_exo.domain.orders import Fill, Order, OrderKey, OrderReason, OrderType
from mech_exo.domain.portfolio import Position
from mech_exo.domain.verdict import RiskState
from mech_exo.execution.rows import BookedDay, BookId, BookLine, DayFigures, EventLine
from mech_exo.kernels.account import new_book, new_days
from mech_exo.kernels.records import BOOK, DAY, EventKind, Outcome, Reason
from mech_exo.kernels.records import RiskState as RiskCode
from mech_exo.utils import calendar

FIELDS = BOOK.names or ()
REASON_FIELDS = frozenset({"stop_reason", "order_reason", "order_stop_reason"})
WHOLE_FIELDS = frozenset({"missing", "age", "order_kind", "order_keep"})
FILL_KINDS = frozenset({"order", "stop", "target", "delisting", "stale_close"})
"""Kinds of events that change a holding by an execution."""
OPEN, CLOSE = clock_time(9, 30), clock_time(16, 0)


def reason_of(code: int) -> OrderReason:
    """The domain's name for a kernel's Reason."""
    return OrderReason[Reason(code).name]


def code_of(reason: OrderReason) -> int:
    """The kernel's Reason for the domain's name."""
    return int(Reason[reason.name])


def lines_of(symbols: Sequence[str], book: np.ndarray) -> tuple[BookLine, ...]:
    """The lines of ``book`` ``(N,)`` BOOK that hold something, have an order or the rest of one, in symbol order."""
    live = np.flatnonzero((book["shares"] != 0.0) | (book["order"] != 0.0) | (book["rest"] != 0.0))
    return tuple(_line(symbols[s], book[s]) for s in live.tolist())


def _line(symbol: str, position: np.void) -> BookLine:
    values: dict[str, float | int | OrderReason] = {}
    for name, value in zip(FIELDS, position.tolist(), strict=True):
        # The kernel's ±inf best price means "no bar seen since entry": unknown, which is what the ledger can hold.
        values[name] = reason_of(value) if name in REASON_FIELDS else (math.nan if name == "best" and math.isinf(value) else value)
    return BookLine(symbol, **values)  # type: ignore[arg-type]


def book_of(symbols: Sequence[str], lines: Iterable[BookLine]) -> np.ndarray:
    """``(N,)`` BOOK with ``lines`` at the columns of their symbols. DataError names held symbols the columns lack."""
    book = new_book(len(symbols))
    columns = {symbol: s for s, symbol in enumerate(symbols)}
    absent = sorted(line.symbol for line in lines if line.symbol not in columns)
    if absent:
        raise DataError(
            f"the bars must hold every symbol of the book; missing: {', '.join(absent)}",
            remedy="load the panel with these symbols too (an unknown price is a row of NaN, not a missing column)",
        )
    for line in lines:
        book[columns[line.symbol]] = tuple(_number(name, line) for name in FIELDS)
    return book


def _number(name: str, line: BookLine) -> float | int:
    value = getattr(line, name)
    if name in REASON_FIELDS:
        return code_of(value)
    if name == "best" and math.isnan(value) and line.shares != 0.0:
        return -math.inf if line.shares > 0.0 else math.inf
    return int(value) if name in WHOLE_FIELDS else float(value)


def position_of(line: BookLine, session: date, sector: str | None) -> Position:
    """A line of the book as it stood at ``session``: entered ``age`` sessions before, at its average cost."""
    opened = calendar.sessions(session - timedelta(days=2 * line.age + 15), session)[-1 - line.age].astype(object)
    levels = (level if level > 0.0 else None for level in (line.stop, line.target))  # NaN is none
    entered = datetime(opened.year, opened.month, opened.day, tzinfo=UTC)
    return Position(line.symbol, int(line.shares), line.cost, line.mark, entered, sector, *levels)


def figures_of(day: np.void) -> DayFigures:
    """One DAY record as the ledger's row."""
    numbers = {name: float(day[name]) for name in DAY.names or () if name != "state"}
    return DayFigures(**numbers, state=RiskState[RiskCode(int(day["state"])).name])


def history_of(booked: Sequence[BookedDay]) -> tuple[np.ndarray, np.ndarray]:
    """Sessions ``(T,)`` and DAY ``(T,)`` of the booked sessions, in order."""
    days = new_days(len(booked))
    for row, one in enumerate(booked):
        for name in DAY.names or ():
            days[name][row] = int(RiskCode[one.day.state.name]) if name == "state" else getattr(one.day, name)
    return np.array([one.session for one in booked], "datetime64[D]"), days


def days_on(sessions: np.ndarray, booked: np.ndarray, history: np.ndarray) -> np.ndarray:
    """``(T,)`` DAY: ``history`` of the sessions ``booked``, laid on ``sessions`` ``(T,)``; the others stay unknown."""
    days = new_days(len(sessions))
    rows = np.searchsorted(sessions, booked)
    inside = rows < len(sessions)
    inside[inside] = sessions[rows[inside]] == booked[inside]
    days[rows[inside]] = history[inside]
    return days


def events_of(symbols: Sequence[str], events: np.ndarray) -> tuple[EventLine, ...]:
    """EVENT records as the ledger's lines, in the order they happened."""
    return tuple(_event(symbols, event) for event in events)


def _event(symbols: Sequence[str], event: np.void) -> EventLine:
    return EventLine(
        symbol=symbols[event["symbol"]],
        kind=EventKind(event["kind"]).name.lower(),
        outcome=Outcome(event["outcome"]).name.lower(),
        reason=reason_of(event["reason"]),
        shares=float(event["shares"]),
        price=float(event["price"]),
        reference=float(event["reference"]),
        commission=float(event["commission"]),
        cash=float(event["cash"]),
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """What was at the broker when a session began: the session's order of each symbol, and resting orders by (symbol, "stop" or "target").

    ``opens`` are the session's opens in USD by symbol of an order: they tell which orders met the open.
    """

    orders: Mapping[str, Order]
    resting: Mapping[tuple[str, str], str]
    opens: Mapping[str, float]


def fills_of(book: BookId, session: date, lines: Sequence[EventLine], waiting: Waiting) -> tuple[Fill, ...]:
    """The executions among a session's events, in their order. Exits that no order is ``waiting`` for carry a key of their own.

    Daily bars do not tell the time inside a session: fills at the open are stamped with it (09:30 in New York), everything after it with
    the regular close (16:00).
    """
    filled = Outcome.FILLED.name.lower()
    return tuple(_fill(book, session, line, waiting) for line in lines if line.kind in FILL_KINDS and line.outcome == filled)


def _fill(book: BookId, session: date, line: EventLine, waiting: Waiting) -> Fill:
    order = waiting.orders.get(line.symbol) if line.kind == EventKind.ORDER.name.lower() else None
    side = "buy" if line.shares > 0 else "sell"
    own = OrderKey(book.account, book.strategy, session, line.symbol, side, line.kind).id()
    order_id = order.id if order is not None else waiting.resting.get((line.symbol, line.kind), own)
    digest = hashlib.sha256(f"{order_id}/{session}/{line.kind}".encode()).hexdigest()
    at_open = order is not None and order.type is not OrderType.MARKET_ON_CLOSE and line.reference == waiting.opens[line.symbol]
    stamp = datetime.combine(session, OPEN if at_open else CLOSE, calendar.NEW_YORK).astimezone(UTC)
    return Fill(
        id=f"fx1-{digest[:24]}", order_id=order_id, symbol=line.symbol, shares=int(line.shares), price=line.price,
        commission=line.commission, session=session, time=stamp, reason=line.reason, reference=line.reference,
    )  # fmt: skip
