from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.decision.strategy import cost_params
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.costs import borrow_fee, cash_interest, commission, slippage
from mech_exo.kernels.records import Bars
from mech_exo.utils.settings import CostModel


@pytest.mark.parametrize(
    ("preset", "shares", "price", "fee"),
    [
        ("ib_fixed", 100, 25.0, 1.0),  # the examples on Interactive Brokers' own page, fixed pricing
        ("ib_fixed", 1000, 25.0, 5.0),
        ("ib_fixed", 1000, 0.25, 2.5),  # capped at 1 % of the value
        ("ib_fixed", 1, 10.0, 0.1),  # the cap is below the minimum: the cap is charged
        ("ib_tiered", 10, 100.0, 0.35),
        ("ib_tiered", 1000, 100.0, 3.5),
        ("zero", 1000, 100.0, 0.0),
    ],
)
def test_commission_schedules(preset, shares, price, fee):
    assert commission(float(shares), price, cost_params(CostModel(commission=preset))) == pytest.approx(fee, rel=1e-12)


def test_given_figures_override_the_preset():
    costs = cost_params(CostModel(commission="ib_fixed", min_order=2.0))
    assert commission(100.0, 25.0, costs) == 2.0
    assert commission(1000.0, 25.0, costs) == 5.0
    assert commission(10_000.0, 0.01, cost_params(CostModel(commission="custom", per_share=0.01))) == 100.0  # custom has no cap of its own


def test_rates_are_annual_over_252_sessions():
    costs = cost_params(CostModel(cash_rate=0.0252, margin_rate=0.0504, borrow_rate=0.252))
    assert cash_interest(1000.0, costs) == pytest.approx(0.1)
    assert cash_interest(-1000.0, costs) == pytest.approx(-0.2)
    assert cash_interest(0.0, costs) == 0.0
    assert borrow_fee(-1000.0, costs) == pytest.approx(1.0)


def panel(close, volume, split=None):
    column = np.array(close, float)[:, None]
    bars = dict.fromkeys(("open", "high", "low", "close"), column) | {"volume": np.array(volume, float)[:, None]}
    if split is not None:
        bars["split_ratio"] = np.array(split, float)[:, None]
    return BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(len(close)), ["A"], bars)


IMPACT = cost_params(CostModel(slippage_bps=10, impact=0.5, impact_window=4))


def test_impact_by_hand():
    bars = Bars.of(panel([100, 110, 99, 108.9, 1], [1000, 1000, 2000, 4000, 9]))
    sigma = np.std([0.1, -0.1, 0.1], ddof=1)
    assert slippage(4, 0, 500.0, 100.0, bars, IMPACT) == pytest.approx(0.001 + 0.5 * sigma * math.sqrt(500 / 2000), rel=1e-12)


def test_a_split_changes_neither_volatility_nor_the_share_of_volume():
    plain = Bars.of(panel([100, 110, 99, 108.9, 50], [1000, 1000, 2000, 4000, 9]))
    for at in (1, 2, 3, 4):
        ratio = np.where(np.arange(5) == at, 2.0, 1.0)
        to_date = np.cumprod(ratio)
        other = Bars.of(panel(np.array([100, 110, 99, 108.9, 50]) / to_date, np.array([1000, 1000, 2000, 4000, 9]) * to_date, ratio))
        assert slippage(4, 0, 1000.0, 100.0, other, IMPACT) == pytest.approx(slippage(4, 0, 500.0, 100.0, plain, IMPACT), rel=1e-12)


def test_unknown_liquidity_is_charged_harshly_and_the_worst_is_bounded():
    thin = Bars.of(panel([100, math.nan, math.nan, 101, 100], [10, 10, 10, 10, 10]))
    assert slippage(4, 0, 1.0, 100.0, thin, IMPACT) == pytest.approx(0.001 + 0.10)
    no_volume = Bars.of(panel([100, 101, 102, 103, 100], [10, math.nan, 10, 10, 10]))
    assert slippage(4, 0, 1.0, 100.0, no_volume, IMPACT) == pytest.approx(0.001 + 0.10)
    bars = Bars.of(panel([100, 110, 99, 108.9, 100], [1, 1, 1, 1, 1]))
    assert slippage(4, 0, 1e9, 100.0, bars, IMPACT) == 0.5
    assert slippage(0, 0, 1.0, 100.0, bars, cost_params(CostModel(slippage_bps=10))) == 0.001


def test_impact_reads_nothing_of_its_own_session():
    early = Bars.of(panel([100, 110, 99, 108.9, 1], [1000, 1000, 2000, 4000, 9]))
    late = Bars.of(panel([100, 110, 99, 108.9, 777], [1000, 1000, 2000, 4000, 1e9]))
    assert slippage(4, 0, 500.0, 100.0, early, IMPACT) == slippage(4, 0, 500.0, 100.0, late, IMPACT)
