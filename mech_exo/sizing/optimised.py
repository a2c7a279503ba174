"""Weights by an optimiser: risk parity and minimum variance over a shrunk covariance. skfolio does the work (optional extra ``ml``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain.errors import InputError, UserError
from mech_exo.kernels.records import Floats

if TYPE_CHECKING:
    from skfolio.optimization import BaseOptimization

TIGHT = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
"""Of the interior-point solver: its defaults leave risk contributions apart by parts in 100,000."""


def risk_parity(returns: Floats) -> Floats:
    """``(C,)`` weights, above 0, that sum to 1 and contribute the same to the variance each: w_i (Σw)_i = w'Σw / C.

    Parameters
    ----------
    returns
        ``(W, C)`` finite session returns of the *positions*: a short's are those of its name with the sign turned. Σ is their covariance
        shrunk by Ledoit & Wolf (2004), "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices", JMVA 88(2).

    Maillard, Roncalli & Teiletche (2010), "The Properties of Equally Weighted Risk Contribution Portfolios", Journal of Portfolio
    Management 36(4), eq. 3.

    Raises
    ------
    UserError
        skfolio is not installed.
    InputError
        A return is not finite, there are fewer than 2 sessions, or one position never moved.
    """
    return _weights("RiskBudgeting", returns)


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


def _weights(name: str, returns: Floats) -> Floats:
    if returns.ndim != 2 or len(returns) < 2 or not np.isfinite(returns).all() or not (returns.std(axis=0) > 0.0).all():
        raise InputError("weights need finite returns (sessions, positions) of at least 2 sessions, in which every position moved")
    if returns.shape[1] < 2:
        return np.ones(returns.shape[1])
    optimization: Any = _skfolio("optimization")
    from skfolio.moments import LedoitWolf
    from skfolio.prior import EmpiricalPrior
    from threadpoolctl import threadpool_limits

    made: BaseOptimization = getattr(optimization, name)(
        prior_estimator=EmpiricalPrior(covariance_estimator=LedoitWolf()), solver_params=TIGHT
    )
    with threadpool_limits(1):  # sums in the same order on every machine
        made.fit(returns / returns.std())  # of the size the solver's tolerances are made for; weights do not depend on it
    weights = np.maximum(made.weights_, 0.0)  # a weight of 0 comes as ±1e-13
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
