"""Losses beyond the limit by hand: a gap through a stop, a fall during the day, a position that was too large, shorts, splits, silences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.backtest import shares
from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import Bars, Reason
from mech_exo.performance.large_losses import large_losses
from mech_exo.utils.settings import CostModel, StopRules

FREE = CostModel(commission="zero", slippage_bps=0.0, margin_rate=0.0, borrow_rate=0.0)


def played(bars, wish, *, stops=None, costs=FREE, splits=None, dividends=None):
    """Large losses of 100,000 USD that hold ``wish`` shares of one name from the open of the second session on; bars are (o, h, l, c)."""
    table = np.array(bars, float)
    arrays = {name: table[:, [j]] for j, name in enumerate(("open", "high", "low", "close"))} | {"volume": np.full((len(bars), 1), 1e6)}
    arrays |= {"split_ratio": np.ones((len(bars), 1)), "dividend": np.zeros((len(bars), 1))}
    for name, given in (("split_ratio", splits), ("dividend", dividends)):
        for row, value in (given or {}).items():
            arrays[name][row, 0] = value
    panel = BarPanel.from_arrays(np.datetime64("2024-01-02") + np.arange(len(bars)), ["AAA"], arrays)

    def function(view, portfolio):
        return shares({"AAA": wish}) if view.row == 0 else None

    result = EventBacktester(panel, function, costs=costs, stops=stops or StopRules(trailing=None, target=None, time_sessions=None)).run()
    assert result.large_losses == large_losses(result.round_trips, result.events, Bars.of(panel))
    return result


def flat(price):
    return (price, price, price, price)


def test_a_gap_through_the_stop_is_the_whole_excess():
    (loss,) = played([flat(100.0), flat(100.0), flat(70.0), flat(70.0)], 100.0).large_losses
    assert (loss.symbol, loss.entry_row, loss.exit_row, Reason(loss.reason)) == (0, 1, 2, Reason.HARD_STOP)
    assert (loss.loss, loss.gap, loss.slippage) == pytest.approx((0.03, 0.03, 0.0))


def test_a_loss_at_the_level_has_no_gap_the_position_was_too_large():
    (loss,) = played([flat(100.0), flat(100.0), (99.0, 99.0, 80.0, 82.0)], 200.0).large_losses
    assert (loss.loss, loss.gap) == pytest.approx((0.03, 0.0))  # 200 shares from 100 to 85


def test_a_short_is_the_mirror_image():
    (loss,) = played([flat(100.0), flat(100.0), flat(130.0)], -100.0).large_losses
    assert (loss.loss, loss.gap) == pytest.approx((0.03, 0.03))


def test_slippage_of_the_exit_is_told_apart():
    costs = FREE.model_copy(update={"slippage_bps": 100.0})
    (loss,) = played([flat(100.0), flat(100.0), flat(70.0)], 100.0, costs=costs).large_losses
    assert loss.slippage == pytest.approx(0.0007) and loss.gap == pytest.approx(0.03) and loss.loss == pytest.approx(0.0317)


def test_a_night_with_a_split_and_a_dividend_is_measured_in_the_shares_of_the_exit():
    bars = [flat(100.0), flat(100.0), flat(35.0)]
    (loss,) = played(bars, 100.0, splits={2: 2.0}, dividends={2: 1.0}).large_losses
    assert (loss.loss, loss.gap) == pytest.approx((0.028, 0.028))  # 200 shares from 50 to 35, 1 USD each came back


def test_a_silence_counts_as_a_night():
    (loss,) = played([flat(100.0), flat(100.0), flat(math.nan), flat(math.nan), flat(70.0)], 100.0).large_losses
    assert (loss.exit_row, loss.gap) == (4, pytest.approx(0.03))


def test_small_and_open_losses_are_not_listed():
    assert played([flat(100.0), flat(100.0), flat(81.0)], 100.0).large_losses == ()  # 1.9 %
    assert played([flat(100.0), flat(100.0), flat(50.0)], 100.0, stops=StopRules.none()).large_losses == ()  # still open


def test_without_bars_no_gap_is_known():
    result = played([flat(100.0), flat(100.0), flat(70.0)], 100.0)
    (loss,) = large_losses(result.round_trips, result.events, None)
    assert loss.loss == pytest.approx(0.03) and math.isnan(loss.gap)
