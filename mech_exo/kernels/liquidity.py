"""What a name's own past says of getting out: the tail of its overnight gaps and its average daily volume."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import inlined, lean, njit
from mech_exo.kernels.records import Floats, Ints

LEAST_GAPS = 20
"""Gaps without which no tail is known, whatever the window."""
MANY = 100
"""Names from which on whole rows are read."""


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
    """:func:`remembered_tails` of who asks once, over the ``window`` sessions up to row ``t``."""
    gaps, read = np.empty((close.shape[1], window)), np.full(close.shape[1], -1)
    return remembered_tails(t, names, sides, open_, close, split_ratio, dividend, gaps, read, share)


@njit
def remembered_tails(
    t: int, names: Ints, sides: Floats, open_: Floats, close: Floats, split_ratio: Floats, dividend: Floats, gaps: Floats, read: Ints,
    share: float,
) -> Floats:
    """By how much the columns ``names`` opened against their holder in all but 1 - ``share`` of the window of sessions up to row ``t``.

    Parameters
    ----------
    sides
        ``(C,)`` +1 for who is long and loses by a fall, -1 for who is short.
    gaps, read
        ``(N, W)`` and ``(N,)``: what was read of each column before, so that no row is read twice, and its last row (-1: none). W is the
        window. They belong to these bars alone.

    Returns ``(C,)`` fractions ≥ 0 (0: not even the tail was against the holder), NaN with fewer than :func:`least_gaps`. A quantile without
    interpolation: a gap that happened (Hyndman and Fan 1996, type 1). A gap is known where that session has an open and the one before a
    close. Rows after ``t`` are not looked at.
    """
    window, out = gaps.shape[1], np.empty(len(names))
    begin, worst = max(1, t - window + 1), np.empty(tail_place(window, share))
    unread = np.empty(len(names), np.int64)
    first = t + 1
    for i in range(len(names)):
        last = read[names[i]]
        unread[i] = max(begin, last + 1) if last <= t else begin
        first = min(first, unread[i])
        read[names[i]] = t
    if len(names) >= MANY:  # row by row: neighbouring names lie on one page of memory
        for u in range(first, t + 1):
            for i in range(len(names)):
                if u >= unread[i]:
                    s = names[i]
                    gaps[s, u % window] = overnight_gap(open_[u, s], close[u - 1, s], split_ratio[u, s], dividend[u, s])
    else:  # few names, most of them read before: only what is new of each
        for i in range(len(names)):
            s = names[i]
            for u in range(unread[i], t + 1):
                gaps[s, u % window] = overnight_gap(open_[u, s], close[u - 1, s], split_ratio[u, s], dividend[u, s])
    for i in range(len(names)):
        own = gaps[names[i]] if t >= window else gaps[names[i], 1 : t + 1]
        out[i] = tail_of(own, sides[i], share, window, worst)
    return out


@lean
def tail_of(gaps: Floats, side: float, share: float, window: int, worst: Floats) -> float:
    """The tail of ``gaps`` against ``side``; ``worst`` is scratch for as many as a full window needs."""
    last, known, loss = len(worst) - 1, 0, 0.0
    for i in range(len(worst)):
        worst[i] = -np.inf
    for gap in gaps:
        loss = -side * gap
        if abs(loss) < np.inf:
            known += 1
            if loss > worst[last]:
                i = last  # into the list, which falls; its last entry leaves
                while i > 0 and worst[i - 1] < loss:
                    worst[i] = worst[i - 1]
                    i -= 1
                worst[i] = loss
    if known < least_gaps(window):
        return math.nan
    loss = worst[tail_place(known, share) - 1]
    return loss if loss > 0.0 else 0.0


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
