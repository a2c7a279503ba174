"""What the gateway has said: the receiving end of the library's client, with a truth of its own about orders.

The library's own order objects call living orders cancelled and rejected ones active, so none of them is used: this class stands
where the library's wrapper would, and is called with each decoded message. It knows no socket; its callers wait on
:attr:`Listener.heard`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any

from mech_exo.domain.errors import BrokerError
from mech_exo.execution.ib_messages import CONNECTION, ENDED, Meaning, known, meaning, read_only, said, split_execution_id
from mech_exo.execution.ib_records import TIME, Ask, Sent, Told, Traded
from mech_exo.utils.log import mask_accounts

NOBODY = (-1, 2**31 - 1)
"""Numbers of errors that belong to no order and no numbered question."""
GATE = frozenset({"open orders", "completed orders", "executions", "positions"})
"""What has to be asked again after something was missed."""
UNREADABLE = "a message of the gateway could not be read"


class Listener:
    """Receives the decoded messages of one connection for ``account``; every method in camel case is the library's name for one."""

    defaultTimezone: tzinfo = UTC  # noqa: N815 - the decoder reads it

    def __init__(self, account: str, client_id: int) -> None:
        self.account, self.client_id = account, client_id
        self.heard = threading.Condition()
        self.closed = False
        self.severed = ""
        self.view: set[str] = set()
        self.losses = 0
        self.needs_gate = False
        self.highest_id = 0
        self.zone: tzinfo | None = None
        self.trouble: list[tuple[int, str]] = []
        self.orders: dict[int, Told] = {}
        self.sent: dict[int, Sent] = {}
        self.by_ref: dict[str, Told] = {}
        self.sent_by_ref: dict[str, Sent] = {}
        self.traded: dict[str, Traded] = {}
        self.elsewhere: set[object] = set()  # lasting numbers and execution ids of other accounts of this login
        self.commissions: dict[str, float] = {}
        self.ask: Ask | None = None
        self._unzoned = False

    # For those who wait

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``until()`` or the connection is gone; whether it came true."""
        with self.heard:
            self.heard.wait_for(lambda: self.closed or until(), seconds)
            return until()

    def wake(self) -> None:
        """Let those who wait look again."""
        with self.heard:
            self.heard.notify_all()

    def begin(self, kind: str, number: int = -1) -> Ask:
        """Collect the answer to a question that is about to be asked."""
        with self.heard:
            self.ask = Ask(kind, number, losses=self.losses)
            return self.ask

    def saw(self, ask: Ask) -> None:
        """An answer was whole and fits together: it counts, unless something was missed since it was asked for."""
        with self.heard:
            if ask.losses == self.losses:
                self.view.add(ask.kind)
            if self.view >= GATE:
                self.needs_gate = False

    def lose_sight(self, why: str) -> None:
        """Something about orders was missed: nothing may be sent before everything was asked again."""
        with self.heard:
            self.view.clear()
            self.losses += 1
            self.needs_gate = True
            if self.ask is not None and self.ask.kind != TIME:
                self.ask.failure = self.ask.failure or (0, why)
            self.heard.notify_all()

    def sending(self, ref: str, order_id: int) -> Sent:
        """An order is about to be written: what is heard of its number from now on is about it."""
        with self.heard:
            self.highest_id = max(self.highest_id, order_id)
            self.sent[order_id] = self.sent_by_ref[ref] = Sent(ref, order_id)
            return self.sent[order_id]

    def unsent(self, sent: Sent) -> None:
        """It was provably not written after all."""
        with self.heard:
            del self.sent[sent.order_id], self.sent_by_ref[sent.ref]

    def shown_open(self, ask: Ask) -> list[Told]:
        """The orders that an answer on open orders shows as such. It has the last word: an order it lists as working is alive.

        Raises BrokerError when an order came without its status, or a status without its order.
        """
        with self.heard:
            shown = {one.perm_id or -one.order_id: one for one in ask.items}
            statuses = {key: str(told[0]) for (kind, key), told in ask.mentioned.items() if kind == "status" and key not in self.elsewhere}
            odd = [key for key in shown.keys() ^ statuses.keys() if key in shown or statuses[key] not in ENDED]
            if odd:
                raise BrokerError(f"an open order comes with its status; {odd[0]} came with half of it", remedy="run it again")
            for key, one in shown.items():
                if statuses[key] not in ENDED and not (one.refused and statuses[key] == "Inactive"):
                    one.status, one.refused = statuses[key], False
            return [one for one in shown.values() if not one.ended]

    def check_commissions(self, ask: Ask) -> None:
        """Raises BrokerError when an answer told the commission of a fill and not the fill.

        Outside of an answer that is no fault: the fills of other clients are not told of themselves, their commissions are.
        """
        with self.heard:
            odd = [one for one in ask.items if one not in self.traded and one not in self.elsewhere]
            if odd:
                raise BrokerError(f"a commission belongs to a fill; that of {odd[0]} was not told", remedy="run it again")

    # The connection

    def connectAck(self) -> None:  # noqa: N802
        """The versions are agreed on."""

    def setEventsDone(self) -> None:  # noqa: N802
        """The socket is gone."""
        with self.heard:
            self.closed = True
            self.heard.notify_all()

    def connectionClosed(self) -> None:  # noqa: N802
        """The socket is gone after it was in use."""

    def updatePortfolio(self, *ignored: object) -> None:  # noqa: N802
        """Values of positions are the program's own opinion: not used."""

    @property
    def ib(self) -> Listener:
        """The decoder asks its owner for the zone of times that have none."""
        return self

    @property
    def TimezoneTWS(self) -> str:  # noqa: N802
        """The zone the gateway named at login. Without one the time is marked as unknown, not read as this machine's."""
        self._unzoned = self.zone is None
        return str(self.zone or "UTC")

    def error(self, number: int, code: int, text: str, _advanced: str) -> None:
        """A code: about an order of ours, a question, or the connection."""
        with self.heard:
            what = meaning(code)
            if number in NOBODY or what in (Meaning.SEVERED, Meaning.RESTORED):
                self._of_connection(code, text, what)
            elif number in self.sent:
                self._of_sent(self.sent[number], code, text, what)
            elif self.ask is not None and number == self.ask.number and what is not Meaning.WARNING:
                self.ask.failure = (code, text)
            else:
                self._of_older(number, code, text, what)
            self.heard.notify_all()

    def _of_connection(self, code: int, text: str, what: Meaning) -> None:
        if what is Meaning.SEVERED:
            self.severed = said(code, text)
            self.lose_sight(self.severed)
        elif what is Meaning.RESTORED:
            self.severed = ""
            self.lose_sight(said(code, text))
        elif what is not Meaning.WARNING:
            self.trouble.append((code, text))
            ask = self.ask
            if ask is not None and not ask.ended and code in CONNECTION and (ask.number == -1 or read_only(code, text)):
                ask.failure = (code, text)

    def _of_sent(self, sent: Sent, code: int, text: str, what: Meaning) -> None:
        if what is Meaning.REFUSED:
            sent.refusal = said(code, text)
        elif what is Meaning.ENDED:
            sent.ending = said(code, text)
        else:
            sent.remark = said(code, text)
        self._of_order(self.orders.get(sent.perm_id), code, text, what)

    def _of_older(self, number: int, code: int, text: str, what: Meaning) -> None:
        """About an order that an earlier connection placed under the same client id."""
        for one in self.orders.values():
            if (one.client_id, one.order_id) == (self.client_id, number):
                self._of_order(one, code, text, what)

    def _of_order(self, one: Told | None, code: int, text: str, what: Meaning) -> None:
        if one is None:
            return
        one.note = said(code, text)
        if what in (Meaning.REFUSED, Meaning.ENDED) and not one.ended:
            one.refused = what is Meaning.REFUSED
            one.status = one.status if one.refused else "Cancelled"
            self._change()

    # Orders

    def _change(self) -> None:
        if self.ask is not None:
            self.ask.disturbed = True

    def _mention(self, kind: str, key: int, content: tuple[object, ...], *, new: bool) -> None:
        """Tell a word of the answer from an event: the first word on each order, while open orders are asked for, is the answer."""
        ask = self.ask
        if ask is not None and ask.kind == "open orders" and not ask.ended:
            if ask.mentioned.setdefault((kind, key), content) != content:
                self._change()
        elif new:
            self._change()

    def _told(self, perm_id: int, client_id: int, order_id: int) -> Told:
        key = perm_id or -(client_id * 1_000_000_000 + order_id) - 1  # an order that is not transmitted has no lasting number yet
        return self.orders.setdefault(key, Told(perm_id))

    def openOrder(self, order_id: int, contract: Any, order: Any, state: Any) -> None:  # noqa: N802
        """An open order, asked for or not."""
        with self.heard:
            if order.whatIf or order.account not in ("", self.account):
                self.elsewhere.add(order.permId)
                return
            if order.clientId == self.client_id:
                self.highest_id = max(self.highest_id, order_id)
            one = self._told(order.permId, order.clientId, order_id)
            before = (one.shares, one.level, one.status)
            one.order_id, one.client_id, one.ref, one.contract = order_id, order.clientId, order.orderRef, contract
            one.shares = order.totalQuantity if order.action == "BUY" else -order.totalQuantity
            one.level = _level(order)
            if not one.ended:
                one.status = state.status
            content = (one.shares, one.level, state.status)
            self._mention("order", order.permId or -order_id, content, new=before != content)
            self._answer("open orders", one)
            if one.ref:
                self.by_ref[one.ref] = one
            sent = self.sent_by_ref.get(one.ref)
            if sent is not None and order.permId > 0:
                sent.perm_id, sent.status = order.permId, state.status
            self.heard.notify_all()

    def orderStatus(  # noqa: N802
        self, order_id: int, status: str, filled: float, remaining: float, _average: float, perm_id: int, _parent: int, _last: float,
        client_id: int, why_held: str, _cap: float = 0.0,
    ) -> None:  # fmt: skip
        """How an order stands. It names no reference, so it counts for one of ours only by our number or a lasting one."""
        with self.heard:
            if perm_id in self.elsewhere:
                return
            sent = self.sent.get(order_id) if client_id == self.client_id else None
            one = self._told(perm_id, client_id, order_id)
            if sent is not None and perm_id > 0 and one.ref in ("", sent.ref):
                sent.perm_id, sent.status, sent.filled = perm_id, status, max(sent.filled, filled)
                one.ref, one.order_id, one.client_id = sent.ref, order_id, client_id
                self.by_ref[one.ref] = one
                if status in ENDED and status != "Filled":
                    sent.ending = sent.ending or status
            before = (one.status, one.filled)
            one.status, one.filled = (one.status if one.ended else status), max(filled, 0.0 if math.isnan(one.filled) else one.filled)
            one.note = one.note or why_held
            self._mention("status", perm_id or -order_id, (status, filled, remaining), new=before != (one.status, one.filled))
            self.heard.notify_all()

    def completedOrder(self, contract: Any, order: Any, state: Any) -> None:  # noqa: N802
        """An order that ended; it carries no number but the lasting one."""
        with self.heard:
            if order.account in ("", self.account):
                self._answer("completed orders", (contract, order, state))
                one = self._told(order.permId, 0, 0)
                if one.contract is None:
                    filled = known(order.filledQuantity)
                    one.filled = 0.0 if math.isnan(filled) else filled
                    one.ref, one.contract = order.orderRef, contract
                    one.shares = math.copysign(order.totalQuantity or one.filled, 1.0 if order.action == "BUY" else -1.0)
                if not one.ended:
                    one.status, one.refused, one.note = state.status, state.status == "Inactive", mask_accounts(state.completedStatus)
                if one.ref:
                    self.by_ref.setdefault(one.ref, one)

    def openOrderEnd(self) -> None:  # noqa: N802
        """All open orders were told."""
        self._end("open orders")

    def completedOrdersEnd(self) -> None:  # noqa: N802
        """All completed orders were told."""
        self._end("completed orders")

    # Executions

    def execDetails(self, number: int, contract: Any, execution: Any) -> None:  # noqa: N802
        """A fill, asked for or not; the same one may come again."""
        with self.heard:
            if execution.acctNumber not in ("", self.account):
                self.elsewhere.add(execution.execId)
                return
            if execution.clientId == self.client_id and execution.orderId < 2**31 - 1:
                self.highest_id = max(self.highest_id, execution.orderId)
            stem, revision = split_execution_id(execution.execId)
            sign = {"BOT": 1.0, "SLD": -1.0}[execution.side]
            told = self.orders.get(execution.permId)
            ref = execution.orderRef or (told.ref if told is not None else "")
            time = None if self._unzoned else execution.time
            self._unzoned = False
            traded = Traded(
                execution.execId, stem, revision, ref, execution.permId, contract, sign * execution.shares, execution.price, time
            )  # fmt: skip
            new = execution.execId not in self.traded
            self.traded[execution.execId] = traded
            asked = self.ask is not None and self.ask.kind == "executions" and self.ask.number == number
            if new and not asked:
                self._change()
            sent = self.sent_by_ref.get(ref)
            if sent is not None and execution.permId > 0:
                sent.perm_id, sent.filled = execution.permId, max(sent.filled, execution.cumQty)
            self.heard.notify_all()

    def commissionReport(self, report: Any) -> None:  # noqa: N802
        """What a fill cost; in another currency than USD it is not known here."""
        with self.heard:
            if report.currency in ("USD", ""):
                self.commissions[report.execId] = known(report.commission)
            if self.ask is not None and self.ask.kind == "executions" and not self.ask.ended:
                self.ask.items.append(report.execId)
            self.heard.notify_all()

    def execDetailsEnd(self, number: int) -> None:  # noqa: N802
        """All executions were told."""
        self._end("executions", number)

    # The account, instruments and the time

    def position(self, account: str, contract: Any, shares: float, average: float) -> None:
        """A holding."""
        with self.heard:
            if account in ("", self.account) and self.ask is not None and self.ask.kind == "positions":
                if self.ask.mentioned.setdefault(("position", contract.conId), (shares, average)) != (shares, average):
                    self.ask.disturbed = True
                self._answer("positions", (contract, shares, average))

    def positionEnd(self) -> None:  # noqa: N802
        """All positions were told."""
        self._end("positions")

    def accountSummary(self, number: int, account: str, tag: str, value: str, currency: str) -> None:  # noqa: N802
        """A figure of an account."""
        with self.heard:
            if account in ("", self.account):
                self._answer("the account", (tag, value, currency), number)

    def accountSummaryEnd(self, number: int) -> None:  # noqa: N802
        """All figures were told."""
        self._end("the account", number)

    def contractDetails(self, number: int, details: Any) -> None:  # noqa: N802
        """An instrument."""
        with self.heard:
            self._answer("an instrument", details, number)

    bondContractDetails = contractDetails  # noqa: N815

    def contractDetailsEnd(self, number: int) -> None:  # noqa: N802
        """All instruments were told."""
        self._end("an instrument", number)

    def currentTime(self, seconds: int) -> None:  # noqa: N802
        """The gateway's clock."""
        with self.heard:
            self._answer(TIME, seconds)
        self._end(TIME)

    def _answer(self, kind: str, item: object, number: int = -1) -> None:
        if self.ask is not None and (self.ask.kind, self.ask.number) == (kind, number) and not self.ask.ended:
            self.ask.items.append(item)

    def _end(self, kind: str, number: int = -1) -> None:
        with self.heard:
            if self.ask is not None and (self.ask.kind, self.ask.number) == (kind, number):
                self.ask.ended = True
            self.heard.notify_all()


def _level(order: Any) -> float | None:
    price = order.auxPrice if order.orderType in ("STP", "TRAIL") else order.lmtPrice if "LMT" in order.orderType else None
    return None if price is None or math.isnan(known(price)) else float(price)
