"""Trading sessions of the New York Stock Exchange: the only place that knows which days are sessions.

Every date is a ``datetime.date`` naming a session; arrays of sessions are ``datetime64[D]``. Source: the XNYS calendar of
``exchange_calendars`` from 1990 to 2049 (a fixed span: no answer depends on today's date; closures not yet announced are
unknown). pandas stays inside.
"""

from __future__ import annotations

import contextlib
import functools
import os
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zipfile import BadZipFile
from zoneinfo import ZoneInfo

import numpy as np

from mech_exo.domain.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_DAY = date(1990, 1, 1)
LAST_DAY = date(2049, 12, 31)
NEW_YORK = ZoneInfo("America/New_York")
"""The exchange's time of day."""


class _Table(NamedTuple):
    """``days`` ``(S,)`` datetime64[D], strictly increasing; ``opens`` and ``closes`` ``(S,)`` datetime64[s], UTC."""

    days: NDArray[np.datetime64]
    opens: NDArray[np.datetime64]
    closes: NDArray[np.datetime64]


@functools.cache
def _table() -> _Table:
    """The sessions, from the user's cache: making them takes a second, most of it pandas, and they change with the library alone."""
    place = _cached()
    try:
        with place.open("rb") as file, np.load(file) as stored:
            table = _Table(*(stored[name] for name in _Table._fields))
    except (OSError, ValueError, KeyError, BadZipFile):
        table = _made()
        with contextlib.suppress(OSError):  # a cache that cannot be written costs a second the next time
            place.parent.mkdir(parents=True, exist_ok=True)
            beside = place.with_name(f".{os.getpid()}.npz")
            np.savez(beside, **table._asdict())
            beside.replace(place)
    for array in table:
        array.flags.writeable = False
    return table


def _cached() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "mech_exo-calendar" / f"XNYS-{version('exchange_calendars')}-{FIRST_DAY.year}-{LAST_DAY.year}.npz"


def _made() -> _Table:
    from exchange_calendars import get_calendar

    calendar = get_calendar("XNYS", start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat())
    days = calendar.sessions.to_numpy().astype("datetime64[D]")
    opens, closes = (
        bells.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[s]") for bells in (calendar.opens, calendar.closes)
    )
    return _Table(days, opens, closes)


def _day(d: date) -> np.datetime64:
    """``d`` as ``datetime64[D]``. Raises InputError outside 1990 to 2049."""
    day = d.date() if isinstance(d, datetime) else d
    if not FIRST_DAY <= day <= LAST_DAY:
        raise InputError(f"the calendar covers {FIRST_DAY} to {LAST_DAY}; got {day}")
    return np.datetime64(day, "D")


def _position(d: date, side: str) -> int:
    return int(np.searchsorted(_table().days, _day(d), side=side))  # type: ignore[call-overload]


def _session_at(position: int, asked: str) -> date:
    if not 0 <= position < len(_table().days):
        raise InputError(f"the calendar covers {FIRST_DAY} to {LAST_DAY}; {asked} lies outside")
    session: date = _table().days[position].item()
    return session


def sessions(start: date, end: date) -> NDArray[np.datetime64]:
    """Sessions from ``start`` to ``end``, both included: ``(S,)`` datetime64[D], read-only, empty when there is none.

    Raises
    ------
    InputError
        A bound lies outside 1990 to 2049, or ``end`` is before ``start``.
    """
    if end < start:
        raise InputError(f"start must not be after end; got {start} and {end}")
    return _table().days[_position(start, "left") : _position(end, "right")]


def is_session(d: date) -> bool:
    """Whether the exchange trades (or traded) on ``d``. Raises InputError outside 1990 to 2049."""
    position = _position(d, "left")
    return position < len(_table().days) and bool(_table().days[position] == _day(d))


def next_session(d: date) -> date:
    """The first session strictly after ``d``, which need not be one itself. Raises InputError outside 1990 to 2049."""
    return _session_at(_position(d, "right"), f"the session after {d}")


def previous_session(d: date) -> date:
    """The last session strictly before ``d``, which need not be one itself. Raises InputError outside 1990 to 2049."""
    return _session_at(_position(d, "left") - 1, f"the session before {d}")


def ordinal(d: date) -> int:
    """Number of ``d`` among the sessions since 1990-01-02, which is 0: differences count sessions.

    Raises
    ------
    InputError
        ``d`` is no session.
    """
    if not is_session(d):
        before = previous_session(d)
        raise InputError(f"{d} must be a session of the New York Stock Exchange; it is none", remedy=f"the session before it is {before}")
    return _position(d, "left")


def session_open(d: date) -> datetime:
    """The opening bell of session ``d`` as a tz-aware UTC instant. Raises InputError for no session."""
    seconds: datetime = _table().opens[ordinal(d)].item()
    return seconds.replace(tzinfo=UTC)


def session_close(d: date) -> datetime:
    """The closing bell of session ``d``, early closes included, as a tz-aware UTC instant. Raises InputError for no session."""
    seconds: datetime = _table().closes[ordinal(d)].item()
    return seconds.replace(tzinfo=UTC)


def closes(days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """The closing bells ``(S,)`` of sessions ``(S,)`` datetime64[D], as datetime64[us] in UTC. Raises InputError for no session."""
    places = np.minimum(np.searchsorted(_table().days, days), len(_table().days) - 1)
    wrong = np.flatnonzero(_table().days[places] != days)
    if len(wrong):
        raise InputError(f"{days[wrong[0]]} must be a session of the New York Stock Exchange; it is none")
    return _table().closes[places].astype("datetime64[us]")


def latest_session(at: datetime) -> date:
    """The last session whose close is not after ``at`` (tz-aware): what is complete then.

    Raises
    ------
    InputError
        ``at`` has no time zone, or lies outside the calendar.
    """
    if at.tzinfo is None:
        raise InputError(f"an instant must carry its time zone; got {at.isoformat()} without one")
    instant = np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "s")
    return _session_at(int(np.searchsorted(_table().closes, instant, side="right")) - 1, f"the session closed by {at}")


def next_runs(after: datetime, minutes: int, count: int) -> tuple[tuple[date, datetime], ...]:
    """The next ``count`` nights after an instant (tz-aware): session, and its close (early ones included) plus ``minutes``, in UTC."""
    wait = timedelta(minutes=minutes)
    found: list[tuple[date, datetime]] = []
    session = next_session(latest_session(after - wait))
    while len(found) < count:
        found.append((session, session_close(session) + wait))
        session = next_session(session)
    return tuple(found)


def due_and_next(now: datetime, minutes: int, count: int) -> tuple[tuple[date, datetime], ...]:
    """The last night that is due already, then the next ``count``: a schedule that was not served misses none but those before the last."""
    wait = timedelta(minutes=minutes)
    due = latest_session(now - wait)
    return ((due, session_close(due) + wait), *next_runs(now, minutes, count))
