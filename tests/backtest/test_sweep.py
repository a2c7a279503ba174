"""Sweeps: each trial is the backtest by hand, whatever plays it; the peers' reference as oracle; what is luck is said."""

from __future__ import annotations

import importlib.util
import math
import pickle
from datetime import date

import pytest

from mech_exo.backtest import EventBacktester
from mech_exo.backtest.sampling import sample
from mech_exo.backtest.scaling import FEATURE_CELL, SHORT, Coefficients, plan
from mech_exo.backtest.search import changed
from mech_exo.backtest.sweep import Course, SweepResult, objectives, sweep
from mech_exo.decision.strategy import Strategy
from mech_exo.domain.errors import ConfigError, InputError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.utils.settings import Config, Direction, FactorWeight, Schedule, StrategyConfig
from tests.backtest.driving import busy_config, default_config
from tests.backtest.driving import sample as sample_market
from tests.backtest.markets import market, short_sighted
from tests.oracles import market as oracle_market
from tests.oracles.workloads import configured

GRID = {
    "strategy.selection.top": (5, 15),
    "strategy.schedule.every_sessions": (10, 42),
    "risk.stops.hard": (0.05, None),
    "factors.technical.momentum_12_1.params.lookback": (63, 126),
}


@pytest.fixture(scope="module")
def stage() -> tuple[BarPanel, Universe]:
    return sample_market(seed=5, symbols=25, years=3)


@pytest.fixture(scope="module")
def played(stage: tuple[BarPanel, Universe]) -> SweepResult:
    panel, universe = stage
    return sweep(panel, default_config(), GRID, universe=universe, backend="serial", start=date(2022, 9, 1))


def test_every_trial_is_the_backtest_by_hand(stage: tuple[BarPanel, Universe], played: SweepResult) -> None:
    panel, universe = stage
    assert len(played.runs) == 16
    for run in played.runs:
        by_hand = EventBacktester(panel, changed(default_config(), run.choice), universe=universe).run(date(2022, 9, 1))
        assert (run.run_id, run.config_hash) == (by_hand.run_id, by_hand.config_hash)
        assert run.returns.tobytes() == by_hand.equity["return"].to_numpy().tobytes()
        for name, value in run.metrics.items():
            theirs = by_hand.metrics[name]
            assert (math.isnan(value) if theirs is None else value == theirs), name
    assert len({run.run_id for run in played.runs}) == 16 and len({run.account["final_equity"] for run in played.runs}) > 8


@pytest.mark.parametrize(("backend", "workers"), [("threads", 1), ("threads", 2), ("threads", 7), ("processes", 2)])
def test_neither_backend_nor_workers_change_a_bit(stage: tuple[BarPanel, Universe], played: SweepResult, backend: str, workers: int) -> None:
    panel, universe = stage
    told: list[tuple[int, int]] = []
    again = sweep(
        panel, default_config(), GRID, universe=universe, backend=backend, workers=workers, start=date(2022, 9, 1),
        progress=lambda *at: told.append(at),
    )  # fmt: skip
    assert again.returns.tobytes() == played.returns.tobytes() and again.id == played.id
    assert [repr(run.account) for run in again.runs] == [repr(run.account) for run in played.runs]
    assert again.table.equals(played.table) and told[-1] == (16, 16)


@pytest.mark.parametrize(
    "key",
    [
        ("strategy.sizing.method", ("equal_weight", "volatility_based", "atr_based")), ("strategy.sizing.volatility_window", (20, 100)),
        ("strategy.sizing.atr_window", (5, 50)), ("risk.stops.volatility_atr", (None, 2.0)), ("strategy.universe.min_price", (0.0, 40.0)),
        ("factors.scoring.normalisation", ("rank", "zscore")), ("strategy.schedule.anchor", (None, date(2022, 3, 1))),
        ("strategy.costs.slippage_bps", (0.0, 50.0)), ("strategy.initial_cash", (1e4, 1e6)), ("strategy.sizing.target_volatility", (None, 0.1)),
    ],
)  # fmt: skip
def test_shared_features_are_the_right_ones_for_any_key(stage: tuple[BarPanel, Universe], key: tuple[str, tuple[object, ...]]) -> None:
    """Trials that differ in one key alone: were it missing in ``features_key``, they would be given each other's features."""
    panel, universe = stage
    config = default_config() if "volatility_window" in key[0] else busy_config()
    result = sweep(panel, config, dict([key]), universe=universe, workers=2)
    for run in result.runs:
        by_hand = EventBacktester(panel, run.config, universe=universe).run()
        assert run.returns.tobytes() == by_hand.equity["return"].to_numpy().tobytes()
    assert len({run.returns.tobytes() for run in result.runs}) == len(result.runs), "the key matters here"


def test_the_peers_sweep_to_the_cent(shared) -> None:
    """100 trials of W2 with stops, as ../shared/peers/floor_numba.py plays them: results.md, W3/W2."""
    spec = importlib.util.spec_from_file_location("peers_market", shared("peers/market.py"))
    assert spec is not None and spec.loader is not None
    peers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peers)
    panel = BarPanel.from_arrays(oracle_market.panel(2).sessions, peers.names(100), peers.make(100, 2520))
    choices = [
        (
            ("factors.technical.momentum_12_1.params.lookback", lookback), ("strategy.selection.top", top),
            ("strategy.schedule.anchor", panel.sessions[lookback].astype(object)),
        )
        for lookback in range(63, 253, 21) for top in (5, 8, 10, 12, 15, 18, 20, 25, 30, 40)
    ]  # fmt: skip
    result = sweep(panel, configured(panel, "W2"), choices, backend="threads", workers=2)
    assert sum(run.account["orders"] for run in result.runs) == 295_843
    assert sum(run.account["final_equity"] for run in result.runs) == pytest.approx(72_144_425.04, abs=0.005)


def test_pure_noise_is_called_luck_and_a_real_trend_is_not() -> None:
    grid = {"factors.technical.momentum_12_1.params.lookback": tuple(range(5, 45, 5)), "strategy.selection.top": (2, 3)}
    noise = sweep(market(3, 1500, 20, 0.0), short_sighted(), grid)
    report = noise.overfitting()
    assert report.trials == 16 and not report.deflated_sharpe >= 0.95
    trend = sweep(market(3, 1500, 20, 0.002), short_sighted(), grid).overfitting()
    assert trend.deflated_sharpe > 0.95 and trend.spa < 0.05


def test_a_factor_that_only_some_trials_weigh_is_named_where_nothing_tells_it(stage: tuple[BarPanel, Universe]) -> None:
    panel, universe = stage
    base = default_config()
    idle = {"pe_ratio": FactorWeight(weight=0, direction=Direction.LOWER_BETTER)}
    config = base.model_copy(update={"factors": base.factors.model_copy(update={"fundamental": idle})})
    grid = {"factors.fundamental.pe_ratio.weight": (0, 15)}
    result = sweep(panel, config, grid, universe=universe, backend="serial", start=date(2022, 9, 1))
    assert [said for said in result.warnings if "left out" in said] == ["left out of the score: pe_ratio (nothing here tells it)"]


def test_the_best_and_the_order(played: SweepResult) -> None:
    sharpes = [run.metrics["sharpe"] for run in played.runs]
    assert played.best().metrics["sharpe"] == max(sharpes)
    falls = [run.metrics["max_drawdown"] for run in played.ranked("max_drawdown")]
    assert falls == sorted(falls), "of a drawdown the smallest is best"
    with pytest.raises(InputError, match="must be a metric") as caught:
        played.best("sharp")
    assert "sharpe" in str(caught.value.remedy)
    assert set(objectives()) == set(played.runs[0].metrics)
    kinds = {trial.kind for trial in played.trials}
    assert kinds == {"sweep"} and {"sharpe", "sessions", "skewness", "excess_kurtosis"} <= {metric.name for metric in played.trials[0].metrics}


@pytest.mark.parametrize(
    ("grid", "error", "said"),
    [
        ({"strategy.selection.topp": (5,)}, ConfigError, "did you mean strategy.selection.top"),
        ({"strategy.selection.top": (0,)}, ConfigError, r"selection\.top"),
        ({"strategy.sizing.method": ("equal_wait",)}, ConfigError, "equal_weight"),
        ({"strategy.selection.top": ()}, InputError, "at least one"),
        ({}, InputError, "at least one"),
        ([], InputError, "at least one"),
    ],
)
def test_a_wrong_grid_is_named_before_anything_is_played(stage: tuple[BarPanel, Universe], grid: object, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        sweep(stage[0], default_config(), grid)  # type: ignore[arg-type]


def test_drawn_at_random_by_seed() -> None:
    grid = {"strategy.selection.top": (1, 40), "risk.stops.hard": (0.02, 0.3), "strategy.sizing.method": ["equal_weight", "atr_based", "kelly"]}
    drawn = sample(grid, 50, seed=4)
    assert drawn == sample(grid, 50, seed=4) != sample(grid, 50, seed=5)
    assert len(set(drawn)) == 50
    tops = {dict(choice)["strategy.selection.top"] for choice in drawn}
    assert tops <= set(range(1, 41)) and len(tops) > 20
    assert all(0.02 <= dict(choice)["risk.stops.hard"] <= 0.3 for choice in drawn)
    assert len(sample({"strategy.selection.top": [5, 10, 20]}, 100)) == 3, "no choice twice"
    with pytest.raises(InputError, match="at least 1"):
        sample(grid, 0)


def test_a_section_is_checked_whole(stage: tuple[BarPanel, Universe]) -> None:
    """A win rate goes with a payoff: a rule over several keys of one section."""
    with pytest.raises(ConfigError, match="win_rate"):
        sweep(stage[0], default_config(), {"strategy.sizing.win_rate": (0.5,)})
    grid = {"strategy.sizing.method": ("kelly",), "strategy.sizing.win_rate": (0.5,), "strategy.sizing.payoff": (2.0,)}
    assert len(sweep(stage[0], default_config(), grid).runs) == 1


def test_a_course_travels_without_its_cache(stage: tuple[BarPanel, Universe]) -> None:
    panel, universe = stage
    course, strategy = Course(panel, universe, None, None), Strategy(Config())
    made, rows = course.features(strategy.features_key, strategy)
    assert course.features(strategy.features_key, strategy)[0] is made
    other = pickle.loads(pickle.dumps(course))
    again, theirs = other.features(strategy.features_key, strategy)
    assert again is not made and (theirs == rows).all() and again.score.tobytes() == made.score.tobytes()


@pytest.mark.slow
def test_a_plan_foretells_a_small_sweep_within_a_factor_of_three() -> None:
    import time

    panel = oracle_market.panel(80, 5 * 252)
    config = configured(panel, "W2")
    grid = {"factors.technical.momentum_12_1.params.lookback": (63, 126, 189, 252), "strategy.selection.top": tuple(range(5, 15))}
    sweep(panel, config, grid, backend="serial")
    start = time.process_time()
    sweep(panel, config, grid, backend="serial")
    taken = time.process_time() - start
    made = plan(config, symbols=80, years=5, trials=40, distinct=4, workers=1, actions=False)
    assert taken / 3 < 3600 * made.cpu_hours < 3 * taken
    assert made.panel_bytes == sum(getattr(panel, name).nbytes for name in ("open", "high", "low", "close", "volume", "split_ratio", "dividend"))


def test_a_plan_grows_as_it_should() -> None:
    small, large = (plan(symbols=60, years=years, trials=trials, workers=4) for years, trials in ((5, 100), (10, 1000)))
    assert large.panel_bytes == 2 * small.panel_bytes and large.trials == 10 * small.trials
    for made in (small, large):  # every trial of its own features: what one takes may be noise on a busy machine, how they add up is not
        assert 3600 * made.cpu_hours == pytest.approx(made.trials * (made.feature_seconds + made.trial_seconds))
        assert made.feature_seconds > 0.0 and made.trial_seconds > 0.0
    assert small.machine_bytes == small.shared_bytes + 4 * small.worker_bytes
    with pytest.raises(InputError, match="at least 1"):
        plan(symbols=0, years=1, trials=1, workers=1)
    with pytest.raises(InputError, match="distinct"):
        plan(symbols=5, years=1, trials=1, workers=1, distinct=2)


def test_time_grows_with_the_sessions_beyond_those_measured_and_shrinks_with_fewer() -> None:
    told = Coefficients(60, 3.0, 0.01, 1.0, 0.002, 0.05, 1e-9, 1)
    assert told.features(SHORT) == 3.0 and told.features(SHORT // 2) == 1.5
    assert told.features(SHORT + 1000) == pytest.approx(13.0) and told.trial(SHORT + 1000) == pytest.approx(3.0)


def test_a_plan_knows_how_often_the_schedule_decides() -> None:
    """A book that looks at every close keeps the features of every close, a weekly one those of every fifth."""
    week, signal = (
        plan(Config(strategy=StrategyConfig(schedule=Schedule(every=every))), symbols=400, years=20, trials=4, workers=1, actions=False)
        for every in ("week", "signal")
    )
    every_close = 400 * 20 * 252 * (2 * FEATURE_CELL + 8)
    assert signal.worker_bytes - week.worker_bytes == pytest.approx(0.79 * every_close, rel=0.1)  # the bare worker is in both
