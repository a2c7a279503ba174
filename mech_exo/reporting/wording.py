"""Metrics and the KPI contract in words: names, units and thresholds as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance.kpi import Kpi, KpiPeriod, KpiReport, Verdict
from mech_exo.performance.ratios import YEAR
from mech_exo.reporting.text import day, money, percent, ratio, whole
from mech_exo.reporting.view import Group, KpiLine, Line

if TYPE_CHECKING:
    from mech_exo.performance.metrics import Summary


def verdict_line(period: KpiPeriod) -> str:
    """The KPI contract in one sentence."""
    met = sum(kpi.verdict is Verdict.PASS for kpi in period.kpis)
    failed = [
        f"{kpi.label} {_value(kpi.name, kpi.value)} ({_demand(kpi.name, kpi.bound, kpi.threshold)})"
        for kpi in period.kpis
        if kpi.verdict is Verdict.FAIL
    ]
    parts = [f"{met} of {len(period.kpis)} demands of the KPI contract met over the whole period"]
    parts += [f"not met: {', '.join(failed)}"] if failed else []
    for verdict in (Verdict.NOT_ENOUGH_DATA, Verdict.NOT_MEANINGFUL):
        names = [kpi.label for kpi in period.kpis if kpi.verdict is verdict]
        parts += [f"{verdict} for {', '.join(names)}"] if names else []
    return "; ".join(parts) + "."


def kpi_lines(report: KpiReport) -> tuple[KpiLine, ...]:
    """The contract's rows with both periods side by side."""
    rows = []
    for pair in zip(report.trailing.kpis, report.whole.kpis, strict=True):
        first = pair[0]
        cells = [Line(_interval(kpi), _measured(kpi), kpi.note) for kpi in pair]
        demand = _demand(first.name, first.bound, first.threshold)
        rows.append(KpiLine(first.label, demand, tuple(cells), tuple(kpi.verdict.value for kpi in pair)))
    return tuple(rows)


def metric_groups(m: Summary) -> tuple[Group, ...]:
    """The metrics of :func:`mech_exo.performance.metrics.summary` for a reader."""
    return (
        Group("Return", (
            Line("Total return", percent(m["total_return"])),
            Line("CAGR", percent(m["cagr"])),
            Line("Best session", percent(m["best_session"])),
            Line("Worst session", percent(m["worst_session"])),
            Line("First NAV, USD", money(m["initial_equity"])),
            Line("Last NAV, USD", money(m["final_equity"])),
            Line("Deposits less withdrawals, USD", money(m["net_flow"])),
        )),
        Group("Risk", (
            Line("Volatility, annual", percent(m["volatility_ann"])),
            Line("Sharpe", ratio(m["sharpe"]), _error(m, " standard error (Lo 2002)")),
            Line("Sortino", ratio(m["sortino"])),
            Line("Calmar", ratio(m["calmar"])),
            Line("Maximum drawdown", percent(m["max_drawdown"]), "whole period, from any earlier peak"),
            Line("… from a 12-month peak", percent(m["max_drawdown_12m"]), "at any time of the whole period; what the risk limit sees"),
            Line("Longest drawdown, sessions", whole(m["longest_drawdown_sessions"])),
            Line("Drawdown at the end", percent(m["drawdown"])),
            Line("Skewness", ratio(m["skewness"])),
            Line("Excess kurtosis", ratio(m["excess_kurtosis"])),
        )),
        Group("Costs, USD", (
            Line("Gross P&L", money(m["gross_pnl"])),
            Line("Commission", money(m["commission"])),
            Line("Slippage", money(m["slippage"])),
            Line("Borrow fees", money(m["borrow"])),
            Line("Total costs", money(m["total_costs"])),
            Line("Net P&L", money(m["net_pnl"])),
            Line("Costs of gross P&L", percent(m["cost_share"]) if m["cost_share"] is not None else "not meaningful"),
            Line("Dividends", money(m["dividends"])),
            Line("Interest", money(m["interest"])),
        )),
        Group("Trading", (
            Line("Orders", whole(m["orders"])),
            Line("Fills", whole(m["fills"])),
            Line("Not filled", whole(m["unfilled"])),
            Line("Stop-outs", whole(m["stop_outs"])),
            Line("Profit targets", whole(m["target_exits"])),
            Line("Turnover, one-way a year", ratio(m["turnover_ann"]), "times the average NAV"),
            Line("Exposure, gross", percent(m["exposure"])),
            Line("Exposure, net", percent(m["net_exposure"])),
        )),
        Group("Trades", (
            Line("Closed", whole(m["trades"])),
            Line("Win rate", percent(m["win_rate"])),
            Line("Profit factor", ratio(m["profit_factor"])),
            Line("Payoff", ratio(m["payoff"]), "average gain / average loss"),
            Line("Expectancy, USD", money(m["expectancy"])),
            Line("Average return", percent(m["average_trade_return"])),
            Line("Average holding, sessions", ratio(m["average_holding_sessions"], 1)),
            Line("Largest loss of NAV", percent(m["worst_trade_loss"]), "one lot or one whole position"),
        )),
        Group("Against the benchmark", (
            Line("Benchmark CAGR", percent(m["benchmark_cagr"])),
            Line("Benchmark Sharpe", ratio(m["benchmark_sharpe"])),
            Line("Benchmark max. drawdown", percent(m["benchmark_max_drawdown"])),
            Line("Alpha, annual", percent(m["alpha_ann"])),
            Line("Beta", ratio(m["beta"])),
            Line("Correlation", ratio(m["correlation"])),
            Line("Tracking error, annual", percent(m["tracking_error_ann"])),
            Line("Information ratio", ratio(m["information_ratio"])),
        )),
    )  # fmt: skip


def headline(m: Summary) -> tuple[Line, ...]:
    """The six figures at the top."""
    return (
        Line("CAGR", percent(m["cagr"])),
        Line("Volatility", percent(m["volatility_ann"])),
        Line("Sharpe", ratio(m["sharpe"]), _error(m)),
        Line("Max. drawdown", percent(m["max_drawdown"])),
        Line("Trades", whole(m["trades"])),
        Line("Win rate", percent(m["win_rate"], 1)),
    )


def _error(m: Summary, what: str = "") -> str:
    """The Sharpe ratio's standard error; nothing where it is unknown."""
    return "" if m["sharpe_standard_error"] is None else f"± {ratio(m['sharpe_standard_error'])}{what}"


def basis(m: Summary) -> str:
    """How the figures are reckoned."""
    short = "Fewer than 252 sessions: annual figures are extrapolated. " if (m["sessions"] or 0) < YEAR else ""
    return (
        f"{short}Annual figures on 252 sessions a year; risk-free rate {percent(m['risk_free'])} a year; "
        "returns time-weighted, after all costs; drawdowns are positive; a trade is a first-in-first-out lot, net of both commissions."
    )


def span(period: KpiPeriod) -> str:
    """A period's name and beginning."""
    name = "Trailing 12 months" if period.name == "trailing_12_months" else "Whole period"
    return f"{name}, from {day(period.start)}" if period.start else name


def _measured(kpi: Kpi) -> str:
    """The value; nothing beside "not meaningful", which says it all."""
    return "" if kpi.verdict is Verdict.NOT_MEANINGFUL else _value(kpi.name, kpi.value)


def _interval(kpi: Kpi) -> str:
    if kpi.interval is None or not np.isfinite(kpi.interval.low):
        return ""
    return f"95 %: {_value(kpi.name, kpi.interval.low)} to {_value(kpi.name, kpi.interval.high)}"


def _value(name: str, value: float) -> str:
    return ratio(value) if name == "sharpe" else percent(value)


def _demand(name: str, bound: str, threshold: float) -> str:
    sign = "≤" if bound == "at most" else ">"
    return f"{sign}\u00a0{ratio(threshold, 1) if name == 'sharpe' else percent(threshold, 0)}"
