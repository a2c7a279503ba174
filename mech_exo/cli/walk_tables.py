"""Tables of out-of-sample evaluations for a person."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING

from mech_exo.cli.tables import number

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from mech_exo.backtest.cross_validation import CrossValidationResult
    from mech_exo.backtest.walk_result import WalkForwardResult

HEADLINES = (("sharpe", "Sharpe (risk-free 0)", 1), ("cagr", "CAGR", 100), ("volatility_ann", "Volatility (annual)", 100),
             ("max_drawdown", "Max drawdown", 100), ("total_return", "Total return", 100))  # fmt: skip
INLINE = 2
"""Parameters up to here stand in the table of windows; more have a table of their own."""


def windows_table(result: WalkForwardResult) -> Table:
    """A row per window."""
    from rich.table import Table

    keys = [key for key, _ in result.steps[0].chosen]
    keys = keys if len(keys) <= INLINE else []
    heads = ("Chosen on", "Judged on", *map(_leaf, keys), "In sample", "Out of sample", "CAGR in", "CAGR out", "Trades", "Drawdown")
    table = Table("", *heads, title=f"Windows, {metric_words(result.objective)} in and out of sample", title_justify="left")
    for column in table.columns[3:]:
        column.justify = "right"
    for column in table.columns[1:3]:
        column.no_wrap = True
    for place, row in enumerate(result.table.iter_rows(named=True), 1):
        figures = (row[f"{result.objective}_in_sample"], row[f"{result.objective}_out_of_sample"])
        table.add_row(
            str(place), _span(row["train_start"], row["train_end"]), _span(row["test_start"], row["test_end"]), *(row[key] for key in keys),
            *map(number, figures), percent(row["cagr_in_sample"]), percent(row["cagr_out_of_sample"]), str(row["trades"]),
            percent(row["max_drawdown"]),
        )  # fmt: skip
    return table


def choices_table(result: WalkForwardResult) -> Table:
    """A row per parameter with what each window chose, for many parameters."""
    from rich.table import Table

    numbers = (str(place) for place in range(1, len(result.steps) + 1))
    table = Table("Window", *numbers, title="What each window chose", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for key, _ in result.steps[0].chosen:
        table.add_row(_leaf(key), *result.table[key])
    return table


def parameters_table(parameters: pl.DataFrame, of: str) -> Table:
    """How steady each parameter was."""
    from rich.table import Table

    drifts = "drift" in parameters.columns
    heads = ("Parameter", "Most frequent", f"Share of {of}", "Distinct", "Mean ± deviation", *(["Drift per window"] if drifts else []))
    table = Table(*heads, title="Stability", title_justify="left")
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.justify = "right"
    for row in parameters.iter_rows(named=True):
        numeric = row["mean"] is not None
        spread = f"{row['mean']:.4g} ± {number(row['deviation'])}" if numeric else ""
        cells = [row["parameter"], row["most_frequent"], f"{row['share']:.0%}", str(row["distinct"]), spread]
        table.add_row(*cells, *([number(row["drift"], 3) if numeric else ""] if drifts else []))
    return table


def metrics_table(metrics: dict[str, float]) -> Table:
    """The stitched curve's figures."""
    from rich.table import Table

    table = Table("Out of sample, stitched", "Value")
    table.columns[1].justify = "right"
    for name, label, scale in HEADLINES:
        table.add_row(label, number(metrics[name]) if scale == 1 else percent(metrics[name]))
    return table


def splits_table(result: CrossValidationResult) -> Table:
    """A row per split."""
    from rich.table import Table

    keys = [key for key, _ in result.splits[0].choice]
    heads = ("Groups that judge", *map(_leaf, keys), "In sample", "Out of sample")
    table = Table(*heads, title=f"Splits, {metric_words(result.objective)} in and out of sample", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in result.table.iter_rows(named=True):
        figures = (row[f"{result.objective}_in_sample"], row[f"{result.objective}_out_of_sample"])
        table.add_row(row["test_groups"], *(row[key] for key in keys), *map(number, figures))
    return table


def _leaf(key: str) -> str:
    """The part of a key that tells it from its neighbours."""
    parts = key.split(".")
    return parts[-1] if parts[-1] not in ("weight", "direction") else ".".join(parts[-2:])


def metric_words(name: str) -> str:
    """A metric as it is written in a sentence."""
    people = {"sharpe": "Sharpe ratio", "sortino": "Sortino ratio", "calmar": "Calmar ratio", "cagr": "CAGR"}
    return people.get(name, name.replace("_", " "))


def _span(first: date, last: date) -> str:
    return f"{first:%Y-%m} – {last:%Y-%m}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent, or "unknown"."""
    return "unknown" if value is None or not math.isfinite(value) else f"{value:.{digits}%}"
