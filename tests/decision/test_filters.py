"""What sizing leaves alone: small changes, positions below the least value, enlargements that do not pay their costs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.decision.params import FilterParams
from mech_exo.decision.sizing_rows import expected_gain, size_one, worth_it
from mech_exo.decision.strategy import Strategy, cost_params
from mech_exo.kernels.account import new_book
from mech_exo.risk.rules import PLAN, Rule
from mech_exo.utils.settings import Config, CostModel, SizingRules, StrategyConfig

COSTS = cost_params(CostModel(commission="per_cent", slippage_bps=0.0))  # 10 bps of the value


def terms(**changes):
    return FilterParams(0.0, 0.05, 21.0, math.nan, COSTS)._replace(**changes)


def line(gain=math.nan, slip=0.0):
    plan = np.zeros(1, PLAN)
    plan["gain"], plan["slip"] = gain, slip
    return plan


@pytest.mark.parametrize(
    ("size", "held", "left"),
    [(9.0, 0.0, 0.0), (10.0, 0.0, 10.0), (9.0, 5.0, 5.0), (-9.0, 0.0, 0.0), (-9.0, 20.0, 0.0), (9.0, 20.0, 9.0), (0.0, 20.0, 0.0)],
)
def test_a_position_below_the_least_value_is_neither_opened_nor_enlarged(size, held, left):
    plan = line()
    assert worth_it(size, held, 100.0, plan[0], terms(min_value=1000.0)) == left
    assert plan["filter"][0] == (0 if left == size else Rule.MINIMUM_VALUE)
    if left != size:
        assert (plan["filter_limit"][0], plan["filter_value"][0]) == (1000.0, abs(size) * 100.0)


@pytest.mark.parametrize(
    ("gain", "sent"), [(0.0021, True), (0.0019, False), (0.002, False), (-1.0, False), (math.nan, False)]
)  # in and out again cost 20 bps
def test_an_enlargement_must_be_expected_to_gain_more_than_its_round_trip_costs(gain, sent):
    plan = line(gain)
    assert worth_it(30.0, 10.0, 50.0, plan[0], terms(cost_multiple=1.0)) == (30.0 if sent else 10.0)
    assert plan["filter"][0] == (0 if sent else Rule.COST)
    if not sent and not math.isnan(gain):
        assert plan["filter_limit"][0] == pytest.approx(2.0) and plan["filter_value"][0] == pytest.approx(gain * 1000.0)
    assert worth_it(5.0, 10.0, 50.0, line(gain)[0], terms(cost_multiple=1.0)) == 5.0, "what reduces passes"


def test_slippage_and_the_multiple_raise_what_must_be_gained():
    assert worth_it(10.0, 0.0, 50.0, line(0.005, slip=0.001)[0], terms(cost_multiple=1.0)) == 10.0  # 2 × (10 + 10) bps
    assert worth_it(10.0, 0.0, 50.0, line(0.005, slip=0.002)[0], terms(cost_multiple=1.0)) == 0.0
    assert worth_it(10.0, 0.0, 50.0, line(0.005)[0], terms(cost_multiple=3.0)) == 0.0


def test_the_expected_gain_is_ic_times_volatility_times_score():
    assert expected_gain(1.0, 2.0, 0.01, terms(horizon=25.0)) == pytest.approx(2.0 * 0.05 * 0.01 * 5.0)
    assert expected_gain(-1.0, 2.0, 0.01, terms()) < 0.0
    assert math.isnan(expected_gain(1.0, math.nan, 0.01, terms()))


@pytest.mark.parametrize(
    ("size", "held", "wanted"),
    [(100.0, 81.0, 81.0), (100.0, 80.0, 100.0), (100.0, 119.0, 119.0), (100.0, 121.0, 100.0), (100.0, 0.0, 100.0), (100.0, -90.0, 100.0)],
)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_change_smaller_than_the_buffer_is_not_traded(size, held, wanted, side):
    rules = Strategy(Config(strategy=StrategyConfig(sizing=SizingRules(no_trade_buffer=0.2)))).rules
    book, plan = new_book(1), np.zeros(1, PLAN)
    book["shares"] = side * held
    size_one(plan, 0, side, size, book[0], 50.0, math.nan, rules.sizing, rules.stops)
    assert (plan["asked"][0], plan["wanted"][0]) == (side * size, side * wanted)
    assert plan["filter"][0] == (Rule.BUFFER if wanted != size else 0)
