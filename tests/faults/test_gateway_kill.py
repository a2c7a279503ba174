"""kill -9 and wire faults against real processes: a gateway in one, the evening of a router in another, TCP between them.

Each cycle is a day: an evening is killed at a named point while a fault of the wire is armed, run again until nothing is in doubt, and
compared; then the market opens, fills in part, triggers stops, and the gateway restarts at midnight. ``EXO_TEST_KILLS=200`` makes a
campaign of a thousand kills that ends only when each point met each fault; ``EXO_KILL_TABLE=FILE`` keeps its table.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mech_exo.domain.orders import OrderState
from mech_exo.execution.ledger import Ledger
from tests.faults.gateway_child import BOOK, IN_DOUBT, NOT_NOW, POINTS
from tests.gateway.control import RemoteGateway, gateway_process

SLICE = 16
CAMPAIGN = 5 * int(os.environ.get("EXO_TEST_KILLS", "0"))
DAYS_OF_A_BOOK = 25
WORKERS = 4
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
MOST_RUNS = 25
CHILD = Path(__file__).with_name("gateway_child.py")

FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "cut before accept": {"kind": "cut_before_accept"},
    "cut after accept": {"kind": "cut_after_accept"},
    "order lost": {"kind": "lost_order"},
    "ack lost": {"kind": "lost_ack"},
    "half-open": {"kind": "half_open"},
    "huge frame": {"kind": "huge_frame"},
    "throttled": {"kind": "throttle"},
    "1100": {"kind": "server_lost"},
    "restart": {"kind": "restart"},
    "201": {"kind": "error", "code": 201},
    "321": {"kind": "error", "code": 321},
    "399": {"kind": "error", "code": 399},
    "10148 of a live order": {"kind": "error", "code": 10148},
    "cancel lost": {"kind": "lost_cancel"},
    "cancel refused (161)": {"kind": "cancel_error", "code": 161},
    "mute openOrder": {"kind": "mute", "message": 5},
    "mute orderStatus": {"kind": "mute", "message": 3},
    "mute openOrderEnd": {"kind": "mute", "message": 53},
    "mute execution": {"kind": "mute", "message": 11},
    "mute commission": {"kind": "mute", "message": 59},
    "mute position": {"kind": "mute", "message": 61},
    "mute positionEnd": {"kind": "mute", "message": 62},
    "mute time": {"kind": "mute", "message": 49},
    "openOrder malformed": {"kind": "garble", "message": 5},
    "openOrder twice": {"kind": "duplicate", "message": 5},
    "execution twice": {"kind": "duplicate", "message": 11},
    "status before order": {"kind": "reorder", "message": 5},
    "commission late": {"kind": "late", "message": 59},
    "cut in a list": {"kind": "cut", "message": 55},
}


class Stable:
    """The process that forks an evening for each task."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._say, self._hear = self._process.stdin, self._process.stdout
        assert self._hear.readline() == "ready\n"

    def run(self, task: dict[str, Any], point: str = "", count: int = 1) -> tuple[int, dict[str, Any]]:
        """One evening: the code it ended with (-9: killed) and what it said."""
        self._say.write(json.dumps(task | {"point": point, "count": count}) + "\n")
        self._say.flush()
        answer = json.loads(self._hear.readline())
        return answer["code"], answer["said"]

    def close(self) -> None:
        self._say.close()
        self._process.wait()
        self._hear.close()


@dataclass
class Tally:
    """What the campaign counted. ``cells``: days on which a process died at a point and the fault struck, by (point, fault)."""

    kills: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    days: int = 0
    runs: int = 0
    orders: int = 0
    fills: int = 0
    between: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    twice: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def next_cell(self, chance: random.Random) -> tuple[str, str]:
        """One of those met least."""
        with self.lock:
            cells = [(point, fault) for point in POINTS for fault in FAULTS]
            least = min(self.cells[cell] for cell in cells)
            return chance.choice([cell for cell in cells if self.cells[cell] == least])

    def count(self, point: str, fault: str, *, killed: bool, struck: bool) -> None:
        """A day is over."""
        with self.lock:
            self.days += 1
            self.kills[point] += killed
            self.faults[fault] += fault != "none" and struck
            self.cells[point, fault] += killed and struck
            if self.days % 50 == 0:
                self.keep()

    def keep(self) -> None:
        """The table as JSON, where the environment asks for it."""
        path = os.environ.get("EXO_KILL_TABLE")
        if path:
            figures = {name: value for name, value in vars(self).items() if name not in {"cells", "lock"}}
            cells = {point: {fault: self.cells[point, fault] for fault in FAULTS} for point in POINTS}
            Path(path).write_text(json.dumps(figures | {"cells": cells}, indent=1))

    @property
    def complete(self) -> bool:
        """Whether each point met each fault."""
        return all(self.cells[point, fault] for point in POINTS for fault in FAULTS)


class Book:
    """One account with its gateway and its ledger, day by day."""

    def __init__(self, home: Path, gateway: RemoteGateway, stable: Stable, chance: random.Random, tally: Tally) -> None:
        self.home, self.gateway, self.stable, self.chance, self.tally = home, gateway, stable, chance, tally
        self.day = date(2026, 3, 2)
        self.prices = {symbol: chance.uniform(20.0, 200.0) for symbol in SYMBOLS}
        self.levels: dict[str, tuple[float, float]] = {}
        self.done: dict[str, dict[str, Any]] = {}

    # The evening

    def evening(self, point: str, fault: str) -> None:
        """Killed at ``point`` with ``fault`` armed, then run until nothing is in doubt; ledger and broker are the same."""
        task = self.decided()
        self.at("18:00")
        before = self.gateway("faults.fired")
        self.arm(fault)
        killed, _ = self.heal(task, point, self.chance.choice((1, 1, 1, 2)))
        struck = fault == "none" or self.gateway("faults.fired") != before
        self.gateway("faults.clear")
        self.gateway("release")
        _, said = self.heal(task)
        self.compare(said, fault)
        self.tally.count(point, fault, killed=killed, struck=struck)

    def heal(self, task: dict[str, Any], point: str = "", count: int = 1) -> tuple[bool, dict[str, Any]]:
        """Run the evening until it was whole: nothing in doubt, nothing left to send. Whether a process died at ``point``, and the last words."""
        killed = False
        for _ in range(MOST_RUNS):
            code, said = self.run(task, "" if killed else point, count)
            killed = killed or code == -9
            if code == 0 and not said["doubt"] and "new" not in said["states"].values():
                return killed, said
            self.gateway("regain_server")
            self.meanwhile()
            task["now"] = said.get("now", task["now"])
        pytest.fail(f"{self.home.name} {self.day}: not healed after {MOST_RUNS} runs: {said}")

    def meanwhile(self) -> None:
        """While no process of ours runs, a resting order may fill, in part or wholly."""
        resting = [one for one in self.gateway("exchange.orders", live=True) if one["tif"] == "GTC" and one["why_held"] != "child"]
        if resting and self.chance.random() < 0.15:
            one = self.chance.choice(resting)
            left = one["quantity"] - one["filled"]
            self.gateway("exchange.fill", one["ref"], one["limit"] or one["aux"], self.chance.choice((left, max(1, left // 3))))
            self.tally.between += 1

    def run(self, task: dict[str, Any], point: str = "", count: int = 1) -> tuple[int, dict[str, Any]]:
        with self.tally.lock:
            self.tally.runs += 1
        code, said = self.stable.run(task, point, count)
        assert code in (0, -9, NOT_NOW), said
        return code, said

    def arm(self, fault: str) -> None:
        terms = dict(FAULTS[fault])
        if terms:
            most = 8 if "message" in terms else 2
            self.gateway("faults.add", terms.pop("kind"), skip=self.chance.choice((0, 0, 0, self.chance.randrange(most))), **terms)

    def decided(self) -> dict[str, Any]:
        """Tonight's orders, and the levels of what is held; some change, some stay."""
        held = {symbol: int(shares) for symbol, shares in self.gateway("exchange.positions").items()}
        chance, session = self.chance, self.next_session()
        orders = []
        for symbol in chance.sample(SYMBOLS, 2):
            shares = chance.choice((-40, 0, 50, 80, 100)) - held.get(symbol, 0)
            if shares:
                side = 1 if shares > 0 else -1
                stop, target = self.exits(symbol, side)
                limit = round(self.prices[symbol] * (1 + 0.01 * side), 2) if chance.random() < 0.3 else None
                kind = "market_on_open" if limit is None else "limit_on_open"
                orders.append({"symbol": symbol, "shares": shares, "session": str(session), "type": kind, "stop": stop,
                               "target": target, "level": limit})  # fmt: skip
                self.levels.setdefault(symbol, (stop, target))
        for symbol, shares in held.items():
            stop, target = self.levels.get(symbol, (0.0, 0.0))
            if chance.random() < 0.4 or (stop < target) != (shares > 0) or stop == target:
                self.levels[symbol] = self.exits(symbol, 1 if shares > 0 else -1)
        levels = [{"symbol": symbol, "stop": self.levels[symbol][0], "target": self.levels[symbol][1]} for symbol in sorted(held)]
        return {"home": str(self.home), "port": self.gateway.port, "now": f"{self.day}T22:00:00+00:00", "decided": str(self.day),
                "session": str(session), "orders": orders, "levels": levels, "prices": self.prices}  # fmt: skip

    def exits(self, symbol: str, side: int) -> tuple[float, float]:
        price, width = self.prices[symbol], self.chance.uniform(0.03, 0.12)
        return round(price * (1 - side * width), 2), round(price * (1 + side * width), 2)

    def next_session(self) -> date:
        ahead = self.day + timedelta(1)
        return ahead + timedelta(7 - ahead.weekday()) if ahead.weekday() > 4 else ahead

    def at(self, clock: str) -> None:
        hour = int(clock[:2]) + 4  # as in New York in summer
        self.gateway("exchange.set_time", f"{self.day}T{hour:02d}:{clock[3:]}:00+00:00")

    # The next day

    def market(self) -> None:
        """Midnight with its restart, the open, a few prints, the close. Fills may be partial, and one symbol may not open."""
        self.gateway("restart")
        self.remember()
        self.gateway("exchange.new_day")
        self.day = self.next_session()
        self.at("09:30")
        chance = self.chance
        self.prices = {symbol: max(5.0, round(price * chance.gauss(1.0, 0.03), 2)) for symbol, price in self.prices.items()}
        self.gateway("exchange.take_at_most", chance.choice((None, None, 30)))
        self.gateway("exchange.open_session", {symbol: price for symbol, price in self.prices.items() if chance.random() < 0.95})
        self.gateway("exchange.take_at_most", None)
        for symbol, price in self.prices.items():
            self.gateway("exchange.trade", symbol, round(price * chance.gauss(1.0, 0.04), 2))
        self.at("16:00")
        self.gateway("exchange.close_session", self.prices)
        if chance.random() < 0.2 and (today := self.gateway("exchange.executions")):
            self.gateway("exchange.correct", chance.choice(sorted(today)), price=round(chance.uniform(20.0, 200.0), 2))
        self.remember()

    def remember(self) -> None:
        """The broker forgets its executions at midnight; the test does not."""
        self.done |= self.gateway("exchange.executions")

    def compare(self, said: dict[str, Any], fault: str) -> None:
        """The invariants, between what arrived and was done at the broker and what the ledger says."""
        self.remember()
        latest: dict[str, dict[str, Any]] = {}
        for id_ in sorted(self.done):
            latest[id_.rpartition(".")[0]] = self.done[id_]
        sent, accepted = self.gateway("sent"), self.gateway("exchange.accepted")
        with Ledger.open(self.home / "ledger.sqlite", read_only=True) as ledger:
            assert ledger.verify().sound
            orders = {row.order.id: row for row in ledger.orders(BOOK)}
            fills = [row.fill for row in ledger.fills(BOOK)]
        assert sent.keys() <= orders.keys(), "an order arrived that nobody planned"
        twice = [ref for ref in orders if sent.get(ref, 0) > 1 or accepted.get(ref, 0) > 1]
        lost = {f"ib-{stem}" for stem in latest} ^ {one.id for one in fills}
        with self.tally.lock:
            self.tally.twice[fault] += len(twice)
            self.tally.lost[fault] += len(lost)
        assert not twice, "an order was sent twice"
        assert not lost, "a fill is known to one side only"
        assert all(sent.get(ref, 0) >= times for ref, times in accepted.items())
        assert not [row for row in orders.values() if row.state in IN_DOUBT]
        assert not [row.order.id for row in orders.values() if row.state is OrderState.ABANDONED and accepted.get(row.order.id)]
        assert not [row.order.id for row in orders.values() if row.state is OrderState.NEW and sent.get(row.order.id)]
        ours, theirs = by_order(fills), defaultdict(float)
        for one in latest.values():
            theirs[one["ref"]] += one["shares"]
        assert ours == dict(theirs), "a fill counts twice, or for another order"
        assert {(one.id, one.price) for one in fills} == {(f"ib-{stem}", one["price"]) for stem, one in latest.items()}
        positions: Counter[str] = Counter()
        for one in fills:
            positions[one.symbol] += one.shares
        assert {symbol: shares for symbol, shares in positions.items() if shares} == self.gateway("exchange.positions")
        assert not said["breaks"] and not said["halted"], said

    def close(self) -> None:
        """Count what this book did."""
        sent = self.gateway("sent")
        with Ledger.open(self.home / "ledger.sqlite", read_only=True) as ledger, self.tally.lock:
            self.tally.orders += sum(sent.values())
            self.tally.fills += len(self.done)
            self.tally.ends.update(row.state.value for row in ledger.orders(BOOK))


def by_order(fills: list[Any]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for one in fills:
        total[one.order_id] += one.shares
    return dict(total)


@contextmanager
def book(folder: Path, stable: Stable, chance: random.Random, tally: Tally) -> Iterator[Book]:
    folder.mkdir()
    with gateway_process() as (gateway, _):
        gateway("pace", 10_000)
        one = Book(folder, gateway, stable, chance, tally)
        yield one
        if one.home.joinpath("ledger.sqlite").exists():
            one.close()


def worker(folder: Path, tally: Tally, over: Callable[[], bool], seed: int) -> None:
    """Books, one after the other, until it is over."""
    chance = random.Random(seed)
    with ExitStack() as stack:
        stable = Stable()
        stack.callback(stable.close)
        for number in count():
            with book(folder / f"{seed}-{number}", stable, chance, tally) as one:
                for _ in range(DAYS_OF_A_BOOK):
                    if over():
                        return
                    one.evening(*tally.next_cell(chance))
                    one.market()


def campaign(folder: Path, kills: int, *, every_cell: bool) -> Tally:
    """Days until so many kills were counted, and each point met each fault where that is asked. Most of the time is waiting: hence workers."""
    tally = Tally()
    failed = threading.Event()

    def over() -> bool:
        return failed.is_set() or (tally.kills.total() >= kills and (tally.complete or not every_cell))

    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(worker, folder, tally, over, seed) for seed in range(WORKERS)]
        for job in as_completed(jobs):
            if job.exception() is not None:
                failed.set()
    for job in jobs:
        job.result()
    tally.keep()
    return tally


@pytest.mark.slow
def test_killed_anywhere_with_any_fault_nothing_is_sent_twice_and_no_fill_is_lost(tmp_path: Path) -> None:
    tally = campaign(tmp_path, CAMPAIGN or SLICE, every_cell=CAMPAIGN >= 1000)
    assert tally.kills.total() >= (CAMPAIGN or SLICE)
    assert tally.orders and tally.fills and tally.ends["filled"]


def test_an_order_that_appears_after_it_was_given_up_is_adopted_and_halts(tmp_path: Path) -> None:
    """Three clean looks did not show it, so it was given up; then it is there. It is not sent again, it counts, and nothing new leaves."""
    tally, chance = Tally(), random.Random(1)
    with ExitStack() as stack:
        stable = Stable()
        stack.callback(stable.close)
        one = stack.enter_context(book(tmp_path / "book", stable, chance, tally))
        task = one.decided()
        one.at("18:00")
        one.gateway("faults.add", "held", times=3)  # an entry and its two legs
        _, said = one.heal(task)
        given_up = [ref for ref, state in said["states"].items() if state == "abandoned"]
        assert len(given_up) == 3 and not said["halted"] and not any(one.gateway("accepted", ref) for ref in given_up)
        one.gateway("release")
        code, said = one.run(task | {"now": said["now"]})
        assert (code, said["halted"], {said["states"][ref] for ref in given_up}) == (0, True, {"live"})
        assert [(one.gateway("sends", ref), one.gateway("accepted", ref)) for ref in given_up] == [(1, 1)] * 3
        one.market()
        task = one.decided() | {"orders": [], "levels": []}
        one.at("18:00")
        code, said = one.run(task)
        assert code == 0 and said["halted"], "until `exo resume`"
