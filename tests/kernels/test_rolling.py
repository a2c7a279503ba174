"""Rolling kernels against plain loops, hand-made figures, and the laws: causal, equal at chosen rows, columns independent."""

from __future__ import annotations

import math
import statistics
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.kernels import rolling, windows
from tests.oracles import naive_scorer as naive
from tests.scoring.markets import random_panel, same_bits

# Closing prices and RSI(14) of the worked example in StockCharts' ChartSchool, "Relative Strength Index".
CLOSES = [44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328, 45.6140,
          46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439]  # fmt: skip
RSI_14 = [70.53, 66.32, 66.55, 69.41, 66.36, 57.97]


def column(values):
    return np.array(values, float).reshape(-1, 1)


def volatility(values, window):
    return windows.volatility_rows(rolling.returns(values), np.arange(len(values)), window)


KERNELS = {
    "returns": lambda p: rolling.returns(p.close),
    "volatility": lambda p: windows.volatility_rows(rolling.returns(p.close), np.arange(len(p.close)), 7),
    "rolling_mean": lambda p: windows.mean_rows(p.volume, np.arange(len(p.volume)), 6, 3),
    "lagged_ratio": lambda p: rolling.lagged_ratio(p.close, 2, 9),
    "rsi": lambda p: rolling.rsi(p.close, 5),
    "atr": lambda p: rolling.atr(p.high, p.low, p.close, 5),
}
AT_ROWS = {
    "volatility": lambda p, rows: windows.volatility_rows(rolling.returns(p.close), rows, 7),
    "rolling_mean": lambda p, rows: windows.mean_rows(p.volume, rows, 6, 3),
    "lagged_ratio": lambda p, rows: rolling.lagged_ratio_rows(p.close, rows, 2, 9),
    "rsi": lambda p, rows: rolling.rsi_rows(p.close, rows, 5),
    "atr": lambda p, rows: rolling.atr_rows(p.high, p.low, p.close, rows, 5),
}


def test_rsi_gives_the_published_example():
    out = rolling.rsi(column(CLOSES), 14)[:, 0]
    assert np.isnan(out[:14]).all()
    assert out[14:] == pytest.approx(RSI_14, abs=0.005)


def test_rsi_by_hand():
    # changes +2 -1 | +1: gain 1, loss 0.5, so 100 * 1 / 1.5; then gain (1 + 1) / 2 = 1, loss 0.25, so 80.
    assert rolling.rsi(column([10, 12, 11, 12]), 2)[2:, 0].tolist() == [100.0 * (1.0 / 1.5), 80.0]


def test_rsi_of_extremes_and_of_a_price_that_never_moved():
    assert rolling.rsi(column([1, 2, 3, 4]), 2)[2:, 0].tolist() == [100.0, 100.0]
    assert rolling.rsi(column([4, 3, 2, 1]), 2)[2:, 0].tolist() == [0.0, 0.0]
    assert np.isnan(rolling.rsi(column([5, 5, 5, 5]), 2)).all()


def test_atr_by_hand():
    # True ranges from the second bar: max(11, 9) - min(9, 9) = 2; 14 - 10 = 4 (gap up from 10); then (3 * 1 + 1) / 2 = 2.
    high, low, close = column([10, 11, 14, 13.5]), column([8, 9, 12, 12.5]), column([9, 10, 13, 13])
    assert rolling.atr(high, low, close, 2)[2:, 0].tolist() == [3.0, 2.0]


def test_atr_needs_all_three_prices_of_a_bar():
    high, low, close = column([10, 11, np.nan, 14, 13.5]), column([8, 9, 3, 12, 12.5]), column([9, 10, 7, 13, 13])
    out = rolling.atr(high, low, close, 2)[:, 0]
    assert np.isnan(out[:3]).all()
    assert out[3:].tolist() == [3.0, 2.0]


def test_a_missing_bar_is_nan_in_its_row_and_nowhere_else():
    values = column([10, 12, np.nan, 11, 12])
    assert rolling.rsi(values, 2)[3:, 0].tolist() == rolling.rsi(column([10, 12, 11, 12]), 2)[2:, 0].tolist()
    assert math.isnan(rolling.rsi(values, 2)[2, 0])
    assert rolling.returns(values)[3, 0] == 11 / 12 - 1


def test_volatility_needs_eighty_percent_of_its_window():
    values = np.array([[1.0], [1.1], [1.0], [1.2], [1.1], [1.3]])
    assert [rolling.least_observations(window) for window in (2, 5, 15, 20, 63, 120)] == [2, 4, 12, 16, 51, 96]
    known = ~np.isnan(volatility(values, 5)[:, 0])
    assert known.tolist() == [False, False, False, False, True, True]
    values[2] = np.nan
    values[3] = np.nan
    assert np.isnan(volatility(values, 5)).all()


@given(st.integers(0, 10_000))
def test_equal_to_plain_loops(seed):
    p = random_panel(seed, steps=30, count=3)
    got = {name: kernel(p) for name, kernel in KERNELS.items()}
    for j in range(3):
        close, high, low, volume = (getattr(p, name)[:, j].tolist() for name in ("close", "high", "low", "volume"))
        for t in range(30):
            held = [v for v in volume[max(t - 5, 0) : t + 1] if not math.isnan(v)] if not math.isnan(volume[t]) else []
            wanted = {
                "volatility": naive.volatility(close, t, 7),
                "rolling_mean": sum(held) / len(held) if len(held) >= 3 else math.nan,
                "lagged_ratio": naive.momentum(close, t, 9, 2),
                "rsi": naive.rsi(close, t, 5),
                "atr": naive.atr(high, low, close, t, 5),
            }
            for name, value in wanted.items():
                assert got[name][t, j] == pytest.approx(value, rel=1e-10, abs=1e-12, nan_ok=True), (name, t, j)


@given(st.integers(0, 10_000), st.integers(0, 29))
@pytest.mark.parametrize("name", KERNELS)
def test_a_row_depends_on_the_rows_before_it_alone(name, seed, t):
    p = random_panel(seed, steps=30, count=3)
    assert same_bits(KERNELS[name](p)[: t + 1], KERNELS[name](p.upto(t)))


@given(st.integers(0, 10_000), st.sets(st.integers(0, 39), min_size=1))
@pytest.mark.parametrize("name", AT_ROWS)
def test_chosen_rows_are_the_rows_of_the_whole(name, seed, rows):
    p = random_panel(seed, count=3)
    chosen = np.array(sorted(rows))
    assert same_bits(AT_ROWS[name](p, chosen), KERNELS[name](p)[chosen])


@pytest.mark.parametrize("name", KERNELS)
def test_columns_are_independent_of_their_block(name):
    p = random_panel(3, steps=20, count=rolling.BLOCK + 70)
    some = p.select([p.symbols[j] for j in (0, 5, rolling.BLOCK - 1, rolling.BLOCK, rolling.BLOCK + 69)])
    columns = [p.symbols.index(symbol) for symbol in some.symbols]
    assert same_bits(KERNELS[name](p)[:, columns], KERNELS[name](some))


@pytest.mark.parametrize("name", KERNELS)
def test_threads_change_nothing(name):
    p = random_panel(4, count=50)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: KERNELS[name](p), range(8)))
    assert all(same_bits(result, KERNELS[name](p)) for result in results)


@pytest.mark.parametrize("name", AT_ROWS)
def test_no_rows_are_asked_no_rows_come(name):
    assert AT_ROWS[name](random_panel(0), np.empty(0, np.int64)).shape == (0, 6)


@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(1e5, 2e7))
def test_the_counted_median_is_the_median(seed, window, bar):
    p = random_panel(seed, count=4, gaps=0.3)
    least = (window + 1) // 2
    got = rolling.product_median_reaches_rows(p.close, p.volume, np.arange(40), window, least, bar)
    dollars = p.close * p.volume
    for t in range(40):
        for j in range(4):
            held = [v for v in dollars[max(t - window + 1, 0) : t + 1, j] if not math.isnan(v)]
            wanted = -1 if len(held) < least else int(statistics.median(held) >= bar)
            assert got[t, j] == wanted


def test_the_counted_median_decides_half_and_half():
    left = column([1, 1, 3, 5])
    reached = [rolling.product_median_reaches_rows(left, np.ones((4, 1)), np.array([3]), 4, 1, bar)[0, 0] for bar in (1.5, 2.0, 2.5)]
    assert reached == [1, 1, 0]  # the median is exactly 2
