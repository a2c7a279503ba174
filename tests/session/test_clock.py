"""The days that fills and nights belong to, whatever the clocks do; the valve and the schedule have their own years of sessions."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from mech_exo.domain.orders import Order, OrderKey, OrderReason
from mech_exo.execution.booking import OPEN
from mech_exo.execution.ib import IBBroker
from mech_exo.utils import calendar
from tests.gateway import FakeGateway
from tests.session.wire import ACCOUNT, RULES, Clock

NEW_YORK = ZoneInfo("America/New_York")
YEARS = [day.astype(object) for day in calendar.sessions(date(2013, 1, 1), date(2026, 12, 31))]


def test_the_open_that_fills_are_stamped_with_is_the_exchanges_on_every_session_of_fourteen_years() -> None:
    stamps = [datetime.combine(day, OPEN, NEW_YORK).astimezone(UTC) for day in YEARS]
    assert stamps == [calendar.session_open(day) for day in YEARS] and len(YEARS) > 3_500
    assert {stamp.time() for stamp in stamps} == {time(13, 30), time(14, 30)}
    changed = [day for before, day in itertools.pairwise(YEARS) if calendar.session_open(day).hour != calendar.session_open(before).hour]
    assert len(changed) == 28, "twice a year"


def test_the_session_after_the_latest_is_the_one_orders_are_for_at_every_hour_of_fourteen_years() -> None:
    """A clock that runs by odd steps, with a step back at each change of the clocks: no instant belongs to two sessions, none is skipped."""
    at, end, last, skipped = datetime(2013, 1, 2, 22, tzinfo=UTC), datetime(2026, 12, 30, tzinfo=UTC), date(2013, 1, 2), 0
    while at < end:
        latest = calendar.latest_session(at)
        following = calendar.next_session(latest)
        assert calendar.session_close(latest) <= at < calendar.session_close(following)
        assert latest in (last, calendar.next_session(last))
        if calendar.latest_session(at - timedelta(hours=1)) not in (latest, calendar.previous_session(latest)):
            skipped += 1
        last, at = latest, at + timedelta(hours=11, minutes=37)
    assert skipped == 0


@pytest.mark.parametrize(
    ("day", "at"),
    [
        (date(2024, 3, 8), time(9, 30)),  # the Friday before summer time
        (date(2024, 3, 11), time(9, 30)),  # the Monday after
        (date(2024, 11, 1), time(15, 59, 59)),
        (date(2024, 11, 4), time(9, 30)),  # the Monday after it ends
        (date(2024, 7, 3), time(13, 0)),  # a half-day's close
        (date(2024, 11, 29), time(12, 59, 59)),
        (date(2024, 12, 31), time(9, 30)),
        (date(2025, 1, 10), time(20, 0)),  # after a day of mourning; UTC is a day ahead
        (date(2025, 6, 30), time(23, 59, 30)),  # not told before midnight
    ],
)
def test_a_fill_belongs_to_the_day_in_new_york(day: date, at: time) -> None:
    clock = Clock()
    clock.at = datetime.combine(day, at, NEW_YORK).astimezone(UTC)
    with FakeGateway(version=178, account=ACCOUNT, cash=1e6) as gateway:
        gateway.exchange.clock = clock
        broker = IBBroker(ACCOUNT, False, RULES, port=gateway.port, clock=clock)
        try:
            broker.connect()
            order = Order(OrderKey(ACCOUNT, "default", day, "AAA", "buy", "rebalance").id(), "AAA", 10, day, OrderReason.REBALANCE)
            assert broker.place(order).accepted
            gateway.exchange.fill(order.id, price=10.0)
            (fill,) = broker.executions(day)
        finally:
            broker.close()
    assert (fill.session, fill.time) == (day, clock.at)
