"""Stress scenarios in dollars, each by hand; history that the store holds is replayed, and what is not measured is named."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import polars as pl
import pytest

from mech_exo.domain.panel import BarPanel
from mech_exo.risk import Portfolio
from mech_exo.risk.model import Market, Terms, book_risk
from mech_exo.risk.stress import SCENARIOS, stress
from tests.risk.market import market_of, portfolio_of, prices_of

HELD = {"AAPL": 30, "GE": -400, "JPM": 120, "PG": 90, "XOM": 150}
SECTORS = {"AAPL": "Technology", "GE": "Industrials", "JPM": "Financials", "PG": "Staples", "XOM": "Energy"}


def lines_of(portfolio, market):
    return {line.scenario: line for line in stress(portfolio, market)}


@pytest.fixture(scope="module")
def real(shared):
    return market_of(shared, upto="2022-06-30")


def move(market, symbol, first, last):
    close = market.panel.close[:, market.panel.column_of(symbol)]
    return close[market.panel.row_of(last)] / close[market.panel.row_of(first)] - 1.0


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("2008, peak to trough", date(2007, 10, 9), date(2009, 3, 9)),
        ("2008, after Lehman", date(2008, 9, 19), date(2008, 11, 20)),
        ("2020-03", date(2020, 2, 19), date(2020, 3, 23)),
    ],
)
def test_history_that_is_stored_is_replayed(real, shared, name, first, last):
    prices = prices_of(real)
    line = lines_of(portfolio_of(prices, HELD), real)[name]
    by_hand = {s: n * prices[s] * move(real, s, first, last) for s, n in HELD.items()}
    assert line.pnl == pytest.approx(sum(by_hand.values()), rel=1e-9) and line.fraction == pytest.approx(line.pnl / 100_000.0)
    worst = min(by_hand, key=by_hand.get)
    assert line.worst == (worst, pytest.approx(by_hand[worst], rel=1e-9))
    assert line.basis == "own returns then (5)" and line.unmeasured == ()


def test_the_documented_index_moves_are_the_indexs(shared):
    index = pl.read_csv(shared("data/prices/skfolio_sp500_index_1990_2022.csv.gz"), try_parse_dates=True)
    level = dict(zip(index["Date"].to_list(), index[index.columns[1]].to_list(), strict=True))
    for day, value in (
        (date(2007, 10, 9), 1565.15), (date(2009, 3, 9), 676.53), (date(2008, 9, 19), 1255.08), (date(2008, 11, 20), 752.44),
        (date(2020, 2, 19), 3386.15), (date(2020, 3, 23), 2237.40),
    ):  # fmt: skip
        assert level[day] == pytest.approx(value, abs=0.006), day


def test_without_that_history_it_is_beta_times_the_market(real):
    """A store that begins in 2021: no name has bars of any crisis."""
    first = real.panel.row_of(date(2021, 1, 4))
    late = Market(real.panel.rows(first, len(real.panel.sessions)), real.returns[first:], "the S&P 500")
    prices = prices_of(real)
    portfolio = portfolio_of(prices, HELD)
    slopes = {line.symbol: line.beta for line in book_risk(portfolio, late).positions}
    dollars = sum(n * prices[s] * slopes[s] for s, n in HELD.items())
    found = lines_of(portfolio, late)
    assert found["2008, after Lehman"].pnl == pytest.approx(dollars * (752.44 / 1255.08 - 1.0), rel=1e-9)
    assert found["2020-03"].basis == "beta × −33.9\u00a0% (5)"
    assert found["1987-like gap"].pnl == pytest.approx(dollars * -0.2, rel=1e-9)


def test_an_unknown_beta_is_not_measured_and_named(real):
    prices = prices_of(real)
    line = lines_of(portfolio_of(prices | {"ZZZ": 10.0}, HELD | {"ZZZ": 50}), real)["1987-like gap"]
    assert line.unmeasured == ("ZZZ",) and line.basis.endswith("(5)")
    assert line.pnl == pytest.approx(lines_of(portfolio_of(prices, HELD), real)["1987-like gap"].pnl)
    blind = lines_of(portfolio_of(prices, HELD), Market(real.panel, None))
    assert (blind["1987-like gap"].pnl, blind["1987-like gap"].fraction, blind["1987-like gap"].basis) == (None, None, "not measured")
    assert set(blind["1987-like gap"].unmeasured) == set(HELD) and blind["2020-03"].pnl is not None
    for line in stress(portfolio_of(prices, HELD), None):
        assert line.pnl is None and set(line.unmeasured) == set(HELD)


def test_the_worst_sector_falls_by_30_percent():
    prices = {"A": 100.0, "B": 50.0, "C": 20.0, "D": 10.0}
    sectors = {"A": "Tech", "B": "Tech", "C": "Energy"}
    shares = {"A": 100, "B": -60, "C": 400, "D": 50}  # Tech 10,000 − 3,000; Energy 8,000; D nobody knows where
    line = lines_of(portfolio_of(prices, shares, sectors), None)["sector -30 %"]
    assert line.pnl == pytest.approx(-0.3 * 8000.0) and line.detail == "Energy" and line.worst == ("C", pytest.approx(-2400.0))
    assert line.unmeasured == ("D",)
    shorts = lines_of(portfolio_of(prices, {"A": -10}, sectors), None)["sector -30 %"]
    assert (shorts.pnl, shorts.worst) == (0.0, None) and shorts.detail == "no sector loses"


@pytest.fixture
def two():
    """Two names over 21 sessions: each loses in one of 20, on different days, so that the book's worst is one alone."""
    a, b = np.full(20, 0.001), np.full(20, 0.002)
    a[4], b[9] = -0.10, -0.20
    close = np.vstack([[100.0, 100.0], 100.0 * np.cumprod(1.0 + np.column_stack([a, b]), axis=0)])
    bars = dict.fromkeys(("open", "high", "low", "close", "volume"), close)
    panel = BarPanel.from_arrays(np.datetime64("2024-01-01") + np.arange(21), ["A", "B"], bars)
    return portfolio_of({"A": 10.0, "B": 10.0}, {"A": 1000, "B": 400}), Market(panel)


def test_correlation_one_and_volatility_by_hand(two):
    """A loses 1,000 in its worst session, B 800; together they lost 992 at worst (A down, B up 8)."""
    portfolio, market = two
    found = {line.scenario: line for line in stress(portfolio, market, Terms(window=20))}
    assert found["correlation 1"].pnl == pytest.approx(-1800.0) and found["correlation 1"].worst == ("A", pytest.approx(-1000.0))
    tripled = found["volatility × 3"]
    assert tripled.pnl == pytest.approx(3 * -992.0) and tripled.worst == ("A", pytest.approx(-3000.0))
    assert book_risk(portfolio, market, Terms(window=20)).expected_shortfall == pytest.approx(992.0)


def test_an_empty_book_loses_nothing(two):
    for market in (two[1], None):
        lines = stress(Portfolio(100_000.0), market)
        assert [line.scenario for line in lines] == [scenario.name for scenario in SCENARIOS]
        assert all((line.pnl, line.fraction, line.worst, line.unmeasured) == (0.0, 0.0, None, ()) for line in lines)


def test_a_stop_changes_nothing(two):
    portfolio, market = two
    stopped = portfolio_of({"A": 10.0, "B": 10.0}, {"A": 1000, "B": 400})
    object.__setattr__(stopped.positions["A"], "stop_level", 9.99)
    assert [x.pnl for x in stress(stopped, market, Terms(window=20))] == [x.pnl for x in stress(portfolio, market, Terms(window=20))]
    assert not math.isnan(sum(x.pnl or 0.0 for x in stress(portfolio, market, Terms(window=20))))
