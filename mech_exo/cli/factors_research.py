"""``exo factors research | compare | health``: what factors told of later returns, and whether they still do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.decision.night import Known
    from mech_exo.reporting.factor_sheet import Research
    from mech_exo.scoring.research import Comparison, FactorHealth, Sample

DAY = ["%Y-%m-%d"]
StartOption = Annotated[datetime | None, typer.Option("--start", formats=DAY, help="First session judged; default the first stored.")]
EndOption = Annotated[datetime | None, typer.Option("--end", formats=DAY, help="Last session judged; default the last stored.")]
HorizonsOption = Annotated[str, typer.Option("--horizons", help="Sessions over which returns are measured, by commas.")]
EveryOption = Annotated[int, typer.Option("--every", min=1, help="Sessions from one cross-section to the next.")]
NextOpenOption = Annotated[bool, typer.Option("--next-open", help="Returns from the next open on: what could have been traded.")]
HORIZONS = "1,5,21,63"
ALARM = 3
"""Exit code of ``health --strict`` when a factor is in alarm."""


def research(
    name: Annotated[str, typer.Argument(autocompletion=complete.factors, help="The factor, e.g. momentum_12_1.")],
    start: StartOption = None,
    end: EndOption = None,
    horizons: HorizonsOption = HORIZONS,
    quantiles: Annotated[int, typer.Option("--quantiles", min=2, max=20, help="Groups of equal count.")] = 5,
    every: EveryOption = 1,
    next_open: NextOpenOption = False,
    sector_neutral: Annotated[bool, typer.Option("--sector-neutral", help="Factor and returns less their sector's mean.")] = False,
    output: Annotated[Path | None, typer.Option("--output", help="Where the sheet goes; default reports/factors/NAME.html.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Study one factor: IC, quantiles, turnover, decay, by sector and regime, the monthly long-short portfolio; writes a sheet."""
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.factor_sheet import write_factor_sheet
    from mech_exo.scoring.factors import lookup

    workspace = Workspace.open(home())
    lookup(name, workspace.config.factors.plugins)  # an unknown factor is told before anything is read
    told = told_of(workspace, name, Terms(day(start), day(end), horizons, every, next_open), quantiles, sector_neutral)
    path = write_factor_sheet(told, output or workspace.reports / "factors" / f"{name}.html")
    one = told.study
    data = {
        "factor": name, "start": one.sessions[0].astype(object), "end": one.sessions[-1].astype(object), "entry": one.entry,
        "horizon": one.horizon, "coverage": one.coverage, "half_life": one.half_life, "contribution": told.contribution,
        "correlation": told.similar, **{key: value for key, value in one.frames().items() if key != "spread_series"},
        "long_short": told.long_short, "warnings": list(told.warnings), "sheet": str(path),
    }  # fmt: skip
    emit(data, as_json, lambda to: _research(to, told, path))


def compare(
    start: StartOption = None,
    end: EndOption = None,
    horizons: HorizonsOption = HORIZONS,
    every: EveryOption = 1,
    next_open: NextOpenOption = False,
    as_json: JsonOption = False,
) -> None:
    """All configured factors beside each other: IC, spread, turnover, half-life and how alike they are."""
    from mech_exo.assembly import Workspace
    from mech_exo.scoring.research import compare as compared

    workspace = Workspace.open(home())
    known, sample = prepared(workspace, Terms(day(start), day(end), horizons, every, next_open))
    found = compared(sample, workspace.config.factors)
    data = {
        "horizon": found.horizon, "factors": found.table, "correlation": found.correlation, "skipped": dict(found.skipped),
        "warnings": list(known.warnings),
    }  # fmt: skip
    emit(data, as_json, lambda to: _compare(to, found, known.warnings))


def health(
    window: Annotated[int, typer.Option("--window", min=2, help="Sessions of the rolling IC.")] = 252,
    horizon: Annotated[int, typer.Option("--horizon", min=1, help="Sessions over which returns are measured.")] = 21,
    strict: Annotated[bool, typer.Option("--strict", help=f"Exit with {ALARM} when a factor is in alarm.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Whether each factor's rolling IC is still above zero: healthy, weakening, alarm or unknown.

    With the default window and horizon it also studies every factor and keeps both as data/factor_health.json, which the dashboard shows.
    """
    from mech_exo.assembly import Workspace
    from mech_exo.scoring.research import State, factor_health
    from mech_exo.scoring.research.health import HORIZON, WINDOW

    workspace = Workspace.open(home())
    known, sample = prepared(workspace, Terms(None, None, str(horizon), 1, False))
    found = factor_health(sample, workspace.config.factors, window=window, horizon=horizon)
    lines = [one.as_dict() | {"history": one.history} for one in found]
    kept = _kept(workspace, known, sample, found) if (window, horizon) == (WINDOW, HORIZON) else None
    data = {"window": window, "horizon": horizon, "factors": lines, "warnings": list(known.warnings), "kept": kept}
    emit(data, as_json, lambda to: _health(to, found, window, horizon, known.warnings))
    if strict and any(one.state is State.ALARM for one in found):
        raise typer.Exit(ALARM)


def _kept(workspace: Workspace, known: Known, sample: Sample, found: tuple[FactorHealth, ...]) -> Path | None:
    """Where everything about the factors is kept for the dashboard; None where no factor can be studied."""
    from datetime import UTC

    from mech_exo.scoring.research import bulletin
    from mech_exo.scoring.research.health import State

    if all(one.state is State.UNKNOWN for one in found):
        return None
    made = bulletin.bulletin(
        sample, workspace.config.factors, snapshot=workspace.storage.path.stem, made_at=datetime.now(UTC), warnings=known.warnings,
        health=found,
    )  # fmt: skip
    return bulletin.write(made, workspace.home / "data")


@dataclass(frozen=True, slots=True)
class Terms:
    """The period and how returns are measured, as the command was given them."""

    start: date | None
    end: date | None
    horizons: str
    every: int
    next_open: bool

    @property
    def wanted(self) -> tuple[int, ...]:
        """The horizons. Raises InputError for anything but whole positive numbers."""
        words = [word.strip() for word in self.horizons.split(",")]
        if not all(word.isdigit() and int(word) > 0 for word in words):
            raise InputError(f"horizons must be whole positive numbers by commas; got {self.horizons!r}", remedy=f"--horizons {HORIZONS}")
        return tuple(int(word) for word in words)


def day(moment: datetime | None) -> date | None:
    """The date of an option."""
    return None if moment is None else moment.date()


def prepared(workspace: Workspace, terms: Terms) -> tuple[Known, Sample]:
    """The stored history as a sample to study."""
    from mech_exo.scoring.factors import every_fact
    from mech_exo.scoring.research import Entry, Sample

    facts = every_fact(workspace.config.factors.plugins)  # a factor that factors.yml does not name is studied too
    wanted, known = terms.wanted, workspace.known(facts=facts)
    entry = Entry.OPEN if terms.next_open else Entry.CLOSE
    sample = Sample.of(
        known.panel, known.universe, workspace.config.strategy.universe, horizons=wanted, every=terms.every, entry=entry,
        within=known.panel.rows_between(terms.start, terms.end),
    )  # fmt: skip
    return known, sample


def told_of(workspace: Workspace, name: str, terms: Terms, quantiles: int, sector_neutral: bool) -> Research:
    """Everything a factor's sheet tells."""
    import polars as pl

    from mech_exo.kernels import code_version
    from mech_exo.reporting.factor_sheet import Research
    from mech_exo.scoring.research import contribution, long_short, study_of
    from mech_exo.scoring.research.comparison import similar_factors
    from mech_exo.scoring.research.sample import configured

    config = workspace.config.factors
    known, sample = prepared(workspace, terms)
    one = study_of(sample, name, config, quantiles=quantiles, sector_neutral=sector_neutral)
    factor, sign = configured(name, config)
    months: pl.DataFrame = long_short(
        sample.panel, sample.universe, factor, sign, within=known.panel.rows_between(terms.start, terms.end)
    )
    label = (known.panel.label,) if known.panel.label else ()
    return Research(
        study=one, long_short=months, contribution=contribution(sample, name, config, one.horizon),
        similar=similar_factors(sample, name, config), warnings=(*label, *known.warnings), source=factor.factor.source,
        code_version=code_version(), data_hash=known.data_hash(),
    )  # fmt: skip


def _research(to: Console, told: Research, path: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from mech_exo.reporting.factor_sheet import verdict
    from mech_exo.reporting.text import percent, ratio

    one = told.study
    to.print(Text(f"{one.name}, {one.sessions[0]} to {one.sessions[-1]}: {verdict(one)}"))
    table = Table("Sessions", "Rank IC", "t", "IR", "Spread", "t of spread")
    spreads = {row["horizon"]: row for row in one.spread.iter_rows(named=True)}
    for row in one.ic_summary.iter_rows(named=True):
        if row["method"] == "rank":
            spread = spreads[row["horizon"]]
            cells = (ratio(row["mean"], 4), ratio(row["t_stat"]), ratio(row["ir"], 3), percent(spread["mean"], 3), ratio(spread["t_stat"]))
            table.add_row(str(row["horizon"]), *cells)
    for column in table.columns:
        column.justify = "right"
    to.print(table)
    to.print(Text(f"Half-life: {one.half_life.text}"))
    added = told.contribution
    to.print(Text(f"Adds to the composite's IC: {added.reason or ratio(added.added, 4) + ', t = ' + ratio(added.t_stat)}"))
    _notes(to, told.warnings)
    to.print(Text(f"Sheet: {path}"))


def _compare(to: Console, found: Comparison, warnings: tuple[str, ...]) -> None:
    from rich.table import Table

    from mech_exo.reporting.text import percent, ratio

    table = Table("Factor", "Weight", "Coverage", "Rank IC", "t", "Spread", "t of it", "New names", "Half-life",
                  title=f"Factors, returns over {found.horizon} sessions", title_justify="left")  # fmt: skip
    for column in table.columns[1:8]:
        column.justify = "right"
    for row in found.table.iter_rows(named=True):
        table.add_row(row["factor"], ratio(row["weight"], 0), percent(row["coverage"], 0), ratio(row["ic"], 4), ratio(row["t_stat"]),
                      percent(row["spread"], 2), ratio(row["spread_t"]), percent(row["turnover"], 0),
                      row["half_life"].partition(":")[0])  # fmt: skip
    to.print(table)
    names = found.correlation["factor"].to_list()
    matrix = Table("", *(str(number) for number in range(1, len(names) + 1)), title="Mean rank correlation", title_justify="left")
    for column in matrix.columns[1:]:
        column.justify = "right"
    for number, line in enumerate(found.correlation.iter_rows(), 1):
        matrix.add_row(f"{number} {line[0]}", *(ratio(value) for value in line[1:]))
    to.print(matrix)
    _skipped(to, found.skipped)
    _notes(to, warnings)


def _health(to: Console, found: tuple[FactorHealth, ...], window: int, horizon: int, warnings: tuple[str, ...]) -> None:
    from rich.table import Table

    from mech_exo.reporting.text import day as shown
    from mech_exo.reporting.text import ratio
    from mech_exo.scoring.research import State

    title = f"Factor health: rank IC over {horizon} sessions, last {window} sessions"
    table = Table("Factor", "State", "IC", "95 % band", "Before", "Trend a year", "Why", "Since", title=title, title_justify="left")
    for column in table.columns[2:6]:
        column.justify = "right"
    colours = {State.HEALTHY: "green", State.WEAKENING: "yellow", State.ALARM: "red", State.UNKNOWN: "dim"}
    for one in found:
        if one.state is not State.UNKNOWN:
            band, trend = f"{ratio(one.low, 3)} to {ratio(one.high, 3)}", f"{ratio(one.trend_ann, 3)} (t {ratio(one.trend_t, 1)})"
            since, state = "" if one.since is None else shown(one.since), f"[{colours[one.state]}]{one.state}[/]"
            table.add_row(one.factor, state, ratio(one.ic, 3), band, ratio(one.before, 3), trend, one.reason, since)
    to.print(table)
    _skipped(to, tuple((one.factor, one.reason) for one in found if one.state is State.UNKNOWN))
    _notes(to, warnings)


def _notes(to: Console, warnings: tuple[str, ...]) -> None:
    from rich.text import Text

    from mech_exo.reporting.text import once

    for warning in once(warnings):
        to.print(Text(f"note: {warning}", style="yellow"))


def _skipped(to: Console, skipped: tuple[tuple[str, str], ...]) -> None:
    """The factors nothing can be said of, by reason."""
    for reason in dict.fromkeys(reason for _, reason in skipped):
        names = ", ".join(name for name, why in skipped if why == reason)
        to.print(f"unknown ({reason}): {names}", style="yellow", highlight=False)
