"""Many configurations over one history: :func:`sweep`. Every trial is the very backtest it would be by hand, without what it does not need.

What trials have in common is made once: the data hash, a section of the configuration that several share, and the features (scores,
volatilities) of every distinct combination of factors, universe and schedule. Trials with the same features travel together.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from mech_exo.backtest.engine import EventBacktester
from mech_exo.backtest.result import run_hash
from mech_exo.backtest.sampling import sample
from mech_exo.backtest.search import LOWER_IS_BETTER, Choice, Grid, best, changed, choices, one_of_metrics, trial
from mech_exo.decision.night import Known
from mech_exo.decision.strategy import Strategy, missing_warnings, panel_warnings, sector_warnings
from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.execution.trial_rows import Trial
from mech_exo.kernels import code_version
from mech_exo.kernels.records import Floats, Ints
from mech_exo.performance import trading
from mech_exo.performance.metrics import of_account, of_returns
from mech_exo.performance.overfitting import OverfittingReport, overfitting_report
from mech_exo.scoring.scorer import Recipe
from mech_exo.utils import parallel
from mech_exo.utils.config import config_hash
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    import polars as pl

    from mech_exo.decision.params import Features

PIECES = 8
"""Parts per worker: they end at nearly the same time, and trials with the same features still travel together."""
SHOWN = ("sharpe", "cagr", "volatility_ann", "max_drawdown", "calmar", "sortino", "total_return", "final_equity", "turnover_ann",
         "total_costs", "exposure", "orders", "stop_outs")  # fmt: skip
"""Metrics of :attr:`SweepResult.table`."""


@dataclass(frozen=True, eq=False)
class SweepTrial:
    """One configuration and what it did.

    Parameters
    ----------
    choice
        ``(dotted key, value)`` pairs that make it differ from the others.
    course
        What all of them were played on.
    returns
        ``(T,)`` time-weighted session returns.
    account
        Figures of the account: equity, costs, turnover, exposure, counts of orders.
    """

    choice: Choice
    config: Config
    course: Course
    returns: Floats
    account: Mapping[str, float | int]

    @functools.cached_property
    def config_hash(self) -> str:
        """As of the same backtest run by hand."""
        return config_hash(self.config)

    @functools.cached_property
    def run_id(self) -> str:
        """That of the same backtest run by hand: it counts once, however it was played."""
        sessions = self.course.sessions
        data = self.course.data_hash(Strategy(self.config).facts)
        return run_hash(self.config_hash, code_version(), data, sessions, np.zeros(len(sessions)))

    @functools.cached_property
    def metrics(self) -> dict[str, float | int]:
        """Every metric of :attr:`BacktestResult.metrics` that needs no round trips and no benchmark; NaN unknown."""
        return {"sessions": len(self.returns), **of_returns(self.returns), **self.account}


@dataclass(frozen=True, eq=False)
class SweepResult:
    """Every trial of a sweep, in the order of its choices."""

    runs: tuple[SweepTrial, ...]
    sessions: np.ndarray
    warnings: tuple[str, ...]

    @functools.cached_property
    def id(self) -> str:
        """Hash of every run id: equal sweeps have equal ids, whatever backend played them."""
        return hashlib.sha256("".join(run.run_id for run in self.runs).encode()).hexdigest()[:16]

    @functools.cached_property
    def returns(self) -> Floats:
        """``(T, M)`` time-weighted session returns, a column per trial."""
        return np.column_stack([run.returns for run in self.runs])

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """A row per trial: its choice, run id and chief metrics (null unknown)."""
        import polars as pl

        rows = []
        for run in self.runs:
            chosen = {key: _cell(value) for key, value in run.choice}
            shown = {name: _known(run.metrics[name]) for name in SHOWN}
            rows.append({**chosen, "run_id": run.run_id, **shown})
        return pl.DataFrame(rows, infer_schema_length=None)

    def ranked(self, objective: str = "sharpe") -> tuple[SweepTrial, ...]:
        """The trials by ``objective``, best first, equals in their order; those without a value last. Raises InputError for no metric."""
        one_of_metrics(objective, objectives())
        sign = -1.0 if objective in LOWER_IS_BETTER else 1.0
        values = np.array([run.metrics[objective] for run in self.runs], np.float64)
        return tuple(self.runs[place] for place in np.argsort(-sign * values, kind="stable"))

    def best(self, objective: str = "sharpe") -> SweepTrial:
        """The trial with the best ``objective``.

        Raises InputError where that is no metric (those of round trips are not among a sweep's) and MissingDataError when no trial has
        a value.
        """
        first = self.ranked(objective)[0]
        if best([first.metrics[objective]]) is None:
            raise MissingDataError(f"the best of a sweep needs a {objective}; no trial has one", remedy="a longer period")
        return first

    @property
    def trials(self) -> tuple[Trial, ...]:
        """For the ledger: each counts, whichever is shown."""
        return tuple(trial(run.run_id, "sweep", run.config_hash, run.metrics) for run in self.runs)

    def overfitting(
        self, sharpes: Sequence[float] | None = None, objective: str = "sharpe", *, blocks: int = 16, draws: int = 1000
    ) -> OverfittingReport:
        """How much of the best trial is luck, with PBO and SPA of this sweep's own matrix.

        ``sharpes`` are the annual Sharpe ratios of every trial the ledger counts, these among them; default these alone.
        """
        known = [float(run.metrics["sharpe"]) for run in self.runs] if sharpes is None else sharpes
        return overfitting_report(self.best(objective).returns, known, self.returns, blocks=blocks, draws=draws)


def objectives() -> tuple[str, ...]:
    """Names of the metrics that a sweep knows of each trial."""
    from mech_exo.kernels.records import DAY, EVENT

    return ("sessions", *of_returns(np.empty(0)), *_account(np.empty(0, DAY), np.empty(0, EVENT)))


def sweep(
    panel: BarPanel,
    config: Config,
    grid: Grid | Sequence[Choice],
    *,
    universe: Universe | None = None,
    start: date | None = None,
    end: date | None = None,
    trials: int | None = None,
    seed: int = 0,
    backend: str = "threads",
    workers: int | None = None,
    address: str | None = None,
    warnings: tuple[str, ...] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SweepResult:
    """Backtest ``config`` with every choice of ``grid``.

    Parameters
    ----------
    panel, universe, warnings, start, end
        As for :class:`EventBacktester` and its ``run``.
    grid
        Dotted keys and their values, all combined (``{"strategy.selection.top": [20, 30]}``), or the choices themselves:
        ``[(("strategy.selection.top", 20),), ...]``.
    trials
        So many different choices drawn at random by ``seed``; then a tuple of two numbers is a range. None: all of them.
    backend, workers, address
        Of :func:`mech_exo.utils.parallel.map`. The result does not depend on them, to the last bit.
    progress
        ``(trials done, trials)``.

    Raises
    ------
    ConfigError
        An unknown key (with the nearest known one) or a value out of its range, before anything is played.
    InputError
        An empty grid, or a period without sessions.
    """
    made = tuple(_choices(grid, trials, seed))
    configs = tuple(_configs(config, made))
    course = Course(panel, universe or Universe.everyone(panel), start, end)
    hands = workers or parallel.cpu_count()
    parts = tuple(_parts(configs, max(1, -(-len(configs) // (PIECES * hands)))))
    tick = None if progress is None else (lambda done, total: progress(len(made) * done // total, len(made)))
    answers = parallel.map(_play, parts, shared=course, backend=backend, workers=workers, address=address, progress=tick)
    played = {place: answer for part, told in zip(parts, answers, strict=True) for place, answer in zip(part.places, told, strict=True)}
    runs = tuple(SweepTrial(made[place], configs[place], course, *played[place]) for place in range(len(made)))
    return SweepResult(runs, course.sessions, _said(panel, config, course.universe, runs, warnings))


class Course:
    """What every trial is played on; travels to a worker once and keeps there the features that are in use."""

    def __init__(self, panel: BarPanel, universe: Universe, start: date | None, end: date | None) -> None:
        self.first, last = panel.rows_between(start, end)
        self.panel, self.universe, self.last = panel.rows(0, last), universe.rows(0, last), last
        self._begin()

    def data_hash(self, facts: tuple[str, ...]) -> str:
        """Hash of the bars, members, sectors and ``facts`` read, the history before the first session included."""
        if facts not in self._hashes:
            self._hashes[facts] = Known(self.panel, self.universe.telling(facts)).data_hash()
        return self._hashes[facts]

    @property
    def sessions(self) -> np.ndarray:
        """``(T,)`` played."""
        return self.panel.sessions[self.first :]

    def features(self, key: Hashable, strategy: Strategy) -> tuple[Features, Ints]:
        """Features and decision rows of ``strategy``, made once per ``key`` as long as it is in use; any thread may ask."""
        with self._lock:
            once = self._made.pop(key, None) or _Once()
            self._made[key] = once  # the most recent stands last
            while len(self._made) > self._kept:
                self._made.pop(next(iter(self._made)))
        with once.lock:
            if once.value is None:
                rows = strategy.decision_rows(self.panel, self.first, self.first, self.last)
                once.value = strategy.features(self.panel, self.universe, rows, self._inputs)[0], rows
            return once.value

    def _begin(self) -> None:
        from mech_exo.scoring.inputs import FactorInputs

        self._made: dict[Hashable, _Once] = {}
        self._hashes: dict[tuple[str, ...], str] = {}
        self._lock = threading.Lock()
        self._kept = parallel.cpu_count() + 1
        self._inputs = FactorInputs(self.panel, self.universe)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


class _Once:
    """A value that one thread makes while the others wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: tuple[Features, Ints] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Trials with the same features: their places in the sweep and their configurations."""

    key: Hashable
    places: tuple[int, ...]
    configs: tuple[Config, ...]


Answer = tuple[Floats, dict[str, float | int]]
"""Returns and figures of the account."""


def _play(course: Course, part: Part) -> list[Answer]:
    return [_trial(course, part.key, config) for config in part.configs]


def _trial(course: Course, key: Hashable, config: Config) -> Answer:
    engine = EventBacktester(course.panel, config, universe=course.universe, warnings=())
    features, rows = course.features(key, Strategy(config))
    days, events = engine.records(features, rows, course.first, course.last)
    return trading.account_returns(days), _account(days, events)


def _account(days: np.ndarray, events: np.ndarray) -> dict[str, float | int]:
    counts = trading.activity(events)
    return of_account(days) | {name: getattr(counts, name) for name in ("orders", "fills", "unfilled", "stop_outs", "target_exits")}


def _choices(grid: Grid | Sequence[Choice], trials: int | None, seed: int) -> Iterable[Choice]:
    if not isinstance(grid, Mapping):
        if not grid:
            raise InputError("a sweep needs at least one choice", remedy='e.g. [(("strategy.selection.top", 20),)]')
        return grid
    return choices(grid) if trials is None else sample(grid, trials, seed)


def _configs(config: Config, made: Iterable[Choice]) -> Iterator[Config]:
    """Every choice as a configuration. A part of it that several choices share is checked once and shared."""
    checked: dict[Any, Any] = {}
    for choice in made:
        update: dict[str, Any] = {}
        for (section, *inner), pairs in _by_part(config, choice).items():
            known = (section, *inner, repr(pairs))
            if known not in checked:
                whole = getattr(changed(config, tuple(pairs)), section)
                checked[known] = getattr(whole, inner[0]) if inner else whole
            if inner:
                update[section] = update.get(section, getattr(config, section)).model_copy(update={inner[0]: checked[known]})
            else:
                update[section] = checked[known]
        yield config.model_copy(update=update)


def _by_part(config: Config, choice: Choice) -> dict[tuple[str, ...], list[tuple[str, Any]]]:
    """The pairs by the smallest part of the configuration that no rule ties to its neighbours: ``strategy.selection``, or a whole file."""
    whole = {key.split(".")[0] for key, _ in choice if not _stands_alone(config, key)}
    parts: dict[tuple[str, ...], list[tuple[str, Any]]] = {}
    for key, value in choice:
        path = key.split(".")
        parts.setdefault(tuple(path[: 1 if path[0] in whole else 2]), []).append((key, value))
    return parts


def _stands_alone(config: Config, key: str) -> bool:
    """Whether ``key`` lies in a model of its own within a file whose rules each concern one key."""
    section, *inner = key.split(".")
    file = getattr(config, section, None)
    if not isinstance(file, BaseModel) or type(file).__pydantic_decorators__.model_validators:
        return False
    return len(inner) > 1 and isinstance(getattr(file, inner[0], None), BaseModel)


def _parts(configs: Sequence[Config], most: int) -> Iterator[Part]:
    """Trials with equal features side by side, at most ``most`` in a part."""
    groups: dict[Hashable, list[int]] = {}
    for place, config in enumerate(configs):
        groups.setdefault(Strategy(config).features_key, []).append(place)
    for key, places in groups.items():
        for begin in range(0, len(places), most):
            some = tuple(places[begin : begin + most])
            yield Part(key, some, tuple(configs[place] for place in some))


def _said(
    panel: BarPanel, config: Config, universe: Universe, runs: Sequence[SweepTrial], warnings: tuple[str, ...] | None
) -> tuple[str, ...]:
    said = panel_warnings(panel, universe) if warnings is None else warnings
    scored = {id(run.config.factors): run.config.factors for run in runs}  # trials that do not touch the file share it
    missing = {pair: None for factors in scored.values() for pair in Recipe.of(factors, universe.facts).missing}
    said += (*sector_warnings(Strategy(config), universe), *missing_warnings(tuple(sorted(missing))))
    idle = sum(not run.account["orders"] for run in runs)
    return (*said, f"{idle} of {len(runs)} trials never ordered anything") if idle else said


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str, date)) else str(value)


def _known(value: float | int) -> float | int | None:
    return value if isinstance(value, int) or np.isfinite(value) else None
