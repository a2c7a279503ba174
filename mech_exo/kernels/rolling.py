"""Rolling statistics of ``(T, N)`` arrays, one series per column, rows in time order.

Every function comes as ``..._rows(…, rows, …) -> (K, N)``: the values at the ``K`` strictly increasing rows asked for; the
function without the suffix asks for all of them, so both are equal bit for bit. Row ``t`` depends on rows ``0..t`` alone.

NaN rule: a missing value gives NaN in its own row. It does not spoil later rows: recursive functions step over it, returns
are taken between consecutive observed values, windows count what they hold. A series that begins late seeds at its own first value.

Windowed functions sum each window anew, oldest row first: a running sum would be quicker for dense rows, but its last bits
would depend on where it began. Columns go in blocks whose scratch fits the second-level cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.selection import median

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.int8]

BLOCK = 512


@njit
def least_observations(window: int) -> int:
    """Observations a window must hold: 80 % of ``window``, rounded up, at least 2."""
    return max(2, (4 * window + 4) // 5)


@njit
def returns(values: Floats) -> Floats:
    """``(T, N)`` simple returns between consecutive observed values of each column; NaN where missing or first."""
    steps, count = values.shape
    out = np.empty((steps, count))
    last = np.full(count, np.nan)
    for t in range(steps):
        for j in range(count):
            value = values[t, j]
            out[t, j] = value / last[j] - 1.0
            last[j] = value if value == value else last[j]
    return out


@njit
def _last_observed(values: Floats, row: int, first: int, out: Floats) -> None:
    """``out[i]`` = last observed value of column ``first + i`` before ``row``, NaN where there is none."""
    for i in range(len(out)):
        out[i] = np.nan
        for t in range(row - 1, -1, -1):
            value = values[t, first + i]
            if value == value:
                out[i] = value
                break


@njit
def volatility_rows(values: Floats, rows: Ints, window: int) -> Floats:
    """``(K, N)`` standard deviation (ddof 1, per session, not annualised) of the returns in the last ``window`` rows.

    Returns are those of :func:`returns`. NaN where the row itself is missing or fewer than 80 % of the window's returns exist.
    """
    count = values.shape[1]
    out = np.empty((len(rows), count))
    least = least_observations(window)
    for first in range(0, count, BLOCK):
        width = min(BLOCK, count - first)
        ring = np.empty((window, width))  # return of row t at t % window
        last = np.empty(width)
        mean, squares, seen = np.empty(width), np.empty(width), np.empty(width)
        done = -1  # newest row in the ring
        for k in range(len(rows)):
            row = rows[k]
            start = max(row - window + 1, 0)
            if start > done + 1 or done < 0:
                _last_observed(values, start, first, last)
                done = start - 1
            for t in range(done + 1, row + 1):
                slot = ring[t % window]
                for i in range(width):
                    value = values[t, first + i]
                    slot[i] = value / last[i] - 1.0
                    last[i] = value if value == value else last[i]
            done = row
            mean[:] = 0.0
            squares[:] = 0.0
            seen[:] = 0.0
            for t in range(start, row + 1):
                slot = ring[t % window]
                for i in range(width):
                    known = slot[i] == slot[i]
                    mean[i] += slot[i] if known else 0.0
                    seen[i] += 1.0 if known else 0.0
            for i in range(width):
                mean[i] /= seen[i]
            for t in range(start, row + 1):
                slot = ring[t % window]
                for i in range(width):
                    away = slot[i] - mean[i]
                    squares[i] += away * away if away == away else 0.0
            newest = ring[row % window]
            for i in range(width):
                known = seen[i] >= least and newest[i] == newest[i]
                out[k, first + i] = np.sqrt(squares[i] / (seen[i] - 1.0)) if known else np.nan
    return out


@njit
def mean_rows(values: Floats, rows: Ints, window: int, least: int) -> Floats:
    """``(K, N)`` mean of the values in the last ``window`` rows; NaN where the row is missing or fewer than ``least`` exist."""
    count = values.shape[1]
    out = np.empty((len(rows), count))
    for first in range(0, count, BLOCK):
        width = min(BLOCK, count - first)
        total, seen = np.empty(width), np.empty(width)
        for k in range(len(rows)):
            row = rows[k]
            total[:] = 0.0
            seen[:] = 0.0
            for t in range(max(row - window + 1, 0), row + 1):
                for i in range(width):
                    value = values[t, first + i]
                    total[i] += value if value == value else 0.0
                    seen[i] += 1.0 if value == value else 0.0
            for i in range(width):
                value = values[row, first + i]
                known = seen[i] >= least and value == value
                out[k, first + i] = total[i] / seen[i] if known else np.nan
    return out


@njit
def median_rows(values: Floats, rows: Ints, window: int, least: int) -> Floats:
    """``(K, N)`` median of the values in the last ``window`` rows; NaN where the row is missing or fewer than ``least`` exist."""
    count = values.shape[1]
    out = np.full((len(rows), count), np.nan)
    tile = np.empty((64, window))
    seen = np.empty(64, np.int64)
    for first in range(0, count, 64):
        width = min(64, count - first)
        for k in range(len(rows)):
            row = rows[k]
            seen[:] = 0
            for t in range(max(row - window + 1, 0), row + 1):
                for i in range(width):
                    value = values[t, first + i]
                    if value == value:
                        tile[i, seen[i]] = value
                        seen[i] += 1
            for i in range(width):
                value = values[row, first + i]
                if value == value and seen[i] >= max(least, 1):
                    out[k, first + i] = median(tile[i], seen[i])
    return out


@njit
def product_median_reaches_rows(left: Floats, right: Floats, rows: Ints, window: int, least: int, bar: float) -> Flags:
    """``(K, N)`` int8: 1 where the median of ``left * right`` over the last ``window`` rows is at least ``bar``, 0 where it
    is less, -1 where fewer than ``least`` products exist.

    Counting decides all but the rare half-and-half windows, whose median is then taken as :func:`median_rows` takes it.
    """
    count = left.shape[1]
    out = np.empty((len(rows), count), np.int8)
    buffer = np.empty(window)
    for first in range(0, count, BLOCK):
        width = min(BLOCK, count - first)
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
    return out


@njit
def lagged_ratio_rows(values: Floats, rows: Ints, near: int, far: int) -> Floats:
    """``(K, N)`` ``values[t - near] / values[t - far] - 1``; NaN where either is missing or ``t < far``."""
    count = values.shape[1]
    out = np.full((len(rows), count), np.nan)
    for k in range(len(rows)):
        if rows[k] >= far:
            for j in range(count):
                out[k, j] = values[rows[k] - near, j] / values[rows[k] - far, j] - 1.0
    return out


@njit
def rsi_rows(values: Floats, rows: Ints, window: int) -> Floats:
    """``(K, N)`` relative strength index in 0..100 of Wilder (1978), "New Concepts in Technical Trading Systems", ch. VI.

    Seeded with the plain mean of the first ``window`` changes, first value at the observation of index ``window``, as TA-Lib.
    NaN while a series has never moved (0 / 0; TA-Lib says 0 there).
    """
    count = values.shape[1]
    out = np.empty((len(rows), count))
    last, gain, loss, moves = np.full(count, np.nan), np.zeros(count), np.zeros(count), np.zeros(count)
    k = 0
    for t in range(rows[-1] + 1 if len(rows) else 0):
        row = values[t]
        for j in range(count):  # selects, no branches: the compiler turns this loop into vector instructions
            change = row[j] - last[j]
            moved = change == change
            kept = 1.0 if moves[j] < window else window - 1.0
            moves[j] += 1.0 if moved else 0.0
            share = float(window) if moves[j] >= window else 1.0
            gain[j] = (gain[j] * kept + max(change, 0.0)) / share if moved else gain[j]
            loss[j] = (loss[j] * kept + max(-change, 0.0)) / share if moved else loss[j]
            last[j] = row[j] if row[j] == row[j] else last[j]
        if rows[k] == t:
            for j in range(count):
                total = gain[j] + loss[j]
                known = row[j] == row[j] and moves[j] >= window and total > 0.0
                out[k, j] = 100.0 * (gain[j] / total) if known else np.nan
            k += 1
    return out


@njit
def atr_rows(high: Floats, low: Floats, close: Floats, rows: Ints, window: int) -> Floats:
    """``(K, N)`` average true range of Wilder (1978), ch. IV, in the unit of the prices given.

    True range = max(high, previous close) - min(low, previous close) from the second bar on; seeded with the plain mean of the
    first ``window`` of them, first value at the bar of index ``window``, as TA-Lib. A bar lacking any of its three prices is missing.
    """
    count = close.shape[1]
    out = np.empty((len(rows), count))
    last, level, spans = np.full(count, np.nan), np.zeros(count), np.zeros(count)
    k = 0
    for t in range(rows[-1] + 1 if len(rows) else 0):
        top, bottom, row = high[t], low[t], close[t]
        for j in range(count):  # selects, no branches: see rsi_rows
            known = top[j] == top[j] and bottom[j] == bottom[j] and row[j] == row[j]
            counted = known and last[j] == last[j]
            span = max(top[j], last[j]) - min(bottom[j], last[j])
            kept = 1.0 if spans[j] < window else window - 1.0
            spans[j] += 1.0 if counted else 0.0
            share = float(window) if spans[j] >= window else 1.0
            level[j] = (level[j] * kept + span) / share if counted else level[j]
            last[j] = row[j] if known else last[j]
        if rows[k] == t:
            for j in range(count):
                known = top[j] == top[j] and bottom[j] == bottom[j] and row[j] == row[j]
                out[k, j] = level[j] if known and spans[j] >= window else np.nan
            k += 1
    return out


def _every(values: Floats) -> Ints:
    return np.arange(values.shape[0], dtype=np.int64)


def volatility(values: Floats, window: int) -> Floats:
    """``(T, N)``: :func:`volatility_rows` at every row."""
    return volatility_rows(values, _every(values), window)


def rolling_mean(values: Floats, window: int, least: int) -> Floats:
    """``(T, N)``: :func:`mean_rows` at every row."""
    return mean_rows(values, _every(values), window, least)


def rolling_median(values: Floats, window: int, least: int) -> Floats:
    """``(T, N)``: :func:`median_rows` at every row."""
    return median_rows(values, _every(values), window, least)


def lagged_ratio(values: Floats, near: int, far: int) -> Floats:
    """``(T, N)``: :func:`lagged_ratio_rows` at every row."""
    return lagged_ratio_rows(values, _every(values), near, far)


def rsi(values: Floats, window: int) -> Floats:
    """``(T, N)``: :func:`rsi_rows` at every row."""
    return rsi_rows(values, _every(values), window)


def atr(high: Floats, low: Floats, close: Floats, window: int) -> Floats:
    """``(T, N)``: :func:`atr_rows` at every row."""
    return atr_rows(high, low, close, _every(close), window)
