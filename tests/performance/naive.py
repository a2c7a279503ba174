"""A naive account in plain Python: one list entry per share, one dictionary per lot. The oracle of the round trips.

It trades at given prices, pays dividends, splits whole positions and writes the same records as the engine.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from mech_exo.kernels.records import DAY, EVENT, Bars, EventKind, Outcome, Reason


@dataclass
class Account:
    """Cash, shares and events; ``share_lots`` holds the purchase price of every single share, oldest first."""

    bars: Bars
    cash: float
    per_share: float = 0.01
    slip: float = 0.001
    held: dict[int, int] = field(default_factory=dict)
    share_lots: dict[int, deque] = field(default_factory=dict)
    realised: float = 0.0
    marks: dict[int, float] = field(default_factory=dict)
    events: list = field(default_factory=list)
    days: list = field(default_factory=list)

    def __post_init__(self):
        self.nav = self.cash
        self._clear()

    def _clear(self):
        self.sums = dict.fromkeys(DAY.names, 0.0)

    def trade(self, row, symbol, shares, reference, kind=EventKind.ORDER, reason=Reason.REBALANCE):
        if shares == 0:
            return
        price = reference * (1 + self.slip if shares > 0 else 1 - self.slip)
        commission = self.per_share * abs(shares)
        if kind in (EventKind.DELISTING, EventKind.STALE_CLOSE):
            price, commission = reference, 0.0
        cash = -shares * price - commission
        self._write(row, symbol, kind, reason, shares, price, reference, commission, cash)
        self.cash += cash
        self.sums["commission"] += commission
        self.sums["slippage"] += (price - reference) * shares
        self.sums["traded"] += abs(shares * price)
        self._fifo(symbol, shares, price)
        self.held[symbol] = self.held.get(symbol, 0) + shares

    def _fifo(self, symbol, shares, price):
        lots = self.share_lots.setdefault(symbol, deque())
        side = 1 if shares > 0 else -1
        for _ in range(abs(shares)):
            if lots and lots[0][1] == -side:
                bought, held_side = lots.popleft()
                self.realised += held_side * (price - bought)
            else:
                lots.append((price, side))

    def unfilled(self, row, symbol, shares):
        self.events.append((row, symbol, EventKind.ORDER, Outcome.NO_BAR, Reason.REBALANCE, shares, np.nan, np.nan, 0.0, 0.0))

    def split(self, row, symbol, ratio, price_after):
        old = self.held.get(symbol, 0)
        if old == 0:
            return
        new = int(old * ratio)  # toward zero
        cash = (old * ratio - new) * price_after
        self._write(row, symbol, EventKind.SPLIT, Reason.CORPORATE_ACTION, new - old, price_after, price_after, 0.0, cash)
        self.cash += cash
        self.held[symbol] = new
        self.marks[symbol] /= ratio
        self.share_lots[symbol] = deque()  # shares are followed one by one only while nothing splits: no realised P&L from here

    def dividend(self, row, symbol, amount):
        cash = self.held.get(symbol, 0) * amount
        if cash:
            self._write(row, symbol, EventKind.DIVIDEND, Reason.CORPORATE_ACTION, 0, amount, amount, 0.0, cash)
            self.cash += cash
            self.sums["dividends"] += cash

    def _write(self, row, symbol, kind, reason, shares, price, reference, commission, cash):
        self.events.append((row, symbol, kind, Outcome.FILLED, reason, shares, price, reference, commission, cash))

    def close(self, row, flow=0.0, interest=0.0, borrow=0.0):
        self.cash += flow + interest - borrow
        for symbol in range(self.bars.close.shape[1]):
            if not np.isnan(self.bars.close[row, symbol]):
                self.marks[symbol] = float(self.bars.close[row, symbol])
        values = [self.held[s] * self.marks[s] for s in self.held if self.held[s]]
        nav = self.cash + sum(values)
        day = self.sums | {"nav": nav, "cash": self.cash, "flow": flow, "interest": interest, "borrow": borrow}
        day["long_value"], day["short_value"] = sum(v for v in values if v > 0), sum(v for v in values if v < 0)
        day["price_pnl"] = nav - self.nav - flow - day["dividends"] - interest + borrow + day["commission"] + day["slippage"]
        self.days.append(tuple(day[name] for name in DAY.names))
        self.nav = nav
        self._clear()

    def records(self):
        return np.array(self.events, EVENT), np.array(self.days, DAY)
