"""The account behind a wire, kept from the ledger's fills by the functions that the backtest's ``step`` calls.

What traded is the broker's to say; corporate actions, marks and results are booked as in a backtest. Nothing is ever filled here: an
execution that the broker can no longer show is missing from the book, and the reconcile gate finds the difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime

import numpy as np

from mech_exo.domain.errors import BrokerError, DataError
from mech_exo.domain.orders import Fill, Order, OrderReason, OrderState, OrderType
from mech_exo.domain.panel import BarPanel
from mech_exo.execution.account_book import AccountBook
from mech_exo.execution.booking import CLOSE, OPEN, code_of, events_of
from mech_exo.execution.books import PlayedSession
from mech_exo.execution.broker import BrokerInterface
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import Adjustment, BookId, OrderRow
from mech_exo.kernels.account import new_days
from mech_exo.kernels.costs import commission
from mech_exo.kernels.executions import EVENTS_PER_LINE, HAPPENED, book_session
from mech_exo.kernels.records import EVENT, Bars, CostParams, EventKind, Outcome, Reason, Terms
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL
from mech_exo.utils.calendar import NEW_YORK

ENDED = frozenset({OrderState.FILLED, OrderState.EXPIRED, OrderState.CANCELLED})
"""How an order ends whose rest is ordered anew, as the backtest does: a broker cancels what did not fill. What is in doubt is not."""
AT_OPEN = frozenset({OrderType.MARKET_ON_OPEN, OrderType.LIMIT_ON_OPEN, OrderType.MARKET})
Line = tuple[int, int, int, int, float, float, float, float, bool]
Stamped = tuple[datetime, int, Line]


class BrokerBooks(AccountBook):
    """The books of an account at ``broker``. Satisfies :class:`Books`.

    ``costs`` are those of holding: interest on cash, borrow. What trading cost is in the fills; only a commission that the broker has not
    reported by the day after is booked by the configured schedule, and the gate finds by how much it was wrong.
    """

    def __init__(self, ledger: Ledger, book: BookId, broker: BrokerInterface, costs: CostParams, terms: Terms) -> None:
        super().__init__(ledger, book)
        self._broker, self._costs, self._terms = broker, costs, terms
        self._adjusted: set[str] = set()
        self._orders: dict[str, Order] = {}

    def begin(self) -> None:
        """Restore the account from the last booked session; a new book begins with the broker's cash.

        Raises BrokerError where a new book finds positions at the broker, or no cash figure.
        """
        last = self._ledger.last_session(self._id)
        cash = math.nan if last is not None else self._opening_cash()
        self._restore(cash, ())

    def _opening_cash(self) -> float:
        held = self._broker.positions()
        if held:
            names = ", ".join(f"{one.symbol} {one.shares:+d}" for one in held[:5]) + (" …" if len(held) > 5 else "")
            raise BrokerError(
                f"a new book begins with an account that holds nothing; {self._id.account} holds {names}",
                remedy="close these positions at the broker, or use an account of its own for this strategy",
            )
        cash = self._broker.account().cash
        if not cash > 0.0:
            raise BrokerError(
                f"a new book begins with the broker's cash, above 0; {self._id.account} reports {cash}",
                remedy="fund the account, or run again when the broker reports its cash: exo broker check",
            )
        return cash

    def trade_session(self, panel: BarPanel, row: int, flow: float = 0.0) -> PlayedSession:
        """Book session ``row`` of ``panel`` from its fills, with ``flow`` USD in at the open.

        Raises BrokerError when a session was booked before, or the commission of a fill is not known yet; DataError when a symbol
        that is held or ordered is not a column of the panel.
        """
        session: date = panel.sessions[row].astype(object)
        self._check_order(session)
        fills = self._fills(session)
        sent = self._sent(session)
        self._lay_out(panel, sent)
        self._orders = {id_: one.order for id_, one in self._ledger.find_orders(fill.order_id for fill in fills).items()}
        fills = self._with_references(fills, panel, row)
        given, received = self._accepted(panel, row)
        happened = np.array([*given, *(line for _, _, line in sorted(self._happened(session, panel, row, fills, sent)))], HAPPENED)
        live, count = self._live(happened["symbol"])
        self._account["live"], self._account["events"] = count, 0
        events = np.zeros(EVENTS_PER_SYMBOL * count + EVENTS_PER_LINE * len(happened), EVENT)
        days = new_days(len(panel.sessions))
        book_session(row, flow, received, happened, Bars.of(panel), self._book, live, self._account, days, events, self._costs, self._terms)
        self._remember(session, days[row])
        self._last = session
        lines = events_of(self._symbols, events[: int(self._account["events"][0])])
        return PlayedSession(session, fills, lines, ())

    def take_levels(self, decided: np.ndarray) -> None:
        """Take over what a decision wrote to its copy of the book; which of its orders were sent, the ledger says."""
        self._take(decided)

    def _fills(self, session: date) -> tuple[Fill, ...]:
        """The session's fills: those of the ledger, and what the broker has added since, in the order of their times."""
        found = {row.fill.id: row.fill for row in self._ledger.fills(self._id, session=session)}
        told = [fill for fill in self._broker.executions(session) if fill.session == session]
        ours = {id_ for id_, row in self._ledger.find_orders(fill.order_id for fill in told).items() if row.book == self._id}
        for fill in told:
            known = found.get(fill.id)
            later = known is None or fill.revision > known.revision or math.isnan(known.commission)
            if fill.order_id in ours and later:
                found[fill.id] = fill
        return tuple(sorted(found.values(), key=lambda fill: fill.time))

    def _fee(self, fill: Fill) -> float:
        """USD of commission. Raises BrokerError while the broker may still report it."""
        if not math.isnan(fill.commission):
            return fill.commission
        if self._ledger.now().astimezone(NEW_YORK).date() <= fill.session:
            raise BrokerError(
                f"a session is booked when its commissions are known; that of {fill.symbol} on {fill.session} is not reported yet",
                remedy="run the night again in some minutes; from tomorrow on it is booked by the configured schedule",
            )
        return float(commission(abs(fill.shares), fill.price, self._costs))

    def _accepted(self, panel: BarPanel, row: int) -> tuple[list[Line], float]:
        """What the operator accepted since the last booked session: shares that came or went, and USD beside them."""
        lines, cash = [], 0.0
        pending = [one for one in self._ledger.adjustments(self._id) if one.id not in self._adjusted]
        strange = _without_bars(pending, panel)
        for one in pending:
            self._adjusted.add(one.id)
            cash += one.cash
            if one.symbol is not None and one.shares and one.symbol not in strange:
                column = panel.column_of(one.symbol)
                price = self._price_of(one, column, float(panel.close[row, column]))
                cash += one.shares * price
                given = int(Reason.CORPORATE_ACTION)
                lines.append((column, int(EventKind.ORDER), int(Outcome.FILLED), given, float(one.shares), price, price, 0.0, True))
        return lines, cash

    def _price_of(self, accepted: Adjustment, column: int, close: float) -> float:
        """USD a share at which accepted shares are booked: theirs, the position's mark, tonight's close. DataError when none is known."""
        mark = float(self._book[column]["mark"])
        known = [value for value in (accepted.price, mark, close) if value >= 0.0]
        if not known:
            raise DataError(
                f"accepted shares are booked at a known price; {accepted.shares:+d} {accepted.symbol} have none, and no bar tonight",
                remedy=f"import its bars: exo data import FILE; or trade it away, then exo reconcile accept {accepted.symbol}",
            )
        return known[0]

    def _order(self, fill: Fill) -> Order:
        return self._orders[fill.order_id]

    def _with_references(self, fills: Sequence[Fill], panel: BarPanel, row: int) -> tuple[Fill, ...]:
        """``fills`` with the price their slippage is measured from where the broker could not say: the open or close met, or the level.

        NaN stays NaN for a name without that price in the bars.
        """
        late = {fill.symbol for fill in fills if _later(fill, self._order(fill))}
        found = []
        for fill in fills:
            order = self._order(fill)
            price = fill.reference
            if math.isnan(price):
                price = _reference(order, panel, row, inside=_protects(order) and fill.symbol in late)
            found.append(replace(fill, reference=price))
        return tuple(found)

    def _sent(self, session: date) -> dict[str, list[OrderRow]]:
        """The session's orders by symbol that left for the broker; not among them are stops, targets and a sentinel."""
        found: dict[str, list[OrderRow]] = {}
        for row in self._ledger.orders(self._id, session=session):
            idle = not row.filled and (row.state is OrderState.REJECTED or row.order.reason is OrderReason.NONE)
            if row.sends and not idle and not _protects(row.order):
                found.setdefault(row.order.symbol, []).append(row)
        return found

    def _lay_out(self, panel: BarPanel, sent: dict[str, list[OrderRow]]) -> None:
        """The book on the panel's columns with the orders as they were sent; what was decided and not sent is forgotten."""
        self._lay(panel)
        self._book["order"] = 0.0
        for symbol, rows in sent.items():
            line = self._book[panel.column_of(symbol)]
            line["order"] = sum(row.order.shares for row in rows)
            line["order_reason"] = code_of(rows[0].order.reason)
        self._forget_unplaced()

    def _happened(
        self, session: date, panel: BarPanel, row: int, fills: Sequence[Fill], sent: dict[str, list[OrderRow]]
    ) -> Iterable[Stamped]:
        """Executions in the order of their times, and after the last one of an order what became of its rest."""
        last: dict[tuple[str, str], Stamped] = {}
        for number, fill in enumerate(fills):
            order = self._order(fill)
            column, kind = panel.column_of(fill.symbol), _kind(order)
            reason = order.reason if fill.reason is OrderReason.NONE else fill.reason  # a broker does not know why
            measured = fill.price if math.isnan(fill.reference) else fill.reference  # unknown slippage is booked as part of the price P&L
            figures = (float(fill.shares), fill.price, measured, self._fee(fill), _later(fill, order))
            stamped = (fill.time, 2 * number, (column, kind, int(Outcome.FILLED), code_of(reason), *figures))
            last[fill.symbol, EventKind(kind).name] = stamped
            yield stamped
        for (symbol, name), (at, number, line) in last.items():
            entry = last.get((symbol, EventKind.ORDER.name))
            if name != EventKind.ORDER.name and (entry is None or entry[1] < number):
                yield at, number + 1, _ending(line[0], line[1], Outcome.CARRIED, line[3], line[4])
        for symbol, rows in sent.items():
            column = panel.column_of(symbol)
            outcome = self._outcome(rows, panel, row, column)
            filled = last.get((symbol, EventKind.ORDER.name))
            at, number = filled[:2] if filled is not None else (_end_of(rows, session), 2 * len(fills))
            done = float(sum(one.shares for one in fills if one.symbol == symbol and _kind(self._order(one)) == EventKind.ORDER))
            yield at, number + 1, _ending(column, int(EventKind.ORDER), outcome, 0, done)

    def _outcome(self, rows: Sequence[OrderRow], panel: BarPanel, t: int, column: int) -> Outcome:
        """What becomes of the part of a symbol's order that was not filled."""
        position, order = self._book[column], rows[0].order
        if not all(row.state in ENDED for row in rows):
            return Outcome.ENDED
        if any(row.filled for row in rows):
            return Outcome.CARRIED
        price = (panel.close if order.type is OrderType.MARKET_ON_CLOSE else panel.open)[t, column]
        if order.level is None:
            if not math.isnan(price) or (order.reason is OrderReason.GOVERNOR and order.type in AT_OPEN):
                return Outcome.CARRIED
            return Outcome.NO_BAR
        if position["order_keep"]:
            return Outcome.CARRIED
        traded = not np.isnan([panel.open[t, column], panel.high[t, column], panel.low[t, column]]).all()
        return Outcome.EXPIRED if traded else Outcome.NO_BAR


def _without_bars(pending: Sequence[Adjustment], panel: BarPanel) -> set[str]:
    """Symbols accepted that the panel lacks. Raises DataError where shares are left of one: what has no price cannot be booked."""
    strange = {one.symbol for one in pending if one.symbol is not None and one.shares and one.symbol not in panel.symbols}
    for symbol in sorted(strange):
        left = sum(one.shares for one in pending if one.symbol == symbol)
        if left:
            raise DataError(
                f"an accepted position is booked at its bars; {left:+d} {symbol} were accepted and the store has no bars of it",
                remedy=f"import its bars: exo data import FILE; or trade it away at the broker, then exo reconcile accept {symbol}",
            )
    return strange


def _protects(order: Order) -> bool:
    """Whether ``order`` is the stop or target of a position, or of an entry."""
    return order.rests or order.parent is not None


def _kind(order: Order) -> int:
    if not _protects(order):
        return int(EventKind.ORDER)
    return int(EventKind.STOP if order.type is OrderType.STOP else EventKind.TARGET)


def _ending(column: int, kind: int, outcome: Outcome, reason: int, shares: float) -> Line:
    return (column, kind, int(outcome), reason, shares, math.nan, math.nan, 0.0, False)


def _end_of(rows: Sequence[OrderRow], session: date) -> datetime:
    """When an order that nothing met had its last chance."""
    last = OPEN if all(row.order.type in AT_OPEN for row in rows) else CLOSE
    return datetime.combine(session, last, NEW_YORK)


def _later(fill: Fill, order: Order) -> bool:
    """Whether ``fill`` came after the open."""
    return order.type not in AT_OPEN and fill.time > datetime.combine(fill.session, OPEN, NEW_YORK)


def _reference(order: Order, panel: BarPanel, row: int, *, inside: bool) -> float:
    """USD: the price that an order of this type meets in the session; ``inside``: it began to work after the open. NaN: not in the bars."""
    column = panel.column_of(order.symbol)
    open_ = float(panel.open[row, column])
    if order.type is OrderType.MARKET_ON_CLOSE:
        return float(panel.close[row, column])
    if order.level is None or order.type is OrderType.LIMIT_ON_OPEN:
        return open_
    level = order.level / float(panel.split_ratio[row, column])
    beyond = (open_ - level) * order.shares * (1 if order.type is OrderType.STOP else -1)
    return open_ if beyond >= 0.0 and not inside else level
