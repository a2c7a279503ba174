"""Sending and recovering through Interactive Brokers' protocol, against the fake gateway over TCP: the pace is the broker's, the rest ours.

    python bench/execution.py [--json] [--quick]
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from _common import Line, line, main

from mech_exo.domain.orders import Fill, Order, OrderKey, OrderReason, OrderState
from mech_exo.execution.ib import IBBroker
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.router import OrderRouter
from mech_exo.execution.rows import BookId, Intent
from mech_exo.execution.safety import HaltSwitch
from mech_exo.execution.sending import SendOutcome
from mech_exo.utils.broker_settings import GatewayRules
from tests.gateway import FakeGateway
from tests.gateway.account import Holding, Ticket

ACCOUNT = "DU1234567"
BOOK = BookId(ACCOUNT, "bench")
PLAN, JOURNALED = 500, 10_000
PRICE = 50.0
DECIDED = date(2024, 1, 2)


def names(count: int) -> tuple[str, ...]:
    """Symbols nobody has."""
    return tuple(f"Z{number:04d}" for number in range(count))


def intents(symbols: tuple[str, ...], decided: date, **terms: object) -> list[Intent]:
    """A buy of ten of each."""
    session = decided + timedelta(1)
    ids = [OrderKey(ACCOUNT, BOOK.strategy, decided, symbol, "buy", "decision").id() for symbol in symbols]
    orders = [Order(id_, symbol, 10, session, OrderReason.REBALANCE, **terms) for id_, symbol in zip(ids, symbols, strict=True)]  # type: ignore[arg-type]
    return [Intent(order, PRICE) for order in orders]


class Desk:
    """A ledger, a gateway and a broker between them."""

    def __init__(self, keep: ExitStack, count: int) -> None:
        self.folder = Path(keep.enter_context(tempfile.TemporaryDirectory()))
        (self.folder / "data").mkdir()
        self.ledger = keep.enter_context(Ledger.open(self.folder / "data" / "ledger.sqlite"))
        self.symbols = names(count)
        self.gateway = keep.enter_context(FakeGateway(account=ACCOUNT, cash=1e7, symbols=self.symbols))
        self.rules = GatewayRules()
        self.broker = IBBroker(ACCOUNT, False, self.rules, port=self.gateway.port, instruments=self.folder / "data" / "instruments.json")
        keep.callback(self.broker.close)
        self.router = OrderRouter(self.ledger, self.broker, BOOK, HaltSwitch(self.folder))


def plan_sent(count: int, *, known: bool) -> tuple[float, Desk]:
    """Seconds from a plan to its last acknowledgement, gate included. ``known``: the instruments were traded on an earlier night."""
    with ExitStack() as keep:
        desk = Desk(keep, count)
        desk.broker.connect()
        if known:
            for symbol in desk.symbols:
                desk.broker._instrument(symbol)
        time.sleep(1.1)  # the broker's second is over: the pace starts from nothing
        start = time.perf_counter()
        desk.router.open_gate()
        desk.router.plan(intents(desk.symbols, DECIDED), DECIDED)
        results = desk.router.submit(DECIDED + timedelta(1))
        seconds = time.perf_counter() - start
        if {result.outcome for result in results} != {SendOutcome.LIVE} or len(results) != count:
            raise SystemExit("not every order was acknowledged: nothing worth measuring")
        if len(desk.gateway.exchange.orders(live=True)) != count:
            raise SystemExit("the gateway has not every order: nothing worth measuring")
        return seconds, desk


def recovered(count: int) -> float:
    """Seconds of the gate after a crash: ``count`` journaled orders, the last plan of them live at the broker, the others filled."""
    with ExitStack() as keep:
        desk = Desk(keep, PLAN)
        nights = max(count // PLAN, 2)
        for night in range(nights):
            decided = DECIDED + timedelta(night)
            wanted = intents(desk.symbols, decided)
            with desk.ledger.transaction():
                desk.ledger.plan(wanted, BOOK, decided)
                for intent in wanted:
                    _journal(desk, intent.order, last=night == nights - 1)
        held = 10.0 * (nights - 1)
        desk.gateway.exchange.holdings.update({key: Holding(held, PRICE) for key in desk.gateway.exchange.instruments})
        for number, intent in enumerate(wanted, start=1):
            con_id = desk.gateway.exchange.instrument(intent.order.symbol).con_id
            desk.gateway.exchange.place(Ticket(number, 17, 0, con_id, ACCOUNT, "BUY", 10, "MKT", tif="OPG", ref=intent.order.id))
        start = time.perf_counter()
        desk.broker.connect()
        report = desk.router.open_gate()
        seconds = time.perf_counter() - start
        if report.breaks or len(desk.ledger.orders(BOOK, states={OrderState.LIVE})) != PLAN:
            raise SystemExit(f"ledger and broker differ: {report.breaks[:2]}")
        return seconds


def _journal(desk: Desk, order: Order, *, last: bool) -> None:
    desk.ledger.set_state(order.id, OrderState.SENDING, "about to be sent")
    if not last:
        desk.ledger.set_state(order.id, OrderState.LIVE, "acknowledged", "1")
        when = datetime.combine(order.session, datetime.min.time(), UTC) + timedelta(hours=15)
        fill = Fill(f"ib-{order.id}", order.id, order.symbol, 10, PRICE, 1.0, order.session, when, order.reason, PRICE)
        desk.ledger.record_fill(BOOK, fill)


def measure(quick: bool) -> list[Line]:
    """Every figure."""
    plan, journaled = (40, 1_000) if quick else (PLAN, JOURNALED)
    warm, desk = plan_sent(plan, known=True)
    rate = desk.rules.messages_per_second
    gate = recovered(journaled)
    full = not quick
    lines = [
        line(f"{plan}-order plan journaled and acknowledged at {rate} messages/s", warm, "s", 30.0 if full else None),
        line("the same for each order", 1e3 * warm / plan, "ms", None, ("two messages at that pace", 2e3 / rate)),
        line("most messages the gateway counted in a second", desk.gateway.peak, "", 45.0),
        line(f"gate over {journaled:,} journaled orders, {PLAN} of them live, from the connection on", gate, "s", 2.0),
    ]
    if full:
        cold, _ = plan_sent(plan, known=False)
        lines.append(line(f"{plan}-order plan of symbols never traded before", cold, "s"))
    return lines


if __name__ == "__main__":
    sys.exit(main("Execution", measure, __doc__))
