"""Many out-of-sample histories from one: combinatorial purged cross-validation."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.backtest.search import (
    LOWER_IS_BETTER,
    Choice,
    Fitting,
    Grid,
    Market,
    Objective,
    best,
    changed,
    choices,
    one_of_metrics,
    trial,
)
from mech_exo.backtest.walk_result import known, parameter_table, written
from mech_exo.backtest.windows import Groups, Rows, Split
from mech_exo.domain.errors import MissingDataError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.execution.trial_rows import Trial
from mech_exo.kernels import code_version
from mech_exo.kernels.records import Floats
from mech_exo.performance.metrics import of_returns, sharpe
from mech_exo.performance.trading import account_returns
from mech_exo.utils import parallel
from mech_exo.utils.config import config_hash
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

    from mech_exo.backtest.walk_forward import Progress

Parts = Mapping[tuple[int, Rows], Floats]
"""Session returns by candidate and block."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one split chose on its training blocks, and the objective there and on its joined test groups."""

    split: Split
    choice: Choice
    in_sample: float
    out_of_sample: float


@dataclass(frozen=True, eq=False)
class CrossValidationResult:
    """All splits, and the backtest paths stitched from their test groups.

    Parameters
    ----------
    sessions
        ``(T,)`` of the whole period.
    splits
        C(N, k), in lexical order of their test groups.
    paths
        ``(φ, T)`` session returns; every session of every path was judged by a split that did not train on it.
    assignment
        ``(φ, N)`` the split that each path takes each group from.
    objective
        Metric that chose.
    trials
        Each candidate once, on the whole period, for the ledger.
    warnings
        What a reader must know: whatever was said of every block played.
    """

    sessions: np.ndarray
    splits: tuple[Chosen, ...]
    paths: Floats
    assignment: np.ndarray
    objective: str
    trials: tuple[Trial, ...]
    warnings: tuple[str, ...]

    @functools.cached_property
    def sharpes(self) -> Floats:
        """``(φ,)`` annual Sharpe ratio of each path, risk-free 0."""
        return np.array([sharpe(path) for path in self.paths])

    @property
    def distribution(self) -> dict[str, float]:
        """Of the paths' Sharpe ratios: paths, mean, deviation, median, lowest, highest, and the share of paths not above 0.

        NaN where a path has none. The paths share the candidates and much of their history: their spread shows what the luck of one
        training set did, and is no standard error.
        """
        found = self.sharpes
        return {
            "paths": len(found),
            "mean": float(found.mean()),
            "deviation": float(found.std(ddof=1)) if len(found) > 1 else math.nan,
            "median": float(np.median(found)),
            "lowest": float(found.min()),
            "highest": float(found.max()),
            "share_not_above_0": math.nan if np.isnan(found).any() else float((found <= 0.0).mean()),
        }

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """A row per split: its test groups (from 1), what it chose, the objective in and out of sample."""
        import polars as pl

        rows = [
            {
                "test_groups": ", ".join(str(group + 1) for group in one.split.test),
                **{key: written(value) for key, value in one.choice},
                f"{self.objective}_in_sample": known(one.in_sample),
                f"{self.objective}_out_of_sample": known(one.out_of_sample),
            }
            for one in self.splits
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    @functools.cached_property
    def parameters(self) -> pl.DataFrame:
        """How steady the choices were over the splits, without a drift, as they have no order; see :func:`parameter_table`."""
        return parameter_table([one.choice for one in self.splits]).drop("drift")

    @property
    def stability(self) -> dict[str, float]:
        """Per parameter, the share of splits that chose its most frequent value."""
        return {row["parameter"]: row["share"] for row in self.parameters.iter_rows(named=True)}

    def plot(self) -> go.Figure:
        """The paths, as a Plotly figure."""
        from mech_exo.performance.figures import paths_figure

        return paths_figure(self.sessions, self.paths, self.sharpes)

    def as_dict(self) -> dict[str, Any]:
        """Everything a machine wants to know, plain values."""
        return {
            "objective": self.objective,
            "candidates": len(self.trials),
            "start": self.sessions[0].astype(object),
            "end": self.sessions[-1].astype(object),
            "splits": self.table,
            "parameters": self.parameters,
            "sharpes": self.sharpes,
            "distribution": self.distribution,
            "warnings": list(self.warnings),
        }


class CombinatorialPurgedCV:
    """Every way to let ``test_groups`` of ``groups`` neighbouring periods judge what the others chose.

    López de Prado (2018), "Advances in Financial Machine Learning", ch. 12. A walk-forward tells one history; this one tells
    φ = k / N × C(N, k), so that an out-of-sample Sharpe ratio has a distribution.

    Each run of neighbouring training groups is one block. It begins in cash and loses ``purge`` sessions before a test group and
    ``embargo`` sessions after one (ch. 7.4). The objective is a metric of the joined returns of a split's blocks. Each test
    group is played by itself and begins in cash.

    What is guaranteed: no return, trade or position of a test group, of a purge or of an embargo reaches the objective, and nothing after
    a block's last session is readable to it. The factors of a block do read the bars before it as **history**, as they would have
    in that night; where those belong to a test group, the block is not blind to them. An embargo at least as long as the longest look-back
    of the factors and the sizing removes that too: then the choice is the same to the last bit whatever the test groups hold.

    Parameters
    ----------
    panel, universe, warnings, config, grid
        As for :class:`mech_exo.backtest.walk_forward.WalkForwardEvaluator`; every combination of the grid is tried.
    groups, test_groups
        N and k.
    purge, embargo
        Sessions.
    objective
        A metric that needs session returns alone.
    backend, workers, address
        See :func:`mech_exo.utils.parallel.map`. The result does not depend on them.

    Raises
    ------
    InputError
        A count is out of range or the objective is no metric of returns.
    ConfigError
        The grid names an unknown key or a value outside its range.
    """

    def __init__(
        self,
        panel: BarPanel,
        config: Config,
        grid: Grid,
        *,
        groups: int = 6,
        test_groups: int = 2,
        purge: int = 0,
        embargo: int = 0,
        objective: str = "sharpe",
        universe: Universe | None = None,
        warnings: tuple[str, ...] | None = None,
        backend: str = "serial",
        workers: int | None = None,
        address: str | None = None,
    ) -> None:
        one_of_metrics(objective, tuple(of_returns(np.empty(0))))
        self.panel, self.objective = panel, objective
        self.groups = Groups(groups, test_groups, purge, embargo)
        self.grid, self.candidates = grid, tuple(choices(grid))
        self.configs = tuple(changed(config, choice) for choice in self.candidates)
        self.market = Market(panel, universe, warnings, config, {})
        self.backend = backend
        self.workers, self.address = workers, address

    def run(self, start: date | None = None, end: date | None = None, *, progress: Progress | None = None) -> CrossValidationResult:
        """Play every block once with every candidate, choose per split, stitch the paths; ``progress(done, total)`` counts blocks.

        Raises InputError when the groups are too short and MissingDataError when no candidate has the objective on a split.
        """
        first, last = self.panel.rows_between(start, end)
        bounds = self.groups.bounds(first, last)
        splits = self.groups.splits(bounds)
        parts, said = self._parts(bounds, splits, progress)
        chosen = [self._choose(split, parts) for split in splits]
        assignment = self.groups.assignment(splits)
        stitched = [
            np.concatenate([parts[chosen[number], bounds[group]] for group, number in enumerate(path)]) for path in assignment.tolist()
        ]
        return CrossValidationResult(
            sessions=self.panel.sessions[first:last],
            splits=tuple(self._judged(split, place, parts, bounds) for split, place in zip(splits, chosen, strict=True)),
            paths=np.array(stitched),
            assignment=assignment,
            objective=self.objective,
            trials=self._trials(parts, bounds),
            warnings=said,
        )

    def _parts(self, bounds: tuple[Rows, ...], splits: tuple[Split, ...], progress: Progress | None) -> tuple[Parts, tuple[str, ...]]:
        """Every block and every group under every candidate, each played once, and what was said of all of them."""
        blocks = sorted({*bounds, *(block for split in splits for block in split.train)})
        keys = list(itertools.product(range(len(self.candidates)), blocks))
        items = [(self.candidates[number], rows) for number, rows in keys]
        fitting = Fitting(self.market, Objective(self.objective), self.grid)
        where: dict[str, Any] = {"backend": self.backend, "workers": self.workers, "address": self.address, "progress": progress}
        done = parallel.map(part, items, shared=fitting, **where)
        said = tuple(text for text in done[0][1] if all(text in texts for _, texts in done))
        return dict(zip(keys, (returns for returns, _ in done), strict=True)), said

    def _value(self, number: int, blocks: tuple[Rows, ...], parts: Parts) -> float:
        return float(of_returns(np.concatenate([parts[number, rows] for rows in blocks]))[self.objective])

    def _choose(self, split: Split, parts: Parts) -> int:
        values = [self._value(number, split.train, parts) for number in range(len(self.candidates))]
        place = best(values, -1.0 if self.objective in LOWER_IS_BETTER else 1.0)
        if place is None:
            tested = ", ".join(str(group + 1) for group in split.test)
            raise MissingDataError(
                f"training needs a {self.objective}; no candidate has one when groups {tested} judge",
                remedy="fewer groups, a longer period",
            )
        return place

    def _judged(self, split: Split, place: int, parts: Parts, bounds: tuple[Rows, ...]) -> Chosen:
        judged = tuple(bounds[group] for group in split.test)
        return Chosen(split, self.candidates[place], self._value(place, split.train, parts), self._value(place, judged, parts))

    def _trials(self, parts: Parts, bounds: tuple[Rows, ...]) -> tuple[Trial, ...]:
        """A candidate is looked at on many overlapping parts of one history: that is one trial, judged by its joined groups."""
        span = f"{self.panel.sessions[bounds[0][0]]}{self.panel.sessions[bounds[-1][1] - 1]}{self.groups.count}"
        common = code_version() + self.market.data_hash(bounds[-1][1]) + span
        found = []
        for number, config in enumerate(self.configs):
            returns = np.concatenate([parts[number, rows] for rows in bounds])
            name = config_hash(config)
            run = hashlib.sha256(f"cross_validation{name}{common}".encode()).hexdigest()[:16]
            found.append(trial(run, "cross_validation", name, {"sessions": len(returns), **of_returns(returns)}))
        return tuple(found)


def part(fitting: Fitting, item: tuple[Choice, Rows]) -> tuple[Floats, tuple[str, ...]]:
    """Session returns of one candidate on one block, and the warnings of that run, as a worker gives them back."""
    result = fitting.market.play(*item)
    return account_returns(result.days), result.warnings
