"""``exo factors``: what the factors are, and what they told."""

from __future__ import annotations

import typer

from mech_exo.cli.factors_research import compare, health, research

app = typer.Typer(help="Factors: research and health.", no_args_is_help=True)
app.command()(research)
app.command()(compare)
app.command()(health)


@app.callback()
def group() -> None:
    """Factors: research and health."""
