"""What every broker must do. A new broker adds one line to ``BROKERS``: a function that makes it, holding nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Order, OrderKey, OrderReason
from mech_exo.execution.broker import BrokerInterface, BrokerOrderState, Capabilities
from mech_exo.execution.ledger import Ledger
from tests.execution.paper_market import BOOK, paper_broker

NEXT = date(2024, 1, 3)


def _paper(folder: Path) -> Iterator[BrokerInterface]:
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        yield paper_broker(ledger)


BROKERS: dict[str, Callable[[Path], Iterator[BrokerInterface]]] = {"paper": _paper}


@pytest.fixture(params=sorted(BROKERS))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerInterface]:
    yield from BROKERS[request.param](tmp_path)


def order(symbol: str = "AAA", shares: int = 10, leg: int = 0) -> Order:
    side = "buy" if shares > 0 else "sell"
    key = OrderKey(BOOK.account, BOOK.strategy, date(2024, 1, 2), symbol, side, "decision", leg)
    return Order(key.id(), symbol, shares, NEXT, OrderReason.REBALANCE)


def test_it_is_a_broker(broker: BrokerInterface) -> None:
    assert isinstance(broker, BrokerInterface)
    assert isinstance(broker.capabilities, Capabilities)
    assert not broker.capabilities.live, "a contract suite never runs with real money"


def test_nothing_is_answered_before_it_is_connected(broker: BrokerInterface) -> None:
    for ask in (broker.probe, broker.account, broker.positions, broker.open_orders, broker.completed_orders):
        with pytest.raises(BrokerError):
            ask()
    with pytest.raises(BrokerError):
        broker.executions(NEXT)
    with pytest.raises(BrokerError):
        broker.place(order())


def test_an_empty_account(broker: BrokerInterface) -> None:
    broker.connect()
    broker.probe()
    state = broker.account()
    assert state.account == BOOK.account
    assert math.isfinite(state.cash) and state.cash == state.nav > 0
    assert (broker.positions(), broker.open_orders(), broker.executions(date(2000, 1, 1))) == ((), (), ())


def test_an_accepted_order_is_open_until_it_ends(broker: BrokerInterface) -> None:
    broker.connect()
    answer = broker.place(order())
    assert answer.accepted and answer.order_id == order().id and answer.broker_id
    (found,) = broker.open_orders()
    assert (found.order_id, found.symbol, found.shares, found.state) == (order().id, "AAA", 10, BrokerOrderState.OPEN)
    assert found.broker_id == answer.broker_id


def test_the_same_id_twice_is_one_order(broker: BrokerInterface) -> None:
    broker.connect()
    broker.place(order())
    broker.place(order())
    assert len(broker.open_orders()) == 1


def test_orders_are_shown_by_symbol(broker: BrokerInterface) -> None:
    broker.connect()
    for symbol in ("CCC", "AAA", "BBB"):
        assert broker.place(order(symbol)).accepted
    assert [found.symbol for found in broker.open_orders()] == ["AAA", "BBB", "CCC"]


def test_a_cancelled_order_is_no_longer_open(broker: BrokerInterface) -> None:
    broker.connect()
    broker.place(order())
    broker.place(order("BBB"))
    broker.cancel(order().id)
    broker.cancel("mx1-nobody")
    assert [found.order_id for found in broker.open_orders()] == [order("BBB").id]
    assert (order().id, BrokerOrderState.CANCELLED) in {(found.order_id, found.state) for found in broker.completed_orders()}


def test_it_closes_and_connects_again(broker: BrokerInterface) -> None:
    broker.connect()
    broker.close()
    with pytest.raises(BrokerError):
        broker.probe()
    broker.connect()
    broker.probe()
