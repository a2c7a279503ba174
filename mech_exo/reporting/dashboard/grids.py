"""Tables as AG Grid: sorted and filtered by their heads, reached by keyboard, exported as CSV. Cells are text, never markup."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dash_ag_grid as dag
from dash import Input, Output, State, html, no_update

from mech_exo.reporting.dashboard.address import parsed
from mech_exo.reporting.dashboard.rows import asked_for, csv_lines

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.dashboard.reader import Reader

Row = Mapping[str, Any]
Rows = Callable[["Reader", Mapping[str, str]], Sequence[Row]]
"""The rows of an endless table for the state its address keeps; kept by ``reader.once``, for they are asked for with every scroll."""
NUMBERS = ("money", "price", "percent", "ratio", "whole", "signed", "days")
FEW = 15
"""Rows that are shown whole; more scroll."""
BLOCK = 200
"""Rows of an endless table fetched at a time."""
MOST = 1000
"""Rows of an endless table anybody may ask for at once."""
LINE, HEAD = 34, 44
BESIDE, LETTER = 62, 8
"""Pixels of a head that are not text (its filter and its edges), and of a letter."""
EXPORTS = "mechexo-exports"


def column(field: str, title: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    """A column of AG Grid. ``kind``: text, date, or a number as money, price, percent (of a fraction), ratio, whole, signed or days.

    None in a cell reads "unknown" and sorts last. ``more`` is AG Grid's own: ``pinned``, ``width``, ``flex``, ``hide`` … A column is at
    least as wide as the longest word of its title, which breaks between words.
    """
    made: dict[str, Any] = {"field": field, "headerName": title, "filter": "agTextColumnFilter"}
    made["valueFormatter"] = {"function": f"exo.{kind if kind in NUMBERS else 'text'}(params.value)"}
    made["comparator"] = {"function": "exo.order(valueA, valueB, nodeA, nodeB, isDescending)"}
    if kind in NUMBERS:
        made |= {"type": "rightAligned", "filter": "agNumberColumnFilter", "cellClass": "number"}
    made |= more
    beside, least = (BESIDE, 96) if made["filter"] else (BESIDE // 2, 84)
    needed = beside + LETTER * max(map(len, title.split()))
    return made | {"minWidth": max(needed, least if kind in NUMBERS else 0, more.get("minWidth", 0))}


def table(id: str, columns: Sequence[Row], rows: Sequence[Row], *, height: int | None = None, **options: Any) -> Any:  # noqa: A002
    """``rows`` as a table under the id ``id``; ``columns`` as of :func:`column` or AG Grid's own.

    A few rows are shown whole, more scroll in ``height`` pixels. ``options`` go to the grid (``getRowId``, ``selectedRows``,
    ``dashGridOptions`` …). Above 5,000 rows use :func:`endless`.
    """
    tall = height or (HEAD + LINE * FEW if len(rows) > FEW else None)
    own = options.pop("dashGridOptions", {})
    return _framed(
        dag.AgGrid(
            id=id,
            columnDefs=[dict(each) for each in columns],
            rowData=[dict(row) for row in rows],
            dashGridOptions=_grid() | ({} if tall else {"domLayout": "autoHeight"}) | own,
            style={"height": f"{tall}px" if tall else "auto", "width": "100%"},
            **_plain() | options,
        ),
        id,
    )


def endless(id: str, columns: Sequence[Row], *, height: int = 560, **options: Any) -> Any:  # noqa: A002
    """A table of any number of rows: fetched as it is scrolled, sorted and filtered by the server. See :func:`serve_rows`."""
    own = options.pop("dashGridOptions", {})
    grid = _grid() | {"cacheBlockSize": BLOCK, "maxBlocksInCache": 20, "infiniteInitialRowCount": 1} | own
    return _framed(
        dag.AgGrid(
            id=id, columnDefs=[dict(each) for each in columns], rowModelType="infinite", dashGridOptions=grid,
            className="endless", style={"height": f"{height}px", "width": "100%"}, **_plain() | options,
        ),
        id, "server",
    )  # fmt: skip


def serve_rows(app: Dash, reader: Reader, id: str, columns: Sequence[Row], rows: Rows) -> None:  # noqa: A002
    """Answer what the :func:`endless` table ``id`` asks for, and its CSV; called from a page's ``register``."""
    app.server.extensions.setdefault(EXPORTS, {})[id] = (columns, rows)

    @app.callback(Output(id, "getRowsResponse"), Input(id, "getRowsRequest"), State("url", "search"))
    def answer(request: Mapping[str, Any] | None, search: str | None) -> Any:
        if not isinstance(request, Mapping):
            return no_update
        found = asked_for(rows(reader, parsed(search)), request)
        start = max(0, _whole(request.get("startRow"), 0))
        end = min(start + MOST, max(start, _whole(request.get("endRow"), start + BLOCK)))
        return {"rowData": [dict(row) for row in found[start:end]], "rowCount": len(found)}


def exported(app: Dash, reader: Reader, id: str, query: Mapping[str, str]) -> str | None:  # noqa: A002
    """The whole endless table ``id`` as CSV, filtered and sorted as ``query["grid"]`` (JSON) says; None where there is no such table."""
    known = app.server.extensions.get(EXPORTS, {}).get(id)
    if known is None:
        return None
    columns, rows = known
    try:
        wanted = json.loads(query.get("grid", "{}"))
    except ValueError:
        wanted = {}
    state = {key: value for key, value in query.items() if key != "grid"}
    found = asked_for(rows(reader, state), wanted if isinstance(wanted, Mapping) else {})
    return csv_lines([(str(each["field"]), str(each.get("headerName", each["field"]))) for each in columns], found)


def _framed(grid: Any, id: str, where: str = "") -> Any:  # noqa: A002
    button = html.Button(
        "CSV", className="mini", type="button", **{"data-export": "rows", "data-of": id, "data-where": where, "aria-label": f"CSV of {id}"}
    )
    return html.Div([grid, html.Div(button, className="minis")], className="table")


def _grid() -> dict[str, Any]:
    return {
        "theme": {"function": "exo.theme(themeQuartz)"},
        "animateRows": False,
        "enableCellTextSelection": True,
        "ensureDomOrder": True,
        "rowHeight": LINE,
        "headerHeight": HEAD,
        "suppressColumnMoveAnimation": True,
        "tooltipShowDelay": 400,
    }


def _plain() -> dict[str, Any]:
    head = {"sortable": True, "filter": True, "resizable": True, "wrapHeaderText": True, "minWidth": 90, "flex": 1}
    return {"defaultColDef": head, "dangerously_allow_code": False}


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
