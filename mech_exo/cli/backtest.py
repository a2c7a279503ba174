"""``exo backtest``: the configured strategy over history, with its report. The commands on saved runs are in ``runs.py``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import hints, home, promote, runs, trials
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.cli.sweep import sweep
from mech_exo.cli.walk_forward import cross_validate, walk_forward
from mech_exo.domain.errors import LedgerError, UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mech_exo.assembly import Workspace
    from mech_exo.backtest.engine import EventBacktester
    from mech_exo.backtest.result import BacktestResult
    from mech_exo.backtest.walk_result import WalkForwardResult
    from mech_exo.performance.kpi import Kpi, KpiReport
    from mech_exo.performance.overfitting import OverfittingReport

PATIENCE = 60.0
"""Seconds to wait for a night that is writing the ledger."""
app = typer.Typer(help="Run the very same decisions over history.", no_args_is_help=True)

HEADLINES = (
    ("final_equity", "Final equity", "usd"),
    ("total_return", "Total return", "percent"),
    ("cagr", "CAGR", "percent"),
    ("volatility_ann", "Volatility (annual)", "percent"),
    ("sharpe", "Sharpe (risk-free 0)", "number"),
    ("sortino", "Sortino", "number"),
    ("max_drawdown", "Max drawdown", "percent"),
    ("calmar", "Calmar", "number"),
    ("turnover_ann", "Turnover (annual, one way)", "percent"),
    ("exposure", "Average exposure", "percent"),
    ("total_costs", "Costs", "usd"),
    ("orders", "Orders", "count"),
    ("stop_outs", "Stop-outs", "count"),
    ("target_exits", "Profit targets", "count"),
    ("trades", "Round trips", "count"),
    ("win_rate", "Win rate", "percent"),
    ("worst_trade_loss", "Worst trade (of NAV)", "percent"),
    ("beta", "Beta to the benchmark", "number"),
    ("benchmark_cagr", "Benchmark CAGR", "percent"),
)


@app.callback()
def group() -> None:
    """Run the very same decisions over history."""


@app.command()
def run(
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First session; default the first stored.")] = None,
    end: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last session; default the last stored.")] = None,
    cash: Annotated[float | None, typer.Option(help="Initial cash in USD; default initial_cash of strategy.yml.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where the HTML report goes; default reports/backtests/RUN.html.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Print the report to this file, too; needs Chromium or Chrome.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Backtest the configured strategy."""
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.pdf import browser, write_pdf

    workspace = Workspace.open(home())
    if pdf is not None:
        browser()
    result = play(backtester(workspace, cash), _day(start), _day(end), quiet=as_json)
    kept = keep(workspace, result, report)
    if pdf is not None and kept.report is not None:
        kept = replace(kept, pdf=write_pdf(kept.report, pdf))
    emit(result.as_dict() | large_losses(result) | asdict(kept), as_json, lambda to: render(to, result, kept))
    if len(runs.saved(workspace)) == 1:
        hints.say(hints.after_backtest(workspace.home), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a run and its report lie; None where there is no report, or no PDF of it."""

    saved: Path
    report: Path | None
    pdf: Path | None = None


def keep(workspace: Workspace, result: BacktestResult, report: Path | None = None) -> Kept:
    """Save the run, write its report, count it: in this order, so that whatever counts can be looked at.

    Each of the three is done whole or not at all. Stopped before it counts, a run new to the workspace is taken back with its report:
    a look at history that was not counted must not be left to be looked at.
    """
    place = workspace.runs / result.run_id
    page = report or report_path(workspace, result.run_id)
    new = [path for path in (place, page) if not path.exists()]
    try:
        kept = Kept(result.save(place), write_report(result, page, luck(workspace, result)))
        record_trial(workspace, result)
    except BaseException:
        _take_back(workspace, result.run_id, new)
        raise
    return kept


def _take_back(workspace: Workspace, run_id: str, paths: list[Path]) -> None:
    """Remove what a stopped run left, unless it counts; a ledger that cannot be read counts nothing."""
    try:
        if is_counted(workspace, run_id):
            return
    except LedgerError:
        pass
    for path in paths:
        discard(path)


def discard(path: Path) -> None:
    """Remove a report or a saved run, if it is there, at once for a reader."""
    from mech_exo.utils.durable import remove_folder

    if path.is_dir():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)


def report_path(workspace: Workspace, run_id: str) -> Path:
    """Where a run's report goes unless another place is named."""
    return workspace.reports / "backtests" / f"{run_id}.html"


def backtester(workspace: Workspace, cash: float | None = None) -> EventBacktester:
    """The workspace's strategy on everything it has stored."""
    from mech_exo.backtest.engine import EventBacktester

    known = workspace.known()
    return EventBacktester(
        known.panel,
        workspace.strategy,
        universe=known.universe,
        initial_cash=cash,
        benchmark=workspace.benchmark(known.panel),
        warnings=known.warnings,
    )


def play(engine: EventBacktester, start: date | None, end: date | None, *, quiet: bool) -> BacktestResult:
    """Run with a progress bar on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("sessions"), TimeElapsedColumn())
    with Progress(*columns, console=console(), disable=quiet, transient=True) as bar:
        task = bar.add_task("Backtest", total=None)
        return engine.run(start, end, progress=lambda done, total: bar.update(task, completed=done, total=total))


def luck(workspace: Workspace, result: BacktestResult) -> OverfittingReport:
    """How much of the result is luck, this run counted among the ledger's trials whether or not it is there already."""
    from mech_exo.reporting.evidence import luck as counted

    with workspace.journal() as ledger:
        return counted(ledger, result)


def write_report(
    result: BacktestResult, place: Path, overfitting: OverfittingReport | None = None, walk_forward: WalkForwardResult | None = None
) -> Path:
    """Write the tear sheet and return where. Raises UserError when the folder cannot be written."""
    from mech_exo.reporting.tearsheet import write_tearsheet

    try:
        return write_tearsheet(result, place, overfitting=overfitting, walk_forward=walk_forward)
    except OSError as error:
        raise UserError(
            f"the report must be writable; {place}: {error.strerror}", remedy="--report FILE.html names another place"
        ) from error


def record_trial(workspace: Workspace, result: BacktestResult) -> None:
    """Count the run in the ledger: every look at history is a trial; the same run counts once."""
    from mech_exo.execution.trial_rows import Metric, Trial

    metrics = tuple(Metric(name, None if value is None else float(value)) for name, value in sorted(result.metrics.items()))
    with workspace.ledger(wait=PATIENCE) as ledger:
        ledger.record_trial(Trial(result.run_id, "backtest", result.config_hash, metrics))


def is_counted(workspace: Workspace, run_id: str) -> bool:
    """Whether the run is among the trials."""
    with workspace.journal() as ledger:
        return any(trial.run_id == run_id for trial in ledger.trial_figures())


def render(to: Console, result: BacktestResult, kept: Kept) -> None:
    """The result for a person."""
    from rich.table import Table

    to.print(f"\n[bold]Backtest[/] {result.name} · {result.sessions[0]} to {result.sessions[-1]} · run {result.run_id}")
    for warning in result.warnings:
        to.print(f"[yellow]⚠ {warning}[/]")
    to.print(kpi_table(result.kpi))
    table = Table("Metric", "Value", title="Metrics", title_justify="left")
    table.columns[1].justify = "right"
    for name, label, form in HEADLINES:
        table.add_row(label, shown(result.metrics.get(name), form))
    to.print(table)
    render_large_losses(to, large_losses(result)["large_losses"])
    if kept.report is not None:
        to.print(f"Report: {kept.report}", soft_wrap=True)
    if kept.pdf is not None:
        to.print(f"PDF:    {kept.pdf}", soft_wrap=True)
    to.print(f"Saved:  {kept.saved}", soft_wrap=True)


def large_losses(result: BacktestResult) -> dict[str, list[dict[str, Any]]]:
    """``large_losses``: closed trades that lost more of NAV than one may, each with what the overnight gap made of it."""
    from mech_exo.backtest.tables import large_losses as table

    return {"large_losses": table(result.sessions, result.symbols, result.large_losses)}


def render_large_losses(to: Console, losses: list[dict[str, Any]]) -> None:
    """A row each, or that there is none."""
    from rich.table import Table

    from mech_exo.performance.kpi import MAX_TRADE_LOSS

    title = f"Trades that lost more than {MAX_TRADE_LOSS:.0%} of NAV"
    if not losses:
        to.print(f"{title}: none")
        return
    table = Table("Symbol", "Entry", "Exit", "Exit by", "Loss", "of it overnight", "of it slippage", title=title, title_justify="left")
    for column in table.columns[4:]:
        column.justify = "right"
    for line in losses:
        figures = (shown(line[name], "percent") for name in ("loss", "gap", "slippage"))
        table.add_row(line["symbol"], str(line["entry"]), str(line["exit"]), line["reason"].replace("_", " "), *figures)
    to.print(table)


def kpi_table(report: KpiReport) -> Table:
    """The KPI contract as a table: one row a target, both periods."""
    from rich.table import Table

    colours = {"pass": "green", "fail": "red"}
    table = Table("KPI", "Target", "Trailing 12 months", "Whole period", title="KPI contract", title_justify="left")
    for recent, whole in zip(report.trailing.kpis, report.whole.kpis, strict=True):
        cells = [f"[{colours.get(kpi.verdict.value, 'yellow')}]{_kpi_cell(kpi)}[/]" for kpi in (recent, whole)]
        table.add_row(whole.label, f"{whole.bound} {whole.text(whole.threshold)}", *cells)
    return table


def _kpi_cell(kpi: Kpi) -> str:
    """Value and verdict; "not meaningful" says it all by itself."""
    from mech_exo.performance.kpi import Verdict

    return kpi.verdict.value if kpi.verdict is Verdict.NOT_MEANINGFUL else f"{kpi.text()} {kpi.verdict.value}"


def shown(value: float | None, form: str) -> str:
    """A figure for a person; unknown is "unknown"."""
    if value is None:
        return "unknown"
    return {"usd": f"{value:,.2f} USD", "percent": f"{value:.2%}", "number": f"{value:.2f}", "count": f"{value:,.0f}"}[form]


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


app.command("list", short_help="The saved runs, the latest first.")(runs.list_runs)
app.command("show", short_help="A saved run: KPI contract, figures, warnings.")(runs.show)
app.command("compare", short_help="What differs between two saved runs.")(runs.compare)
app.command("explain", short_help="Why a name was bought, sold, held or left alone.")(runs.explain)
app.command("governor", short_help="What the drawdown governor cost and saved.")(runs.governor)
app.command("delete", short_help="Remove a saved run and its report.")(runs.delete)
app.command("sweep", short_help="Backtest many values; how much of the best is luck.")(sweep)
app.command("walk-forward", short_help="Choose on the past, judge on what follows.")(walk_forward)
app.command("cross-validate", short_help="Every choice of periods judges what the rest chose.")(cross_validate)
app.command("trials", short_help="How often history was looked at.")(trials.trials)
app.command("promote", short_help="Make a run's configuration the one that trades.")(promote.promote)
app.command("rollback", short_help="Take the last promotion back.")(promote.rollback)
app.command("promotions", short_help="Promotions and rollbacks: who, when, why.")(promote.promotions)
