"""Capacity: the NAV at which impact eats the edge, by hand and by playing the orders again at that size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.kernels.records import DAY, EVENT, Bars, EventKind, Outcome
from mech_exo.performance.attribution import TRADE
from mech_exo.performance.capacity import WINDOW, capacity
from mech_exo.performance.metrics import summary
from tests.reporting.sample import weekdays

SESSIONS = 60


def market(volume=10_000.0):
    rng = np.random.default_rng(3)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0, 0.02, (SESSIONS, 2)), axis=0))
    ones = np.ones(close.shape)
    return Bars(close, close, close, close, ones * volume, ones, ones * 0, np.full(2, SESSIONS), np.full(2, np.nan))


def account(bars, rows=(30, 35, 40, 50), shares=(200, -200, 300, -300), edge=5000.0):
    events, days = np.zeros(len(rows), EVENT), np.zeros(SESSIONS, DAY)
    events["row"], events["symbol"], events["shares"] = rows, [0, 0, 1, 1], shares
    events["price"] = events["reference"] = bars.close[list(rows), [0, 0, 1, 1]]
    days["nav"], days["price_pnl"], days["commission"], days["slippage"] = 100_000.0, (edge + 100) / SESSIONS, 100 / SESSIONS, 3.0
    return days, events


def naive_impact(bars, events, times=1.0):
    """Σ value × σ × sqrt(shares / ADV), each fill by itself."""
    paid = 0.0
    for e in events:
        before = bars.close[e["row"] - WINDOW : e["row"], e["symbol"]]
        sigma = (before[1:] / before[:-1] - 1).std(ddof=1)
        volume = bars.volume[e["row"] - WINDOW : e["row"], e["symbol"]].mean()
        size = abs(e["shares"]) * times
        paid += size * e["price"] * sigma * math.sqrt(size / volume)
    return paid


def test_at_its_capacity_the_impact_of_the_enlarged_orders_is_the_enlarged_edge():
    bars = market()
    days, events = account(bars)
    found = capacity(days, events, bars)
    assert (found.edge, found.known) == (pytest.approx(5000.0), 1.0)  # slippage as recorded is put back: impact stands in its place
    assert found.impact == pytest.approx(naive_impact(bars, events))
    times = found.nav / 100_000.0
    assert naive_impact(bars, events, times) == pytest.approx(5000.0 * times)


def test_four_times_the_volume_carries_four_times_the_money():
    bars, deep = market(), market(40_000.0)
    assert capacity(*account(deep), deep).nav == pytest.approx(4 * capacity(*account(bars), bars).nav)


def test_without_edge_fills_or_volume_it_is_unknown():
    bars = market()
    days, events = account(bars)
    assert math.isnan(capacity(*account(bars, edge=-1.0), bars).nav)
    assert math.isnan(capacity(days, events[:0], bars).nav)
    silent = market(0.0)
    assert math.isnan(capacity(*account(silent), silent).nav) and capacity(*account(silent), silent).known == 0.0
    early = account(bars, rows=(1, 35, 40, 50))  # a third of the traded value has no history before it
    assert math.isnan(capacity(*early, bars).nav) and capacity(*early, bars).known < 0.9


def test_only_executed_orders_count():
    bars = market()
    days, events = account(bars)
    other = events[:2].copy()
    other["outcome"], other["kind"] = [Outcome.NO_BAR, Outcome.FILLED], [EventKind.ORDER, EventKind.DELISTING]
    assert capacity(days, np.concatenate([events, other]), bars) == capacity(days, events, bars)


def test_the_summary_knows_it_with_bars_and_not_without():
    bars = market()
    days, events = account(bars)
    sessions, trades = weekdays(SESSIONS), np.zeros(0, TRADE)
    assert summary(sessions, days, trades, events=events)["capacity_usd"] is None
    assert summary(sessions, days, trades, events=events, bars=bars)["capacity_usd"] == capacity(days, events, bars).nav
