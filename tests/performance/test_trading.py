"""Costs, turnover, exposure and the flat summary, on figures made by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mech_exo.kernels.records import DAY, EVENT
from mech_exo.performance.attribution import TRADE
from mech_exo.performance.metrics import summary
from mech_exo.performance.trading import (
    account_returns,
    activity,
    costs,
    exposure,
    gross_returns,
    opening_nav,
    trade_statistics,
    turnover_ann,
)
from tests.reporting.sample import Sample, weekdays

ISSUE_KEYS = ["cagr", "volatility_ann", "sharpe", "sortino", "max_drawdown", "calmar", "turnover_ann", "total_costs", "orders", "stop_outs"]
MORE_KEYS = ["fills", "final_equity", "total_return", "exposure", "win_rate", "profit_factor", "commission", "slippage", "cost_share"]


def make_days(nav, **columns):
    days = np.zeros(len(nav), DAY)
    days["nav"] = nav
    for name, values in columns.items():
        days[name] = values
    return days


def test_costs_turnover_and_opening_nav():
    days = make_days(
        [1090.0, 1180.0], flow=[0.0, 50.0], price_pnl=[100.0, 45.0], dividends=[2.0, 3.0], interest=[1.0, 0.0], borrow=[3.0, 0.0],
        commission=[4.0, 2.0], slippage=[6.0, 6.0], traded=[1000.0, 500.0],
    )  # fmt: skip
    assert opening_nav(days) == pytest.approx(1000.0)
    paid = costs(days)
    assert (paid.gross, paid.commission, paid.slippage, paid.borrow) == pytest.approx((151.0, 6.0, 12.0, 3.0))
    assert paid.net == pytest.approx(1180 - 1000 - 50)
    assert paid.share == pytest.approx(21 / 151)
    assert turnover_ann(days) == pytest.approx(1500 / 2 / 1135 * 252 / 2)
    assert account_returns(days).tolist() == pytest.approx([0.09, 1130 / 1090 - 1])


def test_gross_returns_put_each_sessions_costs_back_on_the_nav_before_it():
    days = make_days([1090.0, 1180.0], flow=[0.0, 50.0], price_pnl=[100.0, 45.0], borrow=[3.0, 0.0], commission=[4.0, 2.0], slippage=[3.0, 3.0])
    assert opening_nav(days) == pytest.approx(1000.0)
    assert gross_returns(days).tolist() == pytest.approx([0.1, (1180 - 50 + 5) / 1090 - 1])
    m = summary(weekdays(2), days, np.zeros(0, TRADE))
    assert m["gross_total_return"] == pytest.approx(1.1 * (1135 / 1090) - 1) and m["cost_drag_ann"] == pytest.approx(m["gross_cagr"] - m["cagr"])


def test_without_costs_gross_is_net_and_with_them_never_below():
    free = make_days([1090.0, 1180.0, 900.0], price_pnl=[90.0, 90.0, -280.0])
    assert gross_returns(free).tolist() == account_returns(free).tolist()
    sample = Sample()
    assert (gross_returns(sample.days) >= account_returns(sample.days)).all() and sample.metrics["gross_cagr"] > sample.metrics["cagr"]
    assert np.isnan(gross_returns(make_days([100.0, -5.0, 3.0], price_pnl=[0.0, -105.0, 8.0]))[1:]).all()


def test_a_share_of_a_gross_loss_is_not_a_number():
    days = make_days([990.0], price_pnl=[-5.0], commission=[5.0])
    assert math.isnan(costs(days).share) and costs(days).total == 5.0


def test_an_empty_account_opens_with_its_first_deposit():
    days = make_days([1010.0, 1111.0], flow=[1000.0, 0.0], price_pnl=[10.0, 101.0])
    assert account_returns(days).tolist() == pytest.approx([0.01, 0.1])


def test_exposure_is_unknown_without_a_positive_nav():
    days = make_days([100.0, -5.0], long_value=[80.0, 80.0], short_value=[-30.0, 0.0])
    gross, net = exposure(days)
    assert gross[0] == pytest.approx(1.1) and net[0] == pytest.approx(0.5) and np.isnan([gross[1], net[1]]).all()


def test_trade_statistics_by_hand():
    trades = np.zeros(5, TRADE)
    trades["pnl"] = [100.0, -50.0, 0.0, 40.0, 999.0]
    trades["nav_fraction"] = trades["pnl"] / 10_000
    trades["open"] = [False] * 4 + [True]
    trades["holding"] = [1, 2, 3, 4, 9]
    done = trade_statistics(trades)
    assert (done.closed, done.open, done.wins, done.win_rate) == (4, 1, 2, 0.5)
    assert done.profit_factor == pytest.approx(140 / 50) and done.payoff == pytest.approx(70 / 50)
    assert done.expectancy == pytest.approx(22.5) and done.average_holding == 2.5
    assert (done.best, done.worst) == (0.01, -0.005)
    assert math.isnan(trade_statistics(trades[[0, 3]]).profit_factor)


def test_summary_has_every_key_and_agrees_with_its_parts():
    sample = Sample()
    m = sample.metrics
    assert not [key for key in ISSUE_KEYS + MORE_KEYS if m.get(key) is None]
    assert m["total_costs"] == pytest.approx(m["commission"] + m["slippage"] + m["borrow"])
    assert m["final_equity"] - m["initial_equity"] - m["net_flow"] == pytest.approx(m["net_pnl"], abs=1e-6)
    assert m["gross_pnl"] - m["total_costs"] == pytest.approx(m["net_pnl"], abs=1e-6)
    assert m["orders"] - m["fills"] == m["unfilled"] == 8
    assert m["stop_outs"] == activity(sample.events).stop_outs > 0
    assert m["win_rate"] == pytest.approx((sample.trades.filter(~sample.trades["open"])["pnl"] > 0).mean())
    json.dumps(m, allow_nan=False)


@pytest.mark.parametrize("nav", [[], [100.0], [100.0, 100.0, 100.0], [100.0, -20.0, 30.0], [0.0, 0.0], [float("nan"), 3.0]])
def test_summary_of_a_strange_account_is_unknown_never_zero(nav):
    days = make_days(nav, price_pnl=np.diff(nav, prepend=100.0) if nav else [])
    m = summary(weekdays(len(nav)), days, np.zeros(0, TRADE), events=np.zeros(0, EVENT))
    json.dumps(m, allow_nan=False)
    unknown = ["sharpe", "sortino", "calmar", "win_rate", "profit_factor", "worst_trade_loss", "beta", "benchmark_cagr", "sharpe_low", "omega"]
    for key in [*unknown, "tail_ratio", "value_at_risk_95", "probabilistic_sharpe", "alpha_t", "up_capture", "gross_sharpe", "capacity_usd"]:
        assert m[key] is None, key
    assert m["orders"] == 0


def test_without_events_counts_are_unknown():
    m = summary(weekdays(2), make_days([100.0, 101.0]), np.zeros(0, TRADE))
    assert m["orders"] is None and m["stop_outs"] is None
