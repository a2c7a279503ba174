"""Peers beside us, all measured in the same run: their own scripts of ../shared/peers, each in an environment of its own.

    python bench/_peers.py [--only vectorbt --only pybroker ...] [--json]

Everything takes half an hour; environments and the market are kept in ~/.cache/peers (PEERS_HOME) for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import SHARED

ROOM = Path(os.environ.get("PEERS_HOME", Path.home() / ".cache" / "peers"))
SCRIPTS = SHARED / "peers"
OURS = {
    ("W2", 100): ("backtest", "W2, 100 x 2520, run()"),
    ("W2", 500): ("backtest", "W2, 500 x 2520, run()"),
    ("W2", 3000): ("backtest", "W2, 3000 x 2520, run()"),
    ("W3/W2", 100): ("scaling", "W2, 100 trials x 100 symbols x 2520, 2 thread(s)"),
    ("W6", 1000): ("metrics", "six metrics, 1000 x 2520"),
}
"""Our line for each workload of the peers: (script, name)."""
NO_PEERS = ("FLOOR", "reference", "numba", "numpy", "polars")


def environments() -> dict[str, list[str]]:
    """Packages by environment, as ``install.sh`` names them."""
    found = re.findall(r"^mk (\w+) (.+?)\s*(?:>.*)?$", (SCRIPTS / "install.sh").read_text(), re.MULTILINE)
    return {name: packages.split() for name, packages in found}


def runs() -> list[tuple[str, list[str]]]:
    """(environment, words of the command) of every measurement, as ``run_all.sh`` lists them, its loops written out."""
    text = (SCRIPTS / "run_all.sh").read_text()
    loops = re.findall(r"for w in ([^;]+); do \$T \$V/(\w+)/bin/python (\S+) \$w; done", text)
    single = re.findall(r"^\$T \$V/(\w+)/bin/python (.+)$", text, re.MULTILINE)
    return [(name, words.split()) for name, words in single] + [(name, [script, word]) for ws, name, script in loops for word in ws.split()]


def measure(only: Sequence[str], results: Path) -> None:
    """Install what is missing and run the peers' scripts, one after the other."""
    def asked(words: list[str]) -> bool:
        return words[0] == "market.py" or not only or any(part in " ".join(words) for part in only)

    wanted = [(name, words) for name, words in runs() if asked(words)]
    said = {"PEERS_HOME": str(ROOM), "PEER_RESULTS": str(results), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
    for name in dict.fromkeys(name for name, _ in wanted):
        install(name, environments()[name])
    for name, words in wanted:
        print("==", *words, file=sys.stderr, flush=True)
        command, quiet = [ROOM / "venvs" / name / "bin/python", *words], subprocess.DEVNULL
        done = subprocess.run(command, cwd=SCRIPTS, env=os.environ | said, timeout=1800, stdout=quiet, check=False)
        if done.returncode:
            print(f"   failed with {done.returncode}", file=sys.stderr)


def install(name: str, packages: list[str]) -> None:
    """One environment, unless it is there."""
    place = ROOM / "venvs" / name
    if (place / "done").exists():
        return
    print("== installing", *packages, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    subprocess.run([place / "bin/pip", "install", "-q", "--disable-pip-version-check", *packages], check=True)
    (place / "done").touch()


def ours() -> dict[tuple[str, int], float]:
    """Seconds of our side, measured now."""
    seconds: dict[tuple[str, int], float] = {}
    for script in dict.fromkeys(script for script, _ in OURS.values()):
        command = [sys.executable, f"bench/{script}.py", "--json"]
        ran = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)  # 1: a bar was missed
        lines = {item["name"]: item["value"] for item in json.loads(ran.stdout)}
        seconds |= {key: lines[name] / 1e3 for key, (where, name) in OURS.items() if where == script}
    return seconds


def table(rows: list[dict[str, Any]], mine: dict[tuple[str, int], float]) -> list[dict[str, Any]]:
    """A row a peer and workload, quickest first, with how many times our time it takes."""
    out = []
    for key, seconds in mine.items():
        best: dict[str, float] = {}
        for row in rows:
            if (row["workload"], row["symbols"]) == key and not row["peer"].startswith(NO_PEERS):
                best[row["peer"]] = min(row["seconds"], best.get(row["peer"], float("inf")))
        for peer, taken in sorted(best.items(), key=lambda item: item[1]):
            out.append({"workload": key[0], "symbols": key[1], "ours_s": seconds, "peer": peer, "peer_s": taken, "times": taken / seconds})
    return out


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="PEER", help="part of a peer's script name, e.g. vectorbt")
    parser.add_argument("--json", action="store_true", help="print a list of rows and nothing else")
    options = parser.parse_args()
    if not SCRIPTS.exists():
        print("the peers' scripts (../shared/peers) are not part of the repository and are not here", file=sys.stderr)
        return 1
    results = ROOM / "results.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.unlink(missing_ok=True)
    measure(options.only, results)
    rows = table([json.loads(line) for line in results.read_text().splitlines()] if results.exists() else [], ours())
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    shown = Table("workload", "symbols", "ours", "peer", "its time", "times ours", title="Peers, the same machine in the same run")
    for row in rows:
        mine, theirs = (f"{1e3 * row[name]:,.1f} ms" for name in ("ours_s", "peer_s"))
        shown.add_row(row["workload"], f"{row['symbols']:,}", mine, row["peer"], theirs, f"{row['times']:,.0f}")
    Console(width=None if sys.stdout.isatty() else 130).print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
