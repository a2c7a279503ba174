"""``exo backtest sweep``: the configured strategy with many values of its keys, and how much of the best is luck."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import home
from mech_exo.cli.choices import AddressOption, BackendOption, WorkersOption, as_yaml, grid
from mech_exo.cli.output import JsonOption, emit
from mech_exo.cli.tables import number
from mech_exo.cli.walk_forward import EndOption, StartOption, bar, record
from mech_exo.domain.errors import InputError

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.backtest.scaling import Plan
    from mech_exo.backtest.sweep import SweepResult
    from mech_exo.decision.night import Known
    from mech_exo.performance.overfitting import OverfittingReport

ROWS = 10
EVIDENCE, HALF, RARE = 0.95, 0.5, 0.05
"""What a deflated Sharpe must reach, a PBO must stay below, and a p-value must stay below, to be evidence."""
COLUMNS = (("sharpe", "Sharpe", 1), ("cagr", "CAGR", 100), ("volatility_ann", "Volatility", 100), ("max_drawdown", "Drawdown", 100),
           ("turnover_ann", "Turnover", 100), ("orders", "Orders", 0))  # fmt: skip


def sweep(
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=V1,V2", help="A key and its values in YAML; once for each. LOW..HIGH with --trials."),
    ] = None,
    start: StartOption = None,
    end: EndOption = None,
    objective: Annotated[str, typer.Option(metavar="METRIC", help="What the best is best at.")] = "sharpe",
    trials: Annotated[int | None, typer.Option(help="Try so many at random; default every combination.")] = None,
    seed: Annotated[int, typer.Option(help="Of --trials: the same seed tries the same.")] = 0,
    backend: BackendOption = "threads",
    workers: WorkersOption = None,
    address: AddressOption = None,
    report: Annotated[Path | None, typer.Option(help="Write the tear sheet of the best to this file.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Play nothing: compute what so many trials, or combinations, would cost.")] = False,
    symbols: Annotated[int, typer.Option(help="Of --plan.")] = 3000,
    years: Annotated[float, typer.Option(help="Of --plan.")] = 10.0,
    distinct: Annotated[int | None, typer.Option(help="Of --plan: different factors, universes and schedules; default all trials.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Backtest every combination of values; count each in the ledger; say how much of the best is luck."""
    from mech_exo.assembly import Workspace

    workspace = Workspace.open(home())
    if plan:
        size = trials or (_combinations(grid(sets)) if sets else 100)
        _plan(workspace, as_json, symbols=symbols, years=years, trials=size, workers=workers, distinct=distinct)
        return
    from mech_exo.backtest.promotion import compared
    from mech_exo.backtest.search import one_of_metrics
    from mech_exo.backtest.sweep import objectives
    from mech_exo.backtest.sweep import sweep as play
    from mech_exo.scoring.factors import every_fact

    one_of_metrics(objective, objectives())
    space = grid(sets or [])
    _no_range_without_trials(space, trials)
    known = workspace.known(facts=every_fact(workspace.config.factors.plugins))
    with bar("Trials", quiet=as_json) as tick:
        result = play(
            known.panel, workspace.config, space, universe=known.universe, start=_day(start), end=_day(end), trials=trials, seed=seed,
            backend=backend, workers=workers, address=address, warnings=known.warnings, progress=tick,
        )  # fmt: skip
    rules = workspace.config.research.overfitting
    luck = result.overfitting(_counted(workspace, result), objective, blocks=rules.blocks, draws=rules.draws)
    record(workspace, result.trials, compared(result.id, [run.run_id for run in result.runs], luck))
    # The report comes once all are counted, so that no look goes uncounted.
    page = None if report is None else _write(workspace, known, result, luck, objective, report)
    emit(_body(result, luck, objective, page), as_json, lambda to: _render(to, result, luck, objective, page))


def _no_range_without_trials(space: dict[str, Any], trials: int | None) -> None:
    for key, values in space.items():
        if trials is None and isinstance(values, tuple):
            shown = f"{key}={values[0]}..{values[1]}"
            raise InputError(f"a range is for drawing at random; {shown}", remedy="add --trials 100, or name the values")


def _combinations(space: dict[str, Any]) -> int:
    _no_range_without_trials(space, None)
    return math.prod(len(values) for values in space.values())


def _counted(workspace: Workspace, result: SweepResult) -> list[float]:
    """The Sharpe ratio of every counted trial, these among them, each once."""
    with workspace.journal() as ledger:
        figures = {counted.run_id: counted.value for counted in ledger.trial_figures("sharpe")}
    figures |= {run.run_id: float(run.metrics["sharpe"]) for run in result.runs}
    return list(figures.values())


def _write(workspace: Workspace, known: Known, result: SweepResult, luck: OverfittingReport, objective: str, place: Path) -> Path:
    """The best once more, with everything a report shows."""
    from mech_exo.backtest.engine import EventBacktester
    from mech_exo.cli.backtest import write_report

    best = result.best(objective)
    engine = EventBacktester(
        known.panel, best.config, universe=known.universe, benchmark=workspace.benchmark(known.panel), warnings=known.warnings
    )
    played = engine.run(result.sessions[0].astype(object), result.sessions[-1].astype(object))
    return write_report(played, place, luck)


def _body(result: SweepResult, luck: OverfittingReport, objective: str, page: Path | None) -> dict[str, Any]:
    best = result.best(objective)
    return {
        "id": result.id,
        "start": str(result.sessions[0]),
        "end": str(result.sessions[-1]),
        "objective": objective,
        "best": {"choice": dict(best.choice), "run_id": best.run_id, "config_hash": best.config_hash, "metrics": best.metrics},
        "trials": result.table,
        "overfitting": luck,
        "conclusions": conclusions(luck, len(result.runs)),
        "warnings": list(result.warnings),
        "report": page,
    }


def _render(to: Console, result: SweepResult, luck: OverfittingReport, objective: str, page: Path | None) -> None:
    """The sweep for a person."""
    from rich.table import Table

    to.print(f"\n[bold]Sweep[/] · {result.sessions[0]} to {result.sessions[-1]} · {len(result.runs):,} trials · {result.id}")
    for warning in result.warnings:
        to.print(f"[yellow]⚠ {warning}[/]")
    keys = [key for key, _ in result.runs[0].choice]
    others = () if objective in {name for name, _, _ in COLUMNS} else ((objective, objective.replace("_", " "), 1),)
    shown = (*others, *COLUMNS)
    table = Table(*(key.rsplit(".", 1)[-1] for key in keys), *(label for _, label, _ in shown), "Run",
                  title=f"The best by {objective.replace('_', ' ')}", title_justify="left")  # fmt: skip
    for column in table.columns[:-1]:
        column.justify = "right"
    ranked = result.ranked(objective)
    for run in ranked[:ROWS]:
        figures = [_figure(run.metrics[name], scale) for name, _, scale in shown]
        table.add_row(*(as_yaml(value) for _, value in run.choice), *figures, run.run_id)
    if len(ranked) > ROWS:
        table.caption = f"and {len(ranked) - ROWS:,} more (--json has them all)"
    to.print(table)
    for sentence in conclusions(luck, len(ranked)):
        to.print(sentence)
    if page is not None:
        to.print(f"Report: {page}", highlight=False, soft_wrap=True)


def conclusions(luck: OverfittingReport, played: int) -> tuple[str, ...]:
    """What it means, in plain words; the verdict last."""
    from mech_exo.reporting.evidence import luck_alone

    said = [f"{played:,} trials played; the ledger counts {luck.trials:,} looks at history, these among them.", luck_alone(luck)]
    if math.isfinite(luck.pbo):
        said.append(f"Chosen on one half of the sessions, the best fell below the median of the others on the other half "
                    f"{luck.pbo:.0%} of the time (PBO).")  # fmt: skip
    if math.isfinite(luck.spa):
        said.append(f"Were all trials worthless, so good a best one would still appear with a probability of {luck.spa:.1%} (SPA).")
    return (*said, *luck.notes, verdict(luck))


def verdict(luck: OverfittingReport) -> str:
    """Whether the best is to be believed: every test that could be made must agree."""
    doubts = []
    if not luck.deflated_sharpe >= EVIDENCE:
        shown = "unknown" if math.isnan(luck.deflated_sharpe) else f"{luck.deflated_sharpe:.0%}"
        doubts.append(f"its deflated Sharpe probability is {shown}, {EVIDENCE:.0%} is needed")
    if luck.pbo >= HALF:
        doubts.append(f"choosing by this grid is no better than chance (PBO {luck.pbo:.0%})")
    if luck.spa > RARE:
        doubts.append(f"worthless trials would do as well in {luck.spa:.0%} of cases")
    if doubts:
        return f"The best is probably luck: {'; '.join(doubts)}."
    return "The best is more than luck alone would show; whether it lasts, only sessions that chose nothing can tell (walk-forward)."


def _plan(workspace: Workspace, as_json: bool, *, workers: int | None, **size: Any) -> None:
    from mech_exo.backtest.scaling import plan
    from mech_exo.utils.parallel import cpu_count

    made = plan(workspace.config, workers=workers or cpu_count(), **size)
    emit(asdict(made), as_json, lambda to: _render_plan(to, made))


def _render_plan(to: Console, made: Plan) -> None:
    from rich.table import Table

    title = f"{made.symbols:,} symbols × {made.sessions:,} sessions × {made.trials:,} trials on {made.workers:,} workers"
    table = Table("What", "Needed", title=title, title_justify="left")
    table.columns[1].justify = "right"
    for what, needed in (
        ("Bars", _bytes(made.panel_bytes)),
        ("Shared, once per machine", _bytes(made.shared_bytes)),
        ("Each worker's own memory", _bytes(made.worker_bytes)),
        ("Were all workers one machine", _bytes(made.machine_bytes)),
        ("Returns kept", _bytes(made.result_bytes)),
        ("Features of one configuration", _time(made.feature_seconds)),
        ("One trial", _time(made.trial_seconds)),
        ("Processor time", f"{made.cpu_hours:,.2f} h"),
        ("Wall time", _time(made.wall_seconds)),
        ("Pieces of work", f"{made.parts:,}"),
        ("Backend", made.backend),
    ):
        table.add_row(what, needed)
    to.print(table)
    for line in made.assumptions:
        to.print(f"· {line}")


def _bytes(size: int) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _time(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds / 60:,.1f} min" if seconds >= 60 else f"{seconds:,.2f} s" if seconds >= 1 else f"{1e3 * seconds:,.1f} ms"


def _figure(value: float | None, scale: int) -> str:
    if value is None or not math.isfinite(value):
        return "unknown"
    return {0: f"{value:,.0f}", 1: number(value), 100: f"{value:.1%}"}[scale]


def _day(moment: datetime | None) -> Any:
    return None if moment is None else moment.date()
