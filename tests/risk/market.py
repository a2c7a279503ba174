"""Real prices of twenty large names and the index as a market that risk may see, and books of them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from mech_exo.domain.panel import BarPanel
from mech_exo.risk import Portfolio, Position
from mech_exo.risk.model import Market

NOW = datetime(2009, 12, 31, tzinfo=UTC)
YEAR = math.sqrt(252.0)


def market_of(shared, upto):
    """Closes from 2003 to ``upto`` of skfolio's sample (adjusted: they are total returns) beside the S&P 500's own returns."""
    prices = pl.read_csv(shared("data/prices/skfolio_sp500_20_adjclose_1990_2022.csv.gz"), try_parse_dates=True)
    index = pl.read_csv(shared("data/prices/skfolio_sp500_index_1990_2022.csv.gz"), try_parse_dates=True)
    both = prices.join(index, on="Date").filter(pl.col("Date").is_between(date(2003, 1, 1), date.fromisoformat(upto)))
    level = both[index.columns[1]].to_numpy()
    symbols = sorted(prices.columns[1:])
    close = both.select(symbols).to_numpy()
    bars = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.full(close.shape, 1e6)}
    panel = BarPanel.from_arrays(both["Date"].to_numpy().astype("datetime64[D]"), symbols, bars)
    return Market(panel, np.append(np.nan, level[1:] / level[:-1] - 1.0), "the S&P 500")


def prices_of(market):
    """Last closes by symbol."""
    return dict(zip(market.panel.symbols, market.panel.close[-1].tolist(), strict=True))


def portfolio_of(prices, shares, sectors=None, nav=100_000.0):
    """A book of ``shares`` at ``prices`` whose NAV is ``nav``."""
    held = {s: Position(s, n, prices[s], prices[s], NOW, (sectors or {}).get(s)) for s, n in shares.items()}
    return Portfolio(nav - sum(p.market_value for p in held.values()), held)
