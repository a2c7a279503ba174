"""From raw factor values of one session to contributions that sum to the score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.cross_section import rank_scale, winsorised, zscore
from mech_exo.utils.settings import Normalisation

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

MODES = {Normalisation.NONE: 0, Normalisation.ZSCORE: 1, Normalisation.RANK: 2}


@njit
def normalise_row(values: Floats, eligible: Flags, sign: float, mode: int, winsor: float) -> Floats:
    """``(N,)`` values among the eligible names on one scale, times ``sign``; NaN where not eligible or no finite value.

    Mode 1: z-score (ddof 0) of the values clipped to their quantiles ``winsor`` and ``1 - winsor``; mode 2: average ranks
    over [-1, 1]; mode 0: the value itself.
    """
    kept = np.full(len(values), np.nan)
    for j in range(len(values)):
        if eligible[j] and np.isfinite(values[j]):
            kept[j] = values[j]
    if mode == 1:
        kept = zscore(winsorised(kept, winsor) if winsor > 0.0 else kept)
    elif mode == 2:
        kept = rank_scale(kept)
    return sign * kept


@njit
def composite_row(
    raw: Floats, k: int, eligible: Flags, signs: Floats, weights: Floats, mode: int, winsor: float, least: float, multiplier: Floats,
    normalised: Floats, contribution: Floats, coverage: Floats, value: Floats,
) -> None:  # fmt: skip
    """Score row ``k`` of ``raw`` ``(F, K, N)`` into ``normalised``, ``contribution`` ``(F, N)``, ``coverage``, ``value`` ``(N,)``.

    ``weights`` ``(F,)`` are those of the session; 0 = does not count in it. A name's weights are divided by the sum of those it has
    values for; a name that has less than ``least`` of all weights gets NaN. ``contribution = weight × normalised × multiplier`` and
    ``value`` is their sum in the order of the factors, starting from the first, so a lone factor is handed on unchanged.
    """
    factors, count = normalised.shape
    total = 0.0
    for f in range(factors):
        total += weights[f]
        normalised[f] = normalise_row(raw[f, k], eligible, signs[f], mode, winsor)
    for j in range(count):
        have = 0.0
        for f in range(factors):
            if normalised[f, j] == normalised[f, j]:
                have += weights[f]
        coverage[j] = have / total if eligible[j] and total > 0.0 else np.nan
        scored = eligible[j] and have > 0.0 and coverage[j] >= least
        value[j] = 0.0 if scored else np.nan
        for f in range(factors):
            known = scored and normalised[f, j] == normalised[f, j]
            part = (weights[f] / have) * normalised[f, j] * multiplier[j] if known else 0.0
            contribution[f, j] = part if scored else np.nan
            value[j] += part


@njit
def composite_rows(
    raw: Floats, eligible: Flags, signs: Floats, weights: Floats, mode: int, winsor: float, least: float, multiplier: Floats
) -> Floats:
    """``(K, N)`` composite of every row of ``raw`` ``(F, K, N)``; ``eligible`` and ``multiplier`` ``(K, N)``, ``weights``
    ``(K, F)``. See :func:`composite_row`."""
    factors, steps, count = raw.shape
    normalised, contribution = np.empty((factors, count)), np.empty((factors, count))
    coverage = np.empty(count)
    out = np.empty((steps, count))
    for k in range(steps):
        composite_row(
            raw, k, eligible[k], signs, weights[k], mode, winsor, least, multiplier[k], normalised, contribution, coverage, out[k]
        )  # fmt: skip
    return out


@njit
def known_counts(raw: Floats, eligible: Flags) -> Ints:
    """``(K, F)`` for how many of the eligible names ``(K, N)`` each factor of ``raw`` ``(F, K, N)`` has a finite value."""
    factors, steps, count = raw.shape
    out = np.zeros((steps, factors), np.int64)
    for f in range(factors):
        for k in range(steps):
            for j in range(count):
                if eligible[k, j] and np.isfinite(raw[f, k, j]):
                    out[k, f] += 1
    return out


def too_thin(known: Ints, eligible: Flags, reads_facts: Flags, least: float) -> Flags:
    """``(K, F)`` whether a factor is left out of a session: it reads facts ``(F,)``, and less than ``least`` of the names know them.

    A fact that nobody has yet and one that the store does not hold thus decide alike: what is stored later changes no earlier session.
    Factors of prices are exempt: while they warm up nobody has a score.
    """
    names = eligible.sum(axis=1)
    share = known / np.maximum(names, 1)[:, None]
    thin: Flags = (names > 0)[:, None] & reads_facts & (share < least)
    return thin
