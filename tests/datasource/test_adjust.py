from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mech_exo.datasource import adjust
from mech_exo.domain.errors import InputError
from mech_exo.scoring.inputs import reinvested

Shared = Callable[[str], Path]
RATIOS = st.sampled_from([1.0, 1.0, 1.0, 1.5, 2.0, 3.0, 7.0, 0.1])


@pytest.fixture
def vendor(shared: Shared) -> dict[str, pl.DataFrame]:
    """Raw and adjusted columns of four shares in 2014; AAPL split 7:1 on 2014-06-09."""
    frame = pl.read_csv(shared("data/prices/quandl_wiki_sample_2014.csv.gz"), try_parse_dates=True)
    return {str(key[0]): part.sort("date") for key, part in frame.group_by("ticker")}


def reinvested_one(close: np.ndarray, ratio: np.ndarray, dividend: np.ndarray) -> np.ndarray:
    """For one symbol, ``(T,)``."""
    return reinvested(close[:, None], ratio[:, None], dividend[:, None])[:, 0]


@pytest.mark.parametrize("symbol", ["AAPL", "BRK_A", "MSFT", "ZEN"])
@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
def test_adjustment_agrees_with_the_vendor(vendor: dict[str, pl.DataFrame], symbol: str, name: str) -> None:
    rows = vendor[symbol]
    ratio, dividend = rows["split_ratio"].to_numpy(), rows["ex-dividend"].to_numpy()
    close = rows["close"].to_numpy()
    ours, theirs = rows[name].to_numpy() * reinvested_one(close, ratio, dividend) / close, rows[f"adj_{name}"].to_numpy()
    np.testing.assert_allclose(ours / ours[-1], theirs / theirs[-1], rtol=1e-6)


def test_adjusted_volume_agrees_with_the_vendor(vendor: dict[str, pl.DataFrame]) -> None:
    rows = vendor["AAPL"]
    ratio = rows["split_ratio"].to_numpy()
    assert np.array_equal(adjust.traded_volume(rows["adj_volume"].to_numpy(), ratio), rows["volume"].to_numpy())


@pytest.mark.parametrize("symbol", ["AAPL", "BRK_A", "MSFT", "ZEN"])
def test_undoing_an_adjustment_gives_the_printed_prices_back(vendor: dict[str, pl.DataFrame], symbol: str) -> None:
    rows = vendor[symbol]
    ratio = rows["split_ratio"].to_numpy()
    for name in ("open", "high", "low", "close", "ex-dividend"):
        printed = rows[name].to_numpy()
        assert np.array_equal(adjust.as_traded(adjust.split_adjusted(printed, ratio), ratio), printed), name


def test_single_precision_of_a_vendor_is_undone() -> None:
    ratio = np.array([1.0, 7.0, 1.0])
    printed = np.array([645.57, 93.70, 94.25])
    vendor = (printed / np.array([7.0, 1.0, 1.0])).astype(np.float32).astype(np.float64)
    assert np.array_equal(adjust.as_traded(vendor, ratio), printed)


@given(arrays.arrays(np.int64, (30, 3), elements=st.integers(1, 90_000_000)), arrays.arrays(np.float64, (30, 3), elements=RATIOS))
def test_unadjusting_is_the_inverse_of_adjusting(ticks: np.ndarray, ratio: np.ndarray) -> None:
    price = np.round(ticks / 10_000, 4)
    assert np.array_equal(adjust.as_traded(adjust.split_adjusted(price, ratio), ratio), price)


@given(
    arrays.arrays(np.float64, (40, 2), elements=st.floats(0.5, 500.0)),
    arrays.arrays(np.float64, (40, 2), elements=RATIOS),
    arrays.arrays(np.float64, (40, 2), elements=st.sampled_from([0.0, 0.0, 0.0, 0.25, 1.1])),
    st.integers(0, 38),
)
def test_later_actions_never_touch_an_earlier_row(close: np.ndarray, ratio: np.ndarray, dividend: np.ndarray, row: int) -> None:
    later_ratio, later_dividend = ratio.copy(), dividend.copy()
    later_ratio[row + 1 :] = 7.0
    later_dividend[row + 1 :] = 9.0
    kept = slice(0, row + 1)
    before = reinvested(close, ratio, dividend)[kept]
    assert np.array_equal(before, reinvested(close, later_ratio, later_dividend)[kept])
    assert np.array_equal(before, reinvested(close[kept], ratio[kept], dividend[kept]))


def test_total_return_counts_a_dividend_after_the_split_of_its_day() -> None:
    close, ratio, dividend = np.array([100.0, 51.0, 50.0]), np.array([1.0, 2.0, 1.0]), np.array([0.0, 0.5, 0.0])
    level = reinvested_one(close, ratio, dividend)
    np.testing.assert_allclose(level[1:] / level[:-1], [(51.0 + 0.5) * 2 / 100.0, 50.0 / 51.0], rtol=1e-15)


def test_a_dividend_without_a_close_waits_for_the_next_one() -> None:
    close, ratio, dividend = np.array([100.0, np.nan, 50.0]), np.array([1.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0])
    np.testing.assert_allclose(reinvested_one(close, ratio, dividend), [100.0, np.nan, 50.0 * 2.0 * (1 + 0.5 / 50.0)], rtol=1e-15)


@pytest.mark.parametrize("ratio", [0.0, -2.0, np.nan, np.inf])
def test_an_impossible_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match="above 0 and finite"):
        adjust.later_splits(np.array([1.0, ratio]))
