"""How the cost of sweeps grows: 100 trials against the floor and the peers, symbols, sessions, trials, threads, memory of a worker.

    python bench/scaling.py [--json] [--quick]
"""

from __future__ import annotations

import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from _common import Line, best, line, main
from _floor import floor

from mech_exo.backtest.sweep import sweep
from mech_exo.domain.panel import BarPanel
from mech_exo.utils import parallel
from tests.oracles import market
from tests.oracles.workloads import configured

LOOKBACKS, TOPS = range(63, 253, 21), (5, 8, 10, 12, 15, 18, 20, 25, 30, 40)
Choices = list[tuple[tuple[str, Any], ...]]


def choices(panel: BarPanel, lookbacks: range = LOOKBACKS) -> Choices:
    """The peers' sweep: every lookback with every number of names; the first decision is at the lookback."""

    def anchored(row: int) -> date:
        session: date = panel.sessions[row].astype(object)
        return session

    return [
        (
            ("factors.technical.momentum_12_1.params.lookback", lookback), ("strategy.selection.top", top),
            ("strategy.schedule.anchor", anchored(lookback)),
        )
        for lookback in lookbacks for top in TOPS
    ]  # fmt: skip


def hundred(repeats: int) -> list[Line]:
    """The workload of the peers, on one thread and on two."""
    panel = market.panel(100)
    config, made = configured(panel, "W2"), choices(panel)
    name, kernel = floor()
    bars = {field: getattr(panel, field) for field in ("open", "high", "low", "close")}
    one = 1e3 * best(lambda: kernel(bars), 3 * repeats)
    lines = []
    for workers, bar in ((2, 150.0), (1, None)):
        taken = 1e3 * best(lambda w=workers: sweep(panel, config, made, workers=w), repeats)
        beside = (f"100 runs of the {name} ÷ {workers}", 100 * one / workers)
        lines.append(line(f"W2, 100 trials x 100 symbols x 2520, {workers} thread(s)", taken, "ms", bar, beside))
    return lines


def growth(repeats: int) -> list[Line]:
    """Twice the symbols, the sessions, the trials: each beside the plain case."""
    plain = {"plain": (100, 1260, 1)}
    cases = plain | {"twice the symbols": (200, 1260, 1), "twice the sessions": (100, 2520, 1), "twice the trials": (100, 1260, 2)}
    taken = {}
    for name, (symbols, days, times) in cases.items():
        panel = market.panel(symbols, days)
        made = choices(panel, range(63, 105, 21)) * times
        taken[name] = 1e3 * best(lambda p=panel, m=made: sweep(p, configured(p, "W2"), m, backend="serial"), repeats)
    first = taken.pop("plain")
    return [line(f"20 trials x 100 symbols x 1260, {name}", value, "ms", None, ("plain", first)) for name, value in taken.items()]


def own_bytes(shared: dict[str, Any], _: int) -> int:
    """In a worker: its private memory after every shared array was read."""
    for array in shared.values():
        array.sum()
    time.sleep(0.05)
    with Path("/proc/self/smaps_rollup").open() as lines:
        private = [int(text.split()[1]) for text in lines if text.startswith(("Private_Clean", "Private_Dirty"))]
    return 1024 * sum(private)


def memory() -> list[Line]:
    """What a worker process needs for itself beside a panel of 1,000 x 2,520, and beside none."""
    panel = market.panel(1000)
    arrays = {name: getattr(panel, name) for name in ("open", "high", "low", "close", "volume", "split_ratio", "dividend")}
    size = sum(array.nbytes for array in arrays.values()) / 1e6
    with_panel, empty = (
        max(parallel.map(own_bytes, range(4), shared=shared, backend="processes", workers=2)) / 1e6 for shared in (arrays, {})
    )
    return [line(f"private memory of a worker beside a panel of {size:.0f} MB", with_panel, "MB", None, ("beside none", empty))]


def measure(quick: bool) -> list[Line]:
    """Every figure."""
    repeats = 2 if quick else 7
    return [*hundred(repeats), *growth(repeats), *memory()]


if __name__ == "__main__":
    sys.exit(main("Sweeps", measure, __doc__))
