"""``exo backtest walk-forward`` and ``exo backtest cross-validate``: what choosing on the past would have brought afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mech_exo.cli import home
from mech_exo.cli.choices import AddressOption, BackendOption, SetOption, WorkersOption, grid
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.cli.tables import number
from mech_exo.cli.walk_tables import (
    INLINE,
    choices_table,
    metric_words,
    metrics_table,
    parameters_table,
    percent,
    splits_table,
    windows_table,
)
from mech_exo.domain.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.backtest.cross_validation import CrossValidationResult
    from mech_exo.backtest.walk_result import Line, WalkForwardResult
    from mech_exo.execution.trial_rows import Sweep, Trial

StartOption = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First session; default the first stored.")]
EndOption = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last session; default the last stored.")]
ObjectiveOption = Annotated[str, typer.Option(metavar="METRIC", help="What chooses in training: the best of this metric.")]
Search = Literal["grid", "optuna"]
HELD, REVERSED = 0.5, -0.25
"""Slopes of out-of-sample on in-sample objectives: from the first on what was found held, up to the second it misled."""


def walk_forward(
    sets: SetOption,
    start: StartOption = None,
    end: EndOption = None,
    train: Annotated[int, typer.Option(help="Sessions that choose.")] = 756,
    test: Annotated[int, typer.Option(help="Sessions that judge.")] = 252,
    step: Annotated[int | None, typer.Option(help="Sessions to the next window; default as many as judge.")] = None,
    embargo: Annotated[int, typer.Option(help="Sessions between the two parts that neither plays.")] = 0,
    purge: Annotated[int, typer.Option(help="Last sessions of the training part that do not count; as long as positions are held.")] = 0,
    anchored: Annotated[bool, typer.Option("--anchored", help="Every training part begins with the first session; else it rolls.")] = False,
    search: Annotated[Search, typer.Option(help="grid: every combination; optuna: a guided search.")] = "grid",
    trials: Annotated[int, typer.Option(help="Candidates of each window with --search optuna.")] = 50,
    seed: Annotated[int, typer.Option(help="Of --search optuna: the same seed tries the same.")] = 0,
    objective: ObjectiveOption = "sharpe",
    minimum_trades: Annotated[int, typer.Option(help="Closed round trips a candidate needs in training.")] = 0,
    backend: BackendOption = "threads",
    workers: WorkersOption = None,
    address: AddressOption = None,
    report: Annotated[Path | None, typer.Option(help="HTML tear sheet: the strategy as configured beside this evaluation.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Choose parameters on the past, judge them on what follows, move on.

    Only the judged sessions are shown as the result. Every candidate of every window is counted in the ledger.
    """
    from mech_exo.assembly import Workspace
    from mech_exo.backtest.walk_forward import WalkForwardEvaluator
    from mech_exo.scoring.factors import every_fact

    workspace = Workspace.open(home())
    space = grid(sets)
    _no_range_in_a_grid(space, search)
    known = workspace.known(facts=every_fact(workspace.config.factors.plugins))  # a choice may read what the configuration does not
    evaluator = WalkForwardEvaluator(
        known.panel, workspace.config, space, train=train, test=test, step=step, embargo=embargo, purge=purge, anchored=anchored,
        objective=objective, minimum_trades=minimum_trades, search=search, trials=trials, seed=seed, universe=known.universe,
        warnings=known.warnings, backend=backend, workers=workers, address=address,
    )  # fmt: skip
    with bar("Windows" if search == "optuna" else "Candidates", quiet=as_json) as tick:
        result = evaluator.run(_day(start), _day(end), progress=tick)
    record(workspace, result.trials)
    kept = {"kept": keep(workspace, result.id, result.as_dict())}
    if report is not None:
        kept["report"] = write_page(workspace, result, report)
    emit(result.as_dict() | kept, as_json, lambda to: render(to, result, kept))


def cross_validate(
    sets: SetOption,
    start: StartOption = None,
    end: EndOption = None,
    groups: Annotated[int, typer.Option(help="Neighbouring periods the history is divided into.")] = 6,
    test_groups: Annotated[int, typer.Option(help="How many of them judge at a time.")] = 2,
    embargo: Annotated[int, typer.Option(help="Sessions after a judging group that do not train.")] = 0,
    purge: Annotated[int, typer.Option(help="Sessions before a judging group that do not train.")] = 0,
    objective: ObjectiveOption = "sharpe",
    backend: BackendOption = "threads",
    workers: WorkersOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Combinatorial purged cross-validation: every choice of judging periods, and the spread of the Sharpe ratio.

    Every candidate is counted in the ledger once.
    """
    from mech_exo.assembly import Workspace
    from mech_exo.backtest.cross_validation import CombinatorialPurgedCV
    from mech_exo.scoring.factors import every_fact

    workspace = Workspace.open(home())
    space = grid(sets)
    _no_range_in_a_grid(space, "grid")
    known = workspace.known(facts=every_fact(workspace.config.factors.plugins))  # a choice may read what the configuration does not
    evaluator = CombinatorialPurgedCV(
        known.panel, workspace.config, space, groups=groups, test_groups=test_groups, purge=purge, embargo=embargo, objective=objective,
        universe=known.universe, warnings=known.warnings, backend=backend, workers=workers, address=address,
    )  # fmt: skip
    with bar("Blocks", quiet=as_json) as tick:
        result = evaluator.run(_day(start), _day(end), progress=tick)
    record(workspace, result.trials)
    emit(result.as_dict(), as_json, lambda to: render_paths(to, result))


@contextmanager
def bar(name: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *times)
    with Progress(*columns, console=console(), disable=quiet, transient=True) as shown:
        task = shown.add_task(name, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def record(workspace: Workspace, trials: tuple[Trial, ...], compared: Sweep | None = None) -> None:
    """Count all of them or none, with what comparing them with each other says."""
    from mech_exo.cli.backtest import PATIENCE
    from mech_exo.execution.trial_rows import Sweep

    with workspace.ledger(wait=PATIENCE) as ledger, ledger.transaction():
        ledger.record_trials(trials)
        if compared is not None and compared.id not in {known.id for known in ledger.rows(Sweep)}:
            ledger.append(compared, compared.id)


def keep(workspace: Workspace, name: str, body: dict[str, Any]) -> Path:
    """The evaluation as JSON under data/walk_forward, so that a later report can show it; wholly there or not at all."""
    import json

    from mech_exo.cli.output import plain
    from mech_exo.utils.durable import write_text

    text = json.dumps(plain(body), allow_nan=False, ensure_ascii=False)
    return write_text(workspace.home / "data" / "walk_forward" / f"{name}.json", text)


def write_page(workspace: Workspace, result: WalkForwardResult, place: Path) -> Path:
    """The tear sheet of the strategy as it is configured over the judged sessions, with the evaluation; that run is saved and counts too.

    Raises UserError when the report cannot be written.
    """
    from mech_exo.cli.backtest import backtester, luck, record_trial, write_report

    sessions, _ = result.returns
    run = backtester(workspace).run(sessions[0].astype(object), sessions[-1].astype(object))
    record_trial(workspace, run)
    run.save(workspace.runs / run.run_id)
    return write_report(run, place, luck(workspace, run), result)


def render(to: Console, result: WalkForwardResult, kept: dict[str, Path]) -> None:
    """A walk-forward for a person."""
    sessions, _ = result.returns
    to.print(f"\n[bold]Walk-forward[/] · judged {sessions[0]} to {sessions[-1]} · {_count(len(result.steps), 'window')} · {result.id}")
    for warning in result.warnings:
        to.print(f"[yellow]⚠ {warning}[/]")
    to.print(windows_table(result))
    if len(result.steps[0].chosen) > INLINE:
        to.print(choices_table(result))
    to.print(parameters_table(result.parameters, "windows"))
    to.print(metrics_table(result.metrics))
    for sentence in conclusions(result):
        to.print(sentence)
    for name, place in kept.items():
        to.print(f"{name.capitalize()}: {place}", highlight=False, soft_wrap=True)


def conclusions(result: WalkForwardResult) -> tuple[str, ...]:
    """What it means, in plain words."""
    name = metric_words(result.objective)
    inside = float(sum(step.in_sample for step in result.steps) / len(result.steps))
    after = result.metrics.get(result.objective)
    counted = _count(len(result.trials), "candidate")
    return (
        f"{counted} played in training and counted in the ledger as trials; at most {result.candidates} in one window.",
        f"In training the chosen ones had a mean {name} of {number(inside)}; all judged sessions together have {number(after)}.",
        f"Walk-forward efficiency (CAGR afterwards / CAGR in training): {number(result.efficiency)}.",
        foretold(result.degradation, len(result.steps)),
        "Each test part begins in cash and at a new peak: a drawdown limit forgets the fall before it. A book that goes on does not.",
    )


def foretold(line: Line, windows: int) -> str:
    """Whether a better training part meant a better test part."""
    if math.isnan(line.slope):
        return "Too few windows, or too alike, to tell whether a better training part meant a better one afterwards."
    said = "held afterwards" if line.slope >= HELD else "told little about afterwards" if line.slope > REVERSED else "was followed by worse"
    counted = f"{line.windows} windows" + ("" if line.windows == windows else f" ({windows - line.windows} too short or unknown)")
    return f"A better training part {said}: slope {line.slope:.2f} of out of sample on in sample over {counted}."


def render_paths(to: Console, result: CrossValidationResult) -> None:
    """A cross-validation for a person."""
    spread = result.distribution
    to.print(f"\n[bold]Cross-validation[/] · {result.sessions[0]} to {result.sessions[-1]} · {_count(len(result.splits), 'split')}, "
             f"{_count(len(result.paths), 'path')}")  # fmt: skip
    for warning in result.warnings:
        to.print(f"[yellow]⚠ {warning}[/]")
    to.print(splits_table(result))
    to.print(parameters_table(result.parameters, "splits"))
    to.print("Sharpe ratio of the paths, each wholly out of sample: " + ", ".join(number(value) for value in sorted(result.sharpes)))
    to.print(f"Mean {number(spread['mean'])}, deviation {number(spread['deviation'])}, lowest {number(spread['lowest'])}, "
             f"highest {number(spread['highest'])}; not above 0: {percent(spread['share_not_above_0'], 0)} of the paths.")  # fmt: skip
    to.print(f"{_count(len(result.trials), 'candidate')} counted in the ledger as trials.")


def _no_range_in_a_grid(space: dict[str, Any], search: str) -> None:
    ranges = [key for key, values in space.items() if isinstance(values, tuple)]
    if ranges and search == "grid":
        raise InputError(f"a grid needs its values one by one; {ranges[0]} is a range", remedy="V1,V2,V3 or --search optuna")


def _count(many: int, what: str) -> str:
    return f"{many:,} {what}" if many == 1 else f"{many:,} {what}s"


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()
