"""Whether the command line would take a line as it is printed: options and values are read, nothing is run."""

from __future__ import annotations

import shlex
from typing import Any

from typer.main import get_command

from mech_exo.cli import app


def taken(line: str) -> str:
    """The command (``exo data import``) that would run for ``line``. Raises Typer's own error for what no command takes."""
    command: Any = get_command(app)
    context = command.make_context("exo", shlex.split(line)[1:])
    while getattr(context.command, "commands", None) and (words := context._protected_args + context.args):
        name, below, rest = context.command.resolve_command(context, words)
        context = below.make_context(name, rest, parent=context)
    return str(context.command_path)
