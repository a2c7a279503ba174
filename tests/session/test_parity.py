"""One decision path: paper sessions stepped one by one give exactly the backtest's fills and NAV."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import numpy as np

from mech_exo.assembly import Workspace
from mech_exo.backtest.engine import EventBacktester
from mech_exo.backtest.result import BacktestResult
from mech_exo.execution.ledger import Ledger
from mech_exo.kernels.records import EventKind, Outcome, Reason
from mech_exo.session import run_night
from mech_exo.utils.calendar import sessions
from tests.session.stage import set_line


def paper_equals_backtest(home: Path, start: date, end: date) -> BacktestResult:
    """Step the paper book through every session, each night from the store as of that night, and compare with history."""
    workspace = Workspace.open(home)
    days = [day.astype(object) for day in sessions(start, end)]
    with workspace.ledger() as ledger:
        desks = workspace.desks(ledger)
        for day in days:
            night = run_night(desks, day)
            assert night.gate.clean, night.gate.breaks
        book = workspace.book_id()
        paper = sorted((f.fill.session, f.fill.symbol, f.fill.shares, f.fill.price, f.fill.commission) for f in ledger.fills(book))
        booked, navs, _ = ledger.nav_history(book)
        shares = [row.day.scale for row in ledger.day_history(book)]
        assert ledger.verify().sound
    known = workspace.known()
    result = EventBacktester(known.panel, workspace.strategy, universe=known.universe).run(start, end)
    history = sorted(result.fills.select("date", "symbol", "shares", "price", "commission").iter_rows())
    assert paper == history
    assert (booked == result.sessions).all()
    assert np.array_equal(navs, result.days["nav"])
    assert np.array_equal(shares, result.days["scale"])
    return result


def told_otherwise(workspace: Workspace, ledger: Ledger, nights: np.ndarray) -> list[date]:
    """The journaled nights that are not decided again byte for byte."""
    return [night for night in nights.astype(object) if not workspace.replay(ledger, night).identical]


CAMPAIGN = "EXO_TEST_KILLS" in os.environ
SPAN = (date(2007, 9, 4), date(2009, 8, 31)) if CAMPAIGN else (date(2008, 11, 6), date(2009, 2, 20))
"""500 sessions around the fall of 2008; a run that is no campaign takes the bottom of it, hardly longer than a time stop: every reason to
trade occurs within it."""


def test_real_sessions_one_by_one(real_home: Path) -> None:
    result = paper_equals_backtest(real_home, *SPAN)
    assert len(result.sessions) >= (500 if CAMPAIGN else 70)
    assert len(result.fills) > 200
    assert {"rebalance", "hard_stop", "trailing_stop", "profit_target", "time_stop", "governor"} <= set(result.fills["reason"])


def test_sample_sessions_with_a_split_and_dividends(sample: Path) -> None:
    start = date(2020, 6, 1)
    workspace = Workspace.open(sample)
    known = workspace.known()
    whole = EventBacktester(known.panel, workspace.strategy, universe=known.universe).run(start)
    split = next(event["row"] for event in whole.events if event["kind"] == EventKind.SPLIT)
    first = max(0, split - split % 21 - 21)  # the same decision sessions, so the same name is held when it splits
    result = paper_equals_backtest(sample, whole.sessions[first].astype(object), whole.sessions[split + 5].astype(object))
    assert {EventKind.SPLIT, EventKind.DIVIDEND} <= {EventKind(kind) for kind in result.events["kind"].tolist()}


def test_sample_sessions_with_little_volume_and_borrowed_money(sample: Path) -> None:
    """Orders that take many sessions, a weekly schedule, margin calls: paper orders the rests of the evening before anew."""
    strategy, limits = sample / "config" / "strategy.yml", sample / "config" / "risk_limits.yml"
    set_line(strategy, "  participation: null", "  participation: 0.00001")
    set_line(strategy, "  every: sessions", "  every: week")
    set_line(strategy, "  spread_estimate: 0.0", "  spread_estimate: 1.0")
    set_line(strategy, "  target_volatility: 0.12", "  target_volatility: null")
    set_line(strategy, "  gross_exposure: 1.0", "  gross_exposure: 1.4")
    set_line(limits, "  max_net_exposure: 1.0", "  max_net_exposure: 1.5")
    set_line(limits, "  maintenance_long: 0.25", "  maintenance_long: 0.9")
    result = paper_equals_backtest(sample, date(2020, 6, 1), date(2020, 7, 10))
    outcomes = {Outcome(code).name for code in result.events["outcome"].tolist()}
    reasons = {Reason(code).name for code in result.events["reason"].tolist()}
    assert "CARRIED" in outcomes and "MARGIN_CALL" in reasons
    workspace = Workspace.open(sample)
    with workspace.ledger(read_only=True) as ledger:
        partly = [order for order in ledger.orders(workspace.book_id()) if 0 < abs(order.filled) < abs(order.order.shares)]
        assert partly and all("ordered anew" in order.note or "ended with a stop or target" in order.note for order in partly)
        assert any("ordered anew" in order.note for order in partly)
        assert told_otherwise(workspace, ledger, result.sessions[::9]) == []


def test_sample_sessions_of_a_long_short_book_decided_on_signal(sample: Path) -> None:
    """Decided at any close, sized by ATR, with stops that replace what is still ordered: every evening is told again to the last bit."""
    strategy, limits = sample / "config" / "strategy.yml", sample / "config" / "risk_limits.yml"
    set_line(strategy, "  every: sessions", "  every: signal")
    set_line(strategy, "  top: 30", "  top: 8")
    set_line(strategy, "  bottom: 0", "  bottom: 6")
    set_line(strategy, "  method: volatility_based", "  method: atr_based")
    set_line(strategy, "  participation: null", "  participation: 0.00003")
    set_line(limits, "  volatility_atr: null", "  volatility_atr: 3.0")
    set_line(limits, "  time_sessions: 60", "  time_sessions: 9")
    result = paper_equals_backtest(sample, date(2020, 6, 1), date(2020, 7, 2))
    assert {"carried", "ended"} <= set(result.orders["outcome"])
    assert {"time_stop", "volatility_stop"} <= set(result.fills["reason"])
    assert (result.days["short_value"] < 0.0).any()
    workspace = Workspace.open(sample)
    with workspace.ledger(read_only=True) as ledger:
        assert told_otherwise(workspace, ledger, result.sessions[::5]) == []


def test_sample_sessions_of_a_governed_book(sample: Path) -> None:
    """A drawdown limit so tight that the governor is at work every week, with orders that take several sessions, and days counted as days."""
    strategy, limits = sample / "config" / "strategy.yml", sample / "config" / "risk_limits.yml"
    set_line(strategy, "  every: sessions", "  every: week")
    set_line(strategy, "  participation: null", "  participation: 0.00003")
    set_line(limits, "  max_drawdown: 0.10", "  max_drawdown: 0.03")
    set_line(limits, "  soft_drawdown: null", "  soft_drawdown: 0.002")
    set_line(limits, "  wait_sessions: 0", "  wait_sessions: 3")
    set_line(limits, "  time_days: null", "  time_days: 45")
    set_line(limits, "  adjust_for_dividends: false", "  adjust_for_dividends: true")
    result = paper_equals_backtest(sample, date(2020, 6, 1), date(2020, 7, 24))
    scale = result.days["scale"]
    assert {"governor", "time_stop"} <= set(result.fills["reason"]) and "carried" in set(result.orders["outcome"])
    assert (np.diff(scale) < 0.0).sum() > 3 and (np.diff(scale) > 0.0).sum() > 1
    workspace = Workspace.open(sample)
    with workspace.ledger(read_only=True) as ledger:
        assert told_otherwise(workspace, ledger, result.sessions[::6]) == []


def test_a_night_that_was_not_run_orders_nothing_and_the_next_one_makes_the_governor_good(sample: Path) -> None:
    limits = sample / "config" / "risk_limits.yml"
    set_line(limits, "  max_drawdown: 0.10", "  max_drawdown: 0.03")
    set_line(limits, "  soft_drawdown: null", "  soft_drawdown: 0.002")
    workspace = Workspace.open(sample)
    known = workspace.known()
    whole = EventBacktester(known.panel, workspace.strategy, universe=known.universe).run(date(2020, 6, 1), date(2020, 9, 30))
    fallen = np.flatnonzero(np.diff(whole.days["scale"]) < 0.0) + 1
    row = next(int(row) for row in fallen if (row + 1) % 21 and row % 21)  # a night at which nothing else is decided
    nights = [day.astype(object) for day in whole.sessions]
    with workspace.ledger() as ledger:
        desks = workspace.desks(ledger)
        for night in (*nights[:row], nights[row + 1]):
            result = run_night(desks, night)
        days = [booked.day.scale for booked in ledger.day_history(workspace.book_id())]
    assert result.missed == (nights[row],)
    assert days[row] == days[row - 1] == whole.days["scale"][row - 1]
    assert result.decision is not None and not result.decision.scheduled
    reduced = [order for order in result.decision.orders if order.reason == "governor"]
    assert bool(reduced) == (days[row + 1] < days[row])
    assert reduced or whole.days["scale"][row + 1] > whole.days["scale"][row]


def test_sample_sessions_sized_by_an_optimiser_and_by_measured_kelly(sample: Path) -> None:
    """Kelly counts the trades that the ledger remembers, risk parity sizes until then, and what does not pay is not sent: as in history."""
    strategy, limits = sample / "config" / "strategy.yml", sample / "config" / "risk_limits.yml"
    set_line(strategy, "  every_sessions: 21", "  every_sessions: 3")
    set_line(strategy, "  top: 30", "  top: 10")
    set_line(strategy, "  bottom: 0", "  bottom: 4")
    set_line(strategy, "  method: volatility_based", "  method: kelly")
    set_line(strategy, "  until_measured: null", "  until_measured: risk_parity")
    set_line(strategy, "  kelly_min_trades: 50", "  kelly_min_trades: 10")
    set_line(strategy, "  covariance_window: 252", "  covariance_window: 60")
    set_line(strategy, "    multiple: null", "    multiple: 0.2")
    set_line(strategy, "  min_position_value: 0.0", "  min_position_value: 500.0")
    set_line(limits, "  time_sessions: 60", "  time_sessions: 5")
    result = paper_equals_backtest(sample, date(2020, 6, 1), date(2020, 7, 10))
    days = result.days
    assert days["wins"].sum() + days["losses"].sum() >= 10, "enough trades to measure"
    assert any("risk_parity sized at" in warning for warning in result.warnings)
    workspace = Workspace.open(sample)
    with workspace.ledger(read_only=True) as ledger:
        assert told_otherwise(workspace, ledger, result.sessions[::6]) == []
        booked = [day.day for day in ledger.day_history(workspace.book_id())]
        for name in ("wins", "losses", "gains", "forfeits"):
            assert [getattr(day, name) for day in booked] == days[name].tolist()
