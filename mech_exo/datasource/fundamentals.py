"""Fundamental figures from all who publish them: the SEC's EDGAR, Yahoo and Finnhub behind one face."""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from mech_exo.datasource.accounts import vendors
from mech_exo.datasource.base import Kind, Source
from mech_exo.datasource.fetching import (
    BusyError,
    Outcome,
    RefusedError,
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
from mech_exo.domain.errors import DataError, cut

if TYPE_CHECKING:
    from mech_exo.datasource.finnhub import Client
    from mech_exo.datasource.yahoo import YahooSession

TIMESERIES = "https://query2.finance.yahoo.com/ws/fundamentals-timeseries/v1/finance/timeseries/"
WHAT = "fundamental figures"

Answers = Sequence[tuple[str, pl.DataFrame | Outcome]]


class FundamentalFetcher(Vendor):
    """Fetches fundamental figures from every source that can be asked: EDGAR with ``sec_user_agent``, Yahoo, Finnhub with a key.

    Figures of two sources stand beside each other, each under its ``source``; who is believed is decided where they are read.

    Parameters
    ----------
    config
        None, a ``Config`` or a plain dictionary; see :func:`mech_exo.datasource.fetching.settings_from`.
    clock
        The present instant (tz-aware), which becomes ``known_at`` of what has no filing date.

    Attributes
    ----------
    report
        One :class:`~mech_exo.datasource.fetching.Outcome` per symbol of the last :meth:`fetch`.
    """

    name = "fundamentals"
    kind = Kind.FUNDAMENTALS

    def fetch(self, symbols: Sequence[str] | str, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """Long facts: symbol, metric, period_end, fiscal_period, value, unit, filed, known_at, source; sorted by symbol and metric.

        Fractions, not percent; USD. Filed figures (EDGAR) carry their filing date, and ``known_at`` null: the store makes it the close of
        the next session. What a vendor shows is filed and known when it was fetched. A figure that nobody gives is absent. ``start`` and
        ``end`` (None: any) bound the day of filing.

        Raises
        ------
        InputError
            A symbol could not be one.
        DataError
            Not one symbol came back with a figure.
        """
        self.report = ()
        wanted = symbols_of(symbols)
        refuse_disorder(start, end)
        frames, reports = [], []
        for source in self._sources():
            with contextlib.suppress(DataError):  # said symbol by symbol in the source's report; another source may know
                frames.append(source.fetch(wanted, start=start, end=end))
            reports.append(source.report)
        self.report = tuple(_together(symbol, outcomes) for symbol, outcomes in zip(wanted, zip(*reports, strict=True), strict=True))
        refuse_nothing(self.report, WHAT)
        return pl.concat(frames).sort("symbol", "metric", maintain_order=True)

    def _sources(self) -> tuple[Source, ...]:
        from mech_exo.datasource.edgar import EdgarFacts

        edgar = (EdgarFacts(self.settings, clock=self._clock),) if self.settings.user_agent else ()
        finnhub = (FinnhubFundamentals(self.settings, clock=self._clock),) if self.settings.finnhub_key else ()
        return (*edgar, YahooFundamentals(self.settings, clock=self._clock), *finnhub)


class _ShownToday(Vendor, ABC):
    """A vendor that shows figures of today."""

    def fetch(self, symbols: Sequence[str] | str, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """Facts fetched now; of a period that does not hold today, none. Columns as :meth:`FundamentalFetcher.fetch`'s."""
        self.report = ()
        wanted = symbols_of(symbols)
        refuse_disorder(start, end)
        answers = self._answers(wanted)
        frame, self.report = collected(answers, start, end)
        refuse_silence(answers)
        return frame

    @abstractmethod
    def _answers(self, wanted: Sequence[str]) -> Answers: ...


class YahooFundamentals(_ShownToday):
    """What Yahoo shows today: ratios, the share count, the analysts' mean, and the statements of the last quarters and years.

    Parameters as :class:`FundamentalFetcher`'s.
    """

    name = "yahoo"
    kind = Kind.FUNDAMENTALS

    def _answers(self, wanted: Sequence[str]) -> Answers:
        from mech_exo.datasource.yahoo import connected

        with connected(self.settings) as session:
            return fetch_each(wanted, lambda symbol: self._one(symbol, session), self.settings, "fundamentals (Yahoo)")

    def _one(self, symbol: str, session: YahooSession) -> pl.DataFrame:
        from mech_exo.datasource.yahoo import sorted_failures, ticker, yahoo_symbol

        now = self._clock().astimezone(UTC)
        with sorted_failures():
            info = ticker(symbol, session).get_info()
            statements = self._statements(yahoo_symbol(symbol), session, now)
            refuse_another(yahoo_symbol(symbol), {info.get("underlyingSymbol"), *vendors.companies_in(statements)}, "Yahoo")
            dollars = info.get("financialCurrency") == "USD" and info.get("currency") == "USD"
            lines = {name: line for name, line in vendors.YAHOO.items() if dollars or line.unit != "USD"}
            today = now.date()
            rows = [
                *vendors.shown(info, lines, vendors.quarter_of(info), today),
                *vendors.mean_rating(info.get("recommendationMean"), today),
                *vendors.yahoo_statements(statements, today),
            ]
        if not rows:
            raise RefusedError(Status.EMPTY, "yahoo shows no figure for it")
        return vendors.frame_of(symbol, rows, self.name, now)

    def _statements(self, name: str, session: YahooSession, now: datetime) -> list[dict[str, Any]]:
        """One request for all statements, where yfinance would make six."""
        span = {"period1": 493_590_046, "period2": int((now + timedelta(days=1)).timestamp())}
        response = session.get(TIMESERIES + name, params={"symbol": name, "type": vendors.yahoo_types(), **span})
        if response.status_code == 404:
            return []
        if response.status_code >= 400:
            raise BusyError(f"Yahoo answered {response.status_code} about the statements")
        found: list[dict[str, Any]] = json.loads(response.content)["timeseries"]["result"] or []
        return found


class FinnhubFundamentals(_ShownToday):
    """Finnhub's "basic financials" and the analysts' recommendations, with a key.

    Parameters as :class:`FundamentalFetcher`'s. Raises ConfigError without a key.

    "Financials as reported" are left to EDGAR, where they come from: Finnhub does not say
    which span a figure of a quarterly report covers.
    """

    name = "finnhub"
    kind = Kind.FUNDAMENTALS

    def __init__(self, config: object = None, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(config, clock=clock)
        refuse_keyless(self.settings)

    def _answers(self, wanted: Sequence[str]) -> Answers:
        from mech_exo.datasource.finnhub import Client

        with Client(self.settings) as client:
            return fetch_each(wanted, lambda symbol: self._one(symbol, client), self.settings, "fundamentals (Finnhub)")

    def _one(self, symbol: str, client: Client) -> pl.DataFrame:
        from mech_exo.datasource.finnhub import sorted_failures

        now = self._clock().astimezone(UTC)
        with sorted_failures():
            answer = client.company_basic_financials(symbol, "all")
        figures = answer.get("metric") if isinstance(answer, dict) else None
        if not figures:
            raise RefusedError(Status.UNKNOWN, "Finnhub has no figures for it")
        if not isinstance(figures, dict):
            raise BusyError("Finnhub answered with something that is not data")
        refuse_another(symbol, {answer.get("symbol")}, "Finnhub")
        rows = [*vendors.shown(figures, vendors.FINNHUB, None, now.date()), *self._rating(symbol, client, now.date())]
        if not rows:
            raise RefusedError(Status.EMPTY, "finnhub shows no figure for it")
        return vendors.frame_of(symbol, rows, self.name, now)

    def _rating(self, symbol: str, client: Client, today: date) -> list[vendors.Row]:
        """Another plan's business perhaps: a refusal costs the rating alone."""
        from mech_exo.datasource.finnhub import sorted_failures

        try:
            with sorted_failures():
                return list(vendors.counted_rating(client.recommendation_trends(symbol), today))
        except RefusedError:
            return []


def refuse_another(symbol: str, told: Collection[object], vendor: str) -> None:
    """Raise RefusedError where the answer names another company; one that names none (None) is taken at the word of the request."""
    others = sorted(str(one) for one in set(told) - {symbol, None})
    if others:
        raise RefusedError(Status.REFUSED, f"{vendor} answered about another symbol, {cut(others[0])}")


def collected(answers: Answers, start: date | None, end: date | None) -> tuple[pl.DataFrame, tuple[Outcome, ...]]:
    """The facts filed from ``start`` to ``end`` in one frame, and one outcome per symbol."""
    frames, report = [pl.DataFrame(schema=vendors.COLUMNS)], []
    for symbol, answer in answers:
        if isinstance(answer, Outcome):
            report.append(answer)
            continue
        kept = answer.filter(
            pl.lit(True) if start is None else pl.col("filed") >= start, pl.lit(True) if end is None else pl.col("filed") <= end
        )
        report.append(outcome_of(symbol, kept, "period_end"))
        frames.append(kept)
    return pl.concat(frames).sort("symbol", "metric", maintain_order=True), tuple(report)


def refuse_silence(answers: Sequence[tuple[str, pl.DataFrame | Outcome]]) -> None:
    """Raise DataError when not one symbol was answered; an answer without anything new in the period asked for is one."""
    refused = [answer for _, answer in answers if isinstance(answer, Outcome)]
    if len(refused) == len(answers):
        refuse_nothing(refused, WHAT)


def _together(symbol: str, outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of several sources': ok when one of them is, with what the others said."""
    good = [one for one in outcomes if one.status is Status.OK]
    said = "; ".join(dict.fromkeys(one.detail for one in outcomes if one.detail))
    if not good:
        return Outcome(symbol, outcomes[0].status, detail=said)
    first, last = min(one.first for one in good if one.first), max(one.last for one in good if one.last)
    return Outcome(symbol, Status.OK, sum(one.rows for one in good), first, last, said)
