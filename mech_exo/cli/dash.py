"""``exo dash``: the pages in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console


def dash(
    host: Annotated[str, typer.Option("--host", help="Address to listen on; one that others reach needs a password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="TCP port to listen on.")] = 8050,
    browser: Annotated[bool, typer.Option("--open", help="Open the pages in a browser.")] = False,
    set_password: Annotated[bool, typer.Option("--set-password", help="Ask for a new password, keep its hash, and end.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Say what the pages' banner would say, and end: 0 in order, 3 not.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the account in a browser, read-only: what runs, what is held, what it did, what needs you. Ctrl-C ends it."""
    place = home()
    if set_password:
        _keep(place, _asked())
        typer.echo("The password is set. A running exo dash asks for it when it is started again.", err=True)
    elif check:
        _check(place, as_json)
    else:
        _serve(place, host, port, browser)


def _serve(place: Path, host: str, port: int, browser: bool) -> None:
    _installed()
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.dashboard import server
    from mech_exo.reporting.dashboard.app import create_app, warmed
    from mech_exo.reporting.dashboard.auth import Access, Password
    from mech_exo.reporting.dashboard.guard import Door
    from mech_exo.reporting.dashboard.memory import lean
    from mech_exo.reporting.dashboard.reader import Reader

    lean()

    config = Workspace.open(place).config
    settings, stored = config.dashboard, config.keys.dashboard_password.get_secret_value()
    anywhere = server.check_host(host, locked=bool(stored))
    access = Access(Password.read(stored) if stored else None, config.keys.dashboard_token.get_secret_value(), settings.session_hours)
    reader = Reader(place, lambda: Workspace.open(place))
    app = create_app(reader, settings, access, Door.at(host, settings, anywhere=anywhere))
    listening = server.bind(app, host, port)
    where = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else f'[{host}]' if ':' in host else host}:{port}"  # noqa: S104 - named, not bound

    def ready() -> None:
        typer.echo(f"{where} shows {place}, read-only. Ctrl-C ends it.", err=True)
        if browser:
            import webbrowser

            webbrowser.open(where)

    try:
        with warmed(reader):
            server.run(listening, ready)
    finally:
        reader.close()


def _check(place: Path, as_json: bool) -> None:
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.dashboard.condition import Condition, condition
    from mech_exo.reporting.dashboard.reader import Reader

    now: Condition = condition(Reader(place, lambda: Workspace.open(place)))

    def say(to: Console) -> None:
        for problem in now.problems:
            remedy = f"\n  → {problem.command}" if problem.command else ""
            to.print(f"{problem.said}{remedy}", markup=False, highlight=False, soft_wrap=True)
        if not now.problems:
            to.print(f"In order: {now.book} is booked up to {now.booked}.", markup=False, highlight=False)

    emit(now, as_json, say)
    if now.problems:
        raise typer.Exit(3)


def _asked() -> str:
    """A new password, asked twice (from a pipe: the first line)."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = typer.prompt("New password", hide_input=True, err=True)
    if typer.prompt("Again", hide_input=True, err=True) != first:
        raise UserError("the two must be the same; they differ", remedy="exo dash --set-password")
    return str(first)


def _keep(place: Path, password: str) -> None:
    from mech_exo.reporting.dashboard.auth import hashed
    from mech_exo.utils.keys_file import keep_key

    keep_key(place, "dashboard_password", hashed(password))


def _installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("dash", "dash_mantine_components", "dash_ag_grid", "waitress") if find_spec(name) is None]
    if missing:
        raise UserError(f"the pages need {', '.join(missing)}, which is not installed", remedy='pip install "mech-exo[dash]"')
