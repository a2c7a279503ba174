"""Answers in the vendors' wire formats, for what no recording shows: faults, foreign currencies, days to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from tests.replay.server import Answer, data

OPENING = 14.5 * 3600


def moment(day: date, hour: float = OPENING / 3600) -> int:
    """Seconds since 1970 at ``hour`` UTC of ``day``."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + hour * 3600)


def chart(
    symbol: str,
    closes: Mapping[date, float | None],
    *,
    splits: Mapping[date, tuple[int, int]] | None = None,
    dividends: Mapping[date, float] | None = None,
    currency: str = "USD",
) -> Answer:
    """Yahoo's v8 chart of bars with the given closes, open and low a dollar below, high a dollar above."""
    days = list(closes)
    events: dict[str, object] = {}
    if splits:
        events["splits"] = {
            str(moment(day)): {"date": moment(day), "numerator": up, "denominator": down, "splitRatio": f"{up}:{down}"}
            for day, (up, down) in splits.items()
        }
    if dividends:
        events["dividends"] = {str(moment(day)): {"amount": paid, "date": moment(day)} for day, paid in dividends.items()}
    close = list(closes.values())
    below, above = ([None if c is None else c + step for c in close] for step in (-1.0, 1.0))
    volume = [None if c is None else 1_000_000 for c in close]
    quote = {"open": below, "low": below, "high": above, "close": close, "volume": volume}
    result = {
        "meta": _meta(symbol, currency),
        "timestamp": [moment(day) for day in days],
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": close}]},
        **({"events": events} if events else {}),
    }
    return data({"chart": {"result": [result], "error": None}})


def nobody() -> Answer:
    """Yahoo's answer about a symbol it does not know."""
    error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
    return data({"chart": {"result": None, "error": error}}, status=404)


def no_days(symbol: str) -> Answer:
    """Yahoo's answer for a period in which nothing traded."""
    result = {"meta": _meta(symbol, "USD"), "indicators": {"quote": [{}], "adjclose": [{}]}}
    return data({"chart": {"result": [result], "error": None}})


def summary(**figures: object) -> Answer:
    """Yahoo's quoteSummary with one module."""
    return data({"quoteSummary": {"result": [{"financialData": figures}], "error": None}})


def search(items: Sequence[tuple[str, str, datetime, Sequence[str]]]) -> Answer:
    """Yahoo's search with news: (id, title, published, related symbols)."""
    news = [
        {
            "uuid": key,
            "title": title,
            "publisher": "Wire",
            "link": f"https://news.example/{key}",
            "providerPublishTime": int(when.timestamp()),
            "relatedTickers": list(related),
        }
        for key, title, when, related in items
    ]
    return data({"quotes": [], "news": news, "lists": []})




def _meta(symbol: str, currency: str) -> dict[str, object]:
    ranges = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]
    period = {"timezone": "EST", "start": 1_740_061_800, "end": 1_740_085_200, "gmtoffset": -18_000}
    return {
        "currency": currency, "symbol": symbol, "exchangeName": "NMS", "instrumentType": "EQUITY", "firstTradeDate": 345_479_400,
        "regularMarketTime": 1_739_998_801, "gmtoffset": -18_000, "timezone": "EST", "exchangeTimezoneName": "America/New_York",
        "regularMarketPrice": 1.0, "priceHint": 2, "currentTradingPeriod": {"pre": period, "regular": period, "post": period},
        "dataGranularity": "1d", "range": "", "validRanges": ranges,
    }
