"""Flatten: everything of ours cancelled, every position closed once, never turned round, whatever the broker does meanwhile."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.orders import Fill, Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.execution.broker import BrokerOrder, BrokerOrderState
from mech_exo.execution.flatten import Flattened, Wish, flatten
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.router import OrderRouter
from mech_exo.execution.rows import OPEN_STATES, Intent
from mech_exo.execution.safety import HaltSwitch
from mech_exo.execution.sending import SendOutcome, SendRules
from mech_exo.execution.valve import SafetyValve
from mech_exo.utils.broker_settings import SendingTimes
from tests.execution.fake_broker import FakeBroker
from tests.execution.ledger_rows import BOOK, DAY_ONE, line, session

NEXT = DAY_ONE + timedelta(1)
EVENING = datetime(2024, 1, 2, 23, tzinfo=UTC)
OPEN = Wish(NEXT, OrderType.MARKET_ON_OPEN)


class Exchange(FakeBroker):
    """Cancels at once, but for ``stubborn`` orders, which take that many askings."""

    def __init__(self) -> None:
        super().__init__()
        self.stubborn: dict[str, int] = {}

    def cancel(self, order_id: str) -> None:
        super().cancel(order_id)
        self.stubborn[order_id] = self.stubborn.get(order_id, 0) - 1
        if self.stubborn[order_id] < 0 and order_id in self.open:
            self.ended.append(dataclasses.replace(self.open.pop(order_id), state=BrokerOrderState.CANCELLED))

    def trade(self, order_id: str, at: date = NEXT) -> None:
        """Fill an open order whole."""
        done = self.open.pop(order_id)
        self.held[done.symbol] = self.held.get(done.symbol, 0) + done.shares
        self.ended.append(dataclasses.replace(done, state=BrokerOrderState.FILLED, filled=done.shares))
        time = datetime(2024, 1, 3, 14, 30, tzinfo=UTC)
        self.fills.append(Fill(f"x-{order_id}", order_id, done.symbol, done.shares, 10.0, 0.0, at, time, OrderReason.NONE, 10.0))
        self.cash -= done.shares * 10.0


class Stage:
    """A ledger with a booked session, a broker that holds the same, and a router between."""

    def __init__(self, home: Path, held: dict[str, int], now: datetime = EVENING) -> None:
        self.now = now
        self.ledger = Ledger.open(home / "data" / "ledger.sqlite", clock=lambda: self.now)
        booked = session(DAY_ONE, 100_000.0)
        lines = tuple(dataclasses.replace(line(symbol), shares=float(shares), order=0.0) for symbol, shares in sorted(held.items()))
        self.ledger.book_session(dataclasses.replace(booked, lines=lines))
        self.broker = Exchange()
        self.broker.held = dict(held)
        self.switch = HaltSwitch(home)
        self.switch.halt("flatten")

    def open_order(self, symbol: str, shares: int, *, stubborn: int = 0, at_broker: bool = True, leg: int = 0) -> Order:
        """An order of the night, LIVE at the broker, or in doubt where it is not there."""
        id_ = OrderKey(BOOK.account, BOOK.strategy, NEXT, symbol, str(shares > 0), "night", leg).id()
        placed = Order(id_, symbol, shares, NEXT, OrderReason.REBALANCE)
        self.ledger.plan([Intent(placed, 10.0)], BOOK, DAY_ONE - timedelta(leg))
        self.ledger.set_state(id_, OrderState.SENDING)
        self.ledger.set_state(id_, OrderState.LIVE if at_broker else OrderState.UNKNOWN, "", "b")
        if at_broker:
            self.broker.open[id_] = BrokerOrder(id_, "b", symbol, shares, BrokerOrderState.OPEN)
            self.broker.stubborn[id_] = stubborn
        return placed

    def flatten(self, wish: Wish = OPEN, *, valve: SafetyValve | None = None) -> Flattened:
        """As another process would."""
        rules = SendRules(valve=valve, pause=lambda _: None)
        router = OrderRouter(self.ledger, self.broker, BOOK, self.switch, rules=rules)
        return flatten(self.ledger, self.broker, BOOK, router, wish, pause=lambda _: None)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, {"AAA": 100, "BBB": -40})
    yield made
    made.ledger.close()


def arrived(stage: Stage) -> dict[str, int]:
    return {order.symbol: order.shares for order in stage.broker.arrived}


def test_every_position_is_closed_by_one_journaled_market_order(stage: Stage) -> None:
    done = stage.flatten()
    assert arrived(stage) == {"AAA": -100, "BBB": 40}
    assert all((order.type, order.reason, order.session) == (OrderType.MARKET_ON_OPEN, OrderReason.FLATTEN, NEXT) for order in stage.broker.arrived)
    assert [result.outcome for result in done.closing] == [SendOutcome.LIVE] * 2 and done.left == ()
    assert {row.state for row in stage.ledger.orders(BOOK, session=NEXT)} == {OrderState.LIVE}
    for order in stage.broker.arrived:
        stage.broker.trade(order.id)
    again = stage.flatten()
    assert (again.closing, again.left) == ((), ()) and len(stage.broker.arrived) == 2
    assert {row.state for row in stage.ledger.orders(BOOK, session=NEXT)} == {OrderState.FILLED}
    assert stage.ledger.verify().sound


def test_a_second_call_waits_for_the_orders_of_the_first(stage: Stage) -> None:
    stage.flatten()
    again = stage.flatten()
    assert len(stage.broker.arrived) == 2 and again.left == () and again.cancelled == ()
    assert [(result.outcome, result.note) for result in again.closing] == [(SendOutcome.LIVE, "sent before: acknowledged")] * 2


def test_open_orders_are_cancelled_and_planned_ones_never_sent(stage: Stage) -> None:
    entry, exit_ = stage.open_order("CCC", 70), stage.open_order("AAA", -30, leg=1)
    stage.ledger.plan([Intent(Order("mx1-planned", "DDD", 5, NEXT, OrderReason.REBALANCE), 10.0)], BOOK, DAY_ONE - timedelta(9))
    done = stage.flatten()
    assert set(done.cancelled) == {entry.id, exit_.id, "mx1-planned"} and set(stage.broker.cancels) == {entry.id, exit_.id}
    assert arrived(stage) == {"AAA": -100, "BBB": 40} and done.left == ()
    assert {stage.ledger.order(id_).state for id_ in done.cancelled} == {OrderState.CANCELLED}


def test_where_an_exit_is_not_gone_no_second_one_is_sent(stage: Stage) -> None:
    exit_ = stage.open_order("AAA", -100, stubborn=1)
    done = stage.flatten()
    assert arrived(stage) == {"BBB": 40}
    assert len(done.left) == 1 and exit_.id in done.left[0] and "run it again" in done.left[0]
    again = stage.flatten()
    assert arrived(stage) == {"AAA": -100, "BBB": 40} and again.left == ()


def test_an_entry_that_is_not_gone_is_said_and_the_position_closed_all_the_same(stage: Stage) -> None:
    entry = stage.open_order("AAA", 50, stubborn=1)
    done = stage.flatten()
    assert arrived(stage) == {"AAA": -100, "BBB": 40}
    assert len(done.left) == 1 and entry.id in done.left[0] and "may still fill" in done.left[0]
    stage.broker.trade(entry.id)
    stage.flatten()
    assert [(order.symbol, order.shares) for order in stage.broker.arrived][-1] == ("AAA", -50), "what filled meanwhile is closed too"


def test_an_exit_in_doubt_gets_no_second_one(stage: Stage) -> None:
    doubtful = stage.open_order("AAA", -100, at_broker=False)
    done = stage.flatten()
    assert arrived(stage) == {"BBB": 40} and any(doubtful.id in said for said in done.left)


def test_one_symbol(stage: Stage) -> None:
    kept = stage.open_order("BBB", 40)
    done = stage.flatten(dataclasses.replace(OPEN, symbol="AAA"))
    assert arrived(stage) == {"AAA": -100} and done.cancelled == () and kept.id in stage.broker.open


def test_what_is_not_the_books_is_left_and_said_unless_everything_is_meant(stage: Stage) -> None:
    stage.broker.held |= {"AAA": 150, "ZZZ": 30, "BBB": 10}
    stage.broker.open["foreign"] = BrokerOrder("", "77", "YYY", 5, BrokerOrderState.OPEN)
    done = stage.flatten()
    assert arrived(stage) == {"AAA": -100}
    assert [said.split(";")[0] for said in done.left] == [
        "AAA: +50 shares at the broker are not this book's",
        "BBB: +10 shares at the broker are not this book's",
        "ZZZ: +30 shares at the broker are not this book's",
        "YYY: order 77 is not from here",
    ]
    stage.flatten(dataclasses.replace(OPEN, everything=True))
    assert sorted((order.symbol, order.shares) for order in stage.broker.arrived) == [("AAA", -100), ("AAA", -50), ("BBB", -10), ("ZZZ", -30)]


@pytest.mark.parametrize(("fault", "outcome"), [("rejects", "rejected"), ("lost", "unknown"), ("not_sent", "not_sent")])
def test_a_closing_order_that_fails_is_said_and_only_doubt_is_not_tried_again(stage: Stage, fault: str, outcome: str) -> None:
    stage.broker.faults["AAA"] = fault
    done = stage.flatten()
    assert any(said.startswith(f"AAA: +100 shares are held; the closing order is {outcome}") for said in done.left)
    stage.broker.faults.clear()
    again = stage.flatten()
    assert sum(order.shares for order in stage.broker.arrived if order.symbol == "AAA" and order.id in stage.broker.open) == (
        0 if fault == "lost" else -100
    )
    assert (again.left == ()) is (fault != "lost")


def test_the_restart_holds_it_up_and_says_when_to_run_it_again(stage: Stage) -> None:
    stage.now = datetime(2024, 1, 3, 4, 45, tzinfo=UTC)
    done = stage.flatten(valve=SafetyValve(SendingTimes(), latest=stage.ledger.latest_instant()))
    assert not stage.broker.arrived and len(done.left) == 2 and all("run again after 2024-01-02 23:50:00" in said for said in done.left)
    stage.now = datetime(2024, 1, 3, 15, tzinfo=UTC)
    midday = Wish(NEXT, OrderType.MARKET)
    stage.flatten(midday, valve=SafetyValve(SendingTimes(), latest=stage.ledger.latest_instant()))
    assert arrived(stage) == {"AAA": -100, "BBB": 40} and {order.type for order in stage.broker.arrived} == {OrderType.MARKET}


def test_fractions_of_nothing_and_an_unknown_price_do_not_stop_it(stage: Stage) -> None:
    stage.broker.held |= {"ZZZ": 30}
    stage.flatten(dataclasses.replace(OPEN, everything=True))
    row = next(row for row in stage.ledger.orders(BOOK, session=NEXT) if row.order.symbol == "ZZZ")
    assert math.isnan(row.price) and row.state is OrderState.LIVE


SHARES = st.integers(-100, 100).filter(bool)
ORDERS = st.lists(st.tuples(st.sampled_from("ABC"), SHARES, st.integers(0, 2), st.booleans()), max_size=5)


@given(st.dictionaries(st.sampled_from("ABC"), SHARES), ORDERS, st.data())
def test_however_fills_fall_between_the_calls_nothing_turns_round_and_all_is_flat_in_the_end(
    held: dict[str, int], orders: list[tuple[str, int, int, bool]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), held)
        for number, (symbol, shares, stubborn, _) in enumerate(orders):
            stage.open_order(symbol, shares, stubborn=stubborn, leg=number)
        for _ in range(4):
            stage.flatten()
            open_ids = sorted(stage.broker.open)
            for id_ in data.draw(st.lists(st.sampled_from(open_ids), unique=True)) if open_ids else []:
                before, order = stage.broker.held.get(stage.broker.open[id_].symbol, 0), stage.broker.open[id_]
                stage.broker.trade(id_)
                if stage.ledger.order(id_).order.reason is OrderReason.FLATTEN:
                    after = stage.broker.held[order.symbol]
                    assert abs(after) < abs(before) and after * before >= 0, "a closing order only ever closes"
        for _ in range(8):
            stage.flatten()
            for id_ in sorted(stage.broker.open):
                stage.broker.trade(id_)
        assert stage.flatten().left == ()
        assert not any(stage.broker.held.values())
        assert not stage.ledger.orders(BOOK, states=OPEN_STATES)
        assert stage.ledger.verify().sound
        stage.ledger.close()
