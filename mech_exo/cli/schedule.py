"""``exo schedule``: a night after every close of the exchange, served by Prefect."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.domain.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

START_SECONDS = 120


def schedule(
    show: Annotated[bool, typer.Option("--show", help="Print the next nights and end.")] = False,
    count: Annotated[int, typer.Option(min=1, max=1000, help="With --show: how many.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Perform a night after every close, until interrupted: night_after_close minutes later, half-days, holidays and DST included.

    Prefect keeps the list of runs, their logs and states; its database is in data/prefect of the workspace unless PREFECT_HOME says more,
    and a server of your own is used where PREFECT_API_URL names one. A night missed while nobody served is performed at once.
    """
    from mech_exo.utils.calendar import next_runs
    from mech_exo.utils.config import load

    place = home()
    minutes = load(place).data.night_after_close
    runs = next_runs(datetime.now(UTC), minutes, count)
    if show:
        data = [{"session": session, "at": at} for session, at in runs]
        emit({"minutes_after_close": minutes, "runs": data}, as_json, lambda paper: _show(paper, minutes, runs))
        return
    module = flow_module(place)
    console().print(f"serving {place}: next night {runs[0][0]} at {runs[0][1]:%Y-%m-%d %H:%M} UTC   (Ctrl-C ends it)", highlight=False)
    import asyncio

    with _server() as address:
        console().print(f"Prefect's API: {address}", highlight=False, soft_wrap=True)
        asyncio.run(module.serve(str(place), minutes))


def flow_module(place: Path) -> Any:
    """``dags/nightly.py``, of the installed package or the source tree. Raises UserError without Prefect."""
    if importlib.util.find_spec("prefect") is None:
        remedy = 'pip install "mech-exo[flows]"   (or let cron call exo run)'
        raise UserError("a schedule is served by Prefect; it is not installed", remedy=remedy)
    os.environ.setdefault("PREFECT_HOME", str(place / "data" / "prefect"))
    package = Path(__file__).resolve().parents[1]
    path = next(folder / "nightly.py" for folder in (package / "dags", package.parent / "dags") if folder.is_dir())
    spec = importlib.util.spec_from_file_location("nightly", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where Prefect asks for the flow's file
    spec.loader.exec_module(module)
    return module


@contextmanager
def _server() -> Iterator[str]:
    """The API of the user's own Prefect server, else of one started beside this process for as long as it serves."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if PREFECT_API_URL.value():
        yield str(PREFECT_API_URL.value())
        return
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    server.start(timeout=START_SECONDS)
    try:
        with temporary_settings({PREFECT_API_URL: server.api_url}):
            yield server.api_url
    finally:
        server.stop()


def _show(paper: Console, minutes: int, runs: tuple[tuple[Any, datetime], ...]) -> None:
    from rich.table import Table

    from mech_exo.utils.calendar import NEW_YORK

    table = Table("session", "UTC", "New York", title=f"Nights, {minutes} minutes after each close", title_justify="left")
    for session, at in runs:
        table.add_row(f"{session:%a} {session}", f"{at:%Y-%m-%d %H:%M}", f"{at.astimezone(NEW_YORK):%Y-%m-%d %H:%M %Z}")
    paper.print(table)
