"""A broker behind an imaginary wire, which loses answers, refuses, dies and remembers what reached it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Fill, Order
from mech_exo.execution.broker import (
    AccountState,
    Acknowledgement,
    BrokerOrder,
    BrokerOrderState,
    BrokerPosition,
    Capabilities,
    NotSentError,
)
from tests.execution.ledger_rows import BOOK


class FakeBroker:
    """``faults`` maps a symbol to what happens when an order for it is placed; ``arrived`` lists every order that reached it."""

    def __init__(self, *, proof: bool = False, cash: float = 100_000.0) -> None:
        self.capabilities = Capabilities("fake", live=False, absence_is_proof=proof)
        self.faults: dict[str, str] = {}
        self.arrived: list[Order] = []
        self.open: dict[str, BrokerOrder] = {}
        self.ended: list[BrokerOrder] = []
        self.fills: list[Fill] = []
        self.held: dict[str, int] = {}
        self.cash = cash
        self.account_id = BOOK.account
        self.alive = True
        self.cancels: list[str] = []
        self.obeys = False
        self.instrument = ""

    def connect(self) -> None: ...

    def close(self) -> None: ...

    def probe(self) -> None:
        if not self.alive:
            raise BrokerError("no answer within a second")

    def account(self) -> AccountState:
        return AccountState(self.account_id, self.cash, self.cash)

    def positions(self) -> tuple[BrokerPosition, ...]:
        return tuple(BrokerPosition(symbol, shares, instrument=self.instrument) for symbol, shares in sorted(self.held.items()) if shares)

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        return tuple(self.open.values())

    def completed_orders(self) -> tuple[BrokerOrder, ...]:
        return tuple(self.ended)

    def executions(self, since: date) -> tuple[Fill, ...]:
        return tuple(fill for fill in self.fills if fill.session >= since)

    def place(self, order: Order, legs: Sequence[Order] = ()) -> Acknowledgement:
        fault = self.faults.get(order.symbol, "")
        if fault == "not_sent":
            raise NotSentError("the socket was closed")
        if fault == "lost":
            raise BrokerError("no answer")
        self.arrived += [order, *legs]
        if fault == "rejects":
            return Acknowledgement(order.id, False, "b1", "margin")
        for one in (order, *legs):
            self.open[one.id] = BrokerOrder(one.id, f"b-{len(self.open) + 1}", one.symbol, one.shares, BrokerOrderState.OPEN, level=one.level)
        if fault == "times_out_after_accepting":
            raise BrokerError("timed out")
        return Acknowledgement(order.id, True, self.open[order.id].broker_id)

    def cancel(self, order_id: str) -> None:
        self.cancels.append(order_id)
        if self.obeys and order_id in self.open:
            self.ended.append(replace(self.open.pop(order_id), state=BrokerOrderState.CANCELLED))
