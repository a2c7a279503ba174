"""The metrics against other people's programs: empyrical-reloaded (recorded), quantstats and statsmodels (run here).

Where a peer means something else by a name, the test says what and reproduces it from our figures.
"""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest

from mech_exo.performance import metrics as m
from mech_exo.performance.ratios import YEAR, excess_kurtosis, skewness
from tests.oracles.record_empyrical import START, WINDOW


@pytest.fixture(scope="module")
def recorded(repository):
    return json.loads((repository / "tests/golden/empyrical.json").read_text())


@pytest.fixture(scope="module")
def r(recorded):
    return np.array(recorded["returns"])


@pytest.fixture(scope="module")
def b(recorded):
    return np.array(recorded["benchmark"])


@pytest.fixture(scope="module")
def empyrical(recorded):
    return recorded["figures"]


@pytest.fixture(scope="module")
def quantstats():
    with warnings.catch_warnings():  # what its imports warn of is not ours
        warnings.simplefilter("ignore")
        import quantstats
    return quantstats.stats


@pytest.fixture(scope="module")
def frames(r, b):
    days = pd.bdate_range(START, periods=len(r))
    return pd.Series(r, days), pd.Series(b, days)


def near(value):
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def test_empyrical_figures_of_one_series(r, empyrical):
    curve, tail, far = m.growth(r), m.historical_risk(r), m.historical_risk(r, 0.99)
    ours = {
        "cum_returns_final": m.total_return(r), "cagr": m.cagr(r), "annual_volatility": m.volatility_ann(r), "sharpe_ratio": m.sharpe(r),
        "sharpe_ratio_rf": m.sharpe(r, 0.03), "sortino_ratio": m.sortino(r), "sortino_ratio_rf": m.sortino(r, 0.03),
        "calmar_ratio": m.calmar(r, curve), "omega_ratio": m.omega(r), "omega_ratio_8": m.omega(r, 0.08), "tail_ratio": m.tail_ratio(r),
        # a loss is negative there and positive here
        "max_drawdown": -m.max_drawdown(curve), "value_at_risk": -tail.value_at_risk, "value_at_risk_99": -far.value_at_risk,
        "conditional_value_at_risk": -tail.expected_shortfall, "conditional_value_at_risk_99": -far.expected_shortfall,
    }  # fmt: skip
    assert {name: value for name, value in ours.items() if value != near(empyrical[name])} == {}


def test_empyrical_figures_against_a_benchmark(r, b, empyrical):
    line, taken = m.regression(r, b), m.capture(r, b)
    assert line.beta == near(empyrical["beta"])
    assert (1 + line.alpha_ann / YEAR) ** YEAR - 1 == near(empyrical["alpha"])  # theirs compounds the alpha of a session
    assert line.information_ratio == near(empyrical["excess_sharpe"] * math.sqrt(YEAR))  # theirs is per session
    # Theirs is a ratio of compounded annual rates of the rising (falling) sessions alone; ours one of mean returns of a session.
    for name, part, ratio in (("up_capture", b > 0, taken.up), ("down_capture", b < 0, taken.down)):
        assert m.cagr(r[part]) / m.cagr(b[part]) == near(empyrical[name])
        assert ratio == near(r[part].mean() / b[part].mean())


def test_empyrical_figures_through_time(r, b, recorded, empyrical):
    full = slice(WINDOW - 1, None)
    assert m.rolling_sharpe(r, WINDOW)[full] == near(empyrical["roll_sharpe_ratio_126"])
    assert m.rolling_beta(r, b, WINDOW)[full] == near(empyrical["roll_beta_126"])
    assert -m.rolling_max_drawdown(r, WINDOW)[full] == near(empyrical["roll_max_drawdown_126"])
    table = m.calendar_returns(pd.bdate_range(recorded["start"], periods=len(r)).to_numpy().astype("datetime64[D]"), r)
    assert table.months[np.isfinite(table.months)] == near(empyrical["monthly"])
    assert table.totals == near(empyrical["yearly"])


def test_quantstats_figures_that_mean_the_same(r, b, quantstats, frames):
    mine, market = frames
    curve, bell, line = m.growth(r), m.gaussian_risk(r), m.regression(r, b)
    ours = {
        "sharpe": m.sharpe(r), "sortino": m.sortino(r), "cagr": m.cagr(r), "max_drawdown": -m.max_drawdown(curve), "calmar": m.calmar(r, curve),
        "omega": m.omega(r), "tail_ratio": m.tail_ratio(r), "volatility": m.volatility_ann(r), "comp": m.total_return(r),
        "win_rate": m.hit_rate(r), "best": r.max(), "worst": r.min(),
        # "value_at_risk" and "cvar" there are those of a normal law, not of the record
        "value_at_risk": -bell.value_at_risk, "cvar": -bell.expected_shortfall,
    }  # fmt: skip
    assert {name: value for name, value in ours.items() if value != near(getattr(quantstats, name)(mine))} == {}
    assert m.sharpe(r, 0.03) == near(quantstats.sharpe(mine, rf=0.03))
    assert m.omega(r, 0.08) == near(quantstats.omega(mine, required_return=0.08))
    greeks = quantstats.greeks(mine, market)
    assert (line.beta, line.alpha_ann) == (near(greeks["beta"]), near(greeks["alpha"]))
    assert line.information_ratio == near(quantstats.information_ratio(mine, market) * math.sqrt(YEAR))  # theirs is per session


def test_quantstats_figures_through_time(r, b, quantstats, frames):
    mine, market = frames
    full = slice(WINDOW - 1, None)
    rolled = {
        "rolling_sharpe": m.rolling_sharpe(r, WINDOW), "rolling_sortino": m.rolling_sortino(r, WINDOW),
        "rolling_volatility": m.rolling_volatility(r, WINDOW),
    }  # fmt: skip
    for name, values in rolled.items():
        assert values[full] == near(getattr(quantstats, name)(mine, rolling_period=WINDOW).to_numpy()[full]), name
    greeks = quantstats.rolling_greeks(mine, market, periods=WINDOW)
    assert m.rolling_beta(r, b, WINDOW)[full] == near(greeks["beta"].to_numpy()[full])
    assert m.rolling_alpha(r, b, WINDOW)[full] == near(greeks["alpha"].to_numpy()[full] * YEAR)  # theirs is per session


def test_quantstats_moments_are_those_of_a_sample(r, quantstats, frames):
    """Theirs (pandas) estimate the population's, ours are the record's own; Fisher's factors lead from one to the other."""
    n, g1, g2 = len(r), skewness(r), excess_kurtosis(r)
    skew, kurtosis = g1 * math.sqrt(n * (n - 1)) / (n - 2), (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6)
    assert quantstats.skew(frames[0]) == near(skew)
    assert quantstats.kurtosis(frames[0]) == near(kurtosis)


def test_newey_west_errors_equal_statsmodels_and_the_matrices_written_out(r, b):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import statsmodels.api as sm
    for lags in (0, 1, 5, 12):
        line = m.regression(r, b, 0.02, lags=lags)
        rate = 1.02 ** (1 / 252) - 1
        fit = sm.OLS(r - rate, sm.add_constant(b - rate)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
        assert [line.alpha_ann / YEAR, line.beta] == near(fit.params)
        assert [line.alpha_error_ann / YEAR, line.beta_error] == near(fit.bse)
        assert [line.alpha_t, line.beta_t] == near(fit.tvalues)
        design = np.column_stack([np.ones(len(b)), b - rate])
        left = (r - rate) - design @ fit.params
        middle = np.zeros((2, 2))
        for s in range(len(b)):
            for t in range(max(0, s - lags), min(len(b), s + lags + 1)):
                middle += (1 - abs(s - t) / (lags + 1)) * left[s] * left[t] * np.outer(design[s], design[t])
        bread = np.linalg.inv(design.T @ design)
        assert [line.alpha_error_ann / YEAR, line.beta_error] == near(np.sqrt(np.diag(bread @ middle @ bread)))
    assert m.regression(r, b).lags == int(4 * (len(r) / 100) ** (2 / 9)) == 5


def test_the_sharpe_ratios_robust_error_equals_the_delta_method_written_out(r):
    """Lo (2002), eqs. 13-15: the gradient of μ/σ times the long-run covariance of (x - μ, (x - μ)² - σ²)."""
    mean, variance, lags = r.mean(), r.var(), 4
    moments = np.column_stack([r - mean, (r - mean) ** 2 - variance])
    spread = np.zeros((2, 2))
    for s in range(len(r)):
        for t in range(max(0, s - lags), min(len(r), s + lags + 1)):
            spread += (1 - abs(s - t) / (lags + 1)) * np.outer(moments[s], moments[t]) / len(r)
    gradient = np.array([variance**-0.5, -mean / (2 * variance**1.5)])
    assert m.sharpe_robust_error(r, lags=lags) == near(math.sqrt(gradient @ spread @ gradient / len(r) * YEAR))
    # Without lags it is Mertens' (2002) error of independent returns with these moments.
    ratio, skew, kurtosis = mean / variance**0.5, skewness(r), excess_kurtosis(r)
    mertens = math.sqrt((1 - skew * ratio + (kurtosis + 2) / 4 * ratio**2) / len(r) * YEAR)
    assert m.sharpe_robust_error(r, lags=0) == near(mertens)
