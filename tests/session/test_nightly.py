"""The night as steps: what each does, in which order, under one lock; and the calendar of the schedule."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import exchange_calendars
import pandas as pd
import pytest

from mech_exo.assembly import Workspace
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.errors import LedgerError, MissingDataError
from mech_exo.execution import safety
from mech_exo.execution.sending import SendOutcome, SendResult
from mech_exo.nightly import LOCK, Evening, Step, alerts_of, guarded, perform
from mech_exo.utils.calendar import due_and_next, latest_session, next_runs, previous_session
from tests.session import tonight

CHILD = Path(__file__).resolve().parents[1] / "faults" / "evening_child.py"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    """An evening whose bars have come to the inbox. Not to be changed."""
    return tonight.evening(tmp_path_factory.mktemp("evening") / "w")


@pytest.fixture
def evening(prepared: Evening, tmp_path: Path) -> Evening:
    shutil.copytree(prepared.home, tmp_path / "w")
    return replace(prepared, home=tmp_path / "w")


def outbox(home: Path) -> dict[str, str]:
    with Workspace.open(home).ledger(read_only=True) as ledger:
        return {row.id: row.text for row in ledger.alerts()}


def test_a_night_brings_checks_publishes_decides_sends_reports_and_tells(evening: Evening) -> None:
    session = latest_session(evening.now)
    before = DataStorage.snapshot(evening.home).path
    night = perform(evening)
    assert [done.step for done in night.steps] == list(Step)
    assert not any(done.skipped for done in night.steps)
    assert night.result.session == session and not night.stale
    assert night.result.sent and all(sent.outcome.value == "live" for sent in night.result.sent)
    assert DataStorage.snapshot(evening.home).path != before
    assert all(path.is_file() for path in night.reports) and len(night.reports) == 3
    assert f"night-{session}" in outbox(evening.home)
    doubtful = replace(night.result, sent=(SendResult("mx1-x", "AAPL", 5, SendOutcome.UNKNOWN, "in doubt: no answer"), *night.result.sent))
    (told,) = (row for row in alerts_of(doubtful, ()) if row.severity == "critical")
    assert told.title == f"{session}: 1 order is in doubt" and "AAPL +5 unknown: in doubt: no answer" in told.text and "exo reconcile" in told.text
    with DataStorage.snapshot(evening.home) as storage:
        assert storage.view().as_of == session

    again = perform(evening)
    assert again.result.repeated and not again.result.sent and again.reports == ()
    assert again.steps[-1].said == "nothing new to tell", "an alert goes out once however often the night is performed"


def test_bars_that_did_not_come_are_told_and_nothing_is_decided_anew(evening: Evening) -> None:
    (evening.home / tonight.INBOX / "bars.csv").unlink()
    before = previous_session(latest_session(evening.now))
    first = perform(evening)
    assert first.result.session == before and first.stale, "the night of the last session that is whole"
    told = outbox(evening.home)
    assert "did not come" in told[f"decide-{before}"] and f"download-{before}" in told


def test_a_past_session_neither_downloads_nor_touches_the_store(evening: Evening) -> None:
    session = previous_session(latest_session(evening.now))
    database = DataStorage.path_in(evening.home)
    whole, snapshot = database.read_bytes(), DataStorage.snapshot(evening.home).path
    night = perform(replace(evening, session=session))
    assert [done.step for done in night.steps if done.skipped] == [Step.DOWNLOAD, Step.QUALITY, Step.PUBLISH]
    assert night.result.session == session
    assert database.read_bytes() == whole and DataStorage.snapshot(evening.home).path == snapshot


def test_no_download_still_checks_and_publishes(evening: Evening) -> None:
    night = perform(replace(evening, download=False))
    assert [done.step for done in night.steps if done.skipped] == [Step.DOWNLOAD]
    assert night.result.session < latest_session(evening.now) and not night.stale


def test_a_night_that_cannot_be_performed_is_told_once(evening: Evening) -> None:
    wanted = replace(evening, download=False, session=latest_session(evening.now))
    for _ in range(2):
        with pytest.raises(MissingDataError, match="needs bars of that session"):
            perform(wanted)
    assert [name for name in outbox(evening.home) if name.startswith("failed-")] == [f"failed-{wanted.session}"]
    for _ in range(2):  # another reason is told too
        with pytest.raises(MissingDataError, match="broken otherwise"), guarded(wanted):
            raise MissingDataError("broken otherwise")
    assert [text for name, text in outbox(evening.home).items() if name.startswith(f"failed-{wanted.session}-")] == ["broken otherwise"]


# --- one at a time --------------------------------------------------------------------------------------------------------

HOLD = "import sys, time; from pathlib import Path; from mech_exo.utils.lock import ProcessLock; lock = ProcessLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


def timed(repository: Path, *words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    began = time.perf_counter()
    ran = subprocess.run([sys.executable, "-m", "mech_exo.cli", *words], capture_output=True, text=True, cwd=repository, check=False)
    return time.perf_counter() - began, ran


@pytest.mark.parametrize("error", [MissingDataError("nothing to show"), KeyError("a fault"), OSError(28, "no space left on device")])
def test_a_report_that_fails_hides_no_alarm(evening: Evening, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("mech_exo.reporting.query.night_report", fail)
    safety.halt(evening.home, "looking at a strange fill")
    night = perform(evening)
    session = night.result.session
    assert night.reports == () and night.result.sent == () and night.steps[-1].step is Step.ALERT
    told = outbox(evening.home)
    assert {f"night-{session}", f"state-{session}", f"report-{session}"} <= told.keys(), "it is halted, whatever the page does"
    assert "the daily report could not be written" in told[f"report-{session}"]
    monkeypatch.undo()
    assert len(perform(evening).reports) == 3, "the next call writes what is lacking"


def test_a_fault_of_the_program_is_told_too(evening: Evening, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("mech_exo.session.decide_night", fail)
    with pytest.raises(ZeroDivisionError):
        perform(evening)
    assert "ZeroDivisionError: a fault" in outbox(evening.home)[f"failed-{latest_session(evening.now)}"]


def test_a_second_night_ends_within_a_second_naming_the_first(evening: Evening, repository: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(evening.home / LOCK)], stdout=subprocess.PIPE, text=True, cwd=repository)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(LedgerError, match=f"one night runs at a time; process {holder.pid} holds"):
            perform(evening)
        took, floor = [], []
        for _ in range(3):  # a busy machine is slow to start anything: the quickest counts, beside the floor of the same minute
            floor.append(timed(repository, "--help")[0])
            seconds, ran = timed(repository, "--home", str(evening.home), "run")
            took.append(seconds)
            assert ran.returncode == 4 and f"process {holder.pid} holds" in ran.stderr and "Traceback" not in ran.stderr
        assert min(took) < max(1.0, 12.0 * min(floor)), (took, floor)
        holder.send_signal(signal.SIGKILL)
    finally:
        holder.kill()
        holder.communicate()
    assert perform(evening).result.session == latest_session(evening.now), "the kernel dropped the lock of the dead"


# --- kill -9 --------------------------------------------------------------------------------------------------------------

POINTS = ["store", "note", "update", "record", "assess", "publish", "plan", "decide", "place", "submit", "report", "alert"]
SLICE = ["store", "update", "assess", "publish", "decide", "submit"]
"""The points of ``make test``; ``make faults`` takes all, before and after."""


def child(evening: Evening, point: str, count: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(CHILD), str(evening.home), point, str(count), evening.now.isoformat()]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


def test_killed_in_any_step_the_next_night_heals(prepared: Evening, tmp_path: Path) -> None:
    """Before or after a call of every step, one after another in the same workspaces; the end is that of an undisturbed night."""
    from tests.faults.test_night_kill import outcome

    calm = replace(prepared, home=tmp_path / "calm")
    shutil.copytree(prepared.home, calm.home)
    perform(calm)
    wanted = outcome(calm.home)
    assert wanted.plans and wanted.orders
    for count in (1, 2) if os.environ.get("EXO_TEST_KILLS") else (1,):
        struck = replace(prepared, home=tmp_path / f"struck{count}")
        shutil.copytree(prepared.home, struck.home)
        died = []
        for point in POINTS if os.environ.get("EXO_TEST_KILLS") else SLICE:
            ran = child(struck, point, count)
            assert ran.returncode in (-signal.SIGKILL, 0), ran.stderr
            died += [point] if ran.returncode else []
        assert set(SLICE) <= set(died)
        perform(struck)
        assert outcome(struck.home) == wanted
        assert f"night-{latest_session(struck.now)}" in outbox(struck.home)


# --- the schedule ---------------------------------------------------------------------------------------------------------


def test_a_night_after_every_close_of_twelve_years() -> None:
    """Against the calendar library itself: half-days, holidays and both days of DST; each session once, from whenever one asks."""
    theirs = exchange_calendars.get_calendar("XNYS", start="2014-01-02", end="2026-01-31").closes
    wanted = [(day.date(), close.to_pydatetime() + timedelta(minutes=60)) for day, close in theirs.items()]
    found = next_runs(datetime(2014, 1, 1, tzinfo=UTC), 60, len(wanted))
    assert list(found) == wanted
    local = {session: at.astimezone(ZoneInfo("America/New_York")).time().hour for session, at in found}
    assert set(local.values()) == {14, 17}
    assert sum(hour == 14 for hour in local.values()) > 20  # 13:00 closes
    assert local[date(2021, 11, 26)] == 14 and local[date(2024, 7, 3)] == 14
    by_day = dict(found)
    assert (by_day[date(2021, 3, 12)].hour, by_day[date(2021, 3, 15)].hour) == (22, 21), "spring: an hour earlier in UTC"
    assert (by_day[date(2021, 11, 5)].hour, by_day[date(2021, 11, 8)].hour) == (21, 22), "autumn: an hour later in UTC"
    assert date(2018, 12, 5) not in local and date(2021, 7, 5) not in local  # a day of mourning, a holiday observed


@pytest.mark.parametrize("minutes", [0, 60, 720])
def test_a_clock_that_runs_meets_every_night_once(minutes: int) -> None:
    now, end = datetime(2020, 10, 1, tzinfo=UTC), datetime(2021, 4, 1, tzinfo=UTC)
    met: list[date] = []
    while now < end:
        (due, was), (following, at) = due_and_next(now, minutes, 1)
        assert was <= now < at and due < following
        met += [due] if not met or met[-1] != due else []
        now += timedelta(minutes=47)
    theirs = exchange_calendars.get_calendar("XNYS", start="2020-09-01", end="2021-04-30")
    assert met == [day.date() for day in theirs.sessions_in_range(pd.Timestamp(met[0]), pd.Timestamp(met[-1]))]
