"""The router: every order is journaled before it is sent, is sent at most once, and doubt is never resolved by sending again.

Plan all intents in one commit, then for each: risk check here, SENDING committed, probe, place with its legs, LIVE on acknowledgement,
else UNKNOWN. Legs share every commit with their entry. Cancels and reductions always pass, but for the valve's times. Source of the
protocol: "reconcile, journal, send" as practised by crash-only trading systems; the states and steps are those of ``rows.TRANSITIONS``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date

from mech_exo.domain.errors import BrokerError, LedgerError
from mech_exo.domain.orders import Order, OrderState
from mech_exo.execution.breaks import Break, GateReport
from mech_exo.execution.broker import Acknowledgement, BrokerInterface, NotSentError, gone
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.protection import Guarded, ProtectionPlan, resting_exits, unprotected
from mech_exo.execution.reconcile import gate
from mech_exo.execution.rows import OPEN_STATES, Alert, BookId, Intent, OrderRow, Protection, StateChange
from mech_exo.execution.safety import HaltSwitch, halt_reason
from mech_exo.execution.sending import SendLimits, SendOutcome, SendResult, SendRules
from mech_exo.utils.calendar import previous_session

DOUBTFUL = frozenset({OrderState.SENDING, OrderState.UNKNOWN})


class OrderRouter:
    """Hands the orders of one book to one broker.

    Parameters
    ----------
    switch
        The HALT file, looked at before every order.
    limits
        Daily ceilings; a restart cannot reset them.
    rules
        The valve, doubt and identity. Times are the ledger's clock.
    """

    def __init__(
        self, ledger: Ledger, broker: BrokerInterface, book: BookId, switch: HaltSwitch,
        limits: SendLimits | None = None, rules: SendRules | None = None,
    ) -> None:  # fmt: skip
        self._ledger, self._broker, self._book, self._switch = ledger, broker, book, switch
        self._limits, self._rules = limits or SendLimits(), rules or SendRules()
        self._gate: GateReport | None = None
        self._left: set[str] = set()
        self._booked: dict[date, dict[str, float]] = {}

    def open_gate(self, more: Sequence[Break] = ()) -> GateReport:
        """Recover and reconcile; a break that halts is a HALT, journaled. Must precede :meth:`submit` in each process.

        ``more`` are breaks the caller found in what neither ledger nor broker knows, e.g. the market's own records.
        """
        self._gate = None
        report = gate(self._ledger, self._broker, self._book, self._rules.doubt)
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
        """Send every NEW order for ``session`` with its legs, reductions first; protection waits for :meth:`protect`.

        Running it again sends nothing twice.
        """
        self._passed()
        rows = self._ledger.orders(self._book, session=session, states={OrderState.NEW})
        entries = [row for row in rows if row.order.parent is None and not row.order.rests]
        ordered = sorted(entries, key=lambda row: (not self._reduces(row), row.order.symbol))
        legs: dict[str, list[Order]] = {}
        for row in rows:
            if row.order.parent is not None:
                legs.setdefault(row.order.parent, []).append(row.order)
        families = [_Family(row, tuple(legs.get(row.order.id, ()))) for row in ordered]
        if self._broker.capabilities.absence_is_proof:
            return self._send_together(families)
        return self._send_singly(families)

    def cancel(self, order_id: str) -> None:
        """Ask the broker to cancel. Always allowed, halted or not; a NEW order is simply not sent."""
        if self._ledger.order(order_id).state is OrderState.NEW:
            self._ledger.set_state(order_id, OrderState.CANCELLED, "cancelled before it was sent")
            return
        self._broker.cancel(order_id)

    def withdraw(self, plan: ProtectionPlan) -> tuple[str, ...]:
        """Journal ``plan`` and cancel what it replaces, before tonight's orders leave; returns the ids that are not gone, each an alarm.

        Waits a bounded time for the broker to show that they ended, then passes the gate again: one of them may have filled meanwhile.
        A cancel that is refused does not keep the others, already replaced, from going on.
        """
        self._passed()
        refused = {}
        if self._ledger.protect(Protection(plan.book, previous_session(plan.session), plan.places, plan.cancels)):
            for id_ in plan.cancels:
                try:
                    self.cancel(id_)
                except BrokerError as error:
                    refused[id_] = error.message
            gone(self._broker, plan.cancels, self._rules.pause)
            self.open_gate()
        left = [row for row in self._ledger.find_orders(plan.cancels).values() if row.state in OPEN_STATES]
        for row in left:
            self._ledger.post_alert(_not_gone(row, plan.session, refused.get(row.order.id, "the broker did not take the cancel")))
        return tuple(row.order.id for row in left)

    def protect(self, session: date, levels: Sequence[Guarded]) -> tuple[SendResult, ...]:
        """Send the NEW protection of ``session`` where what it replaces is gone, then alert for every position left without its stop."""
        self._passed()
        rows = self._ledger.orders(self._book, session=session, states={OrderState.NEW})
        waiting = [row for row in rows if row.order.rests and row.order.parent is None]
        pairs = {row.order.group for row in waiting}  # the other half of one may have left before the last process ended
        resting = {row.order.symbol: row for row in self._standing() if row.order.group not in pairs}
        free = [_Family(row, ()) for row in waiting if row.order.symbol not in resting]
        results = [
            self._block(row, f"{resting[row.order.symbol].order.id} is not gone yet") for row in waiting if row.order.symbol in resting
        ]
        results += self._send_singly(free)
        self._alarm(session, levels)
        return tuple(results)

    def _standing(self) -> list[OrderRow]:
        """Protection that may still trade, sent earlier."""
        rows = self._ledger.orders(self._book, states=OPEN_STATES - {OrderState.NEW})
        entries = {row.order.id for row in rows if not row.order.rests}
        return [row for row in rows if row.order.rests and row.order.parent not in entries]

    def _alarm(self, session: date, levels: Sequence[Guarded]) -> None:
        """One critical alert a session and symbol: a position that no stop covers."""
        report = self._passed() if self._broker.capabilities.absence_is_proof else self.open_gate()
        rows = self._ledger.orders(self._book, states=OPEN_STATES)
        held = {position.symbol: position.shares for position in report.positions}
        live = [row.order for row in rows if row.state is OrderState.LIVE]
        for symbol in unprotected(levels, held, live, resting_exits(rows, report.orders)):
            text = f"{symbol} is held, and the stops at the broker cover less than is held. Place one there by hand, or `exo flatten`."
            self._ledger.post_alert(Alert(f"unprotected-{session}-{symbol}", "critical", f"{symbol} is held without its stop", text))

    def _passed(self) -> GateReport:
        if self._gate is None:
            raise BrokerError("nothing is sent before ledger and broker were compared", remedy="call open_gate() first")
        return self._gate

    def _send_singly(self, families: Sequence[_Family]) -> tuple[SendResult, ...]:
        results = []
        for number, family in enumerate(families):
            result = self._check(family)
            if result is None:
                self._mark(family, OrderState.SENDING, "about to be sent")
                result = self._place(family)
            results.append(result)
            if result.outcome is SendOutcome.NOT_SENT:
                results += [_result(left.row, SendOutcome.NOT_SENT, "not tried: " + result.note) for left in families[number + 1 :]]
                break
        return tuple(results)

    def _send_together(self, families: Sequence[_Family]) -> tuple[SendResult, ...]:
        """As :meth:`_send_singly` in two commits instead of two per order: such a broker leaves no doubt behind."""
        with self._ledger.transaction():
            denied = {}
            for family in families:
                result = self._check(family)
                if result is None:
                    self._mark(family, OrderState.SENDING, "about to be sent")
                else:
                    denied[family.row.order.id] = result
        with self._ledger.transaction():
            return tuple(denied.get(family.row.order.id) or self._place(family) for family in families)

    def _check(self, family: _Family) -> SendResult | None:
        """None when the order may go; else why not, with DENIED in the ledger (BLOCKED leaves it NEW)."""
        row = family.row
        refused = None if self._rules.valve is None else self._rules.valve.refusal(row.order.session, self._ledger.now(), row.order)
        if refused is not None:
            return self._block(row, refused)
        if self._reduces(row):
            return None
        if row.order.rests or self._was_reduction(row):
            return self._deny(family, f"it was to reduce what is held; {row.order.shares:+d} {row.order.symbol} would not any more")
        blocked = self._doubt() or self._other_identity(row)
        if blocked is not None:
            return self._block(row, blocked)
        reason = self._denial(row)
        return self._too_soon(row) if reason is None else self._deny(family, reason)

    def _was_reduction(self, row: OrderRow) -> bool:
        """Whether the order reduced the position it was decided on: what was to be sold may have gone by a stop since."""
        if row.decided not in self._booked:
            booked = self._ledger.session(self._book, row.decided)
            self._booked[row.decided] = {} if booked is None else {line.symbol: line.shares for line in booked.lines}
        held = self._booked[row.decided].get(row.order.symbol, 0.0)
        return held * row.order.shares < 0 and abs(row.order.shares) <= abs(held)

    def _block(self, row: OrderRow, reason: str) -> SendResult:
        """It stays NEW and may leave later; why it did not is its note, so that whoever looks at the order sees it."""
        note = f"not sent: {reason}"
        if note != row.note:
            self._ledger.append(StateChange(row.order.id, OrderState.NEW, note, row.broker_id), row.order.id)
        return _result(row, SendOutcome.BLOCKED, reason)

    def _deny(self, family: _Family, reason: str) -> SendResult:
        self._mark(family, OrderState.DENIED, reason)
        return _result(family.row, SendOutcome.DENIED, reason)

    def _doubt(self) -> str | None:
        """Why no order may add risk while one is in doubt, None when none is."""
        doubtful = self._ledger.orders(self._book, states={OrderState.UNKNOWN})
        if not doubtful:
            return None
        first = doubtful[0].order
        return f"{first.symbol} {first.id} is in doubt: no new risk until the broker shows it or `exo ledger settle {first.id}`"

    def _other_identity(self, row: OrderRow) -> str | None:
        """Why an order planned by another configuration or code is not sent by this one, None when they agree or nobody asks."""
        decided = None if self._rules.identity is None else self._ledger.decision(self._book, row.decided)
        if decided is None or (decided.config_hash, decided.code_version) == self._rules.identity:
            return None
        planned = f"{decided.config_hash[:12]} and {decided.code_version[:12]}"
        return f"planned with other configuration or code than what sends it ({planned}): send with those, or decide the next night anew"

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

    def _mark(self, family: _Family, state: OrderState, note: str, broker_id: str | None = None) -> None:
        """Move an order and its legs together, in one commit."""
        with self._ledger.transaction():
            self._ledger.set_state(family.row.order.id, state, note, broker_id)
            for leg in family.legs:
                self._ledger.set_state(leg.id, state, note)

    def _place(self, family: _Family) -> SendResult:
        row = family.row
        try:
            self._probe()
            answer = self._send(family)
        except NotSentError as error:
            self._mark(family, OrderState.NEW, f"not sent: {error.message}")
            return _result(row, SendOutcome.NOT_SENT, error.message)
        except BrokerError as error:
            note = f"in doubt: {error.message}"
            self._mark(family, OrderState.UNKNOWN, note)
            return _result(row, SendOutcome.UNKNOWN, note)
        if not answer.accepted:
            self._mark(family, OrderState.REJECTED, answer.reason, answer.broker_id)
            return _result(row, SendOutcome.REJECTED, answer.reason)
        self._mark(family, OrderState.LIVE, "acknowledged", answer.broker_id)
        return _result(row, SendOutcome.LIVE, "acknowledged")

    def _probe(self) -> None:
        """A dead connection is found before the order is written to it, so nothing is in doubt."""
        try:
            self._broker.probe()
        except BrokerError as error:
            raise NotSentError(error.message) from error

    def _send(self, family: _Family) -> Acknowledgement:
        """The one line that sends. What leaves is what was planned, as SENDING in the journal, and leaves this process once."""
        for order in (family.row.order, *family.legs):
            known = self._ledger.find_order(order.id)
            if known is None or known.order != order or known.state is not OrderState.SENDING or order.id in self._left:
                raise LedgerError(
                    f"only a planned order leaves, and once; {order.symbol} {order.id} was not planned so, or left before",
                    remedy="exo halt, then compare `exo orders` with the broker: this is a fault of the program",
                )
        ids = {order.id for order in (family.row.order, *family.legs)}
        self._left |= ids
        try:
            return self._broker.place(family.row.order, family.legs)
        except NotSentError:
            self._left -= ids
            raise

    def _reduces(self, row: OrderRow) -> bool:
        """Whether the order only brings a holding nearer to 0, together with what else is open to do so.

        Orders of one group count once, the largest: the first to fill ends the others. Legs of an entry that has not filled do not count,
        nor does protection, which may never trade, against an order that is none.
        """
        order = row.order
        held = self._gate.held(order.symbol) if self._gate is not None else 0
        if held * order.shares >= 0:
            return False
        rows = self._ledger.orders(self._book, symbol=order.symbol, states=OPEN_STATES - {OrderState.NEW})
        waiting = {one.order.id for one in rows if not one.filled}
        pending: dict[str, int] = {}
        for one in rows:
            counts = one.order.parent not in waiting and (order.rests or not one.order.rests)
            if counts and one.order.shares * order.shares > 0:
                key = one.order.group or one.order.id
                pending[key] = max(pending.get(key, 0), abs(one.order.shares - one.filled))
        others = sum(shares for key, shares in pending.items() if key != order.group)
        return abs(order.shares) <= abs(held) - others


@dataclass(frozen=True, slots=True)
class _Family:
    """An order and the legs that go out with it."""

    row: OrderRow
    legs: tuple[Order, ...]


def _not_gone(row: OrderRow, session: date, why: str) -> Alert:
    order = row.order
    text = f"The {order.type} order of {order.shares:+d} {order.symbol} ({order.id}) was to be cancelled and may still trade: {why}. "
    text += "It may sell or buy more than is held: cancel it at the broker, then run it again."
    return Alert(f"not-gone-{session}-{order.id}", "critical", f"{order.symbol}: protection that was to go still rests", text)


def _result(row: OrderRow, outcome: SendOutcome, note: str) -> SendResult:
    return SendResult(row.order.id, row.order.symbol, row.order.shares, outcome, note)
