"""Positions and stops: what is held, how near it is to its exits, one name in full, and the trades that are closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from dash import dcc, html

from mech_exo.domain.errors import MechExoError
from mech_exo.performance import figures
from mech_exo.reporting.dashboard.account_data import booked, night
from mech_exo.reporting.dashboard.address import search_of
from mech_exo.reporting.dashboard.choosing import LEVEL, ONE, drawer, plain_table, session_bar, steer_row, steer_session, told
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import badge, card, chart, column, empty, endless, serve_rows, stack, table, tile, tiles
from mech_exo.reporting.dashboard.positions_data import Name, NamePrices, Standing, closed_trades, name, standings
from mech_exo.reporting.dashboard.sectors import sectors_at
from mech_exo.reporting.text import money, percent, shares, whole, words
from mech_exo.risk.stops import StopParams

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.execution.rows import FillRow, OrderRow
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.reporting.night import NightReport

PATH, TABLE, CLOSES = "/positions", "positions-held", "positions-closed"
HELD = [
    column("key", "Symbol", pinned="left", width=100, flex=0),
    column("shares", "Shares", "whole", filter=False),
    column("price", "Price", "price", filter=False),
    column("value", "Value, USD", "whole", filter=False),
    column("weight", "Of NAV", "percent", filter=False),
    column("unrealised", "Unrealised, USD", "signed", filter=False),
    column("day_pnl", "Day, USD", "signed", filter=False),
    column("stop", "Stop", "price", filter=False, **LEVEL),
    column("to_stop", "To stop", "percent"),
    column("target", "Target", "price", filter=False, **LEVEL),
    column("to_target", "To target", "percent", filter=False),
    column("time_exit", "Time exit", "date", filter=False, minWidth=100),
    column("entry", "Entry", "price", filter=False),
    column("at_risk", "At risk, of NAV", "percent"),
    column("held", "Sessions", "whole"),
    column("sector", "Sector", minWidth=192),
]
CLOSED = [
    column("symbol", "Symbol", pinned="left", width=112, flex=0),
    column("exit_date", "Exit", "date", minWidth=106),
    column("entry_date", "Entry", "date", minWidth=106),
    column("holding", "Sessions", "whole"),
    column("shares", "Shares", "whole"),
    column("entry_price", "In at", "price"),
    column("exit_price", "Out at", "price"),
    column("pnl", "P&L, USD", "signed", minWidth=104),
    column("return", "Return", "percent"),
    column("nav_fraction", "Of NAV", "percent"),
    column("mae", "Worst (MAE)", "percent", minWidth=112),
    column("mfe", "Best (MFE)", "percent", minWidth=108),
    column("exit_reason", "Exit by", minWidth=124),
    column("sector", "Sector", minWidth=192),
]
LEVELS = "To stop, to target: the move of the price that reaches the level. At risk: lost of NAV if the stop fills at its level."
EXCURSIONS = "Net of costs. MAE and MFE: the largest move against and for the trade while it was open, of the entry price."


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``session``, ``symbol`` and ``book`` of the address."""
    known = booked(reader, query)
    session = known.session(query)
    told_of = night(reader, known.book, session)
    sectors = reader.once_of_data(("sectors", session), lambda house: sectors_at(house, session))
    rules = reader.once_of_data(("stop rules",), lambda house: StopParams.of(house.config.risk.stops))
    rows = standings(told_of, sectors, rules)
    asked = query.get("symbol", "").upper()
    found = name(reader, known.book, asked, session) if asked else None
    return stack(
        session_bar("positions", PATH, known, session, query),
        _summary(told_of, rows),
        card(f"Held at the close of {session}", _held(rows), LEVELS),
        card("Closed trades", _closed(closed_trades(reader, known.book)), EXCURSIONS),
        drawer(TABLE, asked, _name(found, query, told_of) if asked else None, opened=bool(asked)),
    )


def _summary(told_of: NightReport, rows: tuple[Standing, ...]) -> Any:
    age = f"close of {told_of.session}"
    near = next((row for row in rows if row.to_stop is not None), None)
    bare = sum(1 for row in rows if row.holding.stop is None)
    due = [row for row in rows if row.time_exit is not None]
    first = min(due, key=lambda row: (row.time_exit, row.holding.symbol), default=None)
    return tiles(
        tile("Positions", whole(len(rows)), f"{money(told_of.money.cash, 0)} USD cash", age),
        tile("Unrealised, USD", money(_sum(row.holding.unrealised for row in rows), 0), "price less entry, all positions", age),
        tile("At risk", percent(_sum(row.holding.at_risk for row in rows)), _unstopped(bare), age, "warn" if bare else ""),
        tile("Nearest stop", near.holding.symbol if near else "none", f"{percent(near.to_stop)} away" if near else "no stop rests", age),
        tile("Next time exit", first.holding.symbol if first else "none", f"at the close of {first.time_exit}" if first else "", age),
    )


def _unstopped(count: int) -> str:
    return f"of NAV, if every stop fills at its level; {count} without a stop" if count else "of NAV, if every stop fills at its level"


def _sum(values: Any) -> float | None:
    """A sum in which one unknown makes all unknown."""
    every = list(values)
    return None if any(value is None for value in every) else float(sum(every))


def _held(rows: tuple[Standing, ...]) -> Any:
    if not rows:
        return empty("Nothing is held at this close.", "exo plan")
    lines = [
        {
            "key": row.holding.symbol, "sector": row.sector, "shares": row.holding.shares, "entry": row.holding.entry,
            "price": row.holding.price, "value": row.holding.value, "weight": row.holding.weight, "unrealised": row.holding.unrealised,
            "day_pnl": row.day_pnl, "held": row.holding.sessions_held, "stop": row.holding.stop,
            "to_stop": _near(row.to_stop, row.holding.stop),
            "target": row.holding.target,
            "to_target": _near(row.to_target, row.holding.target), "at_risk": row.holding.at_risk,
            "time_exit": "none" if row.time_exit is None else row.time_exit.isoformat(),
        }
        for row in rows
    ]  # fmt: skip
    return table(TABLE, HELD, lines, getRowId="params.data.key", dashGridOptions=ONE)


def _near(distance: float | None, level: float | None) -> float | str | None:
    """No level, no distance; a distance that is unknown is that."""
    return "" if level is None else distance


def _closed(found: tuple[dict[str, Any], ...] | MechExoError) -> Any:
    if isinstance(found, MechExoError):
        return told(found)
    if not found:
        return empty("No trade has been closed yet.")
    return endless(CLOSES, CLOSED)


def closed_rows(reader: Reader, query: Query) -> Sequence[Mapping[str, Any]]:
    """The rows of the table of closed trades for an address."""
    found = closed_trades(reader, booked(reader, query).book)
    return () if isinstance(found, MechExoError) else found


def _name(found: Name | None, query: Mapping[str, str], told_of: NightReport) -> Any:
    """One name in full."""
    if found is None:
        return empty("The book never ordered or held this name.", f"exo why {query.get('symbol', 'SYMBOL')}")
    held = next((one for one in told_of.holdings if one.symbol == found.symbol), None)
    prices = told(found.error) if found.prices is None and found.error is not None else None
    if found.prices is not None:
        prices = chart("positions-chart", _drawn(found.prices, found.fills), "As traded; levels as they stood after each close.")
    kept = f"{held.shares:,} shares, {held.sessions_held} sessions" if held else "not held at this close"
    why = f"/orders{search_of({'book': query.get('book')}, session=told_of.session, explain=found.symbol)}"
    link = dcc.Link("Why: raw factors to fill", href=why, className="step")
    return stack(
        html.Div([badge(kept, "info" if held else ""), link], className="choosing"),
        prices,
        card("Fills", _fills(found.fills)),
        card("Orders, the newest first", _orders(found.orders, query), "Each leads to the decision it came from."),
    )


def _drawn(prices: NamePrices, fills: tuple[FillRow, ...]) -> Any:
    traded = [row.fill for row in fills if row.fill.session >= prices.sessions[0].item()]
    trades = figures.Trades(
        np.array([fill.session for fill in traded], "datetime64[D]"),
        np.array([fill.price for fill in traded], np.float64),
        np.array([fill.shares for fill in traded], np.int64),
    )
    levels = figures.Levels(prices.entry, prices.stop, prices.target)
    return figures.name_figure(prices.sessions, prices.close, prices.low, prices.high, levels, trades)


def _fills(fills: tuple[FillRow, ...]) -> Any:
    if not fills:
        return empty("Nothing has filled yet.")
    head = ("Session", "Shares", "Price", "Commission", "Why")
    body = [
        (str(f.session), f"{f.shares:+,}".replace("-", "−"), money(f.price, 4), money(f.commission), words(f.reason.value))
        for f in (row.fill for row in reversed(fills))
    ]
    return plain_table(head, body, numbers=(1, 2, 3))


def _orders(orders: tuple[OrderRow, ...], query: Mapping[str, str]) -> Any:
    if not orders:
        return empty("No order was ever made for this name.")
    body = [
        (
            str(row.order.session), f"{'buy' if row.order.shares > 0 else 'sell'} {shares(abs(row.order.shares))}",
            words(row.order.reason.value), words(row.state.value), _decided(row, query),
        )
        for row in orders
    ]  # fmt: skip
    return plain_table(("For", "Order", "Why", "State", "Decided at"), body)


def _decided(row: OrderRow, query: Mapping[str, str]) -> Any:
    return dcc.Link(str(row.decided), href=f"/orders{search_of({'book': query.get('book')}, explain=row.order.id)}")


def register(app: Dash, reader: Reader) -> None:
    """What is clicked goes into the address."""
    steer_session(app, reader, "positions")
    steer_row(app, TABLE, "symbol")
    serve_rows(app, reader, CLOSES, CLOSED, closed_rows)


PAGE = Page(PATH, "Positions & stops", "positions", layout, register)
