"""How ``exo why`` prints one name's way through a night."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mech_exo.decision.explanation import HEAD, Body, score_table, story

if TYPE_CHECKING:
    from rich.console import Console


def render_explanation(to: Console, found: Body) -> None:
    """The way of one name, step by step."""
    from rich.table import Table

    to.print(f"\n[bold]{found['symbol']}[/] at the close of {found['as_of']} · risk {found['state'].upper()}")
    to.print(f"[bold]{found['verdict']}[/]")
    scored = score_table(found)
    if scored is not None:
        table = Table(*HEAD, title=scored[0], title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in scored[1]:
            table.add_row(*row)
        to.print(table)
    for line in story(found):
        to.print(line)
