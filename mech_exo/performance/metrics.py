"""Every figure a report shows, by name. The formulas live beside each other: returns and risk in ``ratios``, falls in
``drawdowns``, the same through time in ``periods``, trading and costs in ``trading``; this module gathers them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance import ratios, trading
from mech_exo.performance.drawdowns import calmar, drawdown_series, drawdown_table, max_drawdown, trailing_drawdown
from mech_exo.performance.periods import calendar_returns, rolling_max_drawdown, rolling_return, rolling_sharpe, rolling_volatility
from mech_exo.performance.ratios import (
    YEAR,
    Floats,
    cagr,
    from_first_close,
    growth,
    regression,
    sharpe,
    sharpe_standard_error,
    sortino,
    time_weighted_returns,
    total_return,
    volatility_ann,
)
from mech_exo.performance.trading import account_returns, costs, exposure, opening_nav, trade_statistics, turnover_ann, worst_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "YEAR", "account_returns", "cagr", "calendar_returns", "calmar", "costs", "drawdown_series", "drawdown_table", "exposure", "growth",
    "max_drawdown", "of_returns", "opening_nav", "regression", "rolling_max_drawdown", "rolling_return", "rolling_sharpe",
    "rolling_volatility", "sharpe", "sharpe_standard_error", "sortino", "summary", "time_weighted_returns", "total_return",
    "trade_statistics", "trailing_drawdown", "turnover_ann", "volatility_ann", "worst_loss",
]

Value = float | int | None
Summary = dict[str, Value]


def summary(
    sessions: NDArray[np.datetime64],
    days: NDArray[np.void],
    trades: NDArray[np.void],
    benchmark: Floats | None = None,
    risk_free: float = 0.0,
    *,
    events: NDArray[np.void] | None = None,
) -> Summary:
    """All metrics, flat, ready for JSON: unknown is None, never 0.

    Parameters
    ----------
    sessions, days
        ``(T,)`` dates and :data:`mech_exo.kernels.records.DAY`.
    trades
        :data:`mech_exo.performance.attribution.TRADE`.
    benchmark
        ``(T,)`` session returns aligned with ``sessions``, NaN unknown. The first one does not count: see
        :func:`mech_exo.performance.ratios.from_first_close`.
    risk_free
        Annual rate in Sharpe, Sortino and alpha.
    events
        ``(M,)`` of EVENT; without it the counts of orders, fills and stop-outs are None.

    ``max_drawdown`` is the deepest fall from any earlier peak of the whole period. ``max_drawdown_12m`` is the deepest fall, at any time
    of the whole period, from the highest point of the 252 sessions before: what ``portfolio.max_drawdown`` limits. Neither is the KPI
    contract's trailing figure, which sees the last 252 sessions alone (:func:`mech_exo.performance.kpi.kpi_contract`).

    Fractions unless the name ends in ``_usd`` or is an amount (equity, P&L, costs: USD); annual figures on 252 sessions.
    """
    returns = account_returns(days)
    figures: dict[str, float | int] = {"sessions": len(sessions), "years": len(sessions) / YEAR, "risk_free": risk_free}
    figures |= of_returns(returns, risk_free) | _account(days) | _trades(trades)
    figures |= _against(returns, benchmark, risk_free)
    counts = None if events is None else trading.activity(events)
    out: Summary = {name: _known(value) for name, value in figures.items()}
    for name in ("orders", "fills", "unfilled", "stop_outs", "target_exits", "delistings"):
        out[name] = None if counts is None else int(getattr(counts, name))
    return out


def of_returns(returns: Floats, risk_free: float = 0.0) -> dict[str, float | int]:
    """Every figure that needs nothing but session returns ``(T,)``; NaN unknown."""
    value = growth(returns)
    falls = drawdown_table(value, len(value))
    known = len(returns) > 0 and bool(np.isfinite(value).all())
    trailing = trailing_drawdown(value)
    return {
        "total_return": total_return(returns),
        "cagr": cagr(returns),
        "volatility_ann": volatility_ann(returns),
        "sharpe": sharpe(returns, risk_free),
        "sharpe_standard_error": sharpe_standard_error(returns, risk_free),
        "sortino": sortino(returns, risk_free),
        "calmar": calmar(returns, value),
        "max_drawdown": max_drawdown(value) if known else math.nan,
        "max_drawdown_12m": float(trailing.max()) if known else math.nan,
        "drawdown": float(drawdown_series(value)[-1]) if known else math.nan,
        "longest_drawdown_sessions": max((fall.duration for fall in falls), default=0) if known else math.nan,
        "skewness": ratios.skewness(returns),
        "excess_kurtosis": ratios.excess_kurtosis(returns),
        "best_session": float(returns.max()) if len(returns) else math.nan,
        "worst_session": float(returns.min()) if len(returns) else math.nan,
    }


def _account(days: NDArray[np.void]) -> dict[str, float | int]:
    paid = costs(days)
    gross, net = exposure(days)
    empty = not len(days)
    return {
        "initial_equity": opening_nav(days),
        "final_equity": math.nan if empty else float(days["nav"][-1]),
        "net_flow": math.nan if empty else float(days["flow"].sum()),
        "gross_pnl": paid.gross,
        "net_pnl": paid.net,
        "commission": paid.commission,
        "slippage": paid.slippage,
        "borrow": paid.borrow,
        "total_costs": paid.total,
        "cost_share": paid.share,
        "dividends": math.nan if empty else float(days["dividends"].sum()),
        "interest": math.nan if empty else float(days["interest"].sum()),
        "turnover_ann": turnover_ann(days),
        "exposure": math.nan if empty else float(gross.mean()),
        "net_exposure": math.nan if empty else float(net.mean()),
    }


def _trades(trades: NDArray[np.void]) -> dict[str, float | int]:
    done = trade_statistics(trades)
    return {
        "trades": done.closed,
        "open_trades": done.open,
        "win_rate": done.win_rate,
        "profit_factor": done.profit_factor,
        "payoff": done.payoff,
        "expectancy": done.expectancy,
        "average_trade_return": done.average_return,
        "average_holding_sessions": done.average_holding,
        "best_trade": done.best,
        "worst_trade": done.worst,
        "worst_trade_loss": worst_loss(trades),
    }


def _against(returns: Floats, benchmark: Floats | None, risk_free: float) -> dict[str, float | int]:
    theirs = np.full(len(returns), np.nan) if benchmark is None else from_first_close(benchmark)
    line = regression(returns, theirs, risk_free)
    return {
        "alpha_ann": line.alpha_ann,
        "beta": line.beta,
        "correlation": line.correlation,
        "tracking_error_ann": line.tracking_error_ann,
        "information_ratio": line.information_ratio,
        "benchmark_sessions": line.sessions,
        "benchmark_cagr": cagr(theirs),
        "benchmark_volatility_ann": volatility_ann(theirs),
        "benchmark_sharpe": sharpe(theirs, risk_free),
        "benchmark_max_drawdown": max_drawdown(growth(theirs)) if len(theirs) else math.nan,
    }


def _known(value: float | int) -> Value:
    return value if isinstance(value, int) else (float(value) if math.isfinite(value) else None)
