from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.decision.strategy import cost_params
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.costs import borrow_fee, cash_interest, commission, estimated_spread, slippage
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
        ("per_share", 100, 25.0, 0.5),
        ("per_cent", 100, 25.0, 2.5),
        ("per_cent", 1, 0.5, 0.0005),  # no minimum
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


def test_a_fraction_of_the_value_comes_on_top_of_the_shares():
    costs = cost_params(CostModel(commission="custom", per_share=0.01, fraction=0.001, min_order=2.0, max_fraction=0.01))
    assert commission(1000.0, 20.0, costs) == pytest.approx(10 + 20)
    assert commission(10.0, 20.0, costs) == 2.0
    assert commission(1.0, 20.0, costs) == pytest.approx(0.2)  # the cap is below the minimum


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


def test_a_quoted_spread_is_halved_and_told_as_a_fraction_of_the_price():
    costs = cost_params(CostModel(slippage_bps=10, spread_usd=0.04))
    bars = Bars.of(panel([100.0], [1000]))
    assert slippage(0, 0, 1.0, 10.0, bars, costs) == pytest.approx(0.001 + 0.002)
    assert slippage(0, 0, 1.0, 0.01, bars, costs) == 0.5  # more than the whole price: bounded


def ranges(close, high, low, split=None):
    """Bars of one symbol with a range."""
    arrays = {name: np.array(column, float)[:, None] for name, column in (("close", close), ("high", high), ("low", low))}
    arrays |= {"open": arrays["close"], "volume": np.full((len(close), 1), 1e6)}
    if split is not None:
        arrays["split_ratio"] = np.array(split, float)[:, None]
    return BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(len(close)), ["A"], arrays)


def test_the_estimated_spread_by_hand():
    """Three pairs: both distances to the middles of the same sign, of opposite signs (nothing), and both negative."""
    close, high, low = [101, 100, 98, 100, 1], [102, 102, 104, 103, 9], [98, 98, 97, 97, 1]
    eta = [math.log(top * bottom) / 2 for top, bottom in zip(high, low, strict=True)]
    c = [math.log(x) for x in close]
    products = [(c[u] - eta[u]) * (c[u] - eta[u + 1]) for u in range(3)]
    assert products[0] > 0 and products[1] < 0 and products[2] > 0
    expected = (2 * math.sqrt(products[0]) + 0 + 2 * math.sqrt(products[2])) / 3
    bars = Bars.of(ranges(close, high, low))
    assert estimated_spread(4, 0, bars, 4) == pytest.approx(expected, rel=1e-9)
    costs = cost_params(CostModel(slippage_bps=10, spread_estimate=1.5, impact_window=4))
    assert slippage(4, 0, 1.0, 100.0, bars, costs) == pytest.approx(0.001 + 1.5 * expected / 2, rel=1e-9)


def test_a_split_does_not_change_the_estimated_spread():
    close, high, low = np.array([101, 100, 98, 100, 50.0]), np.array([102, 102, 101, 103, 51.0]), np.array([98, 98, 97, 97, 49.0])
    plain = estimated_spread(4, 0, Bars.of(ranges(close, high, low)), 4)
    for at in (1, 2, 3):
        ratio = np.where(np.arange(5) == at, 2.0, 1.0)
        to_date = np.cumprod(ratio)
        assert estimated_spread(4, 0, Bars.of(ranges(close / to_date, high / to_date, low / to_date, ratio)), 4) == pytest.approx(
            plain, rel=1e-9
        )


def test_too_few_pairs_make_the_spread_unknown_and_dear():
    gap = math.nan
    two = Bars.of(ranges([100, 101, 102, gap, 100], [103, 104, 105, gap, 103], [98, 99, 100, gap, 98]))
    one = Bars.of(ranges([100, 101, gap, 102, 100], [103, 104, gap, 105, 103], [98, 99, gap, 100, 98]))
    costs = cost_params(CostModel(slippage_bps=10, spread_estimate=1.0, impact_window=4))
    assert not math.isnan(estimated_spread(4, 0, two, 4)) and math.isnan(estimated_spread(4, 0, one, 4))
    assert slippage(4, 0, 1.0, 100.0, one, costs) == pytest.approx(0.001 + 0.10)
    both = cost_params(CostModel(slippage_bps=10, spread_estimate=1.0, impact=0.5, impact_window=4))
    assert slippage(4, 0, 1.0, 100.0, one, both) == pytest.approx(0.001 + 0.10)  # once, in the place of both


def test_the_estimator_finds_the_spread_it_was_made_with():
    """A random walk of 0.4 % a day quoted with a spread of 2 %: closes at the bid or the ask, the high at the ask, the low at the bid."""
    rng = np.random.default_rng(5)
    steps = rng.normal(0, 0.004 / math.sqrt(390), (2000, 390)).cumsum(axis=None).reshape(2000, 390)
    half = 0.01
    quotes = 100 * np.exp(steps)
    close = quotes[:, -1] * np.where(rng.random(2000) < 0.5, 1 - half, 1 + half)
    bars = Bars.of(ranges(close, quotes.max(axis=1) * (1 + half), quotes.min(axis=1) * (1 - half)))
    assert estimated_spread(1999, 0, bars, 500) == pytest.approx(2 * half, rel=0.1)
