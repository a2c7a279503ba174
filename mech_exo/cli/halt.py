"""``exo halt`` and ``exo resume``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.errors import UserError
from mech_exo.execution import safety


def halt(
    reason: Annotated[str, typer.Option("--reason", help="Why; stands beside every order not sent.")], as_json: JsonOption = False
) -> None:
    """Stop everything that adds risk, at once: works while a run is writing, with the broker gone and on a full disk."""
    said = safety.halt(_workspace(), reason)
    since = f" since {said.state.since:%Y-%m-%d %H:%M:%S} UTC" if said.state.since else ""
    text = f"[bold red]halted[/bold red]{since}: {escape(said.state.reason)}"
    note = "" if said.journaled else f"\nnot in the ledger: {escape(said.note)}"
    ends = "\nCancels and reductions still pass. `exo resume --reason '…'` ends it."
    emit(said, as_json, lambda paper: paper.print(text + note + ends, soft_wrap=True, highlight=False))


def resume(
    reason: Annotated[str, typer.Option("--reason", help="What was found; goes into the ledger.")], as_json: JsonOption = False
) -> None:
    """End a halt. Orders denied meanwhile stay denied; the next decision is made anew."""
    said = safety.resume(_workspace(), reason)
    emit(said, as_json, lambda paper: paper.print(f"[green]not halted[/green]: {escape(reason)}", soft_wrap=True, highlight=False))


def _workspace() -> Path:
    place = home()
    if not (place / "config").is_dir() and not (place / "data").is_dir():
        raise UserError(f"a workspace has config/ or data/; {place} has neither", remedy="name it: exo halt --home DIR …")
    return place
