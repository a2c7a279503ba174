"""Value at risk, expected shortfall, Omega: by hand, against numerical integration, and their laws."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.performance.tails import cornish_fisher_risk, gaussian_risk, historical_risk, omega, tail_ratio

returns_of = st.lists(st.floats(-0.3, 0.3), min_size=20, max_size=120).map(np.array)
RISKS = (historical_risk, gaussian_risk, cornish_fisher_risk)


def test_the_historical_tail_by_hand():
    r = np.array([-0.10, -0.06, *([0.001] * 39)])  # 41 returns: the 5 % quantile is the third smallest
    assert historical_risk(r).value_at_risk == pytest.approx(-0.001)
    r = np.array([-0.10, -0.06, -0.03, *([0.001] * 38)])
    risk = historical_risk(r)
    assert risk.value_at_risk == pytest.approx(0.03) and risk.expected_shortfall == pytest.approx((0.10 + 0.06 + 0.03) / 3)


def test_the_normal_tail_by_its_table():
    r = np.array([-0.01, 0.01] * 500) + 0.001
    spread = r.std(ddof=1)
    assert gaussian_risk(r).value_at_risk == pytest.approx(1.6448536 * spread - 0.001, rel=1e-6)
    assert gaussian_risk(r).expected_shortfall == pytest.approx(2.0627128 * spread - 0.001, rel=1e-6)


@given(returns_of, st.sampled_from([0.9, 0.95]))
def test_expected_shortfall_is_never_below_value_at_risk(r, level):
    for risk in RISKS:
        found = risk(r, level)
        assert math.isnan(found.expected_shortfall) or found.expected_shortfall >= found.value_at_risk - 1e-12


@given(returns_of, st.randoms())
def test_order_does_not_matter(r, random):
    mixed = r.tolist()
    random.shuffle(mixed)
    for figure in (*RISKS, lambda x: [omega(x), tail_ratio(x)]):
        assert list(figure(np.array(mixed))) == pytest.approx(list(figure(r)), rel=1e-7, abs=1e-10, nan_ok=True)


@given(returns_of.filter(lambda r: np.ptp(r) > 1e-3), st.floats(0.1, 5.0), st.floats(-0.02, 0.02))
def test_leverage_scales_a_loss_and_a_shift_moves_it(r, scale, shift):
    for risk in (historical_risk, gaussian_risk):
        assert list(risk(r * scale)) == pytest.approx([x * scale for x in risk(r)], rel=1e-7, abs=1e-10)
        assert list(risk(r + shift)) == pytest.approx([x - shift for x in risk(r)], rel=1e-7, abs=1e-10)


def test_cornish_fisher_integrates_its_own_quantiles():
    rng = np.random.default_rng(2)
    r = rng.standard_t(6, 2000) * 0.01 - 0.02 * (rng.random(2000) < 0.02)
    centred = r - r.mean()
    s, k = (centred**3).mean() / (centred**2).mean() ** 1.5, (centred**4).mean() / (centred**2).mean() ** 2 - 3

    def quantile(p):
        z = NormalDist().inv_cdf(p)
        w = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
        return r.mean() + r.std(ddof=1) * w

    steps = (np.arange(20_000) + 0.5) / 20_000 * 0.05
    found = cornish_fisher_risk(r)
    assert found.value_at_risk == pytest.approx(-quantile(0.05))
    assert found.expected_shortfall == pytest.approx(-np.mean([quantile(p) for p in steps]), rel=1e-3)
    assert found.expected_shortfall > gaussian_risk(r).expected_shortfall  # skewed to the left and fat-tailed


def test_cornish_fisher_is_unknown_where_its_quantiles_would_fall():
    r = np.r_[np.zeros(998), -0.5, 0.0]  # one crash: skewness -31
    assert math.isnan(cornish_fisher_risk(r).value_at_risk) and not math.isnan(gaussian_risk(r).value_at_risk)


def test_without_skewness_and_kurtosis_cornish_fisher_is_the_normal_tail():
    r = np.array([NormalDist().inv_cdf(p) for p in (np.arange(200_000) + 0.5) / 200_000]) * 0.01
    assert list(cornish_fisher_risk(r)) == pytest.approx(list(gaussian_risk(r)), rel=1e-3)


def test_omega_by_hand_and_above_one_exactly_where_the_mean_is_above_its_threshold():
    assert omega(np.array([0.03, -0.01, -0.01])) == pytest.approx(1.5)
    assert math.isnan(omega(np.array([0.01, 0.02])))
    r = np.random.default_rng(0).normal(0.0005, 0.01, 300)
    for threshold in (-0.1, 0.0, 0.3):
        assert (omega(r, threshold) > 1) == (r.mean() > (1 + threshold) ** (1 / 252) - 1)


@pytest.mark.parametrize("values", [[], [0.01], [0.01] * 19, [math.nan] + [0.01, -0.02] * 30])
def test_short_or_unknown_series_have_no_historical_tail(values):
    r = np.array(values, float)
    assert math.isnan(historical_risk(r).value_at_risk) and math.isnan(tail_ratio(r))
    assert math.isnan(historical_risk(np.full(99, 0.01), 0.99).value_at_risk) and not math.isnan(historical_risk(np.full(100, 0.01), 0.99).value_at_risk)
    if np.isnan(r).any():
        assert math.isnan(gaussian_risk(r).value_at_risk) and math.isnan(omega(r))
