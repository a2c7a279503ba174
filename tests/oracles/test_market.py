from __future__ import annotations

import time

import numpy as np

from tests.oracles import market


def test_a_small_market_is_a_part_of_the_large_one() -> None:
    small, large = market.arrays(130, 400), market.arrays(250, 400)
    for name in market.FIELDS:
        assert np.array_equal(small[name], large[name][:, :130]), name


def test_equal_seeds_give_equal_bits_and_others_do_not() -> None:
    assert market.panel(30, 100).data_hash() == market.panel(30, 100).data_hash() != market.panel(30, 100, seed=8).data_hash()


def test_bars_never_contradict_themselves() -> None:
    made = market.arrays(300, 1000)
    body = np.maximum(made["open"], made["close"]), np.minimum(made["open"], made["close"])
    assert (made["high"] >= body[0]).all() and (made["low"] <= body[1]).all() and made["low"].min() >= 1.0
    for name in ("open", "high", "low", "close"):
        assert np.array_equal(np.round(made[name], 2), made[name])
    assert not made["close"].flags.writeable


def test_it_has_what_the_oracles_need() -> None:
    made = market.panel(200, 2520)
    change = np.diff(np.log(made.close), axis=0)
    kurtosis = np.median(np.mean((change - change.mean(0)) ** 4, axis=0) / np.var(change, axis=0) ** 2)
    assert kurtosis > 5.0, "fat tails"
    gap = np.abs(made.open[1:] / made.close[:-1] - 1.0)
    assert 0.001 < (gap > 0.05).mean() < 0.01, "gaps through a stop"
    links = np.corrcoef(change.T)[np.triu_indices(200, 1)]
    assert 0.1 < links.mean() < 0.6, "a common factor"
    assert len(made.sessions) == 2520 and made.label.startswith("synthetic")


def test_the_largest_market_is_made_in_six_seconds() -> None:
    began = time.process_time()
    market.arrays(3000, 2520)
    assert time.process_time() - began < 6.0
