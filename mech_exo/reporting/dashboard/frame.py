"""The frame round every page: head, menu, banner, and the document it is sent in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
from dash import dcc, html

from mech_exo.reporting.dashboard.charts import theme
from mech_exo.reporting.dashboard.parts import badge, command

if TYPE_CHECKING:
    from mech_exo.reporting.dashboard.condition import Condition
    from mech_exo.reporting.dashboard.pages import Page
    from mech_exo.utils.dashboard_settings import DashboardConfig

NAME = "Mech-Exo"
DOCUMENT = """<!DOCTYPE html>
<html lang="en">
    <head>
        {%metas%}
        <meta name="color-scheme" content="light dark">
        <meta name="robots" content="noindex">
        <title>{%title%}</title>
        <link rel="icon" type="image/svg+xml" href="/assets/favicon.svg">
        {%css%}
        <script src="/assets/early.js"></script>
    </head>
    <body>
        <a class="skip" href="#main">Skip to the page</a>
        <noscript>These pages need JavaScript. Without it: exo report daily --open</noscript>
        {%app_entry%}
        <footer>{%config%}{%scripts%}{%renderer%}</footer>
    </body>
</html>"""
WAITING = '<div id="react-entry-point"><div class="_dash-loading skeleton">Mech-Exo: reading the ledger …</div></div>'
THEME = {
    "fontFamily": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "primaryColor": "blue",
    "primaryShade": {"light": 8, "dark": 4},
    "defaultRadius": "md",
    "respectReducedMotion": True,
    "autoContrast": True,
}


def frame(every: Sequence[Page], settings: DashboardConfig, stamp: str, *, login: bool) -> Any:
    """Everything but the page. ``login``: a password is set, so there is a way out."""
    links = [
        dmc.NavLink(
            label=page.title, href=page.path, active="exact", id=f"nav-{page.icon}", className="nav-link",
            leftSection=html.Span(className=f"icon icon-{page.icon}"),
        )
        for page in every
    ]  # fmt: skip
    foot = html.Div(
        ["Read-only. To stop what adds risk:", html.Br(), command("exo halt --reason '…'"), *([_way_out()] if login else [])],
        className="nav-foot",
    )
    main = [
        html.Div(
            [html.B("Connection lost."), "What is shown may be old. Is exo dash still running?"],
            id="lost", className="banner tone-bad", role="alert", hidden=True,
        ),
        html.Div(id="banner", role="status"),
        html.Div(id="trouble", role="alert"),
        html.Div(id="page"),
        html.Div("Reading the ledger …", id="waiting", className="empty"),
    ]  # fmt: skip
    shell = dmc.AppShell(
        [
            dmc.AppShellHeader(_head(), className="shell-header"),
            dmc.AppShellNavbar([*links, foot], p="xs", className="shell-navbar", **{"aria-label": "Pages"}),
            dmc.AppShellMain(main, id="main", attributes={"root": {"tabIndex": -1}}),
        ],
        id="shell", className="shell", header={"height": 52}, padding="md",
        navbar={"width": 244, "breakpoint": "sm", "collapsed": {"mobile": True}},
    )  # fmt: skip
    stores = [
        dcc.Location(id="url", refresh="callback-nav"),
        dcc.Store(id="stamp", data=stamp),
        dcc.Store(id="theme", data=theme()),
        dcc.Store(id="titles", data={page.path: page.title for page in every}),
        dcc.Store(id="made"),
        dcc.Store(id="titled"),
        dcc.Store(id="heard"),
        dcc.Store(id="silent"),
        dcc.Interval(id="tick", interval=int(settings.refresh_seconds * 1000)),
    ]
    return dmc.MantineProvider([*stores, shell], id="mantine", forceColorScheme=theme(), theme=THEME)


def banner(now: Condition) -> list[Any]:
    """What is wrong, each with the command that mends it."""
    return [
        html.Div([html.B(problem.said), *([command(problem.command)] if problem.command else [])], className=f"banner tone-{problem.tone}")
        for problem in now.problems
    ]


def status(now: Condition) -> list[Any]:
    """The head's words: whether it is real, whose book, as of when, and whether it is well."""
    shown: list[Any] = [badge(now.label, "warn")] if now.label else []
    shown += [html.Span(now.book, className="wide-only")] if now.book else []
    if now.booked is not None:
        shown.append(html.Span([html.Span("booked ", className="wide-only"), html.Time(now.booked.isoformat())]))
    if now.halt.halted:
        shown.append(badge("HALTED", "bad"))
    elif now.well:
        shown.append(badge("up to date", "good"))
    elif now.readable:
        shown.append(badge("not booked yet" if now.behind is None else f"{now.behind} behind", "warn"))
    else:
        shown.append(badge("unreadable", "bad"))
    return shown


def _head() -> Any:
    burger = dmc.Burger(id="burger", size="sm", hiddenFrom="sm", opened=False, **{"aria-label": "Menu"})
    toggle = html.Button(
        html.Span(className="icon icon-theme"), id="theme-toggle", className="toggle", type="button", **{"aria-label": "Light or dark"}
    )
    return html.Div([burger, html.Span(NAME, className="name"), html.Div(id="status", className="status"), toggle], className="head")


def _way_out() -> Any:
    return html.Form(html.Button("Log out", className="mini", type="submit"), action="/logout", method="POST", className="way-out")
