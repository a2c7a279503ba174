"""Choosing: what is best, what may be tried, and that Optuna is led by its seed alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mech_exo.backtest import EventBacktester, WalkForwardEvaluator
from mech_exo.backtest.search import Objective, best, changed, choices, is_range, known_metrics
from mech_exo.domain.errors import ConfigError, InputError, MissingDataError
from tests.backtest.markets import market, short_sighted

TOP, FAR = "strategy.selection.top", "factors.technical.momentum_12_1.params.lookback"


@pytest.fixture(scope="module")
def trending():
    """12 names with lasting trends."""
    return market(seed=1, sessions=500, symbols=12, drift=0.002)


def test_the_best_is_the_first_among_equals_and_never_an_unknown() -> None:
    assert best([math.nan, 1.0, 3.0, 3.0]) == 2
    assert best([math.nan, 1.0, 3.0, 3.0], -1.0) == 1
    assert best([math.nan, math.nan]) is None


def test_every_combination_once_the_last_key_fastest() -> None:
    assert list(choices({"a": (1, 2), "b": ("x", None)})) == [
        (("a", 1), ("b", "x")), (("a", 1), ("b", None)), (("a", 2), ("b", "x")), (("a", 2), ("b", None)),
    ]  # fmt: skip


def test_a_range_is_a_tuple_of_two_numbers() -> None:
    assert is_range((1, 5)) and is_range((0.1, 0.2))
    assert not any(map(is_range, ([1, 5], (1, 5, 9), ("a", "b"), (True, False))))


def test_keys_are_named_and_near_misses_suggested() -> None:
    config = short_sighted()
    assert changed(config, ((FAR, 9), (TOP, 4))).factors.technical["momentum_12_1"].params["lookback"] == 9
    for key, near in (("top", TOP), ("strategy.selection.tpo", TOP), ("momentum_12_1.weight", "factors.technical.momentum_12_1.weight")):
        with pytest.raises(ConfigError) as raised:
            changed(config, ((key, 1),))
        assert raised.value.remedy == f"did you mean {near}?"
    with pytest.raises(ConfigError, match="is none"):
        changed(config, (("strategy.selection", {"top": 1}),))
    with pytest.raises(ConfigError, match="did you mean equal_weight"):
        changed(config, (("strategy.sizing.method", "equal_weigth"),))


def test_the_objective_is_checked_before_anything_is_played() -> None:
    with pytest.raises(InputError) as raised:
        Objective("sharp")
    assert raised.value.remedy == "did you mean sharpe?"
    assert {"sharpe", "max_drawdown", "win_rate", "turnover_ann"} <= set(known_metrics())


def test_names_of_metrics_are_those_of_a_result(trending) -> None:
    result = EventBacktester(trending, short_sighted()).run()
    assert set(known_metrics()) == set(result.metrics)


def test_a_drawdown_is_made_small_and_a_return_large(trending) -> None:
    grid = {"factors.technical.momentum_12_1.direction": ("lower_better", "higher_better"), TOP: (2, 6)}
    for objective, pick in (("max_drawdown", min), ("total_return", max)):
        (step,) = WalkForwardEvaluator(trending, short_sighted(), grid, train=300, test=200, objective=objective).run().steps
        assert step.in_sample == pick(one.metrics[objective] for one in step.tried)


def test_a_function_may_judge(trending) -> None:
    def calm(result) -> float:
        return -float(np.abs(np.diff(result.days["nav"])).max())

    result = WalkForwardEvaluator(trending, short_sighted(), {TOP: (1, 6)}, train=300, test=200, objective=calm).run()
    assert result.objective == "calm"
    assert dict(result.steps[0].chosen)[TOP] == 6, "six names move less than one"
    assert "calm_out_of_sample" in result.table.columns


def test_too_few_trades_are_not_eligible(trending) -> None:
    grid = {"strategy.schedule.every_sessions": (5, 250)}
    setup = {"train": 300, "test": 200, "objective": "total_return"}
    free = WalkForwardEvaluator(trending, short_sighted(), grid, **setup).run().steps[0]
    counts = [one.metrics["trades"] for one in free.tried]
    assert counts[0] > counts[1], "seldom decided, seldom traded"
    strict = WalkForwardEvaluator(trending, short_sighted(), grid, minimum_trades=counts[1] + 1, **setup).run().steps[0]
    assert strict.place == 0 and math.isnan(strict.tried[1].value)
    with pytest.raises(MissingDataError, match="closed round trips; no candidate"):
        WalkForwardEvaluator(trending, short_sighted(), grid, minimum_trades=counts[0] + 1, **setup).run()


class TestOptuna:
    def run(self, panel, space, **more):
        setup = {"train": 200, "test": 100, "search": "optuna", "trials": 15, "seed": 4}
        return WalkForwardEvaluator(panel, short_sighted(), space, **(setup | more)).run()

    def test_equal_seeds_try_the_same_and_others_do_not(self, trending) -> None:
        space = {TOP: (1, 12), "strategy.sizing.gross_exposure": (0.5, 1.0), "strategy.schedule.every_sessions": [5, 10, 20]}
        once, again, other = (self.run(trending, space, seed=seed) for seed in (4, 4, 5))
        assert [step.tried for step in once.steps] == [step.tried for step in again.steps]
        assert [step.tried for step in once.steps] != [step.tried for step in other.steps]
        assert once.returns[1].tobytes() == again.returns[1].tobytes()

    def test_it_stays_inside_the_space(self, trending) -> None:
        space = {TOP: (3, 7), "strategy.sizing.gross_exposure": (0.5, 1), "strategy.schedule.every_sessions": [5, 20]}
        tried = [dict(one.choice) for step in self.run(trending, space).steps for one in step.tried]
        assert {type(one[TOP]) for one in tried} == {int} and all(3 <= one[TOP] <= 7 for one in tried)
        assert all(0.5 <= one["strategy.sizing.gross_exposure"] <= 1.0 for one in tried)
        assert {one["strategy.schedule.every_sessions"] for one in tried} <= {5, 20}

    def test_the_best_it_met_is_chosen_and_a_choice_met_again_counts_once(self, trending) -> None:
        for step in self.run(trending, {TOP: (1, 3)}, trials=20).steps:
            assert len(step.tried) <= 3 and len({one.choice for one in step.tried}) == len(step.tried)
            assert step.in_sample == max(one.value for one in step.tried)

    def test_it_finds_the_weights_that_follow_the_trend(self, trending) -> None:
        """RSI, low is good, bets against what momentum bets on; in a market of lasting trends it should weigh little."""
        from mech_exo.utils.settings import Direction, FactorWeight

        base = short_sighted(window=60)
        against = FactorWeight(weight=1.0, direction=Direction.LOWER_BETTER)
        technical = {**base.factors.technical, "rsi_14": against}
        config = base.model_copy(update={"factors": base.factors.model_copy(update={"technical": technical})})
        keys = ("factors.technical.momentum_12_1.weight", "factors.technical.rsi_14.weight")
        space = dict.fromkeys(keys, (0.0, 1.0))
        evaluator = WalkForwardEvaluator(trending, config, space, train=300, test=100, search="optuna", trials=25, seed=1)
        for step in evaluator.run().steps:
            momentum, rsi = (dict(step.chosen)[key] for key in keys)
            assert momentum > rsi

    def test_an_end_of_a_range_is_checked_before(self, trending) -> None:
        with pytest.raises(ConfigError, match=r"selection\.top"):
            self.run(trending, {TOP: (0, 5)})
        with pytest.raises(InputError, match="search must be"):
            self.run(trending, {TOP: (1, 5)}, search="luck")
        with pytest.raises(InputError, match="trials must be"):
            self.run(trending, {TOP: (1, 5)}, trials=0)
