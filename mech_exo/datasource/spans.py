"""What every source of bars does with dates: no session that has not closed, and the sessions that should be there and are not."""

from __future__ import annotations

import dataclasses
from datetime import date, datetime

import polars as pl

from mech_exo.datasource.fetching import Outcome, Status
from mech_exo.domain.errors import InputError
from mech_exo.utils import calendar


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


def with_missing(outcome: Outcome, days: pl.Series, until: date) -> Outcome:
    """``outcome`` with the sessions after its first bar, up to ``until``, of which ``days`` have none."""
    if outcome.status is not Status.OK or outcome.first is None:
        return outcome
    return dataclasses.replace(outcome, missing=missing_sessions(days, outcome.first, until))


def missing_sessions(days: pl.Series, start: date, until: date) -> tuple[date, ...]:
    """Sessions from ``start`` to ``until`` that are not among ``days``."""
    if until < max(start, calendar.FIRST_DAY):
        return ()
    expected = pl.Series(calendar.sessions(max(start, calendar.FIRST_DAY), until))
    return tuple(expected.filter(~expected.is_in(days.implode())).to_list())


def said_missing(days: tuple[date, ...]) -> str:
    """"2 sessions missing: 2024-03-05, 2024-03-06", long lists cut."""
    shown = ", ".join(day.isoformat() for day in days[:3]) + (f" and {len(days) - 3} more" if len(days) > 3 else "")
    return f"{len(days)} session{'s' if len(days) > 1 else ''} missing: {shown}"
