"""Orders and execution: every order with what became of it and what it cost, what limits withheld, and the whole way of one order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
import numpy as np
from dash import Input, Output, State, html, no_update

from mech_exo.domain.errors import MechExoError
from mech_exo.performance import figures
from mech_exo.performance.kpi import MAX_COST_SHARE
from mech_exo.reporting.dashboard.account_data import Booked, booked, night
from mech_exo.reporting.dashboard.address import parsed, search_of
from mech_exo.reporting.dashboard.choosing import LEVEL, ONE, drawer, plain_table, steer_row, told
from mech_exo.reporting.dashboard.orders_data import Way, chosen, executions, explained, of_gross
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import badge, card, chart, column, command, empty, endless, serve_rows, stack, tile, tiles
from mech_exo.reporting.drift.values import FILE, LABELS, Cause, headline, load
from mech_exo.reporting.text import money, percent, ratio, whole, words
from mech_exo.utils.log import mask_accounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dash import Dash

    from mech_exo.execution.tracker import CostSummary
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.reporting.night import NightReport

PATH, TABLE = "/orders", "orders-rows"
COLUMNS = [
    column("symbol", "Symbol", pinned="left", width=96, flex=0),
    column("session", "For", "date", width=112, flex=0),
    column("shares", "Shares", "whole"),
    column("filled", "Filled", "whole"),
    column("state", "State", minWidth=96),
    column("reason", "Why", minWidth=116),
    column("type", "Type", minWidth=146),
    column("price", "Decided at", "price", minWidth=104),
    column("fill_price", "Filled at", "price", minWidth=96),
    column("delay", "Delay, USD", "signed", minWidth=106),
    column("impact", "Slippage, USD", "signed", minWidth=122),
    column("fees", "Fees, USD", "money", minWidth=100),
    column("shortfall", "Shortfall, USD", "signed", minWidth=122),
    column("slippage_bps", "Slippage, bps", "ratio", minWidth=120),
    column("shortfall_bps", "Shortfall, bps", "ratio", minWidth=120),
    column("stop", "Stop", "price", **LEVEL),
    column("target", "Target", "price", **LEVEL),
    column("decided", "Decided", "date", minWidth=108),
    column("note", "Said", minWidth=200),
    column("key", "Order", minWidth=260),
]
STATES = ("new", "sending", "live", "filled", "cancelled", "rejected", "expired", "denied", "unknown", "abandoned")
PARTS = (("Delay, decision to arrival", "delay"), ("Slippage, arrival to fill", "impact"), ("Fees", "fees"), ("Shortfall", "shortfall"))
READING = (
    "Positive is a cost. A row opens the way of its order: raw factor to fill. Blank: not filled yet, or a resting level, whose price "
    "no decision named. Unknown: one of the prices is not known."
)
MEASURED = "Perold's implementation shortfall: delay, slippage and fees add up to it, over the fills of which every price is known."


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``since``, ``until``, ``state``, ``symbol``, ``legs``, ``session``, ``book`` and ``explain`` of the address."""
    known = booked(reader, query)
    session = known.session(query)
    made = executions(reader, known.book)
    rows = chosen(made.rows, query)
    told_of = night(reader, known.book, session)
    asked = query.get("explain", "")
    return stack(
        _filters(known, query),
        _summary(reader, known, query, rows),
        card("Orders", endless(TABLE, COLUMNS, getRowId="params.data.key", dashGridOptions=ONE) if rows else _none(query), READING),
        html.Div(
            [
                card("What execution cost", _costs(made.summary(_day(query, "since"), _day(query, "until")), bars=made.bars), MEASURED),
                card(f"Withheld at the close of {session}", _withheld(told_of), "Asked and allowed as the limit states them."),
            ],
            className="columns",
        ),
        card("Live beside its replay", _drift(reader, known)),
        drawer(TABLE, "Why", _explained(reader, known, asked, session) if asked else None, opened=bool(asked)),
    )


def _none(query: Query) -> Any:
    if any(query.get(name) for name in ("since", "until", "state", "symbol")):
        return empty("No order is of this kind in these sessions: widen the filters above.")
    return empty("No order was made yet: a decision makes them.", "exo plan")


def _filters(known: Booked, query: Query) -> Any:
    span = [day.isoformat() if day else None for day in (_day(query, "since"), _day(query, "until"))]
    day = dmc.DatePickerInput(
        id="orders-span", type="range", value=span, valueFormat="YYYY-MM-DD", placeholder="all sessions", clearable=True, size="xs", w=220,
        allowSingleDateInRange=True, maxDate="2049-12-31", minDate=known.sessions[0].isoformat(), **{"aria-label": "Sessions"},
    )  # fmt: skip
    state = dmc.Select(
        id="orders-state", data=list(STATES), value=query.get("state") or None, placeholder="any state", clearable=True, size="xs", w=140,
        **{"aria-label": "State"},
    )  # fmt: skip
    legs = dmc.Checkbox(id="orders-legs", label="resting stops and targets too", checked=query.get("legs") == "1", size="xs", radius="sm")
    symbol = dmc.TextInput(
        id="orders-symbol", value=query.get("symbol", ""), placeholder="any symbol", size="xs", w=120, debounce=400,
        **{"aria-label": "Symbol"},
    )  # fmt: skip
    return html.Div([day, symbol, state, legs], className="choosing")


def _summary(reader: Reader, known: Booked, query: Query, rows: Sequence[Mapping[str, Any]]) -> Any:
    filled = sum(row["state"] == "filled" for row in rows)
    refused = sum(row["state"] in ("rejected", "denied", "expired", "cancelled", "abandoned") for row in rows)
    doubtful = sum(row["state"] in ("unknown", "sending") for row in rows)
    waiting = len(rows) - filled - refused - doubtful
    paid = of_gross(reader, known.book, _day(query, "since"), _day(query, "until"))
    share, tone = percent(paid.share, 1), "good" if paid.share <= MAX_COST_SHARE else "bad"
    if not paid.gross > 0.0:
        share, tone = "not meaningful", ""
    of = f"{money(paid.total, 0)} of {money(paid.gross, 0)} USD gross P&L; at most {percent(MAX_COST_SHARE, 0)}"
    age = f"to {min(known.sessions[-1], _day(query, 'until') or known.sessions[-1])}"
    return tiles(
        tile("Orders", whole(len(rows)), "as filtered", age),
        tile("Filled", whole(filled), f"{whole(waiting)} waiting", age),
        tile("Ended unfilled", whole(refused), "denied, rejected, expired, cancelled", age),
        tile("In doubt", whole(doubtful), "nothing adds risk until they are settled" if doubtful else "", age, "bad" if doubtful else ""),
        tile("Costs of gross P&L", share, of, age, tone),
    )


def _costs(total: CostSummary, *, bars: bool) -> Any:
    if not total.fills:
        return empty("Nothing filled in these sessions.")
    usd = (money(getattr(total, name)) if total.complete else "unknown" for _, name in PARTS)
    body = [(label, cell, ratio(getattr(total, f"{name}_bps"), 1)) for (label, name), cell in zip(PARTS, usd, strict=True)]
    slippage = f"slippage {money(total.slippage)} USD, {ratio(total.slippage_bps, 1)} bps"
    said = [f"{total.fills} fills, {money(total.traded, 0)} USD traded; of all: {slippage}, commission {money(total.commission)} USD."]
    said += [f"{count} {what}." for count, what in (
        (total.undecided, "fills without a decision price (resting levels)"), (total.unarrived, "without an arrival price"),
        (total.unreported, "without a commission yet"),
    ) if count]  # fmt: skip
    said += [] if bars else ["Nothing is published: opens and splits are unknown."]
    return [plain_table(("Part", "USD", "Bps"), body, (1, 2)), html.P(" ".join(said), className="card-note")]


def _drift(reader: Reader, known: Booked) -> Any:
    try:
        kept = reader.once(("orders", FILE), lambda house, _: load(house.reports))
    except MechExoError as error:
        return empty(error.message, error.remedy or "")
    if kept is None or kept.book != mask_accounts(str(known.book)):
        return empty("The account has not been compared with its replay yet.", "exo report drift")
    body = [(LABELS[cause], money(getattr(kept.parts, cause.value))) for cause in Cause]
    body += [("Residual", money(kept.parts.residual)), ("Drift", money(kept.drift))]
    made = f"{headline(kept)}. Made {kept.made:%Y-%m-%d %H:%M} UTC."
    return [plain_table(("Cause", "USD"), body, (1,)), html.P(" ".join((made, *kept.notes)), className="card-note")]


def _withheld(told_of: NightReport) -> Any:
    if not told_of.decided:
        return empty("This session was booked without a decision.", f"exo plan --date {told_of.session}")
    rows = [(words(line.code), line.who or "whole book", ratio(line.value, 4), ratio(line.limit, 4)) for line in told_of.withheld]
    cuts = [(words(cut.by), cut.symbol, f"{cut.wanted:,} shares", f"{cut.shares:,} shares") for cut in told_of.cuts]
    if not rows and not cuts:
        return empty("No limit cut or denied anything.")
    return plain_table(("Limit", "Who", "Asked", "Allowed"), [*rows, *cuts], (2, 3))


def _explained(reader: Reader, known: Booked, asked: str, session: date) -> Any:
    """The drawer: raw factor → … → fill."""
    try:
        way = explained(reader, known.book, asked, session)
    except MechExoError as error:
        return told(error)
    return stack(
        html.Div([badge(way.symbol, "info"), html.Span(f"at the close of {way.session}", className="tile-age")], className="choosing"),
        html.P(way.verdict, className="verdict"),
        *_score(way),
        card("Size, limits, orders, fills", html.Ol([html.Li(line.strip()) for line in way.story], className="story")),
        card("What its fills cost", _fills(way)),
        html.P(["The same on the command line: ", command(f"exo why {way.symbol} --date {way.session}")], className="card-note"),
    )


def _score(way: Way) -> tuple[Any, ...]:
    if way.score is None:
        return (card("Score", empty("It was not scored that night.")),)
    total = sum(step.contribution for step in way.steps if step.contribution is not None)
    body = [
        (words(step.factor), ratio(step.raw, 4), ratio(step.normalised, 4), ratio(step.weight, 1), ratio(step.contribution, 4))
        for step in way.steps
    ]
    body.append(("Sum = score", "", "", "", ratio(total, 4)))
    parts = np.array([np.nan if step.contribution is None else step.contribution for step in way.steps])
    drawn = figures.waterfall_figure([words(step.factor) for step in way.steps], parts, "score")
    head = f"Score {ratio(way.score, 4)} · rank {way.rank} of {way.scored} · coverage {percent(way.coverage, 0)}"
    return (
        card(head, plain_table(("Factor", "Raw", "Normalised", "Weight", "Contribution"), body, (1, 2, 3, 4))),
        chart("orders-waterfall", drawn, "Contributions laid end to end: they sum to the score."),
    )


def _fills(way: Way) -> Any:
    if not way.costs:
        return empty("None of its orders has filled.")
    head = ("Session", "Shares", "Decision", "Arrival", "Fill", "Delay", "Slippage", "Fees", "Shortfall, bps")
    body = [
        (
            str(cost.session), f"{cost.shares:+,}".replace("-", "−"), money(cost.decision), money(cost.arrival), money(cost.price, 4),
            money(cost.delay), money(cost.impact), money(cost.fees), ratio(cost.bps(cost.shortfall), 1),
        )
        for cost in way.costs
    ]  # fmt: skip
    return plain_table(head, body, tuple(range(1, len(head))))


def _day(query: Query, name: str) -> date | None:
    try:
        return date.fromisoformat(query.get(name, ""))
    except ValueError:
        return None


def rows_of(reader: Reader, query: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """The rows of the table for an address."""
    book = booked(reader, query).book
    asked = tuple(query.get(name, "") for name in ("since", "until", "state", "symbol", "legs"))
    return reader.once(("order rows", book, asked), lambda _house, _ledger: chosen(executions(reader, book).rows, query))


def register(app: Dash, reader: Reader) -> None:
    """What is chosen goes into the address; rows are fetched as they are scrolled."""
    steer_row(app, TABLE, "explain")
    serve_rows(app, reader, TABLE, COLUMNS, rows_of)

    @app.callback(
        Output("url", "search", allow_duplicate=True), Input("orders-span", "value"), Input("orders-symbol", "value"),
        Input("orders-state", "value"), Input("orders-legs", "checked"), State("url", "search"), prevent_initial_call=True,
    )  # fmt: skip
    def steer(span: list[str | None] | None, symbol: str | None, state: str | None, legs: bool | None, search: str | None) -> Any:
        since, until = (*(span or ()), None, None)[:2]
        if since and not until:  # the second day of the range is still to be chosen
            return no_update
        query = parsed(search)
        new = search_of(
            query, since=since, until=until, symbol=(symbol or "").strip().upper() or None, state=state, legs="1" if legs else None
        )
        return no_update if new == search_of(query) else new


PAGE = Page(PATH, "Orders & execution", "orders", layout, register)
