"""kill -9 at every step of a commit: the ledger holds the old state or the new one, never a mixture, and says it is sound."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mech_exo.domain.errors import LedgerError
from mech_exo.domain.orders import OrderState
from mech_exo.execution.ledger import Ledger
from tests.execution.ledger_rows import BOOK

CHILD = Path(__file__).with_name("ledger_child.py")
OLD, NEW = False, True


def start(path: Path, point: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(CHILD), str(path), point], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_until_death(path: Path, point: str) -> list[int]:
    child = start(path, point)
    out, err = child.communicate(timeout=60)
    assert child.returncode == -9, err
    return [int(line) for line in out.split()]


def readable_nights(path: Path) -> int:
    """What a reader sees before any writer has recovered."""
    try:
        with Ledger.open(path, read_only=True) as reader:
            return len(reader.day_history(BOOK))
    except LedgerError as error:
        if "the first `exo run` makes it" not in str(error):
            raise
        return 0


def nights(path: Path) -> int:
    """How many nights the ledger holds; each must be whole."""
    readable = readable_nights(path)
    with Ledger.open(path) as ledger:
        assert ledger.verify().faults == ()
        assert len(ledger.day_history(BOOK)) == readable, "a reader sees what recovery keeps"
        days = ledger.day_history(BOOK)
        assert [booked.day.nav for booked in days] == [100.0 + k for k in range(len(days))]
        orders = ledger.orders(BOOK)
        assert len(orders) == 2 * len(days)
        assert [row.state for row in orders] == [OrderState.SENDING, OrderState.NEW] * len(days)
        return len(days)


@pytest.mark.parametrize(
    ("point", "landed"),
    [("mid_transaction", OLD), ("before_commit", OLD), ("after_commit", NEW), ("mark_unsynced", NEW), ("after_mark", NEW)],
)
def test_killed_at(tmp_path: Path, point: str, landed: bool) -> None:
    path = tmp_path / "ledger.sqlite"
    for round_ in range(3):
        assert run_until_death(path, point) == []
        assert nights(path) == (round_ + 1 if landed else 0)


@pytest.mark.parametrize("statement", [0, 1, 5, 12])
def test_killed_while_the_ledger_is_made(tmp_path: Path, statement: int) -> None:
    path = tmp_path / "ledger.sqlite"
    run_until_death(path, f"creating-{statement}")
    assert nights(path) == 0


def test_killed_at_any_time_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    chance = random.Random(7)
    before = 0
    for _ in range(12):
        child = start(path, "never")
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.05))
        child.kill()
        out, _ = child.communicate(timeout=60)
        said = [int(line) for line in out.split()]
        now = nights(path)
        assert now >= before + 1 and (not said or now >= said[-1] + 1)
        before = now
    assert before > 12
