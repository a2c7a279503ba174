"""Covariance of a mean when its terms are autocorrelated and differ in variance: Newey and West's estimator.

Newey and West (1987), "A Simple, Positive Semi-Definite, Heteroskedasticity and Autocorrelation Consistent Covariance Matrix",
Econometrica 55(3), pp. 703-708.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def automatic_lag(count: int) -> int:
    """Lags for ``count`` sessions: floor(4 (T / 100)^(2/9)), below T; 8 for ten years.

    The deterministic part of Newey and West (1994), "Automatic Lag Selection in Covariance Matrix Estimation", Review of Economic
    Studies 61(4), table II (Bartlett kernel): it depends on the length alone, so every strategy is judged by the same lags.
    """
    return max(0, min(int(4.0 * (count / 100.0) ** (2.0 / 9.0)), count - 1))


def long_run_covariance(terms: Floats, lags: int) -> Floats:
    """``(k, k)`` Γ₀ + Σⱼ (1 - j / (lags + 1)) (Γⱼ + Γⱼ'), Γⱼ = Σₜ uₜ uₜ₋ⱼ' / T, of ``terms`` ``(T, k)``, whose mean is taken to be 0.

    Newey and West (1987), eq. 5. ``lags`` = 0 is White's estimator; NaN terms give NaN.
    """
    count = len(terms)
    total: Floats = terms.T @ terms
    for lag in range(1, lags + 1):
        shifted = terms[lag:].T @ terms[:-lag]
        total += (1.0 - lag / (lags + 1.0)) * (shifted + shifted.T)
    return total / count


def error_of_mean(values: Floats, overlap: int = 0) -> tuple[float, int]:
    """Standard error of the mean of ``values`` ``(T,)`` and the lags it took; NaN values are left out, of fewer than two it is NaN.

    ``overlap`` is the number of following terms that share part of a term's period by construction: the lags are never fewer (Hansen &
    Hodrick 1980, "Forward Exchange Rates as Optimal Predictors of Future Spot Rates", JPE 88(5): h-period returns looked at every period
    follow a moving average of order h - 1), nor fewer than :func:`automatic_lag`.
    """
    kept = values[np.isfinite(values)]
    count = len(kept)
    if count < 2:
        return math.nan, 0
    lags = min(max(overlap, automatic_lag(count)), count - 1)
    variance = long_run_covariance((kept - kept.mean())[:, None], lags)[0, 0]
    return math.sqrt(max(variance, 0.0) / count), lags
