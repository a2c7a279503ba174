"""The Dash application: the frame round every page, the router and the watch for news on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, clientside_callback, dcc, html, no_update

from mech_exo.domain.errors import MechExoError
from mech_exo.reporting.dashboard.pages import Page, pages
from mech_exo.reporting.dashboard.parts import empty
from mech_exo.utils import log

if TYPE_CHECKING:
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.utils.dashboard_settings import DashboardConfig

NAME = "Mech-Exo"


def create_app(reader: Reader, settings: DashboardConfig) -> Dash:
    """The application over ``reader``, to be served by :func:`mech_exo.reporting.dashboard.server.serve`."""
    every = pages()
    app = Dash("mech_exo.reporting.dashboard", title=NAME, update_title="", suppress_callback_exceptions=True, pages_folder="",
               use_pages=False, enable_mcp=False, add_log_handler=False)  # fmt: skip
    app.layout = frame(every, settings)
    _route(app, reader, {page.path: page for page in every})
    _watch(app, reader)
    for page in every:
        if page.register is not None:
            page.register(app, reader)
    return app


def frame(every: tuple[Page, ...], settings: DashboardConfig) -> Any:
    """Head, menu and the place of the page."""
    links = [dmc.NavLink(label=page.title, href=page.path, active="exact", id=f"nav-{page.icon}") for page in every]
    head = dmc.Group(
        [
            dmc.Burger(id="burger", size="sm", hiddenFrom="sm", opened=False, **{"aria-label": "Menu"}),
            html.Span(NAME, className="name"),
            html.Button("Dark or light", id="theme-toggle", className="toggle", type="button"),
        ],
        h="100%", px="md", justify="space-between",
    )  # fmt: skip
    shell = dmc.AppShell(
        [
            dmc.AppShellHeader(head),
            dmc.AppShellNavbar(links, p="xs"),
            dmc.AppShellMain(html.Main(html.Div(id="page"), id="main")),
        ],
        id="shell", header={"height": 52}, padding="md",
        navbar={"width": 200, "breakpoint": "sm", "collapsed": {"mobile": True}},
    )  # fmt: skip
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="stamp"),
            dcc.Store(id="theme", storage_type="local", data="light"),
            dcc.Interval(id="tick", interval=int(settings.refresh_seconds * 1000)),
            shell,
        ],
        id="mantine",
    )


def _route(app: Dash, reader: Reader, by_path: dict[str, Page]) -> None:
    @app.callback(Output("page", "children"), Input("url", "pathname"), Input("url", "search"), Input("stamp", "data"))
    def show(path: str | None, search: str | None, _stamp: str | None) -> Any:
        page = by_path.get(path or "/")
        if page is None:
            return empty("There is no such page.", "")
        return shown(page, reader, search)

    @app.callback(
        Output("shell", "navbar"), Input("burger", "opened"), State("shell", "navbar"), prevent_initial_call=True
    )
    def menu(opened: bool, navbar: dict[str, Any]) -> dict[str, Any]:
        return navbar | {"collapsed": {"mobile": not opened}}

    clientside_callback(
        "(clicks, theme) => clicks ? (theme === 'dark' ? 'light' : 'dark') : theme",
        Output("theme", "data"), Input("theme-toggle", "n_clicks"), State("theme", "data"), prevent_initial_call=True,
    )  # fmt: skip
    clientside_callback(
        "theme => { document.documentElement.dataset.agThemeMode = theme; return theme; }",
        Output("mantine", "forceColorScheme"), Input("theme", "data"),
    )  # fmt: skip


def shown(page: Page, reader: Reader, search: str | None) -> Any:
    """The page for an address; what went wrong as an empty state with its remedy."""
    query = dict(parse_qsl((search or "").removeprefix("?")))
    try:
        return page.layout(reader, query)
    except MechExoError as error:
        return empty(error.message, error.remedy or "")
    except Exception:
        log.get(__name__).exception("page %s could not be made", page.path)
        return empty("This page could not be made; see the log.", "")


def _watch(app: Dash, reader: Reader) -> None:
    @app.callback(Output("stamp", "data"), Input("tick", "n_intervals"), State("stamp", "data"))
    def news(_ticks: int | None, before: str | None) -> Any:
        now = str(reader.stamp())
        return no_update if now == before else now
