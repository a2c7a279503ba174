"""Figures of many return series at once, and of many resamples of one.

Series stand in the columns of ``(T, K)`` arrays, sessions in the rows. A block of columns advances together, so that one instruction
works on several series; a column's figures depend on that column alone, hence not on its neighbours, the block or the thread.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import inlined, njit
from mech_exo.kernels.costs import square_root_impact
from mech_exo.kernels.records import Bars, CostParams, Floats, Ints

YEAR = 252.0
NOISE = 1e-14
"""Standard deviations at or below this are rounding: :data:`mech_exo.performance.ratios.NOISE` (tested to be the same)."""
COLUMNS = 256
"""Series that advance together: their state fits the first-level cache (24 kB), and a row of them is long enough to be fetched ahead."""
DOUBT = 1e-3
"""A window's sum of squares below this part of what has passed through it has lost digits: the window is summed anew."""
# Rows of a block's state.
FIRST, SUM, SQUARES, SHORTFALL, VALUE, PEAK, FALL, BASE, MOVING, MOVING_SQUARES, LARGEST, MISSING = range(12)


@njit
def series_statistics(returns: Floats, first: int, stop: int, window: int, rate: float, totals: Floats, rolling: Floats) -> None:
    """Fill columns ``first`` to ``stop`` of ``totals`` ``(5, K)`` and ``rolling`` ``(T, K)`` from ``returns`` ``(T, K)``, T >= 2.

    ``totals``: Sharpe, Sortino, maximum drawdown, CAGR, Calmar; ``rolling``: the Sharpe ratio of the last ``window`` sessions; ``rate`` is
    the risk-free rate of one session. Formulas and NaN rules of ``performance.ratios``, ``drawdowns`` and ``periods``. Sums are taken of
    differences from a value near the mean, so that few digits cancel; windows slide, and are summed anew where too many would.
    """
    state = np.empty((12, COLUMNS))
    for begin in range(first, stop, COLUMNS):
        width = min(COLUMNS, stop - begin)
        state[:] = 0.0
        for j in range(width):
            x = returns[0, begin + j]
            state[FIRST, j] = state[BASE, j] = x if x - x == 0.0 else 0.0
            state[VALUE, j] = state[PEAK, j] = 1.0
        for t in range(len(returns)):
            _advance(returns, t, begin, width, rate, state)
            if 2 <= window <= len(returns):
                _slide(returns, t, begin, width, window, rate, state, rolling)
            else:
                rolling[t, begin : begin + width] = np.nan
        _conclude(len(returns), begin, width, rate, state, totals)


@inlined
def _advance(returns: Floats, t: int, begin: int, width: int, rate: float, state: Floats) -> None:
    """One session of the whole-period sums."""
    for j in range(width):
        x = returns[t, begin + j]
        apart = x - state[FIRST, j]
        state[SUM, j] += apart
        state[SQUARES, j] += apart * apart
        below = x - rate
        below = below if below < 0.0 else 0.0
        state[SHORTFALL, j] += below * below
        value = state[VALUE, j] * (1.0 + x)
        peak = state[PEAK, j]
        peak = value if value > peak else peak
        fall = 1.0 - value / peak
        state[VALUE, j] = value
        state[PEAK, j] = peak
        state[FALL, j] = fall if fall > state[FALL, j] else state[FALL, j]


@inlined
def _slide(returns: Floats, t: int, begin: int, width: int, window: int, rate: float, state: Floats, rolling: Floats) -> None:
    """Take session ``t`` into the windows, the one before them out, and write their Sharpe ratios."""
    leaving = t >= window
    for j in range(width):
        x = returns[t, begin + j]
        y = returns[max(t - window, 0), begin + j]
        y = y if leaving else state[BASE, j]
        known, gone = x - x == 0.0, y - y == 0.0
        x = (x if known else state[BASE, j]) - state[BASE, j]
        y = (y if gone else state[BASE, j]) - state[BASE, j]
        squares = state[MOVING_SQUARES, j] + (x * x - y * y)
        state[MOVING, j] += x - y
        state[MOVING_SQUARES, j] = squares
        state[LARGEST, j] = squares if squares > state[LARGEST, j] else state[LARGEST, j]
        state[MISSING, j] += (0.0 if known else 1.0) - (0.0 if gone else 1.0)
    if t < window - 1:
        rolling[t, begin : begin + width] = np.nan
        return
    part, least, scale = 1.0 / window, NOISE * NOISE * (window - 1), math.sqrt(YEAR * (window - 1))
    doubtful = 0
    for j in range(width):
        moving = state[MOVING, j]
        squares = state[MOVING_SQUARES, j] - moving * moving * part
        doubtful |= 1 if squares < DOUBT * state[LARGEST, j] else 0
        spread = math.sqrt(squares)
        spread = spread if (squares > least) & (state[MISSING, j] == 0.0) else math.nan
        rolling[t, begin + j] = (moving * part + state[BASE, j] - rate) * scale / spread
    if doubtful:
        for j in range(width):
            squares = state[MOVING_SQUARES, j] - state[MOVING, j] * state[MOVING, j] * part
            if squares < DOUBT * state[LARGEST, j]:
                rolling[t, begin + j] = _anew(returns[t - window + 1 : t + 1, begin + j], rate, state[:, j])


@njit
def _anew(values: Floats, rate: float, state: Floats) -> float:
    """The Sharpe ratio of one window by two passes; its sums begin afresh, as differences from its mean."""
    count, mean = 0, 0.0
    for x in values:
        if x - x == 0.0:
            count += 1
            mean += x
    mean = mean / count if count else 0.0
    moving, squares = 0.0, 0.0
    for x in values:
        if x - x == 0.0:
            moving += x - mean
            squares += (x - mean) * (x - mean)
    state[BASE], state[MOVING], state[MOVING_SQUARES], state[LARGEST] = mean, moving, squares, squares
    spread = math.sqrt(squares / (len(values) - 1))
    return (mean - rate) * math.sqrt(YEAR) / spread if count == len(values) and spread > NOISE else math.nan


@njit
def _conclude(count: int, begin: int, width: int, rate: float, state: Floats, totals: Floats) -> None:
    """The five figures of the whole period from its sums."""
    for j in range(width):
        total, value = state[SUM, j], state[VALUE, j]
        mean = total / count + state[FIRST, j] - rate
        spread = math.sqrt(max(0.0, state[SQUARES, j] - total * total / count) / (count - 1))
        downside = math.sqrt(state[SHORTFALL, j] / count)
        fall = state[FALL, j] if value == value else math.nan
        growth = value ** (YEAR / count) - 1.0
        totals[0, begin + j] = mean / spread * math.sqrt(YEAR) if spread > NOISE else math.nan
        totals[1, begin + j] = mean / downside * math.sqrt(YEAR) if downside > NOISE else math.nan
        totals[2, begin + j] = fall
        totals[3, begin + j] = growth
        totals[4, begin + j] = growth / fall if fall > 0.0 else math.nan


@njit
def resampled_drawdowns(returns: Floats, rows: Ints) -> Floats:
    """``(D,)`` maximum drawdown, a positive fraction, of ``returns`` ``(T,)`` taken in the order of each row of ``rows`` ``(D, L)``."""
    out = np.empty(len(rows))
    for d in range(len(rows)):
        value, peak, deepest = 1.0, 1.0, 1.0
        for row in rows[d]:
            value *= 1.0 + returns[row]
            peak = max(peak, value)
            deepest = min(deepest, value / peak)
        out[d] = 1.0 - deepest
    return out


@njit
def resampled_sums(part: Floats, whole: Floats, rows: Ints) -> Floats:
    """``(D, 2)`` sums of ``part`` and ``whole`` ``(T,)`` over each row of ``rows`` ``(D, L)``."""
    out = np.zeros((len(rows), 2))
    for d in range(len(rows)):
        for row in rows[d]:
            out[d, 0] += part[row]
            out[d, 1] += whole[row]
    return out


@njit
def fill_impacts(rows: Ints, symbols: Ints, shares: Floats, bars: Bars, costs: CostParams) -> Floats:
    """``(M,)`` :func:`mech_exo.kernels.costs.square_root_impact` of fills: session row, symbol and signed shares ``(M,)``; NaN unknown."""
    out = np.empty(len(rows))
    for i in range(len(rows)):
        out[i] = square_root_impact(rows[i], symbols[i], abs(shares[i]), bars, costs)
    return out
