"""Combinatorial purged cross-validation: judged by what did not train, and exactly how far the judged sessions are kept away."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.backtest import CombinatorialPurgedCV, EventBacktester
from mech_exo.backtest.search import changed
from mech_exo.domain.errors import ConfigError, InputError
from mech_exo.performance.metrics import sharpe
from tests.backtest.markets import market, short_sighted, spoilt

GRID = {"strategy.selection.top": (1, 3, 6), "factors.technical.momentum_12_1.direction": ("higher_better", "lower_better")}
LOOK_BACK = 5
"""Sessions the strategy below reads before a decision."""


@pytest.fixture(scope="module")
def panel():
    return market(seed=3, sessions=300, symbols=8, drift=0.0005)


def by_hand(panel, choice, blocks):
    """Joined returns of ``choice`` over blocks, each beginning in cash on a panel that ends with it."""
    pieces = []
    for first, last in blocks:
        run = EventBacktester(panel.rows(0, last), changed(short_sighted(), choice)).run(panel.sessions[first].astype(object))
        pieces.append(run.equity["return"].to_numpy())
    return np.concatenate(pieces)


def test_every_split_chooses_on_its_blocks_and_every_path_is_stitched_from_its_choices(panel) -> None:
    evaluator = CombinatorialPurgedCV(panel, short_sighted(), GRID, groups=4, test_groups=2, purge=4, embargo=6)
    result = evaluator.run()
    bounds = evaluator.groups.bounds(0, 300)
    assert len(result.splits) == 6 and result.paths.shape == (3, 300)
    for one in result.splits:
        found = {choice: sharpe(by_hand(panel, choice, one.split.train)) for choice in evaluator.candidates}
        assert one.choice == max(found, key=lambda choice: found[choice]) and one.in_sample == found[one.choice]
        assert one.out_of_sample == sharpe(by_hand(panel, one.choice, [bounds[group] for group in one.split.test]))
    for path, takes in zip(result.paths, result.assignment, strict=True):
        pieces = [by_hand(panel, result.splits[number].choice, [bounds[group]]) for group, number in enumerate(takes)]
        assert path.tobytes() == np.concatenate(pieces).tobytes()
        assert all(group in result.splits[number].split.test for group, number in enumerate(takes))
    assert result.sharpes.tolist() == [sharpe(path) for path in result.paths]
    spread = result.distribution
    assert (spread["paths"], spread["lowest"], spread["highest"]) == (3, min(result.sharpes), max(result.sharpes))
    assert spread["share_not_above_0"] == np.mean(result.sharpes <= 0)


@pytest.mark.parametrize("held", range(5))
def test_with_an_embargo_of_the_look_back_the_judged_group_cannot_reach_the_choice(panel, held) -> None:
    """Other prices in the judged group and in the purge before it: other results there, the same choice to the last bit."""
    purge = 4
    first, last = 60 * held, 60 * held + 60
    dirty = spoilt(panel, max(0, first - purge), last)
    results = [
        CombinatorialPurgedCV(one, short_sighted(window=LOOK_BACK), GRID, groups=5, test_groups=1, purge=purge, embargo=LOOK_BACK).run()
        for one in (panel, dirty)
    ]
    ours, theirs = (next(one for one in result.splits if one.split.test == (held,)) for result in results)
    assert (ours.choice, ours.in_sample) == (theirs.choice, theirs.in_sample)
    assert ours.out_of_sample != theirs.out_of_sample


def test_without_that_embargo_only_blocks_after_it_read_the_judged_group_and_only_as_history(panel) -> None:
    """What the docstring admits: a block that follows at once decides its first days on bars of the judged group."""
    dirty = spoilt(panel, 120, 180)
    clean, other = (
        {one.split.test: one for one in CombinatorialPurgedCV(each, short_sighted(), GRID, groups=5, test_groups=1).run().splits}
        for each in (panel, dirty)
    )
    assert clean[2,].in_sample != other[2,].in_sample
    assert [block[0] for block in clean[2,].split.train] == [0, 180]
    for choice in CombinatorialPurgedCV(panel, short_sighted(), GRID).candidates:
        assert by_hand(panel, choice, [(0, 120)]).tobytes() == by_hand(dirty, choice, [(0, 120)]).tobytes(), "nothing from after a block"


def test_what_is_truly_better_is_chosen_in_every_split() -> None:
    trends = market(seed=5, sessions=600, symbols=12, drift=0.002)
    grid = {"factors.technical.momentum_12_1.direction": ("lower_better", "higher_better")}
    result = CombinatorialPurgedCV(trends, short_sighted(window=40), grid, groups=5, test_groups=2, purge=5, embargo=40).run()
    assert result.stability == {"factors.technical.momentum_12_1.direction": 1.0}
    assert result.sharpes.min() > 1.0 and result.distribution["share_not_above_0"] == 0.0


def test_on_noise_the_paths_are_no_better_than_chance() -> None:
    means, inside = [], []
    for seed in range(8):
        result = CombinatorialPurgedCV(market(seed, 500, 8, 0.0), short_sighted(), GRID, groups=4, test_groups=2, embargo=5).run()
        means.append(result.distribution["mean"])
        inside.append(np.mean([one.in_sample for one in result.splits]))
    error = 1 / np.sqrt(500 / 252 * len(means))
    assert abs(np.mean(means)) < 2 * error
    assert np.mean(inside) > 0.5


def test_each_candidate_is_one_trial(panel) -> None:
    evaluator = CombinatorialPurgedCV(panel, short_sighted(), GRID, groups=4, test_groups=2)
    trials = evaluator.run().trials
    assert len({trial.run_id for trial in trials}) == len(evaluator.candidates) == 6
    whole = by_hand(panel, evaluator.candidates[0], evaluator.groups.bounds(0, 300))
    figures = {metric.name: metric.value for metric in trials[0].metrics}
    assert figures["sharpe"] == sharpe(whole) and figures["sessions"] == 300 and {"skewness", "excess_kurtosis"} <= set(figures)
    again = CombinatorialPurgedCV(panel, short_sighted(), GRID, groups=4, test_groups=2).run().trials
    shorter = evaluator.run(end=panel.sessions[250].astype(object)).trials
    assert again == trials and not {trial.run_id for trial in shorter} & {trial.run_id for trial in trials}


def test_where_it_runs_changes_nothing(panel) -> None:
    runs = [CombinatorialPurgedCV(panel, short_sighted(), GRID, groups=4, backend=backend, workers=2).run() for backend in ("serial", "threads")]
    assert runs[0].paths.tobytes() == runs[1].paths.tobytes() and runs[0].trials == runs[1].trials


def test_the_picture_has_every_path_and_their_median(panel) -> None:
    result = CombinatorialPurgedCV(panel, short_sighted(), GRID, groups=4, test_groups=2).run()
    *paths, middle = result.plot().data
    grown = 100 * np.cumprod(1 + result.paths, axis=1)
    assert len(paths) == 3 and middle.y == pytest.approx(np.median(grown, axis=0))


def test_mistakes_are_named(panel) -> None:
    config = short_sighted()
    with pytest.raises(InputError, match="must be a metric; got 'win_rate'"):
        CombinatorialPurgedCV(panel, config, GRID, objective="win_rate")
    with pytest.raises(ConfigError, match="is none"):
        CombinatorialPurgedCV(panel, config, {"selection": (1,)})
    with pytest.raises(InputError, match="left to train on"):
        CombinatorialPurgedCV(panel, config, GRID, groups=3, test_groups=3)
    with pytest.raises(InputError, match="fewer groups"):
        CombinatorialPurgedCV(panel, config, GRID, groups=10, purge=20, embargo=20).run()
