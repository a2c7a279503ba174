"""Statistics of one row of ``N`` numbers. NaN and ±inf mean "no value"; they get NaN back and touch nobody else.

Sums do not depend on the order of the names (:func:`mech_exo.kernels.summation.steady_sum`) and order statistics cannot, so a permutation
of the names permutes the results bit for bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.selection import median, quantile, select
from mech_exo.kernels.summation import steady_sum

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit
def _finite(values: Floats) -> Floats:
    """The finite values, in their order; -0.0 as 0.0, so that equal values are equal bits."""
    kept = np.empty(len(values))
    n = 0
    for value in values:
        if np.isfinite(value):
            kept[n] = value + 0.0
            n += 1
    return kept[:n]


@njit
def ordered(values: Floats) -> Floats:
    """The finite values, ascending."""
    return np.sort(_finite(values))


@njit
def clip_limits(known: Floats, share: float, deviations: float) -> tuple[float, float]:
    """Where finite values are clipped: at the quantiles ``share`` and ``1 - share``; or, where ``deviations`` is not NaN, so many times the
    median absolute deviation from the median, × 1.4826 to be a standard deviation under normality (Hampel 1974, "The Influence Curve and
    Its Role in Robust Estimation", JASA 69). Where more than half the values are equal that deviation is 0 and nothing is clipped.
    """
    n = len(known)
    if deviations == deviations:
        buffer = known.copy()
        middle = median(buffer, n)
        spread = 1.4826 * median(np.abs(buffer - middle), n)
        if spread > 0.0:
            return middle - deviations * spread, middle + deviations * spread
        return -np.inf, np.inf
    if share > 0.0:
        buffer = known.copy()
        return quantile(buffer, n, share), quantile(buffer, n, 1.0 - share)
    return -np.inf, np.inf


@njit
def clipped_zscore(values: Floats, share: float, deviations: float) -> Floats:
    """``(N,)`` (value - mean) / standard deviation (ddof 0) of the values clipped at :func:`clip_limits`; ``share`` 0 clips nothing.

    A row that tells nobody apart (one value, or all equal) gives NaN to all: it has no opinion, and 0 would be one.
    """
    known, out = _finite(values), np.full(len(values), np.nan)
    n, differ = len(known), False
    if n == 0:
        return out
    low, high = clip_limits(known, share, deviations)
    for i in range(n):
        known[i] = min(max(known[i], low), high)
        differ |= known[i] != known[0]
    if not differ:
        return out
    mean = steady_sum(known) / n
    for i in range(n):
        known[i] = (known[i] - mean) * (known[i] - mean)
    spread = np.sqrt(steady_sum(known) / n)
    if not (spread > 0.0 and np.isfinite(spread)):
        return out
    for j in range(len(values)):
        if np.isfinite(values[j]):
            out[j] = (min(max(values[j] + 0.0, low), high) - mean) / spread
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
