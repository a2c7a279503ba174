"""The gate: every way in which ledger and broker can differ is found, named and locks what it must."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mech_exo.domain.orders import OrderState
from mech_exo.execution.broker import BrokerOrder, BrokerOrderState
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.reconcile import HALTING, BreakKind, gate, reconcile
from mech_exo.execution.router import OrderRouter
from mech_exo.execution.rows import SessionRow
from mech_exo.execution.safety import HaltSwitch
from tests.execution.fake_broker import FakeBroker
from tests.execution.ledger_rows import BOOK, DAY_ONE, day, fill, intents, line, order


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


def booked(ledger: Ledger, cash: float = 100_000.0, **shares: float) -> None:
    lines = tuple(line(symbol, count) for symbol, count in shares.items())
    ledger.book_session(SessionRow(BOOK, DAY_ONE, day(cash, cash=cash, index=1.0), lines))


def live(ledger: Ledger, broker: FakeBroker, *symbols: str) -> None:
    ledger.plan(intents(*symbols), BOOK, DAY_ONE)
    for symbol in symbols:
        ledger.set_state(order(symbol).id, OrderState.SENDING)
        answer = broker.place(order(symbol))
        ledger.set_state(order(symbol).id, OrderState.LIVE, "", answer.broker_id)


def kinds(ledger: Ledger, broker: FakeBroker) -> list[tuple[BreakKind, str | None]]:
    return [(found.kind, found.symbol) for found in reconcile(ledger, broker, BOOK).breaks]


def test_equal_sides_are_clean(ledger: Ledger, broker: FakeBroker) -> None:
    assert gate(ledger, broker, BOOK).clean, "a new book has nothing to compare"
    booked(ledger, AAA=10, BBB=-5)
    broker.held = {"AAA": 10, "BBB": -5}
    live(ledger, broker, "CCC")
    report = gate(ledger, broker, BOOK)
    assert report.clean and (report.locked, report.held("BBB"), report.held("ZZZ")) == (frozenset(), -5, 0)
    assert report.blocks("AAA") is None


def test_fills_since_the_last_session_are_accounted_for(ledger: Ledger, broker: FakeBroker) -> None:
    booked(ledger, AAA=10)
    live(ledger, broker, "AAA")
    broker.held, broker.cash = {"AAA": 20}, 100_000.0 - 10 * 10.2 - 1.0
    assert kinds(ledger, broker) == [(BreakKind.POSITION, "AAA"), (BreakKind.CASH, None)]
    broker.fills.append(fill(order("AAA")))
    broker.open.clear()
    assert gate(ledger, broker, BOOK).clean, "recovery took over the fill"
    assert ledger.order(order("AAA").id).state is OrderState.FILLED


Change = Callable[[Ledger, FakeBroker], None]


def _foreign(ledger: Ledger, broker: FakeBroker) -> None:
    broker.open["x"] = BrokerOrder("", "777", "AAA", 5, BrokerOrderState.OPEN)


def _lost(ledger: Ledger, broker: FakeBroker) -> None:
    broker.open["x"] = BrokerOrder("mx1-forgotten", "778", "AAA", 5, BrokerOrderState.OPEN)


def _missing(ledger: Ledger, broker: FakeBroker) -> None:
    live(ledger, broker, "AAA")
    broker.open.clear()


def _revived(ledger: Ledger, broker: FakeBroker) -> None:
    live(ledger, broker, "AAA")
    ledger.set_state(order("AAA").id, OrderState.CANCELLED)


def _overfill(ledger: Ledger, broker: FakeBroker) -> None:
    live(ledger, broker, "AAA")
    ledger.record_fill(BOOK, fill(order("AAA"), shares=11))
    broker.held = {"AAA": 11}
    broker.cash -= 11 * 10.2 + 1.0


def _account(ledger: Ledger, broker: FakeBroker) -> None:
    broker.account_id = "U1234567"


def _cash(ledger: Ledger, broker: FakeBroker) -> None:
    broker.cash += 200.0


def _cash_unknown(ledger: Ledger, broker: FakeBroker) -> None:
    broker.cash = math.nan


CASES = [
    (_foreign, BreakKind.FOREIGN_ORDER, "AAA"), (_lost, BreakKind.LOST_JOURNAL, "AAA"), (_missing, BreakKind.MISSING_ORDER, "AAA"),
    (_revived, BreakKind.REVIVED_ORDER, "AAA"), (_overfill, BreakKind.OVERFILL, "AAA"), (_account, BreakKind.ACCOUNT, None),
    (_cash, BreakKind.CASH, None), (_cash_unknown, BreakKind.CASH, None),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "symbol"), CASES)
def test_a_break_is_named_and_locks(
    ledger: Ledger, broker: FakeBroker, tmp_path: Path, change: Change, kind: BreakKind, symbol: str | None
) -> None:
    booked(ledger)
    change(ledger, broker)
    report = reconcile(ledger, broker, BOOK)
    assert [(found.kind, found.symbol) for found in report.breaks] == [(kind, symbol)]
    assert report.blocks("AAA") is not None
    everywhere = kind in HALTING or symbol is None
    assert (report.blocks("ZZZ") is not None) == everywhere
    router = OrderRouter(ledger, broker, BOOK, HaltSwitch(tmp_path))
    router.open_gate()
    assert ledger.is_halted == HaltSwitch(tmp_path).state().halted == (kind in HALTING)


@pytest.mark.parametrize(("proof", "least"), [(True, 0.01), (False, 10.0)])
def test_rounding_is_no_break(ledger: Ledger, proof: bool, least: float) -> None:
    """A cent inside this process; a hundredth of a percent of the account behind a wire."""
    booked(ledger)
    assert reconcile(ledger, FakeBroker(proof=proof, cash=100_000.0 + 0.9 * least), BOOK).clean
    assert [one.kind for one in reconcile(ledger, FakeBroker(proof=proof, cash=100_000.0 + 1.1 * least), BOOK).breaks] == [BreakKind.CASH]


@pytest.mark.parametrize("state", [BrokerOrderState.CANCELLED, BrokerOrderState.REJECTED, BrokerOrderState.EXPIRED])
@pytest.mark.parametrize("before", [OrderState.SENDING, OrderState.UNKNOWN, OrderState.LIVE])
def test_recovery_takes_the_brokers_word_for_an_end(ledger: Ledger, broker: FakeBroker, before: OrderState, state: BrokerOrderState) -> None:
    ledger.plan(intents("AAA"), BOOK, DAY_ONE)
    ledger.set_state(order("AAA").id, OrderState.SENDING)
    if before is not OrderState.SENDING:
        ledger.set_state(order("AAA").id, before)
    broker.ended.append(BrokerOrder(order("AAA").id, "9", "AAA", 10, state, "said so"))
    gate(ledger, broker, BOOK)
    row = ledger.order(order("AAA").id)
    assert (row.state.value, row.note, row.broker_id) == (state.value, "said so", "9")


@pytest.mark.parametrize("shown", ["open", "ended", "filled"])
def test_an_order_this_ledger_never_sent_is_adopted_and_halts(ledger: Ledger, broker: FakeBroker, tmp_path: Path, shown: str) -> None:
    """A ledger restored from a backup made before the order was sent: sending it now would be the second time."""
    ledger.plan(intents("AAA"), BOOK, DAY_ONE)
    broker.place(order("AAA"))
    if shown != "open":
        broker.open.clear()
    if shown == "ended":
        broker.ended.append(BrokerOrder(order("AAA").id, "9", "AAA", 10, BrokerOrderState.CANCELLED))
    if shown == "filled":
        broker.fills.append(fill(order("AAA")))
        broker.held = {"AAA": 10}
    router = OrderRouter(ledger, broker, BOOK, HaltSwitch(tmp_path))
    report = router.open_gate()
    assert [found.kind for found in report.halting] == [BreakKind.LOST_JOURNAL]
    assert router.submit(order("AAA").session) == () and len(broker.arrived) == 1
    ended = {"open": OrderState.LIVE, "ended": OrderState.CANCELLED, "filled": OrderState.FILLED}[shown]
    assert ledger.order(order("AAA").id).state is ended and ledger.is_halted


def test_a_fill_of_somebody_elses_order_explains_nothing(ledger: Ledger, broker: FakeBroker) -> None:
    booked(ledger)
    live(ledger, broker, "BBB")
    broker.fills.append(dataclasses.replace(fill(order("AAA")), order_id="their-own"))
    broker.held = {"AAA": 10}
    report = gate(ledger, broker, BOOK)
    assert [(found.kind, found.symbol) for found in report.breaks] == [(BreakKind.POSITION, "AAA")]
    assert ledger.fills(BOOK) == ()


def test_recovery_is_idempotent(ledger: Ledger, broker: FakeBroker) -> None:
    live(ledger, broker, "AAA", "BBB")
    broker.fills.append(fill(order("AAA"), shares=4, id_="f1"))
    gate(ledger, broker, BOOK)
    rows = ledger.verify().rows
    for _ in range(3):
        gate(ledger, broker, BOOK)
    assert ledger.verify().rows == rows


def test_a_gate_asks_the_ledger_as_often_for_many_orders_as_for_few(tmp_path: Path) -> None:
    asked = []
    for count in (20, 400):
        with Ledger.open(tmp_path / f"{count}.sqlite") as ledger:
            broker = FakeBroker()
            symbols = [f"S{k}" for k in range(count)]
            live(ledger, broker, *symbols)
            gate(ledger, broker, BOOK)  # takes over the broker's ids
            statements: list[str] = []
            ledger._connection.set_trace_callback(statements.append)
            assert gate(ledger, broker, BOOK).clean
            asked.append(len(statements))
    assert asked[0] == asked[1]
