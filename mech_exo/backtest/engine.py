"""History through the very same decisions: :class:`EventBacktester`."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from mech_exo.backtest.callables import CallableDriver
from mech_exo.backtest.result import BacktestResult
from mech_exo.backtest.stage import Stage, decisions
from mech_exo.decision.asked import own_warnings
from mech_exo.decision.kelly import kelly_warnings
from mech_exo.decision.night import Known
from mech_exo.decision.params import Features
from mech_exo.decision.strategy import (
    Strategy,
    blocked_warnings,
    governed_warnings,
    missing_warnings,
    panel_warnings,
    reducing_warnings,
    sector_warnings,
    thin_warnings,
    unscored_warnings,
)
from mech_exo.decision.tickets import StrategyFunction
from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels import code_version
from mech_exo.kernels.records import EventKind, Floats, Ints
from mech_exo.utils.settings import (
    Config,
    CostModel,
    MarginRules,
    RiskLimits,
    Selection,
    SizingMethod,
    SizingRules,
    StopRules,
    StrategyConfig,
    UniverseRules,
)

CHUNK = 252  # sessions between two reports of progress
Progress = Callable[[int, int], None]
"""``(sessions done, sessions in all)``."""


class EventBacktester:
    """A backtest of a configured :class:`Strategy` (compiled) or of any callable (session by session); one ``step`` for both.

    Parameters
    ----------
    panel
        The bars. Sessions before the backtest's start are the factors' history.
    strategy
        A :class:`Strategy`, a :class:`Config`, or ``(view, portfolio) -> {symbol: weight} | shares({...}) | None``.
    costs
        Default: the configuration's; for a callable ``CostModel()``.
    initial_cash
        USD. Default: the configuration's; for a callable 100,000.
    universe
        Members and sectors; default everybody, no sector known.
    limits
        Risk limits of a callable; default none, and the result says so. A configured strategy brings its own.
    stops, margin
        Stops and margin rules of a callable, when ``limits`` is not given; default none.
    fractional
        A callable trades multiples of 0.0001 shares instead of whole ones; a configured strategy says it in ``strategy.yml``.
    flows
        ``(T,)`` USD deposited (withdrawn) before each open of the panel.
    benchmark
        ``(T,)`` daily returns on the panel's sessions, NaN unknown.
    warnings
        Said in the result by the store the panel comes from; default what the panel itself tells.

    Raises
    ------
    InputError
        Cash is not above 0 and finite, or arrays do not fit the panel.
    """

    def __init__(
        self,
        panel: BarPanel,
        strategy: Strategy | Config | StrategyFunction,
        *,
        costs: CostModel | None = None,
        initial_cash: float | None = None,
        universe: Universe | None = None,
        limits: RiskLimits | None = None,
        stops: StopRules | None = None,
        margin: MarginRules | None = None,
        fractional: bool = False,
        flows: Floats | None = None,
        benchmark: Floats | None = None,
        warnings: tuple[str, ...] | None = None,
    ) -> None:
        self.panel = panel
        self.strategy = Strategy(strategy) if isinstance(strategy, Config) else strategy
        self.universe = universe or Universe.everyone(panel)
        if isinstance(self.strategy, Strategy):
            self.universe = self.universe.telling(self.strategy.facts)
        self.config = self._config(costs, initial_cash, _Callable(limits, stops, margin, fractional))
        self.costs = self.config.strategy.costs
        self.initial_cash = self.config.strategy.initial_cash
        self.flows = np.zeros(len(panel.sessions)) if flows is None else np.asarray(flows, np.float64)
        self.benchmark = benchmark
        self.warnings = panel_warnings(panel, self.universe) if warnings is None else warnings
        if not callable(self.strategy) and not isinstance(self.strategy, Strategy):
            raise InputError(f"a strategy is a Strategy, a Config or a callable (view, portfolio); got {type(strategy).__name__}")
        if not np.isfinite(self.flows).all():
            raise InputError("flows must be finite USD, 0 where nothing is paid in or out", remedy="fill unknown flows yourself")
        for name, array in (("flows", self.flows), ("benchmark", benchmark)):
            if array is not None and array.shape != panel.sessions.shape:
                raise InputError(f"{name} must have one entry per session {panel.sessions.shape}; got {array.shape}")
        if self.universe.member.shape != panel.shape:
            raise InputError(f"the universe must cover the panel {panel.shape}; got {self.universe.member.shape}")

    def run(self, start: date | None = None, end: date | None = None, *, progress: Progress | None = None) -> BacktestResult:
        """Play the sessions from ``start`` to ``end`` (default: all). Raises InputError when the panel has none of them."""
        if start is not None and end is not None and start > end:
            raise InputError(f"the start must not be after the end; got {start} and {end}", remedy="exchange the two dates")
        first, last = self.panel.rows_between(start, end)
        if isinstance(self.strategy, Strategy):
            return self._run_configured(self.strategy, first, last, progress)
        return self._run_callable(self.strategy, first, last, progress)

    def _config(self, costs: CostModel | None, cash: float | None, given: _Callable) -> Config:
        if cash is not None and not (isinstance(cash, (int, float)) and math.isfinite(cash) and cash > 0):
            raise InputError(f"initial_cash must be above 0 and finite USD; got {cash}", remedy="for example 100000")
        if isinstance(self.strategy, Strategy):
            if given != _Callable():
                raise InputError(
                    "a configured strategy brings its own limits, stops, margin and lots", remedy="change risk_limits.yml or strategy.yml"
                )
            base = self.strategy.config
        else:
            base = given.config()
        changes: dict[str, Any] = {}
        if costs is not None:
            changes["costs"] = costs
        if cash is not None:
            changes["initial_cash"] = float(cash)
        config = base.model_copy(update={"strategy": base.strategy.model_copy(update=changes)})
        if isinstance(self.strategy, Strategy):
            self.strategy = Strategy(config)
        return config

    def _run_configured(self, strategy: Strategy, first: int, last: int, progress: Progress | None) -> BacktestResult:
        rows = strategy.decision_rows(self.panel, first, first, last)
        features, table = strategy.features(self.panel, self.universe, rows)
        stage = self._play(first, last, rows, features, strategy, progress)
        said = (*own_warnings(strategy), *sector_warnings(strategy, self.universe), *missing_warnings(table.missing), *thin_warnings(table))
        said += unscored_warnings(table)
        said += blocked_warnings(self.panel, self.universe, rows)
        said += governed_warnings(stage.days[first:last])
        said += reducing_warnings(stage.days[first:last], strategy.limits)
        said += kelly_warnings(strategy.settings.sizing, stage.days, rows)
        return self._result(strategy.name, strategy.config_hash, first, last, stage, said)

    def records(self, features: Features, rows: Ints, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """DAY and EVENT records of rows ``first..last-1`` decided from ``features`` at ``rows``: all that a sweep asks of a trial."""
        stage = self._play(first, last, rows, features, Strategy(self.config), None)
        return stage.days[first:last], stage.happened

    def _play(self, first: int, last: int, rows: Ints, features: Features, strategy: Strategy, progress: Progress | None) -> Stage:
        stage = Stage.empty(self.panel, strategy, self.flows, self.universe)
        decision_at = decisions(rows, len(self.panel.sessions))
        chunk = last - first if progress is None else CHUNK
        for begin in range(first, last, chunk):
            stop = min(begin + chunk, last)
            stage.decide(begin, stop, decision_at, features)
            if progress is not None:
                progress(stop - first, last - first)
        return stage

    def _run_callable(self, function: StrategyFunction, first: int, last: int, progress: Progress | None) -> BacktestResult:
        stage = Stage.empty(self.panel, Strategy(self.config), self.flows, self.universe)
        tick = None if progress is None else (lambda done: progress(done, last - first))
        stage.ask(first, last, CallableDriver(function, self.panel, self.universe, stage.strategy), tick)
        name = getattr(function, "__name__", type(function).__name__)
        return self._result(name, _function_hash(function, stage.strategy.config_hash, stage.happened), first, last, stage, ())

    def _result(self, name: str, config_hash: str, first: int, last: int, stage: Stage, said: tuple[str, ...]) -> BacktestResult:
        if self.config.risk == RiskLimits.off(self.config.risk.stops, self.config.risk.margin):
            said += ("no risk limits: the strategy ran without them",)
        happened = stage.happened.copy()
        happened["row"] -= first
        said += _ended_unexplained(happened, self.panel.symbols)
        return BacktestResult(
            name=name,
            config=self.config,
            config_hash=config_hash,
            code_version=code_version(),
            sessions=self.panel.sessions[first:last],
            symbols=self.panel.symbols,
            read=Known(self.panel.rows(0, last), self.universe.rows(0, last)),
            strategy=self.strategy,
            days=stage.days[first:last].copy(),
            events=happened,
            benchmark=None if self.benchmark is None else self.benchmark[first:last],
            warnings=(*self.warnings, *said),
        )


def _ended_unexplained(events: np.ndarray, symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Holdings closed at a last close because their bars ended and no delisting says why: their true end may have been far worse."""
    names = [symbols[s] for s in np.unique(events["symbol"][events["kind"] == EventKind.STALE_CLOSE])]
    if not names:
        return ()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (f"closed at the last close because the bars ended without a delisting: {shown}",)


@dataclass(frozen=True, slots=True)
class _Callable:
    """What a callable strategy is run under; it selects and sizes by itself, so nothing of that is configured."""

    limits: RiskLimits | None = None
    stops: StopRules | None = None
    margin: MarginRules | None = None
    fractional: bool = False

    def config(self) -> Config:
        if self.limits is not None and (self.stops is not None or self.margin is not None):
            raise InputError("limits hold stops and margin; give either limits or the parts", remedy="RiskLimits(stops=..., margin=...)")
        strategy = StrategyConfig(
            name="callable",
            universe=UniverseRules(min_price=0.0, min_dollar_volume=0.0),
            selection=Selection(),
            sizing=SizingRules(
                method=SizingMethod.EQUAL_WEIGHT, target_volatility=None, no_trade_buffer=0.0, fractional_shares=self.fractional
            ),
        )
        return Config(strategy=strategy, risk=self.limits or RiskLimits.off(self.stops, self.margin))


def _function_hash(function: StrategyFunction, config_hash: str, events: np.ndarray) -> str:
    """The callable's source (without one, its qualified name) under its configuration, and what it did.

    A function may depend on anything around it, so its source alone does not tell two runs apart.
    """
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = getattr(function, "__qualname__", type(function).__qualname__)
    return hashlib.sha256((config_hash + source).encode() + events.tobytes()).hexdigest()[:16]
