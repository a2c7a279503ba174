"""The account against its benchmark: alpha, beta and their errors, capture, and the same through time.

``returns`` and ``benchmark`` are ``(T,)`` session returns, fractions, aligned. Sessions in which either is unknown (NaN) are left
out of the whole-period figures, and the ones beside them count as neighbours; a rolling window that holds one is NaN.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mech_exo.kernels.newey_west import automatic_lag, long_run_covariance
from mech_exo.performance.ratios import NOISE, YEAR, Floats, deviation, session_rate


class Regression(NamedTuple):
    """Against a benchmark. ``sessions`` is how many had both returns; alpha, its error and tracking error are annual fractions.

    Errors and t-statistics are Newey and West's with ``lags`` lags; a t-statistic asks whether the figure differs from 0.
    """

    alpha_ann: float
    beta: float
    correlation: float
    tracking_error_ann: float
    information_ratio: float
    sessions: int
    alpha_error_ann: float
    alpha_t: float
    beta_error: float
    beta_t: float
    lags: int


class Capture(NamedTuple):
    """Share of the benchmark's rising and falling sessions that the account took; 1 = all of it, below 0 = the other way."""

    up: float
    down: float
    up_sessions: int
    down_sessions: int


def regression(returns: Floats, benchmark: Floats, risk_free: float = 0.0, lags: int | None = None) -> Regression:
    """Ordinary least squares of excess on excess benchmark returns, over sessions where both are known.

    beta = cov / var; alpha = (mean - beta × benchmark mean) × 252 (Jensen 1968, "The Performance of Mutual Funds", JF 23(2),
    eq. 8); tracking error = deviation of the difference × sqrt(252); information ratio = mean difference / its deviation ×
    sqrt(252) (Grinold and Kahn 2000, ch. 5). Errors: (X'X)⁻¹ T S (X'X)⁻¹, S the
    :func:`mech_exo.kernels.newey_west.long_run_covariance` of the terms x e over ``lags`` (None:
    :func:`mech_exo.kernels.newey_west.automatic_lag`), without a small-sample correction. NaN
    below 3 common sessions or for a constant side.
    """
    known = np.isfinite(returns) & np.isfinite(benchmark)
    count = int(known.sum())
    lags = automatic_lag(count) if lags is None else lags
    if count < 3:
        return Regression(math.nan, math.nan, math.nan, math.nan, math.nan, count, math.nan, math.nan, math.nan, math.nan, lags)
    rate = session_rate(risk_free)
    mine, theirs = returns[known] - rate, benchmark[known] - rate
    spread_mine, spread_theirs, spread = deviation(mine), deviation(theirs), deviation(mine - theirs)
    covariance = float(((mine - mine.mean()) * (theirs - theirs.mean())).sum() / (count - 1))
    beta = covariance / spread_theirs**2 if spread_theirs > NOISE else math.nan
    alpha = float(mine.mean() - beta * theirs.mean())
    alpha_error, beta_error = _errors(mine - alpha - beta * theirs, theirs, lags)
    both = spread_mine > NOISE and spread_theirs > NOISE
    return Regression(
        alpha_ann=alpha * YEAR,
        beta=beta,
        correlation=covariance / (spread_mine * spread_theirs) if both else math.nan,
        tracking_error_ann=spread * math.sqrt(YEAR),
        information_ratio=float((mine - theirs).mean() / spread * math.sqrt(YEAR)) if spread > NOISE else math.nan,
        sessions=count,
        alpha_error_ann=alpha_error * YEAR,
        alpha_t=alpha / alpha_error if alpha_error > NOISE else math.nan,
        beta_error=beta_error,
        beta_t=beta / beta_error if beta_error > NOISE else math.nan,
        lags=lags,
    )


def _errors(residuals: Floats, theirs: Floats, lags: int) -> tuple[float, float]:
    """Newey and West's standard errors of the constant and the slope; NaN where the slope is unknown."""
    if not np.isfinite(residuals).all():
        return math.nan, math.nan
    design = np.column_stack([np.ones(len(theirs)), theirs])
    bread = np.linalg.inv(design.T @ design)
    spread = bread @ long_run_covariance(design * residuals[:, None], lags) @ bread * len(theirs)
    return math.sqrt(max(0.0, float(spread[0, 0]))), math.sqrt(max(0.0, float(spread[1, 1])))


def capture(returns: Floats, benchmark: Floats) -> Capture:
    """Mean return over the benchmark's mean return, in the sessions it rose and in those it fell.

    Bacon (2008), "Practical Portfolio Performance Measurement and Attribution", pp. 47-48, in sessions instead of months. NaN
    without such a session.
    """
    known = np.isfinite(returns) & np.isfinite(benchmark)
    mine, theirs = returns[known], benchmark[known]
    up, down = theirs > 0.0, theirs < 0.0
    shares = [float(mine[part].mean() / theirs[part].mean()) if part.any() else math.nan for part in (up, down)]
    return Capture(shares[0], shares[1], int(up.sum()), int(down.sum()))


def rolling_beta(returns: Floats, benchmark: Floats, window: int = YEAR) -> Floats:
    """``(T,)`` :func:`regression`'s beta of the last ``window`` sessions; NaN for the first window - 1 and beside a NaN."""
    return _rolling_line(returns, benchmark, window)[1]


def rolling_alpha(returns: Floats, benchmark: Floats, window: int = YEAR, risk_free: float = 0.0) -> Floats:
    """``(T,)`` annual :func:`regression` alpha of the last ``window`` sessions, a fraction; NaN rule as :func:`rolling_beta`."""
    rate = session_rate(risk_free)
    return _rolling_line(returns - rate, benchmark - rate, window)[0] * YEAR


def _rolling_line(mine: Floats, theirs: Floats, window: int) -> tuple[Floats, Floats]:
    """``(T,)`` constant and slope of each window."""
    alpha, beta = np.full(len(mine), np.nan), np.full(len(mine), np.nan)
    if 3 <= window <= len(mine):
        ours, other = (np.lib.stride_tricks.sliding_window_view(values, window) for values in (mine, theirs))
        mean, centre = ours.mean(axis=1), other.mean(axis=1)
        apart = other - centre[:, None]
        squares = np.einsum("ij,ij->i", apart, apart)
        squares[~(squares > NOISE**2 * (window - 1))] = np.nan
        beta[window - 1 :] = np.einsum("ij,ij->i", apart, ours) / squares
        alpha[window - 1 :] = mean - beta[window - 1 :] * centre
    return alpha, beta
