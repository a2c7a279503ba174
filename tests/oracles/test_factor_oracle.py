"""Factors against a second implementation in plain Python, on random markets full of gaps and on real prices; RSI and ATR against TA-Lib."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.domain.panel import Universe
from mech_exo.kernels import rolling, windows
from mech_exo.scoring.factors import REGISTRY
from mech_exo.scoring.inputs import FactorInputs
from tests.oracles import naive_factors as naive
from tests.oracles import naive_scorer
from tests.scoring.markets import random_panel, random_universe

SMALL = {
    "short_term_reversal": {"window": 3},
    "high_52_week": {"window": 9},
    "market_beta": {"window": 11},
    "idiosyncratic_volatility": {"window": 8},
    "residual_momentum": {"window": 22, "lookback": 11, "skip": 2},
    "max_return": {"window": 10, "count": 3},
    "amihud_illiquidity": {"window": 9},
    "seasonality": {"year": 7, "month": 2, "years": 4},
}


def assert_equal(name, values, market, rows, params, names):
    for k, t in enumerate(rows):
        for j in names:
            wanted = naive.FACTORS[name](market, j, t, **params)
            assert values[k, j] == pytest.approx(wanted, rel=1e-8, abs=1e-12, nan_ok=True), (name, t, j)


@pytest.mark.parametrize("name", naive.FACTORS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=12)
def test_equal_to_plain_loops_on_markets_full_of_gaps(name, seed):
    panel = random_panel(seed, 45, 4)
    universe = random_universe(seed, panel)
    values = REGISTRY[name].bind(SMALL[name]).compute(panel, universe)
    assert_equal(name, values, naive.Market(panel, universe.member), range(45), SMALL[name], range(4))


@pytest.mark.parametrize("name", naive.FACTORS)
def test_the_loops_have_something_to_compare(name):
    values = REGISTRY[name].bind(SMALL[name]).compute(random_panel(1, 45, 8))
    assert 0.05 < np.isfinite(values).mean() < 1.0


@pytest.fixture(scope="module")
def slice_of_real(real_panel):
    """Four years of forty of the stocks, among them Citigroup with its wrong split: panel and its plain lists."""
    some = real_panel.select([*real_panel.symbols[::15], "C"]).rows(*real_panel.rows_between(dt.date(2007, 1, 1), dt.date(2010, 12, 31)))
    return some, naive.Market(some)


@pytest.mark.parametrize("name", naive.FACTORS)
def test_equal_to_plain_loops_on_real_prices(name, slice_of_real):
    panel, market = slice_of_real
    params = {name: param.default for name, param in REGISTRY[name].params.items()} | ({"years": 2} if name == "seasonality" else {})
    rows = np.array([300, 777, 778, panel.shape[0] - 1])
    values = REGISTRY[name].bind(params).values(FactorInputs(panel), rows)
    assert np.isfinite(values[-1]).sum() > 30
    assert_equal(name, values, market, rows, params, range(panel.shape[1]))


def test_volatility_and_momentum_equal_plain_loops_on_real_prices(slice_of_real):
    panel, market = slice_of_real
    inputs = FactorInputs(panel)
    rows = np.array([10, 19, 300, 777, panel.shape[0] - 1])
    volatility = windows.volatility_rows(inputs.returns, rows, 20)
    momentum = REGISTRY["momentum_12_1"].bind({}).values(inputs, rows)
    for k, t in enumerate(rows):
        for j in range(panel.shape[1]):
            assert volatility[k, j] == pytest.approx(naive_scorer.volatility(market.value[j], t, 20), rel=1e-10, abs=1e-15, nan_ok=True)
            assert momentum[k, j] == pytest.approx(naive_scorer.momentum(market.value[j], t, 252, 21), rel=1e-12, nan_ok=True)


def assert_equal_to_talib(panel):
    """Each stock's observed bars, as TA-Lib has no gaps. It says RSI 0 of a price that never moved; that is unknown here."""
    rsi, atr = rolling.rsi(panel.close, 14), rolling.atr(panel.high, panel.low, panel.close, 14)
    compared = 0
    for j in range(panel.shape[1]):
        bars = ~np.isnan(panel.close[:, j])
        high, low, close = (np.ascontiguousarray(getattr(panel, name)[bars, j]) for name in ("high", "low", "close"))
        if len(close) < 16:
            continue
        wanted = talib.RSI(close, 14)
        wanted[(wanted == 0.0) & (np.maximum.accumulate(close) == np.minimum.accumulate(close))] = np.nan
        np.testing.assert_allclose(rsi[bars, j], wanted, rtol=0, atol=1e-9)
        np.testing.assert_allclose(atr[bars, j], talib.ATR(high, low, close, 14), rtol=0, atol=1e-9)
        assert np.isnan(atr[bars, j][:14]).all() and not np.isnan(atr[bars, j][14])
        compared += 1
    return compared


def test_rsi_and_atr_equal_talib_on_the_582_real_stocks(real_panel):
    assert assert_equal_to_talib(real_panel) == ((~np.isnan(real_panel.close)).sum(axis=0) > 15).sum() > 575


@given(st.integers(0, 10_000))
def test_rsi_and_atr_equal_talib_on_random_series(seed):
    assert assert_equal_to_talib(random_panel(seed, 200, 3, actions=False)) >= 0


def test_the_market_is_the_mean_of_yesterdays_members():
    panel = random_panel(5, 45, 7)
    universe = random_universe(5, panel)
    market = FactorInputs(panel, universe).market_return
    assert np.isnan(market[0])
    assert market == pytest.approx(naive.Market(panel, universe.member).market, rel=1e-14, abs=1e-18, nan_ok=True)


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-9, 1.0, 1e9]))
def test_the_market_does_not_depend_on_the_order_of_names(seed, scale):
    rng = np.random.default_rng(seed)
    from mech_exo.kernels.market import equal_weighted_returns

    values = 50 * np.exp(rng.standard_t(2, (6, 200)) * min(scale, 1.0))
    values[3, :50] *= scale  # sums of numbers of very different size are where the order of additions shows
    member = rng.random(values.shape) < 0.7
    order = rng.permutation(200)
    market = equal_weighted_returns(values, member)
    assert np.array_equal(market, equal_weighted_returns(np.ascontiguousarray(values[:, order]), np.ascontiguousarray(member[:, order])), equal_nan=True)
    never = ~member.any(axis=0)
    assert np.array_equal(market, equal_weighted_returns(np.ascontiguousarray(values[:, ~never]), np.ascontiguousarray(member[:, ~never])), equal_nan=True)


def test_a_market_of_one_name_explains_it_entirely():
    panel = random_panel(3, 60, 1, actions=False, gaps=0.0)
    universe = Universe.everyone(panel)
    beta, rest, momentum = (
        REGISTRY[name].bind(SMALL[name]).compute(panel, universe)[-1, 0]
        for name in ("market_beta", "idiosyncratic_volatility", "residual_momentum")
    )
    assert beta == pytest.approx(1.0, abs=1e-12)
    assert rest == 0.0
    assert np.isnan(momentum)
