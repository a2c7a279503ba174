"""The tear sheet: one HTML file that explains a backtest, opens without a network and prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mech_exo.performance import figures
from mech_exo.performance.attribution import by_exit_reason
from mech_exo.performance.drawdowns import drawdown_table
from mech_exo.performance.kpi import Kpi, KpiPeriod, KpiReport, Verdict
from mech_exo.performance.metrics import Summary
from mech_exo.performance.periods import Calendar, calendar_returns
from mech_exo.performance.ratios import YEAR, growth
from mech_exo.performance.trading import account_returns
from mech_exo.reporting import page
from mech_exo.reporting.text import day, money, percent, ratio, whole, words
from mech_exo.utils.config import effective

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl
    from numpy.typing import NDArray

    from mech_exo.utils.settings import Config

SHOWN_TRADES = 12
SHOWN_UNFILLED = 50
OUTCOMES = {"no_bar": "the symbol had no bar in that session"}


class Result(Protocol):
    """What of :class:`mech_exo.backtest.result.BacktestResult` a tear sheet reads."""

    @property
    def name(self) -> str:
        """Of the strategy."""

    @property
    def run_id(self) -> str:
        """Names the run."""

    @property
    def config(self) -> Config:
        """What was run."""

    @property
    def config_hash(self) -> str:
        """Of the configuration."""

    @property
    def code_version(self) -> str:
        """Of the sources."""

    @property
    def data_hash(self) -> str:
        """Of the data."""

    @property
    def sessions(self) -> NDArray[np.datetime64]:
        """``(T,)`` dates."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """``(N,)`` names."""

    @property
    def days(self) -> NDArray[np.void]:
        """``(T,)`` of DAY."""

    @property
    def round_trips(self) -> NDArray[np.void]:
        """``(R,)`` of TRADE."""

    @property
    def trades(self) -> pl.DataFrame:
        """Round trips as a table."""

    @property
    def orders(self) -> pl.DataFrame:
        """Orders with their outcome."""

    @property
    def benchmark(self) -> NDArray[np.float64] | None:
        """``(T,)`` returns, NaN unknown; None without one."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know first."""

    @property
    def metrics(self) -> Summary:
        """Flat figures, None unknown."""

    @property
    def kpi(self) -> KpiReport:
        """The KPI contract."""


@dataclass(frozen=True, slots=True)
class Line:
    """A name and its value, ready to be read; ``note`` explains the figure."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Figures under one heading."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn figure as HTML, its heading and what it shows."""

    title: str
    caption: str
    html: str
    wide: bool = True


@dataclass(frozen=True, slots=True)
class Month:
    """A cell of the monthly table: its text, its colour, and whether there is a value."""

    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Year:
    """A row of the monthly table."""

    year: str
    months: tuple[Month, ...]
    total: str


@dataclass(frozen=True, slots=True)
class KpiLine:
    """One demand, over both periods."""

    label: str
    demand: str
    cells: tuple[Line, ...]
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything the template shows."""

    title: str
    subtitle: str
    verdict: str
    passed: str
    warnings: tuple[str, ...]
    periods: tuple[str, ...]
    kpis: tuple[KpiLine, ...]
    headline: tuple[Line, ...]
    groups: tuple[Group, ...]
    basis: str
    charts: tuple[Chart, ...]
    falls: tuple[tuple[str, ...], ...]
    years: tuple[Year, ...]
    winners: tuple[tuple[str, ...], ...]
    losers: tuple[tuple[str, ...], ...]
    trade_count: str
    exits: tuple[tuple[str, ...], ...]
    unfilled: tuple[tuple[str, ...], ...]
    unfilled_count: int
    identity: tuple[Line, ...]
    configuration: str
    plotly: str


def write_tearsheet(result: Result, path: Path | str, *, kind: str = "Backtest") -> Path:
    """Write the tear sheet of ``result`` to ``path`` (one self-contained HTML file, about 5 MB) and return the path.

    ``kind`` says what the record is, e.g. "Paper account". Plotly is inlined once; a content security policy in the page forbids
    every request. The file appears whole or not at all.
    """
    return page.write_text(Path(path), page.render("tearsheet.html", sheet(result, kind)))


def sheet(result: Result, kind: str = "Backtest") -> Sheet:
    """The tear sheet's contents."""
    calendar = calendar_returns(result.sessions, account_returns(result.days))
    unfilled = result.orders.filter(result.orders["outcome"] != "filled")
    closed = result.trades.filter(~result.trades["open"])
    return Sheet(
        title=result.name,
        subtitle=_subtitle(result, kind),
        verdict=verdict_line(result.kpi.whole),
        passed=result.kpi.whole.verdict.value,
        warnings=result.warnings,
        periods=tuple(_span(period) for period in (result.kpi.trailing, result.kpi.whole)),
        kpis=kpi_lines(result.kpi),
        headline=_headline(result.metrics),
        groups=metric_groups(result.metrics),
        basis=_basis(result.metrics),
        charts=_charts(result),
        falls=_falls(result),
        years=_years(calendar),
        winners=_trade_rows(closed.filter(closed["pnl"] > 0).sort("pnl", descending=True)),
        losers=_trade_rows(closed.filter(closed["pnl"] <= 0).sort("pnl")),
        trade_count=f"{whole(closed.height)} closed, {whole(result.trades.height - closed.height)} open at the end",
        exits=_exits(result.trades),
        unfilled=_unfilled(unfilled),
        unfilled_count=unfilled.height,
        identity=_identity(result),
        configuration=effective(result.config),
        plotly=page.plotly_source(),
    )


def _subtitle(result: Result, kind: str) -> str:
    span = f"{result.sessions[0]} to {result.sessions[-1]}" if len(result.sessions) else "no session yet"
    return f"{kind}, {span}: {len(result.sessions):,} sessions, {len(result.symbols):,} symbols"


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
            Line("Sharpe", ratio(m["sharpe"]), f"± {ratio(m['sharpe_standard_error'])} standard error (Lo 2002)"),
            Line("Sortino", ratio(m["sortino"])),
            Line("Calmar", ratio(m["calmar"])),
            Line("Maximum drawdown", percent(m["max_drawdown"])),
            Line("… from the trailing-12-month peak", percent(m["max_drawdown_12m"])),
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


def _headline(m: Summary) -> tuple[Line, ...]:
    return (
        Line("CAGR", percent(m["cagr"])),
        Line("Volatility", percent(m["volatility_ann"])),
        Line("Sharpe", ratio(m["sharpe"]), f"± {ratio(m['sharpe_standard_error'])}"),
        Line("Max. drawdown", percent(m["max_drawdown"])),
        Line("Trades", whole(m["trades"])),
        Line("Win rate", percent(m["win_rate"], 1)),
    )


def _basis(m: Summary) -> str:
    short = "Fewer than 252 sessions: annual figures are extrapolated. " if (m["sessions"] or 0) < YEAR else ""
    return (
        f"{short}Annual figures on 252 sessions a year; risk-free rate {percent(m['risk_free'])} a year; "
        "returns time-weighted, after all costs; drawdowns are positive; a trade is a first-in-first-out lot, net of both commissions."
    )


def _charts(result: Result) -> tuple[Chart, ...]:
    dates, days = result.sessions, result.days
    rate = float(result.metrics["risk_free"] or 0.0)
    drawn: tuple[tuple[str, str, go.Figure, bool], ...] = (
        ("Growth", "Of 100, time-weighted and after costs.", figures.equity_figure(dates, days, result.benchmark), True),
        ("Drawdown", "Below the highest point so far.", figures.underwater_figure(dates, days), True),
        ("Trailing twelve months", "252 sessions, drawn once they are full.", figures.rolling_figure(dates, days, rate), True),
        ("Exposure", "Of NAV at each close.", figures.exposure_figure(dates, days), True),
        ("Trade results", "Closed trades, net.", figures.trades_figure(result.round_trips), False),
        ("From gross to net", "Whole period, USD.", figures.costs_figure(days), False),
        ("Exits", "P&L by reason of the exit, with the number of trades.", figures.exits_figure(by_exit_reason(result.trades)), True),
    )
    charts = []
    for number, (title, caption, figure, wide) in enumerate(drawn):
        charts.append(Chart(title, caption, page.figure_html(figure, f"chart-{number}"), wide))
    return tuple(charts)


def _falls(result: Result) -> tuple[tuple[str, ...], ...]:
    """Depth, peak, trough, recovery, sessions to the trough, sessions in all."""
    dates = result.sessions
    rows = []
    for fall in drawdown_table(growth(account_returns(result.days)), 8):
        peak = str(dates[fall.peak - 1]) if fall.peak else f"before {dates[0]}"
        back = "not yet" if fall.recovered is None else str(dates[fall.recovered - 1])
        rows.append((percent(fall.depth), peak, str(dates[fall.trough - 1]), back, whole(fall.fall), whole(fall.duration)))
    return tuple(rows)


def _years(calendar: Calendar) -> tuple[Year, ...]:
    known = calendar.months[np.isfinite(calendar.months)]
    reach = float(np.percentile(np.abs(known), 95)) if len(known) else 1.0
    return tuple(
        Year(str(year), tuple(_month(value, reach or 1.0) for value in months), percent(total, 1))
        for year, months, total in zip(calendar.years[::-1], calendar.months[::-1], calendar.totals[::-1], strict=True)
    )


def _month(value: float, reach: float) -> Month:
    if not np.isfinite(value):
        return Month("", "transparent")
    strength = min(1.0, abs(value) / reach) * 0.55
    tint = "0,114,178" if value > 0 else "213,94,0"
    return Month(percent(value, 1).removesuffix("\u00a0%"), f"rgba({tint},{strength:.2f})")


def _trade_rows(trades: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Symbol, entry, exit, shares, entry and exit price, P&L, return, of NAV, adverse and favourable excursion, exit reason."""
    return tuple(
        (
            t["symbol"], day(t["entry_date"]), day(t["exit_date"]), whole(t["shares"]), money(t["entry_price"]), money(t["exit_price"]),
            money(t["pnl"]), percent(t["return"], 1), percent(t["nav_fraction"]), percent(t["mae"], 1), percent(t["mfe"], 1),
            words(t["exit_reason"]),
        )
        for t in trades.head(SHOWN_TRADES).iter_rows(named=True)
    )  # fmt: skip


def _exits(trades: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Reason, trades, wins, P&L, commission, average holding."""
    return tuple(
        (words(r["exit_reason"]), whole(r["trades"]), percent(r["wins"] / r["trades"], 1), money(r["pnl"]), ratio(r["average_holding"], 1))
        for r in by_exit_reason(trades).iter_rows(named=True)
    )


def _unfilled(orders: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (day(o["date"]), o["symbol"], whole(o["shares"]), words(o["reason"]), OUTCOMES.get(o["outcome"], words(o["outcome"])))
        for o in orders.tail(SHOWN_UNFILLED).iter_rows(named=True)
    )


def _identity(result: Result) -> tuple[Line, ...]:
    named: tuple[tuple[str, Any], ...] = (
        ("Run", result.run_id), ("Configuration", result.config_hash), ("Code", result.code_version), ("Data", result.data_hash),
    )  # fmt: skip
    return tuple(Line(name, str(value)) for name, value in named)


def _measured(kpi: Kpi) -> str:
    """The value; nothing beside "not meaningful", which says it all."""
    return "" if kpi.verdict is Verdict.NOT_MEANINGFUL else _value(kpi.name, kpi.value)


def _interval(kpi: Kpi) -> str:
    if kpi.interval is None or not np.isfinite(kpi.interval.low):
        return ""
    return f"95 %: {_value(kpi.name, kpi.interval.low)} to {_value(kpi.name, kpi.interval.high)}"


def _span(period: KpiPeriod) -> str:
    name = "Trailing 12 months" if period.name == "trailing_12_months" else "Whole period"
    return f"{name}, from {day(period.start)}" if period.start else name


def _value(name: str, value: float) -> str:
    return ratio(value) if name == "sharpe" else percent(value)


def _demand(name: str, bound: str, threshold: float) -> str:
    sign = "≤" if bound == "at most" else ">"
    return f"{sign} {ratio(threshold, 1) if name == 'sharpe' else percent(threshold, 0)}"
