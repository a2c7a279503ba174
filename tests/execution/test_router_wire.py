"""Behind a wire: brackets in one piece, doubt given up by the journal's count, protection replaced only when gone, one look while nothing moves.

Long because every case needs the same wire, and is told from the one before by a single message.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mech_exo.domain.errors import BrokerError, LedgerError
from mech_exo.domain.orders import Order, OrderReason, OrderState, OrderType
from mech_exo.execution.broker import BrokerOrder, BrokerOrderState
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.protection import ProtectionPlan, dress, plan_protection, resting_exits
from mech_exo.execution.reconcile import BreakKind
from mech_exo.execution.router import OrderRouter
from mech_exo.execution.rows import OPEN_STATES, Intent, SessionRow
from mech_exo.execution.safety import HaltSwitch
from mech_exo.execution.sending import SendLimits, SendOutcome, SendRules
from mech_exo.utils.broker_settings import DoubtRules
from tests.execution.fake_broker import FakeBroker
from tests.execution.ledger_rows import BOOK, DAY_ONE, day, decision, fill, line, order
from tests.execution.test_protection import Guard

TRADES = DAY_ONE + timedelta(1)
LIVE, DENIED, REJECTED = SendOutcome.LIVE, SendOutcome.DENIED, SendOutcome.REJECTED
UNKNOWN, NOT_SENT, BLOCKED = SendOutcome.UNKNOWN, SendOutcome.NOT_SENT, SendOutcome.BLOCKED
EVENING = datetime(2024, 1, 2, 23, tzinfo=UTC)


class Wire:
    """A ledger, a broker and a router under one clock."""

    def __init__(self, home: Path) -> None:
        self.home, self.at, self.broker = home, EVENING, FakeBroker()
        self.limits, self.rules = SendLimits(), SendRules(pause=self.wait)
        self.ledger = self.open()
        self.restart()

    def open(self) -> Ledger:
        return Ledger.open(self.home / "ledger.sqlite", clock=lambda: self.at)

    def restart(self) -> None:
        self.ledger.close()
        self.ledger, self.switch = self.open(), HaltSwitch(self.home)
        self.router = OrderRouter(self.ledger, self.broker, BOOK, self.switch, self.limits, self.rules)

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def plan(self, *orders: Order, price: float = 10.0) -> None:
        self.router.plan([Intent(one, price) for one in orders], DAY_ONE)

    def send(self) -> dict[str, SendOutcome]:
        self.router.open_gate()
        return {result.symbol: result.outcome for result in self.router.submit(TRADES)}

    def states(self) -> dict[str, OrderState]:
        return {row.order.id: row.state for row in self.ledger.orders(BOOK)}

    def hold(self, **shares: int) -> None:
        lines = tuple(line(symbol, float(count)) for symbol, count in shares.items())
        self.ledger.book_session(SessionRow(BOOK, DAY_ONE, day(100_000.0, cash=100_000.0, index=1.0), lines))
        self.broker.held = dict(shares)

    def protect(self, levels: list[Guard]) -> list[SendOutcome]:
        gate = self.router.open_gate()
        held = {one.symbol: one.shares for one in gate.positions}
        rows = self.ledger.orders(BOOK, states=OPEN_STATES)
        going = [row.order for row in self.ledger.orders(BOOK, session=TRADES, states=OPEN_STATES)]
        plan = plan_protection(BOOK, TRADES, levels, held, going, resting_exits(rows, gate.orders), self.ledger.used_ids(BOOK, TRADES))
        self.router.withdraw(plan)
        self.router.submit(TRADES)
        return [result.outcome for result in self.router.protect(TRADES, levels)]

    def stops(self) -> list[tuple[int, float | None]]:
        return [(one.shares, one.level) for one in self.broker.open.values() if one.level is not None]


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    made = Wire(tmp_path)
    yield made
    made.ledger.close()


def bracket(symbol: str = "AAA", shares: int = 10) -> tuple[Order, ...]:
    return dress(BOOK, [dataclasses.replace(order(symbol, shares), stop_level=9.0, target_level=12.0)], {}, [], [])


OUTCOMES = [("", OrderState.LIVE), ("lost", OrderState.UNKNOWN), ("times_out_after_accepting", OrderState.UNKNOWN),
            ("rejects", OrderState.REJECTED), ("not_sent", OrderState.NEW)]  # fmt: skip


@pytest.mark.parametrize(("fault", "state"), OUTCOMES)
def test_legs_share_their_entrys_fate(wire: Wire, fault: str, state: OrderState) -> None:
    wire.broker.faults["AAA"] = fault
    wire.plan(*bracket())
    wire.send()
    assert list(wire.states().values()) == [state] * 3
    assert len(wire.broker.arrived) == (0 if fault in ("lost", "not_sent") else 3)


def test_legs_are_sending_with_their_entry_before_anything_leaves(wire: Wire) -> None:
    seen = []
    place = wire.broker.place

    def looking(one: Order, legs: tuple[Order, ...] = ()) -> object:
        with Ledger.open(wire.home / "ledger.sqlite", read_only=True) as other:  # what is committed
            seen.append(sorted(row.state.value for row in other.orders(BOOK)))
        return place(one, legs)

    wire.broker.place = looking  # type: ignore[method-assign, assignment]
    wire.plan(*bracket())
    wire.send()
    assert seen == [["sending"] * 3]


def test_a_denied_entry_takes_its_legs_along(wire: Wire) -> None:
    wire.switch.halt("brake")
    wire.plan(*bracket())
    assert wire.send() == {"AAA": DENIED}
    assert set(wire.states().values()) == {OrderState.DENIED}


def test_legs_are_no_orders_of_their_own_in_the_limits(wire: Wire) -> None:
    wire.limits = SendLimits(max_orders=2, max_notional=200.0)
    wire.restart()
    wire.plan(*bracket("AAA"), *bracket("BBB"), *bracket("CCC"))
    assert wire.send() == {"AAA": LIVE, "BBB": LIVE, "CCC": DENIED}


def lose(wire: Wire) -> str:
    wire.broker.faults["AAA"] = "lost"
    wire.plan(order("AAA"))
    assert wire.send() == {"AAA": UNKNOWN}
    return order("AAA").id


def look(wire: Wire, *seconds: float) -> None:
    for wait in seconds:
        wire.wait(wait)
        wire.restart()
        wire.router.open_gate()


def test_doubt_is_given_up_after_enough_clean_looks_over_enough_time_whatever_restarts(wire: Wire) -> None:
    id_ = lose(wire)
    look(wire, 1, 60, 58)
    assert wire.states()[id_] is OrderState.UNKNOWN, "three looks in less than two minutes"
    look(wire, 2)
    assert wire.states()[id_] is OrderState.ABANDONED
    (alert,) = wire.ledger.alerts()
    assert alert.severity == "critical" and id_ in alert.text
    look(wire, 60)
    assert len(wire.ledger.alerts()) == 1 and wire.broker.arrived == []
    assert wire.ledger.verify().sound


def test_two_looks_are_not_enough_however_long(wire: Wire) -> None:
    id_ = lose(wire)
    look(wire, 1, 3600)
    assert wire.states()[id_] is OrderState.UNKNOWN


def test_the_rules_of_doubt_are_configuration(wire: Wire) -> None:
    wire.rules = SendRules(doubt=DoubtRules(snapshots=5, minutes=10.0), pause=wire.wait)
    id_ = lose(wire)
    look(wire, 1, 300, 300, 1)
    assert wire.states()[id_] is OrderState.UNKNOWN
    look(wire, 1)
    assert wire.states()[id_] is OrderState.ABANDONED


def test_a_position_that_changes_begins_the_count_anew(wire: Wire) -> None:
    wire.hold(AAA=3)
    id_ = lose(wire)
    look(wire, 1, 60)
    wire.broker.held["AAA"] = 13  # it filled, and the execution is not told
    look(wire, 60, 60, 60)
    assert wire.states()[id_] is OrderState.UNKNOWN, "the symbol is locked: nothing is clean"
    wire.broker.held["AAA"] = 3
    look(wire, 1)
    assert wire.states()[id_] is OrderState.ABANDONED


def test_a_look_that_fails_counts_for_nothing(wire: Wire) -> None:
    id_ = lose(wire)
    look(wire, 1)
    wire.broker.alive = False
    for _ in range(3):
        wire.wait(60)
        with pytest.raises(BrokerError):
            wire.router.open_gate()
    wire.broker.alive = True
    look(wire, 1)
    assert wire.states()[id_] is OrderState.UNKNOWN


def test_across_midnight_in_new_york_doubt_is_the_operators(wire: Wire) -> None:
    wire.at = datetime(2024, 1, 3, 4, 58, tzinfo=UTC)  # 23:58
    id_ = lose(wire)
    look(wire, 10, 60, 60, 60, 600)
    assert wire.states()[id_] is OrderState.UNKNOWN


def test_what_was_given_up_and_appears_is_adopted_and_halts(wire: Wire) -> None:
    id_ = lose(wire)
    look(wire, 1, 60, 61)
    wire.broker.open[id_] = BrokerOrder(id_, "77", "AAA", 10, BrokerOrderState.OPEN)
    report = wire.router.open_gate()
    assert [found.kind for found in report.halting] == [BreakKind.REVIVED_ORDER]
    assert (wire.states()[id_], wire.ledger.is_halted, wire.switch.state().halted) == (OrderState.LIVE, True, True)
    assert wire.router.open_gate().clean, "from then on it is an order like any other"


def test_what_was_given_up_and_filled_counts_and_halts(wire: Wire) -> None:
    id_ = lose(wire)
    look(wire, 1, 60, 61)
    wire.broker.fills.append(fill(order("AAA")))
    wire.broker.held = {"AAA": 10}
    assert wire.router.open_gate().halting and wire.ledger.is_halted
    assert (wire.states()[id_], wire.ledger.order(id_).filled) == (OrderState.FILLED, 10)


def test_no_new_risk_after_doubt_until_it_is_over(wire: Wire) -> None:
    wire.broker.faults["AAA"] = "lost"
    wire.plan(order("AAA"), order("BBB"))
    assert wire.send() == {"AAA": UNKNOWN, "BBB": BLOCKED}
    look(wire, 1, 60, 61)
    assert wire.send() == {"BBB": LIVE}
    assert [one.symbol for one in wire.broker.arrived] == ["BBB"]


def test_a_comparison_waits_until_nothing_moves(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.plan(order("BBB"))
    wire.send()
    positions, moves = wire.broker.positions, [fill(order("BBB"), shares=4, id_="f1"), fill(order("BBB"), shares=6, id_="f2")]

    def moving() -> object:
        answer = positions()
        if moves:
            told = moves.pop(0)
            wire.broker.fills.append(told)
            wire.broker.held["BBB"] = wire.broker.held.get("BBB", 0) + told.shares
            wire.broker.cash -= told.shares * told.price + told.commission
        else:
            wire.broker.open.clear()
        return answer

    wire.broker.positions = moving  # type: ignore[method-assign, assignment]
    assert wire.router.open_gate().clean
    assert wire.ledger.order(order("BBB").id).state is OrderState.FILLED


def test_what_never_stands_still_is_not_compared(wire: Wire) -> None:
    positions = wire.broker.positions

    def moving() -> object:
        number = len(wire.broker.open)
        wire.broker.open[f"x{number}"] = BrokerOrder("", f"x{number}", "ZZZ", 1, BrokerOrderState.OPEN)
        return positions()

    wire.broker.positions = moving  # type: ignore[method-assign, assignment]
    with pytest.raises(BrokerError, match="nothing moves"):
        wire.router.open_gate()
    with pytest.raises(BrokerError, match="compared"):
        wire.router.submit(TRADES)


class Shut:
    """A valve that is shut for some symbols."""

    def __init__(self, *symbols: str) -> None:
        self.symbols, self.asked = symbols, []

    def refusal(self, session: object, now: datetime, order: Order) -> str | None:
        self.asked.append((session, now, order.symbol))
        return "too late" if order.symbol in self.symbols else None


def test_the_valve_is_asked_before_everything_that_leaves_and_cancels_do_not_ask(wire: Wire) -> None:
    wire.hold(ZZZ=10)
    valve = Shut("ZZZ", "BBB")
    wire.rules = SendRules(valve=valve, pause=wire.wait)
    wire.restart()
    wire.plan(order("AAA"), order("BBB"), order("ZZZ", -10))
    assert wire.send() == {"ZZZ": BLOCKED, "AAA": LIVE, "BBB": BLOCKED}
    assert wire.ledger.order(order("ZZZ", -10).id).state is OrderState.NEW, "it may leave when the valve opens"
    assert {symbol for _, _, symbol in valve.asked} == {"AAA", "BBB", "ZZZ"} and valve.asked[0][:2] == (TRADES, wire.at)
    asked = len(valve.asked)
    wire.router.cancel(order("AAA").id)
    assert (wire.broker.cancels, len(valve.asked)) == ([order("AAA").id], asked)


def test_what_another_configuration_planned_is_not_sent_by_this_one(wire: Wire) -> None:
    wire.hold(ZZZ=10)
    wire.ledger.record_decision(decision())
    wire.plan(order("AAA"), order("ZZZ", -10))
    wire.rules = SendRules(identity=("c0ffee", "other code"), pause=wire.wait)
    wire.restart()
    assert wire.send() == {"ZZZ": LIVE, "AAA": BLOCKED}, "reductions pass"
    wire.rules = SendRules(identity=("c0ffee", "c0de"), pause=wire.wait)
    wire.restart()
    assert wire.send() == {"AAA": LIVE}


def test_what_a_stop_sold_meanwhile_is_not_sold_again(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.plan(order("AAA", -10))
    wire.broker.held = {}
    sold = dataclasses.replace(fill(order("AAA", -10, leg=1)), session=TRADES)
    wire.ledger.record_fill(BOOK, sold)
    wire.broker.cash += 10 * sold.price - sold.commission
    assert wire.send() == {"AAA": DENIED}
    assert "it was to reduce" in wire.ledger.order(order("AAA", -10).id).note


def test_only_what_was_planned_leaves_and_once(wire: Wire) -> None:
    wire.plan(order("AAA"))
    wire.router.open_gate()
    (row,) = wire.ledger.orders(BOOK)
    wire.ledger.orders = lambda *a, **k: (dataclasses.replace(row, order=dataclasses.replace(row.order, shares=1000)),) if k.get("session") else ()  # type: ignore[method-assign]
    with pytest.raises(LedgerError, match="only a planned order leaves"):
        wire.router.submit(TRADES)
    assert wire.broker.arrived == []


# --- protection


def test_protection_is_placed_and_stays(wire: Wire) -> None:
    wire.hold(AAA=10)
    levels = [Guard("AAA", 9.0, 12.0)]
    assert wire.protect(levels) == [LIVE, LIVE]
    assert wire.stops() == [(-10, 9.0), (-10, 12.0)]
    rows = wire.ledger.verify().rows
    assert wire.protect(levels) == [] and wire.ledger.verify().rows == rows
    assert wire.ledger.alerts() == ()


def test_replacing_waits_until_the_old_pair_is_gone(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.broker.obeys = True
    wire.protect([Guard("AAA", 9.0)])
    assert wire.protect([Guard("AAA", 9.5)]) == [LIVE]
    assert wire.stops() == [(-10, 9.5)]
    assert sorted(wire.states().values()) == [OrderState.CANCELLED, OrderState.LIVE]


def test_a_pair_that_does_not_go_is_not_doubled_and_is_an_alarm_when_it_covers_too_little(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.protect([Guard("AAA", 9.0)])
    before = wire.at
    assert wire.protect([Guard("AAA", 9.5)]) == [BLOCKED]
    assert timedelta() < wire.at - before < timedelta(minutes=1), "it waits, and not for ever"
    assert wire.stops() == [(-10, 9.0)]
    assert OrderState.LIVE in wire.states().values(), "a cancel is a wish"
    wire.broker.obeys = True
    wire.restart()
    assert wire.protect([Guard("AAA", 9.5)]) == [LIVE], "later it goes, and the same new one is placed"
    assert len(wire.states()) == 2


def test_protection_that_does_not_go_is_an_alarm_with_or_without_a_position(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.protect([Guard("AAA", 9.0)])
    wire.broker.held = {}
    for _ in range(2):
        wire.protect([])
    (alert,) = wire.ledger.alerts()
    assert (alert.severity, alert.title) == ("critical", "AAA: protection that was to go still rests")


def test_a_refused_cancel_does_not_leave_the_other_positions_naked(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    wire.hold(AAA=10, BBB=10)
    wire.broker.obeys = True
    wire.protect([Guard("AAA", 9.0), Guard("BBB", 9.0)])
    mine = {one.symbol: one.id for one in wire.broker.arrived}
    cancel = wire.broker.cancel

    def refusing(id_: str) -> None:
        if id_ == mine["BBB"]:
            raise BrokerError("an order is cancelled by the client id that placed it")
        cancel(id_)

    monkeypatch.setattr(wire.broker, "cancel", refusing)
    assert sorted(wire.protect([Guard("AAA", 9.5), Guard("BBB", 9.5)])) == [BLOCKED, LIVE]
    assert sorted(wire.stops()) == [(-10, 9.0), (-10, 9.5)]
    (alert,) = wire.ledger.alerts()
    assert "client id" in alert.text and mine["BBB"] in alert.text


def test_protection_passes_a_halt_and_doubt(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.switch.halt("brake")
    wire.broker.faults["BBB"] = "lost"
    assert wire.protect([Guard("AAA", 9.0)]) == [LIVE]


def test_a_position_left_without_its_stop_is_an_alarm_once_a_night(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.broker.faults["AAA"] = "rejects"
    for _ in range(2):
        wire.protect([Guard("AAA", 9.0)])
    (alert,) = wire.ledger.alerts()
    assert (alert.severity, alert.id) == ("critical", f"unprotected-{TRADES}-AAA")


def test_orphaned_protection_is_cancelled(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.broker.obeys = True
    wire.protect([Guard("AAA", 9.0)])
    wire.broker.held = {}
    wire.protect([])
    assert wire.stops() == []


def test_a_partial_reduction_leaves_before_the_smaller_pair(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.broker.obeys = True
    wire.protect([Guard("AAA", 9.0)])
    wire.plan(order("AAA", -4))
    assert wire.protect([Guard("AAA", 9.0)]) == [LIVE]
    assert [(one.type, one.shares) for one in wire.broker.arrived] == [
        (OrderType.STOP, -10), (OrderType.MARKET_ON_OPEN, -4), (OrderType.STOP, -6)]  # fmt: skip
    assert wire.stops() == [(-6, 9.0)] and wire.ledger.alerts() == ()


def test_protection_larger_than_the_position_never_leaves(wire: Wire) -> None:
    wire.hold(AAA=10)
    stop = Order("mx1-too-large", "AAA", -11, TRADES, OrderReason.HARD_STOP, OrderType.STOP, level=9.0, rests=True, group="g")
    wire.router.open_gate()
    wire.router.withdraw(ProtectionPlan(BOOK, TRADES, (), (Intent(stop, math.nan),)))
    assert [result.outcome for result in wire.router.protect(TRADES, [])] == [DENIED]
    assert wire.broker.arrived == []


def test_a_lost_half_of_a_pair_is_doubt_and_nothing_is_placed_beside_it(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.broker.faults["AAA"] = "lost"
    assert wire.protect([Guard("AAA", 9.0)]) == [UNKNOWN]
    wire.broker.faults.clear()
    wire.restart()
    assert wire.protect([Guard("AAA", 9.5)]) == []
    assert wire.broker.arrived == [] and [alert.severity for alert in wire.ledger.alerts()] == ["critical"]


def test_protection_of_another_session_stays_where_it_is(wire: Wire) -> None:
    wire.hold(AAA=10)
    wire.protect([Guard("AAA", 9.0)])
    assert wire.router.expire(TRADES + timedelta(30)) == ()
    assert wire.stops() == [(-10, 9.0)]


def test_ends_that_follow_from_anothers_are_taken(wire: Wire) -> None:
    """A group of which one filled, and legs of an entry that expired, though the broker tells no more of them."""
    wire.hold(AAA=10)
    wire.protect([Guard("AAA", 9.0, 12.0)])
    wire.plan(*bracket("BBB"))
    wire.send()
    stop = next(row.order for row in wire.ledger.orders(BOOK) if row.order.symbol == "AAA" and row.order.type is OrderType.STOP)
    wire.broker.fills.append(fill(stop, price=9.0))
    wire.broker.held, wire.broker.cash = {}, wire.broker.cash + 10 * 9.0 - 1.0
    entry = wire.broker.open[order("BBB").id]
    wire.broker.open.clear()
    wire.broker.ended.append(dataclasses.replace(entry, state=BrokerOrderState.EXPIRED))
    assert wire.router.open_gate().clean
    assert sorted(state.value for state in wire.states().values()) == ["cancelled", "cancelled", "cancelled", "expired", "filled"]


@pytest.mark.parametrize(("entry_lives", "alarms"), [(True, 1), (False, 0)])
def test_a_leg_that_ends_alone_is_an_alarm(wire: Wire, entry_lives: bool, alarms: int) -> None:
    entry, stop, _ = bracket()
    wire.plan(*bracket())
    wire.send()
    for id_ in (stop.id,) if entry_lives else (stop.id, entry.id):
        wire.broker.ended.append(dataclasses.replace(wire.broker.open.pop(id_), state=BrokerOrderState.REJECTED))
    for _ in range(2):
        wire.router.open_gate()
    assert [alert.severity for alert in wire.ledger.alerts()] == ["critical"] * alarms


def test_an_order_of_a_passed_session_that_nobody_shows_has_expired_if_the_position_is_as_it_was(wire: Wire) -> None:
    wire.plan(order("AAA"))
    wire.send()
    wire.broker.open.clear()
    assert [found.kind for found in wire.router.open_gate().breaks] == [BreakKind.MISSING_ORDER]
    wire.at = datetime(2024, 1, 4, 23, tzinfo=UTC)
    wire.broker.held = {"AAA": 10}
    assert {found.kind for found in wire.router.open_gate().breaks} == {BreakKind.MISSING_ORDER, BreakKind.POSITION}
    wire.broker.held = {}
    assert wire.router.open_gate().clean
    assert wire.states()[order("AAA").id] is OrderState.EXPIRED


