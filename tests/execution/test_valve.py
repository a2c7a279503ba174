"""When nothing is sent: an oracle by the minute, laws over decades of sessions, both changes of the clocks, half-days, a clock that steps back."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from exchange_calendars import get_calendar
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.domain.orders import Order, OrderReason, OrderType
from mech_exo.execution.valve import OPENING, SafetyValve, first_call, last_call, quiet_until, time_refusal, tradeable_now
from mech_exo.utils import calendar
from mech_exo.utils.broker_settings import SendingTimes

TIMES = SendingTimes()
NEW_YORK = ZoneInfo("America/New_York")
YEARS = [day.astype(object) for day in calendar.sessions(date(2014, 1, 1), date(2026, 12, 31))]
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SETTINGS = st.builds(
    SendingTimes,
    restart=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    quiet_minutes=st.integers(0, 240),
    open_cutoff_minutes=st.integers(0, 240),
    close_cutoff_minutes=st.integers(0, 240),
)
INSTANTS = st.datetimes(datetime(1991, 1, 1), datetime(2048, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is given apart
TYPES = st.sampled_from(list(OrderType))


def new_york(year: int, month: int, day: int, hour: int, minute: int = 0, *, fold: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, fold=fold, tzinfo=NEW_YORK)


def order(type_: OrderType = OrderType.MARKET_ON_OPEN, session: date = date(2024, 1, 3)) -> Order:
    level = 9.0 if type_ in (OrderType.LIMIT, OrderType.LIMIT_ON_OPEN, OrderType.STOP) else None
    return Order("mx1-test", "AAA", 10, session, OrderReason.REBALANCE, type_, level=level)


def test_every_session_of_thirteen_years_has_one_evening_and_one_morning_to_send_in() -> None:
    """For each session: open from the close before it until its cut-off, but for the ten minutes around the gateway's restart; never else."""
    bells = get_calendar("XNYS", start="2013-12-01", end="2027-02-01")
    opens, closes = bells.opens.to_dict(), bells.closes.to_dict()
    by_day = {at.date(): (opens[at].to_pydatetime(), closes[at].to_pydatetime()) for at in closes}
    for before, session in pairwise(YEARS):
        close_before, (opening, closing) = by_day[before][1], by_day[session]
        cutoff = opening - 5 * MINUTE
        for at, may in (
            (close_before - SECOND, False), (close_before, True), (cutoff, True), (cutoff + SECOND, False), (opening, False), (closing + SECOND, False),
        ):  # fmt: skip
            assert (time_refusal(TIMES, session, at) is None) is may, (session, at)
        local = datetime.combine(close_before.astimezone(NEW_YORK).date(), time(23, 45), NEW_YORK)
        for minutes, may in ((-6, True), (-5, False), (0, False), (5, False), (6, True)):
            assert (time_refusal(TIMES, session, (local.astimezone(UTC) + minutes * MINUTE)) is None) is may, (session, minutes)
        assert time_refusal(TIMES, session, closing, OrderType.STOP) is None
        assert time_refusal(TIMES, session, closing + SECOND, OrderType.STOP) is not None
        assert time_refusal(TIMES, session, closing - 15 * MINUTE, OrderType.MARKET_ON_CLOSE) is None
        assert time_refusal(TIMES, session, closing - 15 * MINUTE + SECOND, OrderType.MARKET_ON_CLOSE) is not None


def test_no_day_without_a_session_takes_an_order_at_any_hour() -> None:
    first, days = date(2014, 1, 1), 4_745
    closed = [day for day in (first + timedelta(days=n) for n in range(days)) if not calendar.is_session(day)]
    assert len(closed) > 1_400
    for day in closed:
        for hour in (0, 9, 12, 20):
            refused = time_refusal(TIMES, day, datetime(day.year, day.month, day.day, hour, tzinfo=UTC))
            assert refused is not None and "is none" in refused and str(calendar.next_session(day)) in refused


@pytest.mark.parametrize(
    ("session", "closes"),
    [(date(2024, 7, 3), 13), (date(2024, 11, 29), 13), (date(2024, 12, 24), 13), (date(2024, 12, 26), 16), (date(2025, 1, 10), 16)],
)
def test_half_days_and_the_day_after_a_holiday(session: date, closes: int) -> None:
    bell = datetime.combine(session, time(closes), NEW_YORK)
    assert last_call(TIMES, session, OrderType.MARKET_ON_CLOSE) == bell - 15 * MINUTE
    assert last_call(TIMES, session, OrderType.MARKET) == bell
    assert first_call(session) == calendar.session_close(calendar.previous_session(session))


def test_the_restart_when_the_clocks_change() -> None:
    """02:30 does not exist on 2024-03-10 and 01:30 comes twice on 2024-11-03: quiet at both readings."""
    night = SendingTimes(restart=time(2, 30))
    skipped = [at for at in (datetime(2024, 3, 10, 5, tzinfo=UTC) + n * MINUTE for n in range(240)) if quiet_until(night, at)]
    assert len(skipped) == 22 and skipped[0] == datetime(2024, 3, 10, 6, 25, tzinfo=UTC) and skipped[-1] == datetime(2024, 3, 10, 7, 35, tzinfo=UTC)
    twice = SendingTimes(restart=time(1, 30))
    both = [at for at in (datetime(2024, 11, 3, 4, tzinfo=UTC) + n * MINUTE for n in range(240)) if quiet_until(twice, at)]
    assert len(both) == 22 and both[0] == datetime(2024, 11, 3, 5, 25, tzinfo=UTC) and both[-1] == datetime(2024, 11, 3, 6, 35, tzinfo=UTC)


@pytest.mark.parametrize("day", [date(2024, 3, 10), date(2024, 3, 11), date(2024, 11, 3), date(2024, 11, 4)])
def test_the_evening_restart_around_a_change_of_the_clocks_is_at_its_time_of_day(day: date) -> None:
    restart = datetime.combine(day, time(23, 45), NEW_YORK)
    assert quiet_until(TIMES, restart) == restart + 5 * MINUTE
    assert quiet_until(TIMES, restart.astimezone(UTC) - 5 * MINUTE - SECOND) is None
    assert quiet_until(TIMES, restart.astimezone(UTC) + 5 * MINUTE + SECOND) is None


def test_the_quiet_reaches_across_midnight() -> None:
    late = SendingTimes(restart=time(23, 58))
    assert quiet_until(late, new_york(2024, 1, 3, 0, 2)) == new_york(2024, 1, 3, 0, 3)
    early = SendingTimes(restart=time(0, 2))
    assert quiet_until(early, new_york(2024, 1, 2, 23, 58)) == new_york(2024, 1, 3, 0, 7)


@given(SETTINGS, INSTANTS)
def test_quiet_is_what_a_clock_on_the_wall_shows(times: SendingTimes, now: datetime) -> None:
    """Oracle: minute by minute, the wall clock in New York shows the restart within ``quiet_minutes`` before or after."""
    now = now.replace(second=0, microsecond=0)
    shown = [(now + n * MINUTE).astimezone(NEW_YORK) for n in range(-times.quiet_minutes, times.quiet_minutes + 1)]
    if any(abs(a.utcoffset() - b.utcoffset()) for a, b in ((shown[0], shown[-1]),)):  # type: ignore[operator]
        return  # the clocks change meanwhile: tested by hand above
    near = any((at.hour, at.minute) == (times.restart.hour, times.restart.minute) for at in shown)
    skipped = any(not _exists(at.date(), times.restart) for at in shown)
    assert skipped or (quiet_until(times, now) is not None) is near


def _exists(day: date, at: time) -> bool:
    local = datetime.combine(day, at, NEW_YORK)
    return local.astimezone(UTC).astimezone(NEW_YORK).replace(tzinfo=None) == local.replace(tzinfo=None)


@given(SETTINGS, INSTANTS, st.integers(-20, 20), TYPES)
def test_what_may_be_sent_is_for_the_one_session_that_comes_and_the_zone_of_now_is_of_no_account(
    times: SendingTimes, now: datetime, offset: int, type_: OrderType
) -> None:
    session = now.date() + timedelta(days=offset)
    refused = time_refusal(times, session, now, type_)
    assert refused == time_refusal(times, session, now.astimezone(ZoneInfo("Asia/Tokyo")), type_)
    if refused is None:
        assert calendar.is_session(session) and quiet_until(times, now) is None
        assert calendar.session_close(calendar.previous_session(session)) <= now <= last_call(times, session, type_)
        assert session == tradeable_now(times, now)[0] or now == calendar.session_close(session), "never for a session in the past or far ahead"


@given(SETTINGS, INSTANTS)
def test_a_flattening_order_trades_at_the_next_chance_and_only_the_restart_holds_it_up(times: SendingTimes, now: datetime) -> None:
    session, type_ = tradeable_now(times, now)
    assert (time_refusal(times, session, now, type_) is None) is (quiet_until(times, now) is None)
    assert (type_ in OPENING) is (now <= calendar.session_open(session) - timedelta(minutes=times.open_cutoff_minutes))


def test_a_refusal_names_rule_value_and_end() -> None:
    late = time_refusal(TIMES, date(2024, 1, 3), new_york(2024, 1, 3, 9, 25, fold=0) + SECOND)
    assert late == (
        "the last orders for the open of 2024-01-03 leave 5 minutes before it (times.open_cutoff_minutes); it is 2024-01-03 09:25:01 in "
        "New York and the last call was 2024-01-03 09:25:00: the night after the close of 2024-01-03 (2024-01-03 16:00:00) decides anew"
    )
    quiet = time_refusal(TIMES, date(2024, 1, 3), new_york(2024, 1, 2, 23, 44))
    assert quiet is not None and "restart at 23:45" in quiet and quiet.endswith("run again after 2024-01-02 23:50:00")
    early = time_refusal(TIMES, date(2024, 1, 3), new_york(2024, 1, 2, 15, 0))
    assert early is not None and early.endswith("run again after 2024-01-02 16:00:00")


def test_a_clock_that_stepped_back_sends_nothing_until_it_has_caught_up() -> None:
    session, evening = date(2024, 1, 3), new_york(2024, 1, 2, 20)
    valve = SafetyValve(TIMES, latest=evening)
    assert "must not step back" in str(valve.refusal(session, evening - SECOND))
    assert valve.refusal(session, evening) is None
    assert valve.refusal(session, evening + MINUTE) is None
    assert "must not step back" in str(valve.refusal(session, evening + MINUTE - SECOND)), "it remembers what it was shown"
    assert valve.refusal(session, evening + MINUTE) is None
    past_the_cutoff = new_york(2024, 1, 3, 12)
    honest = SafetyValve(TIMES, latest=past_the_cutoff)
    assert "must not step back" in str(honest.refusal(session, evening)), "a lying clock revives no old plan"


def test_the_caps_are_asked_last_and_only_with_an_order() -> None:
    asked = []
    evening = new_york(2024, 1, 2, 20)
    valve = SafetyValve(TIMES, caps=lambda one: asked.append(one) or "capped")  # type: ignore[func-returns-value]
    assert valve.refusal(date(2024, 1, 3), evening) is None and not asked
    assert valve.refusal(date(2024, 1, 3), evening, order()) == "capped" and asked == [order()]
    assert "restart" in str(valve.refusal(date(2024, 1, 3), new_york(2024, 1, 2, 23, 45), order())) and len(asked) == 1


def test_the_type_of_the_order_decides_its_cutoff() -> None:
    noon = new_york(2024, 1, 3, 12)
    valve = SafetyValve(TIMES)
    may = {type_: valve.refusal(date(2024, 1, 3), noon, order(type_)) is None for type_ in OrderType}
    assert {type_ for type_, open_ in may.items() if not open_} == set(OPENING)


def test_an_instant_without_a_zone_is_no_instant() -> None:
    naive = datetime(2024, 1, 2, 20)  # noqa: DTZ001 - that is the point
    with pytest.raises(InputError, match="time zone"):
        SafetyValve(TIMES).refusal(date(2024, 1, 3), naive)
    with pytest.raises(InputError, match="time zone"):
        tradeable_now(TIMES, naive)
