"""Out-of-sample evaluation: choose on the past, judge on what follows, move on, and look only at the judged parts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Literal

from mech_exo.backtest.result import BacktestResult
from mech_exo.backtest.search import (
    Choice,
    Fitting,
    Grid,
    Market,
    Objective,
    Tried,
    attempt,
    best,
    changed,
    choices,
    corners,
    study,
)
from mech_exo.backtest.walk_result import Step, WalkForwardResult
from mech_exo.backtest.windows import Lengths, Window, whole
from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.utils import parallel
from mech_exo.utils.settings import Config

__all__ = ["Choice", "Step", "WalkForwardEvaluator", "WalkForwardResult", "Window", "changed"]

Search = Literal["grid", "optuna"]
Progress = Callable[[int, int], None]


class WalkForwardEvaluator:
    """Refits a configured strategy window by window and stitches what came after.

    Each window's training part is played with every candidate, the best by the objective is chosen, and that one alone is played on
    the test part. A training part is played on a panel that ends with it, so nothing after it can reach the choice.
    Every part begins in cash.

    Parameters
    ----------
    panel, universe, warnings
        As for :class:`EventBacktester`.
    config
        The strategy; the grid changes single keys of it.
    grid
        Dotted keys and their candidates, e.g. ``{"strategy.selection.top": (20, 30)}``; weights of factors are keys too
        (``factors.technical.momentum_12_1.weight``). With ``search="optuna"`` a tuple of two numbers is the range between them,
        whole numbers or fractions, and a list names its values one by one.
    train, test
        Sessions of each part.
    step
        Sessions from one window to the next; default ``test``, so that every session is judged once; never fewer.
    purge
        Sessions at the **end of the training part** that the objective does not see. The training backtest stops before them, so
        with a purge at least as long as positions are held, nothing that was counted in training is still open when the test
        begins. The test part stays where it is.
    embargo
        Sessions **between** the parts that neither of them plays: the test part begins that much later. Factors in the test part read the
        bars of purged and embargoed sessions as history, as live trading would.

        In López de Prado (2018), "Advances in Financial Machine Learning", ch. 7.4, purging drops training observations whose labels
        overlap the test part, and the embargo drops training observations right **after** a test part, because they still remember it. In
        a walk-forward nothing is trained after its own test part, so what is left of the embargo is the gap before it; the other
        one is at work in :class:`mech_exo.backtest.cross_validation.CombinatorialPurgedCV`.
    anchored
        True: every training part begins with the first session; False: it rolls.
    objective
        Metric of the training part, or a function of its :class:`BacktestResult`, that is maximised (a drawdown, a cost or a volatility
        is minimised).
    minimum_trades
        Closed round trips a candidate needs in a training part to be eligible there.
    search, trials, seed
        ``"grid"`` tries every combination; ``"optuna"`` tries ``trials`` per window, led by what it met before. Equal seeds, equal trials.
    backend, workers, address
        Where candidates run: see :func:`mech_exo.utils.parallel.map`. The result does not depend on it.

    Raises
    ------
    InputError
        A length is not a whole number in its range, parts of successive windows would be judged twice, or the objective is no metric.
    ConfigError
        The grid names an unknown key or a value outside its range.
    """

    def __init__(
        self,
        panel: BarPanel,
        config: Config,
        grid: Grid,
        *,
        train: int = 756,
        test: int = 252,
        step: int | None = None,
        embargo: int = 0,
        purge: int = 0,
        anchored: bool = False,
        objective: str | Callable[[BacktestResult], float] = "sharpe",
        minimum_trades: int = 0,
        search: Search = "grid",
        trials: int = 50,
        seed: int = 0,
        universe: Universe | None = None,
        warnings: tuple[str, ...] | None = None,
        backend: str = "serial",
        workers: int | None = None,
        address: str | None = None,
    ) -> None:
        if search not in ("grid", "optuna"):
            raise InputError(f"search must be grid or optuna; got {search!r}")
        whole("trials", trials, 1, "trials")
        whole("seed", seed, 0, "steps")
        self.panel, self.config, self.grid = panel, config, grid
        self.universe, self.warnings = universe, warnings
        self.lengths = Lengths(train, test, step, embargo, purge, anchored)
        self.objective = Objective(objective, minimum_trades)
        self.search, self.trials, self.seed = search, trials, seed
        self.backend = backend
        self.workers, self.address = workers, address
        self.candidates = tuple(choices(grid) if search == "grid" else corners(grid))
        for choice in self.candidates:
            changed(config, choice)

    def windows(self, start: date | None = None, end: date | None = None) -> tuple[Window, ...]:
        """The windows of ``[start, end]``; the last test part may be shorter. Raises InputError when not even one fits."""
        return self.lengths.windows(*self.panel.rows_between(start, end))

    def run(self, start: date | None = None, end: date | None = None, *, progress: Progress | None = None) -> WalkForwardResult:
        """Choose and judge, window by window; ``progress(done, total)`` counts candidates of a grid, windows of a study.

        Raises MissingDataError when a training part gives no candidate a value of the objective.
        """
        windows = self.windows(start, end)
        market = Market(self.panel, self.universe, self.warnings, self.config, {})
        hashes = {window.train[1]: market.data_hash(window.train[1]) for window in windows}
        fitting = Fitting(Market(self.panel, self.universe, self.warnings, self.config, hashes), self.objective, self.grid, self.trials)
        tried = self._tried(fitting, windows, progress)
        return WalkForwardResult(tuple(self._step(market, *pair) for pair in zip(windows, tried, strict=True)), self.objective)

    def _tried(self, fitting: Fitting, windows: tuple[Window, ...], progress: Progress | None) -> list[tuple[Tried, ...]]:
        """Every candidate of every window; nothing of a test part is looked at."""
        where: dict[str, Any] = {"backend": self.backend, "workers": self.workers, "address": self.address, "progress": progress}
        if self.search == "optuna":
            seeds = [(window.train, self.seed + number) for number, window in enumerate(windows)]
            return parallel.map(study, seeds, shared=fitting, **where)
        items = [(choice, window.train) for window in windows for choice in self.candidates]
        flat, each = parallel.map(attempt, items, shared=fitting, **where), len(self.candidates)
        return [tuple(flat[first : first + each]) for first in range(0, len(flat), each)]

    def _step(self, market: Market, window: Window, tried: tuple[Tried, ...]) -> Step:
        place = best([one.value for one in tried], self.objective.sign)
        if place is None:
            span = f"{self.panel.sessions[window.train[0]]} to {self.panel.sessions[window.train[1] - 1]}"
            least = f" and {self.objective.minimum_trades} closed round trips" if self.objective.minimum_trades else ""
            raise MissingDataError(
                f"training needs a {self.objective.name}{least}; no candidate has that from {span}", remedy="train longer or later"
            )
        train = (self.panel.sessions[window.train[0]].astype(object), self.panel.sessions[window.train[1] - 1].astype(object))
        return Step(window, train, tried, place, market.play(tried[place].choice, window.test))
