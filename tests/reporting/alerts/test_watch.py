"""The dead-man's switch and the other alarms: told once when they begin, once when they are over."""

from __future__ import annotations

import shutil
from collections import namedtuple
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.execution.safety import HaltSwitch
from mech_exo.reporting.alerts.rows import Posted
from mech_exo.reporting.alerts.sending import Outcome
from mech_exo.reporting.alerts.watch import Sight, Watch
from mech_exo.utils.calendar import previous_session, session_close, sessions
from tests.reporting.alerts.homes import Clock
from tests.reporting.alerts.test_office import drain, office

FINE = Sight(None, None)
AFTER, GRACE = 60, 90


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watch(tmp_path: Path, clock: Clock, names: tuple[str, ...] = ("one", "two"), **rules: Any) -> Watch:
    (tmp_path / "data").mkdir(exist_ok=True)
    return Watch(tmp_path, office(tmp_path / "data" / "deliveries.sqlite", clock, names, watch={"disk_free_mb": 1} | rules), AFTER)


def night(session: date) -> Posted:
    return Posted(f"night-{session}", "info", "", "", 0.0)


def told(one: Watch, channel: str = "one") -> list[str]:
    return [row.title for row in one._store.listed(99) if row.channel == channel]


def test_before_the_first_night_nothing_is_missed(tmp_path: Path, clock: Clock) -> None:
    one = watch(tmp_path, clock)
    clock.move(days=30)
    one.look(FINE)
    assert told(one) == []


@pytest.mark.parametrize(
    ("session", "due"),
    [
        (date(2024, 3, 8), datetime(2024, 3, 8, 22, 0, tzinfo=UTC)),   # winter time: the close is at 21:00 UTC
        (date(2024, 3, 11), datetime(2024, 3, 11, 21, 0, tzinfo=UTC)),  # summer time in New York
        (date(2024, 11, 29), datetime(2024, 11, 29, 19, 0, tzinfo=UTC)),  # the half day after Thanksgiving
        (date(2024, 12, 24), datetime(2024, 12, 24, 19, 0, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_night_is_missed_to_the_minute(tmp_path: Path, session: date, due: datetime) -> None:
    clock = Clock(due + timedelta(minutes=GRACE) - timedelta(seconds=1))
    one = watch(tmp_path, clock)
    one.night_came([night(previous_session(session))])
    one.look(FINE)
    assert told(one) == []
    clock.move(seconds=1)
    one.look(FINE)
    one.look(FINE)
    assert told(one) == [f"The night of {session} did not come"]
    assert one._store.waiting() == {"one": {"critical": 1}, "two": {"critical": 1}}
    one.night_came([night(session)])
    one.look(FINE)
    assert told(one) == ["All clear: The night came after all", f"The night of {session} did not come"]


def test_every_further_session_is_told(tmp_path: Path, clock: Clock) -> None:
    one = watch(tmp_path, clock)
    one.night_came([night(date(2024, 3, 6))])
    for _ in range(30):
        clock.move(hours=8)
        one.look(FINE)
    assert len([title for title in told(one) if "did not come" in title]) == len(sessions(date(2024, 3, 7), date(2024, 3, 15)))


@given(st.dates(date(2010, 1, 4), date(2030, 12, 30)), st.integers(0, 24 * 60))
def test_missed_is_what_the_calendar_says(tmp_path_factory: pytest.TempPathFactory, day: date, minutes: int) -> None:
    """Against the plain reading: some session closed, an hour and the grace are over, and no night of it or a later one came."""
    place = tmp_path_factory.mktemp("w")
    last = previous_session(day)
    now = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minutes)
    one = watch(place, Clock(now))
    one.night_came([night(last)])
    late = [item for item in sessions(last, day).tolist() if item > last and session_close(item) + timedelta(minutes=AFTER + GRACE) <= now]
    assert one.missed() == (late[-1] if late else None)
    one._store.close()
    shutil.rmtree(place)


def test_halt_is_told_with_its_reason_and_its_end(tmp_path: Path, clock: Clock) -> None:
    one = watch(tmp_path, clock)
    HaltSwitch(tmp_path).halt("by hand")
    for _ in range(2):
        one.look(Sight(None, "by hand"))
    assert told(one) == ["HALT: nothing that adds risk is sent"]
    one.look(Sight("locked", None))
    assert len(told(one)) == 1, "an unreadable ledger does not end a halt"
    one.look(FINE)
    assert told(one)[0] == "All clear: The halt is over"
    one.look(Sight(None, "again"))
    assert told(one).count("HALT: nothing that adds risk is sent") == 1, "told at the same instant as before: the clock stands"
    clock.move(minutes=1)
    one.look(FINE)
    one.look(Sight(None, "and again"))
    assert told(one).count("HALT: nothing that adds risk is sent") == 2


def test_a_second_halt_for_the_same_reason_is_told_at_once(tmp_path: Path, clock: Clock) -> None:
    one = watch(tmp_path, clock)
    for sight in (Sight(None, "drawdown"), FINE, Sight(None, "drawdown"), FINE):
        one.look(sight)
        clock.move(minutes=2)
        assert drain(one._office), "the last word of who is told is what holds"


def test_a_ledger_that_cannot_be_read_is_told_after_a_while(tmp_path: Path, clock: Clock) -> None:
    one = watch(tmp_path, clock)
    one.look(Sight("damaged", None))
    assert told(one) == []
    clock.move(seconds=61)
    one.look(Sight("damaged", None))
    assert told(one) == ["The ledger cannot be read"]
    one.look(FINE)
    assert told(one)[0].startswith("All clear")
    clock.move(hours=1)
    one.look(Sight("damaged", None))
    assert len(told(one)) == 2, "a new trouble waits its while too"


def test_a_disk_nearly_full_is_told_once(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    one, usage = watch(tmp_path, clock, disk_free_mb=500), namedtuple("usage", "total used free")
    for free in (499e6, 480e6, 510e6):  # just above the bound is not over yet
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: usage(1e9, 0, free))
        clock.move(minutes=1)
        one.look(FINE)
    assert told(one) == ["The disk is nearly full"]
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(1e9, 0, 600e6))
    one.look(FINE)
    assert told(one)[0] == "All clear: The disk has room again"


def test_a_channel_that_fails_for_long_is_told_to_the_others(tmp_path: Path, clock: Clock) -> None:
    one = watch(tmp_path, clock)
    one._office.post(Posted("x", "info", "t", "x", 0.0))
    for _ in range(3):
        clock.move(minutes=31)
        parcel = one._office.take("one")
        assert parcel is not None
        one._office.settle(parcel, Outcome(False, "error=500"))
        one.look(FINE)
    assert told(one, "two") == ["The channel one does not deliver", "t"] and told(one, "one") == ["t"]
    clock.move(minutes=31)
    parcel = one._office.take("one")
    assert parcel is not None
    one._office.settle(parcel, Outcome(True))
    one.look(FINE)
    assert told(one, "two")[0] == "All clear: The channel one delivers again"
