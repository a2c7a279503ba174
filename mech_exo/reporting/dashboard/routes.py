"""What is not a page: ``/healthz``, ``/metrics``, the CSV of long tables, and what errors look like."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Response, request
from werkzeug.exceptions import HTTPException

from mech_exo.domain.errors import MechExoError
from mech_exo.reporting.dashboard.address import parsed
from mech_exo.reporting.dashboard.condition import condition
from mech_exo.reporting.dashboard.grids import exported
from mech_exo.reporting.dashboard.metrics import exposition
from mech_exo.utils import log

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.dashboard.reader import Reader

OPEN = "mechexo.open"
"""Set by the guard where the sender is logged in."""
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_logger = log.get(__name__)


def add(app: Dash, reader: Reader, paths: Iterable[str], *, locked: bool) -> None:
    """Add the routes to ``app``; ``paths`` are those of the pages, ``locked`` says that a password is set."""
    known = {*paths}

    @app.server.route("/healthz")
    def healthz() -> Response:
        now = condition(reader)
        code = 200 if now.well else 503
        if locked and not request.environ.get(OPEN):
            return Response("ok\n" if now.well else "stale\n", code, mimetype="text/plain")
        said = {
            "status": "ok" if now.well else "stale",
            "book": now.book or None,
            "booked": None if now.booked is None else now.booked.isoformat(),
            "expected": now.expected.isoformat(),
            "sessions_behind": now.behind,
            "bars_until": None if now.bars is None else now.bars.isoformat(),
            "halted": now.halt.halted,
            "ledger_readable": now.readable,
            "problems": [problem.said for problem in now.problems],
        }
        return Response(log.mask(json.dumps(said, indent=2)) + "\n", code, mimetype="application/json")

    @app.server.route("/metrics")
    def metrics() -> Response:
        return Response(exposition(reader), content_type=EXPOSITION)

    @app.server.route("/export/<name>.csv")
    def export(name: str) -> Response:
        text = exported(app, reader, name, parsed(request.query_string.decode("ascii", "replace")))
        if text is None:
            return Response("There is no such table.\n", 404, mimetype="text/plain")
        head = {"Content-Disposition": f'attachment; filename="{name}.csv"'}  # a known table's id
        return Response(log.mask(text), mimetype="text/csv", headers=head)

    @app.server.after_request
    def found(response: Response) -> Response:
        if response.status_code == 200 and request.endpoint == "/<path:path>" and request.path not in known:
            response.status_code = 404
        return response

    @app.server.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        return Response(f"{error.name}\n", error.code or 500, mimetype="text/plain")

    @app.server.errorhandler(MechExoError)
    def known_trouble(error: MechExoError) -> Any:
        return Response(log.mask(f"{error}\n"), 503, mimetype="text/plain")

    @app.server.errorhandler(Exception)
    def unexpected(error: Exception) -> Any:
        _logger.error("%s could not be answered", request.path, exc_info=error)
        return Response("This could not be answered; see the log of exo dash.\n", 500, mimetype="text/plain")
