"""Flatten: every open order of the book cancelled, every position of it closed with market orders, through ledger and router.

The caller has halted already, so that nothing but reductions leaves. A symbol of which an order that would close it too is not gone yet
gets no second one: both could fill, and the position would turn round. Running it again goes on where it stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mech_exo.domain.errors import LedgerError
from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.execution.breaks import GateReport
from mech_exo.execution.broker import BrokerInterface, gone
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.reconcile import expected
from mech_exo.execution.router import OrderRouter
from mech_exo.execution.rows import OPEN_STATES, BookId, Intent, OrderRow, Protection
from mech_exo.execution.sending import SendOutcome, SendResult


@dataclass(frozen=True, slots=True)
class Wish:
    """What to flatten: one ``symbol`` or all; ``everything``: also shares at the broker that the book does not account for."""

    session: date
    type: OrderType
    symbol: str | None = None
    everything: bool = False

    def covers(self, symbol: str) -> bool:
        """Whether ``symbol`` is meant."""
        return self.symbol in (None, symbol)


@dataclass(frozen=True, slots=True)
class Flattened:
    """What was done: orders asked to be cancelled, closing orders sent or being worked, and in sentences what is ``left`` open."""

    session: date
    type: OrderType
    cancelled: tuple[str, ...]
    closing: tuple[SendResult, ...]
    left: tuple[str, ...]


def flatten(
    ledger: Ledger, broker: BrokerInterface, book: BookId, router: OrderRouter, wish: Wish, *, pause: Callable[[float], None] = time.sleep
) -> Flattened:
    """Cancel, wait a bounded time until that is done, close what is held. Raises BrokerError when the broker does not answer whole."""
    router.open_gate()
    cancelled = _cancel(ledger, broker, book, router, wish, pause)
    gate = router.open_gate()
    open_rows = [row for row in ledger.orders(book, states=OPEN_STATES) if wish.covers(row.order.symbol)]
    held = _held(ledger, book, gate, wish)
    intents, left = _closing(ledger, book, wish, held, open_rows)
    ledger.protect(Protection(book, wish.session, intents, ()))
    mine = {intent.order.id for intent in intents}
    closing = (*_working(open_rows), *(result for result in router.submit(wish.session) if result.order_id in mine))
    left += [_unsent(result) for result in closing if result.outcome is not SendOutcome.LIVE]
    return Flattened(wish.session, wish.type, cancelled, closing, (*left, *_not_ours(gate, held, wish)))


def _cancel(
    ledger: Ledger, broker: BrokerInterface, book: BookId, router: OrderRouter, wish: Wish, pause: Callable[[float], None]
) -> tuple[str, ...]:  # fmt: skip
    """Ask for the end of every open order that is not a closing one at work already; returns their ids."""
    rows = [row for row in ledger.orders(book, states=OPEN_STATES) if wish.covers(row.order.symbol) and not _at_work(row)]
    ids = [row.order.id for row in rows]
    for id_ in ids:
        router.cancel(id_)
    gone(broker, ids, pause)
    return tuple(ids)


def _at_work(row: OrderRow) -> bool:
    """A closing order that was sent before; one that was only planned is planned anew, for the session and type of now."""
    return row.order.reason is OrderReason.FLATTEN and row.state is not OrderState.NEW


def _held(ledger: Ledger, book: BookId, gate: GateReport, wish: Wish) -> Mapping[str, int]:
    """Signed shares to close by symbol: at the broker, and of the book unless everything is meant."""
    ours, found = expected(ledger, book).shares, {}
    for position in gate.positions:
        shares = position.shares if wish.everything else _common(ours.get(position.symbol, 0), position.shares)
        if shares and wish.covers(position.symbol):
            found[position.symbol] = shares
    return found


def _common(ours: int, theirs: int) -> int:
    """The shares both sides have: the smaller holding, 0 where they are on different sides."""
    return 0 if ours * theirs <= 0 else min(ours, theirs, key=abs)


def _closing(
    ledger: Ledger, book: BookId, wish: Wish, held: Mapping[str, int], open_rows: Sequence[OrderRow]
) -> tuple[tuple[Intent, ...], list[str]]:  # fmt: skip
    """The orders that close ``held``, with the last close as their price (NaN unknown), and why a symbol gets none."""
    last = ledger.last_session(book)
    marks = {line.symbol: line.mark for line in last.lines} if last is not None else {}
    used, intents, left = ledger.used_ids(book, wish.session), [], []
    for symbol, shares in sorted(held.items()):
        rows = [row for row in open_rows if row.order.symbol == symbol]
        rivals = [row for row in rows if row.order.shares * shares < 0 and not _at_work(row)]
        rest = -shares - sum(row.order.shares - row.filled for row in rows if _at_work(row))
        if rivals:
            left.append(f"{symbol}: {shares:+d} shares are held; {rivals[0].order.id}, which closes them too, is not gone: run it again")
        elif rest * shares < 0:
            order = _order(book, wish, symbol, rest, used)
            intents.append(Intent(order, marks.get(symbol, math.nan)))
    later = (row.order for row in open_rows if not _at_work(row) and row.order.shares * held.get(row.order.symbol, 0) >= 0)
    left += [f"{order.symbol}: {order.id} ({order.shares:+d} shares) may still fill, it is not gone: run it again" for order in later]
    return tuple(intents), left


def _order(book: BookId, wish: Wish, symbol: str, shares: int, used: Collection[str]) -> Order:
    leg, side = 0, "buy" if shares > 0 else "sell"
    while (id_ := OrderKey(book.account, book.strategy, wish.session, symbol, side, OrderReason.FLATTEN.value, leg).id()) in used:
        leg += 1
    return Order(id_, symbol, shares, wish.session, OrderReason.FLATTEN, wish.type)


def _working(open_rows: Sequence[OrderRow]) -> tuple[SendResult, ...]:
    """Closing orders of an earlier call that may still fill."""
    found = []
    for row in filter(_at_work, open_rows):
        outcome = SendOutcome.LIVE if row.state is OrderState.LIVE else SendOutcome.UNKNOWN
        found.append(SendResult(row.order.id, row.order.symbol, row.order.shares, outcome, f"sent before: {row.note}"))
    return tuple(found)


def _unsent(result: SendResult) -> str:
    return f"{result.symbol}: {-result.shares:+d} shares are held; the closing order is {result.outcome.value}: {result.note}"


def _not_ours(gate: GateReport, held: Mapping[str, int], wish: Wish) -> list[str]:
    """What is at the broker and none of the book's: left alone, and said."""
    said = []
    for position in gate.positions:
        rest = position.shares - held.get(position.symbol, 0)
        if rest and wish.covers(position.symbol):
            said.append(f"{position.symbol}: {rest:+d} shares at the broker are not this book's; --everything closes them too")
    foreign = [found for found in gate.breaks if found.open and found.symbol is not None and wish.covers(found.symbol)]
    return said + [f"{found.symbol}: {found.note}; cancel it at the broker" for found in foreign]


def still_open(home: Path, book: BookId) -> tuple[str, ...]:
    """What the ledger knows to be open when nothing can be written or nobody answers: orders, then positions, as sentences."""
    try:
        with Ledger.open(default_path(home), read_only=True) as ledger:
            rows = ledger.orders(book, states=OPEN_STATES - {OrderState.NEW})
            held = expected(ledger, book).shares
    except (LedgerError, OSError) as error:
        return (f"the ledger cannot be read ({error.message if isinstance(error, LedgerError) else error}): only the broker knows",)
    orders = [f"{row.order.symbol}: order {row.order.shares - row.filled:+d} shares ({row.order.type.value}), {row.state}" for row in rows]
    return (*orders, *(f"{symbol}: {shares:+d} shares are held" for symbol, shares in sorted(held.items())))
