"""What is held at a close and how near each position is to its exits; one name's prices, levels and fills; the trades that are closed.

USD; fractions, never percent; None = unknown. As-traded prices: a split shows as the jump it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain.errors import MechExoError, MissingDataError
from mech_exo.reporting.dashboard.account_data import account
from mech_exo.reporting.text import words
from mech_exo.risk.stops import StopParams, outlived
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId, BookLine, FillRow, OrderRow
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.reporting.night import Holding, NightReport

BEFORE, SHOWN = 60, 504
"""Sessions of prices before the first fill that a name's chart is about, and the most that are about its fills."""
TRADE_COLUMNS = (
    "symbol", "sector", "entry_date", "exit_date", "shares", "entry_price", "exit_price", "pnl", "return", "nav_fraction", "holding",
    "mae", "mfe", "entry_reason", "exit_reason", "commission", "slippage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """A position and how near its exits are.

    ``to_stop`` and ``to_target`` are the moves of the price that reach them, positive fractions of it (negative: beyond it already);
    ``time_exit`` is the session at whose close a time stop orders the exit for the next open, None without one; ``day_pnl`` is the
    session's, entry and exit included.
    """

    holding: Holding
    sector: str | None
    to_stop: float | None
    to_target: float | None
    time_exit: date | None
    day_pnl: float | None


@dataclass(frozen=True, slots=True, eq=False)
class NamePrices:
    """One name's bars ``(T,)`` as traded and its levels after each close; NaN = unknown, or no level."""

    sessions: NDArray[np.datetime64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    entry: NDArray[np.float64]
    stop: NDArray[np.float64]
    target: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """Everything about one name: prices (or why there are none), orders of the newest first, fills of the oldest first."""

    symbol: str
    prices: NamePrices | None
    error: MechExoError | None
    orders: tuple[OrderRow, ...]
    fills: tuple[FillRow, ...]


def standings(night: NightReport, sectors: Mapping[str, str | None] | None, rules: StopParams) -> tuple[Standing, ...]:
    """Every position of ``night``, the nearest to its stop first; those without one last."""
    earned = {line.symbol: line.pnl for line in night.causes.positions}
    rows = [_standing(one, night.session, (sectors or {}).get(one.symbol), earned.get(one.symbol), rules) for one in night.holdings]
    return tuple(sorted(rows, key=lambda row: (row.to_stop is None, row.to_stop or 0.0, row.holding.symbol)))


def _standing(one: Holding, session: date, sector: str | None, earned: float | None, rules: StopParams) -> Standing:
    return Standing(
        holding=one,
        sector=sector,
        to_stop=distance(one.shares, one.price, one.stop),
        to_target=distance(-one.shares, one.price, one.target),
        time_exit=time_exit(session, one.sessions_held, rules),
        day_pnl=earned,
    )


def distance(shares: float, price: float | None, level: float | None) -> float | None:
    """The fall (of a long; the rise of a short) that brings ``price`` to ``level``, a fraction of it; None without either."""
    if price is None or level is None or not price > 0.0:
        return None
    return (price - level) / price * (1.0 if shares > 0 else -1.0)


def time_exit(session: date, age: int, rules: StopParams) -> date | None:
    """The first session from ``session`` on at whose close a position ``age`` sessions old is outlived; None where no time stop is on."""
    if rules.time_sessions <= 0 and rules.time_days <= 0:
        return None
    ahead = 2 * max(rules.time_sessions, rules.time_days, 0) + 10
    days = calendar.sessions(session - timedelta(days=2 * age + 15), session + timedelta(days=ahead))
    now = int(np.searchsorted(days, np.datetime64(session, "D")))
    days = days[now - age :]
    numbers = days.astype(np.int64)
    due = next((t for t in range(age, len(days)) if outlived(t, t, numbers, rules)), None)
    return None if due is None else days[due].astype(object)


def name(reader: Reader, book: BookId, symbol: str, session: date) -> Name | None:
    """What is known of ``symbol`` up to ``session``; None for a name the book never ordered or held."""
    return reader.once(("name", book, symbol, session), lambda house, ledger: _name(house, ledger, book, symbol, session))


def _name(house: House, ledger: Ledger, book: BookId, symbol: str, session: date) -> Name | None:
    orders = ledger.orders(book, symbol=symbol)
    fills = tuple(row for row in ledger.fills(book, symbol=symbol) if row.fill.session <= session)
    if not orders and not fills:
        return None
    newest = tuple(sorted(orders, key=lambda row: (row.decided, row.order.session, row.order.id), reverse=True))
    oldest = calendar.sessions(session - timedelta(days=2 * SHOWN), session)[-SHOWN:][0].astype(object)
    first = max(oldest, min((row.fill.session for row in fills), default=session))
    try:
        prices, error = _prices(house, ledger.lines_of(book, symbol, first), symbol, (first, session)), None
    except MechExoError as failed:
        prices, error = None, failed
    return Name(symbol, prices, error, newest, fills)


def _prices(house: House, lines: Sequence[tuple[date, BookLine]], symbol: str, span: tuple[date, date]) -> NamePrices:
    begin = calendar.sessions(span[0] - timedelta(days=3 * BEFORE), span[0])[-BEFORE:]
    frame = house.storage.view().bars(symbol, begin[0].astype(object), span[1])
    if frame.is_empty():
        raise MissingDataError(f"the store holds no bar of {symbol} in these sessions", remedy="exo data import FILE")
    days = frame["date"].to_numpy().astype("datetime64[D]")
    levels = {line_day: line for line_day, line in lines if line.shares}

    def level(field: str) -> NDArray[np.float64]:
        found = (levels.get(day) for day in days.astype(object))
        return np.array([np.nan if line is None else getattr(line, field) for line in found], np.float64)

    bars = {column: frame[column].to_numpy().astype(np.float64) for column in ("open", "high", "low", "close")}
    return NamePrices(days, **bars, entry=level("cost"), stop=level("stop"), target=level("target"))


def closed_trades(reader: Reader, book: BookId) -> tuple[dict[str, Any], ...] | MechExoError:
    """Every closed round trip, the newest exit first, as :data:`TRADE_COLUMNS`; the error that says why they are unknown."""
    found = account(reader, book)
    trades = found.trades
    if trades is None:
        return found.error or MissingDataError("the trades of this book are unknown")

    def make(_house: House, _ledger: Ledger) -> tuple[dict[str, Any], ...]:
        closed = trades.filter(~trades["open"]).sort("exit_date", "symbol", descending=[True, False]).select(TRADE_COLUMNS)
        return tuple(
            row
            | {"entry_reason": words(row["entry_reason"]), "exit_reason": words(row["exit_reason"])}
            | {"entry_date": row["entry_date"].isoformat(), "exit_date": row["exit_date"].isoformat()}
            for row in closed.iter_rows(named=True)
        )

    return reader.once(("closed", book), make)
