"""What execution cost, against sums written out by hand."""

from __future__ import annotations

import dataclasses
import math
from datetime import date, timedelta
from pathlib import Path

import pytest

from mech_exo.execution import BrokerInterface, ExecutionTracker, OrderRouter
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId, Intent
from tests.execution.ledger_rows import BOOK, DAY_ONE, day, fill, order, session


@pytest.fixture
def tracker(tmp_path: Path) -> ExecutionTracker:
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    ledger.plan([Intent(order("AAA", 100), 10.0), Intent(order("BBB", -50), 20.0), Intent(order("CCC", 10), math.nan)], BOOK, DAY_ONE)
    for symbol, shares, price, reference in (("AAA", 100, 10.3, 10.2), ("BBB", -50, 19.5, 19.6), ("CCC", 10, 5.0, 5.0)):
        done = fill(order(symbol, shares), price=price)
        ledger.record_fill(BOOK, dataclasses.replace(done, reference=reference))
    stop = fill(order("DDD", -10), price=7.9)
    ledger.record_fill(BOOK, dataclasses.replace(stop, reference=8.0))
    figures = day(100_000.0, index=1.0, price_pnl=300.0, dividends=20.0, interest=5.0, borrow=1.5)
    ledger.book_session(dataclasses.replace(session(DAY_ONE + timedelta(1)), day=figures))
    return ExecutionTracker(ledger, BOOK)


def test_each_fill_against_open_and_decision(tracker: ExecutionTracker) -> None:
    buy, sell, undecided, stop = tracker.costs()
    assert (buy.slippage, buy.slippage_bps) == (pytest.approx(10.0), pytest.approx(0.1 / 10.2 * 1e4))
    assert (buy.shortfall, buy.shortfall_bps) == (pytest.approx(30.0), pytest.approx(300.0))
    assert (sell.slippage, sell.shortfall, sell.shortfall_bps) == (pytest.approx(5.0), pytest.approx(25.0), pytest.approx(250.0))
    assert undecided.slippage == 0.0 and math.isnan(undecided.shortfall)
    assert stop.slippage == pytest.approx(1.0) and math.isnan(stop.decision_price)


def test_the_summary_is_the_sum(tracker: ExecutionTracker) -> None:
    total = tracker.summary()
    assert (total.fills, total.commission, total.slippage, total.shortfall) == (4, 4.0, pytest.approx(16.0), pytest.approx(55.0))
    assert total.traded == pytest.approx(1030 + 975 + 50 + 79)
    assert total.slippage_bps == pytest.approx(16.0 / (1020 + 980 + 50 + 80) * 1e4)
    assert total.shortfall_bps == pytest.approx(55.0 / 2000 * 1e4)
    assert (total.gross_pnl, total.borrow, total.cost_share) == (325.0, 1.5, pytest.approx(21.5 / 325.0))


def test_nothing_is_not_zero_per_cent(tracker: ExecutionTracker) -> None:
    later = tracker.summary(since=date(2030, 1, 1))
    assert (later.fills, later.commission, later.traded) == (0, 0.0, 0.0)
    assert all(math.isnan(value) for value in (later.slippage_bps, later.shortfall_bps, later.gross_pnl, later.cost_share))


def test_a_share_of_a_loss_is_not_meaningful(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        ledger.book_session(dataclasses.replace(session(), day=day(1.0, price_pnl=-10.0)))
        assert math.isnan(ExecutionTracker(ledger, BOOK).summary().cost_share)
        assert ExecutionTracker(ledger, BookId("paper", "other")).summary().fills == 0


def test_the_frame_has_a_row_per_fill(tracker: ExecutionTracker) -> None:
    frame = tracker.frame()
    assert frame.height == 4 and frame["symbol"].to_list() == ["AAA", "BBB", "CCC", "DDD"]


def test_the_public_names() -> None:
    import mech_exo.execution as room

    assert {BrokerInterface, OrderRouter, ExecutionTracker} <= {getattr(room, name) for name in room.__all__}
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = room.Nothing
