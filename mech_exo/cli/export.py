"""``exo export``: what the ledger holds, for a spreadsheet or a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.cli.ranges import RangeOption, span

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.reporting.export import Exported

WHAT = "fills, positions, nav, decisions, orders, trades, risk, alerts, separated by commas; or all."


def export(
    range_: RangeOption = "all",
    what: Annotated[list[str], typer.Option("--what", metavar="KINDS", help=WHAT)] = ["fills,positions,nav,decisions"],  # noqa: B006
    format_: Annotated[str, typer.Option("--format", metavar="csv|parquet", help="How the files are written.")] = "csv",
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where they go; default reports/export.")] = None,
    book: Annotated[
        str | None,
        typer.Option("--book", autocompletion=complete.books, help="account/strategy; needed only where the ledger holds several."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files of the same name.")] = False,
    with_account: Annotated[bool, typer.Option("--with-account", help="Write account numbers out; they are masked otherwise.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the ledger's tables as files, one a kind. In CSV no text can begin a formula."""
    from mech_exo.assembly import Workspace
    from mech_exo.domain.errors import UserError, cut
    from mech_exo.reporting.export import Format, Wanted, kinds_of
    from mech_exo.reporting.export import export as written
    from mech_exo.reporting.query import choose_book

    kinds = kinds_of(what)
    if format_ not in set(Format):
        raise UserError(f"the format is csv or parquet; got {cut(format_)}", remedy="--format csv")
    workspace = Workspace.open(home())
    with workspace.journal() as ledger:
        chosen = choose_book(ledger, book)
        days = span(range_, ledger.last_booked(chosen))
        folder = out or workspace.reports / "export"
        wanted = Wanted(kinds, folder, Format(format_), days.first, days.last, force, with_account)
        files = written(workspace, ledger, chosen, wanted)
    data = {"book": str(chosen), "folder": folder, "files": [{"what": one.kind, "path": one.path, "rows": one.rows} for one in files]}
    emit(data, as_json, lambda to: _show(to, files))


def _show(to: Console, files: tuple[Exported, ...]) -> None:
    for one in files:
        to.print(f"{one.path}: {one.rows:,} rows", highlight=False, markup=False, soft_wrap=True)
