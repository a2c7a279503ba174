"""A process that writes a ledger and dies at a named point: `python ledger_child.py PATH POINT`."""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mech_exo.execution import guard, ledger_tables
from mech_exo.execution.ledger import Ledger
from tests.execution.ledger_rows import BOOK, DAY_ONE, intents, session


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Replace one function by one that dies before or after doing its work."""
    if point == "before_commit":
        run = Ledger._run

        def dying(self: Ledger, sql: str, values: tuple[object, ...] = ()) -> list[object]:
            if sql == "COMMIT":
                die()
            return run(self, sql, values)

        Ledger._run = dying  # type: ignore[method-assign]
    elif point == "after_commit":
        guard.MarkFile.write = lambda self, mark: die()  # type: ignore[method-assign]
    elif point == "mark_unsynced":
        guard.os.fdatasync = lambda descriptor: die()
    elif point == "after_mark":
        write = guard.MarkFile.write

        def marked(self: guard.MarkFile, mark: guard.Mark) -> None:
            write(self, mark)
            die()

        guard.MarkFile.write = marked  # type: ignore[method-assign]
    elif point.startswith("creating"):
        known = ledger_tables.statements

        def some(script: str) -> list[str]:
            return [*known(script)[: int(point.split("-")[1])], "SELECT die()"]

        connect = ledger_tables.sqlite3.connect

        def with_die(*words: object, **named: object) -> object:
            connection = connect(*words, **named)  # type: ignore[call-overload]
            connection.create_function("die", 0, die)
            return connection

        ledger_tables.statements = some
        ledger_tables.sqlite3.connect = with_die


def write_one(ledger: Ledger, number: int, point: str = "") -> None:
    """One night in one commit: a session, a plan and a state."""
    on = DAY_ONE + timedelta(number)
    wanted = intents("AAA", "BBB", decided=on)
    with ledger.transaction():
        ledger.book_session(session(on, 100.0 + number))
        if point == "mid_transaction":
            die()
        ledger.plan(wanted, BOOK, on)
        ledger.set_state(wanted[0].order.id, ledger.order(wanted[0].order.id).state.SENDING)


def main() -> None:
    path, point = Path(sys.argv[1]), sys.argv[2]
    if point.startswith("creating"):
        arm(point)
    with Ledger.open(path) as ledger:
        last = ledger.last_session(BOOK)
        number = 0 if last is None else (last.session - DAY_ONE).days + 1
        arm(point)
        while True:
            write_one(ledger, number, point)
            print(number, flush=True)
            number += 1


main()
