"""Forward adjustment by hand and against plain loops; no copies where nothing happened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.panel import BarPanel
from mech_exo.scoring.inputs import FactorInputs
from tests.oracles import naive_scorer as naive
from tests.scoring.markets import random_panel


def panel_of(close, split=None, dividend=None, volume=None):
    close = np.asarray(close, float).reshape(-1, 1)
    bars = dict.fromkeys(("open", "high", "low", "close"), close)
    bars["volume"] = np.full(close.shape, 100.0) if volume is None else np.asarray(volume, float).reshape(-1, 1)
    if split is not None:
        bars["split_ratio"] = np.asarray(split, float).reshape(-1, 1)
    if dividend is not None:
        bars["dividend"] = np.asarray(dividend, float).reshape(-1, 1)
    return BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(len(close)), ["S"], bars)


def test_without_actions_the_arrays_are_the_panels_own():
    panel = panel_of([10, 11, 12])
    inputs = FactorInputs(panel)
    assert inputs.close is panel.close
    assert inputs.total_return is panel.close
    assert inputs.volume is panel.volume
    assert inputs.high is panel.high


def test_a_split_by_hand():
    inputs = FactorInputs(panel_of([10, 12, 6.5, 7], split=[1, 1, 2, 1], volume=[100, 100, 200, 200]))
    assert inputs.close[:, 0].tolist() == [10, 12, 13, 14]
    assert inputs.volume[:, 0].tolist() == [100, 100, 100, 100]
    assert inputs.raw_close[:, 0].tolist() == [10, 12, 6.5, 7]
    assert inputs.total_return[:, 0].tolist() == [10, 12, 13, 14]


def test_a_dividend_by_hand():
    # 10, then 9 after paying 1: the holding-period return is (9 + 1) / 10 - 1 = 0.
    inputs = FactorInputs(panel_of([10, 9, 18], dividend=[0, 1, 0]))
    assert inputs.total_return[:, 0] == pytest.approx([10, 10, 20], rel=1e-15)
    assert inputs.close[:, 0].tolist() == [10, 9, 18]


def test_a_split_and_a_dividend_of_one_session():
    # 2 for 1, then 1 a new share: 10 becomes 2 × (4 + 1) = 10.
    inputs = FactorInputs(panel_of([10, 4], split=[1, 2], dividend=[0, 1]))
    assert inputs.total_return[:, 0] == pytest.approx([10, 10], rel=1e-15)


def test_a_dividend_without_a_bar_is_bought_in_at_the_next_one():
    inputs = FactorInputs(panel_of([10, np.nan, 4, 4], split=[1, 1, 2, 1], dividend=[0, 2, 0, 0]))
    assert inputs.total_return[[0, 2, 3], 0] == pytest.approx([10, 10, 10], rel=1e-15)
    assert np.isnan(inputs.total_return[1, 0])


@given(st.integers(0, 10_000))
def test_equal_to_plain_loops(seed):
    panel = random_panel(seed, 30, 4)
    inputs = FactorInputs(panel)
    for got, wanted in (
        (inputs.total_return, naive.forward(panel, True)),
        (inputs.close, naive.forward(panel, False)),
        (inputs.volume, naive.adjusted_volume(panel)),
    ):
        assert got == pytest.approx(np.array(wanted).T, rel=1e-12, nan_ok=True)


@given(st.integers(0, 10_000), st.integers(1, 29))
def test_what_a_panel_without_actions_yet_reads_is_what_it_reads_later(seed, t):
    panel = random_panel(seed, 30, 4)
    for name in ("open", "high", "low", "close", "volume", "total_return"):
        early, late = getattr(FactorInputs(panel.upto(t)), name), getattr(FactorInputs(panel), name)
        assert np.array_equal(early, late[: t + 1], equal_nan=True)


def test_arrays_are_read_only():
    inputs = FactorInputs(panel_of([10, 12, 6.5], split=[1, 1, 2], dividend=[0, 1, 0]))
    for name in ("open", "high", "low", "close", "volume", "total_return"):
        assert not getattr(inputs, name).flags.writeable
