"""``exo report performance``: the account since its first booked session, as a tear sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.reporting.account import AccountRecord

BookOption = Annotated[
    str | None, typer.Option("--book", autocompletion=complete.books, help="account/strategy; needed only where the ledger holds several.")
]
PdfOption = Annotated[Path | None, typer.Option(help="Print the page to this file, too; needs Chromium or Chrome.")]


def performance(
    book: BookOption = None,
    out: Annotated[Path | None, typer.Option("--report", help="Where the HTML goes; default reports/performance.html.")] = None,
    pdf: PdfOption = None,
    as_json: JsonOption = False,
) -> None:
    """The account since its first booked session: metrics, KPI contract and a tear sheet."""
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.account import account_record
    from mech_exo.reporting.pdf import browser, write_pdf
    from mech_exo.reporting.query import choose_book
    from mech_exo.reporting.tearsheet import write_tearsheet

    if pdf is not None:
        browser()  # known to be there before minutes of work
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
    printed = None if pdf is None else write_pdf(path, pdf)
    data = {
        "book": str(chosen),
        "start": record.sessions[0].astype(object),
        "end": record.sessions[-1].astype(object),
        "metrics": record.metrics,
        "kpi": record.kpi.as_dict(),
        "warnings": list(record.warnings),
        "report": str(path),
        "pdf": None if printed is None else str(printed),
    }
    emit(data, as_json, lambda to: _performance(to, record, path, printed))


def _performance(to: Console, record: AccountRecord, path: Path, printed: Path | None) -> None:
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
    if printed is not None:
        to.print(Text(f"PDF:    {printed}"))
