"""The same figures through time: rolling twelve months, months, years. NaN where a window is not full or holds a NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mech_exo.performance.ratios import NOISE, YEAR, Floats, session_rate


class Calendar(NamedTuple):
    """Compounded returns by calendar month ``(Y, 12)`` and year ``(Y,)``, fractions; NaN where no session was traded."""

    years: NDArray[np.int64]
    months: Floats
    totals: Floats


def rolling_volatility(returns: Floats, window: int = YEAR) -> Floats:
    """``(T,)`` annual volatility of the last ``window`` sessions (sample deviation × sqrt(252)). NaN for the first window - 1."""
    return _rolling(returns, window, lambda view: view.std(axis=1, ddof=1) * math.sqrt(YEAR))


def rolling_sharpe(returns: Floats, window: int = YEAR, risk_free: float = 0.0) -> Floats:
    """``(T,)`` :func:`mech_exo.performance.ratios.sharpe` of the last ``window`` sessions; NaN also where returns are constant."""

    def ratio(view: Floats) -> Floats:
        deviation = view.std(axis=1, ddof=1)
        deviation[deviation <= NOISE] = np.nan
        result: Floats = view.mean(axis=1) / deviation * math.sqrt(YEAR)
        return result

    return _rolling(returns - session_rate(risk_free), window, ratio)


def rolling_return(returns: Floats, window: int = YEAR) -> Floats:
    """``(T,)`` compounded return of the last ``window`` sessions, a fraction."""
    return _rolling(returns, window, lambda view: np.prod(1.0 + view, axis=1) - 1.0)


def rolling_max_drawdown(returns: Floats, window: int = YEAR) -> Floats:
    """``(T,)`` maximum drawdown inside the last ``window`` sessions, a positive fraction, starting point included."""

    def deepest(view: Floats) -> Floats:
        value = np.concatenate([np.ones((len(view), 1)), np.cumprod(1.0 + view, axis=1)], axis=1)
        result: Floats = (1.0 - value / np.maximum.accumulate(value, axis=1)).max(axis=1)
        return result

    return _rolling(returns, window, deepest)


def calendar_returns(sessions: NDArray[np.datetime64], returns: Floats) -> Calendar:
    """Compound ``returns`` ``(T,)`` by calendar month and year of ``sessions`` ``(T,)``."""
    month = sessions.astype("datetime64[M]").astype(np.int64)
    year, of_year = month // 12 + 1970, month % 12
    years = np.arange(year[0], year[-1] + 1) if len(year) else np.empty(0, np.int64)
    months = np.full((len(years), 12), np.nan)
    totals = np.full(len(years), np.nan)
    for i, wanted in enumerate(years):
        mine = year == wanted
        if mine.any():
            totals[i] = np.prod(1.0 + returns[mine]) - 1.0
        for j in np.unique(of_year[mine]):
            months[i, j] = np.prod(1.0 + returns[mine & (of_year == j)]) - 1.0
    return Calendar(years, months, totals)


def _rolling(values: Floats, window: int, reduce: Callable[[Floats], Floats]) -> Floats:
    out = np.full(len(values), np.nan)
    if 2 <= window <= len(values):
        view = np.lib.stride_tricks.sliding_window_view(values, window)
        out[window - 1 :] = reduce(view)
    return out
