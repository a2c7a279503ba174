"""How long metrics take: six figures of 1,000 return series against a bare kernel, all figures of one account, its KPI contract.

    python bench/metrics.py [--json] [--quick]
"""

from __future__ import annotations

import math
import sys

import numpy as np
from _common import Line, best, line, main
from numba import get_num_threads, njit, prange
from numpy.typing import NDArray

from mech_exo.kernels.records import DAY
from mech_exo.performance.attribution import TRADE
from mech_exo.performance.kpi import kpi_contract
from mech_exo.performance.metrics import batch_metrics, sharpe, summary

Floats = NDArray[np.float64]
SERIES, SESSIONS, WINDOW = 1000, 2520, 126


@njit(parallel=True, cache=True)
def bare(r: Floats, totals: Floats, rolling: Floats) -> None:
    """The six figures and nothing else: no risk-free rate, no unknown or standing series, digits lost in running sums; ``(K, T)``."""
    series, sessions = r.shape
    for j in prange(series):
        s = q = below = a = b = fall = 0.0
        value = peak = 1.0
        for t in range(sessions):
            x = r[j, t]
            s += x
            q += x * x
            if x < 0:
                below += x * x
            value *= 1 + x
            peak = max(peak, value)
            fall = min(fall, value / peak - 1)
            a += x
            b += x * x
            if t >= WINDOW:
                y = r[j, t - WINDOW]
                a -= y
                b -= y * y
            rolling[j, t] = (a / WINDOW) / math.sqrt((b - a * a / WINDOW) / (WINDOW - 1)) * math.sqrt(252.0) if t >= WINDOW - 1 else np.nan
        mean = s / sessions
        totals[j, 0] = mean / math.sqrt((q - sessions * mean * mean) / (sessions - 1)) * math.sqrt(252.0)
        totals[j, 1] = mean / math.sqrt(below / sessions) * math.sqrt(252.0)
        totals[j, 2] = fall
        totals[j, 3] = value ** (252.0 / sessions) - 1
        totals[j, 4] = totals[j, 3] / -fall


def batch(repeats: int) -> list[Line]:
    """Six figures of every series, held against the bare kernel on the same threads."""
    returns = np.random.default_rng(1).normal(0.0003, 0.01, (SESSIONS, SERIES))
    rows, totals, rolling = np.ascontiguousarray(returns.T), np.empty((SERIES, 5)), np.empty((SERIES, SESSIONS))
    found = batch_metrics(returns, WINDOW)
    bare(rows, totals, rolling)
    if not (np.allclose(found.sharpe, totals[:, 0]) and np.allclose(found.rolling_sharpe, rolling.T, equal_nan=True)):
        raise SystemExit("batch_metrics and the bare kernel disagree")
    one = [np.ascontiguousarray(returns[:, k]) for k in range(SERIES)]
    name = f"bare numba kernel, {get_num_threads()} threads"
    floor = 1e3 * best(lambda: bare(rows, totals, rolling), repeats)
    ours = 1e3 * best(lambda: batch_metrics(returns, WINDOW), repeats)
    alone = 1e3 * best(lambda: [sharpe(column) for column in one], 1)
    single = 1e3 * best(lambda: batch_metrics(returns, WINDOW, threads=1), repeats)
    return [
        line(f"six metrics, {SERIES} x {SESSIONS}", ours, "ms", 20.0, (name, floor)),
        line("the same on one thread", single, "ms", beside=("sharpe() alone, series by series", alone)),
    ]


def account(repeats: int) -> list[Line]:
    """Every figure of an account of 3,000 sessions and 3,000 trades, and its KPI contract."""
    rng = np.random.default_rng(1)
    days, trades = np.zeros(3000, DAY), np.zeros(3000, TRADE)
    days["nav"] = 1e5 * np.cumprod(1 + rng.normal(0.0004, 0.01, 3000))
    days["price_pnl"] = np.diff(days["nav"], prepend=1e5) + 4.0
    days["commission"] = days["slippage"] = 2.0
    trades["nav"], trades["nav_fraction"], trades["position"] = 1e5, rng.normal(0.001, 0.01, 3000), np.arange(3000)
    trades["pnl"] = trades["nav_fraction"] * 1e5
    sessions = np.busday_offset("2010-01-04", np.arange(3000), roll="forward").astype("datetime64[D]")
    benchmark = rng.normal(0.0003, 0.01, 3000)
    contract = 1e3 * best(lambda: kpi_contract(sessions, days, trades), repeats)
    every = 1e3 * best(lambda: summary(sessions, days, trades, benchmark), 3 * repeats)
    return [line("summary(), 3,000 sessions and trades", every, "ms", 10.0), line("kpi_contract(), the same account", contract, "ms", 50.0)]


def measure(quick: bool) -> list[Line]:
    """Every figure."""
    repeats = 3 if quick else 25
    return [*batch(repeats), *account(repeats)]


if __name__ == "__main__":
    sys.exit(main("Metrics", measure, __doc__))
