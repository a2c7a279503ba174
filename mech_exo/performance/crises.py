"""How an account came through the market's named bad times."""

from __future__ import annotations

import math
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mech_exo.performance.drawdowns import max_drawdown
from mech_exo.performance.ratios import Floats, from_first_close, growth, total_return


class Window(NamedTuple):
    """A named stretch of the calendar, both ends included."""

    name: str
    start: date
    end: date


CRISES = (
    Window("Dot-com crash", date(2000, 3, 27), date(2002, 10, 9)),
    Window("Financial crisis", date(2007, 10, 10), date(2009, 3, 9)),
    Window("After Lehman", date(2008, 9, 22), date(2008, 11, 20)),
    Window("Flash crash and Greece", date(2010, 4, 26), date(2010, 7, 2)),
    Window("US downgrade, euro crisis", date(2011, 7, 25), date(2011, 10, 3)),
    Window("China devaluation, oil", date(2015, 5, 22), date(2016, 2, 11)),
    Window("Volatility shock", date(2018, 1, 29), date(2018, 2, 8)),
    Window("Rate fears, late 2018", date(2018, 9, 21), date(2018, 12, 24)),
    Window("Covid crash", date(2020, 2, 20), date(2020, 3, 23)),
    Window("Inflation and rates", date(2022, 1, 4), date(2022, 10, 12)),
    Window("Tariff shock", date(2025, 2, 20), date(2025, 4, 8)),
)
"""From the session after a closing high of the S&P 500 to its closing low: the fall of the index is the window's return."""


class Crisis(NamedTuple):
    """What happened inside one window. ``first`` and ``last`` are the sessions the record has of it; fractions, NaN unknown."""

    name: str
    start: date
    end: date
    first: date
    last: date
    sessions: int
    partial: bool
    total_return: float
    max_drawdown: float
    benchmark_return: float
    benchmark_max_drawdown: float


def crisis_table(
    sessions: NDArray[np.datetime64], returns: Floats, benchmark: Floats | None = None, windows: tuple[Window, ...] = CRISES
) -> tuple[Crisis, ...]:
    """Return and deepest fall of the account and of the benchmark inside each window, in the windows' order.

    A window without a session of the record is left out; ``partial`` says that the record begins after its start or ends before its end.

    Parameters
    ----------
    sessions, returns
        ``(T,)`` dates and session returns.
    benchmark
        ``(T,)`` session returns, NaN unknown; its first one does not count
        (:func:`mech_exo.performance.ratios.from_first_close`). One NaN inside a window leaves the benchmark unknown there.
    """
    theirs = np.full(len(returns), np.nan) if benchmark is None else from_first_close(benchmark)
    found = []
    for window in windows:
        inside = (sessions >= np.datetime64(window.start, "D")) & (sessions <= np.datetime64(window.end, "D"))
        if inside.any():
            found.append(_crisis(window, sessions, inside, returns[inside], theirs[inside]))
    return tuple(found)


def _crisis(window: Window, sessions: NDArray[np.datetime64], inside: NDArray[np.bool_], mine: Floats, theirs: Floats) -> Crisis:
    covered = sessions[inside]
    partial = sessions[0] > np.datetime64(window.start, "D") or sessions[-1] < np.datetime64(window.end, "D")
    known = bool(np.isfinite(theirs).all())
    return Crisis(
        *window,
        first=covered[0].astype(object),
        last=covered[-1].astype(object),
        sessions=len(covered),
        partial=bool(partial),
        total_return=total_return(mine),
        max_drawdown=max_drawdown(growth(mine)),
        benchmark_return=total_return(theirs) if known else math.nan,
        benchmark_max_drawdown=max_drawdown(growth(theirs)) if known else math.nan,
    )
