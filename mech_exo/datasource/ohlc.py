"""Daily bars from Yahoo Finance, as traded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource import adjust
from mech_exo.datasource.base import BARS, Kind
from mech_exo.datasource.fetching import (
    Outcome,
    RefusedError,
    Status,
    Vendor,
    fetch_each,
    refuse_nothing,
    symbols_of,
)
from mech_exo.datasource.spans import bars_outcome, closed_by, refuse_disorder, within
from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.panel import PriceBasis

if TYPE_CHECKING:
    import pandas as pd

    from mech_exo.datasource.yahoo import YahooSession

COLUMNS = {**BARS, "split_ratio": pl.Float64, "dividend": pl.Float64}
PERIOD = re.compile(r"\d{1,3}(d|wk|mo|y)|ytd|max")


class OHLCDownloader(Vendor):
    """Downloads daily bars and undoes Yahoo's split adjustment: every price is what was printed that day.

    Parameters
    ----------
    config
        None, a ``Config`` or a plain dictionary; see :func:`mech_exo.datasource.fetching.settings_from`.
    clock
        The present instant (tz-aware): a session that has not closed by then is left out.

    Attributes
    ----------
    report
        One :class:`~mech_exo.datasource.fetching.Outcome` per symbol of the last :meth:`fetch`.

    Examples
    --------
    >>> data = OHLCDownloader().fetch(["SPY", "QQQ"], period="1mo")  # doctest: +SKIP
    """

    name = "yahoo"
    kind = Kind.BARS
    batch = 100
    price_basis = PriceBasis.AS_TRADED

    def fetch(
        self,
        symbols: Sequence[str],
        period: str | None = None,
        *,
        start: date | None = None,
        end: date | None = None,
        interval: str = "1d",
    ) -> pl.DataFrame:
        """Bars of ``symbols``: symbol, date, open, high, low, close, volume, split_ratio, dividend, sorted by symbol and date.

        USD per share and shares, as traded; split_ratio 1 and dividend 0 where nothing happened. Either ``period``
        ("5d", "1mo", "1y", "max"; default "1mo") or ``start``, and ``end``, both included. Symbols that gave nothing stand in
        :attr:`report`, and so do the sessions missing between a symbol's first bar and the last session closed.

        Raises
        ------
        InputError
            The period, interval or a symbol is none.
        DataError
            Not one symbol came back with bars.
        """
        from mech_exo.datasource.yahoo import connected

        self.report = ()
        wanted = symbols_of(symbols)
        span = _span(period, start, end, interval)
        until = closed_by(self._clock(), end)
        with connected(self.settings) as session:
            answers = fetch_each(wanted, lambda symbol: _bars_of(symbol, span, session, self.settings.timeout), self.settings, "prices")
        frames: list[pl.DataFrame] = []
        report: list[Outcome] = []
        for symbol, answer in answers:
            if isinstance(answer, Outcome):
                report.append(answer)
                continue
            frame = within(answer, start, until)
            frames.append(frame)
            report.append(bars_outcome(symbol, frame["date"].to_numpy(), until, _suspect(frame)))
        self.report = tuple(report)
        refuse_nothing(self.report, "prices")
        return pl.concat(frames).sort("symbol", "date")


def _span(period: str | None, start: date | None, end: date | None, interval: str) -> dict[str, str]:
    """What to ask Yahoo for: always up to today, because its prices are divided by every split until today."""
    if interval != "1d":
        raise InputError(f"bars are daily, interval '1d'; got {interval!r}")
    if start is not None and period is not None:
        raise InputError(f"give either a period or a start; got {period!r} and {start}")
    refuse_disorder(start, end)
    if period is not None and not PERIOD.fullmatch(period):
        raise InputError(f"a period is like 5d, 1mo, 1y, ytd or max; got {period!r}")
    if start is None and end is not None and period is None:
        raise InputError(f"an end needs a start; got end {end} alone")
    return {"start": start.isoformat()} if start is not None else {"period": period or "1mo"}


def _bars_of(symbol: str, span: dict[str, str], session: YahooSession, timeout: float) -> pl.DataFrame:
    from mech_exo.datasource.yahoo import sorted_failures, ticker, yahoo_symbol

    with sorted_failures():
        asked = ticker(symbol, session)
        history = asked.history(**span, interval="1d", auto_adjust=False, actions=True, timeout=timeout)
        about, currency = asked.history_metadata["symbol"], asked.history_metadata["currency"]
    if about != yahoo_symbol(symbol):
        raise RefusedError(Status.REFUSED, f"Yahoo answered about another symbol, {cut(about)}")
    if currency != "USD":
        raise RefusedError(Status.REFUSED, f"prices must be in USD; Yahoo quotes it in {currency}")
    try:
        return _unadjusted(symbol, history)
    except InputError as error:
        raise RefusedError(Status.REFUSED, f"Yahoo tells of a split that cannot be: {error.message}") from error


def _unadjusted(symbol: str, history: pd.DataFrame) -> pl.DataFrame:
    """Yahoo divides prices and dividends, and multiplies volumes, by every later split; undo it and drop days without any price."""
    given = np.asarray(history["Stock Splits"], np.float64)
    ratio = np.where(given == 0.0, 1.0, given)
    paid = np.asarray(history["Dividends"], np.float64)
    column = {name: np.asarray(history[name.capitalize()], np.float64) for name in ("open", "high", "low", "close", "volume")}
    blank = np.isnan(column["close"])
    if (blank & ((ratio != 1.0) | (paid != 0.0))).any():
        raise RefusedError(Status.FAILED, "a split or dividend stands on a day without prices")
    frame = pl.DataFrame(
        {
            "symbol": [symbol] * len(history),
            "date": history.index.tz_localize(None).to_numpy().astype("datetime64[D]"),  # type: ignore[attr-defined]
            **{name: adjust.as_traded(column[name], ratio) for name in ("open", "high", "low", "close")},
            "volume": adjust.traded_volume(column["volume"], ratio),
            "split_ratio": ratio,
            "dividend": adjust.as_traded(paid, ratio),
        },
        schema=COLUMNS,
    )
    return frame.filter(pl.Series(~blank))


def _suspect(frame: pl.DataFrame) -> str:
    """What the store will put aside, said here already."""
    outside = (pl.col("high") < pl.max_horizontal("open", "close")) | (pl.col("low") > pl.min_horizontal("open", "close"))
    broken = frame.filter(outside | (pl.min_horizontal("open", "high", "low", "close") <= 0.0)).height
    return f"rows that contradict themselves: {broken}" if broken else ""
