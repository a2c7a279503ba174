"""The sections of a tear sheet that tell of single trades: how they ended, and who and what earned the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mech_exo.domain.errors import InputError
from mech_exo.kernels.records import Reason
from mech_exo.performance import figures
from mech_exo.performance.attribution import by_exit_reason, by_sector, by_symbol
from mech_exo.performance.kpi import MAX_TRADE_LOSS
from mech_exo.reporting import page
from mech_exo.reporting.text import UNKNOWN, day, money, percent, ratio, shares, whole, words
from mech_exo.reporting.view import Block, Chart, Result, Section, Table

if TYPE_CHECKING:
    import polars as pl

SHOWN_TRADES = 12
SHOWN_UNFILLED = 50
SHOWN_SYMBOLS = 10
TRADE_HEAD = (
    "Symbol", "Entry", "Exit", "Shares", "Entry price", "Exit price", "P&L, USD", "Return", "Of NAV", "Adverse", "Favourable", "Exit by",
)  # fmt: skip
TRADE_WORDS = (0, 1, 2, 11)
UNFILLED_HEAD = ("Session", "Symbol", "Shares", "Order", "Why")
GROUPED = ("Trades", "Won", "P&L, USD", "Held")
LOSS_HEAD = ("Symbol", "Entry", "Exit", "Exit by", "Loss, of NAV", "Of it overnight", "Of it slippage")
GAPS = "Overnight: what the nights before the exits at an open took; a stop names a level, not a price."
HELD = "Held: sessions, on average."
FACTORS = "USD, adding up to the net P&L."
EXITS = "USD, net, with the number of trades."
OUTCOMES = {
    "no_bar": "the symbol had no bar in that session",
    "ended": "a corporate action or the end of the position ended it",
    "expired": "its limit or stop was not reached",
    "no_margin": "more than the account may carry",
}


def trades(result: Result) -> Section:
    """How single trades ended, and what was never traded."""
    closed = result.trades.filter(~result.trades["open"])
    unfilled = result.orders.filter(~result.orders["outcome"].is_in(("filled", "carried")))
    carried = int((result.orders["outcome"] == "carried").sum())
    none = "" if closed.height else "No closed trade yet."
    count = f"{whole(closed.height)} closed, {whole(result.trades.height - closed.height)} open at the end."
    prices = "Prices in the shares of the exit; excursions from the entry price."
    shown = min(unfilled.height, SHOWN_UNFILLED)
    note = f"{whole(unfilled.height)} in all; the last {shown} are shown." if unfilled.height > shown else ""
    waited = f"{whole(carried)} times an order, or its rest, was ordered anew for the next session." if carried else ""
    trips, exits = result.round_trips, by_exit_reason(result.trades)
    gains, losses = closed.filter(closed["pnl"] > 0).sort("pnl", descending=True), closed.filter(closed["pnl"] <= 0).sort("pnl")
    blocks = (
        page.drawn("Distribution", "Closed trades, net.", none, lambda: figures.trades_figure(trips), wide=False),
        page.drawn("Patience", "P&L and time held, a point a trade.", none, lambda: figures.holding_figure(trips), wide=False),
        page.drawn("P&L by reason of the exit", EXITS, none, lambda: figures.exits_figure(exits), wide=False),
        Table("Exits by reason", ("Reason", *GROUPED), _grouped(exits, "exit_reason"), (0,), "No trade was closed.", HELD, wide=False),
        Table("Largest gains", TRADE_HEAD, _trades(gains), TRADE_WORDS, "No closed trade gained."),
        Table("Largest losses", TRADE_HEAD, _trades(losses), TRADE_WORDS, "No closed trade lost."),
        _large_losses(result),
        Table("Orders not filled", UNFILLED_HEAD, _unfilled(unfilled), (0, 1, 3, 4), "Every order was filled.", f"{note} {waited}".strip()),
    )
    return Section("trades", "Trades", blocks, f"{count} {prices}")


def _large_losses(result: Result) -> Table:
    """Trades beyond what one may lose, each with its gap; that there is none is said, too."""
    rows = tuple(
        (
            result.symbols[one.symbol], str(result.sessions[one.entry_row]), str(result.sessions[one.exit_row]),
            words(Reason(one.reason).name.lower()), percent(one.loss), percent(one.gap), percent(one.slippage),
        )
        for one in result.large_losses
    )  # fmt: skip
    title = f"Losses beyond {percent(MAX_TRADE_LOSS, 0)} of NAV"
    return Table(title, LOSS_HEAD, rows, (0, 1, 2, 3), "No closed trade lost more.", GAPS)


def attribution(result: Result) -> Section:
    """Who and what earned the result: factors, sectors, symbols."""
    symbols = by_symbol(result.trades)
    ends = _ends(symbols)
    none = "" if symbols.height else "No trade yet."
    caption = "The best and the worst, USD, net, open positions at the last close; the number of trades."
    names = [f"{name} ({count})" for name, count in zip(ends["symbol"], ends["trades"], strict=True)]
    blocks: tuple[Block, ...] = (
        _factors(result),
        page.drawn("P&L by symbol", caption, none, lambda: figures.pnl_figure(names, ends["pnl"].to_numpy()), wide=False),
        _sector_pnl(result),
    )
    return Section("attribution", "Attribution", blocks)


def _factors(result: Result) -> Block:
    """What the market and each factor brought, best first; a record without factors says so."""
    title = "P&L by factor"
    try:
        parts = result.by_factor
    except InputError as error:
        return Chart(title, FACTORS, "", 0, nothing=error.message)
    names = [words(name) for name in parts["part"]]
    return page.drawn(title, FACTORS, "", lambda: figures.pnl_figure(names, parts["pnl"].to_numpy()))


def _sector_pnl(result: Result) -> Block:
    """P&L of the trades by the sector known when they were decided."""
    sectors = _grouped(by_sector(result.trades), "sector")
    return Table("P&L by sector", ("Sector", *GROUPED), sectors, nothing="No trade yet.", note=HELD, wide=False)


def _ends(symbols: pl.DataFrame) -> pl.DataFrame:
    """The best and the worst, or all where there are few; best first."""
    if symbols.height <= 2 * SHOWN_SYMBOLS:
        return symbols
    import polars as pl

    return pl.concat([symbols.head(SHOWN_SYMBOLS), symbols.tail(SHOWN_SYMBOLS)])


def _trades(trades: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    """The cells of :data:`TRADE_HEAD`."""
    return tuple(
        (
            t["symbol"], day(t["entry_date"]), day(t["exit_date"]), shares(t["shares"]), money(t["entry_price"]), money(t["exit_price"]),
            money(t["pnl"]), percent(t["return"], 1), percent(t["nav_fraction"]), percent(t["mae"], 1), percent(t["mfe"], 1),
            words(t["exit_reason"]),
        )
        for t in trades.head(SHOWN_TRADES).iter_rows(named=True)
    )  # fmt: skip


def _grouped(frame: pl.DataFrame, key: str) -> tuple[tuple[str, ...], ...]:
    """Name, trades, share of wins, P&L, average holding."""
    return tuple(
        (words(r[key] or UNKNOWN), whole(r["trades"]), percent(r["wins"] / r["trades"], 1), whole(r["pnl"]), ratio(r["average_holding"], 1))
        for r in frame.iter_rows(named=True)
    )


def _unfilled(orders: pl.DataFrame) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (day(o["date"]), o["symbol"], shares(o["shares"]), words(o["reason"]), OUTCOMES.get(o["outcome"], words(o["outcome"])))
        for o in orders.tail(SHOWN_UNFILLED).iter_rows(named=True)
    )
