"""``exo plugins``: the parts that the user's own files and modules declare, and whether they obey the laws of their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.plugins.findings import Finding, Listed

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Factors, limits, sizing methods, brokers and sources of your own: which there are, and whether they obey their laws."""


@app.command("list")
def list_plugins(as_json: JsonOption = False) -> None:
    """Every part of a plug-in that the configuration names or an installed package offers, and what it is used for."""
    from mech_exo.plugins.findings import listed
    from mech_exo.utils.config import load

    place = home()
    found = listed(load(place), place)
    emit({"parts": found}, as_json, lambda console: _draw(console, found))


@app.command()
def check(
    plugin: Annotated[str | None, typer.Argument(help="Only this one, as plugins: names it.")] = None, as_json: JsonOption = False
) -> None:
    """Import every plug-in and try every law on a small built-in market; exit code 2 when one is broken."""
    from mech_exo.domain.errors import InputError, PluginError
    from mech_exo.plugins.findings import findings
    from mech_exo.utils.config import load

    every = findings(load(home()))
    found = tuple(one for one in every if plugin in (None, one.plugin))
    if plugin is not None and not found:
        named = ", ".join(dict.fromkeys(one.plugin for one in every)) or "there is none"
        raise InputError(f"PLUGIN must be one that plugins: names ({named}); got {plugin!r}", remedy="exo plugins check")
    emit({"laws": found, "ok": all(one.holds for one in found)}, as_json, lambda console: _tell(console, found))
    broken = [one for one in found if not one.holds]
    if broken:
        first = broken[0]
        what = f"{first.kind} {first.part}" if first.part else first.kind
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise PluginError(f"{first.plugin}: {what} breaks a law: {first.law}; {first.broken}{more}", remedy=first.remedy or None)


def _draw(console: Console, found: tuple[Listed, ...]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    if not found:
        console.print("no plug-in: name one in plugins: of a configuration file (docs/writing-a-factor.md)", highlight=False, markup=False)
        return
    table = Table("kind", "name", "used", "from", "source", box=SIMPLE_HEAD, pad_edge=False)
    for one in found:
        table.add_row(one.kind, one.part, one.used or "not used", one.plugin, one.source)
    console.print(table)


def _tell(console: Console, found: tuple[Finding, ...]) -> None:
    if not found:
        console.print("no plug-in: name one in plugins: of a configuration file (docs/writing-a-factor.md)", highlight=False, markup=False)
    for key in dict.fromkeys((one.plugin, one.kind, one.part) for one in found):
        lines = [one for one in found if (one.plugin, one.kind, one.part) == key]
        console.print(f"{key[0]} (source {lines[0].source}): {key[1]} {key[2]}".rstrip(), highlight=False, markup=False, soft_wrap=True)
        for one in lines:
            mark, style = ("✔", "green") if one.holds else ("✘", "red")
            console.print(f"  {mark} {one.law}", style=style, highlight=False, markup=False, soft_wrap=True)
            if not one.holds:
                console.print(f"    {one.broken}", highlight=False, markup=False, soft_wrap=True)
