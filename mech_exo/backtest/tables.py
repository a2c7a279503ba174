"""The public tables of a result, made of the engine's records: Polars frames, one row a session, an event or a holding.

Dates are sessions, money USD, shares signed, weights and exposures fractions of NAV; unknown is null or NaN, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.kernels.records import EventKind, Outcome, Reason

if TYPE_CHECKING:
    import polars as pl

    from mech_exo.domain.panel import BarPanel, Universe
    from mech_exo.performance.large_losses import LargeLoss

FILLS = (EventKind.ORDER, EventKind.STOP, EventKind.TARGET, EventKind.DELISTING, EventKind.STALE_CLOSE)
ORDERS = (EventKind.ORDER, EventKind.STOP, EventKind.TARGET)
COST_KINDS = ("commission", "slippage", "borrow", "margin_interest")


def equity(sessions: np.ndarray, days: np.ndarray) -> pl.DataFrame:
    """date, nav, cash, long_value, short_value, flow (USD) and time-weighted return per session."""
    import polars as pl

    from mech_exo.performance.trading import account_returns

    money = {name: days[name] for name in ("nav", "cash", "long_value", "short_value", "flow")}
    return pl.DataFrame({"date": sessions, **money, "return": account_returns(days)})


def exposure(sessions: np.ndarray, days: np.ndarray, holdings: pl.DataFrame) -> pl.DataFrame:
    """date, gross, net, long, short (negative), cash (fractions of NAV, NaN unless NAV is above 0) and positions held, per close."""
    import polars as pl

    from mech_exo.performance.trading import exposure as gross_and_net

    gross, net = gross_and_net(days)
    nav = np.where(days["nav"] > 0.0, days["nav"], np.nan)
    shares = {name: days[field] / nav for name, field in (("long", "long_value"), ("short", "short_value"), ("cash", "cash"))}
    row = np.searchsorted(sessions, holdings["date"].to_numpy())
    return pl.DataFrame({"date": sessions, "gross": gross, "net": net, **shares, "positions": np.bincount(row, minlength=len(days))})


def holdings(panel: BarPanel, universe: Universe, days: np.ndarray, events: np.ndarray) -> pl.DataFrame:
    """date, symbol, sector (null unknown), shares, price, value (USD) and weight of everything held at a close, by date and symbol."""
    import polars as pl

    from mech_exo.kernels.records import Bars
    from mech_exo.performance.holdings import holdings as held_at

    held = held_at(events, Bars.of(panel))
    value, nav = held["shares"] * held["price"], days["nav"][held["row"]]
    return pl.DataFrame(
        {
            "date": panel.sessions[held["row"]],
            "symbol": words(panel.symbols, held["symbol"]),
            "sector": sectors(universe, held["row"], held["symbol"]),
            "shares": share_counts(held["shares"]),
            "price": np.ascontiguousarray(held["price"]),
            "value": value,
            "weight": value / np.where(nav > 0.0, nav, np.nan),
        }
    )


def fills(sessions: np.ndarray, symbols: Sequence[str], events: np.ndarray) -> pl.DataFrame:
    """Executions: date, symbol, shares, price, commission, slippage (USD), reason, kind."""
    import polars as pl

    rows = events[(events["outcome"] == Outcome.FILLED) & np.isin(events["kind"], FILLS)]
    return pl.DataFrame(
        {
            "date": sessions[rows["row"]],
            "symbol": words(symbols, rows["symbol"]),
            "shares": share_counts(rows["shares"]),
            "price": np.ascontiguousarray(rows["price"]),
            "commission": np.ascontiguousarray(rows["commission"]),
            "slippage": (rows["price"] - rows["reference"]) * rows["shares"],
            "reason": words(names_of(Reason), rows["reason"]),
            "kind": words(names_of(EventKind), rows["kind"]),
        }
    )


def orders(sessions: np.ndarray, symbols: Sequence[str], events: np.ndarray) -> pl.DataFrame:
    """Every order that came to the market: date, symbol, shares, outcome, reason, kind, decided, reference, price.

    ``decided`` is the session at whose close the order was decided; null for a resting stop or target, which is renewed at every
    close. ``reference`` is the open, or the level that was touched, and ``price`` the fill; both NaN where nothing was filled.
    """
    import polars as pl

    rows = events[np.isin(events["kind"], ORDERS)]
    decided = np.where((rows["kind"] == EventKind.ORDER) & (rows["row"] > 0), sessions[rows["row"] - 1], np.datetime64("NaT"))
    return pl.DataFrame(
        {
            "date": sessions[rows["row"]],
            "symbol": words(symbols, rows["symbol"]),
            "shares": share_counts(rows["shares"]),
            "outcome": words(names_of(Outcome), rows["outcome"]),
            "reason": words(names_of(Reason), rows["reason"]),
            "kind": words(names_of(EventKind), rows["kind"]),
            "decided": decided.astype("datetime64[D]"),
            "reference": np.ascontiguousarray(rows["reference"]),
            "price": np.ascontiguousarray(rows["price"]),
        }
    )


def costs(sessions: np.ndarray, days: np.ndarray) -> pl.DataFrame:
    """date, price_pnl, dividends, interest_earned, gross, commission, slippage, borrow, margin_interest, total, net: USD per session.

    gross = price_pnl + dividends + interest_earned; total = the four kinds; net = gross - total = the change of NAV less its flow.
    (``metrics["gross_pnl"]`` has interest paid on negative cash inside; here it is a cost like the others.)
    """
    import polars as pl

    interest = days["interest"]
    paid = {name: np.ascontiguousarray(days[name]) for name in ("commission", "slippage", "borrow")}
    paid["margin_interest"] = np.maximum(-interest, 0.0)
    gained = {name: np.ascontiguousarray(days[name]) for name in ("price_pnl", "dividends")}
    gained["interest_earned"] = np.maximum(interest, 0.0)
    gross, total = sum(gained.values()), sum(paid.values())
    return pl.DataFrame({"date": sessions, **gained, "gross": gross, **paid, "total": total, "net": gross - total})


def costs_by_kind(table: pl.DataFrame) -> pl.DataFrame:
    """kind, usd and of_gross (fraction of the gross P&L, NaN unless that is above 0) over the whole run, ``total`` last."""
    import polars as pl

    sums = table.select(*COST_KINDS, "total", "gross").sum().row(0, named=True)
    gross = sums.pop("gross")
    of_gross = [usd / gross if gross > 0.0 else float("nan") for usd in sums.values()]
    return pl.DataFrame({"kind": list(sums), "usd": list(sums.values()), "of_gross": of_gross})


def large_losses(sessions: np.ndarray, symbols: tuple[str, ...], found: Sequence[LargeLoss]) -> list[dict[str, Any]]:
    """symbol, entry and exit (dates), reason, loss, gap and slippage (fractions of NAV, gap None = unknown) of each, the worst first."""
    return [
        {
            "symbol": symbols[one.symbol],
            "entry": sessions[one.entry_row].astype(object),
            "exit": sessions[one.exit_row].astype(object),
            "reason": Reason(one.reason).name.lower(),
            "loss": one.loss,
            "gap": None if math.isnan(one.gap) else one.gap,
            "slippage": one.slippage,
        }
        for one in found
    ]


def sectors(universe: Universe, rows: np.ndarray, columns: np.ndarray) -> pl.Series:
    """Names of sectors as known at the closes ``rows`` ``(M,)`` of the symbols ``columns`` ``(M,)``; null unknown."""
    return words((*universe.sector_names, None), universe.sector[rows, columns])


def share_counts(shares: np.ndarray) -> np.ndarray:
    """Int64 where every count is whole, float64 where one is not."""
    whole = shares.astype(np.int64)
    return whole if (whole == shares).all() else np.ascontiguousarray(shares)


def names_of(codes: Any) -> list[str]:
    """The lower-case names of an IntEnum, by code."""
    return [code.name.lower() for code in codes]


def words(names: Sequence[str | None], codes: np.ndarray) -> pl.Series:
    """``names`` by code; text even when there are none, which Polars could not tell by itself."""
    import polars as pl

    return pl.Series(values=np.asarray(names, dtype=object)[codes].tolist(), dtype=pl.String)
