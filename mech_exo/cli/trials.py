"""``exo backtest trials``: the count of all looks at history."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from rich.console import Console


def trials(as_json: JsonOption = False) -> None:
    """How often history was looked at, and the Sharpe ratio that so many looks would find in nothing at all."""
    from mech_exo.assembly import Workspace
    from mech_exo.performance.overfitting import expected_best

    with Workspace.open(home()).journal() as ledger:
        found = ledger.trial_figures()
    values = sorted(one.value for one in found if math.isfinite(one.value))
    kinds = {kind: sum(one.kind == kind for one in found) for kind in sorted({one.kind for one in found})}
    middle = len(values) // 2
    data = {
        "trials": len(found),
        "kinds": kinds,
        "unknown_sharpe": len(found) - len(values),
        "best_sharpe": values[-1] if values else math.nan,
        "median_sharpe": (values[middle] + values[-1 - middle]) / 2.0 if values else math.nan,
        "expected_best_sharpe": expected_best([one.value for one in found]) if found else math.nan,
    }
    emit(data, as_json, lambda to: _show_trials(to, data))


def _show_trials(to: Console, data: dict[str, Any]) -> None:
    if not data["trials"]:
        to.print("No trial is counted yet: the first `exo backtest run` is one.")
        return
    kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in data["kinds"].items())
    lines = [
        f"{data['trials']:,} looks at history are counted: {kinds}",
        f"Best Sharpe ratio        {_number(data['best_sharpe'])}",
        f"Median                   {_number(data['median_sharpe'])}",
        f"Expected best of so many worthless trials  {_number(data['expected_best_sharpe'])}",
    ]
    if data["unknown_sharpe"]:
        lines.append(f"{data['unknown_sharpe']:,} have no Sharpe ratio; they count all the same.")
    to.print("\n".join(lines), highlight=False)


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "unknown"
