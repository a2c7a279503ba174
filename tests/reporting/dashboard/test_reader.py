"""What the pages read: once, of one moment, and anew when the disk changed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest

from mech_exo.assembly import Workspace
from mech_exo.domain.errors import ConfigError, LedgerError, MissingDataError
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import Alert, Flow, SessionRow
from mech_exo.reporting.dashboard import reader as module
from mech_exo.reporting.dashboard.kept import Kept
from mech_exo.reporting.dashboard.reader import Reader
from mech_exo.utils.workspace import create
from tests.execution.ledger_rows import BOOK, day
from tests.reporting.dashboard.serving import booked_workspace, reader_of


@pytest.fixture
def home(tmp_path):
    return booked_workspace(tmp_path / "w")


@pytest.fixture
def reader(home, monkeypatch):
    monkeypatch.setattr(module, "SETTLED", -(10**18))  # no file counts as just written
    found = reader_of(home)
    yield found
    found.close()


def alerts(_house, ledger):
    return tuple(alert.id for alert in ledger.alerts())


def test_an_answer_is_made_once_until_the_ledger_changes(reader, home):
    made = []

    def make(house, ledger):
        made.append(1)
        return alerts(house, ledger)

    assert [reader.once("a", make) for _ in range(3)] == [()] * 3 and len(made) == 1
    with Ledger.open(default_path(home)) as ledger:
        ledger.post_alert(Alert("one", "info", "t", "x"))
    assert reader.once("a", make) == ("one",) and len(made) == 2


def test_what_data_alone_decide_is_kept_while_a_night_writes(reader, home):
    made = []
    for n in range(3):
        with Ledger.open(default_path(home)) as ledger:
            ledger.post_alert(Alert(str(n), "info", "t", "x"))
        reader.once_of_data("config", lambda house: made.append(house.config) or len(made))
    assert len(made) == 1
    path = home / "config" / "dashboard.yml"
    path.write_text(path.read_text().replace("refresh_seconds: 5.0", "refresh_seconds: 9.0"))
    assert reader.once_of_data("config", lambda house: house.config.dashboard.refresh_seconds) == 9.0


def test_a_halt_a_run_and_a_delivery_are_news(reader, home):
    seen = {str(reader.stamp())}
    for make in (
        lambda: (home / "data" / "HALT").write_text("{}"),
        (home / "data" / "runs").mkdir,
        lambda: (home / "data" / "deliveries.sqlite").write_bytes(b"x"),
        lambda: (home / "config" / "risk_limits.yml").write_text("# nothing\n"),
    ):
        make()
        seen.add(str(reader.stamp()))
    assert len(seen) == 5


def test_a_ledger_written_this_very_instant_is_read_again(home):
    """Two commits within one tick of the clock may leave a file of the same size and time."""
    reader, made = reader_of(home), []
    with Ledger.open(default_path(home)) as ledger:
        ledger.post_alert(Alert("now", "info", "t", "x"))
        for _ in range(2):
            reader.once("a", lambda house, ledger: made.append(1))
    assert len(made) == 2
    reader.close()


def test_a_slow_answer_holds_nobody_up_but_who_wants_it(reader):
    begun, go, made = threading.Event(), threading.Event(), []

    def slow(_house, _ledger):
        begun.set()
        assert go.wait(20)
        made.append(1)
        return "slow"

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(reader.once, "slow", slow)
        assert begun.wait(20)
        others = [pool.submit(reader.once, "slow", slow) for _ in range(3)]
        assert pool.submit(reader.once, "quick", lambda house, ledger: "quick").result(20) == "quick"
        assert not first.done()
        go.set()
        assert {future.result(20) for future in (first, *others)} == {"slow"}
    assert made == [1]


def test_an_error_reaches_all_who_wait_and_is_not_kept(reader):
    def fail(_house, _ledger):
        raise MissingDataError("none yet")

    for _ in range(2):
        with pytest.raises(MissingDataError):
            reader.once("a", fail)
    assert reader.once("a", lambda house, ledger: 7) == 7


def test_an_answer_of_itself_is_refused_not_waited_for(reader):
    with pytest.raises(RuntimeError, match="itself"):
        reader.once("a", lambda house, ledger: reader.once("a", lambda h, j: 1))


def test_the_longest_unasked_answer_is_forgotten_first():
    kept = Kept(3)
    for key in "abc":
        kept.get(key, lambda: 1)
    kept.get("a", lambda: 2)
    kept.get("d", lambda: 1)
    assert len(kept) == 3
    assert [kept.get(key, lambda: 9) for key in "ac"] == [1, 1]
    assert kept.get("b", lambda: 9) == 9


def test_a_page_is_of_one_moment_whatever_is_written_while_it_is_made(reader, home):
    calls = []

    def page():
        first = reader.once(("first", len(calls)), alerts)
        if len(calls) < 2:  # a commit between two answers of one page, twice
            with Ledger.open(default_path(home)) as ledger:
                ledger.post_alert(Alert(f"between-{len(calls)}", "info", "t", "x"))
        calls.append(1)
        return first, reader.once(("second", len(calls)), alerts)

    first, second = reader.together(page)
    assert first == second


def test_a_page_that_is_overtaken_again_and_again_is_still_of_one_moment(reader, home):
    calls = []

    def late(_house, ledger):
        return len(ledger.alerts())

    def page():
        calls.append(1)
        write = [Alert(f"{len(calls)}", "info", "t", "x")]
        first = reader.once(("one", len(calls)), lambda house, ledger: (write and _post(home, write.pop())) or late(house, ledger))
        return first, reader.once(("two", len(calls)), late)

    for _ in range(3):
        first, second = reader.together(page)
        assert first == second


def _post(home, alert):
    with Ledger.open(default_path(home)) as ledger:
        ledger.post_alert(alert)


def test_readers_beside_a_writer_see_no_half_of_anything(home):
    """A deposit and its session are one commit of the writer: every page sees both or none, and NAV always fits its flows."""
    reader, torn, seen, done = reader_of(home), [], set(), threading.Event()

    def write():
        try:
            with Ledger.open(default_path(home)) as ledger:
                for n in range(60):
                    session, flow = date(2024, 1, 4) + timedelta(days=n), 100.0
                    with ledger.transaction():
                        ledger.record_flow(Flow(f"f{n}", BOOK, session, flow))
                        nav = 101_000.0 + 100.0 * (n + 1)
                        ledger.book_session(SessionRow(BOOK, session, day(nav, cash=nav, index=1.0, flow=flow), ()))
        finally:
            done.set()

    def page():
        nav = reader.once("nav", lambda house, ledger: ledger.last_session(BOOK).day.nav)
        flows = reader.once("flows", lambda house, ledger: sum(flow.amount for flow in ledger.flows(BOOK)))
        booked = reader.once("booked", lambda house, ledger: len(ledger.day_history(BOOK)))
        return nav, flows, booked

    def read():
        while not done.is_set():
            nav, flows, booked = reader.together(page)
            seen.add(booked)
            if nav != 101_000.0 + flows or booked != 2 + flows / 100.0:
                torn.append((nav, flows, booked))

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(write), *(pool.submit(read) for _ in range(3))]:
            future.result(120)
    assert not torn
    assert len(seen) > 3
    assert reader.together(page) == (107_000.0, 6_000.0, 62)
    reader.close()


def test_what_is_broken_is_said_and_read_again_when_it_is_mended(reader, home):
    path = home / "config" / "strategy.yml"
    text = path.read_text()
    path.write_text("nonsense: 1\n")
    with pytest.raises(ConfigError):
        reader.once("a", alerts)
    path.write_text(text)
    assert reader.once("a", alerts) == ()
    ledger = default_path(home)
    whole = ledger.read_bytes()
    ledger.write_bytes(b"no database" * 1000)
    with pytest.raises(LedgerError):
        reader.once("b", alerts)
    ledger.write_bytes(whole)
    assert reader.once("b", alerts) == ()


def test_a_workspace_without_a_night_reads_as_an_empty_ledger(tmp_path):
    create(tmp_path / "w")
    reader = Reader(tmp_path / "w", lambda: Workspace.open(tmp_path / "w"))
    assert reader.once("books", lambda house, ledger: ledger.books()) == ()
    with pytest.raises(MissingDataError):
        reader.once("bars", lambda house, ledger: house.storage)


def test_a_still_ledger_does_not_see_what_is_committed_meanwhile(home):
    with Ledger.open(default_path(home), read_only=True) as ledger:
        with ledger.still():
            _post(home, Alert("later", "info", "t", "x"))
            assert alerts(None, ledger) == ()
        assert alerts(None, ledger) == ("later",)


class Open:
    """A workspace whose snapshot tells whether it was closed."""

    def __init__(self):
        self.closed = 0
        self.storage = self

    def close(self):
        self.closed += 1


def test_a_snapshot_rests_when_its_last_reader_has_left(home):
    opened = []
    reader = Reader(home, lambda: opened.append(Open()) or opened[-1])

    def reads(house):
        reader.rest()
        assert not house.closed  # it is being read
        return 1

    assert reader.once_of_data("a", reads) == 1
    assert [house.closed for house in opened] == [1]
    assert reader.once_of_data("a", reads) == 1  # what was made is kept
    assert reader.once_of_data("b", lambda house: house.closed) == 0 and len(opened) == 2  # and read again from a new one
    reader.rest()
    reader.rest()
    assert [house.closed for house in opened] == [1, 1]


def test_the_snapshot_before_is_closed_when_there_is_a_newer_one(home):
    opened = []
    reader = Reader(home, lambda: opened.append(Open()) or opened[-1])
    reader.once_of_data("a", lambda house: 1)
    (home / "config" / "dashboard.yml").write_text("refresh_seconds: 7\n")
    reader.once_of_data("a", lambda house: 2)
    assert [house.closed for house in opened] == [1, 0]
    reader.close()
    assert [house.closed for house in opened] == [1, 1]
