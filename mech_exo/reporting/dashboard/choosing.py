"""What several pages are steered by: the session that is looked at, and the drawer that shows one thing of a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html, no_update

from mech_exo.reporting.dashboard.account_data import Booked, booked
from mech_exo.reporting.dashboard.address import parsed, search_of
from mech_exo.reporting.dashboard.parts import empty

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.domain.errors import MechExoError
    from mech_exo.reporting.dashboard.reader import Reader

Query = Mapping[str, str]
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
ONE = {"rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True}}
"""AG Grid's options of a table whose rows are chosen by a click, or by the space bar."""
LEVEL = {"valueFormatter": {"function": "params.value == null ? 'none' : exo.price(params.value)"}}
"""A column of levels: where there is none, none rests."""


def session_bar(page: str, path: str, known: Booked, session: date, query: Query) -> Any:
    """Which session is shown, the one before and after it, and a calendar to choose any."""
    before, after = known.beside(session)
    picker = dmc.DatePickerInput(
        id=f"{page}-session", value=session.isoformat(), minDate=known.sessions[0].isoformat(), maxDate=known.sessions[-1].isoformat(),
        valueFormat="YYYY-MM-DD", size="xs", w=130, **{"aria-label": "Session"},
    )  # fmt: skip
    return html.Div(
        [
            _step("← before", path, query, before, "the session before"),
            picker,
            _step("after →", path, query, after, "the session after"),
            *([_step("last", path, query, known.sessions[-1], "the last session")] if after is not None else []),
            *([html.Span(known.name, className="tile-age")] if len(known.books) > 1 else []),
        ],
        className="choosing",
    )


def _step(words: str, path: str, query: Query, to: date | None, said: str) -> Any:
    if to is None:
        return html.Span(words, className="step off", **{"aria-hidden": "true"})
    return dcc.Link(words, href=f"{path}{search_of(query, session=to)}", className="step", title=said)


def steer_session(app: Dash, reader: Reader, page: str) -> None:
    """A day chosen in :func:`session_bar` goes into the address."""

    @app.callback(
        Output("url", "search", allow_duplicate=True), Input(f"{page}-session", "value"), State("url", "search"), prevent_initial_call=True
    )
    def choose(day: str | None, search: str | None) -> Any:
        query = parsed(search)
        if not day or day == booked(reader, query).session(query).isoformat():  # the page was drawn with it
            return no_update
        return search_of(query, session=day)


def steer_choice(app: Dash, page: str, name: str) -> None:
    """What is chosen in the field ``name`` of ``page`` goes into the address."""

    @app.callback(
        Output("url", "search", allow_duplicate=True), Input(f"{page}-{name}", "value"), State("url", "search"), prevent_initial_call=True
    )
    def choose(value: str | None, search: str | None) -> Any:
        query = parsed(search)
        return no_update if (value or "") == query.get(name, "") else search_of(query, **{name: value})


def steer_row(app: Dash, table: str, name: str) -> None:
    """The row chosen in ``table`` goes into the address as ``name``; its :func:`drawer` takes it out again when it closes."""

    @app.callback(
        Output("url", "search", allow_duplicate=True), Input(table, "selectedRows"), State("url", "search"), prevent_initial_call=True
    )
    def choose(rows: Any, search: str | None) -> Any:
        query = parsed(search)
        chosen = rows[0].get("key") if isinstance(rows, list) and rows and isinstance(rows[0], dict) else None
        return no_update if chosen is None or str(chosen) == query.get(name) else search_of(query, **{name: chosen})

    @app.callback(
        Output("url", "search", allow_duplicate=True), Input(f"{table}-drawer", "opened"), State("url", "search"), prevent_initial_call=True
    )
    def close(opened: bool | None, search: str | None) -> Any:
        query = parsed(search)
        return no_update if opened or name not in query else search_of(query, **{name: None})

    @app.callback(Output(table, "selectedRows"), Input(f"{table}-drawer", "opened"), prevent_initial_call=True)
    def let_go(opened: bool | None) -> Any:
        """So that the same row can be chosen again."""
        return no_update if opened else []


def drawer(table: str, title: str, children: Any, *, opened: bool) -> Any:
    """What is shown of one row, at the side of the page; closed by its button, by Escape and by a click beside it."""
    return dmc.Drawer(
        children, id=f"{table}-drawer", title=title, opened=opened, position="right", size="min(760px, 100%)", padding="md",
        closeButtonProps={"aria-label": "Close"}, transitionProps={"duration": 0}, overlayProps={"backgroundOpacity": 0.35},
    )  # fmt: skip


def told(error: MechExoError) -> Any:
    """Why something is not shown, and what mends it."""
    return empty(error.message[:1].upper() + error.message[1:], error.remedy or "")


def plain_table(head: Sequence[str], body: Sequence[Sequence[Any]], numbers: Sequence[int] = ()) -> Any:
    """A short table that needs no sorting; ``numbers`` are the columns of figures."""
    look = ["number" if place in numbers else None for place in range(len(head))]
    heads = [html.Th(text, className=kind, scope="col") for text, kind in zip(head, look, strict=True)]
    rows = [html.Tr([html.Td(cell, className=kind or _day(cell)) for cell, kind in zip(row, look, strict=True)]) for row in body]
    return html.Div(html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="plain"), className="scroll", tabIndex=0)


def _day(cell: Any) -> str | None:
    """The class of a date, which is not to be broken at its hyphens."""
    return "day" if isinstance(cell, str) and DAY.match(cell) else None
