"""What every broker must do. A new broker adds its stage to ``broker_stages.py`` and its name to ``BROKERS``.

Interactive Brokers is shown at each of the 22 versions of the protocol that its client speaks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from mech_exo.domain.errors import BrokerError
from mech_exo.execution.broker import BrokerInterface, BrokerOrderState, Capabilities
from tests.contracts.broker_stages import CASH, DAYS, Bar, IBStage, Stage, an_exit, an_order, staged

VERSIONS = range(157, 179)
BROKERS = ("paper", *(f"ib-{version}" for version in VERSIONS))
EVER = date(2000, 1, 1)
TEN: Bar = (10.0, 10.5, 9.5, 10.0)


@pytest.fixture(params=BROKERS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with staged(request.param, tmp_path) as one:
        yield one


@pytest.fixture
def connected(stage: Stage) -> Stage:
    stage.broker.connect()
    return stage


@pytest.fixture(params=[f"ib-{version}" for version in VERSIONS])
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IBStage]:
    """A broker behind a wire, connected."""
    with staged(request.param, tmp_path) as one:
        assert isinstance(one, IBStage)
        one.broker.connect()
        yield one


def held(stage: Stage) -> dict[str, int]:
    return {position.symbol: position.shares for position in stage.broker.positions()}


def open_ids(stage: Stage) -> list[str]:
    return [order.order_id for order in stage.broker.open_orders()]


def test_it_is_a_broker(stage: Stage) -> None:
    assert isinstance(stage.broker, BrokerInterface)
    assert isinstance(stage.broker.capabilities, Capabilities)
    assert not stage.broker.capabilities.live, "a contract suite never runs with real money"


def test_nothing_is_answered_before_it_is_connected(stage: Stage) -> None:
    broker = stage.broker
    for ask in (broker.probe, broker.account, broker.positions, broker.open_orders, broker.completed_orders):
        with pytest.raises(BrokerError):
            ask()
    for use in (lambda: broker.executions(EVER), lambda: broker.place(an_order(stage, "AAA", 10)), lambda: broker.cancel("mx1-a")):
        with pytest.raises(BrokerError):
            use()


def test_an_empty_account(connected: Stage) -> None:
    broker = connected.broker
    broker.probe()
    state = broker.account()
    assert state.account == connected.account and state.cash == state.nav == CASH
    assert (broker.positions(), broker.open_orders(), broker.completed_orders(), broker.executions(EVER)) == ((), (), (), ())


@pytest.mark.parametrize("shares", [10, -10])
def test_long_and_short(connected: Stage, shares: int) -> None:
    order = an_order(connected, "AAA", shares)
    answer = connected.place(order)
    assert answer.accepted and answer.order_id == order.id and answer.broker_id
    (found,) = connected.broker.open_orders()
    assert (found.order_id, found.symbol, found.shares, found.filled) == (order.id, "AAA", shares, 0)
    assert (found.state, found.broker_id) == (BrokerOrderState.OPEN, answer.broker_id)
    connected.session({"AAA": TEN})
    (fill,) = connected.broker.executions(EVER)
    assert (fill.order_id, fill.symbol, fill.shares, fill.price, fill.session) == (order.id, "AAA", shares, 10.0, DAYS[0])
    assert fill.commission == 1.0 and fill.time.utcoffset() is not None and fill.time.utcoffset().total_seconds() == 0.0
    assert (held(connected), connected.broker.open_orders()) == ({"AAA": shares}, ())
    assert connected.broker.account().cash == pytest.approx(CASH - shares * 10.0 - 1.0, abs=0.01)


def test_a_position_is_flipped(connected: Stage) -> None:
    connected.place(an_order(connected, "AAA", 10))
    connected.session({"AAA": TEN})
    connected.place(an_order(connected, "AAA", -25))
    connected.session({"AAA": (12.0, 12.5, 11.5, 12.0)})
    assert held(connected) == {"AAA": -15}
    latest = [fill for fill in connected.broker.executions(DAYS[1]) if fill.session == DAYS[1]]
    assert sum(fill.shares for fill in latest) == -25 and {fill.price for fill in latest} == {12.0}


def test_a_partial_fill(connected: Stage) -> None:
    order = an_order(connected, "AAA", 10)
    connected.place(order)
    connected.session({"AAA": TEN}, volume=40.0)
    assert held(connected) == {"AAA": 4} and open_ids(connected) == []
    assert sum(fill.shares for fill in connected.broker.executions(EVER)) == 4
    (ended,) = connected.broker.completed_orders()
    assert ended.order_id == order.id and ended.state in (BrokerOrderState.CANCELLED, BrokerOrderState.EXPIRED)


def test_a_refusal_is_an_answer(connected: Stage) -> None:
    order = connected.refuse(an_order(connected, "AAA", 10))
    answer = connected.broker.place(order)
    assert not answer.accepted and answer.order_id == order.id and answer.reason
    assert connected.broker.open_orders() == ()
    connected.session({"AAA": TEN})
    assert held(connected) == {}


def test_the_same_id_twice_is_one_order(connected: Stage) -> None:
    order = an_order(connected, "AAA", 10)
    first, second = connected.place(order), connected.place(order)
    assert first.accepted and second.accepted and first.broker_id == second.broker_id
    assert open_ids(connected) == [order.id]
    connected.session({"AAA": TEN})
    assert held(connected) == {"AAA": 10}


def test_orders_are_shown_by_symbol(connected: Stage) -> None:
    for symbol in ("CCC", "AAA", "BBB"):
        assert connected.place(an_order(connected, symbol, 10)).accepted
    assert [found.symbol for found in connected.broker.open_orders()] == ["AAA", "BBB", "CCC"]
    connected.session({})
    assert [position.symbol for position in connected.broker.positions()] == ["AAA", "BBB", "CCC"]


def test_a_cancelled_order_is_no_longer_open(connected: Stage) -> None:
    gone, stays = an_order(connected, "AAA", 10), an_order(connected, "BBB", 10)
    connected.place(gone)
    connected.place(stays)
    connected.broker.cancel(gone.id)
    connected.broker.cancel("mx1-nobody")
    assert open_ids(connected) == [stays.id]
    assert (gone.id, BrokerOrderState.CANCELLED) in {(found.order_id, found.state) for found in connected.broker.completed_orders()}
    connected.session({"AAA": TEN, "BBB": TEN})
    assert held(connected) == {"BBB": 10}
    connected.broker.cancel(stays.id)
    assert held(connected) == {"BBB": 10}


def test_an_order_is_changed_by_another_in_its_place(connected: Stage) -> None:
    first = an_order(connected, "AAA", 10)
    connected.place(first)
    connected.broker.cancel(first.id)
    assert open_ids(connected) == []
    second = an_order(connected, "AAA", 7, leg=1)
    assert connected.place(second).accepted
    connected.session({"AAA": TEN})
    assert held(connected) == {"AAA": 7}
    assert {fill.order_id for fill in connected.broker.executions(EVER)} == {second.id}


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("hit", ["stop", "target"])
def test_a_bracket(connected: Stage, side: int, hit: str) -> None:
    """The legs work once the entry fills; one fills, the other goes."""
    entry = an_order(connected, "AAA", 10 * side)
    stop = an_exit(connected, "AAA", -10 * side, stop=10.0 - 2.0 * side, parent=entry.id)
    target = an_exit(connected, "AAA", -10 * side, target=10.0 + 3.0 * side, parent=entry.id)
    assert connected.place(entry, stop, target).accepted
    assert sorted(open_ids(connected)) == sorted([entry.id, stop.id, target.id])
    connected.session({"AAA": TEN})
    assert held(connected) == {"AAA": 10 * side} and sorted(open_ids(connected)) == sorted([stop.id, target.id])
    levels = {order.order_id: order.level for order in connected.broker.open_orders()}
    assert levels == {stop.id: stop.level, target.id: target.level}
    beyond = 10.0 - 2.5 * side if hit == "stop" else 10.0 + 3.5 * side
    low, high = min(beyond, 10.0), max(beyond, 10.0)
    connected.session({"AAA": (10.0, high, low, beyond)})
    assert (held(connected), open_ids(connected)) == ({}, [])
    (last,) = connected.broker.executions(DAYS[1])
    assert (last.order_id, last.shares) == ((stop if hit == "stop" else target).id, -10 * side)


def test_without_its_entry_a_bracket_is_nothing(connected: Stage) -> None:
    entry = an_order(connected, "AAA", 10)
    stop = an_exit(connected, "AAA", -10, stop=8.0, parent=entry.id)
    assert connected.place(entry, stop).accepted
    connected.broker.cancel(entry.id)
    assert open_ids(connected) == []
    connected.session({"AAA": (7.0, 7.5, 6.5, 7.0)})
    assert held(connected) == {}


def test_the_first_of_a_group_ends_the_rest(connected: Stage) -> None:
    connected.place(an_order(connected, "AAA", 10))
    connected.session({"AAA": TEN})
    stop, target = an_exit(connected, "AAA", -10, stop=8.0), an_exit(connected, "AAA", -10, target=12.0)
    assert connected.place(stop).accepted and connected.place(target).accepted
    connected.session({"AAA": (10.0, 13.0, 7.5, 10.0)})
    assert (held(connected), open_ids(connected)) == ({}, [])
    assert [fill.order_id for fill in connected.broker.executions(DAYS[1])] == [stop.id], "both were touched: the stop"


def test_it_closes_and_connects_again(connected: Stage) -> None:
    order = an_order(connected, "AAA", 10)
    connected.place(order)
    before = connected.broker.open_orders()
    connected.broker.close()
    with pytest.raises(BrokerError):
        connected.broker.probe()
    connected.reconnect()
    connected.broker.probe()
    assert connected.broker.open_orders() == before
    again = connected.broker.place(order)
    assert again.accepted and again.broker_id == before[0].broker_id, "an order that is there is not sent again"
    connected.session({"AAA": TEN})
    assert held(connected) == {"AAA": 10}


def test_a_fill_has_the_same_id_however_often_it_is_told(connected: Stage) -> None:
    connected.place(an_order(connected, "AAA", 10))
    connected.place(an_order(connected, "BBB", -5))
    connected.session({"AAA": TEN, "BBB": TEN})
    first = connected.broker.executions(EVER)
    assert connected.broker.executions(EVER) == first and len({fill.id for fill in first}) == 2


def test_executions_since_a_day(connected: Stage) -> None:
    for symbol in ("AAA", "BBB"):
        connected.place(an_order(connected, symbol, 10))
        connected.session({symbol: TEN})
    assert [fill.symbol for fill in connected.broker.executions(DAYS[1])] == ["BBB"]
    assert connected.broker.executions(DAYS[2]) == ()


def test_completed_orders(connected: Stage) -> None:
    order = an_order(connected, "AAA", 10)
    answer = connected.place(order)
    connected.session({"AAA": TEN})
    (done,) = connected.broker.completed_orders()
    assert (done.order_id, done.broker_id, done.symbol, done.shares) == (order.id, answer.broker_id, "AAA", 10)
    assert done.state is BrokerOrderState.FILLED


# What only a broker behind a wire has


def test_every_message_twice_counts_once(wire: IBStage) -> None:
    wire.gateway.faults.add("duplicate", times=None)
    filled, part, rests = an_order(wire, "AAA", 10), an_order(wire, "BBB", -10), an_exit(wire, "CCC", 5, target=3.0)
    for order in (filled, part, rests):
        assert wire.place(order).accepted
    wire.gateway.exchange.fill(filled.id, price=10.0)
    wire.gateway.exchange.fill(part.id, price=11.0, shares=4)
    assert [(fill.symbol, fill.shares) for fill in wire.broker.executions(EVER)] == [("AAA", 10), ("BBB", -4)]
    assert held(wire) == {"AAA": 10, "BBB": -4} and open_ids(wire) == [part.id, rests.id]
    assert [order.order_id for order in wire.broker.completed_orders()] == [filled.id]
    assert wire.gateway.faults.fired["duplicate"] > 20


def test_what_others_do_is_shown_as_theirs(wire: IBStage) -> None:
    market = wire.gateway.exchange
    market.foreign_order("BBB", -3, limit=99.0, client_id=5, ref="theirs")
    market.manual_trade("AAA", 7, 10.0)
    (order,) = wire.broker.open_orders()
    assert (order.order_id, order.symbol, order.shares, order.level) == ("", "BBB", -3, 99.0) and order.broker_id
    (fill,) = wire.broker.executions(EVER)
    assert (fill.order_id, fill.symbol, fill.shares) == ("", "AAA", 7)
    (position,) = wire.broker.positions()
    assert (position.symbol, position.shares) == ("AAA", 7) and position.instrument


def test_average_cost_and_instrument(wire: IBStage) -> None:
    wire.place(an_order(wire, "AAA", 10))
    wire.session({"AAA": TEN})
    wire.place(an_order(wire, "AAA", 30))
    wire.session({"AAA": (12.0, 12.5, 11.5, 12.0)})
    (position,) = wire.broker.positions()
    assert position.average_cost == pytest.approx((10 * 10.0 + 30 * 12.0 + 2.0) / 40)
    assert math.isfinite(position.average_cost) and position.instrument == str(wire.gateway.exchange.instrument("AAA").con_id)


def test_orders_as_they_are_on_the_wire(wire: IBStage) -> None:
    """Account, reference, type, time in force and group, field by field as the protocol places them."""
    entry = an_order(wire, "AAA", 10)
    legs = an_exit(wire, "AAA", -10, stop=8.0, parent=entry.id), an_exit(wire, "AAA", -10, target=13.0, parent=entry.id)
    wire.place(entry, *legs)
    wire.place(replace(an_order(wire, "BBB", 5), rests=True))
    first, stop, target, _ = wire.gateway.placed
    assert [one[16:19] for one in (first, stop, target)] == [["BUY", "10", "MKT"], ["SELL", "10", "STP"], ["SELL", "10", "LMT"]]
    assert [one[21] for one in wire.gateway.placed] == ["OPG", "GTC", "GTC", "OPG"]
    assert [one[27] for one in (first, stop, target)] == ["0", "0", "1"], "the last one transmits all"
    assert (stop[20], target[19], stop[22], target[22]) == ("8.0", "13.0", "mx1-AAA", "mx1-AAA")
    assert stop[28] == target[28] == first[1]
    assert {one[23] for one in wire.gateway.placed} == {wire.account} and {one[33] for one in wire.gateway.placed} == {"0"}
    assert {(one[4], one[9], one[11]) for one in wire.gateway.placed} == {("STK", "SMART", "USD")}
    assert [one[26] for one in (first, stop, target)] == [entry.id, *(leg.id for leg in legs)]
