"""Many series at once equal the functions of one series, whatever the threads, blocks and holes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.kernels import statistics
from mech_exo.performance import metrics as m
from mech_exo.performance import ratios

FIGURES = ("sharpe", "sortino", "max_drawdown", "cagr", "calmar")


def one_by_one(returns, window, risk_free=0.0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's word for NaN in, NaN out
        columns = [np.ascontiguousarray(column) for column in returns.T]
        curves = [m.growth(column) for column in columns]
        rolled = [m.rolling_sharpe(column, window, risk_free) for column in columns]
        return {
            "sharpe": [m.sharpe(column, risk_free) for column in columns], "sortino": [m.sortino(column, risk_free) for column in columns],
            "max_drawdown": [m.max_drawdown(curve) for curve in curves], "cagr": [m.cagr(column) for column in columns],
            "calmar": [m.calmar(column, curve) for column, curve in zip(columns, curves, strict=True)],
            "rolling_sharpe": np.column_stack(rolled) if rolled else np.empty(returns.shape),
        }  # fmt: skip


def check(returns, window, risk_free=0.0, threads=None):
    found = m.batch_metrics(returns, window, risk_free=risk_free, threads=threads)
    for name, wanted in one_by_one(returns, window, risk_free).items():
        assert getattr(found, name) == pytest.approx(np.asarray(wanted, float), rel=1e-10, abs=1e-10, nan_ok=True), name
    return found


def strange():
    """More than one block; columns that trip a careless kernel: idle, constant, holes, wild-then-quiet, a jump, a total loss, only gains."""
    r = np.random.default_rng(1).normal(0.0003, 0.01, (400, 300))
    r[:, 3], r[:, 4], r[200:, 6], r[:200, 7], r[250:, 14] = 0.0, 0.01, 0.0, 0.0, 0.003
    r[100, 5] = r[0, 8] = r[399, 15] = np.nan
    r[300, 9], r[200, 13] = -1.0, 5.0
    r[:, 10] = 0.01 + 1e-5 * r[:, 10]
    r[200:, 11] *= 1e-5
    r[:, 12] = abs(r[:, 12])
    r[:, 16] = np.nan
    return r


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_equal_to_the_functions_of_one_series_whatever_the_threads(threads):
    found = check(strange(), 126, 0.02, threads)
    again = m.batch_metrics(strange(), 126, risk_free=0.02, threads=3)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, again, strict=True))  # to the last bit


@settings(max_examples=40, deadline=None)  # of up to 70 series each
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 70), st.integers(0, 70), st.sampled_from([0.0, 0.03]))
def test_equal_on_random_series_with_holes_and_standstill(seed, sessions, series, window, risk_free):
    rng = np.random.default_rng(seed)
    r = rng.normal(0, 1, (sessions, series)) * 10.0 ** rng.uniform(-5, -1, series) * 10.0 ** rng.uniform(-3, 0, (sessions, 1))
    r = np.clip(r, -0.9, 3.0)
    r[rng.random(r.shape) < 0.02] = np.nan
    r[rng.random(r.shape) < 0.1] = 0.0
    check(r, window, risk_free)


def test_a_series_does_not_depend_on_its_neighbours():
    r = strange()
    whole = m.batch_metrics(r)
    alone = m.batch_metrics(np.ascontiguousarray(r[:, 37:38]))
    assert all(np.array_equal(a[..., 37:38], b, equal_nan=True) for a, b in zip(whole, alone, strict=True))


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5, 0), (2, 2)])
def test_too_short_or_empty_batches(shape):
    found = m.batch_metrics(np.full(shape, 0.01), 2)
    assert found.rolling_sharpe.shape == shape and all(figure.shape == shape[1:] for figure in found[:5])
    assert shape[0] >= 2 or all(np.isnan(figure).all() for figure in found)


def test_a_vector_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="matrix") as caught:
        m.batch_metrics(np.zeros(5))
    assert "[:, None]" in str(caught.value.remedy)


def test_integers_and_columns_in_fortran_order_are_welcome():
    r = np.asfortranarray(strange()[:, :3])
    assert np.array_equal(m.batch_metrics(r).sharpe, m.batch_metrics(r.copy("C")).sharpe, equal_nan=True)
    assert np.isnan(m.batch_metrics(np.zeros((5, 2), np.int64)).sharpe).all()


def test_both_sides_share_one_year_and_one_noise():
    assert (statistics.YEAR, statistics.NOISE) == (ratios.YEAR, ratios.NOISE)
