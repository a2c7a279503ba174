"""Means of autocorrelated series with their errors, and how fast an information coefficient fades with the age of the signal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels.newey_west import error_of_mean

Floats = NDArray[np.float64]
SIGNIFICANT = 1.96
"""Standard errors of a 95 % interval (normal)."""
HALVES = 200
"""Half-lives tried by the fit, spaced evenly in their logarithm."""
LEAST_FIT = 0.5
"""Share of the curve's variance that an exponential must explain before its half-life is told."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of a series with its Newey-West standard error; NaN = unknown.

    ``ir`` is mean / std (ddof 1): of an IC the information ratio per cross-section of Qian & Hua (2004), "Active Risk and Information
    Ratio", Journal of Investment Management 2(3); ``positive`` the share of values above 0.
    """

    count: int
    mean: float
    std: float
    ir: float
    standard_error: float
    t_stat: float
    lags: int
    positive: float

    @classmethod
    def of(cls, values: Floats, overlap: int = 0) -> Mean:
        """The mean of the finite ``values`` ``(T,)``, each of which shares part of its period with the ``overlap`` next ones."""
        kept = values[np.isfinite(values)]
        count = len(kept)
        mean = float(kept.mean()) if count else math.nan
        std = float(kept.std(ddof=1)) if count > 1 else math.nan
        error, lags = error_of_mean(kept, overlap)
        positive = float((kept > 0.0).mean()) if count else math.nan
        return cls(count, mean, std, _ratio(mean, std), error, _ratio(mean, error), lags, positive)


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0.0 else math.nan


class Fading(StrEnum):
    """What became of the information in a signal as it aged."""

    DECAYS = "decays"
    LASTS = "does not decay"
    NOTHING = "no information"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HalfLife:
    """In sessions; NaN unless ``fading`` is DECAYS. ``text`` says it in words."""

    sessions: float
    fading: Fading
    text: str


def half_life(lags: Floats, ic: Floats, errors: Floats) -> HalfLife:
    """Half-life of the IC of a signal ``lags`` ``(L,)`` sessions old, from IC(l) = a · 2^(-l / h), weighted by 1 / ``errors``².

    It is told only where there is a decay: the fresh signal's IC is above 0 by 1.96 standard errors, the best ``h`` is shorter than the
    longest lag, and the curve explains at least half of what a constant leaves. An IC that stays, or grows with age, does not decay.
    """
    known = np.isfinite(ic) & np.isfinite(errors) & (errors > 0.0)
    if len(ic) < 3 or known.sum() < 3 or not known[0]:
        return HalfLife(math.nan, Fading.UNKNOWN, "unknown: fewer than three lags have an IC")
    longest = float(lags[known][-1])
    if ic[0] < SIGNIFICANT * errors[0]:
        said = f"nothing to decay: the IC of the fresh signal has t = {ic[0] / errors[0]:.2f}, below {SIGNIFICANT}"
        return HalfLife(math.nan, Fading.NOTHING, said)
    weight, value, age = errors[known] ** -2.0, ic[known], lags[known]
    tried = np.geomspace(max(1.0, 0.1 * float(np.diff(age).min())), longest, HALVES)
    curves = np.exp2(-age[:, None] / tried)
    level = (weight * value) @ curves / (weight @ curves**2)
    left = (weight[:, None] * (value[:, None] - level * curves) ** 2).sum(axis=0)
    flat = float((weight * (value - np.average(value, weights=weight)) ** 2).sum())
    best = int(np.argmin(left))
    lasting = f"does not decay within {longest:.0f} sessions"
    if best == HALVES - 1 or level[best] <= 0.0 or left[best] > (1.0 - LEAST_FIT) * flat:
        return HalfLife(math.nan, Fading.LASTS, lasting)
    return HalfLife(float(tried[best]), Fading.DECAYS, f"{tried[best]:.0f} sessions")
