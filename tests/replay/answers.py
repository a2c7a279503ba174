"""Answers in the vendors' wire formats, for what no recording shows: faults, foreign currencies, days to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from mech_exo.datasource.replay.sample import meta
from mech_exo.datasource.replay.server import Answer, data
from mech_exo.datasource.replay.when import opening


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
            str(opening(day)): {"date": opening(day), "numerator": up, "denominator": down, "splitRatio": f"{up}:{down}"}
            for day, (up, down) in splits.items()
        }
    if dividends:
        events["dividends"] = {str(opening(day)): {"amount": paid, "date": opening(day)} for day, paid in dividends.items()}
    close = list(closes.values())
    below, above = ([None if c is None else c + step for c in close] for step in (-1.0, 1.0))
    volume = [None if c is None else 1_000_000 for c in close]
    quote = {"open": below, "low": below, "high": above, "close": close, "volume": volume}
    result = {
        "meta": meta(symbol, currency),
        "timestamp": [opening(day) for day in days],
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
    result = {"meta": meta(symbol, "USD"), "indicators": {"quote": [{}], "adjclose": [{}]}}
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
