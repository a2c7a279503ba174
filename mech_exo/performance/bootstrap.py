"""Is the best of many trials better than the benchmark, or only the best of many? Tests by the stationary bootstrap.

White (2000), "A Reality Check for Data Snooping", Econometrica 68(5); Hansen (2005), "A Test for Superior Predictive Ability", Journal
of Business and Economic Statistics 23(4); Politis and Romano (1994), "The Stationary Bootstrap", JASA 89(428).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import InputError
from mech_exo.performance.ratios import NOISE, Floats

DRAWS_AT_ONCE = 250
"""Resamples worked on together: 250 × 2,520 sessions are 5 MB."""


@dataclass(frozen=True, slots=True)
class Snooping:
    """p-values of "no trial is truly better than the benchmark": small means that at least one is. NaN = not measured."""

    reality_check: float
    """White's, on mean returns: one wild, worthless trial can hide a good one."""
    spa: float
    """Hansen's, studentised, with the consistent null."""
    spa_lower: float
    """With the null most favourable to the trials (every worse one is taken out)."""
    spa_upper: float
    """With the null least favourable to them (each is taken to be as good as the benchmark)."""
    best: int
    """Column with the largest studentised mean; -1 where there is none."""
    block: float
    """Mean length of a resampled block, in sessions."""


def data_snooping(
    returns: Floats,
    benchmark: Floats | None = None,
    *,
    draws: int = 1000,
    block: float | None = None,
    seed: int = 0,
) -> Snooping:
    """Both tests on the same resamples.

    With d the ``(T, M)`` returns over the benchmark, d̄ their means and d̄* the means of a resample: White's statistic is max √T d̄, its
    null distribution max √T (d̄* - d̄) (his corollary 2.4). Hansen's is max(0, max √T d̄ / ω), ω² the variance of √T d̄*, its null
    distribution max(0, max √T (d̄* - g) / ω) with g = max(0, d̄) (lower), d̄ (upper), or d̄ where √T d̄ / ω ≥ -√(2 ln ln T) and else 0
    (consistent; his section 3). A p-value is (1 + resamples that reach the statistic) / (1 + draws): resampling never shows that
    something is impossible (Davison and Hinkley 1997, "Bootstrap Methods and their Application", eq. 4.11).

    Parameters
    ----------
    returns
        ``(T, M)`` session returns of every trial. A trial that stands still relative to the benchmark takes no part.
    benchmark
        ``(T,)`` session returns to beat; None: to beat 0.
    block
        Mean block length in sessions, at least 1; None: :func:`block_length`.
    seed
        The same seed gives the same p-values.

    Returns
    -------
    Snooping
        NaN below 16 sessions, without a trial that moves, or with a NaN.

    Raises
    ------
    InputError
        ``draws`` or ``block`` below 1, or shapes that do not fit.
    """
    if draws < 1 or (block is not None and not block >= 1.0):
        raise InputError(f"resampling needs at least 1 draw of blocks of at least 1 session; draws is {draws}, block is {block}")
    if returns.ndim != 2 or (benchmark is not None and benchmark.shape != returns.shape[:1]):
        raise InputError("the trials' returns must be a matrix of sessions by trials, the benchmark one return for each session")
    ahead = returns if benchmark is None else returns - benchmark[:, None]
    moving = np.flatnonzero(ahead.std(axis=0) > NOISE) if len(ahead) >= 16 and np.isfinite(ahead).all() else np.empty(0, np.intp)
    if not len(moving):
        return Snooping(math.nan, math.nan, math.nan, math.nan, -1, math.nan)
    ahead = ahead[:, moving]
    length = block_length(ahead) if block is None else block
    mean, error = ahead.mean(axis=0), long_run_deviation(ahead, length) / math.sqrt(len(ahead))
    score = mean / error
    centres = (np.maximum(mean, 0.0), np.where(score >= -math.sqrt(2.0 * math.log(math.log(len(ahead)))), mean, 0.0), mean)
    rng = np.random.Generator(np.random.PCG64(seed))
    reached = np.zeros(4, np.int64)
    observed = max(0.0, float(score.max()))
    for at in range(0, draws, DRAWS_AT_ONCE):
        resampled = resampled_means(ahead, length, min(DRAWS_AT_ONCE, draws - at), rng)
        reached[0] += ((resampled - mean).max(axis=1) >= mean.max()).sum()
        for place, centre in enumerate(centres, 1):
            reached[place] += (np.maximum(((resampled - centre) / error).max(axis=1), 0.0) >= observed).sum()
    check, lower, consistent, upper = (float(value) for value in (1 + reached) / (1 + draws))
    return Snooping(check, consistent, lower, upper, int(moving[score.argmax()]), length)


def reality_check(
    returns: Floats, benchmark: Floats | None = None, *, draws: int = 1000, block: float | None = None, seed: int = 0
) -> float:
    """p-value of White's reality check: see :func:`data_snooping`."""
    return data_snooping(returns, benchmark, draws=draws, block=block, seed=seed).reality_check


def spa(returns: Floats, benchmark: Floats | None = None, *, draws: int = 1000, block: float | None = None, seed: int = 0) -> float:
    """Consistent p-value of Hansen's test for superior predictive ability: see :func:`data_snooping`."""
    return data_snooping(returns, benchmark, draws=draws, block=block, seed=seed).spa


def resampled_means(values: Floats, block: float, draws: int, rng: np.random.Generator) -> Floats:
    """``(draws, M)`` column means of ``draws`` resamples of ``(T, M)`` ``values``, rows kept together."""
    sessions = len(values)
    rows = stationary_rows(sessions, block, draws, rng)
    counts = np.bincount((rows + sessions * np.arange(draws)[:, None]).ravel(), minlength=draws * sessions)
    means: Floats = counts.reshape(draws, sessions).astype(np.float64) @ values / sessions
    return means


def stationary_rows(sessions: int, block: float, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``(draws, sessions)`` row numbers of the stationary bootstrap: blocks of geometric length with mean ``block``, round the end.

    Each row begins a new block at a random place with probability 1 / ``block``, else follows the one before (Politis and Romano 1994,
    section 2).
    """
    begins = rng.random((draws, sessions)) < 1.0 / block
    begins[:, 0] = True
    starts = rng.integers(0, sessions, (draws, sessions))
    place = np.arange(sessions)
    begun = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    return (np.take_along_axis(starts, begun, axis=1) + place - begun) % sessions


def long_run_deviation(values: Floats, block: float) -> Floats:
    """``(M,)`` standard deviation of √T × the mean of a stationary-bootstrap resample of each column of ``(T, M)`` ``values``.

    ω² = γ(0) + 2 Σ κ(i) γ(i), κ(i) = (T - i)/T (1 - q)^i + i/T (1 - q)^(T - i), q = 1 / ``block`` (Politis and Romano 1994, lemma 1).
    """
    sessions = len(values)
    lags = np.arange(1, sessions)
    stays = 1.0 - 1.0 / block
    weight = (sessions - lags) / sessions * stays**lags + lags / sessions * stays ** (sessions - lags)
    covariance = autocovariances(values)
    deviation: Floats = np.sqrt(np.maximum(covariance[0] + 2.0 * (weight @ covariance[1:]), NOISE**2))
    return deviation


def autocovariances(values: Floats) -> Floats:
    """``(T, M)`` autocovariances of each column at lags 0 to T - 1, divided by T; by fast Fourier transform."""
    sessions = len(values)
    size = 1 << (2 * sessions - 1).bit_length()
    spectrum = np.fft.rfft(values - values.mean(axis=0), size, axis=0)
    products: Floats = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=0)
    return products[:sessions] / sessions


def block_length(values: Floats) -> float:
    """Mean block length for the stationary bootstrap of ``(T, M)`` ``values``: the median of the columns' optimal lengths, at least 1.

    (2 Ĝ² / D)^(1/3) T^(1/3) of Politis and White (2004), "Automatic Block-Length Selection for the Dependent Bootstrap", Econometric
    Reviews 23(1), with D = 2 ĝ(0)² as corrected by Patton, Politis and White (2009), ibid. 28(4).
    """
    covariance = autocovariances(values)
    return max(1.0, float(np.median([_optimal(covariance[:, column]) for column in range(covariance.shape[1])])))


def _optimal(covariance: Floats) -> float:
    sessions = len(covariance)
    quiet = max(5, math.ceil(math.sqrt(math.log10(sessions))))
    furthest = min(sessions - 1, math.ceil(math.sqrt(sessions)) + quiet)
    bound = 2.0 * math.sqrt(math.log10(sessions) / sessions)
    small = np.abs(covariance[1 : furthest + 1]) < bound * covariance[0]
    settled = [lag for lag in range(len(small) - quiet + 1) if small[lag : lag + quiet].all()]
    last = settled[0] if settled else int(np.flatnonzero(~small)[-1]) + 1
    width = min(2 * max(last, 1), furthest)
    lags = np.arange(1, width + 1)
    taper = np.minimum(1.0, 2.0 * (1.0 - lags / width))
    weighted = taper * covariance[1 : width + 1]
    density = covariance[0] + 2.0 * float(weighted.sum())
    curvature = 2.0 * float((lags * weighted).sum())
    longest = math.ceil(min(3.0 * math.sqrt(sessions), sessions / 3.0))
    return min(float(longest), (curvature**2 / density**2 * sessions) ** (1.0 / 3.0)) if density else float(longest)
