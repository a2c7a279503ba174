"""The parts of the P&L add up, and each is what its formula says: against a world made of factors, and against a second implementation."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.backtest import EventBacktester
from mech_exo.backtest.factors import session_returns
from mech_exo.domain.errors import InputError
from mech_exo.kernels.records import DAY, EVENT
from mech_exo.performance.factor_attribution import Exposures, attribute
from mech_exo.performance.holdings import HOLDING
from tests.backtest.driving import busy_config, default_config, sample

STEPS, NAMES = 60, 25
FACTORS = ("value", "size")


def world(seed, noise=0.0):
    """Returns made of a market, two factors and noise; a book bought at the first close and never touched again."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(NAMES, 2))
    made = rng.normal(0, 0.01, (STEPS, 3))
    specific = noise * rng.normal(0, 0.02, (STEPS, NAMES))
    returns = made[:, :1] + made[:, 1:] @ scores.T + specific
    returns[0] = np.nan
    price = 50 * np.cumprod(np.where(np.isnan(returns), 1, 1 + returns), axis=0)
    shares = rng.integers(-50, 80, NAMES).astype(float)
    shares[shares == 0] = 1
    value = shares * price
    days = np.zeros(STEPS, DAY)
    days["price_pnl"][1:] = np.diff(value, axis=0).sum(axis=1)
    days["interest"], days["commission"], days["slippage"], days["borrow"] = 3.0, 1.0, 2.0, 0.5
    days["nav"] = 100_000 + np.cumsum(days["price_pnl"] - 0.5)
    held = np.array([(t, s, shares[s], price[t, s]) for t in range(STEPS) for s in range(NAMES)], HOLDING)
    exposures = Exposures(np.array([0]), FACTORS, (scores,), (scores * 0.5,))
    dates = np.datetime64("2020-01-01") + np.arange(STEPS)
    return attribute(dates, days, np.zeros(0, EVENT), held, returns, price, exposures), made, scores, value, specific


@pytest.mark.parametrize("seed", range(5))
def test_a_world_of_factors_alone_has_nothing_specific(seed):
    found, made, scores, value, _ = world(seed)
    table = found.by_session
    assert table["specific"].to_numpy() == pytest.approx(0, abs=1e-6)
    assert table["market"].to_numpy()[1:] == pytest.approx(made[1:, 0] * value[:-1].sum(axis=1), abs=1e-6)
    for f, name in enumerate(FACTORS):
        assert table[name].to_numpy()[1:] == pytest.approx(made[1:, 1 + f] * (value[:-1] @ scores[:, f]), abs=1e-6)
    rows = {row["part"]: row for row in found.table.iter_rows(named=True)}
    for f, name in enumerate(FACTORS):
        series = made[1:, 1 + f]
        assert rows[name]["factor_return_ann"] == pytest.approx(series.mean() * 252, rel=1e-6)
        assert rows[name]["t_stat"] == pytest.approx(series.mean() / (series.std(ddof=1) / np.sqrt(STEPS - 1)), rel=1e-6)
        assert rows[name]["universe_contribution"] == pytest.approx(scores[:, f].mean() * 0.5)
        assert rows[name]["held_contribution"] == pytest.approx((value[1] @ scores[:, f]) * 0.5 / np.abs(value[1]).sum())
    assert found.sessions == STEPS - 1 and found.notes == ()


def test_what_no_factor_explains_is_specific():
    found, _, scores, value, noise = world(3, noise=1.0)
    design = np.column_stack([np.ones(NAMES), scores])
    residual = noise - noise @ (design @ np.linalg.inv(design.T @ design) @ design.T).T
    assert found.by_session["specific"].to_numpy()[1:] == pytest.approx((value[:-1] * residual[1:]).sum(axis=1), abs=1e-6)
    assert np.abs(found.by_session["specific"].to_numpy()).max() > 10


@pytest.fixture(scope="module", params=[busy_config, default_config], ids=["busy", "default"])
def result(request):
    panel, universe = sample(seed=5, symbols=40, years=4)
    return EventBacktester(panel, request.param(), universe=universe, initial_cash=90_000.0).run(panel.sessions[280].astype(object))


def test_the_parts_add_up_to_the_net_profit_of_every_session(result):
    table = result.factors.by_session
    nav = np.concatenate([[90_000.0], result.days["nav"]])
    assert table["net"].to_numpy() == pytest.approx(np.diff(nav), abs=1e-6)
    assert table.drop("date", "net").sum_horizontal().to_numpy() == pytest.approx(np.diff(nav), abs=1e-6)
    assert result.by_factor["pnl"].sum() == pytest.approx(nav[-1] - 90_000.0, abs=1e-5) == result.factors.net
    assert result.factors.sessions > 600


def test_a_second_implementation_agrees(result):
    """Name by name, session by session, by normal equations, from the public tables and the scorer's own cross-sections."""
    from mech_exo.scoring.scorer import score_rows

    read, first = result.known, result.first
    rows = result.strategy.decision_rows(read.panel, first, first, first + len(result.sessions))
    returns = session_returns(read.panel)[first:]
    held = {}
    for row in result.holdings.iter_rows(named=True):
        held.setdefault(row["date"], {})[row["symbol"]] = row["value"]
    dates, mine = result.equity["date"].to_list(), result.factors.by_session
    scores, names = None, result.factors.table.filter(result.by_factor["kind"] == "factor")["part"].to_list()
    for t in range(1, len(dates)):
        if first + t - 1 in rows:
            table = score_rows(read.panel, read.universe, np.array([first + t - 1]), result.config.factors, result.config.strategy.universe).scores(0)
            fresh = {s: np.nan_to_num(table.normalised[i]) for i, s in enumerate(table.symbols) if not np.isnan(table.value[i])}
            scores = fresh or scores
        if not scores:
            continue
        pairs = [(scores[s], returns[t, i]) for i, s in enumerate(result.symbols) if s in scores and not np.isnan(returns[t, i])]
        design, reached = np.array([[1.0, *x] for x, _ in pairs]), np.array([r for _, r in pairs])
        solution = np.linalg.solve(design.T @ design, design.T @ reached)
        book = {s: v for s, v in held.get(dates[t - 1], {}).items() if s in scores}
        assert mine["market"][t] == pytest.approx(sum(book.values()) * solution[0], abs=1e-5)
        for f, name in enumerate(names):
            assert mine[name][t] == pytest.approx(sum(v * scores[s][f] for s, v in book.items()) * solution[1 + f], abs=1e-5)
    assert len(names) == 4


def test_what_was_bought_scores_above_the_universe(result):
    factors = result.by_factor.filter(result.by_factor["kind"] == "factor")
    if result.config.strategy.selection.bottom:
        assert factors["held_contribution"].sum() > factors["universe_contribution"].sum() + 0.1


def test_trading_is_what_fills_gained_until_the_close(result):
    close = dict(zip(result.symbols, result.panel.close.T, strict=True))
    row = {day: number for number, day in enumerate(result.equity["date"])}
    mine = np.zeros(len(row))
    for fill in result.fills.iter_rows(named=True):
        last = close[fill["symbol"]][row[fill["date"]]]
        mine[row[fill["date"]]] += 0.0 if np.isnan(last) else fill["shares"] * (last - fill["price"]) + fill["slippage"]
    assert result.factors.by_session["trading"].to_numpy() == pytest.approx(mine, abs=1e-6)


def test_a_callable_has_no_factors():
    panel, universe = sample(seed=5, symbols=12, years=3)
    run = EventBacktester(panel, lambda view, _: None, universe=universe).run()
    with pytest.raises(InputError, match=r"(?s)is a callable and has none.*by_symbol"):
        _ = run.by_factor


def test_no_score_at_all_is_said(result):
    early = EventBacktester(result.known.panel, result.config, universe=result.known.universe).run(end=result.known.panel.sessions[30].astype(object))
    assert early.factors.sessions == 0 and "no session had more scored names" in early.factors.notes[0]
    assert early.by_factor.filter(early.by_factor["kind"] == "factor")["t_stat"].is_nan().all()
    assert early.factors.net == pytest.approx(early.days["interest"].sum()), "nothing but interest was earned"
