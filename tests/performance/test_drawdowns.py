"""Falls from a peak against a naive double loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.performance.drawdowns import calmar, drawdown_series, drawdown_table, max_drawdown, trailing_drawdown
from mech_exo.performance.ratios import cagr, growth

values_of = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=40)


@given(values_of)
def test_max_drawdown_is_the_worst_pair_and_lies_in_the_unit_interval(values):
    curve = growth(np.array(values))
    naive = max(1 - later / earlier for i, earlier in enumerate(curve) for later in curve[i:])
    assert max_drawdown(curve) == pytest.approx(naive, abs=1e-12)
    assert 0.0 <= max_drawdown(curve) <= 1.0
    assert max_drawdown(curve * 7.0) == pytest.approx(naive, abs=1e-12)


@given(values_of, st.integers(1, 50))
def test_trailing_drawdown_forgets_old_peaks(values, window):
    curve = growth(np.array(values))
    naive = [1 - curve[t] / max(curve[max(0, t - window) : t + 1]) for t in range(len(curve))]
    assert trailing_drawdown(curve, window).tolist() == pytest.approx(naive, abs=1e-12)
    assert (trailing_drawdown(curve, window) <= drawdown_series(curve) + 1e-12).all()


def test_the_table_names_peak_trough_and_recovery():
    curve = np.array([1.0, 1.2, 0.9, 1.1, 1.2, 1.3, 1.17, 1.0, 1.25])
    deep, shallow = drawdown_table(curve)
    assert (deep.peak, deep.trough, deep.recovered, deep.fall, deep.duration) == (1, 2, 4, 1, 3)
    assert deep.depth == pytest.approx(0.25)
    assert (shallow.peak, shallow.trough, shallow.recovered, shallow.duration) == (5, 7, None, 3)
    assert drawdown_table(curve, 1) == (deep,)


def test_a_fall_from_the_very_start_counts():
    (fall,) = drawdown_table(growth(np.array([-0.1, 0.05])))
    assert (fall.peak, fall.trough, fall.depth) == (0, 1, pytest.approx(0.1))


def test_a_rising_or_unknown_account_has_no_table():
    assert drawdown_table(np.array([1.0, 1.1, 1.2])) == ()
    assert drawdown_table(np.array([1.0, np.nan])) == () and math.isnan(max_drawdown(np.array([1.0, np.nan])))


def test_calmar_is_cagr_over_drawdown_and_unknown_without_one():
    r = np.array([0.1, -0.05, 0.02])
    assert calmar(r, growth(r)) == pytest.approx(cagr(r) / 0.05)
    up = np.array([0.1, 0.1])
    assert math.isnan(calmar(up, growth(up)))
