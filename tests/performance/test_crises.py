"""Named bad times: what lies inside a window, which are left out, which are partial."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import polars as pl
import pytest

from mech_exo.performance.crises import CRISES, Window, crisis_table
from tests.reporting.sample import weekdays

DAYS = weekdays(1300, "2007-06-01")  # to May 2012
NAMES = ["Financial crisis", "After Lehman", "Flash crash and Greece", "US downgrade, euro crisis"]


def test_windows_outside_the_record_are_left_out_and_the_rest_compound():
    rng = np.random.default_rng(1)
    mine, market = rng.normal(0, 0.01, len(DAYS)), rng.normal(0, 0.01, len(DAYS))
    table = crisis_table(DAYS, mine, market)
    assert [crisis.name for crisis in table] == NAMES and not any(crisis.partial for crisis in table)
    lehman = table[1]
    inside = (np.datetime64("2008-09-22") <= DAYS) & (np.datetime64("2008-11-20") >= DAYS)
    assert (lehman.sessions, lehman.first, lehman.last) == (inside.sum(), date(2008, 9, 22), date(2008, 11, 20))
    assert lehman.total_return == pytest.approx(np.prod(1 + mine[inside]) - 1)
    assert lehman.benchmark_return == pytest.approx(np.prod(1 + market[inside]) - 1)
    curve = np.cumprod(np.r_[1, 1 + mine[inside]])
    assert lehman.max_drawdown == pytest.approx(max(1 - b / a for i, a in enumerate(curve) for b in curve[i:]))


def test_a_record_that_begins_or_ends_inside_a_window_says_so():
    part = DAYS[(np.datetime64("2008-10-01") <= DAYS) & (np.datetime64("2008-10-31") >= DAYS)]
    table = crisis_table(part, np.full(len(part), -0.01))
    assert [(crisis.name, crisis.partial) for crisis in table] == [("Financial crisis", True), ("After Lehman", True)]
    assert table[0].first == date(2008, 10, 1) and table[0].sessions == len(part)


def test_an_unknown_benchmark_is_unknown_only_where_it_is():
    market = np.full(len(DAYS), -0.001)
    market[np.datetime64("2011-08-08") == DAYS] = np.nan
    table = {crisis.name: crisis for crisis in crisis_table(DAYS, market * 0, market)}
    assert math.isnan(table["US downgrade, euro crisis"].benchmark_return) and table["After Lehman"].benchmark_max_drawdown > 0
    assert all(math.isnan(crisis.benchmark_return) for crisis in crisis_table(DAYS, market * 0))


def test_no_session_no_table_and_a_window_of_ones_own():
    assert crisis_table(DAYS[:0], np.empty(0)) == ()
    (mine,) = crisis_table(DAYS, np.zeros(len(DAYS)), windows=(Window("June", date(2008, 6, 1), date(2008, 6, 30)),))
    assert (mine.sessions, mine.total_return, mine.max_drawdown) == (21, 0.0, 0.0)


def test_every_window_is_a_fall_of_the_real_index_from_a_closing_high_to_a_closing_low(shared):
    assert [w.start for w in CRISES] == sorted(w.start for w in CRISES) and all(w.start < w.end for w in CRISES)
    index = pl.read_csv(shared("data/prices/skfolio_sp500_index_1990_2022.csv.gz"), try_parse_dates=True)
    dates, close = index[:, 0].to_numpy().astype("datetime64[D]"), index[:, 1].to_numpy().astype(float)
    seen = crisis_table(dates[1:], close[1:] / close[:-1] - 1)
    assert len(seen) == sum(np.datetime64(window.end) <= dates[-1] for window in CRISES) == 10
    for crisis in seen:
        begin, end = np.flatnonzero(dates == np.datetime64(crisis.start))[0], np.flatnonzero(dates == np.datetime64(crisis.end))[0]
        part = close[begin - 1 : end + 1]
        assert (part[0], part[-1]) == (part.max(), part.min()), crisis.name
        assert crisis.total_return == pytest.approx(part[-1] / part[0] - 1) and crisis.total_return < -0.09
        assert crisis.max_drawdown == pytest.approx(-crisis.total_return) and not crisis.partial
