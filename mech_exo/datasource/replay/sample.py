"""The synthetic sample market in the vendors' wire formats: what Yahoo, Finnhub and the SEC would answer about invented companies."""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, time
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource import adjust
from mech_exo.datasource.demo import LABEL
from mech_exo.datasource.replay.figures import figures_of
from mech_exo.datasource.replay.filings import company_facts, company_tickers
from mech_exo.datasource.replay.server import Answer, Asked, Replay, data, page
from mech_exo.datasource.replay.when import day_of, opening

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.datasource.demo import SampleMarket

RANGES = {"1d": 1, "5d": 5, "1mo": 21, "3mo": 63, "6mo": 126, "1y": 252, "2y": 504, "5y": 1260, "10y": 2520, "max": 100_000}
COOKIE = "A3=sample; Max-Age=31557600; Domain=.yahoo.com; Path=/; Secure"
FINANCIAL = (
    "currentPrice", "returnOnEquity", "returnOnAssets", "revenueGrowth", "earningsGrowth", "grossMargins", "operatingMargins",
    "profitMargins", "debtToEquity", "totalRevenue", "operatingCashflow", "totalDebt",
)  # fmt: skip
NOT_FOUND = {"code": "Not Found", "description": "No data found, symbol may be delisted"}


class SampleVendors:
    """Answers about ``market`` as known when its last session's news are out. ``key``: the one Finnhub accepts."""

    def __init__(self, market: SampleMarket, *, key: str = "sample") -> None:
        self.market, self.key = market, key
        self._column = {name: place for place, name in enumerate(market.panel.symbols)}
        self._crumb = secrets.token_hex(6)

    @property
    def now(self) -> datetime:
        """The instant these answers are of: an hour and a half before midnight (UTC) of the last session."""
        last: date = self.market.panel.sessions[-1].astype(object)
        return datetime.combine(last, time(22, 30), UTC)

    def serve(self, replay: Replay) -> None:
        """Let ``replay`` answer for Yahoo, Finnhub and the SEC."""
        routes = {
            "fc.yahoo.com": lambda _: Answer(404, b"", "text/html", {"Set-Cookie": COOKIE}),
            "v1/test/getcrumb": lambda _: Answer(200, self._crumb.encode(), "text/plain"),
            "v8/finance/chart/": self.chart,
            "v10/finance/quoteSummary/": self.quote_summary,
            "v7/finance/quote": lambda _: data({"quoteResponse": {"result": [], "error": None}}),
            "fundamentals-timeseries": lambda _: data({"timeseries": {"result": [], "error": None}}),
            "v1/finance/search": self.search,
            "/company-news": self.company_news,
            "/stock/metric": self.metric,
            "/stock/recommendation": lambda asked: self._keyed(asked) or data([]),
            "files/company_tickers.json": lambda _: data(company_tickers(self.market.panel.symbols)),
            "api/xbrl/companyfacts/": self.facts,
        }
        for piece, route in routes.items():
            replay.serve(piece, route)

    def chart(self, asked: Asked) -> Answer:
        """Yahoo's v8 chart: prices divided, and volumes multiplied, by every later split."""
        symbol = asked.path.rpartition("/")[2]
        column = self._column.get(symbol)
        if column is None:
            return data({"chart": {"result": None, "error": NOT_FOUND}}, status=404)
        panel, rows = self.market.panel, self._rows(asked)
        traded = rows[~np.isnan(panel.close[rows, column])]
        ratio = panel.split_ratio[:, column]
        paid = adjust.split_adjusted(panel.dividend[:, column], ratio)
        opened = {int(row): opening(panel.sessions[row].astype(object)) for row in traded}
        quote = {
            name: np.round(adjust.split_adjusted(getattr(panel, name)[:, column], ratio)[traded], 6).tolist()
            for name in ("open", "high", "low", "close")
        }
        quote["volume"] = np.rint(panel.volume[:, column] * adjust.later_splits(ratio))[traded].tolist()
        events = {
            "splits": {str(at): _split(at, float(ratio[row])) for row, at in opened.items() if ratio[row] != 1.0},
            "dividends": {str(at): {"amount": float(paid[row]), "date": at} for row, at in opened.items() if paid[row]},
        }
        result: dict[str, object] = {"meta": meta(symbol), "indicators": {"quote": [{}], "adjclose": [{}]}}
        if opened:
            prices = {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]}
            happened = {name: one for name, one in events.items() if one}
            result |= {"timestamp": list(opened.values()), "indicators": prices, "events": happened}
        return data({"chart": {"result": [result], "error": None}})

    def quote_summary(self, asked: Asked) -> Answer:
        """Yahoo's quoteSummary, for whoever brings the right crumb."""
        if asked.query.get("crumb") != self._crumb:
            error = {"code": "Unauthorized", "description": "Invalid Crumb"}
            return data({"finance": {"result": None, "error": error}}, status=401)
        symbol = asked.path.rpartition("/")[2]
        if symbol not in self._column:
            error = {"code": "Not Found", "description": f"Quote not found for symbol: {symbol}"}
            return data({"quoteSummary": {"result": None, "error": error}}, status=404)
        found = figures_of(self.market, symbol)
        modules = {
            "quoteType": {"symbol": symbol, "quoteType": "EQUITY", "exchange": "NMS", "longName": f"{symbol} ({LABEL})"},
            "summaryDetail": {"currency": "USD"}
            | found.pick("trailingPE", "marketCap", "priceToSalesTrailing12Months", "trailingAnnualDividendYield"),
            "defaultKeyStatistics": found.pick("priceToBook", "sharesOutstanding") | {"mostRecentQuarter": found.quarter},
            "financialData": {"financialCurrency": "USD"}
            | found.pick(*FINANCIAL),
        }
        return data({"quoteSummary": {"result": [modules], "error": None}})

    def search(self, asked: Asked) -> Answer:
        """Yahoo's search: the latest headlines of the symbol asked about."""
        symbol, count = asked.query.get("q", ""), int(asked.query.get("newsCount") or 8)
        news = [
            {
                "uuid": key,
                "title": text,
                "publisher": source,
                "link": f"https://news.example/{key}",
                "providerPublishTime": int(when.timestamp()),
                "relatedTickers": [symbol],
            }
            for key, when, text, source in reversed(self._news(symbol).tail(count).rows())
        ]
        return data({"quotes": [], "news": news, "lists": []})

    def company_news(self, asked: Asked) -> Answer:
        """Finnhub's company news between two dates, newest first."""
        refused = self._keyed(asked)
        if refused:
            return refused
        symbol, first, last = (asked.query.get(name, "") for name in ("symbol", "from", "to"))
        rows = self._news(symbol).filter(pl.col("published").dt.date().is_between(date.fromisoformat(first), date.fromisoformat(last)))
        told = [
            {
                "category": "company",
                "datetime": int(when.timestamp()),
                "headline": text,
                "id": int(key) % 10**9,
                "image": "",
                "related": symbol,
                "source": source,
                "summary": "",
                "url": f"https://news.example/{key}",
            }
            for key, when, text, source in reversed(rows.rows())
        ]
        return data(told)

    def metric(self, asked: Asked) -> Answer:
        """Finnhub's basic financials, percentages in percent."""
        refused = self._keyed(asked)
        if refused:
            return refused
        symbol = asked.query.get("symbol", "")
        metric = figures_of(self.market, symbol).finnhub() if symbol in self._column else {}
        return data({"metric": metric, "metricType": "all", "series": {}, "symbol": symbol})

    def facts(self, asked: Asked) -> Answer:
        """The SEC's companyfacts of one central index key."""
        found = company_facts(self.market, asked.path.rpartition("/")[2])
        return page("<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", 404) if found is None else data(found)

    def _keyed(self, asked: Asked) -> Answer | None:
        """Finnhub's refusal of a wrong key."""
        return None if asked.query.get("token") == self.key else data({"error": "Invalid API key"}, status=401)

    def _rows(self, asked: Asked) -> NDArray[np.intp]:
        """The rows of the market a chart is asked for."""
        sessions = self.market.panel.sessions
        if "period1" in asked.query:
            first, last = (np.datetime64(day_of(int(asked.query[name]))) for name in ("period1", "period2"))
            return np.flatnonzero((sessions >= first) & (sessions <= last))
        count = RANGES.get(asked.query.get("range", "1mo"), RANGES["1mo"])
        return np.arange(max(0, len(sessions) - count), len(sessions))

    @cached_property
    def _all_news(self) -> dict[str, pl.DataFrame]:
        keyed = self.market.news.with_columns(key=pl.struct("symbol", "published", "headline").hash(seed=7).cast(pl.String))
        return {str(name[0]): part for name, part in keyed.partition_by("symbol", as_dict=True).items()}

    def _news(self, symbol: str) -> pl.DataFrame:
        found = self._all_news.get(symbol)
        rows = self.market.news.clear().with_columns(key=pl.lit("")) if found is None else found
        return rows.select("key", "published", "headline", "source").sort("published")


def meta(symbol: str, currency: str = "USD") -> dict[str, object]:
    """What Yahoo's chart says about a symbol."""
    period = {"timezone": "EST", "start": 1_740_061_800, "end": 1_740_085_200, "gmtoffset": -18_000}
    return {
        "currency": currency, "symbol": symbol, "exchangeName": "NMS", "instrumentType": "EQUITY", "firstTradeDate": 345_479_400,
        "regularMarketTime": 1_739_998_801, "gmtoffset": -18_000, "timezone": "EST", "exchangeTimezoneName": "America/New_York",
        "regularMarketPrice": 1.0, "priceHint": 2, "currentTradingPeriod": {"pre": period, "regular": period, "post": period},
        "dataGranularity": "1d", "range": "", "validRanges": [*RANGES, "ytd"],
    }  # fmt: skip


def _split(at: int, ratio: float) -> dict[str, object]:
    """A split as Yahoo writes it: whole shares for whole shares."""
    new, old = Fraction(ratio).limit_denominator(100).as_integer_ratio()
    return {"date": at, "numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}
