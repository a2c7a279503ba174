"""Confidence intervals: coverage of what they claim, laws, and when there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.performance.bootstrap import stationary_rows
from mech_exo.performance.drawdowns import max_drawdown
from mech_exo.performance.intervals import BLOCK, DRAWS, SEED, drawdown_interval, share_interval, sharpe_interval
from mech_exo.performance.ratios import annualisation_factor, growth, sharpe, sharpe_robust_error, sharpe_standard_error


def ar1(rng, count, rho):
    noise = rng.normal(0.0004, 0.01, count)
    out = noise.copy()
    for t in range(1, count):
        out[t] += rho * out[t - 1]
    return out


def coverage(returns, truth):
    hits = [interval.low <= truth <= interval.high for interval in (sharpe_interval(part) for part in returns)]
    return np.mean(hits)


def test_the_sharpe_interval_covers_the_truth_in_95_of_100_samples():
    rng = np.random.default_rng(0)
    samples = rng.normal(0.0005, 0.01, (600, 1000))
    assert coverage(samples, 0.05 * math.sqrt(252)) == pytest.approx(0.95, abs=0.03)


def test_autocorrelated_returns_are_covered_where_the_plain_error_is_too_narrow():
    rng = np.random.default_rng(1)
    samples = [ar1(rng, 1000, 0.3) for _ in range(400)]
    truth = (0.0004 / 0.7) / (0.01 / math.sqrt(1 - 0.09)) * math.sqrt(252)
    plain = np.mean([abs(sharpe(part) - truth) <= 1.96 * sharpe_standard_error(part) for part in samples])
    assert coverage(samples, truth) > 0.90 > plain + 0.02


def test_the_robust_error_does_not_change_with_leverage_and_is_the_plain_one_for_independent_normal_returns():
    r = np.random.default_rng(2).normal(0.0005, 0.01, 50_000)
    assert sharpe_robust_error(r * 3) == pytest.approx(sharpe_robust_error(r))
    assert sharpe_robust_error(r) == pytest.approx(sharpe_standard_error(r), rel=0.03)


def test_annualisation_by_lo_is_the_square_root_without_autocorrelation_and_less_with_a_positive_one():
    rng = np.random.default_rng(3)
    assert annualisation_factor(rng.normal(0, 0.01, 200_000)) == pytest.approx(math.sqrt(252), rel=0.02)
    sticky = ar1(rng, 200_000, 0.3)
    ratio = annualisation_factor(sticky, 12, lags=11)
    exact = 12 / math.sqrt(12 + 2 * sum((12 - k) * 0.3**k for k in range(1, 12)))  # Lo (2002), eq. 20 with ρₖ = 0.3ᵏ
    assert ratio == pytest.approx(exact, rel=0.01) and ratio < math.sqrt(12)
    assert annualisation_factor(sticky, 12, lags=0) == pytest.approx(math.sqrt(12))


@pytest.mark.parametrize("values", [[], [0.01], [0.01] * 50, [math.nan, 0.1, 0.2, 0.1]])
def test_what_has_no_sharpe_has_no_interval(values):
    r = np.array(values, float)
    assert math.isnan(sharpe_interval(r).low) and math.isnan(sharpe_robust_error(r)) and math.isnan(annualisation_factor(r))


def test_the_drawdown_interval_is_the_quantile_of_resampled_paths_walked_one_by_one():
    r = np.random.default_rng(4).normal(0.0004, 0.01, 260)
    rows = stationary_rows(len(r), BLOCK, DRAWS, np.random.Generator(np.random.PCG64(SEED)))
    depths = [max_drawdown(growth(r[order])) for order in rows]
    found = drawdown_interval(r)
    assert [found.low, found.high] == pytest.approx(np.quantile(depths, [0.025, 0.975]))
    assert 0 < found.low < found.high < 1 and drawdown_interval(r) == found


def test_the_share_interval_is_the_quantile_of_resampled_sums_and_has_no_bound_without_a_gain():
    rng = np.random.default_rng(5)
    paid, gross = rng.uniform(0, 2, 300), rng.normal(10, 20, 300)
    rows = stationary_rows(300, BLOCK, DRAWS, np.random.Generator(np.random.PCG64(SEED)))
    shares = np.sort([paid[order].sum() / gross[order].sum() for order in rows])
    found = share_interval(paid, gross)
    assert found.low < paid.sum() / gross.sum() < found.high
    assert shares[10] <= found.low <= shares[14] and shares[485] <= found.high <= shares[489]
    assert math.isnan(share_interval(paid, rng.normal(0.2, 20, 300)).high)


def test_a_short_or_holed_record_has_no_bootstrap_interval():
    assert math.isnan(drawdown_interval(np.full(41, 0.01)).low) and not math.isnan(drawdown_interval(np.full(42, 0.01)).low)
    assert math.isnan(drawdown_interval(np.r_[np.nan, np.zeros(99)]).low) and math.isnan(share_interval(np.r_[np.nan, np.ones(99)], np.ones(100)).low)
