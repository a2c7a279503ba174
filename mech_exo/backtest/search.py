"""Choosing on a training part: every candidate of a grid, or as many as Optuna is given; nothing here ever sees a test part."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from mech_exo.backtest.engine import EventBacktester
from mech_exo.backtest.result import BacktestResult
from mech_exo.backtest.windows import Rows, whole
from mech_exo.decision.night import Known
from mech_exo.decision.strategy import Strategy
from mech_exo.domain.errors import ConfigError, InputError, UserError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.execution.trial_rows import Metric, Trial
from mech_exo.kernels.records import DAY
from mech_exo.utils.config_errors import explain
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Choice = tuple[tuple[str, Any], ...]
"""One candidate: ``(dotted key, value)`` pairs in the order of the grid."""
Grid = Mapping[str, Sequence[Any]]
FREE = "params"
"""The one mapping of the configuration whose keys are not spelt out before: a factor's own parameters."""
LOWER_IS_BETTER = frozenset(
    {
        "max_drawdown", "max_drawdown_12m", "drawdown", "longest_drawdown_sessions", "volatility_ann", "gross_volatility_ann",
        "sharpe_standard_error", "sharpe_robust_error", "commission", "slippage", "borrow", "total_costs", "cost_share", "cost_drag_ann",
        "turnover_ann", "worst_trade_loss", "tracking_error_ann", "alpha_error_ann", "beta_error", "down_capture", "stop_outs", "unfilled",
        "value_at_risk_95", "value_at_risk_99", "value_at_risk_95_gaussian", "value_at_risk_95_cornish_fisher", "expected_shortfall_95",
        "expected_shortfall_99", "expected_shortfall_95_gaussian", "expected_shortfall_95_cornish_fisher",
    }
)  # fmt: skip
"""Metrics of which the smallest is chosen."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What the training part is judged by: a metric of :attr:`BacktestResult.metrics` or a function of the result, higher is better.

    Of the metrics in :data:`LOWER_IS_BETTER` the smallest is best. A candidate with fewer than ``minimum_trades`` closed round trips
    is not eligible: its value is NaN. Raises InputError for a name that is no metric.
    """

    metric: str | Callable[[BacktestResult], float]
    minimum_trades: int = 0

    def __post_init__(self) -> None:
        whole("minimum_trades", self.minimum_trades, 0, "closed round trips")
        if isinstance(self.metric, str):
            one_of_metrics(self.metric, known_metrics())

    @property
    def name(self) -> str:
        """The metric, or the function's name."""
        return self.metric if isinstance(self.metric, str) else getattr(self.metric, "__name__", type(self.metric).__name__)

    @property
    def sign(self) -> float:
        """-1 where the smallest is best."""
        return -1.0 if self.metric in LOWER_IS_BETTER else 1.0

    def of(self, result: BacktestResult) -> float:
        """The value, whatever the number of trades; NaN unknown."""
        value = result.metrics[self.metric] if isinstance(self.metric, str) else self.metric(result)
        return math.nan if value is None else float(value)

    def eligible(self, result: BacktestResult) -> float:
        """The value by which a candidate is chosen; NaN = it cannot be."""
        traded = result.metrics["trades"] if self.minimum_trades else 0
        return self.of(result) if traded is not None and traded >= self.minimum_trades else math.nan


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate on one training part: the value that decides (NaN = not eligible) and what the ledger counts."""

    choice: Choice
    value: float
    run_id: str
    config_hash: str
    metrics: Mapping[str, float | int | None]

    @property
    def trial(self) -> Trial:
        """For the ledger: the run id of a candidate is that of the same backtest made by hand, so neither counts twice."""
        return trial(self.run_id, "walk_forward", self.config_hash, self.metrics)


@dataclass(frozen=True, eq=False)
class Market:
    """The history that candidates are played on; ``hashes`` are its data hashes by last row, worked out once for all candidates that read
    the facts ``config`` reads."""

    panel: BarPanel
    universe: Universe | None
    warnings: tuple[str, ...] | None
    config: Config
    hashes: Mapping[int, str]

    def play(self, choice: Choice, rows: Rows) -> BacktestResult:
        """``choice`` over the sessions of one part, beginning in cash; the engine holds no row after it."""
        cut, universe = self._upto(rows[1])
        engine = EventBacktester(cut, changed(self.config, choice), universe=universe, warnings=self.warnings)
        result = engine.run(cut.sessions[rows[0]].astype(object), cut.sessions[-1].astype(object))
        if rows[1] in self.hashes and Strategy(result.config).facts == Strategy(self.config).facts:
            result.__dict__["data_hash"] = self.hashes[rows[1]]  # the cached property's own place: one hash for all candidates
        return result

    def data_hash(self, last: int) -> str:
        """Of everything up to row ``last``: what :attr:`BacktestResult.data_hash` would be."""
        cut, universe = self._upto(last)
        return Known(cut, (universe or Universe.everyone(cut)).telling(Strategy(self.config).facts)).data_hash()

    def _upto(self, last: int) -> tuple[BarPanel, Universe | None]:
        return self.panel.rows(0, last), None if self.universe is None else self.universe.rows(0, last)


@dataclass(frozen=True, eq=False)
class Fitting:
    """A market and what is looked for on it; travels to the workers once."""

    market: Market
    objective: Objective
    space: Grid
    trials: int = 0

    def attempt(self, choice: Choice, rows: Rows) -> Tried:
        """One candidate on one training part."""
        result = self.market.play(choice, rows)
        return Tried(choice, self.objective.eligible(result), result.run_id, result.config_hash, result.metrics)

    def study(self, rows: Rows, seed: int) -> tuple[Tried, ...]:
        """What Optuna's tree-structured Parzen estimator tries on one training part, in order; a choice met again is not run again.

        Bergstra et al. (2011), "Algorithms for Hyper-Parameter Optimization", NIPS 24, sec. 4. Equal seeds give equal studies.
        """
        optuna = _optuna()
        space = distributions(self.space)
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        tried: dict[Choice, Tried] = {}
        for _ in range(self.trials):
            asked = study.ask(space)
            choice = tuple((key, _meant(self.space[key], asked.params[key])) for key in self.space)
            if choice not in tried:
                tried[choice] = self.attempt(choice, rows)
            value = tried[choice].value
            if math.isnan(value):
                study.tell(asked, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(asked, self.objective.sign * value)
        return tuple(tried.values())


def attempt(fitting: Fitting, item: tuple[Choice, Rows]) -> Tried:
    """:meth:`Fitting.attempt` as a worker takes it."""
    return fitting.attempt(*item)


def study(fitting: Fitting, item: tuple[Rows, int]) -> tuple[Tried, ...]:
    """:meth:`Fitting.study` as a worker takes it."""
    return fitting.study(*item)


def best(values: Sequence[float], sign: float = 1.0) -> int | None:
    """Place of the best value, the first among equals; None when all are NaN."""
    merits = sign * np.asarray(values, np.float64)
    return None if np.isnan(merits).all() else int(np.nanargmax(merits))


def changed(config: Config, choice: Choice) -> Config:
    """``config`` with single keys changed and checked anew. Raises ConfigError for an unknown key or a value out of range."""
    body: dict[str, Any] = config.model_dump()
    for key, value in choice:
        *path, leaf = key.split(".")
        place: Any = body
        for name in path:
            place = place.get(name) if isinstance(place, dict) else None
        known = isinstance(place, dict) and (leaf in place or (len(path) > 1 and path[-1] == FREE))
        if not known or (isinstance(place[leaf], dict) if leaf in place else False):
            raise ConfigError(f"a grid changes single keys of the configuration; {key!r} is none", remedy=_nearest(key, config))
        place[leaf] = value
    try:
        return Config.model_validate(body)
    except ValidationError as error:
        raise ConfigError(explain(Path("grid"), Config, error)) from None


def choices(grid: Grid) -> Iterator[Choice]:
    """Every combination, the last key running fastest. Raises InputError for a grid without a key or a key without a value."""
    if not grid or not all(len(values) for values in grid.values()):
        raise InputError("the grid needs at least one key with at least one value", remedy="e.g. strategy.selection.top with 20, 30")
    for values in itertools.product(*grid.values()):
        yield tuple(zip(grid, values, strict=True))


def corners(space: Grid) -> Iterator[Choice]:
    """Each single value and each end of a range by itself: what can be checked before a study begins."""
    next(choices(space))
    for key, values in space.items():
        for value in values:
            yield ((key, value),)


def is_range(values: Sequence[Any]) -> bool:
    """A tuple of two numbers is the range between them; everything else names its values one by one."""
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    return isinstance(values, tuple) and len(values) == 2 and numbers


def distributions(space: Grid) -> dict[str, BaseDistribution]:
    """The space as Optuna takes it: ranges of whole numbers or of fractions, categories by their place."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    made: dict[str, BaseDistribution] = {}
    for key, values in space.items():
        if not is_range(values):
            made[key] = CategoricalDistribution(range(len(values)))
        elif all(isinstance(value, int) for value in values):
            made[key] = IntDistribution(low=min(values), high=max(values))
        else:
            made[key] = FloatDistribution(low=float(min(values)), high=float(max(values)))
    return made


def known_metrics() -> tuple[str, ...]:
    """Names of everything in :attr:`BacktestResult.metrics`."""
    from mech_exo.performance.attribution import TRADE
    from mech_exo.performance.metrics import summary

    return tuple(summary(np.empty(0, "datetime64[D]"), np.empty(0, DAY), np.empty(0, TRADE)))


def one_of_metrics(name: str, known: Sequence[str]) -> None:
    """Raise InputError unless ``name`` is among ``known``."""
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0.5)
        remedy = f"did you mean {near[0]}?" if near else f"one of {', '.join(sorted(known))}"
        raise InputError(f"the objective must be a metric; got {name!r}", remedy=remedy)


def trial(run_id: str, kind: str, config_hash: str, metrics: Mapping[str, float | int | None]) -> Trial:
    """A ledger row; what is unknown is None."""
    known = {name: None if value is None or not math.isfinite(value) else float(value) for name, value in metrics.items()}
    return Trial(run_id, kind, config_hash, tuple(Metric(name, known[name]) for name in sorted(known)))


def _meant(values: Sequence[Any], drawn: Any) -> Any:
    return drawn if is_range(values) else values[drawn]


def _nearest(key: str, config: Config) -> str:
    known = list(_keys(config.model_dump()))
    ends = [name for name in known if name.endswith(f".{key}")]
    near = ends or difflib.get_close_matches(key, known, 1, 0.6)
    return f"did you mean {near[0]}?" if near else "e.g. strategy.selection.top; exo config show --effective lists them all"


def _keys(body: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in body.items():
        if isinstance(value, dict) and value:
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError("search: optuna needs the package optuna, which is not installed", remedy="pip install 'mech-exo[ml]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
