"""Sessions: known days, early closes, and the laws that tie the functions together."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.utils import calendar

DAYS = st.dates(date(1990, 1, 3), date(2049, 12, 30))


@pytest.mark.parametrize(
    ("day", "why"),
    [
        (date(2001, 9, 11), "attacks"),
        (date(2012, 10, 29), "hurricane Sandy"),
        (date(2018, 12, 5), "mourning of G. H. W. Bush"),
        (date(2025, 1, 9), "mourning of J. Carter"),
        (date(2022, 6, 20), "Juneteenth, observed"),
        (date(2024, 12, 25), "Christmas"),
        (date(2024, 3, 29), "Good Friday"),
        (date(2024, 6, 1), "Saturday"),
    ],
)
def test_known_closures(day: date, why: str) -> None:
    assert not calendar.is_session(day), why


def test_sessions_between_two_days_include_both() -> None:
    days = calendar.sessions(date(2024, 12, 23), date(2025, 1, 2))
    assert [str(d) for d in days] == ["2024-12-23", "2024-12-24", "2024-12-26", "2024-12-27", "2024-12-30", "2024-12-31", "2025-01-02"]
    assert days.dtype == np.dtype("datetime64[D]")
    assert not days.flags.writeable


def test_a_year_has_its_known_number_of_sessions() -> None:
    counts = {year: len(calendar.sessions(date(year, 1, 1), date(year, 12, 31))) for year in (2001, 2012, 2016, 2020, 2023)}
    assert counts == {2001: 248, 2012: 250, 2016: 252, 2020: 253, 2023: 250}


def test_closes_in_winter_summer_and_early() -> None:
    assert calendar.session_close(date(2024, 1, 3)) == datetime(2024, 1, 3, 21, tzinfo=UTC)
    assert calendar.session_close(date(2024, 7, 1)) == datetime(2024, 7, 1, 20, tzinfo=UTC)
    assert calendar.session_close(date(2024, 12, 24)) == datetime(2024, 12, 24, 18, tzinfo=UTC)


def test_opens_in_winter_and_summer_and_no_open_without_a_session() -> None:
    assert calendar.session_open(date(2024, 1, 3)) == datetime(2024, 1, 3, 14, 30, tzinfo=UTC)
    assert calendar.session_open(date(2024, 7, 3)) == datetime(2024, 7, 3, 13, 30, tzinfo=UTC)
    with pytest.raises(InputError, match="it is none"):
        calendar.session_open(date(2024, 7, 4))


def test_the_latest_session_is_the_last_one_closed() -> None:
    bell = datetime(2024, 1, 3, 21, tzinfo=UTC)
    assert calendar.latest_session(bell) == date(2024, 1, 3)
    assert calendar.latest_session(bell - timedelta(seconds=1)) == date(2024, 1, 2)
    assert calendar.latest_session(bell.astimezone(timezone(timedelta(hours=-5)))) == date(2024, 1, 3)
    with pytest.raises(InputError, match="time zone"):
        calendar.latest_session(datetime(2024, 1, 3))  # noqa: DTZ001 - that is the point


@given(DAYS)
def test_next_and_previous_are_the_nearest_sessions(day: date) -> None:
    after, before = calendar.next_session(day), calendar.previous_session(day)
    assert before < day < after
    between = calendar.sessions(before, after)
    assert len(between) == 2 + calendar.is_session(day)


@given(DAYS, DAYS)
def test_ordinals_count_sessions(a: date, b: date) -> None:
    a, b = sorted((calendar.next_session(a), calendar.next_session(b)))
    assert calendar.ordinal(b) - calendar.ordinal(a) == len(calendar.sessions(a, b)) - 1


def test_what_the_calendar_cannot_answer_is_refused() -> None:
    with pytest.raises(InputError, match="2024-12-25 must be a session"):
        calendar.ordinal(date(2024, 12, 25))
    with pytest.raises(InputError, match="must be a session"):
        calendar.session_close(date(2024, 12, 25))
    with pytest.raises(InputError, match="1990"):
        calendar.is_session(date(1987, 10, 19))
    with pytest.raises(InputError, match="2049"):
        calendar.next_session(date(2049, 12, 31))
    with pytest.raises(InputError, match="must not be after"):
        calendar.sessions(date(2024, 1, 3), date(2024, 1, 2))


def test_the_first_session_is_number_zero() -> None:
    assert calendar.ordinal(date(1990, 1, 2)) == 0
    with pytest.raises(InputError):
        calendar.previous_session(date(1990, 1, 2))


def test_the_cached_table_is_the_librarys_and_a_broken_one_is_made_anew(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = calendar._made()
    for spoil in (lambda place: None, lambda place: place.write_bytes(place.read_bytes()[:200]), lambda place: place.write_text("no table")):
        calendar._table.cache_clear()
        first = calendar._table()
        spoil(calendar._cached())
        calendar._table.cache_clear()
        again = calendar._table()
        for table in (first, again):
            assert np.array_equal(table.days, made.days) and np.array_equal(table.closes, made.closes)
            assert not table.days.flags.writeable and not table.closes.flags.writeable
    assert [place.suffix for place in (tmp_path / "mech_exo-calendar").iterdir()] == [".npz"]


def test_a_home_that_cannot_be_written_does_without_the_cache(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    calendar._table.cache_clear()
    assert calendar.is_session(date(2024, 12, 24))
    calendar._table.cache_clear()
