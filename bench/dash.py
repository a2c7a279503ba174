"""The dashboard on ten years, 20,000 orders and 3,000 symbols: first paint in Chromium, every callback over HTTP, memory of the process.

The workspace is built once a day and code (two minutes), kept under .pytest_cache. Callbacks are those a browser sent while every page was
opened, its links followed and its tables sorted; they are asked again over a connection that is kept, half of them for other sessions and
symbols, so that their answers are not there yet.

    python bench/dash.py [--json] [--quick]
"""

from __future__ import annotations

import http.client
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
from _common import Line, line, main

from tests.browser.conftest import FLAGS
from tests.browser.large import ORDERS, SYMBOLS, large_workspace
from tests.browser.surfing import PAGES, Served, Surfer, served, surfing
from tests.browser.workspaces import Built, kept

PAINT, CALLBACK, MEMORY = 1.5, 300.0, 600.0
REQUESTS = 400
REST = 6.0
"""Seconds after which the store has been let go of."""
LINKS = 4
"""Links with a state of their own that are followed on each page."""


@dataclass(frozen=True)
class Call:
    """A callback as a browser sent it."""

    page: str
    path: str
    body: dict[str, Any]

    @property
    def output(self) -> str:
        """What it answers."""
        return str(self.body["output"])


def painted(chromium: Any, server: Served, path: str) -> tuple[float, float]:
    """Seconds to the first contentful paint, and until the page has its contents, in a browser that has kept nothing."""
    with surfing(chromium, server) as surfer:
        began = time.perf_counter()
        surfer.page.goto(server.url + path, wait_until="commit")
        surfer.settle()
        there = time.perf_counter() - began
        paint = surfer.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
        _healthy(surfer)
        return float(paint), there


def heard(chromium: Any, server: Served) -> list[Call]:
    """Every callback of every page: opened, its links followed, its tables sorted and their rows clicked."""
    calls: dict[str, Call] = {}
    for path in PAGES:
        with surfing(chromium, server) as surfer:
            surfer.go(path)
            _touch(surfer)
            links = surfer.page.evaluate("[...document.querySelectorAll('#page a[href*=\"?\"]')].map(one => one.getAttribute('href'))")
            own = [link for link in dict.fromkeys(links) if link.startswith("/")]
            for link in own[:: max(1, len(own) // LINKS)][:LINKS]:
                surfer.go(link)
            _healthy(surfer)
            for asked, body in surfer.callbacks:
                if body is not None:
                    calls.setdefault(body, Call(path, asked, json.loads(body)))
    return list(calls.values())


def _touch(surfer: Surfer) -> None:
    """Sort by a head, click a row."""
    for grid in surfer.page.locator("#page .ag-root-wrapper").all()[:3]:
        for place in (".ag-header-cell .ag-header-cell-label", ".ag-row .ag-cell"):
            found = grid.locator(place)
            if found.count() and found.first.is_visible():
                found.first.click()
                surfer.settle()
                surfer.page.keyboard.press("Escape")  # the drawer that a row opens
                surfer.settle()


def _healthy(surfer: Surfer) -> None:
    if surfer.wrong:
        raise SystemExit(f"the pages are not sound, nothing worth measuring: {surfer.wrong[:3]}")


def elsewhere(call: Call, built: Sessions, rng: random.Random) -> Call:
    """The same question for another session and symbol, where it has an address."""
    body = json.loads(json.dumps(call.body))
    for one in body.get("inputs", []) + body.get("state", []):
        if isinstance(one, dict) and one.get("id") == "url" and one.get("property") == "search":
            query = dict(parse_qsl(str(one.get("value") or "").removeprefix("?")))
            query["session"] = rng.choice(built.sessions)
            if "symbol" in query:
                query["symbol"] = rng.choice(built.symbols)
            one["value"] = "?" + urlencode(query)
    return Call(call.page, call.path, body)


@dataclass(frozen=True)
class Sessions:
    """What else can be asked for."""

    sessions: Sequence[str]
    symbols: Sequence[str]

    @classmethod
    def of(cls, home: Path) -> Sessions:
        """Booked sessions and traded symbols of the ledger."""
        import sqlite3

        connection = sqlite3.connect(f"file:{home / 'data' / 'ledger.sqlite'}?mode=ro", uri=True)
        try:
            sessions = [row[0] for row in connection.execute("SELECT session FROM sessions ORDER BY 1")]
            symbols = [row[0] for row in connection.execute("SELECT DISTINCT symbol FROM fills")]
            (orders,) = connection.execute("SELECT count(*) FROM orders").fetchone()
        finally:
            connection.close()
        if orders < ORDERS:
            raise SystemExit(f"the workspace must hold {ORDERS} orders; it has {orders}")
        return cls(sessions, symbols)


def asked(server: Served, calls: Sequence[Call]) -> list[float]:
    """Milliseconds of each answer, in order; an answer that is none ends the run."""
    host = server.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    headers = {"Content-Type": "application/json", "Origin": server.url, "Accept": "application/json", "Accept-Encoding": "gzip"}
    times = []
    for call in calls:
        began = time.perf_counter()
        connection.request("POST", call.path, json.dumps(call.body), headers)
        answer = connection.getresponse()
        body = answer.read()
        times.append(1e3 * (time.perf_counter() - began))
        if answer.status not in (200, 204):
            raise SystemExit(f"{answer.status} for {call.output} of {call.page}: {body[:200]!r}")
    connection.close()
    return times


def memory(server: Served) -> tuple[float, float]:
    """RSS and PSS of the process and its children in MB."""
    pids, seen = [server.process.pid], []
    while pids:
        pid = pids.pop()
        seen.append(pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text().split()]
    rolls = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in seen]
    total = [sum(int(re.search(rf"^{name}:\s+(\d+) kB", roll, re.MULTILINE)[1]) for roll in rolls) / 1024 for name in ("Rss", "Pss")]  # type: ignore[index]
    return total[0], total[1]


def _slowest(calls: Sequence[Call], times: Sequence[float]) -> str:
    """The three slowest questions, for a person."""
    order = np.argsort(times)[::-1][:3]
    return "; ".join(f"{calls[i].page} → {calls[i].output[:40]} {times[i]:.0f} ms" for i in order)


def measure(quick: bool) -> list[Line]:
    """Every figure."""
    from playwright.sync_api import sync_playwright

    from mech_exo.reporting.pdf import browser

    built: Built = kept("large", large_workspace)
    rng, there = random.Random(7), Sessions.of(built.home)
    with ExitStack() as keep:
        folder = Path(keep.enter_context(tempfile.TemporaryDirectory()))
        server = keep.enter_context(served(built.home, said=folder / "said.log"))
        play = keep.enter_context(sync_playwright())
        chromium = play.chromium.launch(executable_path=browser(), args=list(FLAGS))
        keep.callback(chromium.close)
        empty = memory(server)[0]
        first = painted(chromium, server, "/")
        paints = [painted(chromium, server, "/") for _ in range(1 if quick else 5)]
        worst = max(painted(chromium, server, path)[0] for path in PAGES) if not quick else 0.0
        calls = heard(chromium, server)
        again = [rng.choice(calls) for _ in range(40 if quick else REQUESTS // 2)]
        again = (calls + again)[: max(len(calls), len(again))]
        other = [elsewhere(rng.choice(calls), there, rng) for _ in again]
        kept_times, new_times = asked(server, again), asked(server, other)
        busy = memory(server)[0]
        time.sleep(REST)
        rss, pss = memory(server)
    every = np.array(kept_times + new_times)
    print(f"slowest: {_slowest([*again, *other], [*kept_times, *new_times])}", file=sys.stderr)
    full = not quick
    bars = {name: (value if full else None) for name, value in (("paint", PAINT), ("call", CALLBACK), ("memory", MEMORY))}
    return [
        line(f"first contentful paint of the overview, {SYMBOLS:,} symbols, median of {len(paints)} cold browsers",
             float(np.median([one[0] for one in paints])), "s", bars["paint"]),
        line("the same, worst of all pages", max(worst, *(one[0] for one in paints)), "s", bars["paint"]),
        line("the overview has its figures, median", float(np.median([one[1] for one in paints])), "s", bars["paint"]),
        line("first visit after the process began: figures are there", first[1], "s"),
        line(f"callbacks of all pages, p95 of {len(every)}", float(np.percentile(every, 95)), "ms", bars["call"],
             ("median", float(np.median(every)))),
        line("of these, asked for the first time: p95", float(np.percentile(new_times, 95)), "ms", bars["call"],
             ("worst", float(np.max(new_times)))),
        line(f"memory of the process, {REST:.0f} s after all of it (RSS)", rss, "MB", bars["memory"], ("PSS", pss)),
        line("memory of the process while it is asked of one session after the other (RSS)", busy, "MB"),
        line("memory of the process before the first visit (RSS)", empty, "MB"),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main("Dashboard", measure, __doc__))
