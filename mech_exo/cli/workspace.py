"""``exo init``, ``exo config check`` and ``exo config show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import hints, home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.utils.templates import names, overlay

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.utils.settings import Config

config = typer.Typer(help="Check and show the configuration.")

OF_NAV = (
    ("position_sizing.max_single_trade_risk", "lost at one stop, after a gap through it (gap_stress)"),
    ("position_sizing.max_position", "in one name"),
    ("position_sizing.max_sector_exposure", "in one sector"),
    ("portfolio.max_gross_exposure", "longs plus shorts"),
    ("portfolio.max_leverage", "longs plus shorts the account may carry"),
    ("portfolio.max_net_exposure", "longs minus shorts"),
    ("portfolio.max_top_five", "in the five largest positions"),
    ("portfolio.max_turnover", "bought plus sold by one decision"),
    ("portfolio.max_daily_loss", "lost in one session"),
    ("governor.soft_drawdown", "below the 12-month peak: from here on exposure falls"),
    ("portfolio.max_drawdown", "below the 12-month peak: only reductions"),
    ("portfolio.max_all_time_drawdown", "below the highest NAV ever: only reductions"),
    ("risk_model.max_volatility", "one standard deviation of a year"),
    ("risk_model.max_value_at_risk", "value at risk of one session"),
    ("risk_model.max_expected_shortfall", "expected shortfall of one session"),
)
# What nobody exceeds on purpose without leverage; above it a percent was probably written where a fraction belongs.
USUAL = (
    ("position_sizing.max_single_trade_risk", 0.25),
    ("position_sizing.max_position", 1.0),
    ("position_sizing.max_sector_exposure", 1.0),
)


def init(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The new workspace; else --home, else the current folder.")] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            metavar="NAME",
            autocompletion=names,
            help="Way to begin: conservative, long-short or research; default the values of the documentation.",
        ),
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Add only the files that are missing; nothing is overwritten.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a workspace: config/ with commented templates, data/ and reports/. Never overwrites a configuration.

    conservative: fewer names, a fifth in cash, tighter limits, an early governor. long-short: both tails, net exposure within 30 %.
    research: a wide universe, all factors alike, no stops, no live trading.
    """
    from mech_exo.utils.workspace import create, home_folder

    place = home_folder(folder)
    chosen = None if template is None else overlay(template)
    written = create(place, only_missing=missing, overlay=chosen)

    def render(paper: Console) -> None:
        for path in written:
            paper.print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)
        if not written:
            paper.print(f"nothing is missing in {place}", highlight=False, markup=False, soft_wrap=True)
        if chosen is not None:
            paper.print(f"template {chosen.name}: {chosen.says}", highlight=False, markup=False, soft_wrap=True)

    emit({"home": place, "written": written, "template": template}, as_json, render)
    hints.say(hints.after_init(place, ("exo backtest run",) if chosen is None else chosen.next), as_json=as_json)


@config.command()
def check(as_json: JsonOption = False) -> None:
    """Read every configuration file; exit code 2 and one line per mistake when something is wrong."""
    from mech_exo.utils.config import config_hash, load

    place = home()
    loaded = load(place)
    check_factors(loaded, place / "config" / "factors.yml")
    doubts = [*unusual(loaded), *channel_notes(loaded)]
    data = {"ok": True, "home": place, "config_hash": config_hash(loaded), "factors": list(loaded.factors.weights()), "notes": doubts}

    def render(paper: Console) -> None:
        text = f"{place / 'config'} is in order: {len(loaded.factors.weights())} factors, config hash {data['config_hash']}"
        paper.print(text, highlight=False, markup=False, soft_wrap=True)
        for doubt in doubts:
            paper.print(f"note: {doubt}", style="yellow", highlight=False, markup=False, soft_wrap=True)

    emit(data, as_json, render)


@config.command()
def show(
    effective: Annotated[bool, typer.Option("--effective", help="Every value; else only what differs from its default.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the configuration with its hash, secrets masked, and the limits in dollars of the initial cash."""
    import yaml

    from mech_exo.utils.config import NOT_DECIDING, config_hash, load, masked

    place = home()
    loaded = load(place)
    values = masked(loaded) if effective else changed(masked(loaded), masked(type(loaded)()))
    dollars = limits_in_dollars(loaded)
    data = {"home": place, "config_hash": config_hash(loaded), "effective": effective, "config": values, "limits_usd": dollars}

    def render(_: Console) -> None:
        left_out = ", ".join(sorted(NOT_DECIDING))
        typer.echo(f"# {place / 'config'}\n# config hash {data['config_hash']} (covers what decides: not {left_out})")
        typer.echo(f"# Limits in dollars of the initial cash of {loaded.strategy.initial_cash:,.0f} USD:")
        for key, words in OF_NAV:
            amount = dollars[key]
            typer.echo(f"#   {key:<40} " + (f"{'no limit':>16}" if amount is None else f"{amount:>12,.0f} USD  {words}"))
        typer.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120) if values else "# every value is its default")

    emit(data, as_json, render)


def channel_notes(config: Config) -> list[str]:
    """What is wrong with the channels of alerts. An error where alerts.yml names any, a note where there are keys alone."""
    from mech_exo.domain.errors import ConfigError
    from mech_exo.reporting.alerts.channels import directory

    try:
        directory(config)
    except ConfigError as error:
        if config.alerts.channels:
            raise
        return [error.message]
    return []


def unusual(config: Config) -> list[str]:
    """Limits that are allowed but look like percent: ``max_position: 2`` is 200 % of NAV in one name."""
    limits, said = config.risk.model_dump(), []
    for key, most in USUAL:
        section, name = key.split(".")
        value = limits[section][name]
        if value is not None and value > most:
            said.append(f"risk_limits.yml: {key} is {value:g}, which is {value:.0%} of NAV; is {value / 100:g} ({value:g} %) meant?")
    return said


def check_factors(config: Config, path: Path) -> None:
    """Every factor must be in the registry, in its own family, with parameters in range. Raises ConfigError naming them all."""
    from mech_exo.domain.errors import ConfigError
    from mech_exo.scoring.factors import lookup
    from mech_exo.scoring.regime import check as check_regime

    mistakes: list[ConfigError] = []
    for family in ("fundamental", "technical", "sentiment", "quality"):
        for name, line in getattr(config.factors, family).items():
            try:
                factor = lookup(name, config.factors.plugins).bind(line.params).factor
                if factor.family != family:
                    raise ConfigError(f"{name} must stand under {factor.family}; it stands under {family}")
            except ConfigError as error:
                mistakes.append(ConfigError(f"{path}: {family}.{name}: {error.message}", remedy=error.remedy))
    try:
        check_regime(config.factors.regime, config.factors.plugins)
    except ConfigError as error:
        mistakes.append(ConfigError(f"{path}: {error.message}", remedy=error.remedy))
    if mistakes:
        remedies = "\n  → ".join(dict.fromkeys(mistake.remedy for mistake in mistakes if mistake.remedy))
        raise ConfigError("\n".join(mistake.message for mistake in mistakes), remedy=remedies or None)


def limits_in_dollars(config: Config) -> dict[str, float | None]:
    """Each limit that is a fraction of NAV, in USD at the initial cash; None where it is switched off."""
    limits = config.risk.model_dump() | {"governor": {"soft_drawdown": config.risk.soft_drawdown}}  # half of the hard one if none is given
    result: dict[str, float | None] = {}
    for key, _ in OF_NAV:
        section, name = key.split(".")
        fraction = limits[section][name]
        result[key] = None if fraction is None else fraction * config.strategy.initial_cash
    return result


def changed(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """What of ``values`` differs from ``defaults``, at every depth."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            inner = changed(value, default)
            if inner:
                result[key] = inner
        elif value != default:
            result[key] = value
    return result
