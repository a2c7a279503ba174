"""``exo report``: what happened, read from the ledger. The other reports are in files of their own."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.cli.report_drift import drift
from mech_exo.cli.report_performance import BookOption, PdfOption, performance
from mech_exo.domain.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.execution.rows import BookId
    from mech_exo.reporting.night import NightReport
    from mech_exo.reporting.snapshot import SnapshotPaths

report = typer.Typer(help="Write a report.", no_args_is_help=True)


@report.callback()
def _group() -> None:
    """Write a report from the ledger."""


report.command()(performance)
report.command()(drift)


@report.command()
def daily(
    date: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], autocompletion=complete.sessions, help="Session; default: the last one booked."),
    ] = None,
    book: BookOption = None,
    show: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    pdf: PdfOption = None,
    as_json: JsonOption = False,
) -> None:
    """The snapshot of one night as HTML, JSON and a Markdown digest under reports/daily."""
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.pdf import browser, write_pdf
    from mech_exo.reporting.query import choose_book, night_report
    from mech_exo.reporting.snapshot import DailySnapshot

    if pdf is not None:
        browser()  # known to be there before anything is written
    workspace = Workspace.open(home())
    with workspace.ledger(read_only=True) as ledger:
        chosen = choose_book(ledger, book)
        night = night_report(ledger, chosen, None if date is None else date.date(), workspace)
    snapshot = DailySnapshot(night)
    paths = snapshot.write(workspace.reports, aside=chosen != _configured(workspace))
    files = {"html": str(paths.html), "json": str(paths.json), "markdown": str(paths.markdown)}
    if pdf is not None:
        files["pdf"] = str(write_pdf(paths.html, pdf))
    emit(snapshot.as_dict() | {"files": files}, as_json, lambda to: _night(to, night, paths, files.get("pdf")))
    if show:
        _open(paths.html)


def _open(page: Path) -> None:
    """Raises UserError where no browser shows it: the page is written all the same."""
    import webbrowser

    address = page.absolute().as_uri()
    if not webbrowser.open(address):
        raise UserError(f"--open needs a browser on this machine; the page is written: {address}", remedy="BROWSER=/path/to/browser")


def _configured(workspace: Workspace) -> BookId | None:
    """The book whose nights are reported in reports/daily itself; None where its account is not configured."""
    try:
        return workspace.book_id()
    except UserError:
        return None


def _night(to: Console, night: NightReport, paths: SnapshotPaths, pdf: str | None) -> None:
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
    if pdf is not None:
        to.print(Text(f"PDF:    {pdf}"))
