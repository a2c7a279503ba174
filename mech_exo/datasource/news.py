"""Headlines from Yahoo and, with a key, Finnhub: dated, de-duplicated and without mark-up. Their sentiment is not guessed here."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from html import unescape
from typing import TYPE_CHECKING

import polars as pl

from mech_exo.datasource.base import NEWS, Kind
from mech_exo.datasource.fetching import (
    BusyError,
    Outcome,
    Status,
    Vendor,
    fetch_each,
    outcome_of,
    refuse_keyless,
    refuse_nothing,
    symbols_of,
    utc_now,
)
from mech_exo.datasource.spans import refuse_disorder
from mech_exo.domain.errors import InputError

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

COLUMNS: dict[str, PolarsDataType] = {**NEWS, "id": pl.String, "url": pl.String, "sentiment": pl.Float64}
TAG = re.compile(r"<[^<>]*>")
SPACE = re.compile(r"\s+")
YAHOO_COUNT = 40
DAYS = 7

Span = tuple[datetime, datetime]


class _Newsagent(Vendor, ABC):
    """A vendor of headlines."""

    def fetch(self, symbols: Sequence[str] | str, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """Headlines published from ``start`` (None: seven days ago) to ``end``; see :meth:`NewsScraper.fetch`."""
        wanted, span = symbols_of(symbols), _span(self._clock(), start, end)
        self.report = ()
        frame, self.report = _collected(wanted, [self._answers(wanted, span)], span)
        _refuse_silence(self.report)
        return frame

    @abstractmethod
    def _answers(self, wanted: Sequence[str], span: Span) -> Answers: ...


class YahooNews(_Newsagent):
    """What Yahoo's search finds and itself ties to a symbol: its latest 40 stories or fewer, however far back one asks.

    Parameters as :class:`NewsScraper`'s.
    """

    name = "yahoo"
    kind = Kind.NEWS

    def _answers(self, wanted: Sequence[str], span: Span) -> Answers:
        from mech_exo.datasource.yahoo import connected, news_about, sorted_failures

        def one(symbol: str) -> pl.DataFrame:
            with sorted_failures():
                found = news_about(symbol, YAHOO_COUNT, session, self.settings.timeout)
                return _frame([_row(symbol, item, "title", "providerPublishTime", "publisher", "uuid", "link") for item in found])

        with connected(self.settings) as session:
            return dict(fetch_each(wanted, one, self.settings, "news (Yahoo)"))


class FinnhubNews(_Newsagent):
    """Finnhub's company news of North American companies, a year back; needs a key.

    Parameters as :class:`NewsScraper`'s. Raises ConfigError without a key.
    """

    name = "finnhub"
    kind = Kind.NEWS

    def __init__(self, config: object = None, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(config, clock=clock)
        refuse_keyless(self.settings)

    def _answers(self, wanted: Sequence[str], span: Span) -> Answers:
        from mech_exo.datasource.finnhub import Client, sorted_failures

        first, last = (moment.date().isoformat() for moment in span)

        def one(symbol: str) -> pl.DataFrame:
            with sorted_failures():
                found = client.company_news(symbol, _from=first, to=last)
            with _shape():
                rows = [item for item in found if item["headline"] and _about(symbol, item)]
                return _frame([_row(symbol, item, "headline", "datetime", "source", "id", "url") for item in rows])

        with Client(self.settings) as client:
            return dict(fetch_each(wanted, one, self.settings, "news (Finnhub)"))


class NewsScraper(Vendor):
    """Collects headlines about symbols from Yahoo and, where a key is configured, Finnhub.

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

    name = "news"
    kind = Kind.NEWS

    def fetch(
        self, symbols: Sequence[str] | str, days: int | None = None, *, start: date | None = None, end: date | None = None
    ) -> pl.DataFrame:
        """Headlines of the last ``days`` days: symbol, published (UTC), headline, source, id, url, sentiment; oldest first.

        Either ``days`` (default 7) or ``start`` and ``end``, both included (UTC). ``sentiment`` is null: scoring is another's business.
        A headline that two vendors bring is kept once, as first published. A symbol without news is in :attr:`report` as empty.

        Raises
        ------
        InputError
            A symbol could not be one, ``days`` is below 1, or the dates are in disorder.
        DataError
            Every request failed. (No news at all, truly answered, is an empty frame.)
        """
        if days is not None and (start is not None or end is not None):
            raise InputError(f"give either days or a start and an end; got {days} days, {start} and {end}")
        if days is not None and days < 1:
            raise InputError(f"news are fetched for at least 1 day; got {days}")
        self.report = ()
        wanted, now = symbols_of(symbols), self._clock().astimezone(UTC)
        span = (now - timedelta(days=DAYS if days is None else days), now) if start is None and end is None else _span(now, start, end)
        answers = [YahooNews(self.settings)._answers(wanted, span)]
        if self.settings.finnhub_key:
            answers.append(FinnhubNews(self.settings)._answers(wanted, span))
        frame, self.report = _collected(wanted, answers, span)
        _refuse_silence(self.report)
        return frame


Answers = dict[str, pl.DataFrame | Outcome]


def _span(now: datetime, start: date | None, end: date | None) -> Span:
    """From the beginning of ``start`` to the end of ``end``, but never beyond ``now``."""
    refuse_disorder(start, end)
    now = now.astimezone(UTC)
    last = now if end is None else min(now, datetime.combine(end, time.max, UTC))
    return (last - timedelta(days=DAYS) if start is None else datetime.combine(start, time.min, UTC), last)


def _collected(wanted: Sequence[str], answers: Sequence[Answers], span: Span) -> tuple[pl.DataFrame, tuple[Outcome, ...]]:
    """All answers within ``span`` as one frame, oldest first, and an outcome per symbol."""
    frames, report = [], []
    for symbol in wanted:
        given = [source[symbol] for source in answers]
        parts = [part for part in given if isinstance(part, pl.DataFrame)]
        troubles = [part for part in given if isinstance(part, Outcome)]
        trouble = "; ".join(part.detail for part in troubles)
        if not parts:
            report.append(Outcome(symbol, troubles[0].status, detail=trouble))
            continue
        frame = distinct(pl.concat(parts).filter(pl.col("published").is_between(*span)))
        frames.append(frame)
        report.append(outcome_of(symbol, frame, "published", trouble))
    return pl.concat([pl.DataFrame(schema=COLUMNS), *frames]).sort("published", "symbol", "headline", "id"), tuple(report)


def _refuse_silence(report: Sequence[Outcome]) -> None:
    if not any(outcome.status is Status.EMPTY for outcome in report):
        refuse_nothing(report, "an answer")


def plain_text(text: str) -> str:
    """``text`` without mark-up: entities become characters, tags vanish, runs of white space are one space."""
    plain, before = unescape(unescape(text)), ""
    while plain != before:  # taking a tag out can make another: <<>>
        plain, before = SPACE.sub(" ", TAG.sub(" ", plain)).strip(), plain
    return plain


SAME = pl.col("headline").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars().alias("same")
"""What makes two headlines one story: the same letters and digits."""


def distinct(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per symbol and headline, letters and digits compared only, as first published."""
    marked = frame.sort("published", "source").with_columns(SAME)
    return marked.unique(["symbol", "same"], keep="first", maintain_order=True).drop("same")


def unheard(frame: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """``frame`` without the stories that ``told`` (id, symbol, headline) has under another id, from another vendor."""
    known = told.select("symbol", SAME, pl.col("id").alias("known"))
    again = frame.with_columns(SAME).join(known, on=["symbol", "same"]).filter(pl.col("id") != pl.col("known"))
    return frame.join(again.select("id", "symbol"), on=["id", "symbol"], how="anti", maintain_order="left")


@contextlib.contextmanager
def _shape() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise BusyError(f"Finnhub's answer could not be read ({type(error).__name__})") from None


def _about(symbol: str, item: Mapping[str, object]) -> bool:
    """Whether Finnhub itself ties the story to ``symbol``; one without a tie is taken at the word of the request."""
    related = str(item.get("related") or "")
    return not related or symbol in related.upper().split(",")


def _row(symbol: str, item: Mapping[str, object], text: str, when: str, source: str, key: str, url: str) -> tuple[object, ...]:
    seconds = item[when]
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{when} must be seconds since 1970")
    published = datetime.fromtimestamp(seconds, UTC)
    return symbol, published, plain_text(str(item[text])), plain_text(str(item[source])), str(item[key]), str(item[url]), None


def _frame(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    return frame.filter(pl.col("headline") != "")
