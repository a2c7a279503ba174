"""The factor sheet: one HTML file about what a factor told of later returns, in the order of Alphalens' tear sheet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance.figures import factors as figures
from mech_exo.performance.ratios import growth
from mech_exo.reporting import page
from mech_exo.reporting.caveats import caveats
from mech_exo.reporting.text import percent, ratio, whole
from mech_exo.reporting.view import Chart, Line, Section, Table
from mech_exo.utils.durable import write_text

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

    from mech_exo.scoring.research import Contribution, FactorStudy

MONTH = 21


@dataclass(frozen=True, slots=True)
class FactorSheet:
    """Everything the template shows."""

    title: str
    subtitle: str
    verdict: str
    caveats: tuple[Line, ...]
    headline: tuple[Line, ...]
    sections: tuple[Section, ...]
    identity: tuple[Line, ...]
    plotly: str


@dataclass(frozen=True, slots=True, eq=False)
class Research:
    """What a factor sheet tells: the study, the monthly portfolio, what the factor adds, whom it resembles, and what must be said first.

    ``similar`` is factor, correlation; ``source`` and ``data_hash`` tell where formula and data come from.
    """

    study: FactorStudy
    long_short: pl.DataFrame
    contribution: Contribution
    similar: pl.DataFrame
    warnings: tuple[str, ...]
    source: str
    code_version: str
    data_hash: str


def write_factor_sheet(research: Research, path: Path | str) -> Path:
    """Write the sheet to ``path``: one self-contained HTML file that opens without a network. It appears whole or not at all."""
    return write_text(Path(path), page.render("factor_sheet.html", sheet(research)))


def sheet(research: Research) -> FactorSheet:
    """The contents, in Alphalens' order: returns, information, turnover; then by sector and regime, the portfolio, the composite."""
    one = research.study
    span = f"{one.sessions[0]} to {one.sessions[-1]}"
    entry = "from the next open" if one.entry == "open" else "from the close it is known at"
    neutral = ", sector-neutral" if one.sector_neutral else ""
    return FactorSheet(
        title=one.name,
        subtitle=f"Factor research, {span}: {len(one.sessions):,} cross-sections, {one.names:,} symbols, returns {entry}{neutral}",
        verdict=verdict(one),
        caveats=caveats(research.warnings),
        headline=_headline(research),
        sections=(_returns(one), _information(one), _turnover(one), _where(one), _portfolio(research.long_short), _composite(research)),
        identity=(
            Line("Formula", research.source),
            Line("Direction", "higher is better" if one.sign > 0 else "lower is better"),
            Line("Code", research.code_version),
            Line("Data", research.data_hash),
        ),
        plotly=page.plotly_source(),
    )


def verdict(one: FactorStudy) -> str:
    """One sentence: what the rank IC says, and how sure that is."""
    ic = _rank(one)
    if ic["t_stat"] is None or ic["mean"] is None:
        return f"Unknown: too few cross-sections have a return over {one.horizon} sessions."
    said = f"Rank IC over {one.horizon} sessions {ratio(ic['mean'], 3)}, t = {ratio(ic['t_stat'])}"
    if abs(ic["t_stat"]) < figures.INTERVAL:
        return f"{said}: not told apart from zero."
    right = "it ranked returns as its direction says" if ic["mean"] > 0 else "it ranked returns against its direction"
    return f"{said}: {right}. One factor among many looked at: a t of 3 is asked of a new one (Harvey, Liu & Zhu 2016)."


def _rank(one: FactorStudy) -> dict[str, float | None]:
    line: dict[str, float | None] = next(
        row for row in one.ic_summary.iter_rows(named=True) if row["method"] == "rank" and row["horizon"] == one.horizon
    )
    return line


def _headline(research: Research) -> tuple[Line, ...]:
    one = research.study
    ic = _rank(one)
    spread = next(row for row in one.spread.iter_rows(named=True) if row["horizon"] == one.horizon)
    held = f"{one.horizon} sessions"
    monthly = research.long_short["return"].mean()
    return (
        Line("Rank IC", ratio(ic["mean"], 3), held),
        Line("t-statistic", ratio(ic["t_stat"]), "Newey-West"),
        Line("IC ÷ its deviation", ratio(ic["ir"]), "IR"),
        Line("Top less bottom", percent(spread["mean"]), held),
        Line("Long-short", percent(None if monthly is None else 12.0 * float(str(monthly))), "a year"),
        Line("Coverage", percent(one.coverage, 1), "of eligible"),
    )


def _wide(frame: pl.DataFrame, value: str, quantiles: int) -> np.ndarray:
    """``(H, Q)`` of a frame of horizon, quantile and ``value``."""
    return frame.sort("horizon", "quantile")[value].cast(float).fill_null(np.nan).to_numpy().reshape(-1, quantiles)


def _floats(frame: pl.DataFrame, value: str) -> np.ndarray:
    return frame[value].cast(float).fill_null(np.nan).to_numpy()


def _returns(one: FactorStudy) -> Section:
    horizons = one.ic_summary["horizon"].unique(maintain_order=True).to_list()
    excess = _wide(one.quantile_returns, "excess", one.quantiles) / np.array(horizons)[:, None]
    spread = one.spread_series.filter(one.spread_series["horizon"] == one.horizon)
    grown = {
        f"Quantile {q}": (part["date"].to_numpy(), part["value"].to_numpy())
        for q in range(1, one.quantiles + 1)
        if (part := one.cumulative.filter(one.cumulative["quantile"] == q)).height
    }
    head = ("Horizon", "Mean", "Standard error", "t", "Lags", "Above 0")
    lines = tuple(
        (whole(row["horizon"]), percent(row["mean"], 3), percent(row["standard_error"], 3), ratio(row["t_stat"]), whole(row["lags"]),
         percent(row["positive"], 1))
        for row in one.spread.iter_rows(named=True)
    )  # fmt: skip
    blocks = (
        page.drawn("Mean return by quantile", "Over all names with a quantile, divided by the sessions held.", "",
                   lambda: figures.quantiles_figure(horizons, excess)),
        page.drawn("Growth of 1 by quantile", f"Equal weights, renewed every {_sessions(one.renewed or one.every)}, no costs; logarithmic.",
                   "" if grown else "No whole period yet, or none ends at a cross-section.", lambda: figures.growth_figure(grown)),
        page.drawn(f"Top less bottom quantile, {one.horizon} sessions", "Beginning at each session.", "",
                   lambda: figures.series_figure(spread["date"].to_numpy(), _floats(spread, "spread"), MONTH, "~%")),
        Table("Spread of top less bottom quantile", head, lines, note="Newey-West errors; the lags cover the overlap of the horizons."),
    )  # fmt: skip
    return Section("returns", "Returns", blocks)


def _sessions(count: int) -> str:
    return "session" if count == 1 else f"{count} sessions"


def _information(one: FactorStudy) -> Section:
    series = one.ic.filter(one.ic["horizon"] == one.horizon)
    values, mean = _floats(series, "rank"), _rank(one)["mean"]
    nothing = "" if mean is not None else "No session has an IC."
    years = one.ic_by_month["year"].unique(maintain_order=True).to_list()
    months = np.full((len(years), 12), np.nan)
    for row in one.ic_by_month.iter_rows(named=True):
        months[years.index(row["year"]), row["month"] - 1] = np.nan if row["ic"] is None else row["ic"]
    known = np.isfinite(months).any(axis=1)
    head = ("Horizon", "Kind", "Mean", "Std", "IR", "t", "Lags", "Above 0")
    lines = tuple(
        (whole(row["horizon"]), row["method"], ratio(row["mean"], 4), ratio(row["std"], 3), ratio(row["ir"], 3), ratio(row["t_stat"]),
         whole(row["lags"]), percent(row["positive"], 1))
        for row in one.ic_summary.iter_rows(named=True)
    )  # fmt: skip
    lags = [str(lag) for lag in one.decay["lag"]]
    thinned = " of every fifth session" if one.every == 1 else ""
    fades = f"Rank IC{thinned} of an older signal with the {MONTH} sessions that follow, 95 % intervals. Half-life: {one.half_life.text}."
    blocks = (
        page.drawn(f"Rank IC, {one.horizon} sessions", "Correlation of ranks with the later return, by session.", nothing,
                   lambda: figures.series_figure(series["date"].to_numpy(), values, MONTH)),
        page.drawn("How often", "Rank ICs; dotted: their mean.", nothing,
                   lambda: figures.histogram_figure(values, float(mean or 0.0)), wide=False),
        page.drawn("Decay", fades, nothing,
                   lambda: figures.errors_figure(lags, _floats(one.decay, "mean"), _floats(one.decay, "standard_error"), "Age in sessions"),
                   wide=False),
        Table("Information coefficients", head, lines, left=(0, 1)),
        page.drawn(f"Mean rank IC by month, {one.horizon} sessions", "In hundredths, by the session of the signal.", nothing,
                   lambda: figures.months_figure([year for year, has in zip(years, known, strict=True) if has], months[known])),
    )  # fmt: skip
    return Section("information", "Information", blocks, "ICs are in the factor's direction: above zero, it worked.")


def _turnover(one: FactorStudy) -> Section:
    horizons = one.autocorrelation["horizon"].to_list()
    shares = _wide(one.turnover, "turnover", one.quantiles)
    lines = tuple((whole(row["horizon"]), ratio(row["autocorrelation"], 3)) for row in one.autocorrelation.iter_rows(named=True))
    caption = "Share of a quantile's names that were not in it so many sessions before."
    blocks = (
        page.drawn("Turnover by quantile", caption, "", lambda: figures.turnover_figure(horizons, shares)),
        Table("Autocorrelation of ranks", ("Sessions apart", "Mean correlation"), lines),
    )
    return Section("turnover", "Turnover", blocks)


def _where(one: FactorStudy) -> Section:
    def bars(title: str, frame: pl.DataFrame, column: str, caption: str, nothing: str) -> Chart:
        return page.drawn(title, caption, "" if frame.height else nothing,
                          lambda: figures.errors_figure(frame[column].to_list(), _floats(frame, "mean"), _floats(frame, "standard_error")))

    said = f"Mean rank IC over {one.horizon} sessions with its 95 % interval"
    rules = one.regime
    states = (f"Bull: the equal-weighted market above its mean of {rules.trend_window} sessions; high volatility: its deviation of "
              f"{rules.volatility_window} sessions above the median of its last {rules.volatility_history}.")  # fmt: skip
    head = ("Sector or regime", "Cross-sections", "Mean", "t", "Above 0")
    rows = [(row["sector"], row) for row in one.ic_by_sector.iter_rows(named=True)]
    rows += [(row["regime"], row) for row in one.ic_by_regime.iter_rows(named=True)]
    lines = tuple(
        (name, whole(row["count"]), ratio(row["mean"], 4), ratio(row["t_stat"]), percent(row["positive"], 1)) for name, row in rows
    )
    told = one.ic_by_sector.drop_nulls("mean") if one.ic_by_sector.height else one.ic_by_sector
    blocks = (
        bars("By sector", told, "sector", f"{said}, among a sector's names.", "No sector has enough names."),
        bars("By regime", one.ic_by_regime.drop_nulls("mean"), "regime", f"{said}. {states}", "No regime is known yet."),
        Table("The same as a table", head, lines),
    )
    return Section("where", "Sectors and regimes", blocks)


def _portfolio(months: pl.DataFrame) -> Section:
    nothing = "" if months.height else "No month has both legs."
    caption = "Top less bottom 30 %, equal weights, bought at a month's last close and held to the next; price above 3 USD, 1 M USD a day."

    def draw() -> go.Figure:
        ends = months["date"].to_numpy()
        lines = {name: (ends, growth(months[column].to_numpy())[1:])
                 for name, column in (("Long less short", "return"), ("Long", "long"), ("Short leg", "short"))}  # fmt: skip
        return figures.growth_figure(lines)

    worst = months.sort("return").head(3) if months.height else months
    lines = tuple(
        (str(row["date"])[:7], percent(row["return"]), percent(row["long"]), percent(row["short"])) for row in worst.iter_rows(named=True)
    )
    blocks = (
        page.drawn("Monthly long-short portfolio, growth of 1", caption, nothing, draw),
        Table("Its worst months", ("Month", "Long less short", "Long", "Short leg"), lines),
    )
    return Section("portfolio", "Portfolio", blocks)


def _composite(research: Research) -> Section:
    added = research.contribution
    head = ("Composite", "Mean rank IC", "t")
    lines: Iterable[tuple[str, str, str]] = (
        ("with the factor", ratio(added.with_it, 4), ""),
        ("without it", ratio(added.without_it, 4), ""),
        ("difference", ratio(added.added, 4), ratio(added.t_stat)),
    )
    missing = f"Unknown: {added.reason}."
    similar = tuple((row["factor"], ratio(row["correlation"])) for row in research.similar.iter_rows(named=True))
    blocks = (
        Table("What it adds to the score", head, () if added.reason else tuple(lines), nothing=missing,
              note=f"Over {added.horizon} sessions, every fifth session; without it: its weight at 0.", wide=False),
        Table("Rank correlation with other factors", ("Factor", "Mean correlation"), similar, wide=False,
              nothing="No other factor has values.", note="Each in its direction, a month apart."),
    )  # fmt: skip
    return Section("composite", "In the composite", blocks)
