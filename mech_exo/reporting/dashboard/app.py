"""The Dash application: the router, the watch for news on disk, and what becomes of errors."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, Output, State, html, no_update, set_props
from dash.exceptions import PreventUpdate

from mech_exo.domain.errors import MechExoError
from mech_exo.reporting.dashboard import guard, routes
from mech_exo.reporting.dashboard.address import parsed
from mech_exo.reporting.dashboard.condition import condition
from mech_exo.reporting.dashboard.frame import DOCUMENT, NAME, WAITING, banner, frame, status
from mech_exo.reporting.dashboard.pages import Page, pages
from mech_exo.reporting.dashboard.parts import empty
from mech_exo.utils import log
from mech_exo.utils.calendar import latest_session

if TYPE_CHECKING:
    from mech_exo.reporting.dashboard.auth import Access
    from mech_exo.reporting.dashboard.guard import Door
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.utils.dashboard_settings import DashboardConfig

DEVELOPING = ("ui", "props_check", "serve_dev_bundles", "hot_reload", "prune_errors", "validate_callbacks")
PATIENCE = 20.0
CHANGES = 2.0
"""Seconds between two looks at whether what is on disk changed."""
LOOKS = 2
"""Looks after which the store is let go of: what is read of other sessions fills DuckDB's memory as well."""
UNEXPECTED = "This page could not be made; see the log of exo dash."
_logger = log.get(__name__)


class _Dash(Dash):  # type: ignore[misc]
    """Dash without what these pages do not use: its own tables, and its word for "wait"."""

    def interpolate_index(self, scripts: str = "", **parts: str) -> str:
        """The document, without the scripts that nothing here needs."""
        needed = "\n".join(line for line in scripts.splitlines() if "/dash_table/" not in line)
        return str(super().interpolate_index(**parts | {"scripts": needed, "app_entry": WAITING}))


def create_app(reader: Reader, settings: DashboardConfig, access: Access | None = None, door: Door | None = None) -> Dash:
    """The application over ``reader``, to be served by :func:`mech_exo.reporting.dashboard.server.run`.

    ``access`` says who may look (None: everybody who gets so far), ``door`` under which names (None: loopback ones).
    """
    latest_session(reader.clock())  # imports pandas, if at all, before any thread does: Plotly looks into a half imported one, and fails
    every = pages()
    app = _Dash(
        "mech_exo.reporting.dashboard", title=NAME, update_title="", index_string=DOCUMENT, assets_ignore=r"early\.js",
        suppress_callback_exceptions=True, use_pages=False, pages_folder="", serve_locally=True, compress=False, assets_external_path="",
        requests_pathname_prefix="/", routes_pathname_prefix="/", include_assets_files=True, enable_mcp=False, add_log_handler=False,
        on_error=_failed,
    )  # fmt: skip
    app.server.debug = False  # whatever FLASK_DEBUG says, and DASH_UI and its like
    app._dev_tools.update(dict.fromkeys(DEVELOPING, False))
    login = access is not None and access.locked
    app.layout = lambda: frame(every, settings, str(reader.stamp()), login=login)
    _route(app, reader, {page.path: page for page in every})
    _watch(app, reader)
    _look(app)
    for page in every:
        if page.register is not None:
            page.register(app, reader)
    routes.add(app, reader, {page.path for page in every}, locked=login)
    guard.protect(app, access, {page.path for page in every}, door)
    return app


def shown(page: Page, reader: Reader, query: Mapping[str, str]) -> Any:
    """The page for a state, all of it of one moment; what went wrong as an empty state with its remedy."""
    try:
        body = reader.together(lambda: page.layout(reader, query))
    except MechExoError as error:
        body = empty(error.message, error.remedy or "")
    except Exception:  # the edge: a page must not take the others down
        _logger.exception("the page %s could not be made", page.path)
        body = empty(UNEXPECTED)
    return [html.H1(page.title, id="heading"), html.Div(body, id=f"{page.icon}-body")]


@contextmanager
def warmed(reader: Reader) -> Iterator[None]:
    """While the block runs, make every page, the first one first, in a thread of its own: at once, so that the first visitor need not wait
    for what is imported and compiled, and anew when something on disk changed, so that nobody waits for what a night booked. In between the
    store is let go of now and then. At its end the page being made is finished, for at most ``PATIENCE`` seconds.
    """
    ended = threading.Event()

    def make() -> None:
        before = None
        for look in itertools.count(1):
            if ended.is_set():
                return
            now = reader.stamp()
            if now != before:
                _make_all(reader, ended)
            elif look % LOOKS == 0:
                reader.rest()
            before = now
            ended.wait(CHANGES)

    thread = threading.Thread(target=make, name="warm", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE)


def _make_all(reader: Reader, ended: threading.Event) -> None:
    for page in pages():
        if ended.is_set():
            return
        shown(page, reader, {})
    reader.rest()


def _route(app: Dash, reader: Reader, by_path: Mapping[str, Page]) -> None:
    @app.callback(
        Output("made", "data"), Input("url", "pathname"), Input("url", "search"), Input("stamp", "data"), Input("theme", "data")
    )
    def show(path: object, search: object, _stamp: object, _theme: object) -> Any:
        page = by_path.get(str(path or "/"))
        if page is None:
            return {"path": "", "page": [html.H1("No such page", id="heading"), empty("There is no page at this address.")]}
        return {"path": page.path, "page": shown(page, reader, parsed(search))}

    app.clientside_callback(ClientsideFunction("exo", "place"), Output("page", "children"), Input("made", "data"))


def _watch(app: Dash, reader: Reader) -> None:
    @app.callback(
        Output("stamp", "data"), Output("banner", "children"), Output("status", "children"), Output("heard", "data"),
        Input("tick", "n_intervals"), State("stamp", "data"),
    )  # fmt: skip
    def news(ticks: object, before: object) -> Any:
        now, state = str(reader.stamp()), condition(reader)
        return no_update if now == before else now, banner(state), status(state), ticks

    app.clientside_callback(ClientsideFunction("exo", "heard"), Output("silent", "data"), Input("heard", "data"), State("tick", "interval"))


def _look(app: Dash) -> None:
    """What the browser does by itself."""
    once = {"prevent_initial_call": True}
    app.clientside_callback(
        ClientsideFunction("exo", "toggle"), Output("theme", "data"), Input("theme-toggle", "n_clicks"), **once
    )
    app.clientside_callback(ClientsideFunction("exo", "wear"), Output("mantine", "forceColorScheme"), Input("theme", "data"))
    app.clientside_callback(
        ClientsideFunction("exo", "burger"), Output("shell", "navbar"), Input("burger", "opened"), State("shell", "navbar"), **once
    )
    app.clientside_callback(ClientsideFunction("exo", "shut"), Output("burger", "opened"), Input("url", "pathname"), **once)
    app.clientside_callback(
        ClientsideFunction("exo", "title"), Output("titled", "data"), Input("url", "pathname"), State("titles", "data")
    )


def _failed(error: Exception) -> Any:
    """A callback failed: the operator is told, the page stays as it is."""
    if isinstance(error, PreventUpdate):
        raise error
    if isinstance(error, MechExoError):
        said = [html.B(error.message), html.Code(error.remedy or "", className="command")]
    else:
        _logger.error("a callback failed", exc_info=error)
        said = [html.B("What was asked could not be answered; see the log of exo dash.")]
    set_props("trouble", {"children": html.Div(said, className="banner tone-bad")})
    return no_update
