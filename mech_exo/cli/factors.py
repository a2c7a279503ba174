"""``exo factors``: what can be scored with, what one factor says today; what it told of later returns is in ``factors_research.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.factors_research import compare, health, research
from mech_exo.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.scoring.factors import Factor
    from mech_exo.utils.settings import Config

app = typer.Typer(no_args_is_help=True)
app.command()(research)
app.command()(compare)
app.command()(health)


def about(factor: Factor, config: Config, absent: dict[str, str] | None) -> dict[str, Any]:
    """A factor as ``factors.yml`` has it. ``absent``: why inputs are not in the store, by factor; None where nothing is stored."""
    from mech_exo.scoring.factors import known

    line = getattr(config.factors, factor.family.value).get(factor.name)
    bound = factor.bind({} if line is None else line.params)
    return {
        "name": factor.name,
        "family": factor.family,
        "direction": factor.direction if line is None else line.direction,
        "weight": 0.0 if line is None else line.weight,
        "unit": factor.unit,
        "inputs": list(factor.inputs),
        "warmup": bound.warmup,
        "parameters": dict(bound.params),
        "source": factor.source,
        "origin": known(config.factors.plugins)[factor.name].origin,
        "available": None if absent is None else factor.name not in absent,
        "why_not": None if absent is None else absent.get(factor.name),
    }


@app.command("list")
def list_factors(as_json: JsonOption = False) -> None:
    """Every factor: family, direction, inputs, weight in factors.yml, and whether the store holds its inputs."""
    from mech_exo.domain.errors import MissingDataError
    from mech_exo.scoring.faces import IdeaScorer
    from mech_exo.scoring.factors import known
    from mech_exo.utils.config import load

    config = load(home())
    try:
        absent, said = IdeaScorer(config=config).absent(), None
    except MissingDataError as error:
        absent, said = None, error.message
    found = [about(part.what, config, absent) for part in known(config.factors.plugins).values()]
    emit({"factors": found, "note": said}, as_json, lambda console: _draw(console, found, said))


@app.command()
def show(
    name: Annotated[str, typer.Argument(autocompletion=complete.factors, help="A factor of `exo factors list`.")],
    as_json: JsonOption = False,
) -> None:
    """One factor: what it is, where it comes from, and what it says of the stored universe today."""
    from mech_exo.domain.errors import MissingDataError
    from mech_exo.scoring.faces import IdeaScorer
    from mech_exo.scoring.factors import lookup
    from mech_exo.utils.config import load

    config = load(home())
    factor = lookup(name, config.factors.plugins)
    found = about(factor, config, None) | {"about": _words(factor), "today": None}
    try:
        frame = IdeaScorer(config=config).factor(name)
        found |= {"available": True, "today": _today(frame)}
    except MissingDataError as error:
        found |= {"available": False, "why_not": error.message}
    emit(found, as_json, lambda console: _draw_one(console, found))


def _words(factor: Factor) -> str:
    """What its function says of itself, without shapes and marks meant for the documentation."""
    import inspect
    import re

    text = inspect.cleandoc(factor.compute.__doc__ or "").removeprefix("``(K, N)`` ")
    text = re.sub(r":\w+:`~?([^`]+)`", r"\1", text).replace("``", "")
    return text[:1].upper() + text[1:]


def _today(frame: Any, ends: int = 5) -> dict[str, Any]:
    """Coverage, distribution and ends of the factor's values."""
    values = frame["value"].drop_nulls()
    shares = {"minimum": 0.0, "lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75, "maximum": 1.0}
    return {
        "names": frame.height,
        "known": len(values),
        "distribution": {name: values.quantile(share, "linear") for name, share in shares.items()},
        "highest": frame.drop_nulls().head(ends).to_dicts(),
        "lowest": frame.drop_nulls().tail(ends).reverse().to_dicts(),
    }


def _draw(console: Console, found: list[dict[str, Any]], said: str | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("factor", "family", "weight", "direction", "first value", "in the store", "from", box=SIMPLE_HEAD, pad_edge=False)
    for place in (2, 4):
        table.columns[place].justify = "right"
    table.columns[0].no_wrap = True
    lacking: dict[str, list[str]] = {}
    for line in found:
        held = "unknown" if line["available"] is None else "yes" if line["available"] else "no"
        if line["why_not"] is not None:
            lacking.setdefault(line["why_not"], []).append(line["name"])
        first, place = f"session {line['warmup'] + 1}", line["origin"].partition(" (")[0]
        table.add_row(line["name"], line["family"], f"{line['weight']:g}", line["direction"], first, held, place)
    console.print(table)
    for reason, names in lacking.items():
        console.print(f"not in the store ({reason}): {', '.join(names)}", style="yellow", highlight=False, markup=False)
    if said is not None:
        console.print(f"note: {said}", style="yellow", highlight=False)


def _draw_one(console: Console, found: dict[str, Any]) -> None:
    console.print(f"[bold]{found['name']}[/] · {found['family']} · {found['direction']} · weight {found['weight']:g}", highlight=False)
    console.print(found["about"], highlight=False, markup=False)
    console.print(f"Source: {found['source']}", highlight=False, markup=False)
    parameters = ", ".join(f"{name} {value}" for name, value in found["parameters"].items()) or "none"
    console.print(f"Unit: {found['unit']}. Inputs: {', '.join(found['inputs'])}. Parameters: {parameters}.", highlight=False, markup=False)
    if found["origin"] != "built in":
        console.print(f"From the plug-in {found['origin']}.", highlight=False, markup=False)
    console.print(f"First value at session {found['warmup'] + 1} of a gapless history.", highlight=False)
    today = found["today"]
    if today is None:
        console.print(found["why_not"], style="yellow", highlight=False, markup=False)
        return
    console.print(f"Today known for {today['known']} of {today['names']} names that may be bought.", highlight=False)
    if not today["known"]:
        return
    console.print(", ".join(f"{name} {value:.4g}" for name, value in today["distribution"].items()), highlight=False)
    for end in ("highest", "lowest"):
        console.print(f"{end}: " + ", ".join(f"{one['symbol']} {one['value']:.4g}" for one in today[end]), highlight=False)
