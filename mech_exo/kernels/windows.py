"""Statistics of the last ``window`` rows of ``(T, N)`` arrays, one series per column: means, deviations, the market model.

The conventions are those of :mod:`mech_exo.kernels.rolling`. A window is never summed by adding the new row and subtracting the old one:
the last bits would then depend on where the sum began. The rows are cut into blocks of ``window`` rows, counted from row 0. A window
is the end of one block and the beginning of the next, so its sum is one of the ends' sums, which are made once for each block, plus one of
the beginnings'. Each takes one addition a row, whatever the window, and a row asked for alone takes the very same additions as all rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.rolling import least_observations
from mech_exo.kernels.threads import columns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TILE = 1 << 17
"""Numbers that the sums of a block's ends may take: 1 MB, of which a second-level cache holds the part at work."""
EXPLAINED = 1e-12
"""A residual sum of squares below this share of the total is rounding: the market explains everything."""


@njit
def _add(values: Floats, t: int, first: int, market: float, before: Floats, after: Floats) -> None:
    """``after = before +`` the terms of row ``t``: ``(S, width)``, in this order: count, x, x², and beside a market m, xm, m²."""
    row, whole = values[t, first : first + after.shape[1]], market == market
    count, total, count_before, total_before = after[0], after[1], before[0], before[1]
    for j in range(len(row)):  # selects, no branches: see rolling._rsi
        x = row[j]
        known = (x == x) & whole
        count[j] = count_before[j] + (1.0 if known else 0.0)
        total[j] = total_before[j] + (x if known else 0.0)
    if len(after) > 2:
        squares, squares_before = after[2], before[2]
        for j in range(len(row)):
            x = row[j]
            squares[j] = squares_before[j] + (x * x if (x == x) & whole else 0.0)
    if len(after) > 3:
        totals, both, square = after[3], after[4], market * market
        totals_before, both_before = before[3], before[4]
        for j in range(len(row)):
            x = row[j]
            known = (x == x) & whole
            totals[j] = totals_before[j] + (market if known else 0.0)
            both[j] = both_before[j] + (x * market if known else 0.0)
        squares, squares_before = after[5], before[5]
        for j in range(len(row)):
            squares[j] = squares_before[j] + (square if (row[j] == row[j]) & whole else 0.0)


@njit
def _tile(window: int, terms: int) -> int:
    """Columns that are worked on at once."""
    return max(32, min(512, TILE // (window * terms)))


@njit
def _advance(values: Floats, market: Floats, done: int, row: int, window: int, first: int, ends: Floats, begun: Floats) -> None:
    """Make ``ends[row % window + 1] + begun[row % 2]`` the sums of the window that ends at ``row``.

    ``done`` is the row that they stand at, -1 at first. ``ends`` is ``(window + 1, S, width)``: the sums of the block before from its
    i-th row on; ``begun`` ``(2, S, width)``: the sums of this block up to an even and up to an odd row. ``market`` is ``(T,)``, or empty.
    """
    start = row - row % window
    if done < start:
        ends[:] = 0.0
        if start > 0:
            for t in range(start - 1, row - window, -1):
                i = t - start + window
                _add(values, t, first, market[t] if len(market) else 0.0, ends[i + 1], ends[i])
        begun[(start + 1) % 2] = 0.0
        done = start - 1
    for t in range(done + 1, row + 1):
        _add(values, t, first, market[t] if len(market) else 0.0, begun[(t + 1) % 2], begun[t % 2])


@njit
def _walk(window: int, terms: int, width: int) -> tuple[Floats, Floats]:
    """Room for the ``ends`` and ``begun`` of :func:`_advance`."""
    return np.empty((window + 1, terms, width)), np.empty((2, terms, width))


@njit
def _moments(values: Floats, rows: Ints, window: int, terms: int, least: int, out: Floats, lo: int, hi: int) -> None:
    """Of 2 terms the mean, of 3 the standard deviation."""
    tile, none = _tile(window, terms), np.empty(0)
    for first in range(lo, hi, tile):
        last = min(first + tile, hi)
        ends, begun = _walk(window, terms, last - first)
        done = -1
        for k in range(len(rows)):
            row = rows[k]
            _advance(values, none, done, row, window, first, ends, begun)
            done = row
            old, new, latest, result = ends[row % window + 1], begun[row % 2], values[row, first:last], out[k, first:last]
            if terms == 2:
                _finish_mean(old, new, latest, least, result)
            else:
                _finish_deviation(old, new, latest, least, result)


@njit
def _finish_mean(old: Floats, new: Floats, latest: Floats, least: int, out: Floats) -> None:
    n0, n1, s0, s1 = old[0], new[0], old[1], new[1]
    for j in range(len(out)):
        count, x = n0[j] + n1[j], latest[j]
        mean = (s0[j] + s1[j]) / count
        out[j] = mean if (count >= least) & (x == x) else np.nan


@njit
def _finish_deviation(old: Floats, new: Floats, latest: Floats, least: int, out: Floats) -> None:
    n0, n1, s0, s1, q0, q1 = old[0], new[0], old[1], new[1], old[2], new[2]
    for j in range(len(out)):
        count, total, squares, x = n0[j] + n1[j], s0[j] + s1[j], q0[j] + q1[j], latest[j]
        variance = (count * squares - total * total) / (count * (count - 1.0))
        deviation = np.sqrt(variance if variance > 0.0 else 0.0)
        out[j] = deviation if (count >= least) & (x == x) else np.nan


@njit
def _regression(returns: Floats, market: Floats, rows: Ints, window: int, residual: bool, out: Floats, lo: int, hi: int) -> None:
    tile, least = _tile(window, 6), max(3, least_observations(window))
    for first in range(lo, hi, tile):
        last = min(first + tile, hi)
        ends, begun = _walk(window, 6, last - first)
        done = -1
        for k in range(len(rows)):
            row = rows[k]
            _advance(returns, market, done, row, window, first, ends, begun)
            done = row
            sums, latest = ends[row % window + 1] + begun[row % 2], returns[row]
            for j in range(last - first):
                n, _, beta = _line(sums[:, j])
                spread = _spread(sums[:, j], beta) / (n - 2.0)
                known = n >= least and latest[first + j] == latest[first + j]
                value = np.sqrt(spread) if residual else beta
                out[k, first + j] = value if known else np.nan


@njit
def _residual_momentum(
    returns: Floats, market: Floats, rows: Ints, window: int, lookback: int, skip: int, out: Floats, lo: int, hi: int
) -> None:
    held = lookback - skip
    tile, least, enough = _tile(window, 6), max(3, least_observations(window)), least_observations(held)
    for first in range(lo, hi, tile):
        last = min(first + tile, hi)
        ends, begun = _walk(window, 6, last - first)
        held_ends, held_begun = _walk(held, 6, last - first)
        done = held_done = -1
        for k in range(len(rows)):
            row, then, latest = rows[k], rows[k] - skip, returns[rows[k]]
            out[k, first:last] = np.nan
            if then < 0:
                continue
            _advance(returns, market, done, row, window, first, ends, begun)
            _advance(returns, market, held_done, then, held, first, held_ends, held_begun)
            done, held_done = row, then
            sums = ends[row % window + 1] + begun[row % 2]
            part = held_ends[then % held + 1] + held_begun[then % 2]
            for j in range(last - first):
                n, alpha, beta = _line(sums[:, j])
                count, total, markets = part[0, j], part[1, j], part[3, j]
                spread = _spread(part[:, j], beta)
                known = n >= least and count >= enough and spread > 0.0 and latest[first + j] == latest[first + j]
                if known:
                    out[k, first + j] = (total - count * alpha - beta * markets) / np.sqrt(spread / (count - 1.0))


@njit
def _line(sums: Floats) -> tuple[float, float, float]:
    """Observations, intercept and slope of x on m; NaN where the market stood still."""
    n, x, m, xm, mm = sums[0], sums[1], sums[3], sums[4], sums[5]
    moved = mm - m * m / n
    beta = (xm - x * m / n) / moved if moved > EXPLAINED * mm else np.nan
    return n, (x - beta * m) / n, beta


@njit
def _spread(sums: Floats, beta: float) -> float:
    """Sum of squares of x - beta m about its mean; 0 where it is rounding."""
    n, x, xx, m, xm, mm = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    spread = (xx - x * x / n) - 2.0 * beta * (xm - x * m / n) + beta * beta * (mm - m * m / n)
    return 0.0 if spread <= EXPLAINED * xx else spread


def mean_rows(values: Floats, rows: Ints, window: int, least: int) -> Floats:
    """``(K, N)`` mean of the values in the last ``window`` rows; NaN where the row is missing or fewer than ``least`` exist."""
    return columns(_moments, (len(rows), values.shape[1]), values, rows, window, 2, least)


def volatility_rows(returns: Floats, rows: Ints, window: int) -> Floats:
    """``(K, N)`` standard deviation (ddof 1, per session, not annualised) of the ``returns`` in the last ``window`` rows.

    NaN where the row itself is missing or fewer than 80 % of the window's returns exist. From sums of the returns and of their squares:
    fit for returns, whose mean is no larger than their deviation, not for prices.
    """
    return columns(_moments, (len(rows), returns.shape[1]), returns, rows, window, 3, least_observations(window))


def beta_rows(returns: Floats, market: Floats, rows: Ints, window: int) -> Floats:
    """``(K, N)`` least-squares slope of ``returns`` on ``market`` ``(T,)`` with an intercept, over the last ``window`` rows.

    NaN where the row is missing, fewer than 80 % of the window's pairs exist (at least 3), or the market stood still.
    """
    return columns(_regression, (len(rows), returns.shape[1]), returns, market, rows, window, False)


def residual_volatility_rows(returns: Floats, market: Floats, rows: Ints, window: int) -> Floats:
    """``(K, N)`` standard error (ddof 2, per session) of the regression of :func:`beta_rows`; NaN where that is."""
    return columns(_regression, (len(rows), returns.shape[1]), returns, market, rows, window, True)


def residual_momentum_rows(returns: Floats, market: Floats, rows: Ints, window: int, lookback: int, skip: int) -> Floats:
    """``(K, N)`` sum ÷ standard deviation (ddof 1) of the residuals from ``lookback`` to ``skip`` rows ago.

    Residuals are those of the regression of :func:`beta_rows` over the last ``window`` rows. NaN where that is, where fewer than 80 %
    of the pairs summed exist, or where the market explains the returns entirely.
    """
    return columns(_residual_momentum, (len(rows), returns.shape[1]), returns, market, rows, window, lookback, skip)
