"""What execution cost: sums written out by hand, and the laws of the implementation shortfall over random fills and paper nights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.orders import Order, OrderReason, OrderType
from mech_exo.domain.panel import BarPanel
from mech_exo.execution import BrokerInterface, ExecutionTracker, OrderRouter
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId, Intent
from mech_exo.execution.tracker import By, FillCost, summed
from tests.execution.ledger_rows import BOOK, DAY_ONE, fill, order

NEXT = DAY_ONE + timedelta(1)
PRICES = st.floats(0.01, 10_000.0)
COSTS = st.builds(
    FillCost,
    fill_id=st.just("f"), order_id=st.sampled_from(["o1", "o2"]), session=st.dates(date(2024, 1, 2), date(2024, 1, 5)),
    symbol=st.sampled_from(["AAA", "BBB"]), shares=st.integers(-10_000, 10_000).filter(bool), price=PRICES,
    decision=st.one_of(PRICES, st.just(math.nan)), arrival=st.one_of(PRICES, st.just(math.nan)), close=st.one_of(PRICES, st.just(math.nan)),
    fees=st.one_of(st.floats(0.0, 100.0), st.just(math.nan)),
)  # fmt: skip


def panel(**changes: list[list[float]]) -> BarPanel:
    """AAA and BBB on the day of the decision and the day after it."""
    bars = {
        "open": [[9.0, 19.0], [10.2, 19.6]], "high": [[99.0, 99.0]] * 2, "low": [[1.0, 1.0]] * 2,
        "close": [[10.0, 20.0], [10.6, 19.0]], "volume": [[1e6, 1e6]] * 2, **changes,
    }  # fmt: skip
    days = np.array([DAY_ONE, NEXT], "datetime64[D]")
    return BarPanel.from_arrays(days, ("AAA", "BBB"), {name: np.array(values) for name, values in bars.items()})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as made:
        yield made


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Two decided fills, one without a decision price, and a stop that is no order of ours."""
    ledger.plan([Intent(order("AAA", 100), 10.0), Intent(order("BBB", -50), 20.0), Intent(order("CCC", 10), math.nan)], BOOK, DAY_ONE)
    for symbol, shares, price, reference in (("AAA", 100, 10.3, 10.2), ("BBB", -50, 19.5, 19.6), ("CCC", 10, 5.0, 5.0)):
        ledger.record_fill(BOOK, dataclasses.replace(fill(order(symbol, shares), price=price), reference=reference))
    ledger.record_fill(BOOK, dataclasses.replace(fill(order("DDD", -10), price=7.9), reference=8.0))
    return ledger


def test_each_fill_against_decision_arrival_and_close(filled: Ledger) -> None:
    buy, sell, undecided, stop = ExecutionTracker(filled, BOOK, panel()).costs()
    assert (buy.delay, buy.impact, buy.fees) == (pytest.approx(20.0), pytest.approx(10.0), 1.0)
    assert buy.shortfall == pytest.approx(31.0) and buy.bps(buy.shortfall) == pytest.approx(310.0)
    assert buy.impact_bps == pytest.approx(0.1 / 10.2 * 1e4)
    assert buy.against_close == pytest.approx(-30.0)
    assert (sell.delay, sell.impact, sell.shortfall) == (pytest.approx(20.0), pytest.approx(5.0), pytest.approx(26.0))
    assert sell.against_close == pytest.approx(-25.0)
    assert undecided.impact == 0.0 and math.isnan(undecided.delay) and math.isnan(undecided.shortfall)
    assert stop.impact == pytest.approx(1.0) and math.isnan(stop.decision) and math.isnan(stop.close)


def test_the_summary_is_the_sum_and_counts_what_it_does_not_know(filled: Ledger) -> None:
    total = ExecutionTracker(filled, BOOK, panel()).summary()
    assert (total.fills, total.complete, total.undecided, total.unarrived, total.unreported) == (4, 2, 2, 0, 0)
    assert (total.delay, total.impact, total.fees) == (pytest.approx(40.0), pytest.approx(15.0), 2.0)
    assert total.shortfall == total.delay + total.impact + total.fees
    assert total.shortfall_bps == pytest.approx(57.0 / 2000 * 1e4)
    assert total.traded == pytest.approx(1030 + 975 + 50 + 79)
    assert (total.commission, total.slippage) == (4.0, pytest.approx(16.0))
    assert total.slippage_bps == pytest.approx(16.0 / (1020 + 980 + 50 + 80) * 1e4)


def test_an_unknown_commission_or_reference_is_counted_and_not_nothing(ledger: Ledger) -> None:
    ledger.plan([Intent(order("AAA", 100), 10.0), Intent(order("ZZZ", 5), 10.0)], BOOK, DAY_ONE)
    ledger.record_fill(BOOK, dataclasses.replace(fill(order("AAA", 100), price=10.3), reference=math.nan, commission=math.nan))
    ledger.record_fill(BOOK, dataclasses.replace(fill(order("ZZZ", 5), price=10.3), reference=math.nan))
    total = ExecutionTracker(ledger, BOOK).summary()
    assert (total.fills, total.complete, total.unarrived, total.unreported) == (2, 0, 2, 1)
    assert math.isnan(total.slippage_bps) and math.isnan(total.shortfall_bps)
    known, _ = ExecutionTracker(ledger, BOOK, panel()).costs()
    assert known.arrival == 10.2 and known.impact == pytest.approx(10.0) and math.isnan(known.shortfall), "the panel tells the open"


def test_a_split_and_a_dividend_between_decision_and_open_are_no_cost(ledger: Ledger) -> None:
    ledger.plan([Intent(order("AAA", 100), 20.6)], BOOK, DAY_ONE)
    ledger.record_fill(BOOK, dataclasses.replace(fill(order("AAA", 100), price=10.3, shares=200), reference=10.2))
    (cost,) = ExecutionTracker(ledger, BOOK, panel(split_ratio=[[1.0, 1.0], [2.0, 1.0]], dividend=[[0.0, 0.0], [0.1, 0.0]])).costs()
    assert cost.decision == pytest.approx(10.2) and cost.delay == pytest.approx(0.0) and cost.shares == 200


@pytest.mark.parametrize(
    ("type_", "shares", "level", "arrival"),
    [
        (OrderType.STOP, -100, 10.5, 10.2), (OrderType.STOP, -100, 9.9, 9.9), (OrderType.STOP, 100, 10.0, 10.2), (OrderType.STOP, 100, 10.4, 10.4),
        (OrderType.LIMIT, 100, 10.5, 10.2), (OrderType.LIMIT, 100, 10.0, 10.0), (OrderType.LIMIT, -100, 10.0, 10.2), (OrderType.LIMIT, -100, 10.4, 10.4),
        (OrderType.MARKET_ON_CLOSE, 100, None, 10.6), (OrderType.MARKET, 100, None, 10.2), (OrderType.LIMIT_ON_OPEN, 100, 11.0, 10.2),
    ],
)  # fmt: skip
def test_what_each_order_could_have_had(ledger: Ledger, type_: OrderType, shares: int, level: float | None, arrival: float) -> None:
    """Of a bar that opens at 10.20 and closes at 10.60."""
    rests = type_ is OrderType.STOP
    placed = Order("mx1-x", "AAA", shares, NEXT, OrderReason.HARD_STOP, type_, level=level, rests=rests)
    ledger.plan([Intent(placed, 10.0)], BOOK, DAY_ONE)
    ledger.record_fill(BOOK, dataclasses.replace(fill(placed, price=10.25), reference=math.nan))
    (cost,) = ExecutionTracker(ledger, BOOK, panel()).costs()
    assert cost.arrival == arrival
    assert cost.decision == (level if rests else 10.0)


@given(COSTS)
def test_delay_impact_and_fees_are_the_implementation_shortfall(cost: FillCost) -> None:
    """Oracle: what the account paid less what the paper portfolio paid (Perold 1988), from cash flows alone."""
    paid = cost.shares * cost.price + cost.fees
    on_paper = cost.shares * cost.decision
    if any(math.isnan(value) for value in (cost.decision, cost.arrival, cost.fees)):
        assert math.isnan(cost.shortfall)
        return
    scale = abs(cost.shares) * max(cost.price, cost.decision, cost.arrival) + cost.fees
    assert cost.shortfall == pytest.approx(paid - on_paper, abs=1e-12 * scale)
    assert cost.shortfall == cost.delay + cost.impact + cost.fees
    parts = sum(cost.bps(part) for part in (cost.delay, cost.impact, cost.fees))
    assert parts == pytest.approx(cost.bps(cost.shortfall), abs=1e-12 * scale / cost.decided_value * 1e4)


@given(st.lists(COSTS, max_size=12))
def test_the_whole_is_the_sum_of_its_groups(costs: list[FillCost]) -> None:
    whole = summed(costs)
    assert whole.complete <= whole.fills - max(whole.undecided, whole.unarrived, whole.unreported)
    for names in (("symbol",), ("session",), ("order_id", "symbol")):
        groups: dict[tuple[object, ...], list[FillCost]] = {}
        for cost in costs:
            groups.setdefault(tuple(getattr(cost, name) for name in names), []).append(cost)
        parts = [summed(group) for group in groups.values()]
        for name in ("fills", "complete", "undecided", "unarrived", "unreported"):
            assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
        for name in ("traded", "decided", "delay", "impact", "fees", "shortfall", "commission", "slippage", "against_close"):
            scale = sum(abs(cost.shares) * 2e4 for cost in costs)
            assert getattr(whole, name) == pytest.approx(sum(getattr(part, name) for part in parts), abs=1e-12 * scale)
    if whole.complete:
        assert whole.delay_bps + whole.impact_bps + whole.fees_bps == pytest.approx(whole.shortfall_bps, rel=1e-9, abs=1e-6)


def test_by_symbol_day_and_order(filled: Ledger) -> None:
    tracker = ExecutionTracker(filled, BOOK, panel())
    assert [name for name, _ in tracker.by(By.SYMBOL)] == ["AAA", "BBB", "CCC", "DDD"]
    assert [(name, one.fills) for name, one in tracker.by(By.DAY)] == [(str(NEXT), 4)]
    assert [name for name, _ in tracker.by(By.ORDER)] == [order(s, n).id for s, n in (("AAA", 100), ("BBB", -50), ("CCC", 10), ("DDD", -10))]


def test_nothing_is_not_zero_per_cent(filled: Ledger) -> None:
    later = ExecutionTracker(filled, BOOK).summary(since=date(2030, 1, 1))
    assert (later.fills, later.commission, later.traded) == (0, 0.0, 0.0)
    assert all(math.isnan(value) for value in (later.slippage_bps, later.shortfall_bps, later.delay_bps))
    assert ExecutionTracker(filled, BookId("paper", "other")).summary().fills == 0


def test_the_frame_has_a_row_per_fill(filled: Ledger) -> None:
    frame = ExecutionTracker(filled, BOOK).frame()
    assert frame.height == 4 and frame["symbol"].to_list() == ["AAA", "BBB", "CCC", "DDD"]
    assert ExecutionTracker(filled, BOOK).frame(date(2030, 1, 1)).schema == frame.schema


def test_the_public_names() -> None:
    import mech_exo.execution as room

    assert {BrokerInterface, OrderRouter, ExecutionTracker} <= {getattr(room, name) for name in room.__all__}
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = room.Nothing
