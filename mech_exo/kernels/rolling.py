"""Rolling statistics of ``(T, N)`` arrays, one series per column, rows in time order.

Every function comes as ``..._rows(…, rows, …) -> (K, N)``: the values at the ``K`` strictly increasing rows asked for; the
function without the suffix asks for all of them, so both are equal bit for bit. Row ``t`` depends on rows ``0..t`` alone.

NaN rule: a missing value gives NaN in its own row. It does not spoil later rows: recursive functions step over it, returns
are taken between consecutive observed values, windows count what they hold. A series that begins late seeds at its own first value.

Sums over windows: :mod:`mech_exo.kernels.windows`. Threads share the columns (:mod:`mech_exo.kernels.threads`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.selection import median
from mech_exo.kernels.threads import columns, share

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.int8]

BLOCK = 512


@njit
def least_observations(window: int) -> int:
    """Observations a window must hold: 80 % of ``window``, rounded up, at least 2."""
    return max(2, (4 * window + 4) // 5)


def returns(values: Floats) -> Floats:
    """``(T, N)`` simple returns between consecutive observed values of each column; NaN where missing or first."""
    return columns(_returns, (values.shape[0], values.shape[1]), values)


@njit
def _returns(values: Floats, out: Floats, lo: int, hi: int) -> None:
    last = np.full(hi - lo, np.nan)
    for t in range(len(values)):
        row, result = values[t, lo:hi], out[t, lo:hi]
        for j in range(hi - lo):
            value = row[j]
            result[j] = value / last[j] - 1.0
            last[j] = value if value == value else last[j]


def product_median_reaches_rows(left: Floats, right: Floats, rows: Ints, window: int, least: int, bar: float) -> Flags:
    """``(K, N)`` int8: 1 where the median of ``left * right`` over the last ``window`` rows is at least ``bar``, 0 where it
    is less, -1 where fewer than ``least`` products exist.

    Counting decides all but the rare half-and-half windows, whose median is then taken.
    """
    out = np.empty((len(rows), left.shape[1]), np.int8)
    share(left.shape[1], lambda lo, hi: _product_median_reaches(left, right, rows, window, least, bar, out, lo, hi))
    return out


@njit
def _product_median_reaches(
    left: Floats, right: Floats, rows: Ints, window: int, least: int, bar: float, out: Flags, lo: int, hi: int
) -> None:  # fmt: skip
    buffer = np.empty(window)
    for first in range(lo, hi, BLOCK):
        width = min(BLOCK, hi - first)
        reach, seen = np.empty(width), np.empty(width)
        for k in range(len(rows)):
            start, stop = max(rows[k] - window + 1, 0), rows[k] + 1
            reach[:] = 0.0
            seen[:] = 0.0
            for t in range(start, stop):
                for i in range(width):
                    value = left[t, first + i] * right[t, first + i]
                    reach[i] += 1.0 if value >= bar else 0.0
                    seen[i] += 1.0 if value == value else 0.0
            for i in range(width):
                if seen[i] < max(least, 1):
                    out[k, first + i] = -1
                elif 2.0 * reach[i] != seen[i]:
                    out[k, first + i] = 1 if 2.0 * reach[i] > seen[i] else 0
                else:
                    size = 0
                    for t in range(start, stop):
                        value = left[t, first + i] * right[t, first + i]
                        if value == value:
                            buffer[size] = value
                            size += 1
                    out[k, first + i] = 1 if median(buffer, size) >= bar else 0


def lagged_ratio_rows(values: Floats, rows: Ints, near: int, far: int) -> Floats:
    """``(K, N)`` ``values[t - near] / values[t - far] - 1``; NaN where either is missing or ``t < far``."""
    return columns(_lagged_ratio, (len(rows), values.shape[1]), values, rows, near, far)


@njit
def _lagged_ratio(values: Floats, rows: Ints, near: int, far: int, out: Floats, lo: int, hi: int) -> None:
    for k in range(len(rows)):
        result = out[k, lo:hi]
        if rows[k] < far:
            result[:] = np.nan
            continue
        new, old = values[rows[k] - near, lo:hi], values[rows[k] - far, lo:hi]
        for j in range(hi - lo):
            result[j] = new[j] / old[j] - 1.0


def rsi_rows(values: Floats, rows: Ints, window: int) -> Floats:
    """``(K, N)`` relative strength index in 0..100 of Wilder (1978), "New Concepts in Technical Trading Systems", ch. VI.

    Seeded with the plain mean of the first ``window`` changes, first value at the observation of index ``window``, as TA-Lib.
    NaN while a series has never moved (0 / 0; TA-Lib says 0 there).
    """
    return columns(_rsi, (len(rows), values.shape[1]), values, rows, window)


@njit
def _rsi(values: Floats, rows: Ints, window: int, out: Floats, lo: int, hi: int) -> None:
    """Gain and loss stand here ``window`` times as large as Wilder's averages: their ratio is the same, without a division."""
    count = hi - lo
    last, gain, loss, moves = np.full(count, np.nan), np.zeros(count), np.zeros(count), np.zeros(count)
    unread, decay = np.empty(count), (window - 1.0) / window
    k = 0
    for t in range(rows[-1] + 1 if len(rows) else 0):
        row = values[t, lo:hi]
        asked = rows[k] == t
        result = out[k, lo:hi] if asked else unread
        for j in range(count):  # selects, no branches: the compiler turns this loop into vector instructions
            value = row[j]
            change = value - last[j]
            moved = change == change
            kept = decay if moves[j] >= window else 1.0
            up = gain[j] * kept + (change if change > 0.0 else 0.0) if moved else gain[j]
            down = loss[j] * kept - (change if change < 0.0 else 0.0) if moved else loss[j]
            seen = moves[j] + (1.0 if moved else 0.0)
            gain[j], loss[j], moves[j] = up, down, seen
            last[j] = value if value == value else last[j]
            strength = 100.0 * (up / (up + down))
            result[j] = strength if (seen >= window) & (value == value) else np.nan
        k += 1 if asked else 0


def atr_rows(high: Floats, low: Floats, close: Floats, rows: Ints, window: int) -> Floats:
    """``(K, N)`` average true range of Wilder (1978), ch. IV, in the unit of the prices given.

    True range = max(high, previous close) - min(low, previous close) from the second bar on; seeded with the plain mean of the
    first ``window`` of them, first value at the bar of index ``window``, as TA-Lib. A bar lacking any of its three prices is missing.
    """
    return columns(_atr, (len(rows), close.shape[1]), high, low, close, rows, window)


@njit
def _atr(high: Floats, low: Floats, close: Floats, rows: Ints, window: int, out: Floats, lo: int, hi: int) -> None:
    """``level`` is ``window`` times as large as Wilder's average, see :func:`_rsi`."""
    count = hi - lo
    last, level, spans = np.full(count, np.nan), np.zeros(count), np.zeros(count)
    unread, decay = np.empty(count), (window - 1.0) / window
    k = 0
    for t in range(rows[-1] + 1 if len(rows) else 0):
        tops, bottoms, row = high[t, lo:hi], low[t, lo:hi], close[t, lo:hi]
        asked = rows[k] == t
        result = out[k, lo:hi] if asked else unread
        for j in range(count):  # selects, no branches: see _rsi
            top, bottom, value, before = tops[j], bottoms[j], row[j], last[j]
            known = (top == top) & (bottom == bottom) & (value == value)
            counted = known & (before == before)
            span = (top if top > before else before) - (bottom if bottom < before else before)
            kept = decay if spans[j] >= window else 1.0
            now = level[j] * kept + span if counted else level[j]
            seen = spans[j] + (1.0 if counted else 0.0)
            level[j], spans[j] = now, seen
            last[j] = value if known else before
            result[j] = now / window if known & (seen >= window) else np.nan
        k += 1 if asked else 0


def _every(values: Floats) -> Ints:
    return np.arange(values.shape[0], dtype=np.int64)


def lagged_ratio(values: Floats, near: int, far: int) -> Floats:
    """``(T, N)``: :func:`lagged_ratio_rows` at every row."""
    return lagged_ratio_rows(values, _every(values), near, far)


def rsi(values: Floats, window: int) -> Floats:
    """``(T, N)``: :func:`rsi_rows` at every row."""
    return rsi_rows(values, _every(values), window)


def atr(high: Floats, low: Floats, close: Floats, window: int) -> Floats:
    """``(T, N)``: :func:`atr_rows` at every row."""
    return atr_rows(high, low, close, _every(close), window)
