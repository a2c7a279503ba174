"""Saved backtests: ``exo backtest list | show | compare | explain | governor | delete``."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.choices import as_yaml
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.domain.errors import UserError, cut

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.backtest.comparison import Comparison
    from mech_exo.backtest.governed import GovernorEffect
    from mech_exo.backtest.result import BacktestResult

LAST = "last"
GOVERNED = (
    ("trailing_drawdown", "Worst drawdown of twelve months", "percent"), ("max_drawdown", "Worst drawdown of all time", "percent"),
    ("cagr", "CAGR", "percent"), ("sharpe", "Sharpe (risk-free 0)", "number"), ("costs", "Costs", "usd"),
    ("turnover_ann", "Turnover (annual, one way)", "percent"),
)  # fmt: skip
"""Fields of :class:`mech_exo.backtest.governed.Outcome` as they are shown."""
SHOWN = 5
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", autocompletion=complete.runs, help="Id of a saved run, its beginning, or `last`.")
]
Body = dict[str, Any]


def list_runs(as_json: JsonOption = False) -> None:
    """The saved runs with their headline figures, the latest first."""
    from mech_exo.assembly import Workspace
    from mech_exo.backtest.store import summary

    workspace = Workspace.open(home())
    runs = [summary(folder) for folder in saved(workspace)]
    emit({"runs": runs}, as_json, lambda to: _render_list(to, runs))


def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """A saved run: KPI contract, figures, warnings, where its report is."""
    from mech_exo.assembly import Workspace
    from mech_exo.cli.backtest import Kept, large_losses, render, report_path

    workspace = Workspace.open(home())
    folder = find(workspace, run)
    result = opened(workspace, folder)
    page = report_path(workspace, result.run_id)
    kept = Kept(folder, page if page.is_file() else None)
    data = result.as_dict() | large_losses(result) | {"saved": kept.saved, "report": kept.report, "costs_by_kind": result.costs_by_kind}
    emit(data, as_json, lambda to: render(to, result, kept))


def compare(a: RunArgument, b: RunArgument, as_json: JsonOption = False) -> None:
    """What two saved runs were asked differently, what came out differently and where they part."""
    from mech_exo.assembly import Workspace
    from mech_exo.backtest.comparison import compare as compared

    workspace = Workspace.open(home())
    found = compared(*(opened(workspace, find(workspace, name)) for name in (a, b)))
    emit(found.as_dict(), as_json, lambda to: _render_comparison(to, found))


def explain(
    run: RunArgument,
    session: Annotated[
        datetime,
        typer.Option("--date", formats=["%Y-%m-%d"], autocompletion=complete.sessions, help="Session at whose close it was decided."),
    ],
    symbol: Annotated[str, typer.Option("--symbol", autocompletion=complete.symbols, help="Name to explain.")],
    as_json: JsonOption = False,
) -> None:
    """Why a name was bought, sold, held or left alone: the decision is derived again from the recorded run and the stored bars."""
    from mech_exo.assembly import Workspace
    from mech_exo.cli.explain import render_explanation

    workspace = Workspace.open(home())
    result = opened(workspace, find(workspace, run), with_bars=True)
    found = result.explain(session.date(), symbol.upper())

    def draw(to: Console) -> None:
        render_explanation(to, found.found)
        to.print(f"[dim]run {found.run_id}[/]")

    emit(found.as_dict(), as_json, draw)


def governor(run: RunArgument, as_json: JsonOption = False) -> None:
    """What the drawdown governor cost and saved: a saved run played again without it. That is a look at history, and counted as one."""
    from mech_exo.assembly import Workspace
    from mech_exo.backtest.governed import governor_effect, ungoverned
    from mech_exo.cli.backtest import record_trial

    workspace = Workspace.open(home())
    result = opened(workspace, find(workspace, run), with_bars=True)
    without = ungoverned(result)
    record_trial(workspace, without)
    effect = governor_effect(result, without)
    emit({"run_id": result.run_id, "without": without.run_id} | effect.as_dict(), as_json, lambda to: _render_governor(to, result, effect))


def _render_governor(to: Console, result: BacktestResult, effect: GovernorEffect) -> None:
    from rich.table import Table

    from mech_exo.cli.backtest import shown

    risk = result.config.risk
    soft, hard = risk.soft_drawdown or 0.0, risk.portfolio.max_drawdown
    between = f"between {100 * soft:.3g}% and {100 * hard:.3g}% below the trailing-12-month peak"
    to.print(f"\n[bold]Drawdown governor[/] {between} · run {result.run_id}")
    to.print(
        f"Below full exposure at {effect.held_back:,} of {effect.sessions:,} closes, wholly in cash at {effect.flat:,}; "
        f"{effect.average_share:.0%} of full exposure on average."
    )
    table = Table("Figure", "With", "Without")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, label, form in GOVERNED:
        with_, without = (getattr(one, name) for one in (effect.governed, effect.ungoverned))
        table.add_row(label, *(shown(None if math.isnan(value) else value, form) for value in (with_, without)))
    to.print(table)


def delete(
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a saved run and its report. It stays counted as a trial: what was looked at was looked at."""
    from mech_exo.assembly import Workspace
    from mech_exo.cli.backtest import discard, report_path

    workspace = Workspace.open(home())
    folder = find(workspace, run)
    page = report_path(workspace, folder.name)
    removed = [path for path in (folder, page) if path.exists()]
    if not yes:
        if as_json:
            remedy = f"exo backtest delete {folder.name} --yes --json"
            raise UserError("a machine cannot be asked; delete with --json needs --yes", remedy=remedy)
        if not _agreed(f"Remove {' and '.join(map(str, removed))}?", folder.name):
            console().print("nothing was removed")
            raise typer.Exit(1)
    for path in removed:
        discard(path)
    said = "\n".join(f"removed {path}" for path in removed)
    emit({"run_id": folder.name, "removed": removed}, as_json, lambda to: to.print(said, soft_wrap=True, highlight=False))


def _agreed(question: str, run_id: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort as error:
        if isinstance(error.__context__, EOFError):
            said = "deleting needs a human's yes; there is nobody to ask"
            raise UserError(said, remedy=f"exo backtest delete {run_id} --yes") from None
        raise


def saved(workspace: Workspace) -> list[Path]:
    """The folders of the saved runs, the latest first."""
    from mech_exo.backtest.store import saved as folders

    return folders(workspace.runs)


def find(workspace: Workspace, name: str) -> Path:
    """The folder of the one saved run that ``name`` names. Raises UserError that says what there is."""
    runs = saved(workspace)
    fitting = runs[:1] if name == LAST else [folder for folder in runs if name and folder.name.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    if not runs:
        raise UserError(f"a run must be saved first; {workspace.runs} holds none", remedy="exo backtest run")
    shown = ", ".join(folder.name for folder in (fitting or runs)[:SHOWN]) + (" …" if len(fitting or runs) > SHOWN else "")
    which = f"{len(fitting)} begin so" if fitting else "none begins so"
    said = f"a run is named by its id, a beginning that only it has, or `{LAST}`; {cut(name)!r}: {which}"
    raise UserError(said, remedy=f"the saved runs are {shown}" if not fitting else f"one of {shown}")


def opened(workspace: Workspace, folder: Path, *, with_bars: bool = False) -> BacktestResult:
    """The saved run in ``folder``, on the stored bars where they are asked for.

    A look at history is a trial: a run that is not in the ledger yet (made in Python, or brought here) is counted now.
    """
    from mech_exo.backtest.result import BacktestResult
    from mech_exo.cli.backtest import is_counted, record_trial

    result = BacktestResult.load(folder)
    if with_bars:
        # a configured run says itself which history and universe it read; a callable was handed this workspace's
        known = (replace(workspace, config=result.config) if result.configured else workspace).known()
        result = BacktestResult.load(folder, known.panel, known.universe)
    if not is_counted(workspace, result.run_id):
        record_trial(workspace, result)
    return result


def _render_list(to: Console, runs: list[Body]) -> None:
    from rich import box
    from rich.table import Table

    from mech_exo.cli.backtest import shown

    if not runs:
        to.print("No run is saved yet: exo backtest run makes one.")
        return
    heads = ("Run", "Strategy", "Period", "CAGR", "Sharpe", "Drawdown", "Costs", "Trades", "KPIs", "Saved")
    table = Table(*heads, box=box.SIMPLE, padding=(0, 1, 0, 0))
    for place in (3, 4, 5, 6, 7):
        table.columns[place].justify = "right"
    for place in (0, 2, 9):
        table.columns[place].no_wrap = True
    forms = (("cagr", "percent"), ("sharpe", "number"), ("max_drawdown", "percent"), ("cost_share", "percent"), ("trades", "count"))
    for run in runs:
        if run["damaged"]:
            table.add_row(run["run_id"], "[red]damaged[/]")
            continue
        figures = [shown(run[name], form) for name, form in forms]
        period = f"{run['start']} – {run['end']}"
        table.add_row(run["run_id"], run["name"], period, *figures, run["kpi"].replace("_", " "), run["saved_at"][:10])
    to.print(table)
    to.print("Drawdown: the deepest of the period. Costs: of the gross P&L. KPIs: the whole period's verdict.")
    for run in runs:
        if run["damaged"]:
            to.print(f"[yellow]⚠ {run['damaged']}[/] (exo backtest delete {run['run_id']})")


def _render_comparison(to: Console, found: Comparison) -> None:
    from rich.table import Table

    from mech_exo.cli.backtest import HEADLINES, shown

    to.print(f"\n[bold]{found.run_a}[/] against [bold]{found.run_b}[/]")
    if found.differences:
        table = Table("Asked", found.run_a, found.run_b, title="What went in", title_justify="left")
        for line in found.differences:
            table.add_row(line.key, as_yaml(line.a), as_yaml(line.b))
        to.print(table)
    by_name = {line.name: line for line in found.metrics}
    figures = Table("Metric", found.run_a, found.run_b, "Change", title="What came out", title_justify="left")
    for column in figures.columns[1:]:
        column.justify = "right"
    for name, label, form in HEADLINES:
        found_line = by_name.get(name)
        if found_line is not None:
            figures.add_row(label, *(shown(value, form) for value in (found_line.a, found_line.b)), _change(found_line.change, form))
    to.print(figures)
    for said in found.lines():
        to.print(said)


def _change(value: float | int | None, form: str) -> str:
    from mech_exo.cli.backtest import shown

    if value is None or value == 0:
        return "" if value is None else "="
    return f"{value * 100:+.2f} pp" if form == "percent" else ("+" if value > 0 else "") + shown(value, form)
