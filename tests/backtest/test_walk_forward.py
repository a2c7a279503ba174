"""Walk-forward: chosen on the training part alone, judged on what follows, every session judged once."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.backtest import EventBacktester, WalkForwardEvaluator
from mech_exo.backtest.walk_forward import changed
from mech_exo.datasource.demo import sample_market
from mech_exo.domain.errors import ConfigError, InputError
from mech_exo.domain.panel import BarPanel
from mech_exo.utils.settings import Config, PortfolioLimits, PositionLimits, RiskLimits

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


def test_anchored_and_embargo(panel: BarPanel, config: Config) -> None:
    windows = WalkForwardEvaluator(panel, config, GRID, train=300, test=200, embargo=5, anchored=True).windows()
    assert {window.train[0] for window in windows} == {0}
    assert all(window.test[0] == window.train[1] + 5 for window in windows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 1}, "train must be"), ({"test": 0}, "test must be"), ({"step": 10}, "step must be"), ({"embargo": -1}, "embargo must be"),
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
        WalkForwardEvaluator(panel, config, GRID, objective="luck").run()
