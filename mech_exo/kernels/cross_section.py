"""Statistics of one row of ``N`` numbers. NaN and ±inf mean "no value"; they get NaN back and touch nobody else.

Sums run over the sorted values, so a permutation of the names permutes the results bit for bit.
"""

from __future__ import annotations

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
def winsorised(values: Floats, share: float) -> Floats:
    """``(N,)`` values clipped to their quantiles ``share`` and ``1 - share``."""
    ascending = ordered(values)
    out = np.full(len(values), np.nan)
    if len(ascending) == 0:
        return out
    low, high = quantile(ascending, share), quantile(ascending, 1.0 - share)
    for j in range(len(values)):
        if np.isfinite(values[j]):
            out[j] = min(max(values[j], low), high)
    return out


@njit
def zscore(values: Floats) -> Floats:
    """``(N,)`` (value - mean) / standard deviation (ddof 0).

    A row that tells nobody apart (one value, or all equal) gives NaN to all: it has no opinion, and 0 would be one.
    """
    ascending = ordered(values)
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
            out[j] = (values[j] - mean) / spread
    return out


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
