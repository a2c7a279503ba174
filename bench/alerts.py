"""What alerts cost trading: posting one, and a night, beside a delivery process whose every channel hangs; and how fast a flood is told.

    python bench/alerts.py [--json] [--quick]
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _common import REPOSITORY, Line, line, main

sys.path.insert(0, str(REPOSITORY))

from mech_exo.datasource.replay.server import Answer
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import Alert
from mech_exo.nightly import Evening, Step, perform
from tests.reporting.alerts.homes import Clock, alerts, home, post
from tests.reporting.alerts.servers import World, world
from tests.session import tonight

MOST_MS = 10.0


@contextmanager
def delivering(place: Path, servers: World) -> Iterator[None]:
    """``exo alert run`` on ``place``, every channel hanging, the disk and the ledger looked at all the time."""
    hanging = lambda _: Answer(pause=5.0)  # noqa: E731
    servers.slack.fault = servers.telegram.fault = hanging
    servers.mail.fault["MAIL"] = None
    servers.replay.asked.clear()
    words = [sys.executable, "-m", "mech_exo.cli", "alert", "run", "--home", str(place)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=REPOSITORY)
    try:
        while not servers.replay.requests("hooks.slack.com"):
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def posting(place: Path, count: int, name: str) -> float:
    """Milliseconds of one ``post_alert``, ledger already open: the median."""
    times = []
    with Ledger.open(default_path(place)) as ledger:
        for n in range(count):
            start = time.perf_counter()
            ledger.post_alert(Alert(f"{name}-{n}", "critical", f"Alert {name}-{n}", "text"))
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def posts(folder: Path, servers: World, count: int) -> list[Line]:
    place = home(folder / "posts", servers.mail.port)
    post(place, alerts(3, "critical", "first"))
    alone = posting(place, count, "alone")
    with delivering(place, servers):
        beside = posting(place, count, "beside")
    return [
        line("post_alert beside a delivery process, median", beside, "ms", None, ("the same without a delivery process", alone)),
        line("what it adds", beside - alone, "ms", MOST_MS),
    ]


def nights(folder: Path, servers: World, repeats: int) -> list[Line]:
    """The same night on copies of one workspace, in turn without and with a delivery process."""
    prepared = tonight.evening(folder / "evening")
    perform(Evening(shutil.copytree(prepared.home, folder / "warm"), prepared.now))
    whole: dict[bool, list[float]] = {False: [], True: []}
    step: dict[bool, list[float]] = {False: [], True: []}
    for n in range(repeats):
        for beside in (False, True):
            place = Path(shutil.copytree(prepared.home, folder / f"night-{n}-{beside}"))
            if beside:
                keys = home(folder / f"keys-{n}", servers.mail.port) / "config"
                for name in ("alerts.yml", "api_keys_local.yml"):
                    shutil.copy(keys / name, place / "config" / name)
                post(place, alerts(3, "critical", "first"))
                with delivering(place, servers):
                    took = timed(Evening(place, prepared.now))
            else:
                post(place, alerts(3, "critical", "first"))
                took = timed(Evening(place, prepared.now))
            whole[beside].append(took[0])
            step[beside].append(took[1])
    alert, alone = (1e3 * statistics.median(step[beside]) for beside in (True, False))
    night, without = (1e3 * statistics.median(whole[beside]) for beside in (True, False))
    return [
        line("a night's alert step beside a delivery process, median", alert, "ms", None, ("without", alone)),
        line("what it adds to the step", alert - alone, "ms", MOST_MS),
        line("the whole night beside it, two processes on these cores", night, "ms", None, ("without", without)),
    ]


def timed(evening: Evening) -> tuple[float, float]:
    """Seconds of a night and of its alert step."""
    start = time.perf_counter()
    night = perform(evening)
    return time.perf_counter() - start, next(done.seconds for done in night.steps if done.step is Step.ALERT)


def flood(folder: Path, servers: World, count: int) -> list[Line]:
    """Posting done: how long until three channels were told of so many alerts."""
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.alerts.service import Service
    from mech_exo.utils.config import load

    place = home(folder / "flood", servers.mail.port)
    servers.slack.fault = servers.telegram.fault = lambda _: None
    servers.mail.fault.clear()
    post(place, alerts(count))
    service = Service(place, load(place), lambda: Workspace.open(place), Clock())
    start = time.perf_counter()
    told = service.once()
    took = time.perf_counter() - start
    service.close()
    messages = float(max(told.arrived.values()))
    return [line(f"{count:,} alerts to three channels", took, "s"), line("messages a channel got for them", messages, "messages", 5.0)]


def measure(quick: bool) -> list[Line]:
    """Every figure."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with world(folder) as servers:
            lines = posts(folder, servers, 100 if quick else 400)
            lines += nights(folder, servers, 2 if quick else 5)
            return lines + flood(folder, servers, 10_000)


if __name__ == "__main__":
    sys.exit(main("Alerts", measure, __doc__))
