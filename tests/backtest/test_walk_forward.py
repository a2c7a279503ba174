"""Walk-forward: chosen on the training part alone, judged on what follows, every session judged once."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.backtest import EventBacktester, WalkForwardEvaluator
from mech_exo.backtest.walk_forward import changed
from mech_exo.backtest.walk_result import line, parameter_table
from mech_exo.datasource.demo import sample_market
from mech_exo.domain.errors import ConfigError, InputError
from mech_exo.domain.panel import BarPanel
from mech_exo.utils.settings import Config, PortfolioLimits, PositionLimits, RiskLimits
from tests.backtest.markets import market, short_sighted, spoilt

GRID = {"strategy.selection.top": (5, 15), "strategy.schedule.every_sessions": (10, 42)}


@pytest.fixture(scope="module")
def panel() -> BarPanel:
    return sample_market(seed=3, symbols=30, years=5).panel


@pytest.fixture(scope="module")
def config() -> Config:
    limits = RiskLimits(position_sizing=PositionLimits(max_sector_exposure=None), portfolio=PortfolioLimits(max_drawdown=1.0))
    base = Config(risk=limits)
    return changed(base, (("strategy.selection.max_sector_share", 1.0),))


def test_every_session_after_the_first_training_is_judged_once(panel: BarPanel, config: Config) -> None:
    evaluator = WalkForwardEvaluator(panel, config, GRID, train=300, test=200)
    result = evaluator.run()
    sessions, returns = result.returns
    assert (sessions == panel.sessions[300:]).all()
    assert np.isfinite(returns).all()
    assert result.candidates == 4
    assert result.table.height == len(result.steps)
    assert result.metrics["total_return"] == pytest.approx(np.prod(1 + returns) - 1)
    assert all(0 < share <= 1 for share in result.stability.values())


def test_the_best_of_the_training_part_is_chosen(panel: BarPanel, config: Config) -> None:
    evaluator = WalkForwardEvaluator(panel, config, GRID, train=500, test=250)
    step = evaluator.run().steps[0]
    first, last = step.window.train
    cut = panel.rows(0, last)
    sharpes = {}
    for choice in evaluator.candidates:
        sharpes[choice] = EventBacktester(cut, changed(config, choice)).run(cut.sessions[first].astype(object)).metrics["sharpe"]
    assert step.chosen == max(sharpes, key=lambda choice: sharpes[choice])
    assert step.in_sample == sharpes[step.chosen]


def test_what_follows_does_not_change_the_choice(panel: BarPanel, config: Config) -> None:
    last = 500
    poisoned = {name: np.array(getattr(panel, name)) for name in ("open", "high", "low", "close", "volume", "split_ratio", "dividend")}
    for name in ("open", "high", "low", "close"):
        poisoned[name][last:] *= np.linspace(1, 3, panel.shape[1])
    other = BarPanel.from_arrays(panel.sessions, panel.symbols, poisoned)
    clean = BarPanel.from_arrays(panel.sessions, panel.symbols, {name: getattr(panel, name) for name in poisoned})
    runs = [WalkForwardEvaluator(one, config, GRID, train=500, test=100).run(end=panel.sessions[600].astype(object)) for one in (clean, other)]
    assert runs[0].steps[0].chosen == runs[1].steps[0].chosen
    assert runs[0].steps[0].in_sample == runs[1].steps[0].in_sample


def test_purged_sessions_do_not_count_and_do_not_delay(panel: BarPanel, config: Config) -> None:
    """The same choice as from a training part that is that much shorter, judged where it would have been judged."""
    purged = WalkForwardEvaluator(panel, config, GRID, train=500, test=250, purge=60).run()
    shorter = WalkForwardEvaluator(panel, config, GRID, train=440, test=250, embargo=60).run()
    assert purged.steps[0].tried == shorter.steps[0].tried
    assert purged.steps[0].result.sessions[0] == panel.sessions[500]
    assert purged.steps[0].train[1] == panel.sessions[439].astype(object)


def test_anchored_and_embargo(panel: BarPanel, config: Config) -> None:
    windows = WalkForwardEvaluator(panel, config, GRID, train=300, test=200, embargo=5, anchored=True).windows()
    assert {window.train[0] for window in windows} == {0}
    assert all(window.test[0] == window.train[1] + 5 for window in windows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 1}, "train must be"), ({"test": 0}, "test must be"), ({"step": 10}, "step must be"), ({"embargo": -1}, "embargo must be"),
        ({"purge": -1}, "purge must be"), ({"purge": 299}, "leave at least 2"), ({"train": True}, "train must be"),
    ],
)  # fmt: skip
def test_lengths_are_checked(panel: BarPanel, config: Config, changes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WalkForwardEvaluator(panel, config, GRID, **({"train": 300, "test": 200} | changes))


def test_a_wrong_grid_is_named(panel: BarPanel, config: Config) -> None:
    with pytest.raises(ConfigError, match="is none"):
        WalkForwardEvaluator(panel, config, {"strategy.selection.topp": (5,)})
    with pytest.raises(ConfigError, match=r"selection\.top"):
        WalkForwardEvaluator(panel, config, {"strategy.selection.top": (0,)})
    with pytest.raises(InputError, match="at least one"):
        WalkForwardEvaluator(panel, config, {})
    with pytest.raises(InputError, match="training part"):
        WalkForwardEvaluator(panel, config, GRID, train=4000).run()
    with pytest.raises(InputError, match="must be a metric"):
        WalkForwardEvaluator(panel, config, GRID, objective="luck")


def test_nothing_after_any_training_part_reaches_its_choice() -> None:
    clean = market(seed=2, sessions=420, symbols=10, drift=0.001)
    grid = {"strategy.selection.top": (1, 3, 6), "factors.technical.momentum_12_1.direction": ("higher_better", "lower_better")}
    whole = WalkForwardEvaluator(clean, short_sighted(), grid, train=150, test=60, purge=5, embargo=5).run()
    differing = 0
    for number, step in enumerate(whole.steps):
        dirty = spoilt(clean, step.window.train[1], len(clean.sessions))
        again = WalkForwardEvaluator(dirty, short_sighted(), grid, train=150, test=60, purge=5, embargo=5).run()
        for one, other in zip(whole.steps[: number + 1], again.steps[: number + 1], strict=True):
            assert (one.tried == other.tried, one.place) == (True, other.place)
        differing += step.result.days.tobytes() != again.steps[number].result.days.tobytes()
    assert differing == len(whole.steps) > 3, "the spoilt part does change what is judged"


def test_the_curve_is_that_of_each_choice_by_hand(panel: BarPanel, config: Config) -> None:
    result = WalkForwardEvaluator(panel, config, GRID, train=400, test=150, embargo=10).run()
    pieces = []
    for step in result.steps:
        first, last = step.window.test
        run = EventBacktester(panel.rows(0, last), changed(config, step.chosen)).run(panel.sessions[first].astype(object))
        pieces.append(run.equity["return"].to_numpy())
        assert run.run_id == step.result.run_id
    sessions, returns = result.returns
    assert returns.tobytes() == np.concatenate(pieces).tobytes()
    curve = result.equity
    assert curve["growth"].to_numpy() == pytest.approx(np.cumprod(1 + returns))
    assert curve["date"].to_numpy().astype("datetime64[D]").tolist() == sessions.tolist()
    assert curve["window"].unique().to_list() == list(range(1, len(result.steps) + 1))


def test_a_candidate_is_the_trial_a_backtest_by_hand_would_be(panel: BarPanel, config: Config) -> None:
    result = WalkForwardEvaluator(panel, config, GRID, train=400, test=400).run()
    assert len(result.trials) == sum(len(step.tried) for step in result.steps) == 4 * len(result.steps)
    one = result.steps[1].tried[2]
    first, last = result.steps[1].window.train
    # the whole panel is there, as in `exo backtest run`: what lies after the end changes nothing
    run = EventBacktester(panel, changed(config, one.choice)).run(panel.sessions[first].astype(object), panel.sessions[last - 1].astype(object))
    assert (one.run_id, one.config_hash, one.metrics) == (run.run_id, run.config_hash, run.metrics)
    (trial,) = [trial for trial in result.trials if trial.run_id == run.run_id]
    assert trial.kind == "walk_forward"
    assert {"sharpe", "sessions", "skewness", "excess_kurtosis"} <= {metric.name for metric in trial.metrics}


def test_what_is_truly_better_is_chosen_every_time() -> None:
    grid = {"factors.technical.momentum_12_1.direction": ("lower_better", "higher_better"), "strategy.selection.top": (2, 8)}
    trends = market(seed=5, sessions=900, symbols=12, drift=0.002)
    result = WalkForwardEvaluator(trends, short_sighted(window=40), grid, train=250, test=120, objective="cagr").run()
    assert {step.chosen for step in result.steps} == {(("factors.technical.momentum_12_1.direction", "higher_better"), ("strategy.selection.top", 2))}
    assert set(result.stability.values()) == {1.0}
    assert result.metrics["sharpe"] > 2.0 and result.efficiency > 0.5


def test_on_noise_the_best_of_training_is_no_better_than_chance() -> None:
    """Chosen among many on pure noise: good in training by luck, worth nothing afterwards. 12 markets, two standard errors."""
    grid = {"strategy.selection.top": (1, 2, 4), "factors.technical.momentum_12_1.direction": ("higher_better", "lower_better"),
            "strategy.schedule.every_sessions": (5, 15)}  # fmt: skip
    inside, outside = [], []
    for seed in range(12):
        result = WalkForwardEvaluator(market(seed, 700, 10, drift=0.0), short_sighted(), grid, train=150, test=110).run()
        inside.append(np.mean([step.in_sample for step in result.steps]))
        outside.append(result.metrics["sharpe"])
    years = len(result.returns[0]) / 252
    error = 1 / np.sqrt(years * len(outside))
    assert abs(np.mean(outside)) < 2 * error
    assert np.mean(inside) > 1.0 > np.mean(outside) + 2 * error


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_where_it_runs_changes_nothing(backend: str) -> None:
    walk = market(seed=9, sessions=320, symbols=8, drift=0.001)
    grid = {"strategy.selection.top": (1, 4)}
    ticks: list[tuple[int, int]] = []
    here = WalkForwardEvaluator(walk, short_sighted(), grid, train=120, test=60).run()
    there = WalkForwardEvaluator(walk, short_sighted(), grid, train=120, test=60, backend=backend, workers=2).run(progress=lambda *at: ticks.append(at))
    assert here.id == there.id and here.returns[1].tobytes() == there.returns[1].tobytes()
    assert [step.tried for step in here.steps] == [step.tried for step in there.steps]
    assert ticks[-1] == (2 * len(here.steps), 2 * len(here.steps))


def test_the_table_says_what_each_window_did(panel: BarPanel, config: Config) -> None:
    result = WalkForwardEvaluator(panel, config, GRID, train=500, test=250, purge=21).run()
    for step, row in zip(result.steps, result.table.iter_rows(named=True), strict=True):
        assert (row["train_start"], row["train_end"]) == step.train
        assert (row["test_start"], row["test_end"]) == (step.result.sessions[0].astype(object), step.result.sessions[-1].astype(object))
        assert row["sharpe_in_sample"] == step.in_sample and row["sharpe_out_of_sample"] == step.result.metrics["sharpe"]
        assert row["trades"] == step.result.metrics["trades"] and row["max_drawdown"] == step.result.metrics["max_drawdown"]
        assert row["strategy.selection.top"] in ("5", "15")
        before, after = row["cagr_in_sample"], row["cagr_out_of_sample"]
        assert row["efficiency"] == (pytest.approx(after / before) if before > 0 else None)
    assert {"sortino", "calmar", "skewness", "excess_kurtosis", "sessions", "max_drawdown_12m"} <= set(result.metrics)
    assert result.warnings[0] == "synthetic sample"


def test_steadiness_by_hand() -> None:
    chosen = [(("n", n), ("method", word)) for n, word in ((10, "a"), (20, "a"), (20, "b"), (30, "a"))]
    number, word = parameter_table(chosen).iter_rows(named=True)
    assert (number["most_frequent"], number["share"], number["distinct"], number["mean"]) == ("20", 0.5, 3, 20.0)
    assert number["deviation"] == pytest.approx(np.sqrt(200 / 3)) and number["drift"] == pytest.approx(6.0)
    assert number["relative_deviation"] == pytest.approx(np.sqrt(200 / 3) / 20)
    assert (word["most_frequent"], word["share"], word["mean"], word["drift"]) == ("a", 0.75, None, None)


def test_does_training_foretell_by_hand() -> None:
    told = line(np.array([(1.0, 0.5), (2.0, 1.0), (3.0, 1.5), (np.nan, 9.0)]))
    assert (told.slope, told.intercept, told.correlation, told.windows) == (pytest.approx(0.5), pytest.approx(0.0), pytest.approx(1.0), 3)
    assert np.isnan(line(np.array([(1.0, 0.5), (2.0, 1.0)])).slope)
    assert np.isnan(line(np.array([(1.0, 0.5)] * 5)).slope)


def test_the_picture_shows_both(panel: BarPanel, config: Config) -> None:
    result = WalkForwardEvaluator(panel, config, GRID, train=500, test=250).run()
    (curve,) = result.plot().data
    assert curve.y[-1] == pytest.approx(100 * (1 + result.metrics["total_return"]))
    inside, outside = result.plot_windows().data
    assert list(inside.y) == [step.in_sample for step in result.steps]
    assert list(outside.y) == [step.result.metrics["sharpe"] for step in result.steps]
