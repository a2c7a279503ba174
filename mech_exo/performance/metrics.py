"""Every figure a report shows, by name. The formulas live beside each other: returns and risk in ``ratios``, falls in
``drawdowns``, bad sessions in ``tails``, the same through time in ``periods``, the benchmark in ``benchmark``, bad times in ``crises``,
trading and costs in ``trading``; this module gathers them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance import ratios, trading
from mech_exo.performance.batch import BatchMetrics, batch_metrics
from mech_exo.performance.benchmark import capture, regression, rolling_alpha, rolling_beta
from mech_exo.performance.capacity import capacity
from mech_exo.performance.crises import crisis_table
from mech_exo.performance.drawdowns import calmar, drawdown_series, drawdown_table, max_drawdown, trailing_drawdown
from mech_exo.performance.intervals import sharpe_interval
from mech_exo.performance.overfitting import probabilistic_sharpe
from mech_exo.performance.periods import (
    calendar_returns,
    hit_rate,
    rolling_max_drawdown,
    rolling_return,
    rolling_sharpe,
    rolling_sortino,
    rolling_volatility,
)
from mech_exo.performance.ratios import (
    YEAR,
    Floats,
    annualisation_factor,
    cagr,
    from_first_close,
    growth,
    sharpe,
    sharpe_robust_error,
    sharpe_standard_error,
    sortino,
    time_weighted_returns,
    total_return,
    volatility_ann,
)
from mech_exo.performance.tails import cornish_fisher_risk, gaussian_risk, historical_risk, omega, tail_ratio
from mech_exo.performance.trading import (
    account_returns,
    costs,
    exposure,
    gross_returns,
    opening_nav,
    trade_statistics,
    turnover_ann,
    worst_loss,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.kernels.records import Bars

__all__ = [
    "YEAR", "BatchMetrics", "account_returns", "all_of_returns", "annualisation_factor", "batch_metrics", "cagr", "calendar_returns",
    "calmar", "capacity", "capture", "cornish_fisher_risk", "costs", "crisis_table", "drawdown_series", "drawdown_table", "exposure",
    "gaussian_risk", "gross_returns", "growth", "historical_risk", "hit_rate", "max_drawdown", "of_account", "of_returns", "omega",
    "opening_nav", "probabilistic_sharpe", "regression", "rolling_alpha", "rolling_beta", "rolling_max_drawdown", "rolling_return",
    "rolling_sharpe", "rolling_sortino", "rolling_volatility", "sharpe", "sharpe_interval", "sharpe_robust_error", "sharpe_standard_error",
    "sortino", "summary", "tail_ratio", "time_weighted_returns", "total_return", "trade_statistics", "trailing_drawdown", "turnover_ann",
    "volatility_ann", "worst_loss",
]  # fmt: skip

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
    bars: Bars | None = None,
) -> Summary:
    """All metrics, flat, ready for JSON: unknown is None, never 0.

    ``max_drawdown`` is the deepest fall from any earlier peak of the whole period. ``max_drawdown_12m`` is the deepest fall, at any time
    of the whole period, from the highest point of the 252 sessions before: what ``portfolio.max_drawdown`` limits. Neither is the KPI
    contract's trailing figure, which sees the last 252 sessions alone (:func:`mech_exo.performance.kpi.kpi_contract`).

    Fractions unless the name ends in ``_usd`` or is an amount (equity, P&L, costs: USD); annual figures on 252 sessions.

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
    bars
        ``(T, N)`` as traded; without them or ``events`` the capacity is None.
    """
    returns = account_returns(days)
    basis: dict[str, float | int] = {"sessions_per_year": YEAR, "risk_free": risk_free}
    figures: dict[str, float | int] = {"sessions": len(sessions), "years": len(sessions) / YEAR} | basis
    figures |= all_of_returns(returns, risk_free) | _calendar(sessions, returns)
    figures |= of_account(days) | _gross(days, returns, risk_free) | _trades(trades)
    figures |= _against(returns, benchmark, risk_free)
    figures["capacity_usd"] = math.nan if events is None or bars is None else capacity(days, events, bars).nav
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


def all_of_returns(returns: Floats, risk_free: float = 0.0) -> dict[str, float | int]:
    """Every figure of :func:`summary` that needs nothing but session returns ``(T,)``; NaN unknown."""
    return of_returns(returns, risk_free) | _certainty(returns, risk_free) | _tails(returns)


def _certainty(returns: Floats, risk_free: float) -> dict[str, float | int]:
    """How sure the Sharpe ratio is."""
    interval = sharpe_interval(returns, risk_free)
    per_session = sharpe(returns, risk_free) / math.sqrt(YEAR)
    return {
        "sharpe_standard_error": sharpe_standard_error(returns, risk_free),
        "sharpe_robust_error": sharpe_robust_error(returns, risk_free),
        "sharpe_low": interval.low,
        "sharpe_high": interval.high,
        "sharpe_autocorrelation_adjusted": per_session * annualisation_factor(returns),
        "probabilistic_sharpe": probabilistic_sharpe(returns, 0.0, risk_free),
    }


def _tails(returns: Floats) -> dict[str, float | int]:
    found = {"omega": omega(returns), "tail_ratio": tail_ratio(returns)}
    risks = {
        "95": historical_risk(returns),
        "99": historical_risk(returns, 0.99),
        "95_gaussian": gaussian_risk(returns),
        "95_cornish_fisher": cornish_fisher_risk(returns),
    }
    for name, risk in risks.items():
        found |= {f"value_at_risk_{name}": risk.value_at_risk, f"expected_shortfall_{name}": risk.expected_shortfall}
    return found


def _calendar(sessions: NDArray[np.datetime64], returns: Floats) -> dict[str, float | int]:
    calendar = calendar_returns(sessions, returns)
    months, years = (part[np.isfinite(part)] for part in (calendar.months, calendar.totals))
    return {
        "hit_rate_sessions": hit_rate(returns),
        "hit_rate_months": hit_rate(months),
        "best_month": float(months.max()) if len(months) else math.nan,
        "worst_month": float(months.min()) if len(months) else math.nan,
        "best_year": float(years.max()) if len(years) else math.nan,
        "worst_year": float(years.min()) if len(years) else math.nan,
    }


def _gross(days: NDArray[np.void], returns: Floats, risk_free: float) -> dict[str, float | int]:
    """Before commission, slippage and borrow fees."""
    gross = gross_returns(days)
    return {
        "gross_total_return": total_return(gross),
        "gross_cagr": cagr(gross),
        "gross_sharpe": sharpe(gross, risk_free),
        "cost_drag_ann": cagr(gross) - cagr(returns),
    }


def of_account(days: NDArray[np.void]) -> dict[str, float | int]:
    """Every figure of the account's sessions ``(T,)``: equity, P&L and costs in USD, turnover and exposure as fractions; NaN unknown."""
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
    line, taken = regression(returns, theirs, risk_free), capture(returns, theirs)
    return {
        "alpha_ann": line.alpha_ann,
        "beta": line.beta,
        "alpha_error_ann": line.alpha_error_ann,
        "alpha_t": line.alpha_t,
        "beta_error": line.beta_error,
        "beta_t": line.beta_t,
        "newey_west_lags": line.lags,
        "correlation": line.correlation,
        "up_capture": taken.up,
        "down_capture": taken.down,
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
