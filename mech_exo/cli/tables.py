"""Tables that several commands show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from mech_exo.decision.record import Decision
    from mech_exo.domain.scores import Scores
    from mech_exo.domain.targets import TargetPosition
    from mech_exo.domain.verdict import Breach

FEW_FACTORS, LARGEST = 6, 4
"""Up to so many factors have a column each; of more, so many are told."""


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or "unknown"; what it is imported from loads Numba, which no ``--help`` shall wait for."""
    from mech_exo.decision.explanation import number as shown

    return shown(value, digits)


def ideas_table(scores: Scores, count: int) -> Table:
    """The best ``count`` names with what each factor contributes; of many factors the largest contributions, so that the table fits."""
    from rich.table import Table

    frame = scores.frame().head(count)
    few = len(scores.factors) <= FEW_FACTORS
    table = Table(
        "Rank",
        "Symbol",
        "Score",
        "Percentile",
        *(scores.factors if few else (f"Largest contributions of {len(scores.factors)} factors",)),
        title=f"Ideas at {scores.as_of} ({int((scores.rank > 0).sum())} scored)",
        title_justify="left",
    )
    for order, column in enumerate(table.columns):
        column.justify = "left" if order == 1 or (order > 3 and not few) else "right"
        column.no_wrap = order <= 3
    place = {symbol: i for i, symbol in enumerate(scores.symbols)}
    for row in frame.iter_rows(named=True):
        gaps = {name for name, value in zip(scores.factors, scores.normalised[place[row["symbol"]]], strict=True) if math.isnan(value)}
        every = ["unknown" if name in gaps else number(row[name], 3) for name in scores.factors]
        told = every if few else [_largest(row, scores.factors, gaps)]
        table.add_row(str(row["rank"]), row["symbol"], number(row["composite_score"], 3), f"{row['percentile']:.3f}", *told)
    return table


def _largest(row: dict[str, Any], factors: Sequence[str], gaps: set[str]) -> str:
    """The largest contributions, signed, and how many factors have no value for the name."""
    known = sorted((name for name in factors if name not in gaps), key=lambda name: -abs(row[name]))
    said = [f"{name} {row[name]:+.3f}" for name in known[:LARGEST]]
    return ", ".join([*said, *([f"{len(gaps)} unknown"] if gaps else [])])


def orders_table(decision: Decision) -> Table:
    """The order plan: what, why, how large, which limit is next or bound, where the stop and the profit target will rest."""
    from rich.table import Table

    table = Table(
        "Order",
        "Symbol",
        "Why",
        "Holds then",
        "Weight",
        "Stop",
        "Target",
        "Limit",
        title=f"Orders for the open of {decision.session}",
        title_justify="left",
    )
    for place in (0, 3, 4, 5, 6):
        table.columns[place].justify = "right"
        table.columns[place].no_wrap = True
    targets = {target.symbol: target for target in decision.targets}
    for order in decision.orders:
        target = targets.get(order.symbol)
        colour = "green" if order.shares > 0 else "red"
        table.add_row(
            f"[{colour}]{order.side} {abs(order.shares):,d}[/]",
            order.symbol,
            order.reason.value.replace("_", " "),
            "0" if target is None else f"{target.shares:,d}",
            "0.0%" if target is None else f"{target.weight:.1%}",
            "" if order.stop_level is None else number(order.stop_level),
            "" if order.target_level is None else number(order.target_level),
            "" if target is None else _limit(target),
        )
    return table


def _limit(target: TargetPosition) -> str:
    """What kept a target from the size asked for, else how much more until a limit does."""
    if target.bound:
        return target.bound.replace("max_", "").replace("_", " ")
    return "" if target.room is None else str(target.room)


def breaches_table(breaches: tuple[Breach, ...], count: int = 15) -> Table:
    """Which limits bound, on whom, and by how much."""
    from rich.table import Table

    table = Table("Limit", "On", "Allowed", "Wanted", title="Limits that bound", title_justify="left")
    table.columns[2].justify = table.columns[3].justify = "right"
    for breach in breaches[:count]:
        table.add_row(breach.word.replace("_", " "), breach.symbol or "portfolio", *breach.amounts)
    if len(breaches) > count:
        table.caption = f"and {len(breaches) - count} more"
    return table
