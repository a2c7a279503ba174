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

ANNUAL = f"annual on {YEAR} sessions"


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
    return (_return(m), _risk(m), _tails(m), _gross_and_net(m), _costs(m), _trading(m), _trades(m), _benchmark(m))


def _return(m: Summary) -> Group:
    return Group("Return", (
        Line("Total return", percent(m["total_return"])),
        Line("CAGR", percent(m["cagr"]), ANNUAL),
        Line("Best / worst session", _pair(m, "best_session", "worst_session")),
        Line("Best / worst month", _pair(m, "best_month", "worst_month")),
        Line("Best / worst year", _pair(m, "best_year", "worst_year"), "calendar years, unfinished ones as they are"),
        Line("Sessions with a gain", percent(m["hit_rate_sessions"], 1), "of those with a return other than 0"),
        Line("Months with a gain", percent(m["hit_rate_months"], 1)),
        Line("First NAV, USD", money(m["initial_equity"])),
        Line("Last NAV, USD", money(m["final_equity"])),
        Line("Deposits less withdrawals, USD", money(m["net_flow"])),
    ))  # fmt: skip


def _risk(m: Summary) -> Group:
    free = _risk_free(m)
    return Group("Risk", (
        Line("Volatility", percent(m["volatility_ann"]), ANNUAL),
        Line("Sharpe", ratio(m["sharpe"]), free),
        Line("… 95 % interval", _between(m, "sharpe_low", "sharpe_high"), "robust to autocorrelation and fat tails (Lo 2002)"),
        Line("… standard error, plain", ratio(m["sharpe_standard_error"]), "as if returns were independent (Lo 2002)"),
        Line("… autocorrelation counted", ratio(m["sharpe_autocorrelation_adjusted"]), "annual by Lo's η(252) instead of √252"),
        Line("… probability above 0", percent(m["probabilistic_sharpe"], 1), "probabilistic Sharpe ratio, before any choice among trials"),
        Line("Sortino", ratio(m["sortino"]), free),
        Line("Calmar", ratio(m["calmar"]), "CAGR / maximum drawdown"),
        Line("Omega", ratio(m["omega"]), "gains / losses of all sessions, threshold 0"),
        Line("Maximum drawdown", percent(m["max_drawdown"]), "whole period, from any earlier peak"),
        Line("… from a 12-month peak", percent(m["max_drawdown_12m"]), "at any time of the whole period; what the risk limit sees"),
        Line("Longest drawdown, sessions", whole(m["longest_drawdown_sessions"])),
        Line("Drawdown at the end", percent(m["drawdown"])),
    ))  # fmt: skip


def _tails(m: Summary) -> Group:
    return Group("Tails, one session", (
        Line("Value at risk, 95 %", percent(m["value_at_risk_95"]), "loss that one session in twenty exceeded"),
        Line("Expected shortfall, 95 %", percent(m["expected_shortfall_95"]), "mean loss of those sessions"),
        Line("Value at risk, 99 %", percent(m["value_at_risk_99"])),
        Line("Expected shortfall, 99 %", percent(m["expected_shortfall_99"])),
        Line("… 95 %, normal law", _pair(m, "value_at_risk_95_gaussian", "expected_shortfall_95_gaussian"), "value at risk / shortfall"),
        Line("… 95 %, Cornish-Fisher", _pair(m, "value_at_risk_95_cornish_fisher", "expected_shortfall_95_cornish_fisher"),
             "the same, corrected for skewness and kurtosis"),
        Line("Tail ratio", ratio(m["tail_ratio"]), "95 % quantile / 5 % quantile"),
        Line("Skewness", ratio(m["skewness"])),
        Line("Excess kurtosis", ratio(m["excess_kurtosis"])),
    ))  # fmt: skip


def _gross_and_net(m: Summary) -> Group:
    return Group("Gross and net", (
        Line("Total return, gross", percent(m["gross_total_return"]), "before commission, slippage and borrow fees"),
        Line("Total return, net", percent(m["total_return"])),
        Line("CAGR, gross", percent(m["gross_cagr"]), ANNUAL),
        Line("CAGR, net", percent(m["cagr"]), ANNUAL),
        Line("Costs of the CAGR", percent(m["cost_drag_ann"]), "gross less net, a year"),
        Line("Sharpe, gross", ratio(m["gross_sharpe"]), _risk_free(m)),
        Line("Sharpe, net", ratio(m["sharpe"]), _risk_free(m)),
    ))  # fmt: skip


def _costs(m: Summary) -> Group:
    return Group("Costs, USD", (
        Line("Gross P&L", money(m["gross_pnl"])),
        Line("Commission", money(m["commission"])),
        Line("Slippage", money(m["slippage"])),
        Line("Borrow fees", money(m["borrow"])),
        Line("Total costs", money(m["total_costs"])),
        Line("Net P&L", money(m["net_pnl"])),
        Line("Costs of gross P&L", percent(m["cost_share"]) if m["cost_share"] is not None else "not meaningful"),
        Line("Dividends", money(m["dividends"])),
        Line("Interest", money(m["interest"])),
    ))  # fmt: skip


def _trading(m: Summary) -> Group:
    return Group("Trading", (
        Line("Orders", whole(m["orders"])),
        Line("Fills", whole(m["fills"])),
        Line("Not filled", whole(m["unfilled"])),
        Line("Stop-outs", whole(m["stop_outs"])),
        Line("Profit targets", whole(m["target_exits"])),
        Line("Turnover, one-way a year", ratio(m["turnover_ann"]), "times the average NAV"),
        Line("Exposure, gross", percent(m["exposure"])),
        Line("Exposure, net", percent(m["net_exposure"])),
        Line("Capacity, USD", money(m["capacity_usd"], 0), "NAV at which square-root impact would eat the whole edge"),
    ))  # fmt: skip


def _trades(m: Summary) -> Group:
    return Group("Trades", (
        Line("Closed", whole(m["trades"])),
        Line("Win rate", percent(m["win_rate"])),
        Line("Profit factor", ratio(m["profit_factor"])),
        Line("Payoff", ratio(m["payoff"]), "average gain / average loss"),
        Line("Expectancy, USD", money(m["expectancy"])),
        Line("Average return", percent(m["average_trade_return"])),
        Line("Average holding, sessions", ratio(m["average_holding_sessions"], 1)),
        Line("Largest loss of NAV", percent(m["worst_trade_loss"]), "one lot or one whole position"),
    ))  # fmt: skip


def _benchmark(m: Summary) -> Group:
    free = _risk_free(m)
    return Group("Against the benchmark", (
        Line("Benchmark CAGR", percent(m["benchmark_cagr"]), ANNUAL),
        Line("Benchmark Sharpe", ratio(m["benchmark_sharpe"]), free),
        Line("Benchmark max. drawdown", percent(m["benchmark_max_drawdown"])),
        Line("Alpha", percent(m["alpha_ann"]), free),
        Line("… t-statistic", ratio(m["alpha_t"]), _error_of(m, percent(m["alpha_error_ann"]))),
        Line("Beta", ratio(m["beta"])),
        Line("… t-statistic", ratio(m["beta_t"]), _error_of(m, ratio(m["beta_error"]))),
        Line("Correlation", ratio(m["correlation"])),
        Line("Up / down capture", _pair(m, "up_capture", "down_capture"), "of the sessions the benchmark rose and fell"),
        Line("Tracking error", percent(m["tracking_error_ann"]), ANNUAL),
        Line("Information ratio", ratio(m["information_ratio"]), ANNUAL),
    ))  # fmt: skip


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


def _error(m: Summary) -> str:
    """The Sharpe ratio's standard error; nothing where it is unknown."""
    return "" if m["sharpe_robust_error"] is None else f"± {ratio(m['sharpe_robust_error'])}"


def _risk_free(m: Summary) -> str:
    return f"{ANNUAL}, risk-free rate {percent(m['risk_free'])}"


def _error_of(m: Summary, error: str) -> str:
    return f"standard error {error}, Newey-West with {whole(m['newey_west_lags'])} lags" if m["alpha_error_ann"] is not None else ""


def _pair(m: Summary, first: str, second: str) -> str:
    """Two percentages; one "unknown" when both are."""
    if m[first] is None and m[second] is None:
        return percent(None)
    return f"{percent(m[first])} / {percent(m[second])}"


def _between(m: Summary, low: str, high: str) -> str:
    return ratio(None) if m[low] is None else f"{ratio(m[low])} to {ratio(m[high])}"


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
