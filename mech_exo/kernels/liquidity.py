"""What a name's own past says of getting out: the tail of its overnight gaps and its average daily volume."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import inlined, lean, njit
from mech_exo.kernels.records import Floats, Ints

LEAST_GAPS = 20
"""Gaps without which no tail is known, whatever the window."""


@inlined
def overnight_gap(open_: float, before: float, ratio: float, dividend: float) -> float:
    """Open ÷ the close of the session before - 1, for who held through the split and was paid the dividend; NaN without either price."""
    return (open_ + dividend) * ratio / before - 1.0


@lean
def tail_place(known: int, share: float) -> int:
    """Which of ``known`` gaps, counted from the worst (1), at most 1 - ``share`` of them are worse than."""
    return int((1.0 - share) * known + 1e-9) + 1


@lean
def least_gaps(window: int) -> int:
    """Gaps from which on a tail is known: a quarter of the window, at least :data:`LEAST_GAPS`."""
    return max(LEAST_GAPS, (window + 3) // 4)


@njit
def gap_tails(
    t: int, names: Ints, sides: Floats, open_: Floats, close: Floats, split_ratio: Floats, dividend: Floats, window: int, share: float
) -> Floats:
    """By how much the columns ``names`` opened against their holder in all but 1 - ``share`` of the ``window`` sessions up to row ``t``.

    ``sides`` ``(C,)`` is +1 for who is long and loses by a fall, -1 for who is short. Returns ``(C,)`` fractions ≥ 0 (0: not even the tail
    was against the holder), NaN with fewer than :func:`least_gaps`. A quantile without interpolation: a gap that happened (Hyndman and Fan
    1996, type 1). A gap is known where that session has an open and the one before a close. Only those rows are read, whatever is after.
    """
    count, most = len(names), tail_place(window, share)
    worst, known, out = np.full((count, most), -np.inf), np.zeros(count, np.int64), np.empty(count)
    for u in range(max(1, t - window + 1), t + 1):  # row by row: neighbouring names lie on one page of memory
        for i in range(count):
            s = names[i]
            loss = -sides[i] * overnight_gap(open_[u, s], close[u - 1, s], split_ratio[u, s], dividend[u, s])
            if abs(loss) < np.inf:
                known[i] += 1
                if loss > worst[i, most - 1]:
                    p = most - 1  # into the list, which falls; its last entry leaves
                    while p > 0 and worst[i, p - 1] < loss:
                        worst[i, p] = worst[i, p - 1]
                        p -= 1
                    worst[i, p] = loss
    for i in range(count):
        out[i] = max(0.0, worst[i, tail_place(known[i], share) - 1]) if known[i] >= least_gaps(window) else math.nan
    return out


@lean
def average_volume(t: int, s: int, volume: Floats, split_ratio: Floats, window: int) -> float:
    """Mean ``volume`` ``(T, N)`` of column ``s`` over the ``window`` sessions up to row ``t``, in shares of row ``t``.

    NaN where fewer than half are known, or it is 0.
    """
    total, known, ratio = 0.0, 0, 1.0
    for u in range(t, max(-1, t - window), -1):
        if volume[u, s] >= 0.0 and volume[u, s] < math.inf:
            total += volume[u, s] * ratio
            known += 1
        ratio *= split_ratio[u, s]
    return total / known if 2 * known >= window and total > 0.0 else math.nan
