"""Where only reductions pass, nothing grows: neither what an earlier session left of an order, nor what is left of a book by a filter."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.backtest import EventBacktester, limit, shares
from mech_exo.backtest.stage import Stage
from mech_exo.decision.orders import clear_plan, deleverage, settle
from mech_exo.decision.rows import chosen
from mech_exo.decision.strategy import Strategy, night_buffers
from mech_exo.decision.weighing import decide_weighed
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.account import new_account, new_book, new_days
from mech_exo.kernels.records import OrderKind, Outcome, Reason, RiskState
from mech_exo.risk.rules import Rule, Sight
from mech_exo.utils.settings import (
    Config,
    CostModel,
    PortfolioLimits,
    PositionLimits,
    RiskLimits,
    Schedule,
    SizingRules,
    StopRules,
    StrategyConfig,
)
from tests.backtest.driving import sample, sized_config

FREE = {"commission": "custom", "per_share": 0.0, "fraction": 0.0, "min_order": 0.0, "slippage_bps": 0.0, "cash_rate": 0.0, "margin_rate": 0.0}


def panel_of(closes, volume=1000.0):
    """One symbol: each bar is (open, close)."""
    opens, ends = np.array(closes, np.float64).T
    days = np.datetime64("2024-01-02") + np.arange(len(closes))
    bars = {"open": opens, "high": np.maximum(opens, ends), "low": np.minimum(opens, ends), "close": ends, "volume": np.full(len(ends), volume)}
    return BarPanel.from_arrays(days, ["AAA"], {name: values[:, None] for name, values in bars.items()})


def held(closes, wish, **book):
    """Shares after each session of who wishes ``wish`` at the first close alone; a session's volume lets 100 shares through."""
    wide = {"max_gross_exposure": 4.0, "max_net_exposure": 4.0, "max_leverage": 4.0, "max_drawdown": 1.0}
    limits = RiskLimits(
        position_sizing=PositionLimits(max_single_trade_risk=1.0, max_sector_exposure=None, max_position=4.0, gap_stress=None),
        portfolio=PortfolioLimits(**(wide | book)), governor=None, margin=None, stops=StopRules.none(),
    )  # fmt: skip
    costs = CostModel(**FREE, participation=0.1)
    result = EventBacktester(
        panel_of(closes), lambda view, _: wish if view.row == 0 else None, costs=costs, initial_cash=100_000.0, limits=limits
    ).run()
    bought = np.zeros(len(closes))
    for event in result.events[result.events["outcome"] == Outcome.FILLED]:
        bought[event["row"]] += event["shares"]
    return np.cumsum(bought).tolist(), [RiskState(code).name for code in result.days["state"]]


FALLING = [(100, 100), (100, 100), (100, 60), (60, 60), (60, 60)]


@pytest.mark.parametrize("limit_", [{"max_daily_loss": 0.05}, {"max_all_time_drawdown": 0.05}, {"max_drawdown": 0.05}])
def test_what_is_left_of_an_order_does_not_enlarge_where_only_reductions_pass(limit_):
    """500 were wanted, 100 a session: beyond a limit the rest of the purchase is given up, as a decision of that night would be denied."""
    assert held(FALLING, shares({"AAA": 500}))[0] == [0, 100, 200, 300, 400]
    owned, states = held(FALLING, shares({"AAA": 500}), **limit_)
    assert states[2] == "REDUCING" and owned == [0, 100, 200, 200, 200]
    short, _ = held([(200 - a, 200 - b) for a, b in FALLING], shares({"AAA": -500}), **limit_)
    assert short == [0, -100, -200, -200, -200]


def test_a_resting_limit_order_does_not_enlarge_either():
    bars = [(100, 100), (95, 40), (95, 95), (90, 90)]
    owned, _ = held(bars, shares({"AAA": limit(500, price=96.0, keep=True)}), max_all_time_drawdown=0.05)
    assert owned == [0, 100, 100, 100]


def test_an_order_that_turns_a_position_only_closes_it_where_a_share_of_it_must_leave():
    """Of 100 sold and 150 ordered away 50 were to be short: sized for more exposure, and no reduction."""
    book = new_book(3)
    book["shares"], book["order"], book["order_kind"] = (100.0, -100.0, 100.0), (-150.0, 150.0, -60.0), int(OrderKind.MARKET_ON_OPEN)
    deleverage(0.5, int(Reason.GOVERNOR), book, np.arange(3), 3, 1.0)
    assert book["order"].tolist() == [-100.0, 100.0, -60.0]


def test_what_a_dropped_hedge_allowed_is_not_bought():
    """The short is cut to 39,000 USD, less than a position must be worth, and dropped: without it the longs are 120 % net, 85 % is allowed."""
    limits = RiskLimits(
        position_sizing=PositionLimits(max_single_trade_risk=0.39, max_sector_exposure=None, max_position=4.0, gap_stress=None),
        portfolio=PortfolioLimits(max_gross_exposure=4.0, max_net_exposure=0.85, max_leverage=4.0), governor=None, margin=None,
    )  # fmt: skip
    strategy = Strategy(Config(strategy=StrategyConfig(sizing=SizingRules(min_position_value=40_000.0)), risk=limits))
    book, live, account, days = new_book(3), np.zeros(3, np.int64), new_account(100_000.0), new_days(1)
    for name, value in {"nav": 100_000.0, "index": 1.0, "long_value": 0.0, "short_value": 0.0, "scale": 1.0}.items():
        days[name] = value
    night = night_buffers(3, strategy.rules.limits)
    clear_plan(night.plan)
    night.plan["wanted"], night.plan["stop"] = (600.0, 600.0, -450.0), (90.0, 90.0, 300.0)
    sight = Sight(np.full(3, 100.0), np.zeros(3, np.int16), np.empty(0, np.int8))
    settle(0, 1.0, sight, book, live, account, days, night, strategy.rules)
    assert night.plan["target"].tolist() == book["order"].tolist() == [425.0, 425.0, 0.0]
    assert Rule(int(night.plan["filter"][2])) is Rule.MINIMUM_VALUE


def test_a_book_that_waits_for_a_signal_is_weighed_anew_where_the_governor_lets_it_grow():
    """Names selected are names held: only the governor's share rises. The weights are tonight's, not those of an earlier decision."""
    panel, universe = sample(seed=11)
    config = sized_config(method="risk_parity", covariance_window=60)
    config = config.model_copy(update={"strategy": config.strategy.model_copy(update={"schedule": Schedule(every="signal")})})
    strategy, t = Strategy(config), 400
    stage = Stage.empty(panel, strategy, np.zeros(len(panel.sessions)))
    features, _ = strategy.features(panel, universe, np.array([t], np.int64))
    names, longs = chosen(0, features, stage.book, strategy.rules.sizing)
    stage.book["shares"][names] = np.where(np.arange(len(names)) < longs, 10.0, -10.0)
    for name in ("mark", "entry", "best"):
        stage.book[name][names] = panel.close[t, names]
    stage.live[: len(names)], stage.account["live"] = np.sort(names), len(names)
    for name, value in {"nav": 100_000.0, "index": 1.0, "long_value": 0.0, "short_value": 0.0, "scale": 0.5}.items():
        stage.days[name][t - 1 : t + 1] = value
    stage.night.weights[:] = 0.5  # of an earlier decision
    decide_weighed(t, 0, stage.bars, features, stage.book, stage.live, stage.account, stage.days, stage.night, strategy.rules)
    assert stage.days["scale"][t] == 1.0
    assert stage.night.weights[names].sum() == pytest.approx(1.0)
