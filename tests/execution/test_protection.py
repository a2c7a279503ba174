"""Protection behind a wire: one pair for what will be held, replaced only when it differs, and never twice."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.execution.broker import BrokerOrder, BrokerOrderState
from mech_exo.execution.protection import ProtectionPlan, Resting, dress, plan_protection, resting_exits, tick, unprotected
from mech_exo.execution.rows import Intent, OrderRow
from tests.execution.ledger_rows import BOOK, DAY_ONE

SESSION = date(2024, 1, 3)
STOP, LIMIT = OrderType.STOP, OrderType.LIMIT


@dataclass(frozen=True)
class Guard:
    symbol: str
    stop: float | None
    target: float | None = None
    reason: OrderReason = OrderReason.TRAILING_STOP


def market(symbol: str, shares: int, stop: float | None = None, target: float | None = None, group: str | None = None) -> Order:
    id_ = OrderKey(BOOK.account, BOOK.strategy, SESSION, symbol, "buy" if shares > 0 else "sell", "rebalance").id()
    return Order(id_, symbol, shares, SESSION, OrderReason.REBALANCE, stop_level=stop, target_level=target, group=group)


def pair(symbol: str, shares: int, stop: float, target: float | None = None, group: str = "g", *, certain: bool = True) -> list[Resting]:
    """What rests for ``shares`` held."""
    found = [Resting(f"s-{symbol}", symbol, -shares, STOP, stop, group, certain)]
    return found + ([Resting(f"t-{symbol}", symbol, -shares, LIMIT, target, group, certain)] if target else [])


def plan(levels: list[Guard], held: dict[str, int], orders: list[Order] = [], resting: list[Resting] = [], taken: set[str] = set()) -> ProtectionPlan:  # noqa: B006
    return plan_protection(BOOK, SESSION, levels, held, orders, resting, taken)


def placed(found: ProtectionPlan) -> list[tuple[str, int, OrderType, float | None]]:
    return [(one.order.symbol, one.order.shares, one.order.type, one.order.level) for one in found.places]


@pytest.mark.parametrize(("level", "on_the_grid"), [(99.994, 99.99), (0.123456, 0.1235), (None, None), (math.nan, None), (0.0, None), (-1.0, None), (math.inf, None)])
def test_levels_are_on_the_exchanges_grid(level: float | None, on_the_grid: float | None) -> None:
    assert tick(level) == on_the_grid


def test_a_position_gets_a_stop_and_a_target_of_one_group() -> None:
    found = plan([Guard("AAA", 90.004, 120.0)], {"AAA": 10})
    assert placed(found) == [("AAA", -10, STOP, 90.0), ("AAA", -10, LIMIT, 120.0)]
    stop, target = (one.order for one in found.places)
    assert stop.group == target.group is not None
    assert stop.rests and target.rests and stop.parent is None
    assert (stop.reason, target.reason) == (OrderReason.TRAILING_STOP, OrderReason.PROFIT_TARGET)
    assert found.cancels == ()


def test_a_short_is_bought_back() -> None:
    assert placed(plan([Guard("AAA", 110.0)], {"AAA": -7})) == [("AAA", 7, STOP, 110.0)]


def test_what_rests_as_decided_stays() -> None:
    assert not plan([Guard("AAA", 90.0, 120.0)], {"AAA": 10}, [], pair("AAA", 10, 90.0, 120.0))


@pytest.mark.parametrize(
    ("level", "held", "rests"),
    [
        (Guard("AAA", 91.0, 120.0), 10, pair("AAA", 10, 90.0, 120.0)),  # the stop trailed
        (Guard("AAA", 90.0), 10, pair("AAA", 10, 90.0, 120.0)),  # no target any more
        (Guard("AAA", 90.0, 120.0), 10, pair("AAA", 10, 90.0)),  # a target is lacking
        (Guard("AAA", 45.0), 20, pair("AAA", 10, 90.0)),  # a split
        (Guard("AAA", 90.0), 10, [*pair("AAA", 6, 90.0, group="g"), *pair("AAA", 4, 90.0, group="h")]),  # two groups: an exit could join one
        (Guard("AAA", 90.0), 10, [replace(pair("AAA", 10, 90.0)[0], group=None)]),
        (Guard("AAA", 110.0), -10, pair("AAA", 10, 90.0)),  # the position turned
    ],
)
def test_what_differs_is_replaced_by_a_new_pair(level: Guard, held: int, rests: list[Resting]) -> None:
    found = plan([level], {"AAA": held}, [], rests)
    assert sorted(found.cancels) == sorted(one.id for one in rests)
    assert {(one.order.shares, one.order.level) for one in found.places if one.order.type is STOP} == {(-held, level.stop)}
    assert not {one.order.id for one in found.places} & {one.id for one in rests}


def test_no_position_no_protection() -> None:
    found = plan([], {}, [], pair("AAA", 10, 90.0))
    assert (found.cancels, found.places) == (("s-AAA",), ())


def test_a_partial_reduction_leaves_protection_for_the_rest() -> None:
    found = plan([Guard("AAA", 90.0)], {"AAA": 10}, [market("AAA", -4)], pair("AAA", 10, 90.0))
    assert (found.cancels, placed(found)) == (("s-AAA",), [("AAA", -6, STOP, 90.0)])


def test_a_full_exit_joins_the_group_and_the_pair_stays() -> None:
    rests = pair("AAA", 10, 90.0)
    (exit_,) = dress(BOOK, [market("AAA", -10)], {"AAA": 10}, [Guard("AAA", 90.0)], rests)
    assert exit_.group == "g"
    assert not plan([Guard("AAA", 90.0)], {"AAA": 10}, [exit_], rests)


def test_a_full_exit_beside_a_pair_that_must_change_shares_the_new_ones_group() -> None:
    rests = pair("AAA", 10, 90.0)
    (exit_,) = dress(BOOK, [market("AAA", -10)], {"AAA": 10}, [Guard("AAA", 92.0)], rests)
    found = plan([Guard("AAA", 92.0)], {"AAA": 10}, [exit_], rests)
    assert exit_.group not in (None, "g")
    assert found.cancels == ("s-AAA",) and [one.order.group for one in found.places] == [exit_.group]


def test_an_entry_carries_its_own_pair() -> None:
    entry, stop, target = dress(BOOK, [market("AAA", 10, 90.0, 120.0)], {}, [], [])
    assert entry.group is None and stop.parent == target.parent == entry.id
    assert stop.group == target.group is not None
    assert [(leg.shares, leg.type, leg.level, leg.rests) for leg in (stop, target)] == [(-10, STOP, 90.0, True), (-10, LIMIT, 120.0, True)]


def test_an_entry_without_levels_has_no_legs() -> None:
    assert len(dress(BOOK, [market("AAA", 10)], {}, [], [])) == 1


def test_an_enlargement_is_protected_by_legs_for_what_it_adds() -> None:
    rests = pair("AAA", 10, 90.0)
    dressed = dress(BOOK, [market("AAA", 5, 90.0)], {"AAA": 10}, [Guard("AAA", 90.0)], rests)
    assert [(one.shares, one.type) for one in dressed] == [(5, OrderType.MARKET_ON_OPEN), (-5, STOP)]
    assert not plan([Guard("AAA", 90.0)], {"AAA": 10}, list(dressed), rests)


def test_a_turn_is_protected_for_the_new_side_alone() -> None:
    order, leg = dress(BOOK, [market("AAA", -15, 110.0)], {"AAA": 10}, [Guard("AAA", 90.0)], pair("AAA", 10, 90.0))
    assert (order.group, leg.shares, leg.level) == ("g", 5, 110.0)


def test_a_reduction_has_no_legs_though_it_names_a_level() -> None:
    assert len(dress(BOOK, [market("AAA", -4, 90.0)], {"AAA": 10}, [Guard("AAA", 90.0)], pair("AAA", 10, 90.0))) == 1


def test_entries_are_cut_and_every_child_has_its_legs_but_exits_are_not() -> None:
    def cut(order: Order) -> tuple[Order, ...]:
        half = order.shares // 2
        return replace(order, shares=half), replace(order, id=order.id + "x", shares=order.shares - half)

    dressed = dress(BOOK, [market("AAA", 11, 90.0), market("BBB", -8)], {"BBB": 8}, [Guard("BBB", 90.0)], pair("BBB", 8, 90.0), cut)
    assert [(one.symbol, one.shares) for one in dressed] == [("AAA", 5), ("AAA", -5), ("AAA", 6), ("AAA", -6), ("BBB", -8)]
    assert len({one.id for one in dressed}) == 5
    assert len({one.group for one in dressed if one.symbol == "AAA" and one.rests}) == 2


def test_doubt_about_what_rests_leaves_it_alone() -> None:
    found = plan([Guard("AAA", 91.0)], {"AAA": 10}, [], pair("AAA", 10, 90.0, certain=False))
    assert (found.cancels, found.places, found.doubtful) == ((), (), ("AAA",))


def test_an_id_is_used_once() -> None:
    first = plan([Guard("AAA", 90.0)], {"AAA": 10})
    again = plan([Guard("AAA", 90.0)], {"AAA": 10}, taken={first.places[0].order.id})
    assert first.places[0].order.id != again.places[0].order.id
    assert first.places == plan([Guard("AAA", 90.0)], {"AAA": 10}).places, "the same night plans the same"


def test_what_is_planned_already_is_not_planned_again() -> None:
    old = pair("AAA", 10, 90.0)
    new = [Resting("n", "AAA", -10, STOP, 91.0, "n", certain=False, planned=True)]
    found = plan([Guard("AAA", 91.0)], {"AAA": 10}, [], old + new)
    assert (found.cancels, found.places) == (("s-AAA",), ())


SYMBOLS = ("AAA", "BBB")
SHARES = st.integers(-12, 12)
LEVELS = st.one_of(st.none(), st.sampled_from([80.0, 90.0, 95.125]))


@given(
    st.dictionaries(st.sampled_from(SYMBOLS), SHARES.filter(bool)), st.tuples(SHARES, SHARES), st.tuples(LEVELS, LEVELS), st.tuples(LEVELS, LEVELS),
    st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(-12, 12).filter(bool), st.sampled_from((STOP, LIMIT)), st.sampled_from([80.0, 90.0]), st.sampled_from("gh")), max_size=4),
)  # fmt: skip
def test_a_second_plan_on_what_the_first_led_to_changes_nothing(held, changes, stops, targets, rests) -> None:
    levels = [Guard(symbol, stops[k], targets[k]) for k, symbol in enumerate(SYMBOLS) if symbol in held]
    resting = [Resting(f"r{k}", symbol, shares, kind, level, group, certain=True) for k, (symbol, shares, kind, level, group) in enumerate(rests)]
    wishes = [market(symbol, changes[k], 85.0) for k, symbol in enumerate(SYMBOLS) if changes[k]]
    orders = list(dress(BOOK, wishes, held, levels, resting))
    found = plan(levels, held, orders, resting)
    assert len({one.order.id for one in found.places}) == len(found.places)
    after = [one for one in resting if one.id not in found.cancels]
    after += [Resting(o.id, o.symbol, o.shares, o.type, o.level, o.group, certain=True) for o in (one.order for one in found.places)]
    assert not plan(levels, held, orders, after, {one.id for one in after})
    for level in levels:
        mine = [one for one in after if one.symbol == level.symbol]
        left = held[level.symbol] + sum(o.shares for o in orders if o.symbol == level.symbol and o.parent is None)
        kept = left if left * held[level.symbol] > 0 and abs(left) < abs(held[level.symbol]) else held[level.symbol]
        assert {one.shares for one in mine} <= {-kept}
        assert len({one.group for one in mine}) <= 1
        assert [tick(one.level) for one in mine if one.type is STOP] == [tick(level.stop)] * (level.stop is not None)
        exits = [o for o in orders if o.symbol == level.symbol and o.group is not None and o.parent is None]
        assert not mine or {one.group for one in mine} >= {o.group for o in exits}, "an exit's fill ends what rests"
    if all(level.stop is not None for level in levels):
        assert unprotected(levels, held, orders, after) == ()


def test_uncovered_is_told() -> None:
    levels, held = [Guard("AAA", 90.0), Guard("BBB", None), Guard("CCC", 90.0)], {"AAA": 10, "BBB": 5}
    assert unprotected(levels, held, [], []) == ("AAA",)
    assert unprotected(levels, held, [], pair("AAA", 9, 90.0)) == ("AAA",)
    assert unprotected(levels, held, [], pair("AAA", 10, 90.0, certain=False)) == ("AAA",)
    assert unprotected(levels, held, [], pair("AAA", -10, 90.0)) == ("AAA",), "a stop on the wrong side protects nothing"
    assert unprotected(levels, held, [market("AAA", -4)], pair("AAA", 6, 90.0)) == ()
    assert unprotected(levels, held, [market("AAA", -4, group="g")], pair("AAA", 6, 90.0)) == ("AAA",), "its fill would end the stop"
    assert unprotected(levels, held, [], [Resting("t", "AAA", -10, LIMIT, 120.0, "g", certain=True)]) == ("AAA",)


def row(order: Order, state: OrderState, filled: int = 0) -> OrderRow:
    return OrderRow(BOOK, DAY_ONE, order, 10.0, state, "", None, 1, filled)


def test_what_rests_is_told_by_ledger_and_broker_together() -> None:
    entry, leg = dress(BOOK, [market("AAA", 10, 90.0)], {}, [], [])
    (stop,) = (one.order for one in plan([Guard("BBB", 90.0)], {"BBB": 10}).places)
    shown = [BrokerOrder(stop.id, "1", "BBB", -20, BrokerOrderState.OPEN, level=45.0, filled=-2)]
    waits = [row(entry, OrderState.LIVE), row(leg, OrderState.LIVE)]
    (found,) = resting_exits([*waits, row(stop, OrderState.LIVE)], shown)
    assert (found.id, found.shares, found.level, found.certain) == (stop.id, -18, 45.0, True), "the broker's shares and level after a split"
    (idle,) = resting_exits([row(stop, OrderState.LIVE)], [replace(shown[0], works=False)])
    assert not idle.certain, "the broker keeps it and does not work it"
    works = resting_exits([row(leg, OrderState.LIVE)], [])
    assert [(one.id, one.certain) for one in works] == [(leg.id, False)], "its entry filled; the broker does not show it"
    assert [one.planned for one in resting_exits([row(stop, OrderState.NEW)], [])] == [True]
    assert resting_exits([row(stop, OrderState.CANCELLED)], []) == ()
    assert isinstance(Intent(stop, math.nan).price, float)


@pytest.mark.parametrize("state", [OrderState.LIVE, OrderState.EXPIRED])
def test_legs_of_an_entry_that_filled_in_part_are_cut_to_what_is_held(state: OrderState) -> None:
    """A broker may let them work with all their shares: then they would sell more than there is."""
    entry, *legs = dress(BOOK, [market("AAA", 100, 90.0, 120.0)], {}, [], [])
    shown = [BrokerOrder(leg.id, str(k), "AAA", -100, BrokerOrderState.OPEN, level=leg.level) for k, leg in enumerate(legs)]
    rests = resting_exits([row(entry, state, 60), *(row(leg, OrderState.LIVE) for leg in legs)], shown)
    found = plan([Guard("AAA", 90.0, 120.0)], {"AAA": 60}, [], list(rests))
    assert sorted(found.cancels) == sorted(leg.id for leg in legs)
    assert placed(found) == [("AAA", -60, STOP, 90.0), ("AAA", -60, LIMIT, 120.0)]
