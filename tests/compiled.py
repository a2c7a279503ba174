"""Compile what most tests need, once: ``python -m tests.compiled`` before a run on several processes, which would each compile the same.

A night and the commands that play history, on a small invented market: the program's own ways, so that nothing is listed twice. What they do
not reach is compiled by the test that needs it.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

from mech_exo.cli.__main__ import main
from tests.session.stage import decide_every, set_line, stored

LIMITS = (("max_volatility", 0.5), ("max_value_at_risk", 0.2), ("max_beta", 2.0))
"""Limits that read the market: with them the decision is compiled once more."""
COMMANDS = (
    ("run", "--date", "2022-01-03"),
    ("run", "--date", "2022-01-04"),
    ("backtest", "run", "--start", "2021-01-04"),
    ("backtest", "sweep", "--set", "strategy.selection.top=10,20", "--start", "2021-01-04", "--backend", "serial"),
    ("risk", "status"),
    ("score",),
)


def compile_all(home: Path) -> int:
    """Run every command in the workspace ``home``, which is made; the first exit code that is not 0."""
    stored(home, facts=True)
    decide_every(home, 1)
    failed = next(filter(None, (command(home, *words) for words in COMMANDS)), 0)
    for name, limit in LIMITS:
        set_line(home / "config" / "risk_limits.yml", f"  {name}: null", f"  {name}: {limit}")
    return failed or command(home, "run", "--date", "2022-01-05")


def command(home: Path, *words: str) -> int:
    """Run it; what it says is shown where it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(["--home", str(home), *words, "--json"])
    if code:
        print(f"exo {' '.join(words)}: {said.getvalue()[-2000:]}", file=sys.stderr)
    return code


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(compile_all(Path(folder) / "w"))
