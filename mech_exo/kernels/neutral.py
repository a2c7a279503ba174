"""What a cross-section says beyond sector, size and beta: residuals of a weighted least-squares regression of one session.

Sums do not depend on the order of the names (:func:`mech_exo.kernels.summation.steady_sum`), so a permutation of the names permutes the
residuals bit for bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.summation import steady_sum

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SAME = 1e-12
"""Share of its sum of squares below which a regressor is constant, or a combination of the others, but for rounding."""


@njit
def residuals(values: Floats, group: Ints, groups: int, least: int, exposures: Floats, weights: Floats) -> Floats:
    """``(N,)`` residuals of ``values`` on an intercept for each group and the ``exposures`` ``(E, N)``, with ``weights`` ``(N,)`` > 0.

    By Frisch & Waugh (1933), "Partial Time Regressions as Compared with Individual Trends", Econometrica 1(4): groups by subtracting
    their weighted means, exposures one after the other by Gram-Schmidt. NaN, and no part in the regression, for a name that lacks its
    value, group (-1), weight or one of the exposures, or whose group has fewer than ``least`` such names. An exposure that is constant
    within the groups, a combination of those before it, or one that would leave no degree of freedom is dropped. Where the exposures
    explain everything but for rounding, nobody has a residual.
    """
    count, kinds = len(values), len(exposures)
    inside = np.zeros(count, np.bool_)
    sizes = np.zeros(groups, np.int64)
    for j in range(count):
        whole = np.isfinite(values[j]) and group[j] >= 0 and np.isfinite(weights[j])
        for e in range(kinds):
            whole = whole and np.isfinite(exposures[e, j])
        inside[j] = whole
        if whole:
            sizes[group[j]] += 1
    names, used = 0, 0
    for g in range(groups):
        if sizes[g] >= least:
            names += sizes[g]
            used += 1
    for j in range(count):
        inside[j] = inside[j] and sizes[group[j]] >= least
    out = np.full(count, np.nan)
    place = np.flatnonzero(inside)
    if names == 0:
        return out
    weight, own = weights[place], group[place]
    columns = np.empty((kinds, names))
    kept = 0
    rest = _centred(values[place], weight, own, groups)
    before = steady_sum(weight * rest * rest)
    for e in range(kinds):
        plain = exposures[e][place]
        scale = steady_sum(weight * plain * plain)
        column = _centred(plain, weight, own, groups)
        for c in range(kept):
            column = column - _slope(column, columns[c], weight) * columns[c]
        if names <= used + kept + 1 or steady_sum(weight * column * column) <= SAME * scale:
            continue
        columns[kept] = column
        rest = rest - _slope(rest, column, weight) * column
        kept += 1
    if not steady_sum(weight * rest * rest) > SAME * before:
        return out
    for i in range(names):
        out[place[i]] = rest[i]
    return out


@njit
def _slope(values: Floats, on: Floats, weight: Floats) -> float:
    return float(steady_sum(weight * values * on) / steady_sum(weight * on * on))


@njit
def _centred(values: Floats, weight: Floats, group: Ints, groups: int) -> Floats:
    """Values less the weighted mean of their group."""
    out = np.empty(len(values))
    for g in range(groups):
        place = np.flatnonzero(group == g)
        if len(place) > 0:
            mean = steady_sum(weight[place] * values[place]) / steady_sum(weight[place])
            for i in place:
                out[i] = values[i] - mean
    return out
