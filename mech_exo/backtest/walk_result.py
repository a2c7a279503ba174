"""What a walk-forward returns: its steps, and everything out of sample that follows from them."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mech_exo.backtest.result import BacktestResult
from mech_exo.backtest.search import Choice, Objective, Tried
from mech_exo.backtest.windows import Window
from mech_exo.execution.trial_rows import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

FEWEST_POINTS = 3
"""Windows a line through them needs to say anything."""


class Line(NamedTuple):
    """Least squares of the objective out of sample on the objective in sample, a point per window; NaN below 3 windows or without spread.

    A slope near 1: what was found held. Near 0: being better in training said nothing about afterwards. Below 0: it misled.
    """

    slope: float
    intercept: float
    correlation: float
    windows: int


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a window chose on its training part and how that did afterwards.

    ``train`` are the first and last session the objective saw, ``tried`` every candidate, ``place`` which one was chosen, ``result``
    the test part.
    """

    window: Window
    train: tuple[date, date]
    tried: tuple[Tried, ...]
    place: int
    result: BacktestResult

    @property
    def best(self) -> Tried:
        """The candidate that was chosen, as it did in training."""
        return self.tried[self.place]

    @property
    def chosen(self) -> Choice:
        """Its keys and values."""
        return self.best.choice

    @property
    def in_sample(self) -> float:
        """The objective of the training part."""
        return self.best.value

    @property
    def efficiency(self) -> float:
        """Walk-forward efficiency: CAGR of the test part / CAGR of the training part; NaN unless the latter is above 0.

        Pardo (2008), "The Evaluation and Optimization of Trading Strategies", ch. 11, there of annualised profit.
        """
        return ratio(self.result.metrics["cagr"], self.best.metrics["cagr"])


@dataclass(frozen=True, eq=False)
class WalkForwardResult:
    """Every step; everything below is out of sample unless it says otherwise.

    ``judged_by`` is the objective that chose.
    """

    steps: tuple[Step, ...]
    judged_by: Objective

    @property
    def objective(self) -> str:
        """Name of the metric or function that chose."""
        return self.judged_by.name

    @property
    def candidates(self) -> int:
        """How many were tried in the window that tried most: what an honest reading of the in-sample figures must allow for."""
        return max(len(step.tried) for step in self.steps)

    @functools.cached_property
    def id(self) -> str:
        """Hash of every run it consists of."""
        runs = [one.run_id for step in self.steps for one in step.tried] + [step.result.run_id for step in self.steps]
        return hashlib.sha256("".join(runs).encode()).hexdigest()[:16]

    @functools.cached_property
    def returns(self) -> tuple[np.ndarray, np.ndarray]:
        """Sessions ``(T,)`` and time-weighted returns ``(T,)`` of the test parts, stitched.

        Each test part begins in cash and pays for building its positions.
        """
        from mech_exo.performance.trading import account_returns

        days = [step.result.sessions for step in self.steps]
        return np.concatenate(days), np.concatenate([account_returns(step.result.days) for step in self.steps])

    @functools.cached_property
    def equity(self) -> pl.DataFrame:
        """date, return (fraction), growth (of 1 before the first session) and window (from 1) per session judged."""
        import polars as pl

        from mech_exo.performance.metrics import growth

        sessions, returns = self.returns
        window = np.repeat(np.arange(1, len(self.steps) + 1), [len(step.result.sessions) for step in self.steps])
        return pl.DataFrame({"date": sessions, "return": returns, "growth": growth(returns)[1:], "window": window})

    @functools.cached_property
    def metrics(self) -> dict[str, float]:
        """sessions, years and every metric that needs returns alone (cagr, sharpe, max_drawdown …) of the stitched curve.

        252 sessions a year, risk-free 0, NaN unknown.
        """
        from mech_exo.performance.metrics import YEAR, all_of_returns

        _, returns = self.returns
        return {"sessions": len(returns), "years": len(returns) / YEAR, **all_of_returns(returns)}

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """A row per window: its dates, what it chose, the objective in and out of sample, and what the test part did.

        train_start and train_end are what the objective saw; trades are closed round trips and max_drawdown the deepest fall of the
        test part; cagr in and out of sample are what ``efficiency`` is the ratio of, null where that has no meaning.
        """
        import polars as pl

        return pl.DataFrame([self._row(step) for step in self.steps], infer_schema_length=None)

    def _row(self, step: Step) -> dict[str, Any]:
        sessions, after = step.result.sessions, step.result.metrics
        return {
            "train_start": step.train[0],
            "train_end": step.train[1],
            "test_start": sessions[0].astype(object),
            "test_end": sessions[-1].astype(object),
            **{key: written(value) for key, value in step.chosen},
            f"{self.objective}_in_sample": known(step.in_sample),
            f"{self.objective}_out_of_sample": known(self.judged_by.of(step.result)),
            "cagr_in_sample": known(step.best.metrics["cagr"]),
            "cagr_out_of_sample": known(after["cagr"]),
            "efficiency": known(step.efficiency),
            "trades": after["trades"],
            "max_drawdown": known(after["max_drawdown"]),
        }

    @property
    def stability(self) -> dict[str, float]:
        """Per parameter, the share of windows that chose its most frequent value: 1 = always the same."""
        return {row["parameter"]: row["share"] for row in self.parameters.iter_rows(named=True)}

    @functools.cached_property
    def parameters(self) -> pl.DataFrame:
        """A row per parameter; see :func:`parameter_table`."""
        return parameter_table([step.chosen for step in self.steps])

    @property
    def degradation(self) -> Line:
        """Does the objective in sample foretell the one out of sample? A last test part under half as long as the others is left out."""
        lengths = np.array([len(step.result.sessions) for step in self.steps])
        return line(self._objectives[2 * lengths >= lengths.max()])

    @functools.cached_property
    def _objectives(self) -> np.ndarray:
        """``(W, 2)`` in and out of sample."""
        return np.array([(step.in_sample, self.judged_by.of(step.result)) for step in self.steps])

    @property
    def efficiency(self) -> float:
        """CAGR of the stitched curve / mean CAGR of the chosen in training; NaN unless the latter is above 0."""
        trained = [step.best.metrics["cagr"] for step in self.steps]
        return ratio(self.metrics["cagr"], float(np.mean([math.nan if one is None else one for one in trained])))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every candidate of every window, for the ledger; a run met twice stands once."""
        return tuple({one.run_id: one.trial for step in self.steps for one in step.tried}.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know; what does not hold for every window names its window (from 1)."""
        heard: dict[str, list[int]] = {}
        for number, step in enumerate(self.steps, 1):
            for text in step.result.warnings:
                heard.setdefault(text, []).append(number)
        common = len(self.steps)
        return tuple(
            text if len(where) == common else f"window {', '.join(map(str, where))}: {text}"
            for text, where in sorted(heard.items(), key=lambda item: -len(item[1]))
        )

    def plot(self) -> go.Figure:
        """Growth of 100 over the stitched test parts, as a Plotly figure."""
        from mech_exo.performance.figures import out_of_sample_figure

        return out_of_sample_figure(*self.returns, [str(step.result.sessions[0]) for step in self.steps])

    def plot_windows(self) -> go.Figure:
        """The objective of each window, where it chose and where it was judged, as a Plotly figure."""
        from mech_exo.performance.figures import windows_figure

        before, after = self._objectives.T
        return windows_figure([str(step.result.sessions[0]) for step in self.steps], before, after, self.objective)

    def as_dict(self) -> dict[str, Any]:
        """Everything a machine wants to know, plain values."""
        return {
            "id": self.id,
            "objective": self.objective,
            "candidates": self.candidates,
            "trials": len(self.trials),
            "windows": self.table,
            "parameters": self.parameters,
            "degradation": self.degradation._asdict(),
            "efficiency": self.efficiency,
            "metrics": self.metrics,
            "equity": self.equity,
            "warnings": list(self.warnings),
        }


def parameter_table(chosen: list[Choice]) -> pl.DataFrame:
    """How steady the choices were: a row per parameter over the windows (or splits) in their order.

    parameter, most_frequent and the share of windows that chose it, distinct values; of numbers also mean, deviation (sample
    standard deviation), relative_deviation (deviation / abs(mean)) and drift (least-squares change per window), else null.
    """
    import polars as pl

    rows = []
    for key, _ in chosen[0]:
        values = [dict(one)[key] for one in chosen]
        (frequent, count), *others = Counter(map(written, values)).most_common()
        shown = {"parameter": key, "most_frequent": frequent, "share": count / len(values), "distinct": 1 + len(others)}
        rows.append(shown | _spread(values))
    return pl.DataFrame(rows, infer_schema_length=None)


def line(points: np.ndarray) -> Line:
    """Least squares through ``(W, 2)`` points, those with a NaN left out."""
    x, y = points[np.isfinite(points).all(axis=1)].T
    if len(x) < FEWEST_POINTS or not np.ptp(x) > 0.0:
        return Line(math.nan, math.nan, math.nan, len(x))
    across, along = x - x.mean(), y - y.mean()
    slope = float(across @ along / (across @ across))
    spread = math.sqrt(float((across @ across) * (along @ along)))
    return Line(slope, float(y.mean() - slope * x.mean()), float(across @ along) / spread if spread > 0.0 else math.nan, len(x))


def ratio(after: float | None, before: float | None) -> float:
    """``after`` / ``before``, NaN where either is unknown or ``before`` is not above 0."""
    return after / before if after is not None and before is not None and before > 0.0 else math.nan


def known(value: float | None) -> float | None:
    """Unknown is null in a table."""
    return None if value is None or not math.isfinite(value) else float(value)


def written(value: Any) -> str:
    """A parameter's value for a table."""
    return "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _spread(values: list[Any]) -> dict[str, float | None]:
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return dict.fromkeys(("mean", "deviation", "relative_deviation", "drift"))
    numbers = np.array(values, np.float64)
    mean = float(numbers.mean())
    deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan
    drift = float(np.polyfit(np.arange(len(numbers)), numbers, 1)[0]) if len(numbers) > 1 else math.nan
    relative = deviation / abs(mean) if mean else math.nan
    return {"mean": mean, "deviation": known(deviation), "relative_deviation": known(relative), "drift": known(drift)}
