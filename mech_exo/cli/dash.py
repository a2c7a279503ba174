"""``exo dash``: the pages in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from mech_exo.cli import home


def dash(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8050,
) -> None:
    """Show the account in a browser, read-only: what runs, what is held, what it did, what needs you."""
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.dashboard.app import create_app
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.reporting.dashboard.server import serve

    place = home()
    settings = Workspace.open(place).config.dashboard
    app = create_app(Reader(place, lambda: Workspace.open(place)), settings)
    typer.echo(f"http://{host}:{port}", err=True)
    serve(app, host, port)
