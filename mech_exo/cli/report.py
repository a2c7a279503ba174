"""``exo report``: what happened, read from the ledger. The other reports are in files of their own."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.cli.report_drift import drift
from mech_exo.cli.report_performance import BookOption, performance

if TYPE_CHECKING:
    from rich.console import Console

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
    date: Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Session; default: the last one booked.")] = None,
    book: BookOption = None,
    as_json: JsonOption = False,
) -> None:
    """The snapshot of one night as HTML, JSON and Markdown under reports/daily.

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
    paths = snapshot.write(workspace.reports)
    files = {"html": str(paths.html), "json": str(paths.json), "markdown": str(paths.markdown)}
    emit(snapshot.as_dict() | {"files": files}, as_json, lambda to: _night(to, night, paths))


def _night(to: Console, night: NightReport, paths: SnapshotPaths) -> None:
    from rich.table import Table
    from rich.text import Text

    from mech_exo.reporting.snapshot import headline
    from mech_exo.reporting.text import money, once, percent

    to.print(Text(f"{night.session} {night.book}: {headline(night)}"))
    for warning in once(night.warnings):
        to.print(Text(f"note: {warning}", style="yellow"))
    table = Table("Limit, of NAV", "Used", "Allowed", "Left")
    for limit in night.limits:
        table.add_row(limit.name, percent(limit.value), percent(limit.limit), percent(limit.left))
    to.print(table)
    to.print(f"NAV {money(night.money.nav)} USD, P&L {money(night.money.pnl)} USD")
    to.print(Text(f"Report: {paths.html}"))
