"""Return and risk figures against the same formulas in plain Python, hand-made values, and laws."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.performance import ratios
from mech_exo.performance.benchmark import regression
from mech_exo.performance.periods import calendar_returns, rolling_max_drawdown, rolling_return, rolling_sharpe, rolling_volatility
from mech_exo.performance.ratios import (
    cagr,
    excess_kurtosis,
    growth,
    sharpe,
    sharpe_standard_error,
    skewness,
    sortino,
    time_weighted_returns,
    total_return,
    volatility_ann,
)

returns_of = st.lists(st.floats(-0.2, 0.2).filter(lambda x: x == 0.0 or abs(x) > 1e-6), min_size=5, max_size=60).filter(lambda x: np.ptp(x) > 1e-4)
NAN = float("nan")


def same(a, b):
    return (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b, rel=1e-9, abs=1e-12)


@given(returns_of, st.floats(-0.02, 0.1))
def test_ratios_equal_the_formulas_in_plain_python(values, risk_free):
    r = np.array(values)
    rate = (1 + risk_free) ** (1 / 252) - 1
    excess = [x - rate for x in values]
    mean, sd = statistics.fmean(excess), statistics.stdev(excess)
    assert same(volatility_ann(r), statistics.stdev(values) * math.sqrt(252))
    assert same(sharpe(r, risk_free), mean / sd * math.sqrt(252))
    assert same(sharpe_standard_error(r, risk_free), math.sqrt((1 + 0.5 * (mean / sd) ** 2) / len(values)) * math.sqrt(252))
    below = [min(x, 0.0) ** 2 for x in excess]
    assert same(sortino(r, risk_free), mean / math.sqrt(sum(below) / len(below)) * math.sqrt(252) if sum(below) else NAN)
    product = math.prod(1 + x for x in values)
    assert same(total_return(r), product - 1)
    assert same(cagr(r), product ** (252 / len(values)) - 1)
    m2, m3, m4 = (statistics.fmean([(x - statistics.fmean(values)) ** k for x in values]) for k in (2, 3, 4))
    assert skewness(r) == pytest.approx(m3 / m2**1.5, rel=1e-6, abs=1e-9)
    assert excess_kurtosis(r) == pytest.approx(m4 / m2**2 - 3, rel=1e-6, abs=1e-9)


@given(returns_of, st.floats(0.1, 4.0))
def test_sharpe_and_sortino_do_not_change_with_leverage(values, scale):
    r = np.array(values)
    assert same(sharpe(r * scale), sharpe(r)) and same(sortino(r * scale), sortino(r))
    assert same(volatility_ann(r * scale), volatility_ann(r) * scale)


@given(returns_of, st.randoms())
def test_order_of_sessions_does_not_change_what_has_no_path(values, random):
    mixed = values[:]
    random.shuffle(mixed)
    for figure in (sharpe, sortino, volatility_ann, total_return, cagr, skewness):
        assert figure(np.array(mixed)) == pytest.approx(figure(np.array(values)), rel=1e-6, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("figure", [sharpe, sortino, sharpe_standard_error, skewness, excess_kurtosis])
@pytest.mark.parametrize("values", [[], [0.01], [0.01] * 50, [0.0] * 50, [0.01, NAN, 0.02, 0.0, 0.01]])
def test_short_constant_or_unknown_series_have_no_ratio(figure, values):
    assert math.isnan(figure(np.array(values, float)))


def test_a_constant_nav_growth_has_no_sharpe_despite_rounding():
    nav = 100_000.0 * 1.0001 ** np.arange(1, 400)
    r = time_weighted_returns(nav, np.zeros(399), 100_000.0)
    assert np.ptp(r) > 0.0
    assert math.isnan(sharpe(r))


def test_volatility_of_a_constant_series_is_exactly_zero_and_of_one_session_unknown():
    assert volatility_ann(np.full(10, 0.1)) == 0.0
    assert math.isnan(volatility_ann(np.array([0.1])))


def test_flows_are_taken_out():
    nav = np.array([110.0, 171.0, 85.5])
    flow = np.array([0.0, 50.0, -76.95])
    assert time_weighted_returns(nav, flow, 100.0).tolist() == pytest.approx([0.10, 0.10, (85.5 + 76.95) / 171 - 1])


def test_an_account_without_capital_has_no_return_but_a_total_loss_has_one():
    r = time_weighted_returns(np.array([50.0, -20.0, 30.0]), np.zeros(3), 100.0)
    assert r[0] == -0.5 and np.isnan(r[1:]).all()
    lost = time_weighted_returns(np.array([50.0, 0.0, 0.0]), np.zeros(3), 100.0)
    assert lost[1] == -1.0 and np.isnan(lost[2])
    assert cagr(np.array([0.1, -1.0])) == -1.0
    assert math.isnan(cagr(r)) and math.isnan(total_return(r))


def test_regression_equals_least_squares_and_skips_unknown_sessions():
    rng = np.random.default_rng(3)
    market = rng.normal(0, 0.01, 300)
    mine = 0.0002 + 0.7 * market + rng.normal(0, 0.002, 300)
    holed = market.copy()
    holed[::7] = np.nan
    known = np.isfinite(holed)
    slope, constant = np.polyfit(holed[known], mine[known], 1)
    line = regression(mine, holed)
    assert (line.beta, line.alpha_ann) == (pytest.approx(slope), pytest.approx(constant * 252))
    assert line.correlation == pytest.approx(np.corrcoef(holed[known], mine[known])[0, 1])
    assert line.sessions == known.sum()
    assert line.tracking_error_ann == pytest.approx((mine - holed)[known].std(ddof=1) * 252**0.5)


def test_regression_on_a_constant_or_unknown_benchmark_is_unknown():
    r = np.array([0.01, -0.02, 0.03, 0.01])
    assert math.isnan(regression(r, np.full(4, 0.001)).beta)
    assert math.isnan(regression(r, np.full(4, np.nan)).alpha_ann) and regression(r, np.full(4, np.nan)).sessions == 0


@given(returns_of, st.integers(2, 12))
def test_rolling_figures_are_the_figure_of_each_window(values, window):
    r = np.array(values)
    for t in range(len(r)):
        part = r[t - window + 1 : t + 1] if t >= window - 1 else None
        wanted = [NAN] * 4
        if part is not None:
            worst = max(1 - b / a for i, a in enumerate(growth(part)) for b in growth(part)[i:])
            wanted = [part.std(ddof=1) * 252**0.5, sharpe(part), np.prod(1 + part) - 1, worst]
        rolled = [f(r, window)[t] for f in (rolling_volatility, rolling_sharpe, rolling_return, rolling_max_drawdown)]
        for got, expected in zip(rolled, wanted, strict=True):
            assert got == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)


def test_months_and_years_compound_to_the_whole():
    sessions = np.arange("2019-11-20", "2021-02-10", dtype="datetime64[D]")
    r = np.random.default_rng(1).normal(0, 0.01, len(sessions))
    table = calendar_returns(sessions, r)
    assert table.years.tolist() == [2019, 2020, 2021]
    assert np.isnan(table.months[0, :10]).all() and np.isnan(table.months[2, 2:]).all()
    assert np.prod(1 + table.months[np.isfinite(table.months)]) == pytest.approx(growth(r)[-1])
    assert np.prod(1 + table.totals) == pytest.approx(growth(r)[-1])
    february = r[(sessions >= np.datetime64("2020-02-01")) & (sessions < np.datetime64("2020-03-01"))]
    assert table.months[1, 1] == pytest.approx(np.prod(1 + february) - 1)
    assert calendar_returns(sessions[:0], r[:0]).months.shape == (0, 12)


def test_session_rate_compounds_to_the_annual_rate():
    assert (1 + ratios.session_rate(0.05)) ** 252 == pytest.approx(1.05)


def test_a_benchmark_counts_from_the_first_close():
    theirs = np.array([-0.022, 0.5, np.nan])
    assert ratios.from_first_close(theirs).tolist()[:2] == [0.0, 0.5] and theirs[0] == -0.022
    assert np.isnan(ratios.from_first_close(np.array([np.nan, 0.1]))[0]) and not len(ratios.from_first_close(np.zeros(0)))
