"""Weights by the optimiser: equal risk, least variance, and an answer to everything that is no market."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import minimize

from mech_exo.domain.errors import InputError
from mech_exo.sizing.optimised import minimum_variance, risk_parity, shrunk_covariance


def market(seed, names, sessions=252):
    """Returns with common factors and volatilities far apart."""
    chance = np.random.default_rng(seed)
    common = chance.normal(size=(sessions, 3)) @ chance.normal(size=(3, names))
    result: np.ndarray = (common + chance.normal(size=(sessions, names))) * 0.01 * chance.lognormal(sigma=0.6, size=names)
    return result


@pytest.mark.parametrize(("seed", "names", "sessions"), [(0, 2, 60), (1, 5, 252), (2, 30, 252), (3, 30, 25), (4, 60, 252)])
def test_risk_parity_contributions_are_equal(seed, names, sessions):
    returns = market(seed, names, sessions)
    weights, matrix = risk_parity(returns), shrunk_covariance(returns)
    contributions = weights * (matrix @ weights) / (weights @ matrix @ weights)
    assert contributions == pytest.approx(np.full(names, 1 / names), abs=1e-6 / names)
    assert (weights > 0).all() and weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.array_equal(weights, risk_parity(returns)), "the same to the last bit each time"


@pytest.mark.parametrize(("seed", "names"), [(5, 2), (6, 8), (7, 20)])
def test_minimum_variance_is_what_another_optimiser_finds(seed, names):
    returns = market(seed, names)
    matrix = shrunk_covariance(returns)
    matrix /= matrix.max()
    found = minimize(
        lambda w: w @ matrix @ w, np.full(names, 1 / names), jac=lambda w: 2 * matrix @ w, bounds=[(0, 1)] * names, method="SLSQP",
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    weights = minimum_variance(returns)
    assert weights @ matrix @ weights <= found.fun * (1 + 1e-5)
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert weights == pytest.approx(found.x, abs=2e-3)


def test_the_order_of_the_names_and_the_size_of_returns_do_not_matter():
    returns = market(8, 12)
    turned = np.random.default_rng(1).permutation(12)
    for method in (risk_parity, minimum_variance):
        weights = method(returns)
        assert method(returns[:, turned]) == pytest.approx(weights[turned], abs=1e-4)
        assert method(returns * 1e-3) == pytest.approx(weights, abs=1e-6)


@pytest.mark.parametrize("method", [risk_parity, minimum_variance])
def test_what_is_no_market_is_refused(method):
    returns = market(9, 3)
    for bad in (np.where(np.arange(3) == 1, 0.0, returns), np.where(np.arange(3) == 1, np.nan, returns), returns[:1], returns[:, 0]):
        with pytest.raises(InputError, match="finite returns"):
            method(bad)
    assert method(returns[:, :1]).tolist() == [1.0]


def test_without_skfolio_the_extra_is_named():
    call = "risk_parity(np.random.default_rng(0).normal(size=(50, 2)))"
    code = f"import sys; sys.modules['skfolio.optimization'] = None; import numpy as np; from mech_exo.sizing.optimised import risk_parity; {call}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 1 and "skfolio" in ran.stderr and "pip install 'mech-exo[ml]'" in ran.stderr
