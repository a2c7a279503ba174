"""What kind of market it is, from the market's own returns up to a session."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit
def regime_rows(market: Floats, rows: Ints, trend: int, volatility: int, history: int) -> Ints:
    """``(K, 2)`` state of the market at ``rows``: 1 = above, -1 = below its own normal, 0 = unknown.

    First column: the index of the returns ``market`` ``(T,)`` against the mean of its last ``trend`` values, this one included (Faber
    2007, "A Quantitative Approach to Tactical Asset Allocation", Journal of Wealth Management 9(4)). Second: the standard deviation
    (ddof 1) of the last ``volatility`` returns against the median of its last ``history`` values. Sessions without a return (NaN) are
    stepped over. Unknown where there are fewer, or the two are equal.
    """
    known = np.empty(len(market))
    upto = np.zeros(len(market), np.int64)
    n = 0
    for t in range(len(market)):
        if np.isfinite(market[t]):
            known[n] = market[t]
            n += 1
        upto[t] = n
    index, spread = np.empty(n), np.full(n, np.nan)
    level = 1.0
    for i in range(n):
        level *= 1.0 + known[i]
        index[i] = level
        if i + 1 >= volatility:
            spread[i] = _deviation(known[i + 1 - volatility : i + 1])
    out = np.zeros((len(rows), 2), np.int64)
    for k in range(len(rows)):
        last = upto[rows[k]]
        if last >= trend:
            mean = 0.0
            for i in range(last - trend, last):
                mean += index[i]
            out[k, 0] = np.sign(index[last - 1] - mean / trend)
        if last >= volatility + history - 1:
            out[k, 1] = np.sign(spread[last - 1] - np.median(spread[last - history : last]))
    return out


@njit
def _deviation(values: Floats) -> float:
    mean = 0.0
    for value in values:
        mean += value
    mean /= len(values)
    squares = 0.0
    for value in values:
        squares += (value - mean) * (value - mean)
    return float(np.sqrt(squares / (len(values) - 1)))
