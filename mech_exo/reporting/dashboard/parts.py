"""What every page is made of: tiles, cards, tables, charts, badges and empty states. Values are text, never markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import dcc, html

from mech_exo.reporting.text import UNKNOWN

if TYPE_CHECKING:
    import plotly.graph_objects as go

Row = Mapping[str, Any]
TONES = {"good": "teal", "bad": "red", "warn": "orange", "": "gray", "info": "blue"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def tile(title: str, value: object, note: str = "", age: str = "", tone: str = "") -> Any:
    """One figure: its name, its value as text, what it means and as of when. ``tone``: "good", "bad", "warn", "info" or ""."""
    parts = [html.Div(title, className="tile-title"), html.Div(_text(value), className="tile-value")]
    parts += [html.Div(note, className="tile-note")] if note else []
    parts += [html.Div(age, className="tile-age")] if age else []
    return html.Div(parts, className=f"tile tone-{tone or 'plain'}")


def tiles(*each: Any) -> Any:
    """Tiles side by side, as many a line as there is room for."""
    return html.Div(list(each), className="tiles")


def card(title: str, children: Any, note: str = "") -> Any:
    """A part of a page under its own heading."""
    head: list[Any] = [html.H2(title, className="card-title")]
    head += [html.P(note, className="card-note")] if note else []
    return html.Section([*head, html.Div(children)], className="card")


def table(id: str, columns: Sequence[Row], rows: Sequence[Row], *, height: int | None = None, **options: Any) -> Any:  # noqa: A002
    """Rows as AG Grid: sorted, filtered and resized by its head, exported as CSV.

    ``columns`` are AG Grid's own definitions (``field``, ``headerName``, ``type`` "numericColumn" …); ``options`` go to the grid.
    """
    tall = height is not None or len(rows) > 20
    grid = {"theme": "themeQuartz", "animateRows": False, "enableCellTextSelection": True, "ensureDomOrder": True}
    grid |= {} if tall else {"domLayout": "autoHeight"}
    return dag.AgGrid(
        id=id,
        columnDefs=[dict(column) for column in columns],
        rowData=[dict(row) for row in rows],
        defaultColDef={"sortable": True, "filter": True, "resizable": True, "minWidth": 90},
        dashGridOptions=grid | options.pop("dashGridOptions", {}),
        style={"height": f"{height or 520}px"} if tall else {"height": None},
        **options,
    )


def chart(id: str, figure: go.Figure, caption: str = "") -> Any:  # noqa: A002
    """A Plotly figure in the page's light or dark, exported as PNG by its own button; a new figure keeps zoom and selection."""
    figure.update_layout(uirevision=id, autosize=True)
    graph = dcc.Graph(id=id, figure=figure, responsive=True, config={"displaylogo": False, "toImageButtonOptions": {"filename": id}})
    return html.Figure([graph, html.Figcaption(caption, className="caption")], className="chart")


def empty(said: str, command: str = "") -> Any:
    """Nothing to show: why, and the command that changes it."""
    parts: list[Any] = [html.P(said)]
    parts += [html.Code(command, className="command")] if command else []
    return html.Div(parts, className="empty", role="note")


def badge(state: str, tone: str = "") -> Any:
    """A word in a coloured frame: the word says it, the colour repeats it."""
    return html.Span(state, className=f"badge tone-{tone or 'plain'}")


def unknown() -> Any:
    """What stands for a value nobody knows."""
    return html.Span(UNKNOWN, className="unknown")


def stack(*children: Any) -> Any:
    """Parts of a page under each other."""
    return dmc.Stack(list(children), gap="md")


def _text(value: object) -> Any:
    return unknown() if value is None or value == UNKNOWN else value
