"""kill -9 anywhere in a sequence of nights: run again, it ends with the fills, positions and NAV of an undisturbed run.

``EXO_TEST_KILLS=500 pytest tests/faults/test_night_kill.py`` makes a longer campaign.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple, dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mech_exo.datasource.demo import LABEL, UNIVERSE, sample_market
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.orders import OrderState
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import BookId
from mech_exo.utils.workspace import create
from tests.faults.night_child import POINTS
from tests.faults.night_child import play as play_here
from tests.session.stage import choose_universe, days, decide_every, journal

CHILD = Path(__file__).with_name("night_child.py")
CAMPAIGN = "EXO_TEST_KILLS" in os.environ
KILLS = int(os.environ.get("EXO_TEST_KILLS", "5"))
NIGHTS = days("2022-01-03", 12 if CAMPAIGN else 8)  # decided four times: bought, kept, changed, sold
BOOK = BookId("paper", "default")


@dataclass(frozen=True)
class Outcome:
    """Everything of a book that must not depend on when its process died."""

    fills: list[Any]
    days: list[Any]
    lines: dict[date, Any]
    orders: list[Any]
    plans: dict[date, bytes]


def outcome(home: Path) -> Outcome:
    """What the ledger says at the end; it must be sound and nothing may have been sent twice."""
    with Ledger.open(default_path(home), read_only=True) as ledger:
        report = ledger.verify()
        assert report.sound, report.faults
        orders = ledger.orders(BOOK)
        booked = ledger.day_history(BOOK)
        sessions = {row.session: ledger.session(BOOK, row.session) for row in booked}
        decisions = {row.session: ledger.decision(BOOK, row.session) for row in booked}
        check_nothing_is_sent_twice(home)
        return Outcome(
            fills=[astuple(row.fill) for row in ledger.fills(BOOK)],
            days=[(row.session, astuple(row.day)) for row in booked],
            lines={night: repr(row.lines) for night, row in sessions.items() if row is not None},
            orders=[(row.order, row.state, row.filled) for row in orders],
            plans={night: row.body for night, row in decisions.items() if row is not None},
        )


def check_nothing_is_sent_twice(home: Path) -> None:
    """An order is acknowledged and filled once, and goes out again only after the broker was seen not to have it."""
    states: dict[str, list[str]] = defaultdict(list)
    for _, _, kind, _, body, *_ in journal(home):
        if kind == "state":
            change = json.loads(body)
            states[change["order_id"]].append(change["state"])
    assert states
    for order, past in states.items():
        assert past.count("live") == 1 and past.count("filled") <= 1, (order, past)
        assert all(pair != ("sending", "sending") for pair in pairwise(past)), (order, past)
        assert past[: past.index("live")] == ["sending", "new"] * (past.index("live") // 2) + ["sending"], (order, past)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample workspace whose book is decided every other session. Not to be changed."""
    home = tmp_path_factory.mktemp("kill") / "w"
    create(home)
    choose_universe(home, UNIVERSE)
    decide_every(home, 2)
    market = sample_market(seed=11, symbols=30, years=4)
    with DataStorage(DataStorage.path_in(home)) as storage:
        market.store(storage)
        storage.publish()
    assert market.panel.label == LABEL
    return home


@pytest.fixture(scope="module")
def undisturbed(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The same nights, in one go."""
    home = tmp_path_factory.mktemp("calm") / "w"
    shutil.copytree(fresh, home)
    play_here(home, "any", 0, NIGHTS)
    found = outcome(home)
    assert len(found.plans) == len(NIGHTS) and len(found.fills) > 20
    return found


def child(home: Path, point: str, count: int) -> subprocess.Popen[str]:
    words = [sys.executable, str(CHILD), str(home), point, str(count), *map(str, NIGHTS)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_to_the_end(home: Path) -> None:
    """By this process, which has everything loaded; in a campaign by a new one."""
    if not CAMPAIGN:
        play_here(home, "any", 0, NIGHTS)
        return
    process = child(home, "any", 0)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.split()[-1] == str(NIGHTS[-1])


def killed_at(home: Path, point: str, count: int) -> bool:
    """Run until the point; False when the nights ended before it."""
    process = child(home, point, count)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (-9, 0), err
    return process.returncode == -9


def killed_after(home: Path, seconds: float) -> bool:
    """Kill the process ``seconds`` after it began with the nights; False when it was done before."""
    process = child(home, "any", 0)
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n", process.communicate()[1]
    time.sleep(seconds)
    process.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode in (-9, 0), err
    return process.returncode == -9


def campaign(fresh: Path, undisturbed: Outcome, folder: Path, kills: int, strike: Callable[[Path], bool]) -> None:
    """``kills`` deaths; a book whose nights are done is compared with the undisturbed one, and the next one begun."""
    died, books = 0, 0
    while died < kills:
        home = folder / str(books)
        shutil.copytree(fresh, home)
        books += 1
        assert books <= kills, "hardly anything dies"
        while died < kills and strike(home):
            died += 1
        run_to_the_end(home)
        assert outcome(home) == undisturbed
        shutil.rmtree(home)


def test_killed_at_chosen_points(fresh: Path, undisturbed: Outcome, tmp_path: Path) -> None:
    """At a random call of a random step of the night, time and again."""
    chance = random.Random(5)
    points = list(POINTS)
    chance.shuffle(points)
    turn = itertools.cycle(points)
    campaign(fresh, undisturbed, tmp_path, KILLS, lambda home: killed_at(home, next(turn), chance.choice((1, 1, 2, 2, 3, 4))))


def test_killed_at_any_time(fresh: Path, undisturbed: Outcome, tmp_path: Path) -> None:
    chance = random.Random(6)
    campaign(fresh, undisturbed, tmp_path, max(1, KILLS // 2), lambda home: killed_after(home, chance.uniform(0.0, 0.6)))


@pytest.mark.parametrize("point", ["committing", "placing"])
def test_killed_in_the_first_night(fresh: Path, undisturbed: Outcome, tmp_path: Path, point: str) -> None:
    """Between the decision and the acknowledgement of its orders: what was planned goes out once."""
    home = tmp_path / "w"
    shutil.copytree(fresh, home)
    assert killed_at(home, point, 2 if point == "committing" else 1)
    with Ledger.open(default_path(home), read_only=True) as ledger:
        assert not [row for row in ledger.orders(BOOK) if row.state is OrderState.FILLED]
    run_to_the_end(home)
    assert outcome(home) == undisturbed
