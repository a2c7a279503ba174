"""Overnight-gap tails and average volumes against NumPy, row by row: nothing after a row is read, a split or dividend is no gap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.kernels.liquidity import average_volume, gap_tails, least_gaps, remembered_tails, tail_place

SHARES = (0.9, 0.95, 0.99, 1.0)


def market(seed, sessions=90, names=3):
    """Opens, closes, split ratios and dividends with holes."""
    chance = np.random.default_rng(seed)
    open_, close = np.exp(chance.normal(0, 0.1, (2, sessions, names)))
    open_[chance.random(open_.shape) < 0.1], close[chance.random(close.shape) < 0.1] = math.nan, math.nan
    split = np.where(chance.random(open_.shape) < 0.03, 2.0, 1.0)
    return open_, close, split, np.where(chance.random(open_.shape) < 0.03, 0.05, 0.0)


def unread(names, window):
    """Nothing was read of anybody."""
    return np.full((names, window), math.inf), np.full(names, -1)


def by_numpy(t, s, side, arrays, window, share):
    open_, close, split, dividend = arrays
    gaps = (open_[1:, s] + dividend[1:, s]) * split[1:, s] / close[:-1, s] - 1.0
    losses = -side * gaps[max(0, t - window) : t]
    losses = losses[np.isfinite(losses)]
    if len(losses) < max(20, math.ceil(window / 4)):
        return math.nan
    return max(0.0, np.quantile(losses, share, method="inverted_cdf")) if share < 1.0 else max(0.0, losses.max())


@given(st.integers(0, 10_000), st.integers(0, 89), st.sampled_from([20, 40, 80]), st.sampled_from(SHARES), st.sampled_from([1.0, -1.0]))
def test_the_tail_is_the_quantile_of_the_gaps_that_happened(seed, t, window, share, side):
    arrays = market(seed)
    got = gap_tails(t, np.arange(3), np.full(3, side), *arrays, window, share)
    assert got.tolist() == pytest.approx([by_numpy(t, s, side, arrays, window, share) for s in range(3)], nan_ok=True, abs=1e-15)
    cut = gap_tails(t, np.arange(3), np.full(3, side), *(values[: t + 1].copy() for values in arrays), window, share)
    assert cut.tobytes() == got.tobytes(), "rows after t change a bit of it"
    alone = [gap_tails(t, np.array([s]), np.array([side]), *arrays, window, share)[0] for s in range(3)]
    assert np.array(alone).tobytes() == got.tobytes(), "the other names change a bit of it"


@given(st.integers(0, 10_000), st.lists(st.integers(0, 89), min_size=1, max_size=8), st.sampled_from([20, 40]), st.data())
def test_what_was_read_before_changes_nothing(seed, rows, window, data):
    arrays, memory = market(seed), unread(3, window)
    for t in rows:  # in any order, of any names
        names = np.array(data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True)))
        sides = np.ones(len(names))
        kept, fresh = (remembered_tails(t, names, sides, *arrays, *where, 0.95) for where in (memory, unread(3, window)))
        assert kept.tobytes() == fresh.tobytes()


def test_many_names_are_read_by_row_to_the_same_bits():
    arrays = [np.tile(values, (1, 40)) for values in market(3)]
    many = gap_tails(89, np.arange(120), np.ones(120), *arrays, 40, 0.95)
    assert many.tobytes() == np.tile(gap_tails(89, np.arange(3), np.ones(3), *arrays, 40, 0.95), 40).tobytes()


def test_a_split_and_a_dividend_are_no_gaps():
    close = np.full((61, 1), 100.0)
    open_, split, dividend = close.copy(), np.ones((61, 1)), np.zeros((61, 1))
    close[30:], open_[30:], split[30] = 50.0, 50.0, 2.0
    open_[40], close[40:], open_[41:], dividend[40] = 49.0, 49.0, 49.0, 1.0
    for side in (1.0, -1.0):
        assert gap_tails(60, np.array([0]), np.array([side]), open_, close, split, dividend, 60, 1.0).tolist() == [0.0]
    open_[50] = 44.1
    assert gap_tails(60, np.array([0]), np.array([1.0]), open_, close, split, dividend, 60, 1.0)[0] == pytest.approx(0.1)
    assert gap_tails(60, np.array([0]), np.array([-1.0]), open_, close, split, dividend, 60, 1.0).tolist() == [0.0]


def test_the_place_of_the_tail_and_the_gaps_it_needs():
    assert [tail_place(252, share) for share in SHARES] == [26, 13, 3, 1]
    assert tail_place(20, 0.9) == 3, "of 20 gaps, two are worse than the third"
    assert [least_gaps(window) for window in (20, 80, 81, 252)] == [20, 20, 21, 63]


@pytest.mark.parametrize("count", [9, 10])
def test_the_average_volume_needs_half_of_its_window_and_counts_in_shares_of_today(count):
    volume, split = np.full((30, 1), math.nan), np.ones((30, 1))
    volume[-count:] = 100.0
    expected = 100.0 if count == 10 else math.nan
    assert average_volume(29, 0, volume, split, 20) == pytest.approx(expected, nan_ok=True)
    split[29] = 4.0  # yesterday's 100 are 400 of today's
    volume[-10:] = 100.0
    assert average_volume(29, 0, volume, split, 20) == pytest.approx((100.0 + 9 * 400.0) / 10)
    assert math.isnan(average_volume(29, 0, np.zeros((30, 1)), split, 20))
