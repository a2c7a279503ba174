"""Long series for a screen: Largest Triangle Three Buckets, with the gaps and the extremes kept.

Steinarsson (2013), "Downsampling Time Series for Visual Representation", University of Iceland.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 1500
"""Points a line may have: about one a pixel of a wide screen."""


def thinned(values: NDArray[np.float64], most: int = MOST) -> NDArray[np.int64]:
    """Rows of the series ``(T,)`` to draw, ascending, at most ``most`` (≥ 8): all of a short one.

    The first and the last row, the lowest and the highest are among them; where a gap (NaN) begins, one NaN row is, so that no line is
    drawn across it. With more gaps than ``most`` allows, the longest are kept.
    """
    size = len(values)
    if size <= most:
        return np.arange(size, dtype=np.int64)
    known = np.flatnonzero(np.isfinite(values))
    if len(known) == 0:
        return np.array([0, size - 1], np.int64)
    gaps = _gaps(values, most // 4)
    extremes = known[[int(np.argmin(values[known])), int(np.argmax(values[known]))]]
    room = most - len(gaps) - 4
    chosen = known if len(known) <= room else known[_buckets(known.astype(np.float64), values[known], room)]
    return np.unique(np.concatenate([chosen, gaps, extremes, [0, size - 1]])).astype(np.int64)


def _gaps(values: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """The first row of each gap; of too many the longest."""
    unknown = ~np.isfinite(values)
    starts = np.flatnonzero(unknown & ~np.concatenate([[False], unknown[:-1]]))
    if len(starts) <= most:
        return starts
    ends = np.flatnonzero(unknown & ~np.concatenate([unknown[1:], [False]]))
    longest = np.argsort(starts - ends, kind="stable")[:most]
    return np.sort(starts[longest])


def _buckets(x: NDArray[np.float64], y: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Places of ``count`` points: the ends, and of each bucket between them the point of the largest triangle."""
    edges = np.linspace(1, len(x) - 1, count - 1).astype(np.int64)
    chosen = np.empty(count, np.int64)
    chosen[0], chosen[-1] = 0, len(x) - 1
    last = 0
    for bucket in range(count - 2):
        begin, end = edges[bucket], max(edges[bucket] + 1, edges[bucket + 1])
        after = slice(end, edges[bucket + 2] if bucket + 2 < len(edges) else len(x))
        mean_x, mean_y = x[after].mean(), y[after].mean()
        area = np.abs((x[last] - mean_x) * (y[begin:end] - y[last]) - (x[last] - x[begin:end]) * (mean_y - y[last]))
        last = int(begin + np.argmax(area))
        chosen[bucket + 1] = last
    return chosen
