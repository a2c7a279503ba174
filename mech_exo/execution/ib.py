"""Interactive Brokers as a broker: ib_async's client, unmodified, behind the synchronous protocol.

The connection is :mod:`ib_link`, the only asyncio of the program. What its messages mean is :mod:`ib_messages`, what was told is
kept by :mod:`ib_listener`. Of the library its client and decoder are used, not its orders, which call living orders
cancelled. Its queue is never used either: what it holds back is lost without a word when the connection ends.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Fill, Order
from mech_exo.execution import ib_answers as answers
from mech_exo.execution import ib_guards as guards
from mech_exo.execution import ib_messages as words
from mech_exo.execution.broker import (
    AccountState,
    Acknowledgement,
    BrokerOrder,
    BrokerOrderState,
    BrokerPosition,
    Capabilities,
    NotSentError,
)
from mech_exo.execution.ib_instruments import CURRENCY, NO_STOCK, Instrument, Instruments, question
from mech_exo.execution.ib_link import Link, gone
from mech_exo.execution.ib_listener import GATE, Listener
from mech_exo.execution.ib_records import TIME, Ask, Connected, Sent, Traded
from mech_exo.utils.broker_settings import GatewayRules
from mech_exo.utils.calendar import NEW_YORK
from mech_exo.utils.log import mask_accounts

if TYPE_CHECKING:
    import ib_async

COMMISSION_SECONDS = 1.0  # until a fill whose commission is not told counts as one of unknown commission
TRIES = 5
VIEW = ("open orders", "completed orders", "executions")


class IBBroker:
    """An account at Interactive Brokers, through Gateway or TWS. Satisfies :class:`BrokerInterface`.

    Parameters
    ----------
    account
        The account's number. A connection to any other is refused.
    live
        Whether real money moves. The account's kind (``DU…`` is paper) and the port must agree.
    rules
        How the program is reached.
    port
        None: that of the rules, or the program's own for the mode.
    instruments
        File that remembers what each symbol means; None: in memory only.
    """

    def __init__(
        self, account: str, live: bool, rules: GatewayRules, port: int | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC), *, instruments: Path | None = None,
    ) -> None:  # fmt: skip
        self.capabilities = Capabilities(name="ib", live=live, absence_is_proof=False, keeps_levels=False)
        self._account, self._rules, self._clock = account, rules, clock
        self._port = port or rules.port_of(live=live)
        self._instruments = Instruments(instruments)
        self._turn = threading.RLock()
        self._link: Link | None = None
        self._listener = Listener(account, rules.client_id)
        self._next_number = 0
        self._without_commission: set[str] = set()
        self._wrote: dict[str, str] = {}  # every reference ever written, and why it was refused
        self._unanswered: set[str] = set()

    # The connection

    def connect(self) -> None:
        """Log in anew. Raises BrokerError when account, kind of account, port and configuration do not agree, or nobody answers."""
        with self._turn:
            self.close()
            guards.check_settings(self._account, self._port, self._rules.program, live=self.capabilities.live)
            listener = Listener(self._account, self._rules.client_id)
            link = Link(listener, self._rules)
            try:
                link.open(self._port)
                guards.check_account(self._account, link.client.getAccounts())
            except BaseException:
                link.close()
                raise
            self._link, self._listener = link, listener
            self._next_number, self._unanswered = int(link.client.getReqId()), set()

    def close(self) -> None:
        """Let go. Resting orders stay."""
        with self._turn:
            if self._link is not None:
                self._link.close()
                self._link = None

    def probe(self) -> None:
        """Ask the gateway's clock and wait at most ``probe_seconds``. A silent, stopped or deaf program is found so."""
        self._ask(TIME, lambda client: client.reqCurrentTime(), seconds=self._rules.probe_seconds)

    def describe(self) -> Connected:
        """What this is connected to."""
        with self._turn:
            before = self._clock().timestamp()
            ask = self._ask(TIME, lambda client: client.reqCurrentTime())
            here = (before + self._clock().timestamp()) / 2.0
            link = self._connected()
            return Connected(
                mask_accounts(self._account), self.capabilities.live, self._rules.host, link.port, self._rules.client_id,
                link.client.serverVersion(), float(ask.items[-1]) + 0.5 - here,
            )  # fmt: skip

    # Answers

    def account(self) -> AccountState:
        """Cash and net asset value in USD; NaN where the broker reports none in USD."""
        number = self._number()
        ask = self._ask("the account", lambda c: c.reqAccountSummary(number, "All", "NetLiquidation,TotalCashValue"), number)
        self._write(lambda c: c.cancelAccountSummary(number))
        values = {tag: value for tag, value, currency in ask.items if currency == CURRENCY}
        return AccountState(self._account, answers.figure(values.get("TotalCashValue")), answers.figure(values.get("NetLiquidation")))

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Everything held, by symbol; what is no US stock under a name that is no symbol."""
        ask = self._quiet("positions", lambda c: c.reqPositions())
        self._write(lambda c: c.cancelPositions())
        self._listener.saw(ask)
        held = {contract.conId: (contract, shares, average) for contract, shares, average in ask.items}
        found = (answers.position(self._instruments, *one) for one in held.values() if one[1] != 0.0)
        return tuple(sorted(found, key=lambda one: one.symbol))

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """Every order that may still trade, of any client and of hand, by symbol."""
        ask = self._quiet("open orders", lambda c: c.reqAllOpenOrders())
        shown = self._listener.shown_open(ask)
        self._listener.saw(ask)
        found = (answers.order(self._instruments, one, BrokerOrderState.OPEN) for one in shown)
        return tuple(sorted(found, key=lambda one: (one.symbol, one.order_id, one.broker_id)))

    def completed_orders(self) -> tuple[BrokerOrder, ...]:
        """Orders that ended today: those the broker lists, and those this connection saw end."""
        ask = self._quiet("completed orders", lambda c: c.reqCompletedOrders(False))
        self._listener.saw(ask)
        found = {one.broker_id: one for one in (answers.completed(self._instruments, *item) for item in ask.items)}
        for told in list(self._listener.orders.values()):
            if told.ended and told.contract is not None and str(told.perm_id) not in found:
                state = BrokerOrderState.REJECTED if told.refused else words.ended_state(told.status, told.note)
                found[str(told.perm_id)] = answers.order(self._instruments, told, state)
        return tuple(sorted(found.values(), key=lambda one: (one.symbol, one.order_id, one.broker_id)))

    def executions(self, since: date) -> tuple[Fill, ...]:
        """Fills the gateway still knows (those of the day) and those this connection heard, of sessions from ``since`` on."""
        self._hear_executions()
        listener = self._listener
        latest: dict[str, Traded] = {}
        for one in list(listener.traded.values()):
            if one.stem not in latest or one.revision >= latest[one.stem].revision:
                latest[one.stem] = one
        waited = [one.id for one in latest.values() if one.id not in self._without_commission]
        if not listener.wait(lambda: all(one in listener.commissions for one in waited), COMMISSION_SECONDS):
            self._without_commission.update(waited)
        fills = (answers.fill(self._instruments, one, listener.commissions.get(one.id, math.nan)) for one in latest.values())
        return tuple(sorted((one for one in fills if one.session >= since), key=lambda one: (one.time, one.id)))

    def _hear_executions(self) -> None:
        from ib_async.objects import ExecutionFilter

        number, ours = self._number(), cast("Any", ExecutionFilter)(acctCode=self._account)
        ask = self._quiet("executions", lambda c: c.reqExecutions(number, ours), number)
        self._listener.check_commissions(ask)
        self._listener.saw(ask)

    # Orders

    def place(self, order: Order, legs: Sequence[Order] = ()) -> Acknowledgement:
        """Send ``order`` and its legs, once: a reference the broker knows, or this object ever wrote, is not written again.

        Raises NotSentError when provably nothing left this program, BrokerError when it may have and no word came back.
        """
        with self._turn:
            refused = words.refusal(order, legs) or self._wrote.get(order.id)
            if refused:
                return Acknowledgement(order.id, False, None, refused)
            sent = self._listener.sent_by_ref.get(order.id)
            if sent is not None:
                return self._word(order, [sent])
            written = self._wrote.keys() & {one.id for one in (order, *legs)}
            try:
                self._look()
                answer = self._known(order, legs)
                instrument = "" if answer is not None or written else self._instrument(order.symbol)
            except BrokerError as error:
                if written:
                    raise answers.doubt(order, written, error.message) from error
                raise NotSentError(error.message, remedy=error.remedy) from error
            if answer is None and written:
                raise answers.doubt(order, written, "it was written before and the broker does not show it")
            if answer is not None or isinstance(instrument, str):
                return answer or Acknowledgement(order.id, False, None, str(instrument))
            return self._send(order, legs, instrument)

    def _look(self) -> None:
        """Know every order at the broker: else an order may be placed twice. Raises NotSentError where a gate has to come first."""
        self._connected()
        listener = self._listener
        if listener.severed:
            raise NotSentError(f"nothing is sent while the servers are away: {listener.severed}", remedy=words.remedy(1100))
        if listener.needs_gate and not listener.view >= GATE:
            raise NotSentError("orders may have been missed: nothing is sent before everything was asked again", remedy="exo reconcile")
        asks: dict[str, Callable[[], object]] = {
            "open orders": self.open_orders, "completed orders": self.completed_orders, "executions": self._hear_executions,
        }  # fmt: skip
        for kind in VIEW:
            if kind not in listener.view:
                asks[kind]()

    def _known(self, order: Order, legs: Sequence[Order]) -> Acknowledgement | None:
        """The broker's word on an order that an earlier connection placed; a refusal where it knows one of the legs alone."""
        filled = {one.ref for one in self._listener.traded.values()}
        told = self._listener.by_ref.get(order.id)
        if told is not None:
            return Acknowledgement(order.id, not told.refused, str(told.perm_id) if told.perm_id else None, told.note)
        if order.id in filled:
            return Acknowledgement(order.id, True, None, "it has fills")
        for leg in legs:
            if leg.id in filled or leg.id in self._listener.by_ref:
                return Acknowledgement(order.id, False, None, f"its leg {leg.id} is at the broker without it")
        return None

    def _instrument(self, symbol: str) -> Instrument | str:
        today = self._clock().astimezone(NEW_YORK).date()
        found = self._instruments.get(symbol, today)
        if found is not None:
            return found
        number = self._number()
        try:
            ask = self._ask("an instrument", lambda c: c.reqContractDetails(number, question(symbol)), number)
        except answers.RefusedError as error:
            return NO_STOCK if error.code == words.NO_SECURITY else error.message
        return self._instruments.learn(symbol, ask.items, today)

    def _send(self, order: Order, legs: Sequence[Order], instrument: Instrument) -> Acknowledgement:
        contract, first = instrument.contract(), self._numbers(1 + len(legs))
        parent = 0
        if order.parent is not None:
            known = self._listener.by_ref.get(order.parent)
            if known is None or known.ended or known.client_id != self._rules.client_id:
                return Acknowledgement(order.id, False, None, f"the order it belongs to, {order.parent}, is not open here")
            parent = known.order_id
        actions = []
        for count, one in enumerate((order, *legs)):
            wire = words.wire_order(one, self._account, instrument.step)
            wire.parentId = first if count else parent
            wire.transmit = count == len(legs)
            actions.append(_placing(first + count, contract, wire))
        sent = [self._listener.sending(one.id, first + count) for count, one in enumerate((order, *legs))]
        self._wrote.update((one.ref, "") for one in sent)
        try:
            self._connected().write(*actions, alone=True)
        except NotSentError:
            for never in sent:
                self._listener.unsent(never)
                del self._wrote[never.ref]
            raise
        ends = sent[0], sent[-1]  # nothing works without its entry, nor is anything transmitted without the last
        self._listener.wait(lambda: all(one.decided for one in sent) or any(one.refusal for one in ends), self._rules.acknowledge_seconds)
        return self._word(order, sent)

    def _word(self, order: Order, sent: Sequence[Sent]) -> Acknowledgement:
        """What the gateway said of an order that was written. Raises BrokerError when it said nothing that proves anything."""
        entry = sent[0]
        refusal = next((one.refusal for one in sent if one.refusal and not one.accepted), "")
        if refusal or (entry.ending and not entry.perm_id):
            if len(sent) > 1 and not self._withdrawn(sent):
                raise answers.doubt(order, [one.ref for one in sent if not one.refusal], f"a part of it was refused ({refusal})")
            self._wrote[order.id] = refusal or entry.ending
            return Acknowledgement(order.id, False, None, self._wrote[order.id])
        if all(one.perm_id for one in sent):
            return Acknowledgement(order.id, True, str(entry.perm_id))
        listener = self._listener
        why = "the connection is gone" if listener.closed else f"nothing came within {self._rules.acknowledge_seconds:g} seconds"
        last = f"; the gateway said {words.said(*listener.trouble[-1])}" if listener.trouble else ""
        raise answers.doubt(order, [one.ref for one in sent if not one.perm_id], why + last)

    def _withdrawn(self, sent: Sequence[Sent]) -> bool:
        """One of an order and its legs was refused: take back the rest. Whether it is shown to be over, without a fill."""
        rest = [one for one in sent if not one.refusal]
        try:
            self._write(*(_cancelling(one.order_id) for one in rest))
            self._listener.wait(lambda: all(one.ending or one.refusal or one.remark for one in rest), self._rules.acknowledge_seconds)
            still = {one.order_id for one in self.open_orders()} & {one.ref for one in rest}
        except BrokerError:
            return False
        over = all(one.ending or one.refusal for one in rest)
        idle = bool(sent[0].refusal or sent[-1].refusal)  # without its entry nothing works, without the last nothing was transmitted
        return (over or idle) and not still and not any(one.filled for one in sent)

    def cancel(self, order_id: str) -> None:
        """Ask for a cancel and wait a little for an answer. Unknown ids and orders that ended are no error."""
        with self._turn:
            listener = self._listener
            if order_id not in listener.by_ref and order_id not in listener.sent_by_ref:
                self.open_orders()
            told, sent = listener.by_ref.get(order_id), listener.sent_by_ref.get(order_id)
            if (told is None and sent is None) or (told is not None and told.ended):
                return
            if told is not None and told.client_id != self._rules.client_id:
                raise BrokerError(
                    f"an order is cancelled by the client id that placed it; {order_id} belongs to {told.client_id}",
                    remedy=f"set gateway.client_id: {told.client_id} in broker.yml for this, or cancel it in TWS",
                )
            before = "" if told is None else told.note
            self._write(_cancelling(told.order_id if told is not None else sent.order_id if sent is not None else 0))

            def answered() -> bool:
                said = sent is not None and bool(sent.ending or sent.refusal or (told is None and sent.remark))
                return said or (told is not None and (told.ended or told.note != before))

            listener.wait(answered, self._rules.acknowledge_seconds)

    # Asking

    def _connected(self) -> Link:
        if self._link is None:
            raise BrokerError("Interactive Brokers must be connected before it is used", remedy="call connect() first")
        if self._listener.closed:
            raise gone()
        return self._link

    def _number(self) -> int:
        return self._numbers(1)

    def _numbers(self, count: int) -> int:
        """The first of ``count`` numbers that no order or question of this client id has had."""
        with self._turn:
            first = max(self._next_number, self._listener.highest_id + 1)
            self._next_number = first + count
            return first

    def _write(self, *actions: Callable[[Any], None]) -> None:
        with self._turn:
            self._connected().write(*actions)

    def _ask(self, kind: str, action: Callable[[Any], None], number: int = -1, seconds: float | None = None) -> Ask:
        """Ask, and wait for the end of the answer. Raises BrokerError when it is not whole."""
        with self._turn:
            if kind != TIME and self._listener.severed:
                why = f"what is told while the servers are away may be old: {self._listener.severed}"
                raise BrokerError(why, remedy=words.remedy(1100))
            if kind != TIME and kind in self._unanswered:
                self.probe()  # what is still under way of the answer that did not come in time comes before this one's
            listener, limit = self._listener, seconds or self._rules.answer_seconds
            self._connected()
            listener.trouble.clear()
            ask = listener.begin(kind, number)
            self._write(action)
            listener.wait(lambda: ask.ended or ask.failure is not None, limit)
            with listener.heard:
                listener.ask = None
                if ask.failure is None and ask.ended:
                    self._unanswered.discard(kind)
                    return ask
            self._unanswered.add(kind)
            raise answers.missing(ask, limit, closed=listener.closed, trouble=listener.trouble)

    def _quiet(self, kind: str, action: Callable[[Any], None], number: int = -1) -> Ask:
        """Ask until nothing happens to any order meanwhile."""
        for _ in range(TRIES):
            ask = self._ask(kind, action, number)
            if not ask.disturbed:
                return ask
        remedy = "run it again in a minute"
        raise BrokerError(f"an answer on {kind} counts if no order moves meanwhile; one moved {TRIES} times", remedy=remedy)


def _placing(number: int, contract: ib_async.Contract, wire: ib_async.Order) -> Callable[[Any], None]:
    return lambda client: client.placeOrder(number, contract, wire)


def _cancelling(number: int) -> Callable[[Any], None]:
    return lambda client: client.cancelOrder(number)
