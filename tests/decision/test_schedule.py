"""When the book is decided: by sessions, calendar periods or a signal; told from the past alone."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from mech_exo.backtest.engine import EventBacktester
from mech_exo.decision.strategy import Strategy
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import EventKind, Outcome
from mech_exo.utils import calendar
from mech_exo.utils.settings import Config, Schedule, Selection, SizingRules, StrategyConfig
from tests.backtest.driving import default_config, sample

SESSIONS = calendar.sessions(date(2019, 1, 2), date(2020, 12, 31))


def panel(sessions=SESSIONS) -> BarPanel:
    flat = np.ones((len(sessions), 1))
    return BarPanel.from_arrays(sessions, ["AAA"], dict.fromkeys(("open", "high", "low", "close", "volume"), flat))


def decided(began=0, first=0, sessions=SESSIONS, **schedule) -> list[date]:
    strategy = Strategy(Config(strategy=StrategyConfig(schedule=Schedule(**schedule))))
    rows = strategy.decision_rows(panel(sessions), began, first, len(sessions))
    return [day.astype(object) for day in sessions[rows]]


@pytest.mark.parametrize(("every", "period"), [("week", "%G-%V"), ("month", "%Y-%m"), ("quarter", None)])
def test_the_first_session_of_each_period_decides(every, period):
    def name(day):
        return day.strftime(period) if period else (day.year, (day.month - 1) // 3)

    first = {}
    for day in (session.astype(object) for session in SESSIONS):
        first.setdefault(name(day), day)
    assert decided(every=every) == list(first.values())


def test_a_week_that_begins_with_a_holiday_begins_on_tuesday():
    assert {date(2019, 9, 3), date(2020, 5, 26)} <= set(decided(every="week"))  # after Labor Day and Memorial Day


def test_a_book_decides_at_its_first_close_whatever_the_day():
    began = int(np.searchsorted(SESSIONS, np.datetime64("2019-03-14")))
    assert decided(began=began, first=began, every="month")[:2] == [date(2019, 3, 14), date(2019, 4, 1)]


def test_tonight_is_judged_without_tomorrow():
    """Each night alone, with a panel that ends there, decides exactly the nights the whole history decides."""
    for every in ("sessions", "week", "month", "quarter"):
        strategy = Strategy(Config(strategy=StrategyConfig(schedule=Schedule(every=every, every_sessions=7))))
        alone = [t for t in range(200) if t in strategy.decision_rows(panel(SESSIONS[: t + 1]), 3, t, t + 1)]
        assert alone == [t for t in strategy.decision_rows(panel(), 3, 0, len(SESSIONS)).tolist() if t < 200]
        assert len(alone) > 2


def test_a_signal_trades_only_when_who_is_selected_is_not_who_is_held():
    market, universe = sample()
    shared = {"selection": Selection(top=3, max_sector_share=1.0), "sizing": SizingRules(method="equal_weight", target_volatility=None)}
    waiting = default_config(schedule=Schedule(every="signal"), **shared)
    free = waiting.model_copy(update={"risk": waiting.risk.off()})
    result = EventBacktester(market, free, universe=universe).run()
    table = Strategy(free).features(market, universe, np.arange(len(market.sessions)))[1]
    orders = result.events[result.events["kind"] == EventKind.ORDER]
    moved = result.events[(result.events["outcome"] == Outcome.FILLED) & (result.events["kind"] != EventKind.DIVIDEND)]
    traded = set(orders["row"].tolist())
    for t in traded:
        score = table.value[t - 1]
        best = set(np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")[: min(3, np.isfinite(score).sum())].tolist())
        before = moved[moved["row"] < t]
        shares = np.bincount(before["symbol"], before["shares"], len(market.symbols))
        assert best != set(np.flatnonzero(shares > 0.5).tolist()), "nobody trades on a night without news"
    assert 20 < len(traded) < len(market.sessions) // 2
