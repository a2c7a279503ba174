"""The chief figures of many return series at once, on all processors: what sweeps and resampling read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.kernels.statistics import COLUMNS, series_statistics
from mech_exo.performance.ratios import Floats, session_rate
from mech_exo.utils import parallel


class BatchMetrics(NamedTuple):
    """``(K,)`` figures of each series and ``(T, K)`` rolling Sharpe ratios; NaN as in the functions of one series."""

    sharpe: Floats
    sortino: Floats
    max_drawdown: Floats
    cagr: Floats
    calmar: Floats
    rolling_sharpe: Floats


def batch_metrics(returns: Floats, window: int = 126, *, risk_free: float = 0.0, threads: int | None = None) -> BatchMetrics:
    """Sharpe, Sortino, maximum drawdown, CAGR, Calmar and the rolling Sharpe ratio of every column of ``returns``.

    Parameters
    ----------
    returns
        ``(T, K)`` session returns, fractions, one series per column; quickest in C order.
    window
        Sessions of the rolling Sharpe ratio; one that does not fit 2 to T gives NaN.
    risk_free
        Annual rate taken off Sharpe and Sortino.
    threads
        At most so many; None = all processors. The figures do not depend on it.

    Equal, to rounding, to :func:`~mech_exo.performance.ratios.sharpe`, :func:`~mech_exo.performance.ratios.sortino`,
    :func:`~mech_exo.performance.drawdowns.max_drawdown`, :func:`~mech_exo.performance.ratios.cagr`,
    :func:`~mech_exo.performance.drawdowns.calmar` and :func:`~mech_exo.performance.periods.rolling_sharpe` of each column; below 2
    sessions all are NaN.

    Raises
    ------
    InputError
        ``returns`` is not a matrix.
    """
    if returns.ndim != 2:
        remedy = "returns[:, None] for one series"
        raise InputError(f"a batch is a matrix of sessions by series; got {returns.ndim} dimensions", remedy=remedy)
    values = np.ascontiguousarray(returns, np.float64)
    count, series = values.shape
    totals, rolling = np.full((5, series), np.nan), np.full(values.shape, np.nan) if count < 2 else np.empty(values.shape)
    if count >= 2:
        work = (values, window, session_rate(risk_free), totals, rolling)
        parallel.map(_columns, range(0, series, COLUMNS), shared=work, backend="threads", workers=threads)
    ratio, downside, fall, growth, calmar = (totals[row] for row in range(5))
    return BatchMetrics(ratio, downside, fall, growth, calmar, rolling)


def _columns(work: tuple[Floats, int, float, Floats, Floats], first: int) -> None:
    """One block of series: what a thread takes at a time."""
    values, window, rate, totals, rolling = work
    series_statistics(values, first, min(first + COLUMNS, values.shape[1]), window, rate, totals, rolling)
