"""What a sweep of any size will cost: :func:`plan`, computed from what this machine takes in that very call."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.utils import calendar, parallel
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel

YEAR = 252
SHORT, LONG = 2 * YEAR, 3 * YEAR
"""Sessions of the two measured histories: both beyond a year's warm-up, so that their difference is a year in steady state."""
MEASURED_SYMBOLS = 10_000
CELL = 8
PANEL_ARRAYS, ADJUSTED_ARRAYS = 7, 5
UNIVERSE_CELL = 3
"""Bytes: a flag and an int16 sector."""
FEATURE_CELL = 3 * CELL + 2
"""Bytes per symbol and decision: score, volatility, ATR, sector."""
MAKE_BASE = "import mech_exo.backtest.sweep; print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmRSS')))"


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Measured seconds: of a history of :data:`SHORT` sessions and of every further session, for features and for one trial."""

    symbols: int
    features_start: float
    features_session: float
    trial_start: float
    trial_session: float
    decisions_session: float
    """Decisions per session of the schedule."""
    copy_byte: float
    """Seconds per byte put into shared memory."""
    worker_bytes: int
    """Of a worker that has imported the program and holds nothing."""

    def features(self, sessions: int) -> float:
        """Seconds for the features of one configuration."""
        return self._of(self.features_start, self.features_session, sessions)

    def trial(self, sessions: int) -> float:
        """Seconds for one trial whose features are made."""
        return self._of(self.trial_start, self.trial_session, sessions)

    def _of(self, start: float, session: float, sessions: int) -> float:
        return start * sessions / SHORT if sessions < SHORT else start + session * (sessions - SHORT)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep will need. Bytes, seconds and CPU hours; ``assumptions`` says what they rest on."""

    symbols: int
    sessions: int
    trials: int
    distinct: int
    workers: int
    panel_bytes: int
    shared_bytes: int
    """Once per machine: bars, members and sectors."""
    worker_bytes: int
    """Of each worker, beside what is shared."""
    machine_bytes: int
    """All workers on one machine: what is shared and each worker's own."""
    result_bytes: int
    feature_seconds: float
    trial_seconds: float
    cpu_hours: float
    wall_seconds: float
    parts: int
    """Pieces of work handed out."""
    backend: str
    assumptions: tuple[str, ...]


def plan(
    config: Config | None = None,
    *,
    symbols: int,
    years: float,
    trials: int,
    workers: int,
    distinct: int | None = None,
    actions: bool = True,
) -> Plan:
    """Compute what ``trials`` over ``symbols`` and ``years`` need on ``workers`` processors like this machine's.

    Parameters
    ----------
    config
        Default the program's own; its factors, schedule, rules and stops are what is measured.
    distinct
        Combinations of factors, universe and schedule among the trials, each of which needs its own features. Default: as many as trials,
        the dearest case.
    actions
        Whether there are splits and dividends: then every worker holds adjusted prices of its own.

    The coefficients are measured in this call, on a synthetic market of so many symbols (at most 10,000; beyond, in proportion) and two
    and three years; time grows in proportion to sessions beyond. Raises InputError for a size below 1 or more distinct than trials.
    """
    sessions = round(years * YEAR) if math.isfinite(years) else 0
    distinct = trials if distinct is None else distinct
    for name, value in (("symbols", symbols), ("years × 252", sessions), ("trials", trials), ("workers", workers), ("distinct", distinct)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"a plan is made for at least 1 of everything; {name} is {value}")
    if distinct > trials:
        raise InputError(f"distinct cannot exceed the trials; got {distinct} of {trials}")
    config = config or Config()
    told = measure(config, min(symbols, MEASURED_SYMBOLS))
    more = max(1.0, symbols / MEASURED_SYMBOLS)
    feature_seconds, trial_seconds = told.features(sessions) * more, told.trial(sessions) * more
    panel = symbols * sessions * PANEL_ARRAYS * CELL
    shared = panel + symbols * sessions * UNIVERSE_CELL
    decisions = math.ceil(sessions * told.decisions_session)
    factors = len(config.factors.weights())
    own = symbols * decisions * (2 * FEATURE_CELL + factors * CELL) + (symbols * sessions * ADJUSTED_ARRAYS * CELL if actions else 0)
    busy = distinct * feature_seconds + trials * trial_seconds
    parts = max(distinct, min(trials, 8 * workers))
    last = feature_seconds + math.ceil(trials / parts) * trial_seconds
    wall = shared * told.copy_byte + busy / workers + last
    return Plan(
        symbols=symbols, sessions=sessions, trials=trials, distinct=distinct, workers=workers, panel_bytes=panel, shared_bytes=shared,
        worker_bytes=told.worker_bytes + own, machine_bytes=shared + workers * (told.worker_bytes + own),
        result_bytes=trials * sessions * CELL, feature_seconds=feature_seconds, trial_seconds=trial_seconds, cpu_hours=busy / 3600,
        wall_seconds=wall, parts=parts, backend=_backend(workers), assumptions=_assumptions(told, symbols, workers, distinct, actions),
    )  # fmt: skip


def measure(config: Config, symbols: int) -> Coefficients:
    """Time ``config`` on a synthetic market of ``symbols`` names."""
    panel = _walks(symbols)
    times = {}
    for sessions in (SHORT, LONG):
        times[sessions] = _timed(config, panel.rows(0, sessions))
    (features, trial, _), (features_long, trial_long, decided) = times[SHORT], times[LONG]
    array = panel.close
    copied = _best(array.copy)
    ran = subprocess.run([sys.executable, "-c", MAKE_BASE], capture_output=True, text=True, check=True)  # noqa: S603 - ourselves
    return Coefficients(
        symbols, features, max(0.0, features_long - features) / YEAR, trial, max(0.0, trial_long - trial) / YEAR, decided / LONG,
        copied / array.nbytes, 1024 * int(ran.stdout),
    )  # fmt: skip


def _timed(config: Config, panel: BarPanel) -> tuple[float, float, int]:
    """Seconds for features and for a trial, and the decisions in it."""
    from mech_exo.backtest.engine import EventBacktester
    from mech_exo.backtest.search import changed
    from mech_exo.decision.strategy import Strategy
    from mech_exo.domain.panel import Universe

    config = changed(config, (("strategy.schedule.anchor", None),))  # a date of another market
    strategy, universe, count = Strategy(config), Universe.everyone(panel), panel.shape[0]
    universe = Universe(universe.member, np.broadcast_to(np.arange(panel.shape[1], dtype=np.int16) % 11, panel.shape), tuple("ABCDEFGHIJK"))
    rows = strategy.decision_rows(panel, 0, 0, count)
    features, _ = strategy.features(panel, universe, rows)
    engine = EventBacktester(panel, config, universe=universe, warnings=())
    return _best(lambda: strategy.features(panel, universe, rows)), _best(lambda: engine.records(features, rows, 0, count)), len(rows)


def _best(function: Callable[[], object], repeats: int = 3, least: float = 0.05) -> float:
    """Seconds of the quickest of ``repeats`` calls, and of as many more as fit into ``least`` seconds: quick ones need more of them."""
    function()
    times: list[float] = []
    while len(times) < repeats or sum(times) < least:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def _walks(symbols: int) -> BarPanel:
    """Random walks with wide bars: only their size and that they are traded matters here."""
    from mech_exo.domain.panel import BarPanel

    chance = np.random.default_rng(7)
    close = 50.0 * np.exp(np.cumsum(0.015 * chance.standard_normal((LONG, symbols)), axis=0))
    bars = {"open": close * 0.999, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": np.full(close.shape, 5e6)}
    for array in bars.values():
        array.flags.writeable = False
    days = calendar.sessions(date(2000, 1, 3), date(2004, 1, 2))[:LONG]
    return BarPanel.from_arrays(days, [f"S{number:05d}" for number in range(symbols)], bars, label="synthetic sample")


def _backend(workers: int) -> str:
    here = parallel.cpu_count()
    return "threads" if workers <= here else "ray"


def _assumptions(told: Coefficients, symbols: int, workers: int, distinct: int, actions: bool) -> tuple[str, ...]:
    here = parallel.cpu_count()
    said = [
        f"measured now on this machine ({here} processors) with {told.symbols:,} synthetic symbols over {SHORT} and {LONG} sessions",
        "time grows in proportion to sessions beyond those",
        "every worker is a processor like one of these, busy with nothing else",
        f"{distinct:,} distinct combinations of factors, universe and schedule: each is computed once",
        "float64 bars, split ratios and dividends; members and sectors",
    ]
    if symbols > told.symbols:
        said.append(f"beyond {told.symbols:,} symbols time grows in proportion to them")
    if actions:
        said.append("splits and dividends: each worker process keeps adjusted prices (threads share them), made in time not counted")
    if workers > here:
        said.append("Ray holds the shared part once per machine; Dask at an address once per worker")
    said.append("split by trials, never by symbols or sessions: a portfolio's day needs every name and the day before")
    return tuple(said)
