"""Fundamental figures as vendors show them today. They carry no filing date, so they are known from the moment they were fetched."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl

from mech_exo.datasource.base import FUNDAMENTALS
from mech_exo.datasource.fetching import (
    Outcome,
    RefusedError,
    Status,
    fetch_each,
    outcome_of,
    refuse_nothing,
    settings_from,
    symbols_of,
    utc_now,
)

if TYPE_CHECKING:
    from finnhub import Client
    from polars._typing import PolarsDataType

    from mech_exo.datasource.yahoo import YahooSession

COLUMNS: dict[str, PolarsDataType] = {**FUNDAMENTALS, "known_at": pl.Datetime("us", "UTC"), "source": pl.String}
SNAPSHOT = "snapshot"


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
    "totalDebt": Line("total_debt", "USD"),
    "sharesOutstanding": Line("shares_outstanding", "shares"),
}
"""Fields of quoteSummary. debtToEquity comes in percent; money in the reporting currency, taken only where that is USD."""

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


class FundamentalFetcher:
    """Fetches today's fundamental figures from Yahoo and, where a key is configured, from Finnhub.

    Yahoo's figure is taken where both have one, so that two vendors' definitions do not take turns; Finnhub fills the rest.

    Parameters
    ----------
    config
        None, a ``Config`` or a plain dictionary; see :func:`mech_exo.datasource.fetching.settings_from`.
    clock
        The present instant (tz-aware), which becomes ``known_at``.

    Attributes
    ----------
    report
        One :class:`~mech_exo.datasource.fetching.Outcome` per symbol of the last :meth:`fetch`.
    """

    def __init__(self, config: object = None, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings_from(config)
        self.report: tuple[Outcome, ...] = ()
        self._clock = clock

    def fetch(self, symbols: Sequence[str] | str) -> pl.DataFrame:
        """Long facts: symbol, metric, period_end, fiscal_period "snapshot", value, unit, filed, known_at, source.

        Fractions, not percent; USD. ``filed`` and ``known_at`` are when it was fetched: a vendor says nothing earlier can be
        relied on. A figure the vendor does not give is absent.

        Raises
        ------
        InputError
            A symbol could not be one.
        DataError
            Not one symbol came back with a figure.
        """
        from mech_exo.datasource.yahoo import connected

        wanted = symbols_of(symbols)
        with connected(self.settings) as session:
            answers = dict(fetch_each(wanted, lambda symbol: self._yahoo(symbol, session), self.settings, "fundamentals (Yahoo)"))
        more = self._all_finnhub(wanted)
        frames, report = [], []
        for symbol in wanted:
            parts = [part for part in (answers[symbol], more.get(symbol)) if isinstance(part, pl.DataFrame)]
            trouble = "; ".join(part.detail for part in (answers[symbol], more.get(symbol)) if isinstance(part, Outcome))
            if not parts:
                first = answers[symbol]
                report.append(first if isinstance(first, Outcome) and not trouble else Outcome(symbol, _status(first), detail=trouble))
                continue
            frame = pl.concat(parts).unique(["symbol", "metric"], keep="first", maintain_order=True)
            frames.append(frame)
            report.append(outcome_of(symbol, frame, "period_end", trouble))
        self.report = tuple(report)
        refuse_nothing(self.report, "fundamental figures")
        return pl.concat(frames).sort("symbol", "metric")

    def _yahoo(self, symbol: str, session: YahooSession) -> pl.DataFrame:
        from mech_exo.datasource.yahoo import sorted_failures, ticker

        with sorted_failures():
            info = ticker(symbol, session).get_info()
        quarter = info.get("mostRecentQuarter")
        ended = datetime.fromtimestamp(quarter, UTC).date() if isinstance(quarter, (int, float)) else None
        dollars = info.get("financialCurrency") == "USD" and info.get("currency") == "USD"
        lines = {name: line for name, line in YAHOO.items() if dollars or line.unit != "USD"}
        return self._facts(symbol, info, lines, ended, "yahoo")

    def _all_finnhub(self, symbols: Sequence[str]) -> dict[str, pl.DataFrame | Outcome]:
        if not self.settings.finnhub_key:
            return {}
        from mech_exo.datasource.finnhub import Client

        with Client(self.settings) as client:
            return dict(fetch_each(symbols, lambda symbol: self._finnhub(symbol, client), self.settings, "fundamentals (Finnhub)"))

    def _finnhub(self, symbol: str, client: Client) -> pl.DataFrame:
        from mech_exo.datasource.finnhub import sorted_failures

        with sorted_failures():
            answer = client.company_basic_financials(symbol, "all")
        figures = answer.get("metric") if isinstance(answer, dict) else None
        if not figures:
            raise RefusedError(Status.UNKNOWN, "Finnhub has no figures for it")
        return self._facts(symbol, figures, FINNHUB, None, "finnhub")

    def _facts(
        self, symbol: str, figures: Mapping[str, object], lines: Mapping[str, Line], quarter: date | None, source: str
    ) -> pl.DataFrame:
        """Rows of the figures that are finite numbers; one of a quarter nobody names is left out."""
        now = self._clock().astimezone(UTC)
        rows = []
        for name, line in lines.items():
            value, ended = figures.get(name), now.date() if line.priced else quarter
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or ended is None:
                continue
            rows.append((symbol, line.metric, ended, SNAPSHOT, value * line.scale, line.unit, now.date(), now, source))
        if not rows:
            raise RefusedError(Status.EMPTY, f"{source} shows no figure for it")
        return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def _status(answer: object) -> Status:
    return answer.status if isinstance(answer, Outcome) else Status.FAILED
