"""How well one row of numbers foretells another: correlation of two cross-sections, quantile groups, who is new in a group.

Every function takes orders that were made once (:func:`orders`), so that a rank costs a walk instead of a sort. NaN and ±inf mean
"no value". Average ranks are multiples of a half and their sums exact, so permuting the names permutes no rank correlation by a bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.selection import quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Shorts = NDArray[np.int16]
Whole = NDArray[np.int32]


@njit
def orders(values: Floats, first: int, stop: int, out: Whole) -> None:
    """Fill rows ``first`` to ``stop`` of ``out`` ``(K, N)``: columns of the finite ``values`` ascending, then -1."""
    count = values.shape[1]
    kept = np.empty(count)
    place = np.empty(count, np.int32)
    for k in range(first, stop):
        n = 0
        for j in range(count):
            if np.isfinite(values[k, j]):
                kept[n] = values[k, j]
                place[n] = j
                n += 1
        ascending = np.argsort(kept[:n])
        for i in range(n):
            out[k, i] = place[ascending[i]]
        for i in range(n, count):
            out[k, i] = -1


@njit
def _ranked(values: Floats, order: Whole, kept: Flags, ranks: Floats) -> int:
    """Average ranks (1 = least) of the ``kept`` names, written into ``ranks`` ``(N,)``; returns how many there are."""
    n = 0
    i, count = 0, len(order)
    members = np.empty(count, np.int32)
    for i in range(count):
        j = order[i]
        if j < 0:
            break
        if kept[j]:
            members[n] = j
            n += 1
    i = 0
    while i < n:
        last = i
        while last + 1 < n and values[members[last + 1]] == values[members[i]]:
            last += 1
        for m in range(i, last + 1):
            ranks[members[m]] = 0.5 * (i + last) + 1.0
        i = last + 1
    return n


@njit
def _correlation(left: Floats, right: Floats, kept: Flags, n: int) -> float:
    """Pearson's correlation over the ``kept`` names; NaN of fewer than two, or where one side tells nobody apart."""
    mean_left, mean_right = 0.0, 0.0
    for j in range(len(kept)):
        if kept[j]:
            mean_left += left[j]
            mean_right += right[j]
    mean_left /= n
    mean_right /= n
    both, own, other = 0.0, 0.0, 0.0
    for j in range(len(kept)):
        if kept[j]:
            x, y = left[j] - mean_left, right[j] - mean_right
            both += x * y
            own += x * x
            other += y * y
    return both / np.sqrt(own * other) if n > 1 and own > 0.0 and other > 0.0 else np.nan


@njit
def correlations(
    left: Floats, left_order: Whole, right: Floats, right_order: Whole, kept: Flags, least: int, first: int, stop: int, out: Floats
) -> None:  # fmt: skip
    """Fill ``out`` ``(2, K)``, rows ``first`` to ``stop``: Spearman's and Pearson's correlation of ``left`` and ``right`` ``(K, N)``.

    Over the names of ``kept`` ``(K, N)`` that have both; NaN where there are fewer than ``least``, or where one side is constant.
    """
    count = left.shape[1]
    ranks_left, ranks_right = np.empty(count), np.empty(count)
    both = np.empty(count, np.bool_)
    for k in range(first, stop):
        out[0, k] = out[1, k] = np.nan
        n = 0
        for j in range(count):
            both[j] = kept[k, j] and np.isfinite(left[k, j]) and np.isfinite(right[k, j])
            n += both[j]
        if n < max(least, 2):
            continue
        _ranked(left[k], left_order[k], both, ranks_left)
        _ranked(right[k], right_order[k], both, ranks_right)
        out[0, k] = _correlation(ranks_left, ranks_right, both, n)
        out[1, k] = _correlation(left[k], right[k], both, n) if not np.isnan(out[0, k]) else np.nan


@njit
def groups(values: Floats, order: Whole, edges: Floats, out: Shorts) -> None:
    """Fill ``out`` ``(K, N)`` int16 with the quantile group of every value, 1 = lowest, 0 = no value.

    ``edges`` ``(Q - 1,)`` are the inner shares, e.g. 0.2, 0.4, 0.6, 0.8; a value belongs to the first group whose upper quantile (type 7)
    it does not exceed. Equal values share a group, so a factor of few levels leaves groups empty; a constant row has no groups.
    """
    ascending = np.empty(values.shape[1])
    cuts = np.empty(len(edges))
    for k in range(len(values)):
        n = 0
        for i in range(values.shape[1]):
            if order[k, i] < 0:
                break
            ascending[i] = values[k, order[k, i]]
            n += 1
        out[k] = 0
        if n == 0 or ascending[0] == ascending[n - 1]:
            continue
        for q in range(len(edges)):
            cuts[q] = quantile(ascending, n, edges[q])
        q = 0
        for i in range(n):
            while q < len(cuts) and ascending[i] > cuts[q]:
                q += 1
            out[k, order[k, i]] = q + 1


@njit
def group_means(group: Shorts, values: Floats, count: int) -> Floats:
    """``(K, Q + 1)`` mean of the finite ``values`` ``(K, N)`` in every group 1 to Q, then of all together; NaN where there is none."""
    out = np.full((len(group), count + 1), np.nan)
    for k in range(len(group)):
        total, number = np.zeros(count + 1), np.zeros(count + 1)
        for j in range(group.shape[1]):
            if group[k, j] > 0 and np.isfinite(values[k, j]):
                total[group[k, j] - 1] += values[k, j]
                number[group[k, j] - 1] += 1.0
                total[count] += values[k, j]
                number[count] += 1.0
        for q in range(count + 1):
            if number[q] > 0.0:
                out[k, q] = total[q] / number[q]
    return out


@njit
def group_turnover(group: Shorts, lag: int, count: int) -> Floats:
    """``(K, Q)`` share of the names of a group that were not in it ``lag`` rows before; NaN where one of the two is empty."""
    out = np.full((len(group), count), np.nan)
    for k in range(lag, len(group)):
        fresh, number, before = np.zeros(count), np.zeros(count), np.zeros(count)
        for j in range(group.shape[1]):
            now, then = group[k, j], group[k - lag, j]
            if then > 0:
                before[then - 1] += 1.0
            if now > 0:
                number[now - 1] += 1.0
                if then != now:
                    fresh[now - 1] += 1.0
        for q in range(count):
            if number[q] > 0.0 and before[q] > 0.0:
                out[k, q] = fresh[q] / number[q]
    return out


@njit
def rank_persistence(values: Floats, order: Whole, lags: Ints) -> Floats:
    """``(L, K)`` correlation of the names' ranks with their ranks ``lags`` ``(L,)`` rows before, each among all of its own row.

    NaN as in Pearson's.
    """
    steps, count = values.shape
    ranks = np.full((steps, count), np.nan)
    everyone = np.ones(count, np.bool_)
    for k in range(steps):
        _ranked(values[k], order[k], everyone, ranks[k])
    out = np.full((len(lags), steps), np.nan)
    both = np.empty(count, np.bool_)
    for i, lag in enumerate(lags):
        for k in range(lag, steps):
            n = 0
            for j in range(count):
                both[j] = ranks[k, j] == ranks[k, j] and ranks[k - lag, j] == ranks[k - lag, j]
                n += both[j]
            if n > 1:
                out[i, k] = _correlation(ranks[k], ranks[k - lag], both, n)
    return out


@njit
def carried(values: Floats) -> Floats:
    """``(T, N)`` values with every gap filled by the last one before it; NaN before the first."""
    out = values.copy()
    for t in range(1, len(values)):
        for j in range(values.shape[1]):
            if np.isnan(out[t, j]):
                out[t, j] = out[t - 1, j]
    return out


@njit
def demeaned(values: Floats, group: Shorts) -> Floats:
    """``(K, N)`` finite values less the mean of their group (0, 1, ...) in the row; NaN where there is no value or the group is below 0."""
    out = np.full(values.shape, np.nan)
    number = 0
    for k in range(len(group)):
        for j in range(group.shape[1]):
            number = max(number, group[k, j] + 1)
    total, count = np.zeros(number), np.zeros(number)
    for k in range(len(values)):
        total[:] = 0.0
        count[:] = 0.0
        for j in range(values.shape[1]):
            if group[k, j] >= 0 and np.isfinite(values[k, j]):
                total[group[k, j]] += values[k, j]
                count[group[k, j]] += 1.0
        for j in range(values.shape[1]):
            if group[k, j] >= 0 and np.isfinite(values[k, j]):
                out[k, j] = values[k, j] - total[group[k, j]] / count[group[k, j]]
    return out
