"""Factors of prices and volumes written a second time: plain Python over lists, one name and one session at a time, from the papers."""

from __future__ import annotations

import math
import statistics

from tests.oracles.naive_scorer import NAN, forward, least


class Market:
    """A panel's columns as lists, and what the factors read of them."""

    def __init__(self, panel, member=None):
        self.steps, self.names = panel.shape
        self.close = forward(panel, False)
        self.value = forward(panel, True)
        self.dollars = [(panel.close[:, j] * panel.volume[:, j]).tolist() for j in range(self.names)]
        self.member = [[True] * self.names] * self.steps if member is None else member.tolist()
        self.change = [self._changes(column) for column in self.value]
        self.market = [self._market(t) for t in range(self.steps)]

    @staticmethod
    def _changes(column):
        out, last = [], NAN
        for price in column:
            out.append(price / last - 1)
            last = last if math.isnan(price) else price
        return out

    def _market(self, t):
        if t == 0:
            return NAN
        pairs = [(self.value[j][t - 1], self.value[j][t]) for j in range(self.names) if self.member[t - 1][j]]
        moves = [new / old - 1 for old, new in pairs if not math.isnan(new / old)]
        return math.fsum(moves) / len(moves) if moves else NAN

    def pairs(self, j, t, window):
        """(market, stock) of the last ``window`` rows, where both are known."""
        rows = range(max(t - window + 1, 0), t + 1)
        both = [(self.market[row], self.change[j][row]) for row in rows]
        return [pair for pair in both if not any(map(math.isnan, pair))]

    def line(self, j, t, window):
        """(alpha, beta, residuals) of the market model, None where too little is known."""
        pairs = self.pairs(j, t, window)
        if math.isnan(self.change[j][t]) or len(pairs) < max(3, least(window)) or len({m for m, _ in pairs}) == 1:
            return None
        slope, intercept = statistics.linear_regression([m for m, _ in pairs], [x for _, x in pairs])
        return intercept, slope, [x - intercept - slope * m for m, x in pairs]


def short_term_reversal(market, j, t, window):
    return market.value[j][t] / market.value[j][t - window] - 1 if t >= window else NAN


def high_52_week(market, j, t, window):
    held = [price for price in market.close[j][max(t - window + 1, 0) : t + 1] if not math.isnan(price)]
    return market.close[j][t] / max(held) if len(held) >= least(window) else NAN


def market_beta(market, j, t, window):
    line = market.line(j, t, window)
    return NAN if line is None else line[1]


def idiosyncratic_volatility(market, j, t, window):
    line = market.line(j, t, window)
    return NAN if line is None else math.sqrt(math.fsum(e * e for e in line[2]) / (len(line[2]) - 2))


def residual_momentum(market, j, t, window, lookback, skip):
    line = market.line(j, t, window)
    if line is None or t < skip:
        return NAN
    alpha, beta, _ = line
    residuals = [x - alpha - beta * m for m, x in market.pairs(j, t - skip, lookback - skip)]
    if len(residuals) < least(lookback - skip):
        return NAN
    spread = statistics.stdev(residuals)
    return math.fsum(residuals) / spread if spread > 1e-9 else NAN


def max_return(market, j, t, window, count):
    held = sorted((x for x in market.change[j][max(t - window + 1, 0) : t + 1] if not math.isnan(x)), reverse=True)
    if math.isnan(market.change[j][t]) or len(held) < max(least(window), count):
        return NAN
    return math.fsum(held[:count]) / count


def amihud_illiquidity(market, j, t, window):
    def illiquidity(row):
        dollars = market.dollars[j][row]
        return abs(market.change[j][row]) / dollars * 1e6 if dollars > 0 else NAN

    held = [x for x in map(illiquidity, range(max(t - window + 1, 0), t + 1)) if not math.isnan(x)]
    return NAN if math.isnan(illiquidity(t)) or len(held) < least(window) else math.fsum(held) / len(held)


def seasonality(market, j, t, year, month, years):
    column, held = market.value[j], []
    for back in range(1, years + 1):
        start = t - year * back
        if start >= 0 and not math.isnan(column[start + month] / column[start]):
            held.append(column[start + month] / column[start] - 1)
    enough = len(held) >= math.ceil(years * 8 / 10) and not math.isnan(column[t])
    return math.fsum(held) / len(held) if enough else NAN


FACTORS = {
    function.__name__: function
    for function in (
        short_term_reversal, high_52_week, market_beta, idiosyncratic_volatility, residual_momentum, max_return, amihud_illiquidity, seasonality,
    )
}  # fmt: skip
