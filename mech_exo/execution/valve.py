"""The valve: the times at which nothing is sent to a broker behind a wire, and the caps of the first live sessions.

The times are pure functions of the settings and of ``now``, and hold for entries and reductions alike; cancels never ask.
The paper broker lives in this process and plays any session at any time: it needs no valve.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from mech_exo.domain.errors import InputError
from mech_exo.domain.orders import Order, OrderType
from mech_exo.utils import calendar
from mech_exo.utils.broker_settings import SendingTimes
from mech_exo.utils.calendar import NEW_YORK

OPENING = frozenset({OrderType.MARKET_ON_OPEN, OrderType.LIMIT_ON_OPEN})
DAY = timedelta(days=1)


class SafetyValve:
    """Says why an order may not leave now. Made anew by every process that sends.

    Parameters
    ----------
    latest
        The latest instant of the journal (tz-aware), None for an empty one: a clock before it has stepped back.
    caps
        What the first live sessions allow, asked with each order (:func:`mech_exo.execution.live.first_caps`); None: no caps.
    """

    def __init__(self, times: SendingTimes, *, latest: datetime | None = None, caps: Callable[[Order], str | None] | None = None) -> None:
        self._times, self._latest, self._caps = times, latest, caps

    def refusal(self, session: date, now: datetime, order: Order | None = None) -> str | None:
        """Why nothing (``order`` None: that trades at the open) may be sent for ``session`` at ``now``; None when it may.

        The reason names the rule, the value and when it ends. Raises InputError for a ``now`` without a time zone.
        """
        type_ = OrderType.MARKET_ON_OPEN if order is None else order.type
        reason = self._stepped_back(now) or time_refusal(self._times, session, now, type_)
        if reason is None and order is not None and self._caps is not None:
            return self._caps(order)
        return reason

    def _stepped_back(self, now: datetime) -> str | None:
        """A clock that lies may believe a past cut-off still to come: nothing is sent until it has caught up with the journal."""
        _aware(now)
        if self._latest is not None and now < self._latest:
            latest = self._latest.astimezone(UTC)
            return (
                f"the clock must not step back; it says {_utc(now)} and the journal was written at {_utc(latest)}: "
                "set it right, or wait until it is past that"
            )
        self._latest = now
        return None


def time_refusal(times: SendingTimes, session: date, now: datetime, type_: OrderType = OrderType.MARKET_ON_OPEN) -> str | None:
    """Why an order of ``type_`` for ``session`` may not be sent at ``now`` (tz-aware), None when it may."""
    _aware(now)
    if not calendar.is_session(session):
        return f"orders are sent for a session of the exchange; {session} is none: the next is {calendar.next_session(session)}"
    quiet = quiet_until(times, now)
    if quiet is not None:
        return (
            f"nothing is sent within {times.quiet_minutes} minutes of the gateway's restart at {times.restart:%H:%M} in New York "
            f"(times.restart); it is {_local(now)} there: run again after {_local(quiet)}"
        )
    first, last = first_call(session), last_call(times, session, type_)
    if now < first:
        return (
            f"an order for {session} is sent once the session before it has closed, or it would trade in that one; "
            f"it is {_local(now)} in New York: run again after {_local(first)}"
        )
    if now > last:
        return f"{_late(times, session, type_)}; it is {_local(now)} in New York and the last call was {_local(last)}: {_instead(now)}"
    return None


def first_call(session: date) -> datetime:
    """The earliest instant at which an order for ``session`` is sent: the close of the session before."""
    return calendar.session_close(calendar.previous_session(session))


def last_call(times: SendingTimes, session: date, type_: OrderType) -> datetime:
    """The latest: the cut-off of the opening or closing auction, else the close. Raises InputError for no session."""
    if type_ in OPENING:
        return calendar.session_open(session) - timedelta(minutes=times.open_cutoff_minutes)
    if type_ is OrderType.MARKET_ON_CLOSE:
        return calendar.session_close(session) - timedelta(minutes=times.close_cutoff_minutes)
    return calendar.session_close(session)


def quiet_until(times: SendingTimes, now: datetime) -> datetime | None:
    """When the quiet around the gateway's restart that ``now`` lies in ends, None outside it.

    A time of day that a change of the clocks skips or repeats is a restart at both of its instants.
    """
    quiet = timedelta(minutes=times.quiet_minutes)
    today = now.astimezone(NEW_YORK).date()
    restarts = (
        datetime.combine(day, times.restart.replace(fold=fold), NEW_YORK).astimezone(UTC)
        for day in (today - DAY, today, today + DAY)
        for fold in (0, 1)
    )
    ends = [restart + quiet for restart in restarts if abs(now - restart) <= quiet]
    return max(ends, default=None)


def tradeable_now(times: SendingTimes, now: datetime) -> tuple[date, OrderType]:
    """The session and the type of a market order that is to trade as soon as can be from ``now`` on.

    From an opening auction's cut-off to the close it is a market order of that session, else one for the next open.
    """
    _aware(now)
    upcoming = calendar.next_session(calendar.latest_session(now))
    late = now > last_call(times, upcoming, OrderType.MARKET_ON_OPEN)
    return upcoming, OrderType.MARKET if late else OrderType.MARKET_ON_OPEN


def _late(times: SendingTimes, session: date, type_: OrderType) -> str:
    for types, bell, minutes in (
        (OPENING, "open", times.open_cutoff_minutes),
        ({OrderType.MARKET_ON_CLOSE}, "close", times.close_cutoff_minutes),
    ):
        if type_ in types:
            return f"the last orders for the {bell} of {session} leave {minutes} minutes before it (times.{bell}_cutoff_minutes)"
    return f"nothing is sent for a session that is over: {session}"


def _instead(now: datetime) -> str:
    """When a late order's next chance is: its night's decision is gone, the next one decides anew."""
    following = calendar.next_session(calendar.latest_session(now))
    return f"the night after the close of {following} ({_local(calendar.session_close(following))}) decides anew"


def _aware(now: datetime) -> None:
    if now.tzinfo is None:
        raise InputError(f"an instant must carry its time zone; got {now.isoformat()} without one")


def _local(at: datetime) -> str:
    return f"{at.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
