"""The gate before anything is sent: what the ledger believes against what the broker says.

:func:`recover` settles the orders left in doubt by the last process, :func:`reconcile` compares the two sides, and
:func:`gate` does both. A difference is a value, :class:`Break`. What cannot be explained locks its symbol: reductions
pass, new risk does not. A lost journal halts everything.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from mech_exo.domain.orders import ID_PREFIX, OrderState
from mech_exo.execution.broker import AccountState, BrokerInterface, BrokerOrder, BrokerOrderState, BrokerPosition
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import OPEN_STATES, BookId, OrderRow

CASH_TOLERANCE = 0.01  # USD: a broker reports cents


class BreakKind(StrEnum):
    """A way in which ledger and broker differ."""

    POSITION = "position"
    CASH = "cash"
    ACCOUNT = "account"
    FOREIGN_ORDER = "foreign_order"
    MISSING_ORDER = "missing_order"
    OVERFILL = "overfill"
    LOST_JOURNAL = "lost_journal"
    REVIVED_ORDER = "revived_order"
    LATE_ACTION = "late_action"


HALTING = frozenset({BreakKind.ACCOUNT, BreakKind.LOST_JOURNAL, BreakKind.REVIVED_ORDER, BreakKind.OVERFILL})
"""Breaks that stop every order that adds risk, not only those of one symbol."""


@dataclass(frozen=True, slots=True)
class Break:
    """``ledger`` and ``broker`` are the two figures (shares or USD; NaN = that side has none)."""

    kind: BreakKind
    symbol: str | None
    ledger: float
    broker: float
    note: str

    def __str__(self) -> str:
        who = f"{self.symbol}: " if self.symbol else ""
        return f"{who}{self.kind} ({self.note})"


@dataclass(frozen=True, slots=True)
class GateReport:
    """One completed comparison: what the broker holds, and every break."""

    book: BookId
    account: AccountState
    positions: tuple[BrokerPosition, ...]
    breaks: tuple[Break, ...]

    @property
    def clean(self) -> bool:
        """True when both sides agree."""
        return not self.breaks

    @property
    def locked(self) -> frozenset[str]:
        """Symbols in which only reductions may be sent."""
        return frozenset(found.symbol for found in self.breaks if found.symbol is not None)

    @property
    def halting(self) -> tuple[Break, ...]:
        """Breaks that stop all new risk."""
        return tuple(found for found in self.breaks if found.kind in HALTING)

    def blocks(self, symbol: str) -> Break | None:
        """The break that forbids new risk in ``symbol``, None when none does."""
        for found in self.breaks:
            if found.symbol in (None, symbol) or found.kind in HALTING:
                return found
        return None

    def held(self, symbol: str) -> int:
        """Signed shares the broker holds of ``symbol``."""
        return next((position.shares for position in self.positions if position.symbol == symbol), 0)


def gate(ledger: Ledger, broker: BrokerInterface, book: BookId) -> GateReport:
    """Recover, then compare. Nothing may be sent without the report of this process's own gate."""
    adopted = recover(ledger, broker, book)
    report = reconcile(ledger, broker, book)
    return replace(report, breaks=(*adopted, *report.breaks))


def recover(ledger: Ledger, broker: BrokerInterface, book: BookId) -> tuple[Break, ...]:
    """Take over what the broker knows: fills first, then the end or life of each order that was sent.

    An order left SENDING that the broker does not know becomes NEW again if absence is proof, else UNKNOWN: it is
    never sent again. UNKNOWN is left only by the broker's word (or the operator's). An order the broker has though this
    ledger never sent it (a ledger restored from an old backup) is adopted, and returned as a break that halts.
    """
    rows = ledger.orders(book, states=OPEN_STATES)
    if not rows:
        return ()
    open_orders, ended = broker.open_orders(), broker.completed_orders()
    executions = [fill for fill in broker.executions(min(row.decided for row in rows)) if fill.order_id.startswith(ID_PREFIX)]
    seen = {order.order_id for order in (*open_orders, *ended)} | {fill.order_id for fill in executions}
    adopted = [row for row in rows if row.state is OrderState.NEW and row.order.id in seen]
    with ledger.transaction():
        for row in adopted:
            ledger.set_state(row.order.id, OrderState.SENDING, "the broker has it, though this ledger never sent it")
        for fill in executions:
            ledger.record_fill(book, fill)
        for row in rows:
            _settle(ledger, row, open_orders, ended, broker.capabilities.absence_is_proof)
    note = "the broker has an order that this ledger never sent"
    return tuple(Break(BreakKind.LOST_JOURNAL, row.order.symbol, math.nan, row.order.shares, f"{note}: {row.order.id}") for row in adopted)


def _settle(ledger: Ledger, before: OrderRow, open_orders: tuple[BrokerOrder, ...], ended: tuple[BrokerOrder, ...], proof: bool) -> None:
    row = ledger.order(before.order.id)
    alive = next((order for order in open_orders if order.order_id == row.order.id), None)
    over = next((order for order in ended if order.order_id == row.order.id), None)
    if row.state in (OrderState.NEW, OrderState.FILLED):
        return
    if alive is not None:
        ledger.set_state(row.order.id, OrderState.LIVE, "found open at the broker", alive.broker_id)
    elif over is not None and over.state is not BrokerOrderState.OPEN:
        _end(ledger, row, over)
    elif row.state is OrderState.SENDING:
        _doubt(ledger, row, proof)
    elif row.state is OrderState.UNKNOWN and proof:
        ledger.set_state(row.order.id, OrderState.CANCELLED, "the broker proves that it never arrived")


def _end(ledger: Ledger, row: OrderRow, over: BrokerOrder) -> None:
    if row.state is OrderState.SENDING:
        ledger.set_state(row.order.id, OrderState.UNKNOWN, "left in doubt by the last process")
    ledger.set_state(row.order.id, OrderState(over.state.value), over.note or "ended at the broker", over.broker_id)


def _doubt(ledger: Ledger, row: OrderRow, proof: bool) -> None:
    if proof:
        ledger.set_state(row.order.id, OrderState.NEW, "the broker proves that it never arrived")
    else:
        ledger.set_state(row.order.id, OrderState.UNKNOWN, "the last process ended while sending; the broker does not show it")


def reconcile(ledger: Ledger, broker: BrokerInterface, book: BookId) -> GateReport:
    """Compare account, orders, positions and cash. Reads only."""
    account, positions, open_orders = broker.account(), broker.positions(), broker.open_orders()
    shares, cash = expected(ledger, book)
    breaks: list[Break] = []
    if account.account != book.account:
        note = f"the broker's account is {account.account}, the book's {book.account}"
        breaks.append(Break(BreakKind.ACCOUNT, None, math.nan, math.nan, note))
    breaks += _position_breaks(shares, {position.symbol: position.shares for position in positions})
    breaks += _order_breaks(ledger, book, open_orders)
    if not math.isnan(cash) and not abs(cash - account.cash) <= CASH_TOLERANCE:
        breaks.append(Break(BreakKind.CASH, None, cash, account.cash, f"ledger {cash:,.2f} USD, broker {account.cash:,.2f} USD"))
    return GateReport(book, account, positions, tuple(breaks))


def expected(ledger: Ledger, book: BookId) -> tuple[Mapping[str, int], float]:
    """Shares by symbol and cash in USD that the ledger accounts for: the last booked session and every fill since.

    Cash is NaN for a book without a session: nothing says yet what it began with.
    """
    last = ledger.last_session(book)
    shares: Counter[str] = Counter()
    cash = math.nan
    if last is not None:
        shares.update({line.symbol: int(line.shares) for line in last.lines})
        cash = last.day.cash
    for row in ledger.fills(book, since=None if last is None else last.session):
        if last is None or row.fill.session > last.session:
            shares[row.fill.symbol] += row.fill.shares
            cash -= row.fill.shares * row.fill.price + row.fill.commission
    return {symbol: count for symbol, count in shares.items() if count}, cash


def _position_breaks(ledger: Mapping[str, int], broker: Mapping[str, int]) -> list[Break]:
    breaks = []
    for symbol in sorted(ledger.keys() | broker.keys()):
        ours, theirs = ledger.get(symbol, 0), broker.get(symbol, 0)
        if ours != theirs:
            breaks.append(Break(BreakKind.POSITION, symbol, ours, theirs, f"ledger {ours} shares, broker {theirs}"))
    return breaks


def _order_breaks(ledger: Ledger, book: BookId, open_orders: tuple[BrokerOrder, ...]) -> list[Break]:
    breaks = []
    for order in open_orders:
        row = ledger.find_order(order.order_id)
        if row is None:
            ours = order.order_id.startswith(ID_PREFIX)
            kind = BreakKind.LOST_JOURNAL if ours else BreakKind.FOREIGN_ORDER
            note = f"{order.order_id} is open at the broker and not in the ledger" if ours else f"order {order.broker_id} is not from here"
            breaks.append(Break(kind, order.symbol, math.nan, order.shares, note))
        elif row.state not in OPEN_STATES:
            note = f"{order.order_id} is {row.state} in the ledger and open at the broker"
            breaks.append(Break(BreakKind.REVIVED_ORDER, order.symbol, math.nan, order.shares, note))
    open_ids = {order.order_id for order in open_orders}
    for row in ledger.orders(book, states={OrderState.LIVE}):
        if row.order.id not in open_ids:
            note = f"{row.order.id} is live in the ledger; the broker shows neither it nor its end"
            breaks.append(Break(BreakKind.MISSING_ORDER, row.order.symbol, row.order.shares, math.nan, note))
        if abs(row.filled) > abs(row.order.shares):
            note = f"{row.order.id} filled {row.filled} of {row.order.shares} shares"
            breaks.append(Break(BreakKind.OVERFILL, row.order.symbol, row.order.shares, row.filled, note))
    return breaks
