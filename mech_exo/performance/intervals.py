"""Confidence intervals: how far a figure could lie from the truth by chance alone. 95 %, two-sided."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels.statistics import resampled_drawdowns, resampled_sums
from mech_exo.performance.bootstrap import stationary_rows
from mech_exo.performance.ratios import YEAR, Floats, sharpe, sharpe_robust_error

Z95 = 1.959963984540054
"""Quantile of the normal law for a two-sided 95 % interval."""
DRAWS, BLOCK, SEED = 500, 21.0, 1
"""Resamples, mean sessions of a resampled block (a month, so that bad weeks stay together) and the seed of every interval by bootstrap."""
BOOTSTRAP = f"stationary bootstrap, {DRAWS} draws, mean block {BLOCK:.0f} sessions, seed {SEED}"


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval and where it comes from; NaN where there is none."""

    low: float
    high: float
    method: str


def sharpe_interval(returns: Floats, risk_free: float = 0.0) -> Interval:
    """Annual Sharpe ratio ± 1.96 × :func:`mech_exo.performance.ratios.sharpe_robust_error`. Lo (2002), eq. 10."""
    value, error = sharpe(returns, risk_free), sharpe_robust_error(returns, risk_free)
    return Interval(value - Z95 * error, value + Z95 * error, "Lo 2002, robust to autocorrelation (Newey-West)")


def cagr_interval(returns: Floats) -> Interval:
    """95 % interval of the CAGR from log returns x: exp(252 × (mean ± 1.96 × s / √T)) - 1. NaN below 2 sessions or after a total loss.

    Normal approximation of the mean of independent log returns; Campbell, Lo and MacKinlay (1997), ch. 1.4.
    """
    method = "normal approximation of log returns"
    if len(returns) < 2 or not (returns > -1.0).all():
        return Interval(math.nan, math.nan, method)
    logs = np.log1p(returns)
    mean, error = float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(len(logs))
    low, high = (math.expm1(YEAR * (mean + sign * Z95 * error)) for sign in (-1.0, 1.0))
    return Interval(low, high, method)


def drawdown_interval(returns: Floats) -> Interval:
    """95 % of the maximum drawdowns that resamples of these returns would have had: what another order of the same weeks could bring.

    Percentiles 2.5 and 97.5 over :data:`BOOTSTRAP` resamples of the same length (Politis and Romano 1994, JASA 89(428)). NaN below
    :data:`BLOCK` × 2 sessions or with a NaN.
    """
    if len(returns) < 2 * BLOCK or not np.isfinite(returns).all():
        return Interval(math.nan, math.nan, BOOTSTRAP)
    low, high = np.quantile(resampled_drawdowns(returns, _resampled(len(returns))), [0.025, 0.975])
    return Interval(float(low), float(high), BOOTSTRAP)


def share_interval(part: Floats, whole: Floats) -> Interval:
    """95 % interval of Σ ``part`` / Σ ``whole``, both ``(T,)``, their sessions resampled together.

    Percentiles as in :func:`drawdown_interval`. A resample whose Σ ``whole`` is not above 0 has no meaningful share; more than 2.5 % of
    those leave the interval without an upper bound, and it is NaN. NaN rule as :func:`drawdown_interval` besides.
    """
    if len(part) < 2 * BLOCK or not np.isfinite(part + whole).all():
        return Interval(math.nan, math.nan, BOOTSTRAP)
    above, below = resampled_sums(part, whole, _resampled(len(part))).T
    shares = np.where(below > 0.0, above / np.where(below > 0.0, below, 1.0), math.inf)
    low, high = np.quantile(shares, [0.025, 0.975], method="higher")
    return Interval(float(low), float(high), BOOTSTRAP) if math.isfinite(high) else Interval(math.nan, math.nan, BOOTSTRAP)


@functools.lru_cache(maxsize=2)
def _resampled(sessions: int) -> NDArray[np.int64]:
    """``(DRAWS, sessions)`` rows: the same for every record of that length, so a sweep draws them once."""
    return stationary_rows(sessions, BLOCK, DRAWS, np.random.Generator(np.random.PCG64(SEED)))


def wilson_interval(wins: int, trials: int) -> Interval:
    """95 % score interval of a proportion. NaN without trials. Wilson (1927), JASA 22(158), p. 209."""
    method = "Wilson 1927"
    if trials == 0:
        return Interval(math.nan, math.nan, method)
    share, z2 = wins / trials, Z95 * Z95
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials)) / (1 + z2 / trials)
    return Interval(centre - half, centre + half, method)
