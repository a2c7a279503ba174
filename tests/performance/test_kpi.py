"""The KPI contract: each demand passes, fails, lacks data, at its threshold and beside it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mech_exo.performance.attribution import TRADE
from mech_exo.performance.intervals import cagr_interval, wilson_interval
from mech_exo.performance.kpi import Verdict, kpi_contract
from tests.performance.test_trading import make_days
from tests.reporting.sample import weekdays

PASS, FAIL, LACK, VOID = Verdict.PASS, Verdict.FAIL, Verdict.NOT_ENOUGH_DATA, Verdict.NOT_MEANINGFUL


def account(returns, **columns):
    nav = 100_000.0 * np.cumprod(1 + np.asarray(returns, float))
    return make_days(nav, price_pnl=np.diff(nav, prepend=100_000.0), **columns)


def make_trades(fractions, last=299, is_open=False):
    trades = np.zeros(len(fractions), TRADE)
    trades["nav_fraction"], trades["nav"] = fractions, 100_000.0
    trades["pnl"] = np.asarray(fractions) * 100_000.0
    trades["position"] = np.arange(len(fractions))
    trades["exit_row"], trades["open"] = last, is_open
    return trades


def steady(count, drift=0.001, wobble=0.004):
    return drift + wobble * np.where(np.arange(count) % 2, 1.0, -1.0)


def judge(days, trades, name, period="whole"):
    report = kpi_contract(weekdays(len(days)), days, trades)
    return next(kpi for kpi in getattr(report, period).kpis if kpi.name == name)


def test_a_good_account_passes_everything():
    trades = make_trades([0.01] * 20 + [-0.005] * 12)
    report = kpi_contract(weekdays(300), account(steady(300)), trades)
    assert report.whole.verdict is PASS and report.trailing.verdict is PASS
    assert report.trailing.sessions == 252 and report.whole.sessions == 300
    body = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert body["whole_period"]["sharpe"]["verdict"] == "pass" and len(body["whole_period"]["sharpe"]["interval"]) == 2


@pytest.mark.parametrize(("fall", "verdict"), [(0.0999, PASS), (0.1001, FAIL)])
def test_drawdown_at_its_limit(fall, verdict):
    returns = np.zeros(300)
    returns[100] = -fall
    assert judge(account(returns), make_trades([]), "max_drawdown").verdict is verdict


def test_a_broken_ceiling_fails_before_a_year_is_full_and_a_kept_one_lacks_data():
    assert judge(account([0.0, -0.2, 0.0]), make_trades([]), "max_drawdown").verdict is FAIL
    assert judge(account([0.0, -0.02, 0.0]), make_trades([]), "max_drawdown").verdict is LACK
    assert judge(account(steady(20)), make_trades([-0.021], 10), "worst_trade_loss").verdict is FAIL
    assert judge(account(steady(20)), make_trades([-0.019], 10), "worst_trade_loss").verdict is LACK


def test_a_negative_nav_fails_the_drawdown_although_it_has_no_number():
    kpi = judge(make_days([100.0, -50.0], price_pnl=[0.0, -150.0]), make_trades([]), "max_drawdown")
    assert kpi.verdict is FAIL and math.isnan(kpi.value)


def test_an_old_fall_leaves_the_trailing_year_but_not_the_whole_period():
    returns = steady(400)
    returns[50] = -0.2
    assert judge(account(returns), make_trades([]), "max_drawdown", "trailing").verdict is PASS
    assert judge(account(returns), make_trades([]), "max_drawdown").verdict is FAIL


@pytest.mark.parametrize(("drift", "verdict"), [(0.0, FAIL), (0.001, PASS)])
def test_cagr_and_sharpe_above_their_floors(drift, verdict):
    days = account(steady(300, drift))
    assert judge(days, make_trades([]), "cagr").verdict is verdict
    assert judge(days, make_trades([]), "sharpe").verdict is verdict
    assert judge(account(steady(251, drift)), make_trades([]), "cagr").verdict is LACK


@pytest.mark.parametrize(("cost", "verdict"), [(24.9, PASS), (25.1, FAIL)])
def test_cost_share_at_its_limit(cost, verdict):
    days = make_days(np.linspace(1000.0, 1100.0, 260), price_pnl=100.0 / 260, slippage=cost / 260)
    assert judge(days, make_trades([]), "cost_share").verdict is verdict


def test_costs_of_a_gross_loss_are_not_meaningful():
    kpi = judge(account(steady(300, -0.001)), make_trades([]), "cost_share")
    assert kpi.verdict is VOID and math.isnan(kpi.value) and "not above 0" in kpi.note


@pytest.mark.parametrize(("wins", "losses", "verdict"), [(17, 12, LACK), (17, 13, PASS), (16, 14, FAIL), (11, 9, LACK), (22, 18, FAIL)])
def test_win_rate_needs_thirty_trades_and_more_than_55_percent(wins, losses, verdict):
    trades = make_trades([0.01] * wins + [-0.001] * losses)
    assert judge(account(steady(300)), trades, "win_rate").verdict is verdict


def test_only_recent_trades_count_in_the_trailing_year_but_open_ones_always():
    old, running = make_trades([-0.05], last=10), make_trades([-0.03], is_open=True)
    both = np.concatenate([old, running])
    both["position"] = [0, 1]
    assert judge(account(steady(300)), both, "worst_trade_loss", "trailing").value == pytest.approx(0.03)
    assert judge(account(steady(300)), both, "worst_trade_loss").value == pytest.approx(0.05)


def test_wilson_interval_by_hand_and_without_trials():
    found = wilson_interval(8, 10)
    assert (found.low, found.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert math.isnan(wilson_interval(0, 0).low)


def test_cagr_interval_covers_the_log_growth_and_narrows_with_time():
    r = steady(252)
    short, long = cagr_interval(r), cagr_interval(np.tile(r, 4))
    middle = math.expm1(252 * np.log1p(r).mean())
    assert short.low < middle < short.high and (long.high - long.low) < (short.high - short.low)
    assert math.isnan(cagr_interval(np.array([0.1, -1.0])).low)


def test_an_account_without_sessions_lacks_everything():
    report = kpi_contract(weekdays(0), make_days([]), make_trades([]))
    assert {kpi.verdict for kpi in report.whole.kpis} == {LACK} and report.whole.start is None
    json.dumps(report.as_dict(), allow_nan=False)


def test_every_figure_has_an_interval_or_says_why_not_and_how_it_is_made_annual():
    trades = make_trades([0.01] * 20 + [-0.005] * 12, last=599)
    days = account(steady(600), commission=5.0)
    for period in kpi_contract(weekdays(600), days, trades, 0.02).as_dict().values():
        figures = {name: kpi for name, kpi in period.items() if isinstance(kpi, dict)}
        assert {name for name, kpi in figures.items() if kpi["interval"] is None} == {"worst_trade_loss"}
        assert "no interval" in figures["worst_trade_loss"]["note"]
        assert {name: kpi["annualisation"] for name, kpi in figures.items() if kpi["annualisation"]} == {"sharpe": 252, "cagr": 252}
        assert {name: kpi["risk_free"] for name, kpi in figures.items() if kpi["risk_free"] is not None} == {"sharpe": 0.02}
        assert "252" in figures["sharpe"]["note"] and "2.00%" in figures["sharpe"]["note"] and "252" in figures["cagr"]["note"]
        for name in ("max_drawdown", "cost_share"):
            low, high = figures[name]["interval"]
            assert 0 <= low <= high and "bootstrap" in figures[name]["interval_method"] and "seed" in figures[name]["interval_method"]


def test_a_short_record_has_no_interval_of_its_drawdown_and_says_so():
    kpi = judge(account(steady(20)), make_trades([]), "max_drawdown")
    assert kpi.as_dict()["interval"] is None and "no interval" in kpi.note and math.isfinite(kpi.value)


def test_a_cost_share_whose_gross_gain_is_chance_has_no_interval_and_says_so():
    rng = np.random.default_rng(0)
    returns = rng.normal(0, 0.01, 300)
    kpi = judge(account(returns - returns.mean() + 0.0001, slippage=1.0), make_trades([]), "cost_share")
    assert math.isfinite(kpi.value) and kpi.as_dict()["interval"] is None and "not above 0" in kpi.note
