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


def rolling_sortino(returns: Floats, window: int = YEAR, risk_free: float = 0.0) -> Floats:
    """``(T,)`` :func:`mech_exo.performance.ratios.sortino` of the last ``window`` sessions; NaN also where nothing was lost."""

    def ratio(view: Floats) -> Floats:
        downside = np.sqrt((np.minimum(view, 0.0) ** 2).mean(axis=1))
        downside[downside <= NOISE] = np.nan
        result: Floats = view.mean(axis=1) / downside * math.sqrt(YEAR)
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
    years = np.arange(month[0] // 12, month[-1] // 12 + 1) + 1970 if len(month) else np.empty(0, np.int64)
    months, totals = np.full(12 * len(years), np.nan), np.full(len(years), np.nan)
    if len(month):
        number, of_month = _compounded(month, returns)
        months[number - 12 * (years[0] - 1970)] = of_month
        number, of_year = _compounded(month // 12, returns)
        totals[number - (years[0] - 1970)] = of_year
    return Calendar(years, months.reshape(-1, 12), totals)


def hit_rate(returns: Floats) -> float:
    """Share of the returns above 0 among those that are not 0: sessions, or months and years of :func:`calendar_returns`.

    A session in cash without interest is neither won nor lost. Unknown returns (NaN) do not count; NaN where none is left.
    """
    decided = returns[np.isfinite(returns) & (returns != 0.0)]
    return float((decided > 0.0).mean()) if len(decided) else math.nan


def _compounded(period: NDArray[np.int64], returns: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The periods there are (``period`` ``(T,)`` rises) and the compounded return of each."""
    first = np.flatnonzero(np.diff(period, prepend=period[0] - 1))
    return period[first], np.multiply.reduceat(1.0 + returns, first) - 1.0


def _rolling(values: Floats, window: int, reduce: Callable[[Floats], Floats]) -> Floats:
    out = np.full(len(values), np.nan)
    if 2 <= window <= len(values):
        view = np.lib.stride_tricks.sliding_window_view(values, window)
        out[window - 1 :] = reduce(view)
    return out
