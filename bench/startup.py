"""How long the user waits before anything happens: `exo --help`, and the imports behind a backtest.

    python bench/startup.py [--json] [--quick]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from _common import REPOSITORY, Line, line, main

IMPORTS = {
    "import mech_exo.backtest.engine": 2000.0,
    "import mech_exo.domain.panel": None,
    "from mech_exo.datasource import DataStorage": None,
}


def process(words: list[str], repeats: int) -> float:
    """Milliseconds of the quickest of ``repeats`` processes, after one to warm up."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times[1:])


def measure(quick: bool) -> list[Line]:
    """Every figure; each process's bare interpreter stands beside it."""
    repeats = 2 if quick else 5
    bare = ("python -c pass", process(["-c", "pass"], repeats))
    lines = [line("exo --help", process(["-m", "mech_exo.cli", "--help"], repeats), "ms", 250.0, bare)]
    for statement, bar in IMPORTS.items():
        lines.append(line(statement, process(["-c", statement], repeats), "ms", bar, bare))
    return lines


if __name__ == "__main__":
    sys.exit(main("Start-up", measure, __doc__))
