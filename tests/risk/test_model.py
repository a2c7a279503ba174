"""What a book risks: against NumPy on real prices, components against finite differences, unknowns that stay unknown."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import polars as pl
import pytest

from mech_exo.domain.panel import BarPanel
from mech_exo.risk import Portfolio
from mech_exo.risk.model import Market, Terms, book_risk
from tests.risk.market import NOW, YEAR, market_of, portfolio_of, prices_of

NAN = math.nan
HELD = {"AAPL": 30, "GE": -60, "JPM": 120, "PG": 90, "XOM": 150}


@pytest.fixture(scope="module")
def real(shared):
    return market_of(shared, upto="2009-12-31")


def returns_of(market, symbols, window=252):
    close = np.column_stack([market.panel.close[-window - 1 :, market.panel.column_of(s)] for s in symbols])
    return close[1:] / close[:-1] - 1.0


def test_every_figure_on_real_prices_equals_numpy(real):
    portfolio = portfolio_of(prices_of(real), HELD)
    risk = book_risk(portfolio, real)
    values = np.array([p.market_value for p in portfolio.positions.values()])
    returns = returns_of(real, HELD)
    pnl = returns @ values
    covariance = np.cov(returns, rowvar=False)
    sigma = np.sqrt(values @ covariance @ values * 252.0)
    assert risk.unknown == {}
    assert risk.volatility_ann == pytest.approx(sigma, rel=1e-10)
    without = np.sqrt(np.maximum(np.outer(values, values) * covariance, 0.0).sum() * 252.0)
    assert risk.volatility_without_offsets == pytest.approx(without, rel=1e-10) and without > sigma
    assert risk.value_at_risk == pytest.approx(-np.quantile(pnl, 0.05), rel=1e-10)
    assert risk.value_at_risk_without_offsets == pytest.approx(-np.quantile(np.minimum(returns * values, 0.0).sum(axis=1), 0.05), rel=1e-10)
    tail = np.sort(pnl)[:13]
    assert risk.expected_shortfall == pytest.approx(-(tail[:12].sum() + 0.6 * tail[12]) / 12.6, rel=1e-10)
    assert risk.normal_value_at_risk == pytest.approx(1.6448536269514722 * sigma / YEAR, rel=1e-10)
    assert risk.normal_expected_shortfall == pytest.approx(2.0627128075074257 * sigma / YEAR, rel=1e-10)
    slopes = np.array([np.cov(r, real.returns[-252:])[0, 1] for r in returns.T]) / np.var(real.returns[-252:], ddof=1)
    assert risk.beta == pytest.approx(values @ slopes / portfolio.nav, rel=1e-9)
    assert [line.beta for line in risk.positions] == pytest.approx(slopes, rel=1e-9)
    together = np.corrcoef(returns * np.sign(values), rowvar=False)
    pairs = np.where(np.tri(5, k=-1, dtype=bool), together, NAN)
    i, j = np.unravel_index(np.nanargmax(pairs), pairs.shape)
    names = list(HELD)
    assert risk.worst_pair == (names[j], names[i], pytest.approx(together[i, j], rel=1e-10))
    assert risk.average_correlation == pytest.approx(np.nanmean(pairs), rel=1e-9)
    assert risk.top_five == pytest.approx(np.abs(values).sum() / portfolio.nav)
    assert [line.volatility_ann for line in risk.positions] == pytest.approx(returns.std(axis=0, ddof=1) * YEAR, rel=1e-10)


def test_components_are_the_slope_of_the_volatility_and_sum_to_it(real):
    """Euler: each component is the size times ∂σ/∂size, here from the volatility of books with one position more or less."""
    prices = prices_of(real)
    risk = book_risk(portfolio_of(prices, HELD), real)
    assert sum(line.component for line in risk.positions) == pytest.approx(risk.volatility_ann, rel=1e-12)
    assert sum(line.share for line in risk.positions) == pytest.approx(1.0, rel=1e-12)
    for symbol, shares in HELD.items():
        more, less = (book_risk(portfolio_of(prices, HELD | {symbol: shares * (1.0 + e)}), real).volatility_ann for e in (1e-4, -1e-4))
        assert risk.position(symbol).component == pytest.approx((more - less) / 2e-4, rel=1e-5)
    assert risk.position("GE").component < 0.0, "the one short hedges"


def test_a_short_history_makes_the_book_unknown_and_is_named(real):
    panel = real.panel
    close = panel.close.copy()
    close[:-100, panel.column_of("PG")] = NAN
    bars = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": panel.volume}
    young = Market(BarPanel.from_arrays(panel.sessions, panel.symbols, bars), real.returns)
    risk = book_risk(portfolio_of(prices_of(real), HELD), young)
    assert set(risk.unknown) == {"PG"} and "99 returns in the last 252 sessions, 126 are needed" in risk.unknown["PG"]
    whole = astuple(risk)[3:15]
    assert whole == (None,) * 12, "not one figure of the book is made of what is left"
    assert risk.position("PG").volatility_ann is None and risk.position("AAPL").volatility_ann > 0.0
    assert risk.position("AAPL").component is None and risk.top_five is not None
    assert book_risk(portfolio_of(prices_of(real), {"AAPL": 30}), young).volatility_ann is not None


def test_names_that_are_not_stored_and_a_market_that_is_not(real):
    prices = prices_of(real)
    risk = book_risk(portfolio_of(prices | {"ZZZ": 10.0}, {"AAPL": 10, "ZZZ": 5}), real)
    assert risk.unknown == {"ZZZ": "it has no bars in the store"} and risk.volatility_ann is None and risk.days_to_exit is None
    blind = book_risk(portfolio_of(prices, HELD), Market(real.panel, None))
    assert blind.beta is None and blind.volatility_ann is not None and set(blind.unknown) == set(HELD)
    nothing = book_risk(portfolio_of(prices, HELD), None)
    assert nothing.volatility_ann is None and nothing.unknown["AAPL"] == "no bars are stored" and nothing.top_five is not None


def test_an_empty_book_risks_nothing(real):
    for market in (real, None):
        risk = book_risk(Portfolio(100_000.0), market)
        assert (risk.volatility_ann, risk.value_at_risk, risk.beta, risk.top_five, risk.days_to_exit) == (0.0,) * 5
        assert (risk.average_correlation, risk.worst_pair, risk.positions, dict(risk.unknown)) == (None, None, (), {})


def test_days_to_exit_by_hand():
    """10 sessions of 1,000 shares and, after a 2 for 1 split, 10 of 4,000: today's shares 3,000 a day."""
    sessions = np.datetime64("2024-01-01") + np.arange(40)
    close, volume, ratio = np.full((40, 1), 50.0), np.full((40, 1), 9e9), np.ones((40, 1))
    volume[20:30], volume[30:], ratio[30] = 1000.0, 4000.0, 2.0
    bars = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": volume, "split_ratio": ratio}
    panel = BarPanel.from_arrays(sessions, ["AAA"], bars)
    risk = book_risk(portfolio_of({"AAA": 50.0}, {"AAA": -1500}), Market(panel), Terms(participation=0.25))
    assert risk.days_to_exit == 2.0 and risk.position("AAA").days_to_exit == 2.0
    volume[20:] = NAN
    silent = Market(BarPanel.from_arrays(sessions, ["AAA"], bars))
    assert book_risk(portfolio_of({"AAA": 50.0}, {"AAA": 1}), silent).days_to_exit is None


def test_the_largest_five_count():
    sizes = {f"S{k}": 10 * k for k in range(1, 8)}
    risk = book_risk(portfolio_of(dict.fromkeys(sizes, 10.0), sizes | {"S7": -70}), None)
    assert risk.top_five == pytest.approx((70 + 60 + 50 + 40 + 30) * 10.0 / 100_000.0)


def test_the_reference_is_what_it_says(shared):
    """The fixture reads the prices it claims to: the index fell by 38 % in 2008."""
    index = pl.read_csv(shared("data/prices/skfolio_sp500_index_1990_2022.csv.gz"), try_parse_dates=True)
    year = index.filter(pl.col("Date").dt.year() == 2008)
    assert year[-1, 1] / index.filter(pl.col("Date").dt.year() == 2007)[-1, 1] - 1.0 == pytest.approx(-0.385, abs=0.005)
    assert NOW.year == 2009
