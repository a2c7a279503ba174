"""What to do next, in a line or two on stderr, for somebody at a terminal who does it for the first time.

Said where the state of the workspace shows that it is the first time (the first import, night, backtest), so that nothing has to be
remembered. Never with ``--json``, never where stderr is no terminal, never with ``EXO_HINTS=off``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

OFF = ("off", "0", "false", "no")


def say(lines: Sequence[str], *, as_json: bool = False) -> None:
    """Print ``lines`` as hints, unless nobody is there to read them."""
    if as_json or os.environ.get("EXO_HINTS", "").lower() in OFF or not sys.stderr.isatty():
        return
    print("\nNext (EXO_HINTS=off says nothing here):", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)


def command(place: Path, words: str) -> str:
    """``exo`` with ``words`` for the workspace ``place``, as it is typed here: without --home where ``place`` is the current folder."""
    return f"exo {words}" if place == Path.cwd() else f"exo --home {place} {words}"


def after_init(place: Path, following: Sequence[str]) -> list[str]:
    """After ``exo init``. ``following``: what the chosen template is for, as ``exo …`` commands."""
    return [
        command(place, "config check"),
        command(place, "data import BARS.csv") + "     symbol, date, open, high, low, close, volume",
        *(command(place, line.removeprefix("exo ")) for line in following),
        "or, without any data of your own: exo demo",
    ]


def after_demo(place: Path, best: str, night: object) -> list[str]:
    """After ``exo demo``: of the ``best`` name and the last ``night``."""
    return [command(place, f"why {best}"), command(place, f"replay {night}"), command(place, "dash --open")]


def after_import(place: Path) -> list[str]:
    """After the first import."""
    return [command(place, "data quality"), command(place, "backtest run")]


def after_backtest(place: Path) -> list[str]:
    """After the first backtest."""
    sweep = command(place, "backtest sweep --set strategy.selection.top=20,30")
    return [f"{sweep}     and how much of the best is luck", command(place, "run")]


def after_night(place: Path) -> list[str]:
    """After the first night."""
    return [command(place, "dash --open"), command(place, "schedule") + "     a night after every close"]


def bare(place: Path) -> list[str]:
    """For ``exo`` alone: by what the folder is."""
    if not (place / "config").is_dir():
        return ["exo demo     everything once, on an invented market", "exo init my-money     a workspace of your own"]
    if not (place / "data" / "snapshots" / "CURRENT").exists():
        return [command(place, "data import BARS.csv") + "     this workspace holds no market data yet", command(place, "doctor")]
    if not (place / "data" / "ledger.sqlite").exists():
        return [command(place, "backtest run"), command(place, "run") + "     the first night"]
    return [command(place, "risk status"), command(place, "dash --open")]
