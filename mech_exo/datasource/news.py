"""Headlines from Finnhub (with a key) and Yahoo, dated, de-duplicated and without mark-up. Their sentiment is not guessed here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import TYPE_CHECKING

import polars as pl

from mech_exo.datasource.base import NEWS
from mech_exo.datasource.fetching import Outcome, Status, fetch_each, outcome_of, refuse_nothing, settings_from, symbols_of, utc_now
from mech_exo.domain.errors import InputError

if TYPE_CHECKING:
    from finnhub import Client
    from polars._typing import PolarsDataType

    from mech_exo.datasource.yahoo import YahooSession

COLUMNS: dict[str, PolarsDataType] = {**NEWS, "id": pl.String, "url": pl.String, "sentiment": pl.Float64}
TAG = re.compile(r"<[^<>]*>")
SPACE = re.compile(r"\s+")
YAHOO_COUNT = 40


class NewsScraper:
    """Collects headlines about symbols.

    Parameters
    ----------
    config
        None, a ``Config`` or a plain dictionary; see :func:`mech_exo.datasource.fetching.settings_from`.
    clock
        The present instant (tz-aware): nothing later is taken.

    Attributes
    ----------
    report
        One :class:`~mech_exo.datasource.fetching.Outcome` per symbol of the last :meth:`fetch`.
    """

    def __init__(self, config: object = None, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings_from(config)
        self.report: tuple[Outcome, ...] = ()
        self._clock = clock

    def fetch(self, symbols: Sequence[str] | str, days: int = 7) -> pl.DataFrame:
        """Headlines of the last ``days`` days: symbol, published (UTC), headline, source, id, url, sentiment; oldest first.

        ``sentiment`` is null: scoring is another's business. A headline that two vendors bring is kept once, as first published.
        A symbol without news is in :attr:`report` as empty.

        Raises
        ------
        InputError
            A symbol could not be one, or ``days`` is below 1.
        DataError
            Every request failed. (No news at all, truly answered, is an empty frame.)
        """
        from mech_exo.datasource.yahoo import connected

        if days < 1:
            raise InputError(f"news are fetched for at least 1 day; got {days}")
        wanted, now = symbols_of(symbols), self._clock().astimezone(UTC)
        with connected(self.settings) as session:
            found = fetch_each(wanted, lambda symbol: _yahoo(symbol, session, self.settings.timeout), self.settings, "news (Yahoo)")
        sources = [dict(found)]
        if self.settings.finnhub_key:
            sources.append(self._finnhub(wanted, now, days))
        frames, report = [], []
        for symbol in wanted:
            answers = [source[symbol] for source in sources]
            parts = [part for part in answers if isinstance(part, pl.DataFrame)]
            troubles = [part for part in answers if isinstance(part, Outcome)]
            trouble = "; ".join(part.detail for part in troubles)
            if not parts:
                report.append(Outcome(symbol, troubles[0].status, detail=trouble))
                continue
            frame = _distinct(pl.concat(parts).filter(pl.col("published").is_between(now - timedelta(days=days), now)))
            frames.append(frame)
            report.append(outcome_of(symbol, frame, "published", trouble))
        self.report = tuple(report)
        if not any(outcome.status is Status.EMPTY for outcome in report):
            refuse_nothing(self.report, "an answer")
        return pl.concat([pl.DataFrame(schema=COLUMNS), *frames]).sort("published", "symbol", "headline")

    def _finnhub(self, symbols: Sequence[str], now: datetime, days: int) -> dict[str, pl.DataFrame | Outcome]:
        from mech_exo.datasource.finnhub import Client

        first, last = (now - timedelta(days=days)).date().isoformat(), now.date().isoformat()
        with Client(self.settings) as client:
            return dict(fetch_each(symbols, lambda symbol: _company_news(symbol, client, first, last), self.settings, "news (Finnhub)"))


def plain_text(text: str) -> str:
    """``text`` without mark-up: entities become characters, tags vanish, runs of white space are one space."""
    plain, before = unescape(unescape(text)), ""
    while plain != before:  # taking a tag out can make another: <<>>
        plain, before = SPACE.sub(" ", TAG.sub(" ", plain)).strip(), plain
    return plain


def _yahoo(symbol: str, session: YahooSession, timeout: float) -> pl.DataFrame:
    from mech_exo.datasource.yahoo import news_about, sorted_failures

    with sorted_failures():
        found = news_about(symbol, YAHOO_COUNT, session, timeout)
        return _frame([_row(symbol, item, "title", "providerPublishTime", "publisher", "uuid", "link") for item in found])


def _company_news(symbol: str, client: Client, first: str, last: str) -> pl.DataFrame:
    from mech_exo.datasource.fetching import BusyError
    from mech_exo.datasource.finnhub import sorted_failures

    with sorted_failures():
        found = client.company_news(symbol, _from=first, to=last)
    if not isinstance(found, list):
        raise BusyError("Finnhub answered with something that is no list of news")
    return _frame([_row(symbol, item, "headline", "datetime", "source", "id", "url") for item in found if item.get("headline")])


def _row(symbol: str, item: Mapping[str, object], text: str, when: str, source: str, key: str, url: str) -> tuple[object, ...]:
    seconds = item[when]
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{when} must be seconds since 1970")
    published = datetime.fromtimestamp(seconds, UTC)
    return symbol, published, plain_text(str(item[text])), plain_text(str(item[source])), str(item[key]), str(item[url]), None


def _frame(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    return frame.filter(pl.col("headline") != "")


def _distinct(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per headline, letters and digits compared only, as first published."""
    same = pl.col("headline").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    marked = frame.sort("published", "source").with_columns(same=same)
    return marked.unique(["symbol", "same"], keep="first", maintain_order=True).drop("same")
