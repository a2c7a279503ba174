"""From vendors' fields to rows of the table of facts: what Yahoo and Finnhub show, in our words and units.

They show no filing date, so everything is known from the moment it was fetched and not a day earlier.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from mech_exo.datasource.accounts.metrics import AS_OF_DAY, FLOWS, STATEMENT, Span
from mech_exo.datasource.base import FUNDAMENTALS

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

COLUMNS: dict[str, PolarsDataType] = {**FUNDAMENTALS, "known_at": pl.Datetime("us", "UTC"), "source": pl.String}
Row = tuple[str, date, str, float, str]
"""metric, period_end, fiscal_period, value, unit."""


@dataclass(frozen=True, slots=True)
class Line:
    """How a vendor's field becomes a metric: ``scale`` turns percent or millions into fractions or USD; ``priced``: it moves
    with the price, so its period is the day it was fetched and not the last quarter."""

    metric: str
    unit: str
    scale: float = 1.0
    priced: bool = False


YAHOO = {
    "trailingPE": Line("pe_ratio", "ratio", priced=True),
    "forwardPE": Line("forward_pe", "ratio", priced=True),
    "priceToBook": Line("price_to_book", "ratio", priced=True),
    "priceToSalesTrailing12Months": Line("price_to_sales", "ratio", priced=True),
    "trailingAnnualDividendYield": Line("dividend_yield", "fraction", priced=True),
    "marketCap": Line("market_cap", "USD", priced=True),
    "returnOnEquity": Line("return_on_equity", "fraction"),
    "returnOnAssets": Line("return_on_assets", "fraction"),
    "revenueGrowth": Line("revenue_growth", "fraction"),
    "earningsGrowth": Line("earnings_growth", "fraction"),
    "grossMargins": Line("gross_margin", "fraction"),
    "operatingMargins": Line("operating_margin", "fraction"),
    "profitMargins": Line("net_margin", "fraction"),
    "debtToEquity": Line("debt_to_equity", "ratio", scale=0.01),
    "currentRatio": Line("current_ratio", "ratio"),
    "totalRevenue": Line("revenue_ttm", "USD"),
    "freeCashflow": Line("free_cash_flow_ttm", "USD"),
    "operatingCashflow": Line("operating_cash_flow_ttm", "USD"),
    "sharesOutstanding": Line("shares_outstanding", "shares", priced=True),
}
"""Fields of quoteSummary. debtToEquity comes in percent; money in the reporting currency, taken only where that is USD. The growth
figures are of the last quarter against the same a year before."""

YAHOO_STATEMENTS = {
    "TotalRevenue": Line("revenue", "USD"),
    "CostOfRevenue": Line("cost_of_revenue", "USD"),
    "GrossProfit": Line("gross_profit", "USD"),
    "OperatingIncome": Line("operating_income", "USD"),
    "NetIncome": Line("net_income", "USD"),
    "DilutedEPS": Line("eps_diluted", "USD/share"),
    "OperatingCashFlow": Line("operating_cash_flow", "USD"),
    "CapitalExpenditure": Line("capital_expenditure", "USD", scale=-1.0),
    "DepreciationAmortizationDepletion": Line("depreciation", "USD"),
    "TotalAssets": Line("total_assets", "USD"),
    "CurrentAssets": Line("current_assets", "USD"),
    "CurrentLiabilities": Line("current_liabilities", "USD"),
    "StockholdersEquity": Line("total_equity", "USD"),
    "TotalDebt": Line("total_debt", "USD"),
    "LongTermDebt": Line("long_term_debt", "USD"),
    "CashAndCashEquivalents": Line("cash", "USD"),
    "AccountsReceivable": Line("receivables", "USD"),
    "Inventory": Line("inventory", "USD"),
    "BasicAverageShares": Line("average_shares", "shares"),
}
"""Types of fundamentalsTimeSeries, each asked for by quarter and by year."""
PREFIXES = {"quarterly": Span.QUARTER, "annual": Span.YEAR}

FINNHUB = {
    "peTTM": Line("pe_ratio", "ratio", priced=True),
    "forwardPE": Line("forward_pe", "ratio", priced=True),
    "pbQuarterly": Line("price_to_book", "ratio", priced=True),
    "psTTM": Line("price_to_sales", "ratio", priced=True),
    "marketCapitalization": Line("market_cap", "USD", scale=1e6, priced=True),
    "roeTTM": Line("return_on_equity", "fraction", scale=0.01, priced=True),
    "roaTTM": Line("return_on_assets", "fraction", scale=0.01, priced=True),
    "revenueGrowthTTMYoy": Line("revenue_growth_ttm", "fraction", scale=0.01, priced=True),
    "epsGrowthTTMYoy": Line("eps_growth_ttm", "fraction", scale=0.01, priced=True),
    "grossMarginTTM": Line("gross_margin", "fraction", scale=0.01, priced=True),
    "operatingMarginTTM": Line("operating_margin", "fraction", scale=0.01, priced=True),
    "netProfitMarginTTM": Line("net_margin", "fraction", scale=0.01, priced=True),
    "totalDebt/totalEquityQuarterly": Line("debt_to_equity", "ratio", priced=True),
    "currentRatioQuarterly": Line("current_ratio", "ratio", priced=True),
}
"""Fields of "basic financials". No field says which quarter it belongs to, so every one is dated by the day it was fetched."""
OPINIONS = {"strongBuy": 1.0, "buy": 0.5, "hold": 0.0, "sell": -0.5, "strongSell": -1.0}


def frame_of(symbol: str, rows: Sequence[Row], source: str, now: datetime) -> pl.DataFrame:
    """``rows`` as facts of ``symbol``, each of its key once (the first), filed and known ``now``."""
    full = [(symbol, *row, now.date(), now, source) for row in rows]
    return pl.DataFrame(full, schema=COLUMNS, orient="row").unique(
        ["metric", "period_end", "fiscal_period"], keep="first", maintain_order=True
    )


def shown(figures: Mapping[str, object], lines: Mapping[str, Line], quarter: date | None, today: date) -> Iterator[Row]:
    """Rows of the fields that are finite numbers; one of a quarter nobody names is left out."""
    for name, line in lines.items():
        value, ended = _number(figures.get(name)), today if line.priced else quarter
        if value is None or ended is None or ended > today:
            continue
        span = Span.INSTANT if line.metric in AS_OF_DAY else Span.SNAPSHOT
        yield line.metric, ended, span.value, value * line.scale, line.unit


def yahoo_types() -> str:
    """The types of :data:`YAHOO_STATEMENTS` as fundamentalsTimeSeries wants them."""
    return ",".join(prefix + name for prefix in PREFIXES for name in YAHOO_STATEMENTS)


def companies_in(series: Sequence[Mapping[str, Any]]) -> set[str]:
    """The symbols an answer of fundamentalsTimeSeries says it is about."""
    return {str(name) for one in series for name in one["meta"].get("symbol") or ()}


def yahoo_statements(series: Sequence[Mapping[str, Any]], today: date) -> Iterator[Row]:
    """Rows of an answer of fundamentalsTimeSeries: quarters and years, in USD only."""
    points = {one["meta"]["type"][0]: one.get(one["meta"]["type"][0]) or () for one in series}
    for prefix, span in PREFIXES.items():
        for name, line in YAHOO_STATEMENTS.items():
            for point in points.get(prefix + name, ()):
                value = _number((point or {}).get("reportedValue", {}).get("raw"))
                if value is None or ("USD" in line.unit and point.get("currencyCode") != "USD"):
                    continue
                ended = date.fromisoformat(point["asOfDate"])
                lasting = line.metric in FLOWS or line.metric == "average_shares"
                if ended <= today:
                    yield line.metric, ended, (span if lasting else Span.INSTANT).value, value * line.scale, line.unit


def mean_rating(mean: object, today: date) -> Iterator[Row]:
    """Yahoo's mean from 1 (strong buy) to 5 (strong sell) as a score from 1 to -1."""
    value = _number(mean)
    if value is not None and 1.0 <= value <= 5.0:
        yield "analyst_rating", today, Span.INSTANT.value, (3.0 - value) / 2.0, AS_OF_DAY["analyst_rating"]


def counted_rating(trends: object, today: date) -> Iterator[Row]:
    """The mean opinion of Finnhub's newest month: strong buy 1, buy 1/2, hold 0, sell -1/2, strong sell -1."""
    months = [one for one in trends if isinstance(one, dict) and one.get("period")] if isinstance(trends, list) else []
    if not months:
        return
    newest = max(months, key=lambda one: str(one["period"]))
    counts = {name: _number(newest.get(name)) or 0.0 for name in OPINIONS}
    total = sum(counts.values())
    if total > 0:
        mean = sum(OPINIONS[name] * count for name, count in counts.items()) / total
        yield "analyst_rating", today, Span.INSTANT.value, mean, AS_OF_DAY["analyst_rating"]


def quarter_of(info: Mapping[str, object]) -> date | None:
    """The quarter Yahoo's figures belong to."""
    stamp = _number(info.get("mostRecentQuarter"))
    return None if stamp is None else datetime.fromtimestamp(stamp, UTC).date()


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


assert {line.metric for line in YAHOO_STATEMENTS.values()} <= set(STATEMENT)
