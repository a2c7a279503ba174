"""The pipeline writes while readers look: nights booked, snapshots published, four readers asking every page over HTTP. No error, nothing torn.

``EXO_TEST_SECONDS`` is how long (6; `make faults`: 60).
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.browser import plain_ledger
from tests.browser.surfing import PAGES, Served, served
from tests.session.stage import decide_every, stored

pytest.importorskip("dash", reason="the extra `dash` is not installed")
CHILD = Path(__file__).with_name("dashboard_child.py")
SECONDS = float(os.environ.get("EXO_TEST_SECONDS", "6"))
READERS, NIGHTS = 4, 9
FIRST = date(2023, 3, 1)


@dataclass
class Read:
    """What one reader got: how many answers, what was wrong, and the account as each page told it."""

    answers: int = 0
    wrong: list[str] = field(default_factory=list)
    told: set[tuple[Any, ...]] = field(default_factory=set)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market with its first nights."""
    place = stored(tmp_path_factory.mktemp("readers") / "w")
    decide_every(place, 2)
    ran = subprocess.run([sys.executable, str(CHILD), str(place), str(FIRST), "2", "0"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return place


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Served]:
    with served(home) as found:
        yield found


def asked(path: str) -> dict[str, Any]:
    """The request with which a browser asks for a page."""
    ids = (("url", "pathname", path), ("url", "search", ""), ("stamp", "data", None), ("theme", "data", "light"))
    inputs = [{"id": id_, "property": name, "value": value} for id_, name, value in ids]
    return {"output": "made.data", "outputs": {"id": "made", "property": "data"}, "inputs": inputs, "changedPropIds": ["url.pathname"], "state": []}


def found_in(value: Any, type_: str) -> list[dict[str, Any]]:
    """The properties of every component of a type in an answer."""
    if isinstance(value, dict):
        own = [value["props"]] if value.get("type") == type_ else []
        return own + [one for part in value.values() for one in found_in(part, type_)]
    return [one for part in value for one in found_in(part, type_)] if isinstance(value, list) else []


def tiles(page: Any) -> dict[str, str]:
    """Value by title of every tile."""
    found = {}
    for one in found_in(page, "Div"):
        parts = one.get("children")
        if str(one.get("className", "")).startswith("tile ") and isinstance(parts, list):
            found[parts[0]["props"]["children"]] = parts[1]["props"]["children"]
    return found


def account_in(path: str, page: Any) -> tuple[Any, ...] | None:
    """What a page tells of the account: its session and the figures that must be of that session."""
    shown = tiles(page)
    if path == "/":
        return "overview", shown["Last night"], shown["NAV, USD"]
    if path == "/positions":
        rows = [grid["rowData"] for grid in found_in(page, "AgGrid") if grid.get("id") == "positions-held"]
        held = [(row["key"], row["shares"], row["price"]) for row in rows[0]] if rows else []
        heading = next(one["children"] for one in found_in(page, "H2") if str(one["children"]).startswith("Held at the close of"))
        return "positions", heading.rsplit(" ", 1)[1], tuple(sorted(held))
    return None


def read_on(url: str, over: threading.Event, into: Read) -> None:
    """Ask for the document and every page, over and over until the writer has ended."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    headers = {"Content-Type": "application/json", "Origin": url}
    while not over.is_set():
        for path in PAGES:
            try:
                connection.request("GET", path)
                document = connection.getresponse()
                text = document.read()
                connection.request("POST", "/_dash-update-component", json.dumps(asked(path)), headers)
                answer = connection.getresponse()
                body = answer.read()
                into.answers += 2
                if document.status != 200 or b"</html>" not in text or answer.status != 200:
                    into.wrong.append(f"{path}: {document.status}, {answer.status}")
                    continue
                page = json.loads(body)["response"]["made"]["data"]["page"]
                if "could not be made" in body.decode() or "cannot be read" in body.decode():
                    into.wrong.append(f"{path}: {[one.get('children') for one in found_in(page, 'P')][:3]}")
                if (told := account_in(path, page)) is not None:
                    into.told.add(told)
            except (OSError, http.client.HTTPException, KeyError, ValueError, IndexError, StopIteration) as error:
                into.wrong.append(f"{path}: {type(error).__name__} {error}")
                connection.close()
                connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.close()


@pytest.mark.slow
def test_readers_beside_a_writer_see_whole_sessions_and_no_error(home: Path, server: Served) -> None:
    last = plain_ledger.Account.of(home).last["session"]
    first = str(date.fromisoformat(last) + timedelta(1))
    writer = subprocess.Popen(
        [sys.executable, str(CHILD), str(home), first, str(NIGHTS), str(SECONDS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    reads = [Read() for _ in range(READERS)]
    over = threading.Event()
    threads = [threading.Thread(target=read_on, args=(server.url, over, one)) for one in reads]
    for thread in threads:
        thread.start()
    try:
        out, said = writer.communicate(timeout=300 + SECONDS)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert writer.returncode == 0, said
    nights = [json.loads(row) for row in out.splitlines()]
    assert len(nights) >= NIGHTS, "the writer wrote nothing to read beside"
    assert [wrong for one in reads for wrong in one.wrong] == []
    assert all(one.answers >= 2 * len(PAGES) for one in reads)

    booked = {row["session"]: row for row in plain_ledger.Account.of(home).sessions}
    told = set().union(*(one.told for one in reads))
    for what, session, figures in told:
        row = booked[session]
        held = {line["symbol"]: (line["shares"], line["mark"]) for line in row["lines"] if line["shares"]}
        if what == "overview":
            assert float(str(figures).replace(",", "").replace(" ", "")) == pytest.approx(row["day"]["nav"], abs=0.51), session
        else:
            assert {symbol: (shares, price) for symbol, shares, price in figures} == held, session
            worth = row["day"]["cash"] + sum(shares * price for _, shares, price in figures)
            assert worth == pytest.approx(row["day"]["nav"], abs=0.01), session
    seen = Counter(what for what, _, _ in told)
    assert seen["overview"] >= 2 and seen["positions"] >= 2, "the readers saw nothing change"


def test_old_figures_are_said_and_no_longer_once_a_night_is_booked(home: Path, server: Served, tmp_path: Path) -> None:
    from datetime import timedelta as wait

    from mech_exo.assembly import Workspace
    from mech_exo.reporting.dashboard.condition import condition
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.utils.calendar import next_session, session_close

    status, body = server.get("/healthz")
    assert status == 503 and json.loads(body)["sessions_behind"] > 100, "years old by the wall clock"

    last = date.fromisoformat(plain_ledger.Account.of(home).last["session"])
    now = [session_close(last) + wait(hours=2)]
    reader = Reader(home, lambda: Workspace.open(home), clock=lambda: now[0])
    assert condition(reader).behind == 0 and not condition(reader).problems
    following = next_session(last)
    now[0] = session_close(following) + wait(hours=20)
    old = condition(reader)
    assert old.behind == 1 and "Old figures" in old.problems[0].said and old.problems[0].command.startswith("exo run")
    ran = subprocess.run([sys.executable, str(CHILD), str(home), str(following), "1", "0"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert condition(reader).behind == 0 and condition(reader).problems == ()
