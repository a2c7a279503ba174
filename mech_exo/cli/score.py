"""``exo score``: the ranked universe of one session."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.scoring.explanation import Explanation, Ranking


def score(
    top: Annotated[int, typer.Option("--top", min=1, help="How many names to show.")] = 10,
    date: Annotated[
        datetime | None,
        typer.Option(
            "--date", formats=["%Y-%m-%d"], autocompletion=complete.sessions, help="Session to score; default: the last one stored."
        ),
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="SYMBOL", autocompletion=complete.symbols, help="Why this name ranks where it does.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Rank the universe with the factors of factors.yml; contributions sum to the score."""
    from mech_exo.scoring.faces import IdeaScorer

    home()  # a folder that is none says so
    day = None if date is None else date.date()
    if explain is not None:
        found = IdeaScorer().explain(explain, day)
        emit(found, as_json, lambda console: _explained(console, found))
        return
    ranking = IdeaScorer().ranking(day)
    shown = ranking.frame.head(top)
    data = {
        "as_of": ranking.as_of,
        "scored": ranking.frame.height,
        "excluded": ranking.excluded,
        "missing_factors": dict(ranking.missing),
        "adjustments": [dict(zip(("factor", "state", "multiplier"), one, strict=True)) for one in ranking.scores.adjustments],
        "warnings": list(ranking.warnings),
        "ideas": shown.to_dicts(),
    }
    emit(data, as_json, lambda console: _draw(console, ranking, top))


def _draw(console: Console, ranking: Ranking, top: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from mech_exo.scoring.explanation import HEAD

    table = Table(title=f"🏆 Top investment ideas at the close of {ranking.as_of}", box=SIMPLE_HEAD, pad_edge=False, title_justify="left")
    for name in HEAD:
        table.add_column(name, justify="left" if name == "symbol" else "right", no_wrap=True)
    table.add_column("sector")
    table.add_column("mostly by", no_wrap=True)
    for cells, row in zip(ranking.cells(top), ranking.frame.head(top).iter_rows(named=True), strict=True):
        table.add_row(*cells, row["sector"] or "unknown", _largest(row, ranking.scores.factors))
    console.print(table)
    first, *rest = ranking.notes()
    console.print(first)
    for note in rest:
        console.print(note, style="yellow", highlight=False)


def _explained(console: Console, found: Explanation) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console.print(found.headline, style="bold", highlight=False)
    table = Table("factor", "raw", "percentile", "normalised", "weight", "contribution", box=SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for line in found.factors:
        table.add_row(*line.cells())
    console.print(table)
    for note in found.notes():
        console.print(note, highlight=False)


def _largest(row: dict[str, Any], factors: tuple[str, ...], shown: int = 3) -> str:
    """The factors that move the score most, with what each adds."""
    parts = sorted(((name, row[f"contribution_{name}"]) for name in factors), key=lambda part: -abs(part[1]))
    return "\n".join(f"{added:+.2f} {name}" for name, added in parts[:shown])
