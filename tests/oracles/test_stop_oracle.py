"""10,000 random paths, long and short, through the compiled stops and through a naive walk, bar by bar: the same exits at the same prices.

A thousand positions at a time in one account; gaps, days without a bar, splits, dividends, calendar days with weekends.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.decision.strategy import cost_params
from mech_exo.kernels.account import new_account, new_book, new_days
from mech_exo.kernels.records import EVENT, Bars, EventKind, Outcome, Reason, Terms
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL, step
from mech_exo.risk.stops import StopParams, protect
from mech_exo.utils.settings import CostModel, StopRules
from tests.oracles.naive_risk import walk

PATHS, AT_ONCE, SESSIONS = 10_000, 500, 40
FREE = cost_params(CostModel(commission="zero", slippage_bps=0, margin_rate=0, borrow_rate=0))
SHARES = 4_800.0


def draw_rules(rng):
    """Each stop on or off."""

    def maybe(low, high, chance=0.6):
        return float(rng.uniform(low, high)) if rng.random() < chance else None

    def days(most):
        return int(rng.integers(2, most)) if rng.random() < 0.4 else None

    return StopRules(
        hard=maybe(0.02, 0.25), trailing=maybe(0.03, 0.25), target=maybe(0.03, 0.4), volatility_atr=maybe(1.0, 5.0), time_sessions=days(40),
        time_days=days(70), active_on_entry=False, adjust_for_dividends=bool(rng.random() < 0.5),
    )  # fmt: skip


def draw_paths(rng, count):
    """Bars ``(T, count, 4)`` in the shares of the day, split ratios and dividends ``(T, count)``; the first bar always trades."""
    shape = (SESSIONS, count)
    wild = rng.choice([0.005, 0.02, 0.05], count)
    split = np.where(rng.random(shape) < 0.02, rng.choice([2.0, 3.0, 0.5, 0.25, 1.5], shape), 1.0)
    paid = np.where(rng.random(shape) < 0.04, rng.uniform(0.001, 0.06, shape), 0.0)
    split[0], paid[0] = 1.0, 0.0
    gap = rng.normal(0, 1, shape) * wild * np.where(rng.random(shape) < 0.1, 4.0, 1.0)
    during = rng.normal(0, 1, shape) * wild
    close = 100.0 * np.exp(np.cumsum(gap + during, axis=0)) * np.cumprod(1.0 - paid, axis=0) / np.cumprod(split, axis=0)
    open_ = close * np.exp(-during)
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.5, shape)) * wild)
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.5, shape)) * wild)
    bars = np.stack([open_, high, low, close], axis=2)
    silent = rng.random(shape) < 0.04
    silent[0] = False
    bars[silent] = np.nan
    return bars, split, paid * close


def compiled(side, atr, bars, split, paid, dates, rules):
    """(bar, reason, reference) of each position's exit, None where it is held to the end: an entry order each, then step and protect."""
    count = len(side)
    prices = [np.ascontiguousarray(bars[:, :, j]) for j in range(4)]
    never, nothing = np.full(count, SESSIONS, np.int64), np.full(count, np.nan)
    market = Bars(*prices, np.full(split.shape, 1e9), split, paid, never, nothing, dates)
    for array in market:
        array.flags.writeable = False  # of the type a panel's have: compiled once
    terms = Terms(10_000, 1.0, math.nan, rules.adjust_for_dividends)
    book, account, days = new_book(count), new_account(1e9), new_days(SESSIONS)
    events = np.zeros(EVENTS_PER_SYMBOL * SESSIONS * count, EVENT)
    live = np.arange(count)
    book["order"], book["order_reason"], book["order_atr"], account["live"] = SHARES * side, int(Reason.REBALANCE), atr, count
    for t in range(SESSIONS):
        step(t, 0.0, market, book, live, account, days, events, FREE, terms)
        protect(t, dates, book, live, int(account["live"][0]), StopParams.of(rules))
    found = [None] * count
    for event in events[: int(account["events"][0])]:
        s = int(event["symbol"])
        traded = event["kind"] in (EventKind.ORDER, EventKind.STOP, EventKind.TARGET) and event["outcome"] == Outcome.FILLED
        if traded and event["shares"] * side[s] < 0:
            assert found[s] is None
            reason = "profit_target" if event["kind"] == EventKind.TARGET else Reason(event["reason"]).name.lower()
            found[s] = int(event["row"]), reason, float(event["reference"])
    return found


def test_ten_thousand_paths_end_as_a_naive_walk_ends_them():
    rng = np.random.default_rng(20_240_601)
    seen = {}
    for _ in range(PATHS // AT_ONCE):
        rules, (bars, split, paid) = draw_rules(rng), draw_paths(rng, AT_ONCE)
        dates = np.cumsum(rng.choice([1, 1, 1, 3, 4], SESSIONS))
        side = np.where(rng.random(AT_ONCE) < 0.5, 1.0, -1.0)
        atr = np.where(rng.random(AT_ONCE) < 0.2, np.nan, rng.uniform(0.5, 8.0, AT_ONCE))
        ours = compiled(side, atr, bars, split, paid, dates, rules)
        day, ratios, cash = dates.tolist(), split.T.tolist(), paid.T.tolist()
        for s in range(AT_ONCE):
            path = [None if math.isnan(bar[0]) else tuple(bar) for bar in bars[:, s].tolist()]
            theirs = walk(side[s], path[0][0], atr[s], path, rules, ratios[s], cash[s], day)
            assert (ours[s] is None) == (theirs is None), (s, ours[s], theirs, rules)
            if theirs is None:
                continue
            assert ours[s][:2] == theirs[:2], (s, ours[s], theirs, rules)
            assert ours[s][2] == pytest.approx(theirs[2], rel=1e-9)
            gapped = theirs[2] == path[theirs[0]][0]
            seen[theirs[1], side[s], gapped] = seen.get((theirs[1], side[s], gapped), 0) + 1
    kinds = ("hard_stop", "trailing_stop", "volatility_stop", "profit_target")
    assert all(seen.get((kind, side, gapped), 0) > 20 for kind in kinds for side in (1.0, -1.0) for gapped in (True, False)), seen
    assert seen["time_stop", 1.0, True] > 100 and seen["time_stop", -1.0, True] > 100
