"""Cash never appears or vanishes: every session's change of NAV is explained, term by term, and the events say the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import EventKind, Outcome
from mech_exo.utils.settings import CostModel, RiskLimits, Schedule, Selection, SizingRules, StopRules
from tests.backtest.driving import busy_config, default_config, sample

CENT = 1e-6  # USD


@pytest.fixture(scope="module")
def market():
    return sample(seed=5, symbols=40, years=4)


def explained(result, cash):
    """The laws, on one result that began with ``cash`` USD."""
    days, events, close = result.days, result.events, result.panel.close
    assert np.isfinite(days["nav"]).all() and len(events) > 0
    before = np.concatenate([[cash], days["nav"][:-1]])
    terms = days["flow"] + days["price_pnl"] + days["dividends"] + days["interest"]
    terms = terms - days["borrow"] - days["commission"] - days["slippage"]
    assert np.abs(days["nav"] - before - terms).max() < CENT
    assert np.abs(days["nav"] - days["cash"] - days["long_value"] - days["short_value"]).max() < CENT

    caused = np.bincount(events["row"], events["cash"], len(days))
    cash_before = np.concatenate([[cash], days["cash"][:-1]])
    assert np.abs(days["cash"] - cash_before - days["flow"] - caused - days["interest"] + days["borrow"]).max() < CENT
    filled = events["outcome"] == Outcome.FILLED
    assert (events["cash"][~filled] == 0).all() and np.isnan(events["price"][~filled]).all()
    trades = filled & ~np.isin(events["kind"], (EventKind.SPLIT, EventKind.DIVIDEND))
    assert np.bincount(events["row"][trades], events["commission"][trades], len(days)) == pytest.approx(days["commission"], abs=CENT)

    moves = filled & (events["kind"] != EventKind.DIVIDEND)
    held, mark = np.zeros(close.shape[1]), np.full(close.shape[1], np.nan)
    for t in range(len(days)):
        today = events[moves & (events["row"] == t)]
        mark = mark / result.panel.split_ratio[t]
        np.add.at(held, today["symbol"], today["shares"])
        mark = np.where(np.isnan(close[t]), mark, close[t])
        value = np.where(held != 0, held * mark, 0.0)
        assert value[held > 0].sum() == pytest.approx(days["long_value"][t], abs=1e-4)
        assert value[held < 0].sum() == pytest.approx(days["short_value"][t], abs=1e-4)
    assert (days["index"] == pytest.approx(np.cumprod((days["nav"] - days["flow"]) / before), rel=1e-12))


def own_cash(result, cash):
    """``(T,)`` cash by a second bookkeeping: executions, dividends and cash in lieu from holdings and marks of its own, interest and
    borrow fees from the cost model's rates. Nothing of the engine's sums is read."""
    panel, costs = result.panel, result.config.strategy.costs
    held, mark = np.zeros(len(panel.symbols)), np.full(len(panel.symbols), np.nan)
    path = np.empty(len(result.days))
    by_row = [[] for _ in path]
    names = ("row", "symbol", "outcome", "kind", "shares", "price", "commission", "reference")
    for event in zip(*(result.events[name].tolist() for name in names), strict=True):
        by_row[event[0]].append(dict(zip(names, event, strict=True)))
    for t, happened in enumerate(by_row):
        cash += result.days["flow"][t]
        mark = mark / panel.split_ratio[t]
        for event in happened:
            s = event["symbol"]
            if event["outcome"] != Outcome.FILLED:
                continue
            if event["kind"] == EventKind.DIVIDEND:
                cash += held[s] * panel.dividend[t, s]
            elif event["kind"] == EventKind.SPLIT:
                exact, whole = held[s] * panel.split_ratio[t, s], held[s] + event["shares"]
                cash += (exact - whole) * mark[s] if abs(exact - whole) > 1e-9 else 0.0
                held[s] = whole
            else:
                cash -= event["shares"] * event["price"] + event["commission"]
                if held[s] == 0.0:
                    mark[s] = event["reference"]
                held[s] += event["shares"]
        mark = np.where(np.isnan(panel.close[t]), mark, panel.close[t])
        short = (held * np.where(held < 0, mark, 0.0)).sum()
        cash += cash * (costs.cash_rate if cash > 0 else costs.margin_rate) / 252 + short * costs.borrow_rate / 252
        path[t] = cash
    return path


@pytest.mark.parametrize("config", [default_config, busy_config], ids=["default", "busy"])
def test_sample_market(config, market):
    panel, universe = market
    flows = np.zeros(len(panel.sessions))
    flows[[100, 400, 401, 700]] = 5_000.0, 40_000.0, -10_000.0, -25_000.0
    result = EventBacktester(panel, config(), universe=universe, flows=flows).run()
    explained(result, 100_000.0)
    assert own_cash(result, 100_000.0) == pytest.approx(result.days["cash"], abs=CENT)
    assert result.days["flow"].sum() == 10_000.0
    assert (result.days["dividends"] != 0).any() and len(result.events) > 200


def test_real_prices(real_panel):
    """Twelve years of 582 stocks under the default strategy."""
    result = EventBacktester(real_panel, default_config()).run()
    assert len(result.events) == 0, "no sector is known, so the default sector limit denies everything"
    limits = RiskLimits().model_copy(update={"position_sizing": RiskLimits().position_sizing.model_copy(update={"max_sector_exposure": None})})
    config = default_config(selection={"top": 30}).model_copy(update={"risk": limits})
    result = EventBacktester(real_panel, config).run()
    explained(result, 100_000.0)
    assert len(result.events) > 1000


def test_real_prices_long_and_short(real_panel):
    """Twelve years of 582 stocks, decided every week, eighty names a side, with every cost there is."""
    free = RiskLimits().model_copy(update={"position_sizing": RiskLimits().position_sizing.model_copy(update={"max_sector_exposure": None})})
    config = default_config(
        schedule=Schedule(every_sessions=5),
        selection=Selection(top=80, bottom=80),
        sizing=SizingRules(target_volatility=None, gross_exposure=1.5, no_trade_buffer=0.0),
        costs=CostModel(impact=0.3, cash_rate=0.02, borrow_rate=0.03),
    ).model_copy(update={"risk": free.model_copy(update={"portfolio": free.portfolio.model_copy(update={"max_drawdown": 1.0})})})
    flows = np.zeros(len(real_panel.sessions))
    flows[[700, 1500, 2200]] = 50_000.0, -20_000.0, 75_000.0
    result = EventBacktester(real_panel, config, initial_cash=1e6, flows=flows).run()
    explained(result, 1e6)
    assert own_cash(result, 1e6) == pytest.approx(result.days["cash"], abs=CENT)
    days = result.days
    assert len(result.events) > 50_000 and (days["short_value"] < 0).sum() > 2_000 and (days["long_value"] > 0).sum() > 2_000
    assert all(days[name].sum() > 0 for name in ("borrow", "commission", "slippage")) and (days["flow"] != 0).sum() == 3


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_any_callable_is_explained(market, seed):
    """Random weights, long and short, with every cost there is."""
    panel, universe = market
    panel, universe = panel.rows(0, 80), universe.rows(0, 80)
    costs = CostModel(slippage_bps=20, impact=0.4, impact_window=5, cash_rate=0.05, borrow_rate=0.1)
    rng = np.random.default_rng(seed)
    wishes = {t: rng.uniform(-0.1, 0.1, 40) for t in range(80) if rng.random() < 0.3}

    def random_weights(view, portfolio):
        wish = wishes.get(view.row)
        if wish is None:
            return None
        return {name: weight for name, weight, price in zip(view.symbols, wish, view.price, strict=True) if price > 0}

    flows = np.where(rng.random(80) < 0.05, rng.uniform(-5_000, 20_000, 80), 0.0)
    explained(EventBacktester(panel, random_weights, universe=universe, costs=costs, stops=StopRules(), flows=flows).run(), 100_000.0)


def half_and_half(view, portfolio):
    return {"A": 0.5, "B": 0.3}


def test_deposits_do_not_move_the_index():
    """Prices open where they closed and nothing costs anything: with the same weights, money that comes and goes changes NAV, not the index."""
    rng, days = np.random.default_rng(3), 200
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (days, 2)), axis=0))
    opening = np.vstack([close[:1], close[:-1]])
    bars = {"open": opening, "high": np.maximum(opening, close), "low": np.minimum(opening, close), "close": close, "volume": close * 0 + 1e6}
    panel = BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(days), ["A", "B"], bars)
    free = CostModel(commission="zero", slippage_bps=0, margin_rate=0)
    flows = np.where(rng.random(days) < 0.1, rng.uniform(-2e11, 4e11, days), 0.0)

    def run(flows):
        return EventBacktester(panel, half_and_half, costs=free, initial_cash=1e12, flows=flows).run()

    with_flows, without = run(flows), run(None)
    assert with_flows.days["index"] == pytest.approx(without.days["index"], rel=1e-8)
    assert abs(with_flows.days["nav"][-1] / without.days["nav"][-1] - 1) > 0.05
    assert without.days["index"].std() > 0.02
    assert with_flows.equity["return"].to_numpy() == pytest.approx(without.equity["return"].to_numpy(), abs=1e-8)


def test_cash_alone_earns_nothing_from_deposits():
    days = 10
    bars = dict.fromkeys(("open", "high", "low", "close", "volume"), np.full((days, 1), 10.0))
    panel = BarPanel.from_arrays(np.datetime64("2020-01-01") + np.arange(days), ["A"], bars)
    flows = np.zeros(days)
    flows[[2, 5]] = 5_000.0, -60_000.0
    result = EventBacktester(panel, lambda view, portfolio: None, flows=flows).run()
    assert (result.days["index"] == 1.0).all() and result.days["nav"][-1] == 45_000.0
