"""What the naive account trades on: a market of plain lists, the terms, and what a fill costs. Written from docs/fills.md alone."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise

from tests.oracles.naive_governor import Governor

UNKNOWN, WORST = 0.10, 0.5
LOT = 0.0001


@dataclass
class Terms:
    """What is charged, what limits and what protects; None = off."""

    cash: float = 100_000.0
    per_share: float = 0.005
    fraction: float = 0.0
    minimum: float = 1.0
    cap: float | None = 0.01
    slippage: float = 0.0005
    spread_usd: float = 0.0
    spread_estimate: float = 0.0
    impact: float = 0.0
    impact_window: int = 20
    participation: float | None = None
    cash_rate: float = 0.0
    margin_rate: float = 0.06
    borrow_rate: float = 0.005
    initial: float | None = None  # None = no margin rules at all
    maintenance_long: float = 0.25
    maintenance_short: float = 0.30
    fractional: bool = False
    patience: int = 10
    hard: float | None = None
    trailing: float | None = None
    target: float | None = None
    time: int | None = None
    at_entry: bool = True
    time_days: int | None = None
    adjust: bool = False  # levels are lowered by dividends
    governor: Governor | None = None

    def lots(self, shares):
        """A number of shares without what is less than a lot; 2.9999999999 is 3. The sign stays."""
        return self._lots(shares, math.trunc)

    def lots_up(self, shares):
        """The same, rounded up; 3.0000000001 is 3."""
        return self._lots(shares, math.ceil)

    def _lots(self, shares, rounding):
        if math.isinf(shares):
            return shares
        if not self.fractional:
            return round(shares) if abs(shares - round(shares)) <= 1e-9 else rounding(shares)
        count = shares / LOT
        return round((round(count) if abs(count - round(count)) * LOT <= 1e-9 else rounding(count)) * LOT, 4)

    def fee(self, shares, price):
        """Commission of one execution."""
        value = abs(shares) * price
        fee = max(self.minimum, self.per_share * abs(shares) + self.fraction * value)
        return fee if self.cap is None else min(fee, self.cap * value)


@dataclass
class NaiveMarket:
    """Rows of lists, None = not traded. ``gone[s]`` = (day before whose open the listing ended, value or None), or None."""

    opens: list
    highs: list
    lows: list
    closes: list
    volumes: list
    splits: list
    dividends: list
    gone: list
    dates: list  # calendar days, ascending

    @property
    def days(self):
        return len(self.closes)

    @property
    def symbols(self):
        return len(self.gone)

    def bar(self, day, s):
        return self.opens[day][s], self.highs[day][s], self.lows[day][s], self.closes[day][s]

    def price(self, day, s, phase):
        """At which a market order of that part of the day fills, before slippage: the close at the close, else the open."""
        return (self.closes if phase == "close" else self.opens)[day][s]

    def slip(self, terms, day, s, shares, reference):
        """What a market fill of so many shares gives away, as a fraction of the reference price."""
        fixed = terms.slippage + terms.spread_usd / 2 / reference
        spread, impact = 0.0, 0.0
        if terms.spread_estimate:
            spread = self.estimated_spread(terms, day, s)
        if terms.impact:
            impact = self.impact(terms, day, s, shares)
        if spread is None or impact is None:
            return min(fixed + UNKNOWN, WORST)
        return min(fixed + spread + impact, WORST)

    def estimated_spread(self, terms, day, s):
        """Half the spread of Abdi & Ranaldo, times what is asked; None where there are too few pairs of sessions."""
        found = []
        for u in range(max(0, day - terms.impact_window), day - 1):
            ratio = self.splits[u + 1][s]
            close, high, low = self.closes[u][s], self.highs[u][s], self.lows[u][s]
            next_high, next_low = self.highs[u + 1][s], self.lows[u + 1][s]
            if None in (close, high, low, next_high, next_low):
                continue
            middle = (math.log(high) + math.log(low)) / 2
            next_middle = (math.log(next_high * ratio) + math.log(next_low * ratio)) / 2
            c = math.log(close)
            found.append(math.sqrt(max(0.0, 4 * (c - middle) * (c - next_middle))))
        if len(found) * 2 < terms.impact_window:
            return None
        return terms.spread_estimate * statistics.fmean(found) / 2

    def impact(self, terms, day, s, shares):
        """The square-root impact; None where too few sessions traded or their volume is unknown."""
        ratio, closes, volumes = self.splits[day][s], [], []
        for u in range(day - 1, max(0, day - terms.impact_window) - 1, -1):
            if self.closes[u][s] is not None:
                closes.append(self.closes[u][s] / ratio)
                volumes.append(None if self.volumes[u][s] is None else self.volumes[u][s] * ratio)
            ratio *= self.splits[u][s]
        if len(closes) * 2 < terms.impact_window or len(closes) < 3 or None in volumes or not sum(volumes) > 0:
            return None
        returns = [newer / older - 1 for newer, older in pairwise(closes)]
        return terms.impact * statistics.stdev(returns) * math.sqrt(shares / statistics.fmean(volumes))
