"""A process that runs nights until it is done or dies at a named point: `python night_child.py HOME POINT COUNT NIGHT…`.

It prints a line when it begins with the nights and one after each; the ``COUNT``-th time it comes to ``POINT`` it kills itself.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mech_exo import nightly, session
from mech_exo.cli.__main__ import main
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.paper import PaperBroker
from mech_exo.execution.router import OrderRouter
from mech_exo.execution.rows import BookId

POINTS: dict[str, tuple[Any, str]] = {
    "connecting": (PaperBroker, "connect"),
    "gate": (OrderRouter, "open_gate"),
    "expiring": (OrderRouter, "expire"),
    "trading": (PaperBroker, "trade_session"),
    "deciding": (session, "decide"),
    "fill": (Ledger, "record_fill"),
    "booking": (Ledger, "book_session"),
    "decision": (Ledger, "record_decision"),
    "planning": (Ledger, "plan"),
    "levels": (PaperBroker, "take_levels"),
    "sending": (OrderRouter, "submit"),
    "state": (Ledger, "set_state"),
    "placing": (PaperBroker, "place"),
    "committing": (Ledger, "_commit"),
    "report": (nightly, "write_reports"),
}


def arm(point: str, count: int) -> None:
    """Let the process die at the ``count``-th call of ``point``: before it when even, after it when odd."""
    place, name = POINTS[point]
    work: Callable[..., Any] = getattr(place, name)
    calls = 0

    def dying(*words: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and count % 2 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = work(*words, **named)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, dying)


def last_booked(home: Path) -> date | None:
    """Where the nights stand."""
    if not default_path(home).exists():
        return None
    with Ledger.open(default_path(home)) as ledger:
        row = ledger.last_session(BookId("paper", "default"))
    return None if row is None else row.session


def nights_left(home: Path, nights: list[date]) -> list[date]:
    """The last booked night again, for it may not have been finished, and those after it."""
    last = last_booked(home)
    return nights if last is None else [night for night in nights if night >= last]


def play(home: Path, point: str, count: int, nights: list[date]) -> None:
    """`exo run` for each night that is left, in this process."""
    left = nights_left(home, nights)
    if point != "any":
        arm(point, count)
    print("begin", flush=True)
    for night in left:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = main(["--home", str(home), "run", "--date", str(night), "--json"])
        if code:
            sys.exit(code)
        print(night, flush=True)


if __name__ == "__main__":
    play(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), [date.fromisoformat(word) for word in sys.argv[4:]])
