"""The paper broker: the backtest's fill model, ``kernels.simulate.step``, fed by tonight's bars. It has no fill formula of its own.

A night with it: :meth:`PaperBroker.trade_session` plays the session that has just closed; the decision is made on a
copy (:meth:`PaperBroker.desk`); :meth:`PaperBroker.take_levels` takes over its resting levels; ``place`` puts each order
on the book for the next open. All of it comes back from the ledger: the last booked session and the LIVE orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import numpy as np

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Fill, Order, OrderState, OrderType
from mech_exo.domain.panel import BarPanel
from mech_exo.execution.booking import book_of, code_of, days_on, events_of, figures_of, fills_of, history_of, lines_of
from mech_exo.execution.books import Desk, PlayedSession
from mech_exo.execution.broker import (
    AccountState,
    Acknowledgement,
    BrokerOrder,
    BrokerOrderState,
    BrokerPosition,
    Capabilities,
)
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId, EventLine, SessionRow, StateChange
from mech_exo.kernels.account import new_account, new_book, new_days
from mech_exo.kernels.records import BOOK, EVENT, Bars, CostParams, Terms
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL, step

ENDINGS = {
    "no_bar": "no bar in the session: nothing to fill at",
    "carried": "the session's volume allowed no more: the rest is ordered anew",
    "no_margin": "more than the account may carry",
}
"""Outcomes of an order, or of a part of it, that was not filled."""


class PaperBroker:
    """A broker that lives in this process and fills like the backtest. Satisfies :class:`BrokerInterface`.

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
        self._ledger, self._id, self._costs, self._terms = ledger, book, costs, terms
        self._initial_cash = initial_cash
        self._connected = False
        self._symbols: tuple[str, ...] = ()
        self._book = book_of((), ())
        self._account = new_account(initial_cash)
        self._orders: dict[str, Order] = {}
        self._ended: tuple[BrokerOrder, ...] = ()
        self._fills: tuple[Fill, ...] = ()
        self._booked, self._days = history_of(())
        self._last: date | None = None

    def connect(self) -> None:
        """Restore the account from the last booked session and the orders that are LIVE in the ledger."""
        row = self._ledger.last_session(self._id)
        self._booked, self._days = history_of(self._ledger.day_history(self._id))
        self._account = new_account(self._initial_cash)
        self._last = row.session if row is not None else None
        if row is not None:
            day = row.day
            for name, value in (("cash", day.cash), ("nav", day.nav), ("index", day.index), ("value", day.long_value + day.short_value)):
                self._account[name] = value
        lines = row.lines if row is not None else ()
        live = [known.order for known in self._ledger.orders(self._id, states={OrderState.LIVE})]
        waiting = [order for order in live if self._last is None or order.session > self._last]
        self._symbols = tuple(sorted({line.symbol for line in lines} | {order.symbol for order in waiting}))
        self._book = book_of(self._symbols, lines)
        self._book["order"] = 0.0
        self._orders, self._ended, self._fills = {}, (), ()
        for order in waiting:
            self._put(order)
        self._connected = True

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
        return AccountState(self._id.account, float(self._account["cash"][0]), float(self._account["nav"][0]))

    @property
    def nav(self) -> float:
        """Net asset value in USD at the last booked close."""
        return self.account().nav

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Everything held."""
        self.probe()
        return tuple(BrokerPosition(self._symbols[s], int(self._book["shares"][s])) for s in np.flatnonzero(self._book["shares"]))

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """The orders for the next open."""
        self.probe()
        return tuple(_as_broker_order(order, BrokerOrderState.OPEN) for _, order in sorted(self._orders.items()))

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
        """Put ``order`` on the book for the next open; refused if it is not an order for an open still to come."""
        self.probe()
        if self._orders.get(order.symbol) == order:
            return Acknowledgement(order.id, True, order.id)
        refusal = self._refusal(order)
        if refusal:
            return Acknowledgement(order.id, False, None, refusal)
        self._put(order)
        return Acknowledgement(order.id, True, order.id)

    def _refusal(self, order: Order) -> str:
        if order.type is not OrderType.MARKET_ON_OPEN:
            return f"the paper broker fills at the open; {order.type} is not such an order"
        if self._last is not None and order.session <= self._last:
            return f"the session must be still to come; {order.session} was played, the last is {self._last}"
        if order.symbol in self._orders:
            return f"a symbol has one order per open; {order.symbol} has {self._orders[order.symbol].id}"
        return ""

    def _put(self, order: Order) -> None:
        if order.symbol not in self._symbols:
            self._relay(tuple(sorted((*self._symbols, order.symbol))))
        position = self._book[self._symbols.index(order.symbol)]
        position["order"] = order.shares
        position["order_reason"] = code_of(order.reason)
        position["order_stop"] = math.nan if order.stop_level is None else order.stop_level
        position["order_target"] = math.nan if order.target_level is None else order.target_level
        self._orders[order.symbol] = order

    def cancel(self, order_id: str) -> None:
        """Take an order off the book at once."""
        self.probe()
        for symbol, order in list(self._orders.items()):
            if order.id == order_id:
                self._book["order"][self._symbols.index(symbol)] = 0.0
                del self._orders[symbol]
                self._ended += (_as_broker_order(order, BrokerOrderState.CANCELLED),)

    def desk(self, panel: BarPanel) -> Desk:
        """The account as a decision takes it, copied: whatever is written there reaches the broker only by the router."""
        self.probe()
        self._lay(panel)
        live, count = self._live()
        account = self._account.copy()
        account["live"] = count
        return Desk(self._book.copy(), live, account, days_on(panel.sessions, self._booked, self._days))

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
        bars = Bars.of(panel)
        step(row, flow, bars, self._book, live, self._account, days, events, self._costs, self._terms)
        happened = events_of(self._symbols, events[: int(self._account["events"][0])])
        self._remember(session, days[row])
        return self._finish(session, happened)

    def _finish(self, session: date, happened: tuple[EventLine, ...]) -> PlayedSession:
        fills = fills_of(self._id, session, happened, {symbol: order.id for symbol, order in self._orders.items()})
        filled = {fill.order_id: fill for fill in fills}
        ended = tuple(_ending(order, filled.get(order.id), happened) for _, order in sorted(self._orders.items()))
        states = {change.order_id: BrokerOrderState(change.state.value) for change in ended}
        self._ended = tuple(_as_broker_order(order, states[order.id]) for _, order in sorted(self._orders.items()))
        self._fills, self._orders, self._last = fills, {}, session
        return PlayedSession(session, fills, happened, ended)

    def take_levels(self, decided: np.ndarray) -> None:
        """Take over what a decision wrote to its copy of the book, except the orders themselves: those come by ``place``."""
        self.probe()
        orders = self._book["order"].copy(), self._book["order_reason"].copy()
        self._book = decided.copy()
        self._book["order"], self._book["order_reason"] = orders

    def row(self, decided: np.ndarray, day: np.void, played: PlayedSession) -> SessionRow:
        """The session as it is to be booked: its figures (with the risk state after deciding) and the decided book."""
        self._remember(played.session, day)
        return SessionRow(self._id, played.session, figures_of(day), lines_of(self._symbols, decided), played.events)

    def _check_turn(self, session: date) -> None:
        if self._last is not None and session <= self._last:
            raise BrokerError(f"a session is played once, in order; {session} is not after {self._last}")
        waiting = [order for order in self._orders.values() if order.session != session]
        if waiting:
            raise BrokerError(
                f"orders trade in the session they are for; {waiting[0].symbol} has one for {waiting[0].session}, not {session}",
                remedy="book the missed sessions in order",
            )

    def _remember(self, session: date, day: np.void) -> None:
        stamp = np.datetime64(session, "D")
        if not len(self._booked) or self._booked[-1] < stamp:
            self._booked = np.append(self._booked, stamp)
            self._days = np.append(self._days, new_days(1))
        self._days[-1] = day

    def _forget_unplaced(self) -> None:
        """Levels decided for an order that was never placed (denied, cancelled) go with it."""
        idle = self._book["order"] == 0.0
        blank = new_book(1)
        for name in (field for field in BOOK.names or () if field.startswith("order_")):
            self._book[name][idle] = blank[name][0]

    def _live(self) -> tuple[np.ndarray, int]:
        found = np.flatnonzero((self._book["shares"] != 0.0) | (self._book["order"] != 0.0) | (self._book["rest"] != 0.0))
        live = np.zeros(len(self._book), np.int64)
        live[: len(found)] = found
        return live, len(found)

    def _lay(self, panel: BarPanel) -> None:
        if panel.symbols != self._symbols:
            self._relay(panel.symbols)

    def _relay(self, symbols: tuple[str, ...]) -> None:
        self._book = book_of(symbols, lines_of(self._symbols, self._book))
        self._symbols = symbols


def _as_broker_order(order: Order, state: BrokerOrderState) -> BrokerOrder:
    return BrokerOrder(order.id, order.id, order.symbol, order.shares, state)


def _ending(order: Order, fill: Fill | None, happened: Sequence[EventLine]) -> StateChange:
    said = {line.outcome for line in happened if line.symbol == order.symbol and line.kind == "order" and line.outcome != "filled"}
    if fill is not None and not said:
        note = "filled" if fill.shares == order.shares else f"filled as {fill.shares} shares after a split"
        return StateChange(order.id, OrderState.FILLED, note, order.id)
    why = next((words for outcome, words in ENDINGS.items() if outcome in said), "ended by a corporate action before the open")
    if {"carried", "ended"} <= said:
        why = "the rest ended with a stop or target of the same session"
    note = why if fill is None else f"{fill.shares} of {order.shares} shares filled; {why}"
    return StateChange(order.id, OrderState.EXPIRED, note, order.id)
