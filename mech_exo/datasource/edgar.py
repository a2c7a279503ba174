"""The SEC's EDGAR: every figure of every report with the day it was filed, free, from companyfacts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from mech_exo.datasource.base import Kind
from mech_exo.datasource.fetching import (
    BusyError,
    RefusedError,
    Status,
    Vendor,
    fetch_each,
    symbols_of,
    utc_now,
)
from mech_exo.datasource.fundamentals import collected, refuse_silence
from mech_exo.datasource.spans import refuse_disorder
from mech_exo.domain.errors import ConfigError, cut

if TYPE_CHECKING:
    from mech_exo.datasource.web import PunctualSession

TICKERS = "https://www.sec.gov/files/company_tickers.json"
FACTS = "https://data.sec.gov/api/xbrl/companyfacts/CIK{:010d}.json"


class EdgarFacts(Vendor):
    """Figures of annual and quarterly reports as they were filed, restatements included.

    Parameters
    ----------
    config
        None, a ``Config`` or a plain dictionary; see :func:`mech_exo.datasource.fetching.settings_from`. ``sec_user_agent`` must say who
        asks and how to reach him; the SEC allows 10 requests a second.
    clock
        The present instant (tz-aware): nothing filed later is handed over.

    Raises
    ------
    ConfigError
        ``sec_user_agent`` names no contact: said before anything is downloaded.

    Attributes
    ----------
    report
        One :class:`~mech_exo.datasource.fetching.Outcome` per symbol of the last :meth:`fetch`.
    """

    name = "edgar"
    kind = Kind.FUNDAMENTALS

    def __init__(self, config: object = None, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(config, clock=clock)
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()
        if "@" not in self.settings.user_agent:
            raise ConfigError(
                f"the SEC wants to know who reads EDGAR, with an address; sec_user_agent is {self.settings.user_agent or 'empty'!r}",
                remedy='write into config/api_keys_local.yml   sec_user_agent: "Your Name you@example.com"',
            )

    def fetch(self, symbols: Sequence[str] | str, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """Facts filed from ``start`` to ``end`` (None: all): the columns of :meth:`FundamentalFetcher.fetch`, ``known_at`` null.

        Raises
        ------
        InputError
            A symbol could not be one, or the dates are in disorder.
        DataError
            Not one symbol was answered.
        """
        from mech_exo.datasource.pace import pace_of
        from mech_exo.datasource.web import PunctualSession

        self.report = ()
        wanted = symbols_of(symbols)
        refuse_disorder(start, end)
        with PunctualSession(pace_of("edgar", self.settings.rate), self.settings.timeout) as session:
            session.headers.update({"User-Agent": self.settings.user_agent, "Accept-Encoding": "gzip, deflate"})
            answers = fetch_each(wanted, lambda symbol: self._one(symbol, session), self.settings, "fundamentals (EDGAR)")
        today = self._clock().date()
        frame, self.report = collected(answers, start, today if end is None else min(end, today))
        refuse_silence(answers)
        return frame

    def _one(self, symbol: str, session: PunctualSession) -> pl.DataFrame:
        from mech_exo.datasource.accounts.filings import facts_of, foreign_units
        from mech_exo.datasource.accounts.vendors import COLUMNS

        number = self._number(symbol, session)
        answer = _asked(session, FACTS.format(number))
        try:
            facts = facts_of(symbol, answer)
            foreign = foreign_units(answer)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, pl.exceptions.PolarsError) as error:
            raise BusyError(f"EDGAR's answer could not be read ({type(error).__name__})") from error
        if "cik" in answer and str(answer["cik"]).lstrip("0") != str(number):
            raise RefusedError(Status.REFUSED, f"EDGAR answered about another company, CIK {cut(answer['cik'])}, not {number}")
        if facts.is_empty():
            why = f"it reports in {', '.join(foreign)}" if foreign else "none of its figures is one we know"
            raise RefusedError(Status.EMPTY, f"EDGAR has no figure in USD: {why}")
        return facts.with_columns(known_at=pl.lit(None), source=pl.lit(self.name)).cast(pl.Schema(COLUMNS))

    def _number(self, symbol: str, session: PunctualSession) -> int:
        """The company's number (CIK); the list of all tickers is read once."""
        with self._lock:
            if not self._numbers:
                try:
                    listed = _asked(session, TICKERS)
                except RefusedError as error:
                    if error.status is Status.UNKNOWN:  # 404 here is about the list, not about a company
                        raise BusyError("EDGAR's list of tickers could not be found (404)") from error
                    raise
                try:
                    self._numbers = {str(one["ticker"]).upper(): int(one["cik_str"]) for one in listed.values()}
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise BusyError(f"EDGAR's list of tickers could not be read ({type(error).__name__})") from error
        for spelling in (symbol, symbol.replace(".", "-")):
            if spelling in self._numbers:
                return self._numbers[spelling]
        raise RefusedError(Status.UNKNOWN, "EDGAR's list of tickers does not hold it")


def _asked(session: PunctualSession, url: str) -> Any:
    """The JSON of ``url``. Raises BusyError where asking again may help, RefusedError where it will not."""
    from mech_exo.datasource.web import RequestException, refuse_busy

    try:
        response = session.get(url)
    except RequestException as error:
        raise BusyError(f"EDGAR could not be reached ({type(error).__name__})") from error
    refuse_busy(response, "EDGAR")
    if response.status_code == 404:
        raise RefusedError(Status.UNKNOWN, "EDGAR has no reports of it in its data format")
    if response.status_code == 403:
        raise RefusedError(Status.REFUSED, "EDGAR refused: it bars who asks too fast, or does not say who he is in sec_user_agent")
    if response.status_code >= 400:
        raise RefusedError(Status.REFUSED, f"EDGAR answered {response.status_code}")
    try:
        return json.loads(response.content)
    except ValueError as error:
        raise BusyError("EDGAR answered with something that is not data") from error
