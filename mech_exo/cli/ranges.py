"""``--range``: which sessions a command is about."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

import typer

from mech_exo.domain.errors import InputError, cut

WORDS = "last7d, ytd, all, a month (2026-10), a day (2026-10-01) or DATE..DATE (either end may be left open)"
RangeOption = Annotated[str, typer.Option("--range", metavar="RANGE", help=f"Sessions: {WORDS}.")]


@dataclass(frozen=True, slots=True)
class Span:
    """Days from ``first`` to ``last``, both included; None: no bound."""

    first: date | None
    last: date | None

    def holds(self, day: date) -> bool:
        """Whether ``day`` lies in it."""
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)


def span(text: str, last: date | None) -> Span:
    """What ``text`` means where ``last`` is the last booked session (None: nothing is booked): ``last7d`` are the seven calendar days that
    end with it and whatever came since, ``ytd`` its year.

    Raises InputError for anything but what :data:`WORDS` says.
    """
    wanted = text.strip().lower()
    if wanted == "all":
        return Span(None, None)
    if wanted == "ytd":
        return Span(None, None) if last is None else Span(date(last.year, 1, 1), None)
    if (recent := re.fullmatch(r"last([1-9]\d{0,4})d", wanted)) is not None:
        return Span(None, None) if last is None else Span(last - timedelta(int(recent[1]) - 1), None)
    try:
        if (month := re.fullmatch(r"(\d{4})-(\d{2})", wanted)) is not None:
            year, number = int(month[1]), int(month[2])
            return Span(date(year, number, 1), date(year, number, monthrange(year, number)[1]))
        first, dots, end = wanted.partition("..")
        if not dots:
            return Span(_day(wanted), _day(wanted))
        found = Span(_day(first) if first else None, _day(end) if end else None)
    except (ValueError, IndexError, OverflowError) as error:
        raise InputError(f"a range is {WORDS}; got {cut(text)}", remedy="for example --range last30d") from error
    if found.first is not None and found.last is not None and found.first > found.last:
        raise InputError(f"a range begins before it ends; got {cut(text)}", remedy=f"--range {found.last}..{found.first}")
    return found


def _day(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()):
        raise ValueError(text)
    return date.fromisoformat(text.strip())
