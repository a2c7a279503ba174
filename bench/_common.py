"""What the benchmarks share: timing, one measured line, the table or the JSON list."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
sys.path.insert(0, str(REPOSITORY))


@dataclass(frozen=True)
class Line:
    """One figure: lower is better; ``bar`` None = for comparison only. ``beside`` names the figure of the same run it is held against."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    holds: bool | None = None
    beside: str | None = None
    beside_value: float | None = None
    beside_unit: str | None = None


def line(
    name: str, value: float, unit: str, bar: float | None = None, beside: tuple[str, float] | None = None, beside_unit: str | None = None
) -> Line:
    """A figure, judged against its bar; the one beside it is in the same unit unless it has its own."""
    holds = None if bar is None else value <= bar
    other, figure, of = (None, None, None) if beside is None else (beside[0], round(beside[1], 4), beside_unit or unit)
    return Line(name, round(value, 4), unit, bar, holds, other, figure, of)


def best(function: Callable[[], object], repeats: int) -> float:
    """Seconds of the quickest of ``repeats`` calls, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main(title: str, measure: Callable[[bool], Sequence[Line]], doc: str | None) -> int:
    """Run a benchmark from the command line; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print a list of {name, value, unit, bar, holds} and nothing else")
    parser.add_argument("--quick", action="store_true", help="few repeats")
    options = parser.parse_args()
    lines = measure(options.quick)
    if options.json:
        print(json.dumps([asdict(item) for item in lines], indent=2))
    else:
        _table(title, lines)
    return 0 if all(item.holds is not False for item in lines) else 1


def _table(title: str, lines: Sequence[Line]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for name in ("what", "measured", "bar", "beside it, in the same run"):
        table.add_column(name, justify="left" if name.startswith(("what", "beside")) else "right")
    for item in lines:
        verdict = "[green]≤" if item.holds else "[red]MISSED"
        bar = "" if item.bar is None else f"{verdict} {item.bar:g} {item.unit}[/]"
        beside = "" if item.beside is None else f"{item.beside}: {item.beside_value:,.4g} {item.beside_unit}"
        table.add_row(item.name, f"{item.value:,.4g} {item.unit}", bar, beside)
    Console(width=None if sys.stdout.isatty() else 130).print(table)
