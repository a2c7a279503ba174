"""Which rows of a long series are drawn."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.reporting.dashboard.downsample import MOST, thinned


def oracle(y: np.ndarray, count: int) -> list[int]:
    """LTTB as in the thesis, one bucket after the other, on a series without gaps."""
    n = len(y)
    edges = np.linspace(1, n - 1, count - 1).astype(int)
    chosen = [0]
    for bucket in range(count - 2):
        begin, end = edges[bucket], max(edges[bucket] + 1, edges[bucket + 1])
        stop = edges[bucket + 2] if bucket + 2 < len(edges) else n
        mean_x, mean_y = np.mean(range(end, stop)), np.mean(y[end:stop])
        ax, ay = chosen[-1], y[chosen[-1]]
        areas = [abs((ax - mean_x) * (y[k] - ay) - (ax - k) * (mean_y - ay)) for k in range(begin, end)]
        chosen.append(begin + int(np.argmax(areas)))
    return [*chosen, n - 1]


def test_a_short_series_is_drawn_whole():
    assert thinned(np.arange(100.0)).tolist() == list(range(100))
    assert thinned(np.array([])).tolist() == []


def test_a_long_one_is_the_thesis_own_choice():
    y = np.random.default_rng(1).normal(size=5000).cumsum()
    expected = {*oracle(y, 300 - 4), 0, 4999, int(y.argmin()), int(y.argmax())}
    assert thinned(y, 300).tolist() == sorted(expected)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(20, 3000), st.integers(8, 400), st.floats(0, 1))
def test_ends_extremes_gaps_and_bounds(seed, size, most, hidden):
    random = np.random.default_rng(seed)
    y = random.normal(size=size).cumsum()
    y[random.random(size) < hidden * 0.2] = np.nan
    rows = thinned(y, most)
    assert len(rows) <= max(most, min(size, most))
    assert (np.diff(rows) > 0).all() and rows[0] == 0 and rows[-1] == size - 1
    if np.isfinite(y).any():
        assert np.nanmin(y[rows]) == np.nanmin(y) and np.nanmax(y[rows]) == np.nanmax(y)
    starts = np.flatnonzero(np.isnan(y) & ~np.concatenate([[False], np.isnan(y)[:-1]]))
    if len(starts) <= most // 4:
        for a, b in itertools.pairwise(rows):
            crossed = np.isnan(y[a : b + 1]).any()
            assert not crossed or np.isnan(y[a]) or np.isnan(y[b])  # no line over a gap


def test_nothing_known_draws_nothing_but_its_ends():
    assert thinned(np.full(5000, np.nan)).tolist() == [0, 4999]
    assert MOST == 1500
