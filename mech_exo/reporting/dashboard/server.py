"""Serving the pages: waitress, one process, never the development server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dash import Dash

THREADS = 8


def serve(app: Dash, host: str, port: int) -> None:
    """Serve until interrupted."""
    import waitress

    waitress.serve(app.server, host=host, port=port, threads=THREADS, ident=None)
