"""Whatever a night brings (NaN, inf, 0, negatives), a size is a finite number of whole lots or none, by every method and its compiled path."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mech_exo.decision.params import Features
from mech_exo.decision.rows import decide_book
from mech_exo.decision.strategy import Strategy, night_buffers
from mech_exo.kernels.account import new_account, new_book, new_days
from mech_exo.kernels.records import Bars
from mech_exo.sizing import methods
from mech_exo.utils.settings import Config, PositionLimits, RiskLimits, Selection, SizingMethod, SizingRules, StrategyConfig

NAMES, ROWS = 6, 30
number = st.one_of(st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1e-320, 1e308, 5e-324]))
plain = st.one_of(number, st.floats(0.01, 1000.0))


def grid(of=plain):
    return arrays.arrays(np.float64, (NAMES,), elements=of)


def frozen(values):
    values.flags.writeable = False
    return values


def bars_of(close):
    """Quiet sessions at 100 USD, and tonight's close as it comes."""
    price = np.full((ROWS, NAMES), 100.0) * (1.0 + 0.01 * np.sin(np.arange(ROWS * NAMES)).reshape(ROWS, NAMES))
    price[-1] = close
    same = [frozen(price.copy()) for _ in range(4)]
    ones, zeros = np.ones((ROWS, NAMES)), np.zeros((ROWS, NAMES))
    never = frozen(np.full(NAMES, ROWS + 9, np.int64))
    return Bars(*same, frozen(ones * 1e6), frozen(ones), frozen(zeros), never, frozen(np.full(NAMES, np.nan)))


def rules_of(method, lot, filters):
    sizing = SizingRules(
        method=method, win_rate=0.6 if method is SizingMethod.KELLY else None, payoff=2.0 if method is SizingMethod.KELLY else None,
        target_volatility=None, lot_size=lot, min_position_value=500.0 if filters else 0.0,
        cost_filter={"multiple": 1.0} if filters else {},
    )  # fmt: skip
    limits = RiskLimits(position_sizing=PositionLimits(max_sector_exposure=None, gap_stress=None))
    chosen = Selection(top=3, bottom=2, max_sector_share=1.0)
    return Strategy(Config(strategy=StrategyConfig(sizing=sizing, selection=chosen), risk=limits)).rules


@pytest.mark.parametrize("filters", [False, True])
@pytest.mark.parametrize("method", SizingMethod)
@settings(max_examples=60, deadline=None)
@given(grid(), grid(), grid(), grid(), grid(), grid(), number, st.sampled_from([1, 7]), st.lists(st.integers(-50, 50), min_size=NAMES, max_size=NAMES))
def test_any_night_gives_whole_lots_or_nothing(method, filters, close, score, volatility, atr, standard, weights, nav, lot, held):
    rules = rules_of(method, lot, filters)
    night, account, days = night_buffers(NAMES, rules.limits), new_account(1e5), new_days(ROWS)
    book, live = new_book(NAMES), np.zeros(NAMES, np.int64)
    book["shares"], book["mark"], book["entry"], book["cost"] = held, 100.0, 100.0, 100.0
    holding = np.flatnonzero(book["shares"])
    live[: len(holding)], account["live"], account["nav"] = holding, len(holding), nav
    days["nav"], days["index"], days["state"], days["scale"] = nav, 1.0, 0, 1.0
    days["long_value"] = days["short_value"] = 0.0
    if method in ("risk_parity", "minimum_variance"):
        night.weights[:] = weights
    sector = np.zeros((1, NAMES), np.int16)
    features = Features(score[None], volatility[None], atr[None], sector, np.empty((1, 0), np.int8), standard[None])
    decide_book(ROWS - 1, 0, bars_of(close), features, book, live, account, days, night, rules)
    plan = night.plan
    for name in ("asked", "wanted", "target"):
        sizes = plan[name]
        assert np.isfinite(sizes).all(), name
        moved = sizes != np.array(held)
        assert (np.mod(sizes[moved], 1.0) == 0.0).all(), name
    lots = (plan["asked"] != np.array(held)) & (np.abs(plan["asked"]) < 2.0**53)  # beyond that not every whole number is a float
    assert (np.mod(plan["asked"][lots], lot) == 0.0).all()
    unknown = ~(np.isfinite(close) & (close > 0.0))
    assert (np.abs(plan["target"][unknown]) <= np.abs(np.array(held)[unknown])).all(), "nothing is bought without a price"
    if not (math.isfinite(nav) and nav > 0.0):
        assert (np.abs(plan["target"]) <= np.abs(held)).all(), "nothing is bought without a NAV"
    orders = book["order"]
    assert np.isfinite(orders).all() and (np.mod(orders, 1.0) == 0.0).all()


@given(st.lists(number, min_size=7, max_size=7))
def test_every_formula_gives_whole_shares_or_none(x):
    sizes = (
        methods.equal_weight(x[0], x[1], 3, x[2]),
        methods.fixed_percent(x[0], x[1], x[2]),
        methods.atr_based(x[0], x[1], x[2], x[3]),
        methods.volatility_based(x[0], x[1], x[2], x[3]),
        methods.kelly(x[0], methods.kelly_fraction(x[1], x[2], x[3]), x[4]),
        methods.kelly(x[0], methods.measured_kelly(x[1], x[2], x[3], x[4], x[5]), x[6]),
        methods.weighted(x[0], x[1], x[2], x[3]),
    )
    for size in map(methods.whole, sizes):
        assert math.isfinite(size) and size >= 0.0 and size == math.floor(size)


@given(grid(st.one_of(st.sampled_from([math.nan, 0.0, -0.0, 1e-9]), st.floats(-50.0, 50.0, allow_subnormal=False))), st.integers(0, NAMES))
def test_score_weights_are_a_whole_or_unknown(standard, longs):
    weights = np.zeros(NAMES)
    methods.score_weights(standard, np.arange(NAMES), longs, weights)
    if np.isfinite(weights).all():
        assert (weights >= 0.0).all() and weights.sum() == pytest.approx(1.0)
