"""The two benchmark workloads (W1 without stops, W2 with them) in plain Python: lists, dictionaries, no NumPy, no speed.

It shares no line with the package. What else an account can meet is played by ``naive_account``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

CASH = 1_000_000.0
TOP, EVERY, LOOKBACK, SKIP, INVESTED = 20, 21, 252, 21, 0.95
PER_SHARE, MINIMUM, SLIPPAGE = 0.0035, 0.35, 0.0005
HARD, TRAILING = 0.15, 0.25


@dataclass
class Rotation:
    """How a workload ended: equity per day, and its orders as (day, symbol, shares, price, was it a stop)."""

    equity: list[float]
    orders: list[tuple[int, int, int, float, bool]]

    @property
    def final(self):
        return self.equity[-1]

    @property
    def stop_outs(self):
        return sum(order[4] for order in self.orders)


def rotation(opens, highs, lows, closes, *, stops):
    """Hold the 20 best by 12-1 month momentum in equal parts of 95 % of equity, chosen anew every 21 days.

    Orders of a close fill at the next open, sells before buys, in symbol order. With ``stops`` a position older than today leaves at
    the higher of 15 % under its entry and 25 % under its best high up to yesterday: at the open where that gaps through, else at the
    level. Whole shares; the arguments are lists of days of lists of prices.
    """
    days, symbols = len(closes), len(closes[0])
    cash = CASH
    positions = {}  # symbol -> [shares, entry price, best high, day opened]
    wanted = {}
    equity, orders = [], []

    def execute(day, symbol, shares, reference, is_stop=False):
        nonlocal cash
        price = reference * (1 + SLIPPAGE) if shares > 0 else reference * (1 - SLIPPAGE)
        cash -= shares * price + max(MINIMUM, PER_SHARE * abs(shares))
        orders.append((day, symbol, shares, price, is_stop))
        if symbol not in positions:
            positions[symbol] = [0, price, 0.0, day]
        positions[symbol][0] += shares
        if positions[symbol][0] == 0:
            del positions[symbol]

    def held(symbol):
        return positions[symbol][0] if symbol in positions else 0

    for day in range(days):
        changes = {symbol: target - held(symbol) for symbol, target in wanted.items()}
        wanted = {}
        for symbol in sorted(s for s, change in changes.items() if change < 0):
            execute(day, symbol, changes[symbol], opens[day][symbol])
        for symbol in sorted(s for s, change in changes.items() if change > 0):
            execute(day, symbol, changes[symbol], opens[day][symbol])
        if stops:
            for symbol in sorted(positions):
                shares, entry, best, opened = positions[symbol]
                level = max(entry * (1 - HARD), best * (1 - TRAILING))
                if opened == day:
                    continue
                if opens[day][symbol] <= level:
                    execute(day, symbol, -shares, opens[day][symbol], True)
                elif lows[day][symbol] <= level:
                    execute(day, symbol, -shares, level, True)
        for symbol, position in positions.items():
            position[2] = max(position[2], highs[day][symbol])
        worth = cash
        for symbol in sorted(positions):
            worth += positions[symbol][0] * closes[day][symbol]
        equity.append(worth)
        if day >= LOOKBACK and (day - LOOKBACK) % EVERY == 0 and day + 1 < days:
            before, after = closes[day - LOOKBACK], closes[day - SKIP]
            best_first = sorted(range(symbols), key=lambda s: (-(after[s] / before[s] - 1), s))
            wanted = dict.fromkeys(positions, 0)
            for symbol in best_first[:TOP]:
                wanted[symbol] = math.floor(INVESTED * worth / TOP / closes[day][symbol])
    return Rotation(equity, orders)
