"""Every table of docs/sizing.md, worked out by hand, against the code that sizes."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.decision.sizing_rows import expected_gain, size_one, worth_it
from mech_exo.decision.strategy import Strategy
from mech_exo.kernels.account import new_book
from mech_exo.kernels.cross_section import clipped_zscore
from mech_exo.risk.rules import PLAN, Rule
from mech_exo.sizing import methods
from mech_exo.sizing.optimised import even_out, minimum_variance
from mech_exo.utils.settings import Config, CostFilter, SizingRules, StrategyConfig
from tests.sizing.documented import PAGE, table

FORMULAS = {
    "equal_weight": methods.equal_weight,
    "fixed_percent": methods.fixed_percent,
    "atr_based": methods.atr_based,
    "volatility_based": methods.volatility_based,
    "kelly": lambda nav, win_rate, payoff, fraction, price: methods.kelly(nav, methods.kelly_fraction(win_rate, payoff, fraction), price),
    "kelly, measured": lambda nav, wins, losses, gains, forfeits, fraction, price: methods.kelly(
        nav, methods.measured_kelly(wins, losses, gains, forfeits, fraction), price
    ),
}


@pytest.mark.parametrize("heading", FORMULAS)
def test_shares(heading):
    for row in table(heading):
        expected = row.pop("shares")
        assert methods.whole(FORMULAS[heading](**row)) == expected, row


def test_every_method_and_every_filter_has_its_table():
    text = PAGE.read_text("utf-8")
    for name in (*methods.CODES, "no_trade_buffer", "min_position_value", "cost_filter"):
        assert f"\n### {name}\n" in text and table(name)


def test_score_weights():
    for row in table("score_weighted"):
        scores, longs, shorts = np.array(row["scores"]), int(row["longs"]), int(row["shorts"])
        names = np.concatenate([np.argsort(-scores)[:longs], np.argsort(scores)[:shorts]]).astype(np.int64)
        weights = np.zeros(len(scores))
        methods.score_weights(clipped_zscore(scores, 0.0, np.nan), names, longs, weights)
        assert weights == pytest.approx(row["weights"], abs=1e-12), row


def covariance(row):
    sigma = np.array(row["volatilities"])
    return np.outer(sigma, sigma) * (np.full((len(sigma), len(sigma)), row["correlation"]) + np.eye(len(sigma)) * (1 - row["correlation"]))


def test_risk_parity_weights():
    for row in table("risk_parity"):
        matrix = covariance(row)
        weights = even_out(np.full(len(matrix), 1 / len(matrix)), matrix)
        assert weights == pytest.approx(row["weights"], abs=1e-6), row


def test_minimum_variance_weights():
    for row in table("minimum_variance"):
        sigma = np.array(row["volatilities"])
        signs = np.array([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]])[:, : len(sigma)]  # uncorrelated, exactly
        returns = np.tile(signs, (5000, 1)) * sigma / 16  # so many sessions that nothing is shrunk
        assert minimum_variance(returns) == pytest.approx(row["weights"], abs=2e-3), row


def rules(**sizing):
    return Strategy(Config(strategy=StrategyConfig(sizing=SizingRules(**sizing)))).rules


def line(held):
    book = new_book(1)
    book["shares"] = held
    return np.zeros(1, PLAN), book


def test_no_trade_buffer():
    for row in table("no_trade_buffer"):
        plan, book = line(row["held"])
        r = rules(no_trade_buffer=row["buffer"])
        size_one(plan, 0, 1.0, row["asked"], book[0], 50.0, 1.0, r.sizing, r.stops)
        assert plan["wanted"][0] == row["wanted"] and plan["asked"][0] == row["asked"], row
        assert plan["filter"][0] == (Rule.BUFFER if row["wanted"] != row["asked"] else Rule.NONE)


def test_min_position_value():
    for row in table("min_position_value"):
        plan, _ = line(row["held"])
        wanted = worth_it(row["asked"], row["held"], row["price"], plan[0], rules(min_position_value=row["minimum"]).sizing.filter)
        assert wanted == row["wanted"], row
        assert plan["filter"][0] == (Rule.MINIMUM_VALUE if wanted != row["asked"] else Rule.NONE)


def test_cost_filter():
    for row in table("cost_filter"):
        plan, _ = line(row["held"])
        wanted_filter = CostFilter(information_coefficient=row["ic"], horizon_sessions=int(row["horizon"]), multiple=row["multiple"])
        terms = rules(cost_filter=wanted_filter).sizing.filter
        plan["slip"], plan["gain"] = terms.costs.slippage, expected_gain(1.0, row["z"], row["volatility"], terms)
        wanted = worth_it(row["asked"], row["held"], row["price"], plan[0], terms)
        assert wanted == row["wanted"], row
        assert plan["filter"][0] == (Rule.COST if wanted != row["asked"] else Rule.NONE)
