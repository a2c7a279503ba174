"""``exo report daily`` and ``exo report performance``: what happened, read from the ledger."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.execution.rows import BookId
    from mech_exo.reporting.account import AccountRecord
    from mech_exo.reporting.night import NightReport
    from mech_exo.reporting.snapshot import SnapshotPaths

report = typer.Typer(help="Write a report.", no_args_is_help=True)
BookOption = Annotated[str | None, typer.Option("--book", help="account/strategy; needed only where the ledger holds several.")]


@report.callback()
def _group() -> None:
    """Write a report from the ledger."""


@report.command()
def daily(
    date: Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Session; default: the last one booked.")] = None,
    book: BookOption = None,
    show: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The snapshot of one night as HTML, JSON and a Markdown digest under reports/daily.

    Example: exo report daily --date 2015-12-31
    """
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.query import choose_book, night_report
    from mech_exo.reporting.snapshot import DailySnapshot

    workspace = Workspace.open(home())
    with workspace.ledger(read_only=True) as ledger:
        chosen = choose_book(ledger, book)
        night = night_report(ledger, chosen, None if date is None else date.date(), workspace)
    snapshot = DailySnapshot(night)
    paths = snapshot.write(workspace.reports, aside=chosen != _configured(workspace))
    files = {"html": str(paths.html), "json": str(paths.json), "markdown": str(paths.markdown)}
    emit(snapshot.as_dict() | {"files": files}, as_json, lambda to: _night(to, night, paths))
    if show:
        import webbrowser

        webbrowser.open(paths.html.absolute().as_uri())


def _configured(workspace: Workspace) -> BookId | None:
    """The book whose nights are reported in reports/daily itself; None where its account is not configured."""
    try:
        return workspace.book_id()
    except UserError:
        return None


@report.command()
def performance(
    book: BookOption = None,
    out: Annotated[Path | None, typer.Option("--report", help="Where the HTML goes; default reports/performance.html.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The account since its first booked session: metrics, KPI contract and a tear sheet.

    Example: exo report performance --json
    """
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.account import account_record
    from mech_exo.reporting.query import choose_book
    from mech_exo.reporting.tearsheet import write_tearsheet

    workspace = Workspace.open(home())
    with workspace.ledger(read_only=True) as ledger:
        chosen = choose_book(ledger, book)
        known = workspace.known()
        record = account_record(
            ledger,
            chosen,
            known.panel,
            workspace.config,
            universe=known.universe,
            benchmark=workspace.benchmark(known.panel),
            warnings=known.warnings,
        )
    path = write_tearsheet(record, out or workspace.reports / "performance.html", kind=f"Account {chosen.account}")
    data = {
        "book": str(chosen),
        "start": record.sessions[0].astype(object),
        "end": record.sessions[-1].astype(object),
        "metrics": record.metrics,
        "kpi": record.kpi.as_dict(),
        "warnings": list(record.warnings),
        "report": str(path),
    }
    emit(data, as_json, lambda to: _performance(to, record, path))


def _night(to: Console, night: NightReport, paths: SnapshotPaths) -> None:
    from rich.table import Table
    from rich.text import Text

    from mech_exo.reporting.daily_view import cause_name
    from mech_exo.reporting.needs import measure, needs
    from mech_exo.reporting.snapshot import headline
    from mech_exo.reporting.text import money, once

    to.print(Text(f"{night.session} {night.book}: {headline(night)}"))
    for need in needs(night):
        told = f"{need.severity}: {need.text}" + (f"   ({need.command})" if need.command else "")
        to.print(Text(told, style="red" if need.severity == "critical" else "yellow" if need.severity == "warning" else ""))
    for warning in once(night.warnings):
        to.print(Text(f"note: {warning}", style="yellow"))
    table = Table("Limit", "Used", "Allowed", "Left")
    for limit in night.limits:
        table.add_row(limit.name, measure(limit, limit.value), measure(limit, limit.limit), measure(limit, limit.left))
    to.print(table)
    causes = Table("The day's P&L by cause", "USD")
    causes.columns[1].justify = "right"
    for part in night.causes.parts:
        causes.add_row(cause_name(part), money(part.pnl))
    to.print(causes)
    to.print(f"NAV {money(night.money.nav)} USD, P&L {money(night.money.pnl)} USD")
    to.print(Text(f"Report: {paths.html}"))


def _performance(to: Console, record: AccountRecord, path: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from mech_exo.reporting.text import once
    from mech_exo.reporting.wording import kpi_lines, metric_groups, verdict_line

    to.print(Text(f"{record.run_id}: {verdict_line(record.kpi.whole)}"))
    for warning in once(record.warnings):
        to.print(Text(f"note: {warning}", style="yellow"))
    contract = Table("Demand", "Bound", "Trailing 12 months", "Whole period")
    for line in kpi_lines(record.kpi):
        cells = [f"{cell.value} {verdict}" for cell, verdict in zip(line.cells, line.verdicts, strict=True)]
        contract.add_row(line.label, line.demand, *cells)
    to.print(contract)
    for figures in metric_groups(record.metrics)[:3]:
        table = Table(figures.title, "Value")
        table.columns[1].justify = "right"
        for figure in figures.lines:
            table.add_row(figure.name, figure.value)
        to.print(table)
    to.print(Text(f"Report: {path}"))
