"""The tear sheet: one HTML file that explains a backtest, opens without a network and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance import figures
from mech_exo.performance.attribution import by_exit_reason
from mech_exo.performance.drawdowns import drawdown_table
from mech_exo.performance.periods import Calendar, calendar_returns
from mech_exo.performance.ratios import YEAR, growth
from mech_exo.performance.trading import account_returns
from mech_exo.reporting import page
from mech_exo.reporting.text import day, money, percent, ratio, whole, words
from mech_exo.reporting.view import Chart, Line, Month, Result, Sheet, Year
from mech_exo.reporting.wording import basis, headline, kpi_lines, metric_groups, span, verdict_line
from mech_exo.utils.config import effective
from mech_exo.utils.durable import write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

SHOWN_TRADES = 12
SHOWN_UNFILLED = 50
MONEY = ("price_pnl", "dividends", "interest", "borrow", "commission", "slippage")
GROWTH = "Of 100, time-weighted and after costs; the benchmark from the first session's close."
EXITS = "P&L by reason of the exit, with the number of trades."
OUTCOMES = {"no_bar": "the symbol had no bar in that session"}


def write_tearsheet(result: Result, path: Path | str, *, kind: str = "Backtest") -> Path:
    """Write the tear sheet of ``result`` to ``path`` (one self-contained HTML file, about 5 MB) and return the path.

    ``kind`` says what the record is, e.g. "Paper account". Plotly is inlined once; a content security policy in the page forbids
    every request. The file appears whole or not at all.
    """
    return write_text(Path(path), page.render("tearsheet.html", sheet(result, kind)))


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
        periods=tuple(span(period) for period in (result.kpi.trailing, result.kpi.whole)),
        kpis=kpi_lines(result.kpi),
        headline=headline(result.metrics),
        groups=metric_groups(result.metrics),
        basis=basis(result.metrics),
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
    return f"{kind}, {span}: {_counted(len(result.sessions), 'session')}, {_counted(len(result.symbols), 'symbol')}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _charts(result: Result) -> tuple[Chart, ...]:
    dates, days = result.sessions, result.days
    rate = float(result.metrics["risk_free"] or 0.0)
    no_trade = "" if result.trades.height - result.trades["open"].sum() else "No closed trade yet."
    no_year = "" if len(dates) >= YEAR else f"Not yet {YEAR} sessions; {len(dates)} so far."
    no_money = "" if any(days[name].any() for name in MONEY) else "Nothing gained, lost or paid yet."
    no_session = "" if len(dates) else "No session yet."
    drawn: tuple[tuple[str, str, go.Figure, bool, str], ...] = (
        ("Growth", GROWTH, figures.equity_figure(dates, days, result.benchmark), True, no_session),
        ("Drawdown", "Below the highest point so far.", figures.underwater_figure(dates, days), True, no_session),
        ("Trailing twelve months", "252 sessions, drawn once they are full.", figures.rolling_figure(dates, days, rate), True, no_year),
        ("Exposure", "Of NAV at each close.", figures.exposure_figure(dates, days), True, no_session),
        ("Trade results", "Closed trades, net.", figures.trades_figure(result.round_trips), False, no_trade),
        ("From gross to net", "Whole period, USD.", figures.costs_figure(days), False, no_money),
        ("Exits", EXITS, figures.exits_figure(by_exit_reason(result.trades)), True, no_trade),
    )
    charts = []
    for number, (title, caption, figure, wide, nothing) in enumerate(drawn):
        charts.append(Chart(title, caption, "" if nothing else page.figure_html(figure, f"chart-{number}"), wide, nothing))
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
    hashes = {"Run": result.run_id, "Configuration": result.config_hash, "Code": result.code_version, "Data": result.data_hash}
    return tuple(Line(name, value) for name, value in hashes.items())
