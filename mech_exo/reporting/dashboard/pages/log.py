"""Log: the ledger's journal as a timeline, each row in full, how alerts were delivered, the chain, and the tail of a log file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import dash_mantine_components as dmc
from dash import Input, Output, State, html, no_update

from mech_exo.domain.errors import MechExoError
from mech_exo.reporting.dashboard.address import parsed, search_of
from mech_exo.reporting.dashboard.choosing import ONE, drawer, plain_table, steer_row, told
from mech_exo.reporting.dashboard.log_data import GROUPS, MOST, Line, chain, deliveries, detail, how_many, lines, sought, tail, verified
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import badge, card, column, command, empty, endless, serve_rows, stack, tile, tiles
from mech_exo.reporting.text import UNKNOWN, whole

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.execution.ledger_journal import Sought
    from mech_exo.execution.rows import VerifyReport
    from mech_exo.reporting.dashboard.reader import Reader

PATH, TABLE = "/log", "log-rows"
STILL: dict[str, Any] = {"sortable": False, "filter": False}
COLUMNS = [
    column("at", "Written, UTC", width=168, flex=0, **STILL),
    column("said", "What", flex=1, minWidth=320, tooltipField="said", **STILL),
    column("kind", "Kind", width=110, flex=0, **STILL),
    column("key", "Row", width=90, flex=0, **STILL),
]
BLOCK = 200
READING = "The newest first; a row opens in full. Text is looked for in all of a row; of decisions and booked sessions in the key alone."


class Journal(Sequence[Mapping[str, Any]]):
    """The rows that are sought, read from the ledger as they are asked for."""

    def __init__(self, reader: Reader, wanted: Sought) -> None:
        self._reader, self._wanted = reader, wanted

    def __len__(self) -> int:
        return how_many(self._reader, self._wanted)

    @overload
    def __getitem__(self, place: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> Any:
        """One row, or those of a slice without a step."""
        if isinstance(place, slice):
            first, last, _ = place.indices(len(self))
            return [_row(line) for line in lines(self._reader, self._wanted, first, max(0, last - first))]
        found = lines(self._reader, self._wanted, place, 1)
        if place < 0 or not found:
            raise IndexError(place)
        return _row(found[0])

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for first in range(0, len(self), BLOCK):
            yield from self[first : first + BLOCK]


def _row(line: Line) -> dict[str, Any]:
    return {"at": f"{line.at:%Y-%m-%d %H:%M:%S}", "kind": line.kind, "said": line.said, "key": str(line.seq)}


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``kind``, ``since``, ``until``, ``text`` and ``row`` of the address."""
    asked = query.get("row", "")
    rows = how_many(reader, sought(query))
    body = endless(TABLE, COLUMNS, getRowId="params.data.key", dashGridOptions=ONE) if rows else _none(reader)
    return stack(
        _chain(reader, rows),
        _filters(query),
        card("Journal", body, READING),
        card("Alerts and their delivery", _deliveries(reader)),
        card("Log file", _tail(reader)),
        drawer(TABLE, "Row of the journal", _detail(reader, asked) if asked else None, opened=bool(asked)),
    )


def _none(reader: Reader) -> Any:
    if chain(reader).rows:
        return empty("No row of the journal is of this kind and says this in these days: widen the filters above.")
    return empty("Nothing is journaled yet.", "exo run --mode paper --date YYYY-MM-DD")


def _chain(reader: Reader, rows: int) -> Any:
    stands = chain(reader)
    when = UNKNOWN if stands.last_at is None else f"{stands.last_at:%Y-%m-%d %H:%M} UTC"
    button = html.Button("Verify the chain now", id="log-verify", type="button", className="mini")
    said = html.Div("Each exo run verifies it before it does anything else; exo ledger verify does, too.", id="log-verified", role="status")
    return stack(
        tiles(
            tile("Rows", whole(stands.rows), f"{whole(rows)} as filtered; the last written", when),
            tile("Last hash", stands.last_hash[:8], f"{stands.last_hash[8:16]}…: each row holds that of the row before", when),
        ),
        html.Div([button, said], className="choosing"),
    )


def _filters(query: Query) -> Any:
    wanted = sought(query)
    chosen = [name for name in query.get("kind", "").split(",") if name in GROUPS]
    kinds = dmc.MultiSelect(
        id="log-kinds", data=list(GROUPS), value=chosen, placeholder="" if chosen else "every kind", clearable=True, size="xs", miw=180,
        **{"aria-label": "Kinds"},
    )  # fmt: skip
    span = [None if day is None else day.isoformat() for day in (wanted.since, wanted.until)]
    days = dmc.DatePickerInput(
        id="log-span", type="range", value=span, valueFormat="YYYY-MM-DD", placeholder="all days", clearable=True, size="xs", w=220,
        allowSingleDateInRange=True, **{"aria-label": "Days"},
    )  # fmt: skip
    look = {"aria-label": "Text"}
    text = dmc.TextInput(id="log-text", value=wanted.text, placeholder="text", size="xs", w=180, debounce=400, **look)
    return html.Div([kinds, days, text], className="choosing")


def _detail(reader: Reader, asked: str) -> Any:
    found = detail(reader, int(asked)) if asked.isdecimal() and len(asked) < 19 else None
    if found is None:
        return empty(f"The journal has no row {asked[:20]}.")
    at = f"written {found.line.at:%Y-%m-%d %H:%M:%S} UTC"
    return stack(
        html.Div([badge(found.line.kind, "info"), html.Span(f"row {found.line.seq}, {at}", className="tile-age")], className="choosing"),
        html.P(found.line.said, className="verdict"),
        plain_table(("", ""), [("Key", found.key), ("Hash", found.hash)]),
        html.Pre(found.text, className="json", tabIndex=0),
        *([html.P(f"Cut after {whole(MOST)} characters.", className="card-note")] if found.cut else []),
    )


def _deliveries(reader: Reader) -> Any:
    try:
        found = deliveries(reader)
    except MechExoError as error:
        return told(error)
    if not found:
        return empty("No alert was posted yet.", "exo alert test")
    body = [
        (f"{one.at:%Y-%m-%d %H:%M}", badge(one.severity, one.tone), html.Span(one.title, title=one.text), one.state) for one in found
    ]
    more = html.P(["The latest. All of them: ", command("exo alert list")], className="card-note")
    return [plain_table(("Posted, UTC", "Severity", "What", "Delivery"), body), more]


def _tail(reader: Reader) -> Any:
    found = tail(reader.home)
    if found is None:
        return empty("There is no log file in this workspace: commands write to the terminal, and cron mails or keeps what they write.")
    path, said = found
    return [html.P(str(path.relative_to(reader.home)), className="card-note"), html.Pre("\n".join(said), className="json", tabIndex=0)]


def _verdict(report: VerifyReport, at: str) -> Any:
    if report.sound:
        return [badge("sound", "good"), f" {whole(report.rows)} rows, last hash {report.last_hash[:12]}, verified {at}"]
    faults = html.Ul([html.Li(fault) for fault in report.faults])
    return [badge("damaged", "bad"), f" verified {at}: ", faults, command("exo ledger restore BACKUP")]


def register(app: Dash, reader: Reader) -> None:
    """What is chosen goes into the address; rows are fetched as they are scrolled; verifying is asked for, never done by the way."""
    steer_row(app, TABLE, "row")
    serve_rows(app, reader, TABLE, COLUMNS, lambda place, query: Journal(place, sought(query)))

    @app.callback(
        Output("url", "search", allow_duplicate=True), Input("log-kinds", "value"), Input("log-span", "value"), Input("log-text", "value"),
        State("url", "search"), prevent_initial_call=True,
    )  # fmt: skip
    def steer(kinds: list[str] | None, span: list[str | None] | None, text: str | None, search: str | None) -> Any:
        since, until = (*(span or ()), None, None)[:2]
        if since and not until:  # the second day of the range is still to be chosen
            return no_update
        query = parsed(search)
        new = search_of(query, kind=",".join(kinds or ()), since=since, until=until, text=(text or "").strip())
        return no_update if new == search_of(query) else new

    @app.callback(Output("log-verified", "children"), Input("log-verify", "n_clicks"), prevent_initial_call=True)
    def verify(clicks: int | None) -> Any:
        if not clicks:
            return no_update
        try:
            report, at = verified(reader)
        except MechExoError as error:
            return told(error)
        return _verdict(report, f"{at:%Y-%m-%d %H:%M:%S} UTC")


PAGE = Page(PATH, "Log", "log", layout, register)
