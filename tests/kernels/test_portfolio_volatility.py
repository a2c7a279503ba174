"""The volatility that scales the book: realised returns of the very mix, and no loss is lost in a gap."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.costs import SESSIONS_PER_YEAR
from mech_exo.kernels.records import Bars
from mech_exo.kernels.risk_model import portfolio_volatility

NAN = math.nan


def volatility(close, values, split=None, dividend=None, window=10):
    close = np.array(close, np.float64)
    bars = dict.fromkeys(("open", "high", "low", "close", "volume"), close)
    for name, given in (("split_ratio", split), ("dividend", dividend)):
        if given is not None:
            bars[name] = np.array(given, np.float64)
    panel = BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(len(close)), [f"S{k}" for k in range(close.shape[1])], bars)
    return portfolio_volatility(len(close) - 1, np.arange(close.shape[1]), np.array(values, np.float64), Bars.of(panel), window)


def annual(pnl):
    return np.std(pnl, ddof=1) * math.sqrt(SESSIONS_PER_YEAR)


def test_long_and_short_of_the_same_path_cancel():
    close = np.array([[10.0, 20.0], [11.0, 22.0], [9.9, 19.8], [12.0, 24.0]])
    assert volatility(close, [500.0, -500.0]) == pytest.approx(0.0, abs=1e-9)
    assert volatility(close, [500.0, 500.0]) == pytest.approx(annual(1000.0 * (close[1:, 0] / close[:-1, 0] - 1.0)))


def test_what_a_gap_hides_moves_the_session_after_it():
    assert volatility([[100.0], [100.0], [NAN], [NAN], [50.0]], [1000.0]) == pytest.approx(annual([0.0, 0.0, 0.0, -500.0]))


def test_actions_inside_a_gap_are_no_moves():
    """Split 2 for 1 and 5 USD paid while nothing traded: 50 → 25 → 20, and a close of 20 is no change."""
    same = volatility([[50.0], [NAN], [NAN], [20.0], [22.0]], [1000.0], [[1.0], [2.0], [1.0], [1.0], [1.0]], [[0.0], [0.0], [5.0], [0.0], [0.0]])
    assert same == pytest.approx(annual([0.0, 0.0, 0.0, 100.0]))


def test_before_the_first_bar_and_below_two_sessions_nothing_is_known_of_it():
    assert volatility([[NAN], [10.0], [11.0]], [1000.0]) == pytest.approx(annual([0.0, 100.0]))
    assert math.isnan(volatility([[10.0], [11.0]], [1000.0]))
