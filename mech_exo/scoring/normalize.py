"""From raw factor values of one session to contributions that sum to the score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.cross_section import clipped_zscore, rank_scale
from mech_exo.kernels.neutral import residuals
from mech_exo.kernels.threads import share
from mech_exo.utils.settings import Neutral, Normalisation, NormalisedWithin, ScoringRules

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

WORTH = 50_000
"""Values a thread is worth: half a millisecond of normalising, several times what starting it costs."""
MODES = {Normalisation.NONE: 0, Normalisation.ZSCORE: 1, Normalisation.RANK: 2}


class Method(NamedTuple):
    """``scoring:`` as the compiled functions take it. ``sectors``: how many there are; ``deviations``: NaN = clip by quantile."""

    mode: int
    winsor: float
    deviations: float
    within_sector: bool
    neutral: bool
    neutral_sector: bool
    least_names: int
    sectors: int
    coverage: float

    @classmethod
    def of(cls, rules: ScoringRules, sectors: int) -> Method:
        """The method of ``rules`` among so many sectors."""
        deviations = np.nan if rules.winsor_mad is None else rules.winsor_mad
        within, sector = rules.within is NormalisedWithin.SECTOR, Neutral.SECTOR in rules.neutralise
        return cls(
            MODES[rules.normalisation], rules.winsor, deviations, within, bool(rules.neutralise), sector, rules.min_sector_names,
            sectors, rules.min_coverage,
        )  # fmt: skip


class Neighbours(NamedTuple):
    """What a name is compared by: ``sector`` ``(K, N)`` code, -1 = unknown; ``exposures`` ``(E, K, N)`` of the regression, NaN = unknown;
    ``weights`` ``(K, N)`` of the regression, above 0, NaN = unknown."""

    sector: Ints
    exposures: Floats
    weights: Floats


@njit
def normalise_row(values: Floats, eligible: Flags, sign: float, method: Method, near: Neighbours, k: int) -> Floats:
    """``(N,)`` values of session ``k`` among the eligible names on one scale, times ``sign``; NaN where not eligible or no finite value.

    Mode 1: z-score (ddof 0) of the clipped values; mode 2: average ranks over [-1, 1]; mode 0: the value itself. Within sectors, each by
    itself: a name of unknown sector, or in a sector where fewer than ``least_names`` have a value, has no opinion. Neutralised, the result
    is regressed on the exposures (:func:`mech_exo.kernels.neutral.residuals`) and what is left is brought to the scale again, unclipped.
    """
    kept = np.empty(len(values))
    for j in range(len(values)):
        kept[j] = values[j] if eligible[j] and np.isfinite(values[j]) else np.nan
    kept = _scaled(kept, method, near.sector[k], True)
    if method.neutral:
        group = near.sector[k] if method.neutral_sector else np.zeros(len(values), np.int64)
        groups, least = (method.sectors, method.least_names) if method.neutral_sector else (1, 1)
        kept = residuals(kept, group, groups, least, near.exposures[:, k], near.weights[k])
        kept = _scaled(kept, method, near.sector[k], False)
    return sign * kept


@njit
def _scaled(values: Floats, method: Method, sector: Ints, clip: bool) -> Floats:
    if not method.within_sector:
        return _one_scale(values, method, clip)
    out = np.full(len(values), np.nan)
    for g in range(method.sectors):
        place = np.flatnonzero((sector == g) & np.isfinite(values))
        if len(place) >= method.least_names:
            own = _one_scale(values[place], method, clip)
            for i in range(len(place)):
                out[place[i]] = own[i]
    return out


@njit
def _one_scale(values: Floats, method: Method, clip: bool) -> Floats:
    if method.mode == 1:
        return clipped_zscore(values, method.winsor if clip else 0.0, method.deviations if clip else np.nan)
    return rank_scale(values) if method.mode == 2 else values


@njit
def composite_row(
    raw: Floats, k: int, eligible: Flags, signs: Floats, weights: Floats, method: Method, near: Neighbours, multiplier: Floats,
    normalised: Floats, contribution: Floats, coverage: Floats, value: Floats,
) -> None:  # fmt: skip
    """Score row ``k`` of ``raw`` ``(F, K, N)`` into ``normalised``, ``contribution`` ``(F, N)``, ``coverage``, ``value`` ``(N,)``.

    ``weights`` ``(F,)`` are those of the session; 0 = does not count in it. A name's weights are divided by the sum of those it has
    values for; a name that has less than the least coverage of all weights gets NaN. ``contribution = weight × normalised × multiplier``
    and ``value`` is their sum in the order of the factors, starting from the first, so a lone factor is handed on unchanged.
    """
    factors, count = normalised.shape
    total, have = 0.0, np.zeros(count)
    for f in range(factors):
        total += weights[f]
        normalised[f] = normalise_row(raw[f, k], eligible, signs[f], method, near, k)
        for j in range(count):
            have[j] += weights[f] if normalised[f, j] == normalised[f, j] else 0.0
    for j in range(count):
        coverage[j] = have[j] / total if eligible[j] and total > 0.0 else np.nan
        value[j] = 0.0 if have[j] > 0.0 and coverage[j] >= method.coverage else np.nan
    for f in range(factors):
        for j in range(count):
            part = (weights[f] / have[j]) * normalised[f, j] * multiplier[j]
            contribution[f, j] = (part if part == part else 0.0) if value[j] == value[j] else np.nan
            value[j] += contribution[f, j]


@njit
def _composites(
    raw: Floats, eligible: Flags, signs: Floats, weights: Floats, method: Method, near: Neighbours, multiplier: Floats, out: Floats,
    first: int, last: int,
) -> None:  # fmt: skip
    factors, _, count = raw.shape
    normalised, contribution = np.empty((factors, count)), np.empty((factors, count))
    coverage = np.empty(count)
    for k in range(first, last):
        composite_row(
            raw, k, eligible[k], signs, weights[k], method, near, multiplier[k], normalised, contribution, coverage, out[k]
        )  # fmt: skip


def composite_rows(
    raw: Floats, eligible: Flags, signs: Floats, weights: Floats, method: Method, near: Neighbours, multiplier: Floats
) -> Floats:
    """``(K, N)`` composite of every row of ``raw`` ``(F, K, N)``; ``eligible`` and ``multiplier`` ``(K, N)``, ``weights`` ``(K, F)``.

    See :func:`composite_row`; threads share the rows, which changes no bit.
    """
    out = np.empty(eligible.shape)
    least = WORTH // max(raw[:, :1].size, 1)
    share(len(out), lambda a, b: _composites(raw, eligible, signs, weights, method, near, multiplier, out, a, b), least)
    return out


def known_counts(raw: Floats, eligible: Flags) -> Ints:
    """``(K, F)`` for how many of the eligible names ``(K, N)`` each factor of ``raw`` ``(F, K, N)`` has a finite value."""
    out = np.zeros((len(eligible), len(raw)), np.int64)
    share(len(out), lambda first, last: _count(raw, eligible, out, first, last), WORTH // max(raw[:, :1].size, 1))
    return out


@njit
def _count(raw: Floats, eligible: Flags, out: Ints, first: int, last: int) -> None:
    for f in range(len(raw)):
        for k in range(first, last):
            known = 0
            for j in range(eligible.shape[1]):
                known += eligible[k, j] and np.isfinite(raw[f, k, j])
            out[k, f] = known


def too_thin(known: Ints, eligible: Flags, reads_facts: Flags, least: float) -> Flags:
    """``(K, F)`` whether a factor is left out of a session: it reads facts ``(F,)``, and less than ``least`` of the names know them.

    A fact that nobody has yet and one that the store does not hold thus decide alike: what is stored later changes no earlier session.
    Factors of prices are exempt: while they warm up nobody has a score.
    """
    names = eligible.sum(axis=1)
    share = known / np.maximum(names, 1)[:, None]
    thin: Flags = (names > 0)[:, None] & reads_facts & (share < least)
    return thin
