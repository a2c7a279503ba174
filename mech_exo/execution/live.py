"""Before real money moves: what must hold, what the first sessions may do, and the sentinel order.

Everything is counted from the ledger, so that no restart forgets it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from mech_exo.domain.errors import BrokerError, UserError
from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.execution.broker import BrokerInterface, comes_true, gone
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId, Intent, OrderRow, Protection
from mech_exo.utils import calendar
from mech_exo.utils.broker_settings import PORTS, GatewayRules, LiveRules
from mech_exo.utils.log import mask_accounts

PAPER = "paper"
"""Account of the program's own fill model; Interactive Brokers' paper accounts begin with D."""
SENTINEL_DISTANCE = 0.8
"""Of the last price: below any open that has not fallen by a fifth, and inside what exchanges take as a limit."""


@dataclass(frozen=True, slots=True)
class LiveCheck:
    """What must hold before a live session: ``account`` is the configured one (``ib_account``)."""

    rules: LiveRules
    gateway: GatewayRules
    account: str
    strategy: str

    def refusals(self, ledger: Ledger, typed: str) -> tuple[str, ...]:
        """Every reason why live trading is refused, none when it may begin. ``typed`` is the account id as the user typed it."""
        checks = (self._enabled(), self._typed(typed), self._kind(), self._port(), self._practised(ledger))
        return tuple(reason for reason in checks if reason is not None)

    def require(self, ledger: Ledger, typed: str) -> None:
        """Raise UserError with every refusal."""
        refused = self.refusals(ledger, typed)
        if refused:
            remedy = "docs/execution.md, Before real money moves; paper needs none of it"
            raise UserError("live trading is refused:\n  " + "\n  ".join(refused), remedy=remedy)

    def _enabled(self) -> str | None:
        return None if self.rules.enabled else "broker.yml must say live: {enabled: true}; it says false"

    def _typed(self, typed: str) -> str | None:
        if not self.account:
            return "ib_account must be in config/api_keys_local.yml; it is not set"
        return None if typed.strip() == self.account else "the account id must be typed as configured (ib_account); what was typed differs"

    def _kind(self) -> str | None:
        if not self.account or not is_paper(self.account):
            return None
        return f"a live session needs a live account; {mask_accounts(self.account)} is a paper account: use --mode paper"

    def _port(self) -> str | None:
        paper = {port for (_, live), port in PORTS.items() if not live}
        port = self.gateway.port_of(live=True)
        return f"a live session needs a live port; gateway.port {port} is a paper one (broker.yml)" if port in paper else None

    def _practised(self, ledger: Ledger) -> str | None:
        done, needed = practised(ledger, self.strategy, self.rules.min_paper_sessions), self.rules.min_paper_sessions
        if done >= needed:
            return None
        return (
            f"{needed} paper sessions of {self.strategy} decided in time come first (live.min_paper_sessions); the ledger has {done}: "
            "a night counts that was decided before the open its orders were for"
        )


def is_paper(account: str) -> bool:
    """Whether no real money moves in ``account``."""
    return account == PAPER or account.startswith("D")


def practised(ledger: Ledger, strategy: str, enough: int) -> int:
    """Paper sessions of ``strategy`` that were booked, and decided before the next open, newest first up to ``enough``.

    Nights run over the past are rehearsals of nothing: their orders were never at risk of being late.
    """
    done: set[date] = set()
    for book in ledger.books():
        if book.strategy == strategy and is_paper(book.account):
            for booked in reversed(ledger.day_history(book)):
                if len(done) >= enough:
                    return len(done)
                decision = ledger.decision(book, booked.session)
                if decision is not None and decision.recorded_at < calendar.session_open(calendar.next_session(booked.session)):
                    done.add(booked.session)
    return len(done)


def first_caps(ledger: Ledger, book: BookId, rules: LiveRules) -> Callable[[Order], str | None]:
    """What :class:`~mech_exo.execution.valve.SafetyValve` asks of each order in the first live sessions.

    All is read from the ledger when it is asked: a night books its session, and with it what is held, before it sends.
    """

    def refusal(order: Order) -> str | None:
        number = max(1, len(ledger.day_history(book)))
        if number > rules.first_sessions:
            return None
        last = ledger.last_session(book)
        held = {line.symbol: line.shares for line in last.lines} if last is not None else {}
        if not _adds(order, held):
            return None
        rows = ledger.orders(book, session=order.session)
        others = (row for row in rows if row.sends and row.order.id != order.id and not is_sentinel(row.order))
        sent = [row for row in others if _adds(row.order, held)]
        return _beyond(order, sent, ledger.order(order.id), rules, number)

    return refusal


def _adds(order: Order, held: Mapping[str, float]) -> bool:
    """Whether an order adds risk to what is held: neither protection nor a reduction."""
    before = held.get(order.symbol, 0)
    return order.parent is None and not order.rests and abs(before + order.shares) > abs(before)


def _beyond(order: Order, sent: Sequence[OrderRow], row: OrderRow, rules: LiveRules, number: int) -> str | None:
    ends = f"this is live session {number}, the caps end after {rules.first_sessions} (live.first_sessions)"
    if len(sent) + 1 > rules.first_max_orders:
        most = f"at most {rules.first_max_orders} orders that add risk (live.first_max_orders)"
        return f"{most}; {len(sent)} were sent for {order.session}; {ends}"
    before = sum(one.notional for one in sent)
    if not before + row.notional <= rules.first_max_notional:
        most = f"at most {rules.first_max_notional:,.0f} USD of orders that add risk (live.first_max_notional)"
        why = f"the value of {order.symbol} is unknown" if math.isnan(row.notional) else "this one goes beyond"
        return f"{most}; {before:,.0f} were sent for {order.session} and {why}; {ends}"
    return None


def sentinel(
    ledger: Ledger, broker: BrokerInterface, book: BookId, symbol: str, price: float, session: date,
    *, pause: Callable[[float], None] = time.sleep,
) -> str:  # fmt: skip
    """Place one share of ``symbol`` far below ``price`` (USD), see it acknowledged and open, cancel it, see it gone; once a session.

    Journaled like every order. Returns its id; raises BrokerError where any step fails: nothing else may be sent then.
    """
    key = OrderKey(book.account, book.strategy, session, symbol, "buy", "sentinel")
    level = round(price * SENTINEL_DISTANCE, 2)
    order = Order(key.id(), symbol, 1, session, OrderReason.NONE, OrderType.LIMIT, level=level)
    known = next((row for row in ledger.orders(book, session=session) if is_sentinel(row.order)), None)  # of whichever symbol
    if known is not None:
        if known.state is OrderState.CANCELLED:
            return known.order.id
        raise _failed(f"{known.order.id} of an earlier try is {known.state}")
    with ledger.transaction():  # never NEW between the two: the router would send it as an order like any other
        ledger.protect(Protection(book, session, (Intent(order, price),), ()))
        ledger.set_state(order.id, OrderState.SENDING, "the sentinel is about to be sent")
    try:
        broker.probe()
        answer = broker.place(order)
    except BrokerError as error:
        ledger.set_state(order.id, OrderState.UNKNOWN, f"in doubt: {error.message}")
        raise _failed(error.message) from error
    if not answer.accepted:
        ledger.set_state(order.id, OrderState.REJECTED, answer.reason, answer.broker_id)
        raise _failed(answer.reason)
    ledger.set_state(order.id, OrderState.LIVE, "acknowledged", answer.broker_id)
    if not comes_true(lambda: any(shown.order_id == order.id for shown in broker.open_orders()), pause):
        raise _failed("acknowledged, but not among the open orders")
    broker.cancel(order.id)
    if not gone(broker, (order.id,), pause):
        raise _failed("the cancel did not take it away")
    ledger.set_state(order.id, OrderState.CANCELLED, "the sentinel went out, was seen and is gone")
    return order.id


def is_sentinel(order: Order) -> bool:
    """Whether ``order`` is the one that was only to be seen: nothing else goes out for no reason."""
    return order.reason is OrderReason.NONE and order.type is OrderType.LIMIT


def _failed(said: str) -> BrokerError:
    return BrokerError(
        f"the sentinel order must be acknowledged, shown and cancelled before any other is sent (live.sentinel); {said}",
        remedy="look at the broker, then run it again; exo orders shows its state",
    )
