"""Weights by an optimiser: risk parity and minimum variance over a shrunk covariance. skfolio does the work (optional extra ``ml``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mech_exo.domain.errors import InputError, UserError
from mech_exo.kernels.records import Floats


def risk_parity(returns: Floats) -> Floats:
    """``(C,)`` weights, above 0, that sum to 1 and contribute the same to the variance each: w_i (Σw)_i = w'Σw / C.

    Maillard, Roncalli & Teiletche (2010), "The Properties of Equally Weighted Risk Contribution Portfolios", Journal of Portfolio
    Management 36(4), eq. 3.

    Parameters
    ----------
    returns
        ``(W, C)`` finite session returns of the *positions*: a short's are those of its name with the sign turned. Σ is their covariance
        shrunk by Ledoit & Wolf (2004), "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices", JMVA 88(2).

    Raises
    ------
    UserError
        skfolio is not installed.
    InputError
        A return is not finite, there are fewer than 2 sessions, or one position never moved.
    """
    return _weights("RiskBudgeting", returns, even_out)


def minimum_variance(returns: Floats) -> Floats:
    """``(C,)`` weights, at least 0, that sum to 1 and have the least variance w'Σw. Arguments and errors as :func:`risk_parity`.

    Markowitz (1952), "Portfolio Selection", Journal of Finance 7(1), the efficient frontier's left end.
    """
    return _weights("MeanRisk", returns)


def shrunk_covariance(returns: Floats) -> Floats:
    """``(C, C)`` covariance of ``returns`` ``(W, C)`` by Ledoit & Wolf (2004), per session: what the two methods weigh with."""
    moments: Any = _skfolio("moments")
    result: Floats = moments.LedoitWolf().fit(returns).covariance_
    return result


def even_out(weights: Floats, covariance: Floats) -> Floats:
    """Risk parity to the last bits from weights that are nearly so (an interior-point solver stops at parts in 10,000).

    Newton's method on Σy = 1 / (C y), whose solution is risk parity up to a factor: Spinu (2013), "An Algorithm for Computing Risk Parity
    Weights", eq. 6.
    """
    even = 1.0 / len(weights)
    y = weights / np.sqrt(weights @ covariance @ weights)
    for _ in range(8):
        y = y - np.linalg.solve(covariance + np.diag(even / y**2), covariance @ y - even / y)
    result: Floats = y / y.sum()
    return result


def _weights(name: str, returns: Floats, polish: Callable[[Floats, Floats], Floats] | None = None) -> Floats:
    if returns.ndim != 2 or len(returns) < 2 or not np.isfinite(returns).all() or not (returns.std(axis=0) > 0.0).all():
        raise InputError("weights need finite returns (sessions, positions) of at least 2 sessions, in which every position moved")
    if returns.shape[1] < 2:
        return np.ones(returns.shape[1])
    optimization, moments, prior = _skfolio("optimization"), _skfolio("moments"), _skfolio("prior")
    from threadpoolctl import threadpool_limits

    model = getattr(optimization, name)(prior_estimator=prior.EmpiricalPrior(covariance_estimator=moments.LedoitWolf()))
    with threadpool_limits(1):  # sums in the same order on every machine
        model.fit(returns / returns.std())  # of the size the solver's tolerances are made for; weights do not depend on it
        weights = np.maximum(model.weights_, 0.0)
        if polish is not None:
            weights = polish(weights, model.prior_estimator_.return_distribution_.covariance)
    result: Floats = weights / weights.sum()
    return result


def _skfolio(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"skfolio.{module}")
    except ImportError:
        raise UserError(
            "risk_parity and minimum_variance need the package skfolio, which is not installed", remedy="pip install 'mech-exo[ml]'"
        ) from None
