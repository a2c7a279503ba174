"""What every source of bars does with dates: no session that has not closed, and the sessions that should be there and are not."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.fetching import Outcome, Status
from mech_exo.domain.errors import InputError
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Days = NDArray[np.datetime64]
    """Dates as datetime64[D]."""


def refuse_disorder(start: date | None, end: date | None) -> None:
    """Raise InputError when ``end`` is before ``start``."""
    if start is not None and end is not None and end < start:
        raise InputError(f"start must not be after end; got {start} and {end}")


def closed_by(now: datetime, end: date | None) -> date:
    """The last session that has closed by ``now``, or ``end`` if that is earlier: today's unfinished bar is no bar."""
    complete = calendar.latest_session(now)
    return complete if end is None else min(end, complete)


def within(frame: pl.DataFrame, start: date | None, until: date) -> pl.DataFrame:
    """Rows dated from ``start`` (None: the first) to ``until``, both included."""
    kept = frame.filter(pl.col("date") <= until)
    return kept if start is None else kept.filter(pl.col("date") >= start)


def days_of(frame: pl.DataFrame) -> dict[str, Days]:
    """The dates of each symbol's rows in a frame sorted by symbol and date."""
    runs = frame["symbol"].rle().struct.unnest()
    days = frame["date"].to_numpy().astype("datetime64[D]")
    parts = np.split(days, np.cumsum(runs["len"].to_numpy())[:-1]) if runs.height else []
    return dict(zip(runs["value"].to_list(), parts, strict=True))


def bars_outcome(symbol: str, days: Days, until: date, detail: str = "") -> Outcome:
    """The outcome of a symbol with bars on ``days``; missing: the sessions after the first of them, up to ``until``, that have none."""
    if not len(days):
        return Outcome(symbol, Status.EMPTY, detail=detail or "no rows in the period asked for")
    first, last = days[0].item(), days[-1].item()
    return Outcome(symbol, Status.OK, len(days), first, last, detail, missing_sessions(days, first, until))


def missing_sessions(days: Days, start: date, until: date) -> tuple[date, ...]:
    """Sessions from ``start`` to ``until`` that are not among ``days``."""
    first = max(start, calendar.FIRST_DAY)
    if until < first:
        return ()
    expected = calendar.sessions(first, until)
    if np.array_equal(days[len(days) - len(expected) :], expected):  # nearly always, and a hundred times quicker to see
        return ()
    return tuple(expected[~np.isin(expected, days)].tolist())


def said_missing(days: tuple[date, ...]) -> str:
    """"2 sessions missing: 2024-03-05, 2024-03-06", long lists cut."""
    shown = ", ".join(day.isoformat() for day in days[:3]) + (f" and {len(days) - 3} more" if len(days) > 3 else "")
    return f"{len(days)} session{'s' if len(days) > 1 else ''} missing: {shown}"
