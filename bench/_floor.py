"""W2 as one tight kernel that can do nothing else: the physical limit the engine is held against."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable

import numpy as np
from _common import SHARED
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floor = Callable[[dict[str, Floats]], tuple[float, int]]
CASH, TOP, EVERY, LOOKBACK, SKIP, INVESTED = 1_000_000.0, 20, 21, 252, 21, 0.95
PER_SHARE, MINIMUM, SLIP, HARD, TRAILING = 0.0035, 0.35, 0.0005, 0.15, 0.25


@njit(cache=True)
def rotation(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> tuple[float, int]:  # noqa: C901 - one kernel on purpose
    """(final equity, orders) of W2; arrays ``(T, N)`` without a missing bar."""
    days, symbols = closes.shape
    cash, worth, orders, count = CASH, CASH, 0, 0
    held, entry, peak, target = np.zeros(symbols), np.zeros(symbols), np.zeros(symbols), np.full(symbols, -1.0)
    opened, live = np.full(symbols, -1, np.int64), np.empty(2 * symbols, np.int64)
    for t in range(days):
        for side in (-1.0, 1.0):
            for i in range(count):
                s = live[i]
                change = target[s] - held[s]
                if target[s] < 0.0 or change * side <= 0.0:
                    continue
                price = opens[t, s] * (1 + side * SLIP)
                if held[s] == 0.0:
                    entry[s], peak[s], opened[s] = price, 0.0, t
                cash -= change * price + max(MINIMUM, PER_SHARE * abs(change))
                held[s] += change
                orders += 1
        kept = 0
        worth = 0.0
        for i in range(count):
            s = live[i]
            target[s] = -1.0
            if held[s] > 0.0 and opened[s] < t:
                level = max(entry[s] * (1 - HARD), peak[s] * (1 - TRAILING))
                if lows[t, s] <= level:
                    cash += held[s] * min(opens[t, s], level) * (1 - SLIP) - max(MINIMUM, PER_SHARE * held[s])
                    held[s] = 0.0
                    orders += 1
            if held[s] > 0.0:
                peak[s] = max(peak[s], highs[t, s])
                worth += held[s] * closes[t, s]
                live[kept] = s
                kept += 1
        count = kept
        worth += cash
        if t >= LOOKBACK and (t - LOOKBACK) % EVERY == 0 and t < days - 1:
            score = -(closes[t - SKIP] / closes[t - LOOKBACK] - 1.0)
            cut = np.partition(score, TOP - 1)[TOP - 1]
            among = np.flatnonzero(score <= cut)
            chosen = among[np.argsort(score[among], kind="mergesort")][:TOP]
            for i in range(count):
                target[live[i]] = 0.0
            for s in chosen:
                if held[s] == 0.0:
                    live[count] = s
                    count += 1
                target[s] = math.floor(INVESTED * worth / TOP / closes[t, s])
            live[:count].sort()
    return worth, orders


def own(bars: dict[str, Floats]) -> tuple[float, int]:
    """This file's kernel."""
    return rotation(bars["open"], bars["high"], bars["low"], bars["close"])


def floor() -> tuple[str, Floor]:
    """(name, function): the shared floor kernel where there is one, else our own."""
    folder = SHARED / "peers"
    if not (folder / "floor_numba.py").exists():
        return "floor kernel", own
    before, sys.argv, sys.path = (sys.argv, sys.path), ["floor_numba.py"], [str(folder), *sys.path]
    try:
        theirs = importlib.import_module("floor_numba")  # without arguments its main loop measures nothing
    finally:
        sys.argv, sys.path = before

    def shared(bars: dict[str, Floats]) -> tuple[float, int]:
        equity = np.empty(len(bars["close"]))
        names = ("open", "high", "low", "close")
        return theirs.kernel(*(bars[name] for name in names), True, TOP, LOOKBACK, HARD, TRAILING, equity)

    return "../shared floor kernel", shared
