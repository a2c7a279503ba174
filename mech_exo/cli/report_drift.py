"""``exo report drift``: live against its replay, in dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.cli.ranges import RangeOption, span
from mech_exo.cli.report_performance import BookOption

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.reporting.drift.values import DriftParts, DriftReport

SHOWN_DAYS, SHOWN_EVENTS = 15, 15


def drift(
    range_: RangeOption = "all",
    book: BookOption = None,
    every: Annotated[bool, typer.Option("--every", help="Every session and every difference, not only the largest.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What the account earned less what a replay of the same sessions earns, in USD by cause; the causes add up to it.

    The whole book's is kept in reports/drift.json.
    """
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.drift import drift as explained
    from mech_exo.reporting.drift.values import as_dict, save
    from mech_exo.reporting.query import choose_book

    workspace = Workspace.open(home())
    with workspace.journal() as ledger:
        chosen = choose_book(ledger, book)
        wanted = span(range_, ledger.last_booked(chosen))
        report = explained(workspace, ledger, chosen, wanted.first, wanted.last)
        alone = len(ledger.books()) == 1
    if wanted.first is None and wanted.last is None and (alone or chosen == workspace.book_id()):
        save(report, workspace.reports)
    emit(as_dict(report), as_json, lambda to: _show(to, report, every=every))


def _show(to: Console, report: DriftReport, *, every: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from mech_exo.reporting.drift.values import LABELS, headline

    to.print(Text(f"{report.book}. {headline(report)}."))
    for note in report.notes:
        to.print(Text(f"note: {note}", style="yellow"))
    total = Table("Cause", box=SIMPLE_HEAD, pad_edge=False)
    total.add_column("USD", justify="right")
    for cause, label in LABELS.items():
        total.add_row(label, _usd(getattr(report.parts, cause.value)))
    total.add_row("Residual", _usd(report.parts.residual), end_section=True)
    total.add_row("Drift: account less replay", _usd(report.drift))
    to.print(total)
    found = [day for day in report.days if every or any(abs(value) >= 0.005 for value in _values(day.parts))]
    largest = found if every else sorted(sorted(found, key=lambda day: -abs(day.drift))[:SHOWN_DAYS], key=lambda day: day.session)
    if largest:
        table = Table("Session", box=SIMPLE_HEAD, pad_edge=False)
        for label in ("Late", "Price", "Costs", "Missed", "Manual", "Actions", "Resid.", "Drift"):
            table.add_column(label, justify="right")
        for day in largest:
            table.add_row(str(day.session), *(_usd(value) for value in _values(day.parts)), _usd(day.drift))
        to.print(table)
    if len(largest) < len(found):
        to.print(Text(f"The {len(largest)} largest of {len(found)} sessions with a difference; --every shows all."))
    _differences(to, report, every=every)


def _differences(to: Console, report: DriftReport, *, every: bool) -> None:
    from rich.text import Text

    from mech_exo.reporting.drift.values import LABELS

    shown = report.events if every else report.events[-SHOWN_EVENTS:]
    for event in shown:
        usd = "" if event.usd is None else f" ({event.usd:+,.2f} USD)"
        to.print(Text(f"{event.session} {event.symbol or 'the book'}: {LABELS[event.cause].lower()}: {event.said}{usd}"))
    if len(shown) < len(report.events):
        to.print(Text(f"The last {len(shown)} of {len(report.events)} differences; --every shows all."))
    for one in report.positions:
        to.print(Text(f"{one.symbol}: {one.live_shares:+,d} shares held, {one.replay_shares:+,d} in the replay"))


def _values(parts: DriftParts) -> tuple[float, ...]:
    return (parts.late_data, parts.price, parts.costs, parts.missed, parts.manual, parts.corporate_action, parts.residual)


def _usd(value: float) -> str:
    return f"{0.0 if abs(value) < 0.005 else value:,.2f}"
