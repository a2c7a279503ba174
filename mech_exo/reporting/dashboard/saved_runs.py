"""Saved backtests and walk-forwards: the list, a few beside each other, one in full with what luck may have done."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain.errors import InputError, StoreError
from mech_exo.reporting.evidence import luck

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.backtest.comparison import Comparison
    from mech_exo.backtest.result import BacktestResult
    from mech_exo.execution.ledger import Ledger
    from mech_exo.performance.overfitting import OverfittingReport
    from mech_exo.reporting.dashboard.house import House

MOST = 4
"""Runs that can stand beside each other."""
WALKS = "walk_forward"
Files = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One run in full. ``report`` is its tear sheet, None where there is none; ``listed`` its line in the list."""

    listed: Mapping[str, Any]
    result: BacktestResult
    overfitting: OverfittingReport
    counted: int
    swept: bool
    walked: bool
    report: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Runs over the sessions ``(T,)`` that all of them have: growth of 1 before the first of them ``(R, T)`` and its falls ``(R, T)``."""

    names: tuple[str, ...]
    sessions: NDArray[np.datetime64]
    growth: NDArray[np.float64]
    falls: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """Two to four runs: the metrics of each, how every later one differs from the first, and their curves."""

    results: tuple[BacktestResult, ...]
    comparisons: tuple[Comparison, ...]
    curves: Curves


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """A kept walk-forward, as the command wrote it: ``windows`` are rows; ``(T,)`` sessions and returns of the judged parts."""

    id: str
    kept_at: float
    objective: str
    candidates: int
    trials: int
    windows: tuple[dict[str, Any], ...]
    parameters: tuple[dict[str, Any], ...]
    metrics: Mapping[str, Any]
    efficiency: float | None
    sessions: NDArray[np.datetime64]
    returns: NDArray[np.float64]
    warnings: tuple[str, ...]

    def column(self, name: str) -> NDArray[np.float64]:
        """A figure of every window; NaN unknown."""
        return np.array([math.nan if row.get(name) is None else float(row[name]) for row in self.windows])


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of a workspace: its own, those of saved runs and of reports."""

    home: Path
    runs: Path
    reports: Path


def files(places: Places) -> Files:
    """What lists of runs and walks are made of: names, times and sizes. Equal: nothing was saved or deleted."""
    from mech_exo.backtest.store import RUN

    found = []
    for path in sorted((*places.runs.glob(f"*/{RUN}"), *(places.home / "data" / WALKS).glob("*.json"))):
        try:
            about = path.stat()
        except FileNotFoundError:
            continue
        found.append((f"{path.parent.name}/{path.name}", about.st_mtime_ns, about.st_size))
    return tuple(found)


def listed(house: House) -> tuple[dict[str, Any], ...]:
    """A line for every saved run, the latest first; see :func:`mech_exo.backtest.store.summary`."""
    from mech_exo.backtest.store import saved, summary

    return tuple(summary(folder) for folder in saved(house.runs))


def folder_of(runs: Path, run_id: str) -> Path:
    """The folder of the saved run ``run_id``, which must be its whole id. Raises InputError where there is none."""
    from mech_exo.backtest.store import saved

    for folder in saved(runs):
        if folder.name == run_id:
            return folder
    raise InputError("a run must be one of the saved ones; this address names none of them", remedy="exo backtest list")


def report_of(places: Places, run_id: str) -> Path | None:
    """The tear sheet of a saved run, None where there is none. Raises InputError for anything that is no saved run."""
    place = places.reports / "backtests" / f"{folder_of(places.runs, run_id).name}.html"
    return place if place.is_file() else None


def run(house: House, ledger: Ledger, run_id: str) -> Run:
    """One saved run, with what luck may have done at the true number of trials.

    Raises
    ------
    InputError
        No such run is saved.
    StoreError
        It is damaged.
    """
    from mech_exo.backtest.promotion import Standing
    from mech_exo.backtest.store import load, summary

    folder = folder_of(house.runs, run_id)
    result = load(folder)
    standing = Standing.of(ledger, result)
    report = standing.completed(luck(ledger, result))
    return Run(
        summary(folder), result, report, len(ledger.trial_figures()), standing.from_sweep, standing.walked_forward,
        report_of(Places(house.home, house.runs, house.reports), run_id),
    )  # fmt: skip


def beside(house: House, run_ids: Sequence[str]) -> Beside:
    """Two to four saved runs. Raises InputError for another number or an unknown one, StoreError for a damaged one."""
    from mech_exo.backtest.comparison import compare
    from mech_exo.backtest.store import load

    wanted = tuple(dict.fromkeys(run_ids))
    if not 2 <= len(wanted) <= MOST:
        raise InputError(f"two to {MOST} different runs stand beside each other; got {len(wanted)}")
    results = tuple(load(folder_of(house.runs, name)) for name in wanted)
    return Beside(results, tuple(compare(results[0], other) for other in results[1:]), curves(results))


def curves(results: Sequence[BacktestResult]) -> Curves:
    """Growth and falls over the sessions all ``results`` have, each from 1 before the first common one."""
    from mech_exo.performance.drawdowns import drawdown_series
    from mech_exo.performance.ratios import growth
    from mech_exo.performance.trading import account_returns

    common = results[0].sessions
    for result in results[1:]:
        common = np.intersect1d(common, result.sessions)
    rows = [np.searchsorted(result.sessions, common) for result in results]
    grown = [growth(account_returns(result.days)[chosen]) for result, chosen in zip(results, rows, strict=True)]
    return Curves(
        tuple(result.run_id for result in results), common, np.array([line[1:] for line in grown]),
        np.array([drawdown_series(line)[1:] for line in grown]),
    )  # fmt: skip


def walks(house: House) -> tuple[Walk, ...]:
    """The kept walk-forwards, the latest first; one that cannot be read is left out."""
    return tuple(sorted(_walks(house.home / "data" / WALKS), key=lambda walk: -walk.kept_at))


def _walks(folder: Path) -> Iterator[Walk]:
    for path in folder.glob("*.json"):
        try:
            yield _walk(path)
        except (OSError, ValueError, KeyError, TypeError, StoreError):
            continue


def _walk(path: Path) -> Walk:
    body = json.loads(path.read_text("utf-8"))
    equity = body["equity"]
    return Walk(
        str(body["id"]), path.stat().st_mtime, str(body["objective"]), int(body["candidates"]), int(body["trials"]),
        tuple(body["windows"]), tuple(body["parameters"]), body["metrics"], body["efficiency"],
        np.array([row["date"] for row in equity], "datetime64[D]"),
        np.array([math.nan if row["return"] is None else row["return"] for row in equity], np.float64),
        tuple(map(str, body["warnings"])),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SweepLine:
    """A sweep the ledger counted: how many runs it compared, and what that says of the choice among them. None = unknown."""

    id: str
    runs: int
    pbo: float | None
    reality_check: float | None
    spa: float | None


def sweeps(ledger: Ledger) -> tuple[SweepLine, ...]:
    """Every counted sweep, the latest first."""
    from mech_exo.execution.trial_rows import Sweep

    found = []
    for row in reversed(ledger.rows(Sweep)):
        figures = {one.name: one.value for one in row.figures}
        found.append(SweepLine(row.id, len(row.run_ids), figures.get("pbo"), figures.get("reality_check"), figures.get("spa")))
    return tuple(found)
