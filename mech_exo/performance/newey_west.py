"""Covariance of a mean when its terms are autocorrelated and differ in variance: Newey and West's estimator.

Newey and West (1987), "A Simple, Positive Semi-Definite, Heteroskedasticity and Autocorrelation Consistent Covariance Matrix",
Econometrica 55(3), pp. 703-708.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mech_exo.performance.ratios import Floats


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
