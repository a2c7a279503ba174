"""Plotly's figures in a page: in its light or dark, with buttons for PNG and CSV; a new figure keeps zoom and selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import dcc, html
from flask import has_request_context, request

from mech_exo.performance.figures import style

if TYPE_CHECKING:
    import plotly.graph_objects as go

COOKIE = "mechexo-theme"
"""Where the browser keeps "light" or "dark": charts are coloured here, so the server must be told."""
HEIGHT = 320
CLEAR = "rgba(0,0,0,0)"
DARK = {
    style.INK: "#D5D9DE",
    style.GRID: "#34383D",
    style.GREY: "#9AA4AE",
    style.PALE: "#4A525A",
    style.BLUE: "#4FA3E0",
    "#B9C0C7": "#59616A",
    "rgba(255,255,255,0.8)": "rgba(30,32,35,0.8)",
    style.PAPER: "#1E2023",
}
"""The house's light colours and what they become on a dark ground."""
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "toImage"],
    "showTips": False,
    "responsive": True,
}


def theme() -> str:
    """ "light" or "dark", as the browser that asks has chosen."""
    return "dark" if has_request_context() and request.cookies.get(COOKIE) == "dark" else "light"


def chart(id: str, figure: go.Figure, caption: str = "", *, height: int | None = None) -> Any:  # noqa: A002
    """``figure`` under the id ``id``, ``height`` pixels high (None: its own); ``caption`` says what is seen, also to who cannot see it."""
    tall = height or figure.layout.height or HEIGHT
    buttons = [
        html.Button(
            kind, className="mini", type="button", **{"data-export": kind.lower(), "data-of": id, "aria-label": f"{kind} of {id}"}
        )
        for kind in ("PNG", "CSV")
    ]
    graph = dcc.Graph(id=id, figure=dressed(figure, id), responsive=True, config=CONFIG, style={"height": f"{tall}px"})
    return html.Figure([graph, html.Figcaption([html.Span(caption), html.Span(buttons, className="minis")])], className="chart")


def dressed(figure: go.Figure, id: str) -> dict[str, Any]:  # noqa: A002
    """``figure`` as JSON in the colours of the page, on no ground of its own; zoom and hidden lines are kept under ``id``."""
    made: dict[str, Any] = figure.to_plotly_json()
    if theme() == "dark":
        made = _recoloured(made)
    made["layout"] |= {"uirevision": id, "autosize": True, "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR}
    made["layout"].pop("height", None)
    return made


def _recoloured(value: Any) -> Any:
    if isinstance(value, str):
        return DARK.get(value, value)
    if isinstance(value, dict):
        return {key: _recoloured(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_recoloured(item) for item in value]
    return value
