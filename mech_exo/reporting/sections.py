"""The sections of a tear sheet that tell what an account did as a whole: returns, falls, holdings, costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance import figures
from mech_exo.performance.benchmark import rolling_beta
from mech_exo.performance.crises import crisis_table
from mech_exo.performance.drawdowns import drawdown_table
from mech_exo.performance.periods import calendar_returns
from mech_exo.performance.ratios import YEAR, Floats, from_first_close, growth
from mech_exo.performance.trading import account_returns
from mech_exo.reporting import page
from mech_exo.reporting.caveats import is_synthetic
from mech_exo.reporting.text import UNKNOWN, percent, whole
from mech_exo.reporting.view import Chart, Figures, Month, Months, Result, Section, Table, Year
from mech_exo.reporting.wording import metric_groups

if TYPE_CHECKING:
    import polars as pl

MONEY = ("price_pnl", "dividends", "interest", "borrow", "commission", "slippage")
GROWTH = "Of 100, time-weighted and after costs; the benchmark from the first session's close."
SECTORS = "Sizes of the positions at each close, long or short, of NAV, by sector as known then."
GROSS = "So far, USD; between them is the cost."
TURNOVER = "One-way, of the month's average NAV: half of what was bought and sold."
SHOWN_FALLS = 8


def returns(result: Result, terms: str) -> Section:
    """Growth, falls, the trailing year and the months."""
    dates, days = result.sessions, result.days
    none = "" if len(dates) else "No session yet."
    year = "" if len(dates) >= YEAR else f"Not yet {YEAR} sessions; {len(dates)} so far."
    rate = float(result.metrics["risk_free"] or 0.0)
    beta = None if result.benchmark is None else rolling_beta(account_returns(days), from_first_close(result.benchmark))
    trailing = f"{YEAR} sessions, drawn once they are full. {terms}"
    blocks = (
        page.drawn("Growth", GROWTH, none, lambda: figures.equity_figure(dates, days, result.benchmark)),
        page.drawn("Drawdown", "Below the highest point so far.", none, lambda: figures.underwater_figure(dates, days)),
        page.drawn("Trailing twelve months", trailing, year, lambda: figures.rolling_figure(dates, days, rate, beta)),
        Months("Months, %", _years(result)),
    )
    return Section("returns", "Returns", blocks)


def falls(result: Result) -> Section:
    """The deepest drawdowns and the market's bad times."""
    head = ("Depth", "Peak", "Lowest", "Recovered", "Sessions down", "Sessions in all")
    deepest = Table("Deepest drawdowns", head, _falls(result), nothing="The account was never below an earlier peak.")
    return Section("drawdowns", "Drawdowns and crises", (deepest, _crises(result)))


def holdings(result: Result) -> Section:
    """How much was held, and in which sectors."""
    dates, days = result.sessions, result.days
    none = "" if len(dates) else "No session yet."
    blocks = (
        page.drawn("Exposure", "Of NAV at each close.", none, lambda: figures.exposure_figure(dates, days)),
        _sectors(result),
    )
    return Section("exposure", "Exposure and sectors", blocks)


def costs(result: Result) -> Section:
    """What changed hands and what that cost."""
    dates, days = result.sessions, result.days
    nothing = "" if any(days[name].any() for name in MONEY) else "Nothing gained, lost or paid yet."
    traded = "" if days["traded"].any() else "Nothing traded yet."
    blocks = (
        page.drawn("Turnover by month", TURNOVER, traded, lambda: figures.turnover_figure(dates, days)),
        page.drawn("From gross to net", "Whole period, USD.", nothing, lambda: figures.costs_figure(days), wide=False),
        page.drawn("Gross and net P&L", GROSS, nothing, lambda: figures.gross_net_figure(dates, days), wide=False),
    )
    return Section("costs", "Turnover and costs", blocks)


def all_figures(result: Result, basis: str) -> Section:
    """Every metric, in groups."""
    return Section("figures", "All figures", (Figures(metric_groups(result.metrics)),), basis)


def _falls(result: Result) -> tuple[tuple[str, ...], ...]:
    """Depth, peak, trough, recovery, sessions to the trough, sessions in all."""
    dates = result.sessions
    rows = []
    for fall in drawdown_table(growth(account_returns(result.days)), SHOWN_FALLS):
        peak = str(dates[fall.peak - 1]) if fall.peak else f"before {dates[0]}"
        back = "not yet" if fall.recovered is None else str(dates[fall.recovered - 1])
        rows.append((percent(fall.depth), peak, str(dates[fall.trough - 1]), back, whole(fall.fall), whole(fall.duration)))
    return tuple(rows)


def _crises(result: Result) -> Table:
    """The named bad times; an invented market has had none of them."""
    title, head = "In the market's bad times", ("Time", "From", "To", "Return", "Fall", "Benchmark", "Its fall")
    if is_synthetic(result.warnings):
        return Table(title, head, (), nothing="An invented market has not lived through them.")
    rows = tuple(
        (
            f"{crisis.name}{' (in part)' if crisis.partial else ''}", str(crisis.first), str(crisis.last), percent(crisis.total_return, 1),
            percent(crisis.max_drawdown, 1), percent(crisis.benchmark_return, 1), percent(crisis.benchmark_max_drawdown, 1),
        )
        for crisis in crisis_table(result.sessions, account_returns(result.days), result.benchmark)
    )  # fmt: skip
    return Table(title, head, rows, nothing="The record holds none of them.", note="From a closing high of the S&P 500 to its low.")


def _sectors(result: Result) -> Chart:
    title = "Exposure by sector"
    weights = sector_weights(result.holdings, result.sessions)
    nothing = "Nothing was held." if not weights else "" if set(weights) - {UNKNOWN} else "No sector of what was held is known."
    return page.drawn(title, SECTORS, nothing, lambda: figures.sectors_figure(result.sessions, weights))


def sector_weights(held: pl.DataFrame, sessions: np.ndarray) -> dict[str, Floats]:
    """Of each sector ``(T,)`` the sum of |weight| at each close; 0 where nothing of it was held, "unknown" for names without a sector."""
    import polars as pl

    sums = held.group_by(pl.col("sector").fill_null(UNKNOWN), "date").agg(pl.col("weight").abs().sum())
    out: dict[str, Floats] = {}
    for (name,), part in sums.group_by("sector"):
        mine = out.setdefault(str(name), np.zeros(len(sessions)))
        mine[np.searchsorted(sessions, part["date"].to_numpy().astype("datetime64[D]"))] = part["weight"].to_numpy()
    return out


def _years(result: Result) -> tuple[Year, ...]:
    calendar = calendar_returns(result.sessions, account_returns(result.days))
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
