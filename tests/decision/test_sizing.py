"""Sizes through the whole decision: weights, measured Kelly, lots and filters as a backtest, its explanation and a sweep show them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mech_exo.backtest.engine import EventBacktester
from mech_exo.backtest.sweep import sweep
from mech_exo.decision.kelly import Measurement
from mech_exo.kernels.records import Bars, EventKind, Outcome, Reason
from mech_exo.kernels.risk_model import window_returns
from mech_exo.sizing.optimised import shrunk_covariance
from tests.backtest.driving import sample, sized_config


@pytest.fixture(scope="module")
def market():
    return sample(seed=11)


def run(market, **sizing):
    panel, universe = market
    return EventBacktester(panel, sized_config(**sizing), universe=universe).run()


def targets(result, session):
    """Every name's target of one close, by symbol."""
    found = {symbol: result.explain(session, symbol).found["target"] for symbol in result.symbols}
    return {symbol: target for symbol, target in found.items() if target is not None}


def decided(result, place):
    """The session of the ``place``-th decision that led to orders."""
    rows = np.unique(result.events["row"][(result.events["kind"] == EventKind.ORDER) & (result.events["reason"] == Reason.REBALANCE)])
    return result.sessions[rows[place] - 1].astype(object)


def test_closed_trades_of_the_sessions_are_those_of_the_attribution(market):
    """Flat to flat, dividends, splits and both commissions included; what is still open is not counted."""
    result = run(market, method="equal_weight")
    trips, days = result.round_trips, result.days
    results = []
    for symbol, position in np.unique(trips[["symbol", "position"]]).tolist():
        stay = trips[(trips["symbol"] == symbol) & (trips["position"] == position)]
        if not stay["open"].any():
            results.append(stay["pnl"].sum() / np.abs(stay["shares"] * stay["entry_price"]).sum())
    won, lost = [x for x in results if x > 0], [x for x in results if x <= 0]
    assert len(won) > 20 and len(lost) > 20
    assert (days["wins"].sum(), days["losses"].sum()) == (len(won), len(lost))
    assert days["gains"].sum() == pytest.approx(sum(won), rel=1e-4)  # a fraction of a share that a split paid out was spent, too
    assert days["forfeits"].sum() == pytest.approx(-sum(lost), rel=1e-4)
    assert {EventKind.DIVIDEND, EventKind.SPLIT} <= set(result.events["kind"])


def test_no_kelly_without_the_sample(market):
    """Without a method that sizes until then, nothing is bought at all, and it says so."""
    result = run(market, method="kelly")
    assert not len(result.events)
    assert [w for w in result.warnings if "no Kelly size before 50 closed trades" in w and "nothing was bought" in w]
    assert "kelly_min_trades" in result.warnings[-1]


def test_kelly_is_measured_on_the_trades_closed_before_the_decision(market):
    """Until then the stand-in sizes; from then on each size is NAV × the bet that the closed trades give, scaled to the exposure."""
    result = run(market, method="kelly", until_measured="equal_weight", kelly_min_trades=20, kelly_fraction=1.0, target_volatility=None)
    sizing, days = result.config.strategy.sizing, result.days
    bets = np.array([Measurement.at(sizing, days, row).bet for row in range(len(days))])
    assert np.isnan(bets[:50]).all() and np.isfinite(bets[-1])
    told = [re.search(r"equal_weight sized at (\d+) of (\d+) decisions", w) for w in result.warnings]
    unmeasured, of = next((int(m[1]), int(m[2])) for m in told if m)
    assert 0 < unmeasured < of
    first = targets(result, decided(result, 0))
    assert {target["method"] for target in first.values()} == {"equal_weight"}
    rows = np.flatnonzero(bets > 0)
    late = [r for r in np.unique(result.events["row"]) - 1 if r in rows]
    if not late:
        assert any("Kelly measured no edge" in w for w in result.warnings)
        return
    bet, row = bets[late[-1]], late[-1]
    for symbol, target in targets(result, result.sessions[row].astype(object)).items():
        price = result.panel.close[result.panel.sessions.tolist().index(result.sessions[row].astype(object)), result.panel.column_of(symbol)]
        if target.get("raw"):
            assert target["method"] == "kelly" and abs(target["raw"]) == pytest.approx(days["nav"][row] * bet / price)


def test_weights_of_a_score_weighted_book_follow_the_scores(market):
    result = run(market, method="score_weighted", target_volatility=None, no_trade_buffer=0.0)
    session = decided(result, 3)
    found = {symbol: result.explain(session, symbol).found for symbol in result.symbols}
    longs = [f for f in found.values() if f["selected"] == "long" and f["target"] is not None]
    shorts = [f for f in found.values() if f["selected"] == "short" and f["target"] is not None]
    assert len(longs) >= 5 and len(shorts) >= 2
    row = result.sessions.tolist().index(session)
    for side in (longs, shorts):
        ordered = sorted(side, key=lambda f: -abs(f["score"]["score"]))
        values = [abs(f["target"]["raw"]) * result.panel.close[row, result.panel.column_of(f["symbol"])] for f in ordered]
        assert values == sorted(values, reverse=True) if side is longs else len(values) >= 2
    scored = np.array([f["score"]["score"] for f in found.values() if f["score"]])
    mean, deviation = scored.mean(), scored.std()
    z = np.array([(f["score"]["score"] - mean) / deviation * (1 if f in longs else -1) for f in (*longs, *shorts)])
    values = np.array([abs(f["target"]["raw"]) * result.panel.close[row, result.panel.column_of(f["symbol"])] for f in (*longs, *shorts)])
    assert values / values.sum() == pytest.approx(np.maximum(z, 0) / np.maximum(z, 0).sum(), rel=1e-9)


def test_risk_parity_shares_the_risk_of_a_long_short_book(market):
    result = run(market, method="risk_parity", target_volatility=None, no_trade_buffer=0.0, covariance_window=60)
    session = decided(result, 4)
    row = result.sessions.tolist().index(session)
    raw = {s: t["raw"] for s, t in targets(result, session).items() if t.get("raw")}
    columns = np.array([result.panel.column_of(s) for s in raw])
    values = np.array(list(raw.values())) * result.panel.close[row, columns]
    returns, counts = window_returns(row, columns, Bars.of(result.panel), 60)
    assert (counts >= 54).all() and (values < 0).any() and (values > 0).any()
    matrix = shrunk_covariance(returns * np.sign(values))
    risk = np.abs(values) * (matrix @ np.abs(values))
    assert risk / risk.sum() == pytest.approx(np.full(len(risk), 1 / len(risk)), abs=1e-6)


def test_lots_and_a_minimum_position(market):
    result = run(market, method="equal_weight", lot_size=10, min_position_value=5000.0)
    orders = result.events[(result.events["kind"] == EventKind.ORDER) & (result.events["outcome"] == Outcome.FILLED)]
    split = set(result.events["symbol"][result.events["kind"] == EventKind.SPLIT].tolist())
    whole = [abs(e["shares"]) % 10 == 0 for e in orders if e["symbol"] not in split]
    assert len(whole) > 100 and all(whole)
    filtered = [t for t in targets(result, decided(result, 5)).values() if t["filtered"] and t["filtered"]["code"] == "min_position_value"]
    for target in filtered:
        assert target["filtered"]["limit"] == 5000.0 > target["filtered"]["value"]
        assert abs(target["wanted"]) < abs(target["asked"])
    small = run(market, method="equal_weight", min_position_value=50_000.0)
    assert not len(small.events), "nothing of a book of 14 names is worth 50,000 USD"


def test_the_cost_filter_sends_less_and_says_why(market):
    """A stricter multiple never enlarges a plan, and what is not sent names gain and cost."""
    strict = {"information_coefficient": 0.02, "horizon_sessions": 21, "multiple": 4.0}
    plain, filtered = run(market), run(market, cost_filter=strict)
    assert 0 < len(filtered.fills) < len(plain.fills)
    session = decided(plain, 0)
    asked = {s: t for s, t in targets(filtered, session).items() if t["filtered"]}
    assert asked
    for symbol, target in asked.items():
        assert target["filtered"]["code"] == "cost_filter" and target["wanted"] == 0 != target["asked"]
        assert not target["filtered"]["value"] > target["filtered"]["limit"]
        told = filtered.explain(session, symbol).text()
        assert "not worth its costs: an expected gain of" in told and f"{symbol} was asked for" in told


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("method", ("equal_weight", "score_weighted", "minimum_variance")),
        ("lot_size", (1, 25)),
        ("min_position_value", (0.0, 3000.0)),
        ("cost_filter.multiple", (None, 5.0)),
    ],
)
def test_a_sweep_over_sizing_gives_what_each_backtest_gives(market, key, values):
    panel, universe = market
    base = sized_config()
    swept = sweep(panel, base, {f"strategy.sizing.{key}": values}, universe=universe)
    alone = [run(market, **({"cost_filter": {"multiple": value}} if "." in key else {key: value})) for value in values]
    assert [one.run_id for one in swept.runs] == [one.run_id for one in alone]
    for one, other in zip(swept.runs, alone, strict=True):
        assert one.returns[1:] == pytest.approx(other.days["index"][1:] / other.days["index"][:-1] - 1.0, abs=1e-12)
    assert len({one.days["nav"][-1] for one in alone}) == len(values), "the key must matter"
