"""The router: every order is journaled before it is sent, is sent at most once, and doubt is never resolved by sending again.

Plan all intents in one commit, then for each: risk check here, SENDING committed, probe, place, LIVE on acknowledgement,
else UNKNOWN. Cancels and reductions always pass. Source of the protocol: "reconcile, journal, send" as practised by
crash-only trading systems; the states and steps are those of ``rows.TRANSITIONS``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date
from enum import StrEnum

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import OrderState
from mech_exo.execution.broker import BrokerInterface, NotSentError
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.reconcile import Break, GateReport, gate
from mech_exo.execution.rows import OPEN_STATES, BookId, Intent, OrderRow
from mech_exo.execution.safety import HaltSwitch, halt_reason


@dataclass(frozen=True, slots=True)
class SendLimits:
    """Ceilings on what may leave, counted from the journal: ``max_orders`` sends and ``max_notional`` USD per session, sends per minute.

    ``per_minute`` None: as quickly as they go.
    """

    max_orders: int = 500
    max_notional: float = math.inf
    per_minute: int | None = None


class SendOutcome(StrEnum):
    """What became of an order in this pass."""

    LIVE = "live"
    DENIED = "denied"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class SendResult:
    """An order's outcome and the reason, in words for the operator."""

    order_id: str
    symbol: str
    shares: int
    outcome: SendOutcome
    note: str


class OrderRouter:
    """Hands the orders of one book to one broker.

    Parameters
    ----------
    switch
        The HALT file, looked at before every order.
    limits
        Daily ceilings; a restart cannot reset them.
    """

    def __init__(self, ledger: Ledger, broker: BrokerInterface, book: BookId, switch: HaltSwitch, limits: SendLimits | None = None) -> None:
        self._ledger, self._broker, self._book, self._switch = ledger, broker, book, switch
        self._limits = limits or SendLimits()
        self._gate: GateReport | None = None

    def open_gate(self, more: Sequence[Break] = ()) -> GateReport:
        """Recover and reconcile; a break that halts is a HALT, journaled. Must precede :meth:`submit` in each process.

        ``more`` are breaks the caller found in what neither ledger nor broker knows, e.g. the market's own records.
        """
        report = gate(self._ledger, self._broker, self._book)
        report = replace(report, breaks=(*report.breaks, *more))
        for found in report.halting:
            self._switch.halt(str(found))
        if report.halting and not self._ledger.is_halted:
            self._ledger.halt(str(report.halting[0]))
        self._gate = report
        return report

    def plan(self, intents: Sequence[Intent], decided: date) -> bool:
        """Journal every intent decided at ``decided``, in one commit; False when the identical plan is there already."""
        return self._ledger.plan(intents, self._book, decided)

    def expire(self, before: date) -> tuple[str, ...]:
        """End NEW orders whose session is earlier than ``before``: they were never sent and never will be."""
        stale = [row for row in self._ledger.orders(self._book, states={OrderState.NEW}) if row.order.session < before]
        if stale:
            with self._ledger.transaction():
                for row in stale:
                    self._ledger.set_state(row.order.id, OrderState.EXPIRED, "its session passed before it was sent")
        return tuple(row.order.id for row in stale)

    def submit(self, session: date) -> tuple[SendResult, ...]:
        """Send every NEW order for ``session``, reductions first. Running it again sends nothing twice."""
        if self._gate is None:
            raise BrokerError("nothing is sent before ledger and broker were compared", remedy="call open_gate() first")
        rows = self._ledger.orders(self._book, session=session, states={OrderState.NEW})
        ordered = sorted(rows, key=lambda row: (not self._reduces(row), row.order.symbol))
        if self._broker.capabilities.absence_is_proof:
            return self._send_together(ordered)
        return self._send_singly(ordered)

    def cancel(self, order_id: str) -> None:
        """Ask the broker to cancel. Always allowed, halted or not; a NEW order is simply not sent."""
        if self._ledger.order(order_id).state is OrderState.NEW:
            self._ledger.set_state(order_id, OrderState.CANCELLED, "cancelled before it was sent")
            return
        self._broker.cancel(order_id)

    def _send_singly(self, rows: Sequence[OrderRow]) -> tuple[SendResult, ...]:
        results = []
        for number, row in enumerate(rows):
            result = self._check(row)
            if result is None:
                self._ledger.set_state(row.order.id, OrderState.SENDING, "about to be sent")
                result = self._place(row)
            results.append(result)
            if result.outcome is SendOutcome.NOT_SENT:
                results += [_result(left, SendOutcome.NOT_SENT, "not tried: " + result.note) for left in rows[number + 1 :]]
                break
        return tuple(results)

    def _send_together(self, rows: Sequence[OrderRow]) -> tuple[SendResult, ...]:
        """As :meth:`_send_singly` in two commits instead of two per order: such a broker leaves no doubt behind."""
        with self._ledger.transaction():
            denied = {}
            for row in rows:
                result = self._check(row)
                if result is None:
                    self._ledger.set_state(row.order.id, OrderState.SENDING, "about to be sent")
                else:
                    denied[row.order.id] = result
        with self._ledger.transaction():
            return tuple(denied.get(row.order.id) or self._place(row) for row in rows)

    def _check(self, row: OrderRow) -> SendResult | None:
        """None when the order may go; else why not, with DENIED in the ledger (BLOCKED leaves it NEW)."""
        if self._reduces(row):
            return None
        doubtful = self._ledger.orders(self._book, states={OrderState.UNKNOWN})
        if doubtful:
            first = doubtful[0].order
            note = f"{first.symbol} {first.id} is in doubt: no new risk until the broker shows it or `exo ledger settle {first.id}`"
            return _result(row, SendOutcome.BLOCKED, note)
        reason = self._denial(row)
        if reason is None:
            return self._too_soon(row)
        self._ledger.set_state(row.order.id, OrderState.DENIED, reason)
        return _result(row, SendOutcome.DENIED, reason)

    def _denial(self, row: OrderRow) -> str | None:
        halted = halt_reason(self._ledger, self._switch)
        if halted is not None:
            return f"halted: {halted}; `exo resume` ends it"
        found = self._gate.blocks(row.order.symbol) if self._gate is not None else None
        if found is not None:
            return f"ledger and broker differ: {found}"
        if not math.isfinite(row.notional):
            return f"the price of {row.order.symbol} is unknown"
        sent = self._ledger.sent(self._book, row.order.session)
        if sent.orders + 1 > self._limits.max_orders:
            return f"at most {self._limits.max_orders} orders per session; {sent.orders} were sent"
        if math.isfinite(self._limits.max_notional) and not sent.notional + row.notional <= self._limits.max_notional:
            ceiling = f"at most {self._limits.max_notional:,.0f} USD per session"
            return f"{ceiling}; {sent.notional:,.0f} were sent and this is {row.notional:,.0f}"
        return None

    def _too_soon(self, row: OrderRow) -> SendResult | None:
        """NOT_SENT, and the order stays NEW, where as many orders as a minute allows left in the last one; else None."""
        most = self._limits.per_minute
        again = None if most is None else self._ledger.rests_until(self._book, most)
        if again is None:
            return None
        note = f"at most {most} orders per minute (sending.max_orders_per_minute); run again after {again.astimezone(UTC):%H:%M:%S} UTC"
        return _result(row, SendOutcome.NOT_SENT, note)

    def _place(self, row: OrderRow) -> SendResult:
        try:
            self._probe()
            answer = self._broker.place(row.order)
        except NotSentError as error:
            self._ledger.set_state(row.order.id, OrderState.NEW, f"not sent: {error.message}")
            return _result(row, SendOutcome.NOT_SENT, error.message)
        except BrokerError as error:
            note = f"in doubt: {error.message}"
            self._ledger.set_state(row.order.id, OrderState.UNKNOWN, note)
            return _result(row, SendOutcome.UNKNOWN, note)
        if not answer.accepted:
            self._ledger.set_state(row.order.id, OrderState.REJECTED, answer.reason, answer.broker_id)
            return _result(row, SendOutcome.REJECTED, answer.reason)
        self._ledger.set_state(row.order.id, OrderState.LIVE, "acknowledged", answer.broker_id)
        return _result(row, SendOutcome.LIVE, "acknowledged")

    def _probe(self) -> None:
        """A dead connection is found before the order is written to it, so nothing is in doubt."""
        try:
            self._broker.probe()
        except BrokerError as error:
            raise NotSentError(error.message) from error

    def _reduces(self, row: OrderRow) -> bool:
        """Whether the order only brings a holding nearer to 0, together with what is open for the symbol already."""
        held = self._gate.held(row.order.symbol) if self._gate is not None else 0
        open_now = self._ledger.orders(self._book, session=row.order.session, states=OPEN_STATES - {OrderState.NEW})
        pending = sum(one.order.shares - one.filled for one in open_now if one.order.symbol == row.order.symbol)
        left = held + pending
        return held * row.order.shares < 0 and left * row.order.shares < 0 and abs(row.order.shares) <= abs(left)


def _result(row: OrderRow, outcome: SendOutcome, note: str) -> SendResult:
    return SendResult(row.order.id, row.order.symbol, row.order.shares, outcome, note)
