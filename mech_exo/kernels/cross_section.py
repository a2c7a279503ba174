"""Statistics of one row of ``N`` numbers. NaN and ±inf mean "no value"; they get NaN back and touch nobody else.

Sums run over the sorted values, so a permutation of the names permutes the results bit for bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.selection import select

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit
def ordered(values: Floats) -> Floats:
    """The finite values, ascending."""
    kept = np.empty(len(values))
    n = 0
    for value in values:
        if np.isfinite(value):
            kept[n] = value
            n += 1
    return np.sort(kept[:n])


@njit
def quantile(ascending: Floats, share: float) -> float:
    """Quantile of sorted values, linear between neighbours, as ``numpy.quantile`` (Hyndman & Fan 1996, type 7). At least one value."""
    place = share * (len(ascending) - 1)
    below = int(np.floor(place))
    above = min(below + 1, len(ascending) - 1)
    part = place - below
    step = ascending[above] - ascending[below]
    if part >= 0.5:
        return float(ascending[above] - step * (1.0 - part))
    return float(ascending[below] + step * part)


@njit
def zscore(values: Floats) -> Floats:
    """``(N,)`` (value - mean) / standard deviation (ddof 0).

    A row that tells nobody apart (one value, or all equal) gives NaN to all: it has no opinion, and 0 would be one.
    """
    return _standardised(values, ordered(values), -np.inf, np.inf)


@njit
def _standardised(values: Floats, ascending: Floats, low: float, high: float) -> Floats:
    """Values clipped to ``low`` and ``high``, less the mean of ``ascending`` (those very values, sorted), over its standard deviation."""
    n = len(ascending)
    out = np.full(len(values), np.nan)
    if n < 2 or ascending[0] == ascending[n - 1]:
        return out
    mean = 0.0
    for value in ascending:
        mean += value
    mean /= n
    squares = 0.0
    for value in ascending:
        squares += (value - mean) * (value - mean)
    spread = np.sqrt(squares / n)
    if not (spread > 0.0 and np.isfinite(spread)):
        return out
    for j in range(len(values)):
        if np.isfinite(values[j]):
            out[j] = (min(max(values[j], low), high) - mean) / spread
    return out


@njit
def clip_limits(ascending: Floats, share: float, deviations: float) -> tuple[float, float]:
    """Where sorted values are clipped: at the quantiles ``share`` and ``1 - share``; or, where ``deviations`` is not NaN, so many times the
    median absolute deviation from the median, × 1.4826 to be a standard deviation under normality (Hampel 1974, "The Influence Curve and
    Its Role in Robust Estimation", JASA 69). Where more than half the values are equal that deviation is 0 and nothing is clipped.
    """
    if deviations == deviations:
        median = quantile(ascending, 0.5)
        spread = 1.4826 * quantile(np.sort(np.abs(ascending - median)), 0.5)
        if spread > 0.0:
            return median - deviations * spread, median + deviations * spread
        return -np.inf, np.inf
    if share > 0.0:
        return quantile(ascending, share), quantile(ascending, 1.0 - share)
    return -np.inf, np.inf


@njit
def clipped_zscore(values: Floats, share: float, deviations: float) -> Floats:
    """:func:`zscore` of the values clipped at :func:`clip_limits`; sorted once, for clipping keeps the order."""
    ascending = ordered(values)
    if len(ascending) == 0:
        return np.full(len(values), np.nan)
    low, high = clip_limits(ascending, share, deviations)
    for i in range(len(ascending)):
        ascending[i] = min(max(ascending[i], low), high)
    return _standardised(values, ascending, low, high)


@njit
def steady_sum(terms: Floats) -> float:
    """Sum of finite terms that does not depend on their order.

    Each is split into a multiple of a unit so large that sums of such multiples are never rounded, and a rest, split likewise
    (ExtractVector of Rump, Ogita & Oishi 2008, "Accurate Floating-Point Summation Part I", SIAM Journal on Scientific Computing 31(1));
    what is left is below 2^-80 of the largest term.
    """
    largest = 0.0
    for term in terms:
        largest = max(largest, abs(term))
    if largest == 0.0:
        return 0.0
    room = math.frexp(len(terms) + 2.0)[1]
    unit = math.ldexp(1.0, room + math.frexp(largest)[1])
    rest = math.ldexp(unit, room - 53)
    coarse, fine = 0.0, 0.0
    for term in terms:
        step = (unit + term) - unit
        coarse += step
        fine += (rest + (term - step)) - rest
    return coarse + fine


@njit
def rank_scale(values: Floats) -> Floats:
    """``(N,)`` average ranks spread evenly over [-1, 1]: lowest -1, highest 1, ties share their mean. All equal or alone: NaN."""
    ascending = ordered(values)
    n = len(ascending)
    out = np.full(len(values), np.nan)
    if n < 2 or ascending[0] == ascending[n - 1]:
        return out
    for j in range(len(values)):
        if np.isfinite(values[j]):
            below = np.searchsorted(ascending, values[j], side="left")
            upto = np.searchsorted(ascending, values[j], side="right")
            out[j] = (below + upto - 1) / (n - 1) - 1.0
    return out


@njit
def percentile(values: Floats) -> Floats:
    """``(N,)`` share of the values that are not greater, in (0, 1]; ties share it."""
    ascending = ordered(values)
    out = np.full(len(values), np.nan)
    for j in range(len(values)):
        if np.isfinite(values[j]):
            out[j] = np.searchsorted(ascending, values[j], side="right") / len(ascending)
    return out


@njit
def top_ranked(values: Floats, wanted: int) -> Ints:
    """Indices of the ``wanted`` greatest values by (-value, index), best first; fewer when fewer exist. NaN is never among them.

    Only the candidates are sorted: everything above the cut, then ties at the cut in index order.
    """
    kept = np.empty(len(values))
    n = 0
    for value in values:
        if value == value:
            kept[n] = -value
            n += 1
    m = min(wanted, n)
    chosen = np.empty(max(m, 0), np.int64)
    if m <= 0:
        return chosen
    cut = -select(kept, n, m - 1)
    above = 0
    for value in values:
        if value > cut:
            above += 1
    ties = m - above
    k = 0
    for j in range(len(values)):
        if values[j] > cut or (values[j] == cut and ties > 0):
            if values[j] == cut:
                ties -= 1
            chosen[k] = j
            k += 1
    return chosen[np.argsort(-values[chosen], kind="mergesort")]


@njit
def ranks(values: Floats) -> Ints:
    """``(N,)`` 1 = greatest, ties in index order, 0 where there is no value."""
    out = np.zeros(len(values), np.int64)
    order = top_ranked(values, len(values))
    for k in range(len(order)):
        out[order[k]] = k + 1
    return out
