"""Out-of-sample evaluation: choose on the past, judge on what follows, move on, and look only at the judged parts."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from mech_exo.backtest.engine import EventBacktester
from mech_exo.backtest.result import BacktestResult
from mech_exo.domain.errors import ConfigError, InputError, MissingDataError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    import polars as pl

Choice = tuple[tuple[str, Any], ...]
"""One candidate: ``(dotted key, value)`` pairs in the order of the grid."""


@dataclass(frozen=True, slots=True)
class Window:
    """One step: rows of the panel, half-open. ``test`` begins ``embargo`` sessions after ``train`` ends."""

    train: tuple[int, int]
    test: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a window chose on its training part and how that did afterwards."""

    window: Window
    chosen: Choice
    in_sample: float
    result: BacktestResult


@dataclass(frozen=True, eq=False)
class WalkForwardResult:
    """Every step; everything below is out of sample unless it says otherwise.

    ``objective`` is the metric that chose, ``candidates`` how many were tried in each window: the number of trials that an
    honest reading of the in-sample figures must allow for.
    """

    steps: tuple[Step, ...]
    objective: str
    candidates: int

    @functools.cached_property
    def returns(self) -> tuple[np.ndarray, np.ndarray]:
        """Sessions ``(T,)`` and time-weighted returns ``(T,)`` of the test parts, stitched.

        Each test part begins in cash and pays for building its positions.
        """
        from mech_exo.performance.trading import account_returns

        days = [step.result.sessions for step in self.steps]
        return np.concatenate(days), np.concatenate([account_returns(step.result.days) for step in self.steps])

    @functools.cached_property
    def metrics(self) -> dict[str, float]:
        """Out-of-sample total_return, cagr, volatility_ann, sharpe and max_drawdown; 252 sessions a year, risk-free 0, NaN unknown."""
        from mech_exo.performance import metrics

        _, returns = self.returns
        growth = metrics.growth(returns)
        return {
            "total_return": metrics.total_return(returns),
            "cagr": metrics.cagr(returns),
            "volatility_ann": metrics.volatility_ann(returns),
            "sharpe": metrics.sharpe(returns),
            "max_drawdown": metrics.max_drawdown(growth),
        }

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """A row per window: its dates, what it chose, the objective in and out of sample."""
        import polars as pl

        rows = []
        for step in self.steps:
            sessions = step.result.sessions
            chosen = {key: str(value) for key, value in step.chosen}
            outside = step.result.metrics[self.objective]
            rows.append({"test_start": sessions[0].astype(object), "test_end": sessions[-1].astype(object), **chosen,
                         f"{self.objective}_in_sample": step.in_sample, f"{self.objective}_out_of_sample": outside})  # fmt: skip
        return pl.DataFrame(rows)

    @property
    def stability(self) -> dict[str, float]:
        """Per parameter, the share of windows that chose its most frequent value: 1 = always the same."""
        chosen = [dict(step.chosen) for step in self.steps]
        return {key: max(Counter(str(one[key]) for one in chosen).values()) / len(chosen) for key, _ in self.steps[0].chosen}


class WalkForwardEvaluator:
    """Refits a configured strategy window by window and stitches what came after.

    Parameters
    ----------
    panel, universe, warnings
        As for :class:`EventBacktester`.
    config
        The strategy; the grid changes single keys of it.
    grid
        Dotted keys and their candidates, e.g. ``{"strategy.selection.top": (20, 30)}``.
    train, test
        Sessions of each part.
    step
        Sessions from one window to the next; default ``test``, so that every session is judged once.
    embargo
        Sessions left out between the parts, so that what was learnt cannot overlap what is judged (López de Prado 2018, ch. 7).
    anchored
        True: every training part begins with the first session; False: it rolls.
    objective
        Metric of the training part that is maximised.

    Raises
    ------
    InputError
        A length is not a whole number in its range, or parts of successive windows would be judged twice.
    ConfigError
        The grid names an unknown key or a value outside its range.
    """

    def __init__(
        self,
        panel: BarPanel,
        config: Config,
        grid: Mapping[str, Sequence[Any]],
        *,
        train: int = 756,
        test: int = 252,
        step: int | None = None,
        embargo: int = 0,
        anchored: bool = False,
        objective: str = "sharpe",
        universe: Universe | None = None,
        warnings: tuple[str, ...] | None = None,
    ) -> None:
        for name, value, least in (("train", train, 2), ("test", test, 1), ("step", step or test, test), ("embargo", embargo, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} must be a whole number of sessions, at least {least}; got {value}")
        if not grid or not all(len(values) for values in grid.values()):
            raise InputError("the grid needs at least one key with at least one value")
        self.panel, self.universe, self.warnings = panel, universe, warnings
        self.train, self.test, self.step, self.embargo, self.anchored = train, test, step or test, embargo, anchored
        self.objective = objective
        self.candidates = tuple((choice, changed(config, choice)) for choice in _choices(grid))

    def windows(self, start: date | None = None, end: date | None = None) -> tuple[Window, ...]:
        """The windows of ``[start, end]``; the last test part may be shorter. Raises InputError when not even one fits."""
        first, last = self.panel.rows_between(start, end)
        found = []
        begin = first
        while begin + self.train + self.embargo < last:
            edge = begin + self.train
            judged = edge + self.embargo
            found.append(Window((first if self.anchored else begin, edge), (judged, min(judged + self.test, last))))
            begin += self.step
        if not found:
            raise InputError(
                f"the period must hold a training part and more: over {self.train + self.embargo} sessions; it has {last - first}"
            )
        return tuple(found)

    def run(self, start: date | None = None, end: date | None = None) -> WalkForwardResult:
        """Choose and judge, window by window.

        Raises MissingDataError when a training part gives no candidate a value of the objective.
        """
        steps = tuple(self._step(window) for window in self.windows(start, end))
        return WalkForwardResult(steps, self.objective, len(self.candidates))

    def _step(self, window: Window) -> Step:
        values = [self._value(self._play(config, window.train)) for _, config in self.candidates]
        known = [value for value in values if not np.isnan(value)]
        if not known:
            span = f"{self.panel.sessions[window.train[0]]} to {self.panel.sessions[window.train[1] - 1]}"
            raise MissingDataError(f"training needs a {self.objective}; no candidate has one from {span}", remedy="train longer or later")
        best = values.index(max(known))
        chosen, config = self.candidates[best]
        return Step(window, chosen, values[best], self._play(config, window.test))

    def _value(self, result: BacktestResult) -> float:
        if self.objective not in result.metrics:
            known = ", ".join(sorted(result.metrics))
            raise InputError(f"the objective must be a metric; got {self.objective!r}", remedy=f"one of {known}")
        value = result.metrics[self.objective]
        return float("nan") if value is None else float(value)

    def _play(self, config: Config, rows: tuple[int, int]) -> BacktestResult:
        """The sessions of one part; the engine sees no row after it."""
        cut = self.panel.rows(0, rows[1])
        universe = None if self.universe is None else self.universe.rows(0, rows[1])
        engine = EventBacktester(cut, config, universe=universe, warnings=self.warnings)
        return engine.run(cut.sessions[rows[0]].astype(object), cut.sessions[-1].astype(object))


def changed(config: Config, choice: Choice) -> Config:
    """``config`` with single keys changed and checked anew. Raises ConfigError for an unknown key or a value out of range."""
    body: dict[str, Any] = config.model_dump()
    for key, value in choice:
        *path, leaf = key.split(".")
        place: Any = body
        for name in path:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict) or leaf not in place:
            raise ConfigError(f"a grid changes keys of the configuration; {key!r} is none", remedy="e.g. strategy.selection.top")
        place[leaf] = value
    try:
        return Config.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: {first['msg']}; got {first['input']!r}") from None


def _choices(grid: Mapping[str, Sequence[Any]]) -> Iterator[Choice]:
    for values in itertools.product(*grid.values()):
        yield tuple(zip(grid, values, strict=True))
