"""Capture, rolling alpha and beta, and the errors of a regression: by hand, each window anew, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.kernels.newey_west import automatic_lag, long_run_covariance
from mech_exo.performance.benchmark import capture, regression, rolling_alpha, rolling_beta

NAN = math.nan


def pair(seed, count=300):
    rng = np.random.default_rng(seed)
    market = rng.normal(0.0003, 0.01, count)
    return 0.0002 + 0.8 * market + rng.normal(0, 0.004, count), market


def test_capture_by_hand():
    mine, market = np.array([0.02, -0.01, 0.01, NAN, 0.5]), np.array([0.01, -0.02, 0.03, 0.01, NAN])
    found = capture(mine, market)
    assert (found.up, found.down) == (pytest.approx(0.015 / 0.02), pytest.approx(0.5))
    assert (found.up_sessions, found.down_sessions) == (2, 1)
    assert math.isnan(capture(mine[:1], market[:1]).down)


def test_an_account_that_is_the_benchmark_captures_all_of_it():
    _, market = pair(1)
    found, line = capture(market, market), regression(market, market)
    assert found[:2] == pytest.approx((1.0, 1.0))
    assert line.beta == pytest.approx(1.0) and line.alpha_ann == pytest.approx(0.0, abs=1e-12) and math.isnan(line.information_ratio)


@given(st.integers(0, 5), st.integers(3, 80), st.sampled_from([0.0, 0.04]))
def test_rolling_alpha_and_beta_are_the_regression_of_each_window(seed, window, risk_free):
    mine, market = pair(seed, 100)
    market[40] = NAN
    alpha, beta = rolling_alpha(mine, market, window, risk_free), rolling_beta(mine, market, window)
    for t in range(0, 100, 7):
        part = slice(t - window + 1, t + 1)
        if t < window - 1 or np.isnan(market[part]).any():
            assert math.isnan(alpha[t]) and math.isnan(beta[t])
        else:
            line = regression(mine[part], market[part], risk_free)
            assert (alpha[t], beta[t]) == (pytest.approx(line.alpha_ann, abs=1e-9), pytest.approx(line.beta))


def test_rolling_beta_on_a_standing_benchmark_or_a_short_record_is_unknown():
    mine, _ = pair(2, 30)
    assert np.isnan(rolling_beta(mine, np.full(30, 0.001), 10)).all() and np.isnan(rolling_beta(mine, mine, 31)).all()


def test_positive_autocorrelation_widens_the_error_of_alpha():
    rng = np.random.default_rng(4)
    market, noise = rng.normal(0, 0.01, 1000), rng.normal(0, 0.005, 1000)
    sticky = np.convolve(noise, np.ones(5))[:1000]
    assert regression(market + sticky, market).alpha_error_ann > 1.5 * regression(market + sticky, market, lags=0).alpha_error_ann
    plain = regression(market + noise, market)
    assert plain.alpha_error_ann == pytest.approx(regression(market + noise, market, lags=0).alpha_error_ann, rel=0.2)


@pytest.mark.parametrize(("count", "lags"), [(0, 0), (1, 0), (2, 1), (100, 4), (252, 4), (400, 5), (2520, 8)])
def test_automatic_lag(count, lags):
    assert automatic_lag(count) == lags


@given(st.integers(0, 20), st.integers(0, 8))
def test_the_long_run_covariance_is_never_negative(seed, lags):
    terms = np.random.default_rng(seed).normal(size=(25, 2))
    assert np.linalg.eigvalsh(long_run_covariance(terms, lags)).min() >= -1e-12


def test_a_benchmark_unknown_or_constant_gives_no_errors():
    mine, _ = pair(3, 20)
    for market in (np.full(20, NAN), np.full(20, 0.01)):
        line = regression(mine, market)
        assert np.isnan([line.alpha_error_ann, line.alpha_t, line.beta_error, line.beta_t]).all()
