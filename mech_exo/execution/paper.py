"""The paper broker: the backtest's fill model, ``kernels.simulate.step``, fed by tonight's bars. It has no fill formula of its own.

A night with it: :meth:`PaperBroker.trade_session` plays the session that has just closed; the decision is made on a
copy (:meth:`PaperBroker.desk`); :meth:`PaperBroker.take_levels` takes over its resting levels; ``place`` puts each order
on the book for the next session. All of it comes back from the ledger: the last booked session and the LIVE orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import numpy as np

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Fill, Order, OrderState, OrderType
from mech_exo.domain.panel import BarPanel
from mech_exo.execution.account_book import AccountBook
from mech_exo.execution.booking import Waiting, code_of, events_of, fills_of
from mech_exo.execution.books import PlayedSession
from mech_exo.execution.broker import (
    AccountState,
    Acknowledgement,
    BrokerOrder,
    BrokerOrderState,
    BrokerPosition,
    Capabilities,
)
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.resting import Resting
from mech_exo.execution.rows import BookId, EventLine, StateChange
from mech_exo.kernels.account import new_days
from mech_exo.kernels.records import EVENT, Bars, CostParams, OrderKind, Terms
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL, step

ENDINGS = {
    "no_bar": "no bar in the session: nothing to fill at",
    "carried": "the session's volume allowed no more: the rest is ordered anew",
    "expired": "its price was not reached",
    "no_margin": "more than the account may carry",
}
"""Outcomes of an order, or of a part of it, that was not filled."""
KINDS = {
    OrderType.MARKET_ON_OPEN: OrderKind.MARKET_ON_OPEN,
    OrderType.MARKET: OrderKind.MARKET_ON_OPEN,  # it is there before the open
    OrderType.LIMIT_ON_OPEN: OrderKind.LIMIT_ON_OPEN,
    OrderType.MARKET_ON_CLOSE: OrderKind.MARKET_ON_CLOSE,
    OrderType.LIMIT: OrderKind.LIMIT,
    OrderType.STOP: OrderKind.STOP,
}


class PaperBroker(AccountBook):
    """A broker that lives in this process and fills like the backtest. Satisfies :class:`BrokerInterface` and :class:`Books`.

    Parameters
    ----------
    costs
        The cost model as numbers.
    initial_cash
        USD of a book that has no session yet.
    terms
        What the account may do.
    """

    capabilities = Capabilities(name="paper", live=False, absence_is_proof=True, keeps_levels=True)

    def __init__(self, ledger: Ledger, book: BookId, *, costs: CostParams, initial_cash: float, terms: Terms) -> None:
        super().__init__(ledger, book)
        self._costs, self._terms = costs, terms
        self._initial_cash = initial_cash
        self._connected = False
        self._orders: dict[str, Order] = {}
        self._resting = Resting()
        self._ended: tuple[BrokerOrder, ...] = ()
        self._fills: tuple[Fill, ...] = ()

    def connect(self) -> None:
        """Restore the account from the last booked session and the orders that are LIVE in the ledger."""
        live = [known.order for known in self._ledger.orders(self._id, states={OrderState.LIVE})]
        self._restore(self._initial_cash, (order.symbol for order in live))
        self._book["order"] = 0.0
        self._orders, self._resting, self._ended, self._fills = {}, Resting(), (), ()
        for order in live:
            if order.rests:
                self._resting.put(order, self._column(order.symbol), anew=False)
            elif self._last is None or order.session > self._last:
                self._put(order)
        self._connected = True

    def begin(self) -> None:
        """Nothing: :meth:`connect` has restored the account."""
        self.probe()

    def close(self) -> None:
        """Nothing to let go of: the ledger belongs to the caller."""
        self._connected = False

    def probe(self) -> None:
        """Raises BrokerError before :meth:`connect`."""
        if not self._connected:
            raise BrokerError("the paper broker must be connected before it is used", remedy="call connect() first")

    def account(self) -> AccountState:
        """Cash and net asset value at the last booked close."""
        self.probe()
        return AccountState(self._id.account, float(self._account["cash"][0]), self.nav)

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Everything held."""
        self.probe()
        return tuple(BrokerPosition(self._symbols[s], int(self._book["shares"][s])) for s in np.flatnonzero(self._book["shares"]))

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """The orders for the next session and those that rest, by symbol."""
        self.probe()
        rest = [(order, self._resting.level(order, self._column(order.symbol))) for order in self._resting.orders()]
        found = [(order, order.level) for order in self._orders.values()] + rest
        found.sort(key=lambda pair: (pair[0].symbol, pair[0].rests, pair[0].id))
        return tuple(_as_broker_order(order, BrokerOrderState.OPEN, level) for order, level in found)

    def completed_orders(self) -> tuple[BrokerOrder, ...]:
        """Orders that ended in the last session played, and cancels."""
        self.probe()
        return self._ended

    def executions(self, since: date) -> tuple[Fill, ...]:
        """Fills in the ledger, then those of the last session played that are not in it yet."""
        self.probe()
        known = [row.fill for row in self._ledger.fills(self._id, since=since)]
        ids = {fill.id for fill in known}
        return (*known, *(fill for fill in self._fills if fill.session >= since and fill.id not in ids))

    def place(self, order: Order, legs: Sequence[Order] = ()) -> Acknowledgement:
        """Put ``order`` on the book for its session, with the stop and target ``legs`` of its entry; or a stop or target of what is held.

        Refused are orders for a session that is over, a second order of a symbol for one session, what needs a clock inside the session,
        and stops or targets for another number of shares than is held.
        """
        self.probe()
        if order in (self._orders.get(order.symbol), self._resting.order(order.id)):
            return Acknowledgement(order.id, True, order.id)
        refusal = self._refusal(order) or next((said for leg in legs if (said := _leg_refusal(leg, order))), "")
        if refusal:
            return Acknowledgement(order.id, False, None, refusal)
        if order.rests:
            self._resting.put(order, self._column(order.symbol), anew=True)
        else:
            self._put(order)
        for leg in legs:
            self._resting.put(leg, self._column(leg.symbol), anew=True)
        return Acknowledgement(order.id, True, order.id)

    def _refusal(self, order: Order) -> str:
        if any(order.id == known.order_id for known in self._ended):
            return f"an id is used once; {order.id} has ended"
        if self._last is not None and order.session <= self._last:
            return f"the session must be still to come; {order.session} was played, the last is {self._last}"
        if order.after is not None:
            return f"the paper broker knows no time inside a session; {order.symbol} was to work from {order.after:%H:%M} UTC"
        if order.rests:
            held = int(self._column(order.symbol)["shares"])
            return self._resting.refusal(order, held)
        if order.symbol in self._orders:
            return f"a symbol has one order per session; {order.symbol} has {self._orders[order.symbol].id}"
        return ""

    def _put(self, order: Order) -> None:
        position = self._column(order.symbol)
        position["order"] = order.shares
        position["order_reason"] = code_of(order.reason)
        position["order_kind"] = int(KINDS[order.type])
        position["order_level"] = math.nan if order.level is None else order.level
        position["order_stop"] = math.nan if order.stop_level is None else order.stop_level
        position["order_target"] = math.nan if order.target_level is None else order.target_level
        self._orders[order.symbol] = order

    def cancel(self, order_id: str) -> None:
        """Take an order off the book at once, an entry with its legs."""
        self.probe()
        gone = [order for order in self._orders.values() if order.id == order_id]
        for order in gone:
            self._column(order.symbol)["order"] = 0.0
            del self._orders[order.symbol]
        for order in self._resting.orders():
            if order_id in (order.id, order.parent) and (order.id == order_id or gone):
                self._resting.lift(order, self._column(order.symbol))
                gone.append(order)
        self._ended += tuple(_as_broker_order(order, BrokerOrderState.CANCELLED, order.level) for order in gone)

    def trade_session(self, panel: BarPanel, row: int, flow: float = 0.0) -> PlayedSession:
        """Play session ``row`` of ``panel``: its orders, resting levels, actions and marks, with ``flow`` USD in at the open.

        Raises DataError when a held or ordered symbol is not a column of the panel, BrokerError when the session was
        played before or an order waits for another one.
        """
        self.probe()
        session: date = panel.sessions[row].astype(object)
        self._check_turn(session)
        self._lay(panel)
        self._forget_unplaced()
        live, count = self._live()
        self._account["live"], self._account["events"] = count, 0
        events = np.zeros(EVENTS_PER_SYMBOL * count, EVENT)
        days = new_days(len(panel.sessions))
        step(row, flow, Bars.of(panel), self._book, live, self._account, days, events, self._costs, self._terms)
        happened = events_of(self._symbols, events[: int(self._account["events"][0])])
        self._remember(session, days[row])
        opens = {symbol: float(panel.open[row, panel.column_of(symbol)]) for symbol in self._orders}
        return self._finish(session, happened, Waiting(self._orders, self._resting.by_kind(), opens))

    def _finish(self, session: date, happened: tuple[EventLine, ...], waiting: Waiting) -> PlayedSession:
        fills = fills_of(self._id, session, happened, waiting)
        filled = {fill.order_id: fill for fill in fills}
        over = {order.id: order for order in self._orders.values()}
        ended = [_ending(order, filled.get(order.id), happened) for _, order in sorted(self._orders.items())]
        for order in self._resting.orders():
            change = self._resting.ending(order, filled.get(order.id), bool(self._column(order.symbol)["shares"]))
            if change is not None:
                over[order.id] = order
                ended.append(change)
        gone = ((over[change.order_id], BrokerOrderState(change.state.value)) for change in ended)
        self._ended = tuple(_as_broker_order(order, state, order.level) for order, state in gone)
        self._fills, self._orders, self._last = fills, {}, session
        return PlayedSession(session, fills, happened, tuple(ended))

    def take_levels(self, decided: np.ndarray) -> None:
        """Take over what a decision wrote to its copy of the book, except the orders themselves: those come by ``place``."""
        self.probe()
        orders = self._book["order"].copy(), self._book["order_reason"].copy()
        self._take(decided)
        self._book["order"], self._book["order_reason"] = orders

    def _check_turn(self, session: date) -> None:
        self._check_order(session)
        waiting = [order for order in self._orders.values() if order.session != session]
        if waiting:
            raise BrokerError(
                f"orders trade in the session they are for; {waiting[0].symbol} has one for {waiting[0].session}, not {session}",
                remedy="book the missed sessions in order",
            )


def _leg_refusal(leg: Order, entry: Order) -> str:
    if leg.parent != entry.id or leg.symbol != entry.symbol or leg.type not in (OrderType.STOP, OrderType.LIMIT):
        return f"a leg is a stop or limit order of its entry's symbol with the entry as parent; {leg.id} is not one of {entry.id}"
    if leg.shares != -entry.shares:
        return f"the paper broker protects the whole entry of {entry.symbol}: {-entry.shares} shares; the leg has {leg.shares}"
    return ""


def _as_broker_order(order: Order, state: BrokerOrderState, level: float | None) -> BrokerOrder:
    return BrokerOrder(order.id, order.id, order.symbol, order.shares, state, level=level)


def _ending(order: Order, fill: Fill | None, happened: Sequence[EventLine]) -> StateChange:
    said = {line.outcome for line in happened if line.symbol == order.symbol and line.kind == "order" and line.outcome != "filled"}
    if fill is not None and not said:
        note = "filled" if fill.shares == order.shares else f"filled as {fill.shares} shares after a split"
        return StateChange(order.id, OrderState.FILLED, note, order.id)
    why = next((words for outcome, words in ENDINGS.items() if outcome in said), "ended by a corporate action before the open")
    if {"carried", "ended"} <= said:
        why = "the rest ended with a stop or target of the same session"
    elif fill is None and "carried" in said and order.level is not None:
        why = "its price was not reached, or the session's volume allowed nothing: ordered anew"
    note = why if fill is None else f"{fill.shares} of {order.shares} shares filled; {why}"
    return StateChange(order.id, OrderState.EXPIRED, note, order.id)
