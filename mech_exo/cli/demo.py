"""``exo demo``: everything once, on the synthetic sample market. Nothing from the network."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import hints, home
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.domain.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mech_exo.assembly import Workspace
    from mech_exo.session import NightResult

FOLDER = "demo"
MARKER = "synthetic-sample"
YEARS = 10


def demo(
    folder: Annotated[Path | None, typer.Option(help="Where the demo workspace goes; default demo/ in the workspace.")] = None,
    as_json: JsonOption = False,
) -> None:
    """A complete nightly cycle and a ten-year backtest on an invented market, with the embedded DuckDB, ledger and paper broker."""
    from mech_exo import sample
    from mech_exo.cli import backtest, run
    from mech_exo.cli.risk_account import account_of
    from mech_exo.cli.risk_tables import draw_status
    from mech_exo.nightly import write_reports

    with console().status("sample market …"):
        workspace = prepare(folder or home() / FOLDER)
        last = workspace.known().as_of
    nights = sample.last_nights(last)
    with console().status("nights …") as status_line:
        results = sample.play(workspace, nights, lambda night: status_line.update(f"night of {night} …"))
    with workspace.ledger() as ledger:
        reports = write_reports(workspace, ledger, results[-1])
    status = account_of(workspace).status()
    engine = backtest.backtester(workspace)
    result = backtest.play(engine, last.replace(year=last.year - YEARS), last, quiet=as_json)
    kept = backtest.keep(workspace, result)

    data = {
        "workspace": workspace.home,
        "synthetic": True,
        "nights": [
            {"session": r.session, "nav": r.day.nav, "orders": len(r.sent), "fills": 0 if r.played is None else len(r.played.fills)}
            for r in results
        ],
        "backtest": result.as_dict() | asdict(kept),
        "risk": status,
        "reports": reports,
    }

    def show(to: Console) -> None:
        to.rule("[bold]Mech-Exo demo · synthetic sample market, no real company, no real price")
        to.print(nights_table(results))
        run.render_night(to, results[-1], reports)
        draw_status(to, status)
        backtest.render(to, result, kept)
        to.print(f"\nWorkspace: {workspace.home}", soft_wrap=True)

    emit(data, as_json, show)
    best = results[-1].decision.scores.frame()["symbol"][0] if results[-1].decision is not None else engine.panel.symbols[0]
    hints.say(hints.after_demo(workspace.home, best, nights[-1]), as_json=as_json)


def nights_table(results: Sequence[NightResult]) -> Table:
    """The nights played, a line each."""
    from rich.table import Table

    table = Table("Night", "NAV", "Change", "Fills", "Orders for the next open", "Risk", title="Paper nights", title_justify="left")
    for place in (1, 2, 3, 4):
        table.columns[place].justify = "right"
    for night in results:
        fills = 0 if night.played is None else len(night.played.fills)
        table.add_row(
            str(night.session),
            f"{night.day.nav:,.2f}",
            f"{night.day.nav - night.nav_before:+,.2f}",
            str(fills),
            str(len(night.sent)),
            night.day.state.value,
        )
    return table


def prepare(folder: Path) -> Workspace:
    """The demo workspace: its market is made once, its ledger is fresh each time. Never touches a folder that is not a demo's."""
    from mech_exo import sample
    from mech_exo.assembly import Workspace
    from mech_exo.datasource.demo import sample_market
    from mech_exo.kernels import code_version

    marker = folder / "data" / MARKER
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise InputError(f"the demo writes only into a folder of its own; {folder} holds other things", remedy="exo demo --folder NEW")
    if not marker.exists() or marker.read_text() != code_version():
        shutil.rmtree(folder, ignore_errors=True)
        sample.make(folder, sample_market())
        marker.write_text(code_version())
    for stale in (folder / "data").glob("ledger.*"):
        stale.unlink()
    return Workspace.open(folder)
