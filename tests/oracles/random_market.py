"""Random small markets, terms and strategies for the naive account; every draw is a function of its seed alone."""

from __future__ import annotations

import math
import random

import numpy as np

from mech_exo.domain.panel import BarPanel
from tests.oracles.naive_governor import Governor
from tests.oracles.naive_market import NaiveMarket, Terms
from tests.oracles.naive_orders import Wish

SPLITS = (2.0, 3.0, 1.5, 0.1, 1 / 3, 1 / 49, 7 / 5, 4.0)


def draw_market(rng: random.Random, days, symbols, *, rough):
    """Random walks with everything a market does to an account; ``rough`` also loses single prices out of a bar."""
    rows = {name: [[None] * symbols for _ in range(days)] for name in ("open", "high", "low", "close", "volume")}
    splits = [[1.0] * symbols for _ in range(days)]
    dividends = [[0.0] * symbols for _ in range(days)]
    gone = [None] * symbols
    for s in range(symbols):
        price, quiet, depth = rng.uniform(5, 120), 0, rng.choice([300, 100_000])
        if rng.random() < 0.3:
            gone[s] = (rng.randrange(days), rng.choice([None, None, 0.0, price * 0.5]))
        for t in range(days):
            if rng.random() < 0.04:
                splits[t][s] = rng.choice(SPLITS)
                price /= splits[t][s]
            if rng.random() < 0.06:
                dividends[t][s] = round(price * 0.02, 4)
            if quiet == 0 and rng.random() < 0.03:
                quiet = rng.choice([1, 2, 6])
            opened = price * math.exp(rng.gauss(0, 0.03))
            closed = opened * math.exp(rng.gauss(0, 0.04))
            price = closed
            if gone[s] is not None and t >= gone[s][0]:
                continue
            if quiet:
                quiet -= 1
                continue
            high, low = max(opened, closed) * (1 + abs(rng.gauss(0, 0.02))), min(opened, closed) * (1 - abs(rng.gauss(0, 0.02)))
            bar = {"open": opened, "high": high, "low": low, "close": closed, "volume": float(rng.randrange(0, depth))}
            for name, value in bar.items():
                if not (rough and rng.random() < 0.05):
                    rows[name][t][s] = value
    return NaiveMarket(rows["open"], rows["high"], rows["low"], rows["close"], rows["volume"], splits, dividends, gone, draw_dates(rng, days))


def draw_dates(rng: random.Random, days):
    """Sessions with a night, a weekend or a long weekend between them."""
    dates = [0]
    while len(dates) < days:
        dates.append(dates[-1] + rng.choice([1, 1, 1, 3, 4]))
    return dates


def panel_of(naive: NaiveMarket) -> BarPanel:
    """The same market as the package takes it."""

    def array(rows):
        return np.array([[math.nan if x is None else x for x in row] for row in rows])

    days, symbols = naive.days, naive.symbols
    bars = {"open": naive.opens, "high": naive.highs, "low": naive.lows, "close": naive.closes, "volume": naive.volumes}
    arrays = {name: array(rows) for name, rows in bars.items()} | {"split_ratio": array(naive.splits), "dividend": array(naive.dividends)}
    arrays["delisted"] = np.array([days if end is None else end[0] for end in naive.gone])
    arrays["delisting_value"] = np.array([math.nan if end is None or end[1] is None else end[1] for end in naive.gone])
    sessions = np.datetime64("2020-01-01") + np.array(naive.dates)
    return BarPanel.from_arrays(sessions, [f"S{s}" for s in range(symbols)], arrays)


def draw_wishes(seed, day, closes, size, *, fractional=False):
    """What is wanted that day: None, or a :class:`Wish` of some symbols; a function of its arguments alone."""
    rng = random.Random(f"{seed}/{day}")
    if rng.random() < 0.6:
        return None
    wishes = {}
    for s, close in enumerate(closes):
        shares = rng.randint(-size, size)
        if fractional and rng.random() < 0.7:
            shares = round(rng.uniform(-size, size), 4)
        kind = rng.choice(["open", "open", "close", "limit", "stop", "stop"])
        level = (30.0 if close is None else close) * math.exp(rng.gauss(0, 0.03))
        kept = rng.random() < 0.4
        if rng.random() < 0.6:
            resting = kind in ("limit", "stop")
            wishes[s] = Wish(shares, kind, level if resting else None, kept and resting)
    return wishes


def draw_terms(rng: random.Random):
    """Terms with each rule on or off."""

    def maybe(*values):
        return rng.choice([None, *values])

    terms = Terms(
        cash=rng.choice([3_000.0, 100_000.0, 100_000.0]), per_share=rng.choice([0.0, 0.005, 0.05]), minimum=rng.choice([0.0, 1.0, 5.0]),
        cap=maybe(0.01, 0.001), fraction=rng.choice([0.0, 0.0, 0.002]), slippage=rng.choice([0.0, 0.0005, 0.01]),
        spread_usd=rng.choice([0.0, 0.0, 0.04]), spread_estimate=rng.choice([0.0, 0.0, 1.0]), impact=rng.choice([0.0, 0.0, 0.7]),
        impact_window=rng.choice([4, 10]), participation=maybe(0.02, 0.1, 0.5), cash_rate=rng.choice([0.0, 0.04, -0.01]),
        margin_rate=rng.choice([0.0, 0.08]), borrow_rate=rng.choice([0.0, 0.03]), fractional=rng.random() < 0.3,
        patience=rng.choice([1, 2, 5]), hard=maybe(0.03, 0.1), trailing=maybe(0.04, 0.12), target=maybe(0.05, 0.2, 1.5),
        time=maybe(1, 3, 8), at_entry=rng.random() < 0.6, time_days=maybe(1, 5, 12), adjust=rng.random() < 0.4,
    )  # fmt: skip
    if rng.random() < 0.6:
        terms.initial = rng.choice([0.5, 0.5, 1.0])
        terms.maintenance_long, terms.maintenance_short = rng.choice([(0.25, 0.3), (0.5, 0.45), (0.9, 0.8)])
    return terms


def draw_flows(rng: random.Random, days):
    """Deposits and withdrawals; the first day has none."""
    return [0.0] + [rng.choice([0.0, 0.0, 0.0, 0.0, 500.0, -300.0]) for _ in range(days - 1)]


def govern(rng: random.Random, terms: Terms):
    """Let ``terms`` be governed."""
    terms.cash = 100_000.0
    hard = rng.choice([0.02, 0.05, 0.1])
    soft, step = rng.choice([0.0, 0.2, 0.8]) * hard, rng.choice([0.01, 0.1, 0.4])
    terms.governor = Governor(soft, hard, step, rng.choice([0, 0, 1, 4, 10]), rng.random() < 0.3)


def draw_modest(seed, day, closes, *, fractional=False):
    """Wishes of names that trade, worth at most 15,000 USD each: no limit but the drawdown's binds on 100,000."""
    wishes = draw_wishes(seed, day, closes, 150, fractional=fractional)
    if wishes is None:
        return None
    for s, wish in wishes.items():
        if closes[s] is not None and abs(wish.shares) * closes[s] > 15_000:
            wish.shares = math.trunc(math.copysign(15_000 / closes[s], wish.shares))
    return {s: wish for s, wish in wishes.items() if closes[s] is not None}
