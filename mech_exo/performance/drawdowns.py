"""Falls from a peak. A drawdown is a **positive** fraction: 0.23 is a fall of 23 %; 0 is at the peak.

All functions take ``growth`` ``(T + 1,)``, the value of 1 USD beginning with 1 before the first session
(:func:`mech_exo.performance.ratios.growth`), so deposits and withdrawals do not count. NaN rule: growth that is NaN
anywhere (an account without capital) has no drawdown: NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mech_exo.performance.ratios import YEAR, Floats, cagr


@dataclass(frozen=True, slots=True)
class Drawdown:
    """One fall: rows of ``growth`` (0 = before the first session) of its peak, its lowest point and its recovery.

    ``recovered`` is None while the old peak has not been reached again. Lengths are in sessions.
    """

    peak: int
    trough: int
    recovered: int | None
    depth: float
    last: int

    @property
    def fall(self) -> int:
        """Sessions from the peak to the lowest point."""
        return self.trough - self.peak

    @property
    def duration(self) -> int:
        """Sessions from the peak to the recovery, or to the end while there is none."""
        return (self.last if self.recovered is None else self.recovered) - self.peak


def drawdown_series(growth: Floats) -> Floats:
    """``(T + 1,)`` 1 - growth / highest growth so far. In [0, 1]; NaN where growth is."""
    result: Floats = 1.0 - growth / np.maximum.accumulate(growth)
    return result


def max_drawdown(growth: Floats) -> float:
    """Deepest fall from the highest point before it, a positive fraction. Magdon-Ismail and Atiya (2004), Risk 17(10)."""
    return float(drawdown_series(growth).max()) if len(growth) else math.nan


def trailing_drawdown(growth: Floats, window: int = YEAR) -> Floats:
    """``(T + 1,)`` fall from the highest point of the last ``window`` sessions, the point before them included.

    What ``portfolio.max_drawdown`` limits: a peak older than twelve months is forgotten.
    """
    padded = np.concatenate([np.full(window, -np.inf), growth])
    peak = np.lib.stride_tricks.sliding_window_view(padded, window + 1).max(axis=1)
    result: Floats = 1.0 - growth / peak
    return result


def calmar(returns: Floats, growth: Floats) -> float:
    """CAGR / maximum drawdown of the same period. NaN without a drawdown. Young (1991), Futures 20(1)."""
    depth = max_drawdown(growth)
    return cagr(returns) / depth if depth > 0.0 else math.nan


def drawdown_table(growth: Floats, count: int = 10) -> tuple[Drawdown, ...]:
    """The ``count`` deepest falls, deepest first; falls do not overlap. Empty where growth holds a NaN."""
    if not len(growth) or not np.isfinite(growth).all():
        return ()
    below = drawdown_series(growth)
    under = np.concatenate([[False], below > 0.0, [False]])
    starts = np.flatnonzero(~under[:-1] & under[1:])
    ends = np.flatnonzero(under[:-1] & ~under[1:])
    found = [_fall(below, int(first), int(end)) for first, end in zip(starts, ends, strict=True)]
    return tuple(sorted(found, key=lambda fall: (-fall.depth, fall.peak))[:count])


def _fall(below: NDArray[np.float64], first: int, end: int) -> Drawdown:
    trough = first + int(np.argmax(below[first:end]))
    last = len(below) - 1
    return Drawdown(first - 1, trough, end if end <= last else None, float(below[trough]), last)
