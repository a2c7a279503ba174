"""The account and the market by themselves: laws over random days, and each rule of orders by example."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.account import Holding, Ticket, instant
from tests.gateway.exchange import Exchange, Refused

CASH = 100_000.0


def exchange() -> Exchange:
    return Exchange("DU1", CASH, clock=lambda: datetime(2026, 12, 1, 15, 0, tzinfo=UTC))


def order(at: Exchange, order_id: int, shares: int, kind: str = "MKT", tif: str = "OPG", symbol: str = "AAA", **terms: Any) -> Ticket:
    action = "BUY" if shares > 0 else "SELL"
    con_id = at.instrument(symbol).con_id
    return at.place(Ticket(order_id, 17, 0, con_id, "DU1", action, abs(shares), kind, tif=tif, **{"ref": f"r{order_id}"} | terms))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.sampled_from(["AAA", "BBB"]), st.integers(-300, 300).filter(bool), st.sampled_from(
            [("MKT", "OPG"), ("LMT", "OPG"), ("MKT", "DAY"), ("LMT", "GTC"), ("STP", "GTC"), ("MOC", "DAY")]), st.integers(0, 2), st.integers(90, 110)),
        st.tuples(st.just("print"), st.sampled_from(["AAA", "BBB"]), st.integers(90, 110)),
        st.tuples(st.just("open"), st.integers(90, 110)), st.tuples(st.just("close"), st.integers(90, 110)), st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("correct"), st.integers(0, 9), st.integers(90, 110)), st.tuples(st.just("manual"), st.integers(-50, 50).filter(bool)),
    ),
    max_size=40,
)  # fmt: skip


@given(STEPS, st.integers(1, 4))
def test_cash_and_positions_are_what_was_executed(steps: list[tuple[Any, ...]], part: int) -> None:
    """After any day: positions and cash follow from the latest executions, nothing overfills, a group never fills on both sides."""
    at = exchange()
    at.takes = lambda ticket: max(1, ticket.remaining // part)
    placed: dict[int, int] = {}
    for number, (what, *rest) in enumerate(steps, 1):
        if what == "order":
            symbol, shares, (kind, tif), group, level = rest
            price = {"LMT": {"limit": float(level)}, "STP": {"aux": float(level)}}.get(kind, {})
            placed[number] = len(at.executions)
            order(at, number, shares, kind, tif, symbol, oca_group=f"g{group}{symbol}" if group else "", oca_type=group, **price)
        elif what == "print":
            at.trade(rest[0], float(rest[1]))
        elif what in {"open", "close"}:
            (at.open_session if what == "open" else at.close_session)({"AAA": float(rest[0]), "BBB": math.nan})
        elif what == "cancel" and (live := at.orders(live=True)):
            at.cancel(live[rest[0] % len(live)])
        elif what == "correct" and at.executions:
            done = list(at.executions.values())[rest[0] % len(at.executions)]
            if f"{done.stem}.{int(done.id[-2:]) + 1:02d}" not in at.executions:
                at.correct(done.id, price=float(rest[1]))
        elif what == "manual":
            at.manual_trade("AAA", rest[0], 100.0)
    latest = {one.stem: one for one in at.executions.values()}  # a correction comes after what it corrects
    for con_id, held in at.holdings.items():
        assert held.shares == sum(one.shares for one in latest.values() if one.con_id == con_id)
    spent = sum(one.shares * one.price + (one.commission or 0.0) for one in latest.values())
    assert math.isclose(at.cash, CASH - spent, abs_tol=1e-6)
    for ticket in at.tickets.values():
        assert 0 <= ticket.filled <= ticket.quantity
        assert ticket.live or ticket.ended
        assert sum(abs(one.shares) for one in latest.values() if one.perm_id == ticket.perm_id) == ticket.filled
        assert at.accepted[ticket.ref] == 1
    for group in {one.oca_group for one in at.tickets.values() if one.oca_type == 1}:
        first = next((k for k, one in enumerate(at.executions.values()) if one.order_id and at.tickets[one.perm_id].oca_group == group), math.inf)
        rivals = [one for one in at.tickets.values() if one.oca_group == group and placed[one.order_id] <= first and one.filled]
        assert len(rivals) <= 1


@given(st.lists(st.tuples(st.integers(-100, 100).filter(bool), st.integers(50, 150)), min_size=1, max_size=20))
def test_average_cost_moves_only_with_what_is_added(trades: list[tuple[int, int]]) -> None:
    """Against the plain rule, lot by lot: a reduction keeps the average, a flip begins anew at its price."""
    held, shares, cost = Holding(), 0, 0.0
    for count, price in trades:
        held.book(count, float(price), 0.0)
        if shares * count >= 0:
            cost += count * price
        elif abs(count) <= abs(shares):
            cost *= (shares + count) / shares
        else:
            cost = (shares + count) * price
        shares += count
        assert held.shares == shares
        assert not shares or math.isclose(held.average, cost / shares, rel_tol=1e-9)


@pytest.mark.parametrize(
    ("kind", "tif", "shares", "level", "opening", "expected"),
    [
        ("MKT", "OPG", 10, None, 101.0, 101.0), ("LMT", "OPG", 10, 100.0, 101.0, None), ("LMT", "OPG", 10, 100.0, 99.0, 99.0),
        ("LMT", "OPG", -10, 100.0, 101.0, 101.0), ("STP", "GTC", -10, 95.0, 94.0, 94.0), ("STP", "GTC", -10, 95.0, 96.0, None),
        ("STP", "GTC", 10, 105.0, 106.0, 106.0), ("LMT", "GTC", -10, 105.0, 107.0, 107.0), ("MOC", "DAY", 10, None, 101.0, None),
        ("MKT", "OPG", 10, None, math.nan, None),
    ],
)  # fmt: skip
def test_at_the_open(kind: str, tif: str, shares: int, level: float | None, opening: float, expected: float | None) -> None:
    """What gaps through its level fills at the open; what was for the open only and did not fill is over."""
    at = exchange()
    one = order(at, 1, shares, kind, tif, **({"limit": level} if kind == "LMT" else {"aux": level}))
    at.open_session({"AAA": opening})
    assert [done.price for done in at.executions.values()] == ([] if expected is None else [expected])
    assert one.status == ("Filled" if expected else "Cancelled" if tif == "OPG" else "Submitted" if kind == "LMT" else "PreSubmitted")


def test_a_touched_limit_fills_at_its_price_and_a_touched_stop_at_the_print() -> None:
    at = exchange()
    at.open_session({"AAA": 100.0})
    order(at, 1, -10, "LMT", "GTC", limit=105.0)
    order(at, 2, -10, "STP", "GTC", aux=95.0)
    at.trade("AAA", 105.5)
    at.trade("AAA", 94.5)
    assert [done.price for done in at.executions.values()] == [105.0, 94.5]


def test_the_close() -> None:
    at = exchange()
    at.open_session({"AAA": 100.0})
    closing, day, kept = order(at, 1, 10, "MOC", "DAY"), order(at, 2, 10, "LMT", "DAY", limit=90.0), order(at, 3, 10, "LMT", "GTC", limit=90.0)
    at.close_session({"AAA": 99.0})
    assert (closing.status, day.status, kept.live, at.positions) == ("Filled", "Cancelled", True, {"AAA": 10})


def test_the_first_fill_of_a_group_ends_the_rest() -> None:
    at = exchange()
    stop, target = (order(at, k, -10, t, "GTC", oca_group="g", oca_type=1, **p) for k, t, p in ((1, "STP", {"aux": 95.0}), (2, "LMT", {"limit": 105.0})))
    at.open_session({"AAA": 94.0})
    assert (stop.status, target.status, at.positions) == ("Filled", "Cancelled", {"AAA": -10})


def test_a_group_that_reduces_is_cut_by_what_filled() -> None:
    at = exchange()
    order(at, 1, -10, "STP", "GTC", oca_group="g", oca_type=3, aux=95.0)
    target = order(at, 2, -10, "LMT", "GTC", oca_group="g", oca_type=3, limit=105.0)
    at.fill("r1", 95.0, shares=4)
    assert (target.live, target.quantity) == (True, 6)


def test_a_bracket_goes_out_with_its_last_leg_and_works_once_the_entry_filled() -> None:
    at = exchange()
    entry = order(at, 1, 10, transmit=False)
    stop = order(at, 2, -10, "STP", "GTC", aux=95.0, parent_id=1, transmit=False, oca_group="g", oca_type=1)
    assert (at.orders(), at.accepted["r1"], at.accepted["r2"]) == ([], 0, 0)
    target = order(at, 3, -10, "LMT", "GTC", limit=105.0, parent_id=1, oca_group="g", oca_type=1)
    assert at.orders(live=True) == [entry, stop, target] and [at.accepted[f"r{k}"] for k in (1, 2, 3)] == [1, 1, 1]
    at.trade("AAA", 94.0)
    assert at.positions == {}, "a leg waits for its entry"
    at.open_session({"AAA": 100.0})
    assert at.positions == {"AAA": 10} and stop.live and target.live
    at.trade("AAA", 94.0)
    assert (at.positions, target.status) == ({}, "Cancelled")


def test_legs_end_with_an_entry_that_did_not_fill() -> None:
    at = exchange()
    order(at, 1, 10, "LMT", "OPG", limit=50.0, transmit=False)
    stop = order(at, 2, -10, "STP", "GTC", aux=40.0, parent_id=1)
    at.open_session({"AAA": 100.0})
    assert stop.status == "Cancelled"


def test_a_bracket_that_never_was_complete_is_forgotten() -> None:
    at = exchange()
    order(at, 1, 10, transmit=False)
    at.drop_untransmitted()
    at.open_session({"AAA": 100.0})
    assert (at.positions, at.accepted["r1"]) == ({}, 0)


def test_good_after_waits() -> None:
    at = exchange()
    order(at, 1, 10, "MKT", "DAY", good_after="20261201 15:30:00 UTC")
    at.trade("AAA", 100.0)
    assert at.positions == {}
    at.clock = lambda: datetime(2026, 12, 1, 15, 30, tzinfo=UTC)
    at.trade("AAA", 100.0)
    assert at.positions == {"AAA": 10}
    assert instant("20261201 10:30:00 America/New_York") == instant("20261201-15:30:00") == datetime(2026, 12, 1, 15, 30, tzinfo=UTC)


def test_midnight_forgets_what_is_over() -> None:
    at = exchange()
    order(at, 1, 10)
    kept = order(at, 2, -10, "STP", "GTC", aux=50.0)
    at.open_session({"AAA": 100.0})
    at.new_day()
    assert (at.executions, at.orders(), at.positions) == ({}, [kept], {"AAA": 10})


def test_a_split_multiplies_and_cancels_what_rests() -> None:
    at = exchange()
    order(at, 1, 10)
    stop = order(at, 2, -10, "STP", "GTC", aux=50.0)
    at.open_session({"AAA": 100.0})
    before = at.nav
    at.split("AAA", 2.0)
    assert (at.positions, stop.status) == ({"AAA": 20}, "Cancelled")
    assert math.isclose(at.nav, before)
    at.dividend("AAA", 0.5)
    assert math.isclose(at.nav, before + 10.0)


def test_what_is_refused() -> None:
    at = exchange()
    for terms, code in (({"limit": 100.005}, 110), ({"limit": 100.0, "account": "U9"}, 321), ({"limit": 100.0, "parent_id": 99}, 135)):
        with pytest.raises(Refused) as no:
            at.place(Ticket(**{"order_id": 1, "client_id": 17, "perm_id": 0, "con_id": at.instrument("AAA").con_id, "account": "DU1", "action": "BUY",
                               "quantity": 1, "type": "LMT"} | terms))  # fmt: skip
        assert no.value.code == code
    assert (at.orders(), sum(at.accepted.values())) == ([], 0)
    with pytest.raises(Refused) as no:
        at.instrument("NOPE")
    assert no.value.code == 200


def test_the_state_comes_back_whole() -> None:
    at = exchange()
    order(at, 1, 10)
    order(at, 2, -10, "STP", "GTC", aux=50.0)
    at.open_session({"AAA": 100.0})
    again = Exchange("x", 0.0, ())
    again.restore(at.state())
    assert again.state() == at.state()
    again.trade("AAA", 49.0)
    assert again.positions == {}
