"""``exo score``: the ranked universe of one session."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.scoring.faces import Ranking


def score(
    top: Annotated[int, typer.Option("--top", min=1, help="How many names to show.")] = 10,
    date: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Session to score; default: the last one stored.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Rank the universe with the factors of factors.yml; contributions sum to the score."""
    from mech_exo.scoring.faces import IdeaScorer

    home()  # a folder that is none says so
    ranking = IdeaScorer().ranking(None if date is None else date.date())
    shown = ranking.frame.head(top)
    data = {
        "as_of": ranking.as_of,
        "scored": ranking.frame.height,
        "excluded": ranking.excluded,
        "missing_factors": dict(ranking.missing),
        "warnings": list(ranking.warnings),
        "ideas": shown.to_dicts(),
    }
    emit(data, as_json, lambda console: _draw(console, ranking, top))


def _draw(console: Console, ranking: Ranking, top: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=f"Top investment ideas at the close of {ranking.as_of}", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("rank", "symbol", "score", "percentile", "price"):
        table.add_column(name, justify="left" if name == "symbol" else "right", no_wrap=True)
    table.add_column("sector")
    table.add_column("mostly by")
    for row in ranking.frame.head(top).iter_rows(named=True):
        table.add_row(
            str(row["rank"]), row["symbol"], f"{row['composite_score']:+.3f}", f"{row['percentile']:.3f}", f"{row['current_price']:,.2f}",
            row["sector"] or "unknown", _largest(row, ranking.scores.factors),
        )  # fmt: skip
    console.print(table)
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(ranking.excluded.items()))
    console.print(f"{ranking.frame.height} names scored" + (f"; without a score: {left_out}" if left_out else ""))
    for reason in dict.fromkeys(reason for _, reason in ranking.missing):
        names = ", ".join(name for name, why in ranking.missing if why == reason)
        console.print(f"not in the score ({reason}): {names}", style="yellow", highlight=False)
    for warning in ranking.warnings:
        console.print(f"note: {warning}", style="yellow", highlight=False)


def _largest(row: dict[str, Any], factors: tuple[str, ...], shown: int = 3) -> str:
    """The factors that move the score most, with what each adds."""
    parts = sorted(((name, row[f"contribution_{name}"]) for name in factors), key=lambda part: -abs(part[1]))
    return "\n".join(f"{added:+.2f} {name}" for name, added in parts[:shown])
