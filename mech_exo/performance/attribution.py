"""Round trips: which purchase earned what, first in, first out.

Every event's cash is given to the lots it belongs to, so the sum over all trades (open ones marked at the last close) plus
interest less borrow fees is the change of NAV net of deposits, to rounding. Nothing is estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mech_exo.kernels.records import Bars, EventKind, Outcome, Reason
from mech_exo.performance.trading import opening_nav

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

TRADE = np.dtype(
    [
        ("symbol", np.int64),
        ("position", np.int64),  # lots of one stay in a symbol (flat to flat) share a number
        ("entry_row", np.int64),
        ("exit_row", np.int64),  # last row while open
        ("open", np.bool_),
        ("shares", np.float64),  # signed, in the shares of the exit
        ("entry_price", np.float64),  # USD per share of the exit: as traded ÷ split_factor
        ("exit_price", np.float64),  # last mark while open
        ("split_factor", np.float64),  # shares at the exit per share at the entry
        ("entry_reason", np.int64),
        ("exit_reason", np.int64),  # NONE while open
        ("pnl", np.float64),  # USD, net of both commissions, with income
        ("commission", np.float64),  # USD, both sides
        ("slippage", np.float64),  # USD paid beyond the reference prices, both sides
        ("income", np.float64),  # USD: dividends and cash in lieu of fractions
        ("return", np.float64),  # pnl / |value at entry|
        ("nav", np.float64),  # NAV at the close before the entry, NaN unless above 0
        ("nav_fraction", np.float64),  # pnl / nav
        ("holding", np.int64),  # sessions from entry to exit
        ("mae", np.float64),  # largest adverse excursion, positive fraction of the entry price
        ("mfe", np.float64),  # largest favourable excursion, positive fraction of the entry price
    ]
)
"""One round trip of one lot. NaN where unknown (``nav_fraction`` without a NAV above 0)."""

ORDERS = (EventKind.ORDER, EventKind.STOP, EventKind.TARGET)
CLOSINGS = (EventKind.DELISTING, EventKind.STALE_CLOSE)
Splits = list[tuple[int, float]]
DUST = 1e-6
"""Fractions of a share that splitting lots leaves by rounding; holdings are whole shares."""


class _Event(NamedTuple):
    """What matching reads of one row of ``kernels.records.EVENT``, as Python numbers."""

    row: int
    symbol: int
    kind: int
    outcome: int
    reason: int
    shares: float
    price: float
    reference: float
    commission: float
    cash: float

    @property
    def slippage(self) -> float:
        """USD paid beyond the reference; a delisting or a close without bars is a settlement and has none."""
        return (self.price - self.reference) * self.shares if self.kind in ORDERS else 0.0


@dataclass(slots=True)
class _Lot:
    """Shares bought (or sold short) by one fill; ``cash`` is what they have cost and brought so far."""

    row: int
    position: int
    shares: float
    price: float  # as traded at the entry
    value: float  # |shares × price| at entry
    cash: float
    reason: int
    commission: float
    slippage: float
    income: float = 0.0
    factor: float = 1.0

    def split_off(self, shares: float) -> _Lot:
        """Take ``shares`` out of this lot with their part of everything."""
        part = shares / self.shares
        taken = _Lot(self.row, self.position, shares, self.price, self.value * part, self.cash * part, self.reason,
                     self.commission * part, self.slippage * part, self.income * part, self.factor)
        for name in ("shares", "value", "cash", "commission", "slippage", "income"):
            setattr(self, name, getattr(self, name) - getattr(taken, name))
        return taken


@dataclass(slots=True)
class _Holding:
    """Open lots of one symbol, oldest first, and the splits it has seen."""

    lots: list[_Lot] = field(default_factory=list)
    splits: Splits = field(default_factory=list)
    position: int = 0

    @property
    def shares(self) -> float:
        return sum(lot.shares for lot in self.lots)

    def oldest(self, shares: float) -> _Lot:
        """Take up to ``shares`` (a size, above 0) out of the oldest lot."""
        first = self.lots[0]
        if abs(first.shares) - shares <= DUST:
            return self.lots.pop(0)
        return first.split_off(math.copysign(shares, first.shares))

    def share_out(self, cash: float) -> None:
        """Give ``cash`` to the open lots by their shares."""
        held = self.shares
        for lot in self.lots:
            part = cash * lot.shares / held
            lot.cash += part
            lot.income += part


def round_trips(events: NDArray[np.void], days: NDArray[np.void], bars: Bars) -> NDArray[np.void]:
    """Match events ``(M,)`` of :data:`mech_exo.kernels.records.EVENT` into trades of :data:`TRADE`, in order of exit.

    Parameters
    ----------
    events
        In the order they happened; ``row`` counts the rows of ``days`` and ``bars``. The account starts flat.
    days
        ``(T,)`` of :data:`mech_exo.kernels.records.DAY`: the NAV a trade is measured against.
    bars
        ``(T, N)`` arrays of the same sessions, as traded: high and low for the excursions, close for marks, split_ratio.

    Notes
    -----
    A fill that crosses zero closes the old side and opens the new one, its cash and commission shared by shares. Splits
    change the open lots' shares; dividends and cash in lieu belong to the lots that were open, by shares. Excursions read
    full bars from the entry's up to the one before the exit's, plus the exit price: within the exit's bar the order of
    high, low and exit is unknown. Lots still open at the end are marked at the last close, ``open`` = True.
    """
    matcher = _Matcher(np.concatenate([[opening_nav(days)], days["nav"]]), bars)
    for event in events[list(_Event._fields)].tolist():
        matcher.take(_Event(*event))
    matcher.mark_open()
    return np.array(matcher.rows, TRADE)


class _Matcher:
    """Walks the events; ``before`` ``(T + 1,)`` is the NAV before each session and at the end."""

    def __init__(self, before: NDArray[np.float64], bars: Bars) -> None:
        self.before = before
        self.last = len(before) - 2
        self.bars = bars
        self.held: dict[int, _Holding] = {}
        self.positions = 0
        self.rows: list[tuple[Any, ...]] = []

    def take(self, event: _Event) -> None:
        if event.outcome != Outcome.FILLED:
            return
        holding = self.held.setdefault(event.symbol, _Holding())
        if event.kind in ORDERS or event.kind in CLOSINGS:
            self._trade(event, holding)
        elif event.kind == EventKind.SPLIT:
            self._split(event, holding)
        elif event.kind == EventKind.DIVIDEND:
            holding.share_out(event.cash)

    def _trade(self, event: _Event, holding: _Holding) -> None:
        left = event.shares
        while holding.lots and left * holding.lots[0].shares < 0.0 and abs(left) > DUST:
            part = holding.oldest(abs(left))
            share = abs(part.shares / event.shares)
            part.cash += event.cash * share
            part.commission += event.commission * share
            part.slippage += event.slippage * share
            left += part.shares
            self._record(event.symbol, part, event.row, event.price, event.reason, holding.splits)
        if abs(left) > DUST:
            self._open(event, left, holding)

    def _open(self, event: _Event, shares: float, holding: _Holding) -> None:
        if not holding.lots:
            self.positions += 1
            holding.splits.clear()
            holding.position = self.positions
        share = shares / event.shares
        holding.lots.append(
            _Lot(event.row, holding.position, shares, event.price, abs(shares * event.price), event.cash * share, event.reason,
                 event.commission * share, event.slippage * share)
        )

    def _split(self, event: _Event, holding: _Holding) -> None:
        held = holding.shares
        if held == 0.0:
            return
        holding.share_out(event.cash)
        ratio = float(self.bars.split_ratio[event.row, event.symbol])
        holding.splits.append((event.row, ratio))
        kept = (held + event.shares) / held
        gone = abs(held + event.shares) <= DUST
        for lot in holding.lots:
            lot.shares *= ratio if gone else kept
            lot.factor *= ratio
        if gone:  # a reverse split left less than one share: paid in cash, at the price that cash implies
            price = event.cash / (held * ratio)
            for lot in holding.lots:
                self._record(event.symbol, lot, event.row, price, int(Reason.CORPORATE_ACTION), holding.splits)
            holding.lots.clear()

    def mark_open(self) -> None:
        for symbol, holding in self.held.items():
            for lot in holding.lots:
                mark = self._mark(symbol, holding)
                lot.cash += lot.shares * mark
                self._record(symbol, lot, self.last, mark, int(Reason.NONE), holding.splits, is_open=True)

    def _mark(self, symbol: int, holding: _Holding) -> float:
        closes = self.bars.close[:, symbol]
        seen = np.flatnonzero(~np.isnan(closes))
        if not len(seen):
            return float("nan")
        mark = float(closes[seen[-1]])
        for row, ratio in holding.splits:
            if row > seen[-1]:
                mark /= ratio
        return mark

    def _record(self, symbol: int, lot: _Lot, row: int, price: float, reason: int, splits: Splits, *, is_open: bool = False) -> None:
        nav = self.before[lot.row] if self.before[lot.row] > 0.0 else math.nan
        mae, mfe = self._excursions(symbol, lot, row + 1 if is_open else row, price, splits)
        self.rows.append((
            symbol, lot.position, lot.row, row, is_open, lot.shares, lot.price / lot.factor, price, lot.factor, lot.reason, reason,
            lot.cash, lot.commission, lot.slippage, lot.income, lot.cash / lot.value, nav, lot.cash / nav,
            row - lot.row, mae, mfe,
        ))

    def _excursions(self, symbol: int, lot: _Lot, end: int, price: float, splits: Splits) -> tuple[float, float]:
        """Adverse and favourable, positive fractions of the entry price, in the shares of the entry."""
        high, low = self.bars.high[lot.row : end, symbol], self.bars.low[lot.row : end, symbol]
        since = [(row, ratio) for row, ratio in splits if row > lot.row]
        if since:
            factor = np.ones(end - lot.row)
            for row, ratio in since:
                factor[row - lot.row :] *= ratio
            high, low = high * factor, low * factor
        out = price * lot.factor
        top = np.fmax.reduce(high, initial=max(out, lot.price)) / lot.price - 1.0
        bottom = 1.0 - np.fmin.reduce(low, initial=min(out, lot.price)) / lot.price
        return (float(bottom), float(top)) if lot.shares > 0.0 else (float(top), float(bottom))


def trades_frame(trades: NDArray[np.void], sessions: NDArray[np.datetime64], symbols: tuple[str, ...]) -> pl.DataFrame:
    """Trades as a Polars frame: names and dates instead of numbers; ``exit_date`` and ``exit_reason`` null while open."""
    import polars as pl

    reasons = np.array([reason.name.lower() for reason in Reason])
    columns: dict[str, Any] = {
        "symbol": np.asarray(symbols, dtype=object)[trades["symbol"]] if len(trades) else [],
        "entry_date": sessions[trades["entry_row"]],
        "exit_date": sessions[trades["exit_row"]],
        "entry_reason": reasons[trades["entry_reason"]],
        "exit_reason": reasons[trades["exit_reason"]],
    }
    names = [name for name in TRADE.names or () if name not in ("symbol", "entry_row", "exit_row", "entry_reason", "exit_reason")]
    columns |= {name: np.ascontiguousarray(trades[name]) for name in names}
    frame = pl.DataFrame(columns, schema_overrides={"symbol": pl.String, "entry_reason": pl.String, "exit_reason": pl.String})
    closed = ~pl.col("open")
    return frame.with_columns(pl.when(closed).then(pl.col("exit_date")), pl.when(closed).then(pl.col("exit_reason")))


def trades_of(frame: pl.DataFrame, sessions: NDArray[np.datetime64], symbols: tuple[str, ...]) -> NDArray[np.void]:
    """The way back from :func:`trades_frame`: ``(R,)`` TRADE, to the last bit."""
    out = np.empty(frame.height, TRADE)
    column = {name: number for number, name in enumerate(symbols)}
    code = {reason.name.lower(): int(reason) for reason in Reason} | {None: int(Reason.NONE)}
    exits = frame["exit_date"].fill_null(sessions[-1].astype(object)) if frame.height else frame["exit_date"]
    out["symbol"] = [column[name] for name in frame["symbol"]]
    out["entry_row"] = np.searchsorted(sessions, frame["entry_date"].to_numpy())
    out["exit_row"] = np.searchsorted(sessions, exits.to_numpy())
    for name in ("entry_reason", "exit_reason"):
        out[name] = [code[word] for word in frame[name]]
    for name in TRADE.names or ():
        if name in frame.columns and name not in ("symbol", "entry_reason", "exit_reason"):
            out[name] = frame[name].to_numpy()
    return out


def by_symbol(trades: pl.DataFrame) -> pl.DataFrame:
    """P&L, commission, slippage, income (USD), number of trades and of wins per symbol, best first. Open trades count as marked."""
    return _grouped(trades, "symbol")


def by_exit_reason(trades: pl.DataFrame) -> pl.DataFrame:
    """The same per exit reason, closed trades only."""
    return _grouped(trades.filter(~trades["open"]), "exit_reason")


def by_sector(trades: pl.DataFrame) -> pl.DataFrame:
    """The same per ``sector`` at the entry, null where it was unknown. Open trades count as marked."""
    return _grouped(trades, "sector")


def _grouped(trades: pl.DataFrame, key: str) -> pl.DataFrame:
    import polars as pl

    sums = [pl.col(name).sum() for name in ("pnl", "commission", "slippage", "income")]
    counts = [pl.len().alias("trades"), (pl.col("pnl") > 0).sum().alias("wins"), pl.col("holding").mean().alias("average_holding")]
    return trades.group_by(key).agg(*sums, *counts).sort("pnl", key, descending=[True, False])
