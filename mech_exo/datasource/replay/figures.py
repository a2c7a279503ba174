"""Key figures of a sample company as a vendor would show them on the market's last evening."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.replay.when import opening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mech_exo.datasource.demo import SampleMarket

FINNHUB = {
    "peTTM": ("trailingPE", 1.0), "pbQuarterly": ("priceToBook", 1.0), "psTTM": ("priceToSalesTrailing12Months", 1.0),
    "marketCapitalization": ("marketCap", 1e-6), "roeTTM": ("returnOnEquity", 100.0), "roaTTM": ("returnOnAssets", 100.0),
    "grossMarginTTM": ("grossMargins", 100.0), "operatingMarginTTM": ("operatingMargins", 100.0),
    "netProfitMarginTTM": ("profitMargins", 100.0), "totalDebt/totalEquityQuarterly": ("debtToEquity", 0.01),
}  # fmt: skip
"""Finnhub's names, ours of the same figure (which are Yahoo's), and what ours is multiplied by."""


@dataclass(frozen=True, slots=True)
class Figures:
    """``values`` under Yahoo's names and in its units (debtToEquity in percent), only those that exist; ``quarter``: seconds since 1970."""

    values: Mapping[str, float]
    quarter: int | None

    def pick(self, *names: str) -> dict[str, float]:
        """The figures of these names that there are."""
        return {name: self.values[name] for name in names if name in self.values}

    def finnhub(self) -> dict[str, float]:
        """The figures Finnhub shows, in its names and units."""
        return {theirs: self.values[ours] * scale for theirs, (ours, scale) in FINNHUB.items() if ours in self.values}


def figures_of(market: SampleMarket, symbol: str) -> Figures:
    """What can be said of ``symbol`` from its filings and its last price; a figure that cannot be, like growth from a loss, is absent."""
    rows = market.fundamentals.filter(pl.col("symbol") == symbol).sort("metric", "period_end", "filed")
    latest = rows.group_by("metric", "period_end", maintain_order=True).last()
    quarters = {str(name[0]): part["value"].to_list() for name, part in latest.partition_by("metric", as_dict=True).items()}
    ended = rows.filter(pl.col("metric") != "shares_outstanding")["period_end"].max()

    def last(metric: str) -> float:
        return float(quarters[metric][-1]) if quarters.get(metric) else float("nan")

    def year(metric: str) -> float:
        found = quarters.get(metric, [])[-4:]
        return float(sum(found)) if len(found) == 4 else float("nan")

    def growth(metric: str) -> float:
        found = quarters.get(metric, [])
        return found[-1] / found[-5] - 1.0 if len(found) > 4 and found[-5] > 0.0 else float("nan")

    panel = market.panel
    column = panel.symbols.index(symbol)
    close = panel.close[:, column]
    price = float(close[-1])
    cap = price * last("shares_outstanding")
    paid = float(np.sum(panel.dividend[-252:, column]))
    net, equity, revenue = year("net_income"), last("total_equity"), year("revenue")
    found = {
        "currentPrice": price,
        "marketCap": cap,
        "sharesOutstanding": last("shares_outstanding"),
        "trailingPE": cap / net if net > 0.0 else float("nan"),
        "priceToBook": cap / equity if equity > 0.0 else float("nan"),
        "priceToSalesTrailing12Months": cap / revenue,
        "trailingAnnualDividendYield": paid / price,
        "returnOnEquity": net / equity if equity > 0.0 else float("nan"),
        "returnOnAssets": net / last("total_assets"),
        "revenueGrowth": growth("revenue"),
        "earningsGrowth": growth("net_income"),
        "grossMargins": year("gross_profit") / revenue,
        "operatingMargins": year("operating_income") / revenue,
        "profitMargins": net / revenue,
        "debtToEquity": 100.0 * last("total_debt") / equity if equity > 0.0 else float("nan"),
        "totalRevenue": revenue,
        "operatingCashflow": year("operating_cash_flow"),
        "totalDebt": last("total_debt"),
    }
    finite = {name: value for name, value in found.items() if np.isfinite(value)}
    return Figures(finite, opening(ended, 0.0) if isinstance(ended, date) else None)
