"""What comes: told the night before, it is what happened."""

from __future__ import annotations

import dataclasses
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.assembly import Workspace
from mech_exo.decision.strategy import Strategy
from mech_exo.domain.orders import OrderReason
from mech_exo.execution.rows import SessionRow
from mech_exo.reporting.query import journaled
from mech_exo.reporting.upcoming import AHEAD, NEAR, _exits, next_decision, next_session, resting, time_exits, upcoming
from mech_exo.utils import calendar
from mech_exo.utils.settings import Config, Every, Schedule, StopRules
from tests.execution.ledger_rows import BOOK, NAN, day, line
from tests.session.stage import days, decide_every, play, set_line, stored

NIGHTS = days("2021-04-26", 14)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Nights decided every 5 sessions with a time stop of 6. Not to be changed."""
    found = stored(tmp_path_factory.mktemp("coming") / "w")
    decide_every(found, 5)
    set_line(found / "config" / "risk_limits.yml", "  time_sessions: 60 ", "  time_sessions: 6 ")
    play(found, NIGHTS)
    return found


def test_the_next_decision_is_when_the_book_is_decided_next(home):
    workspace = Workspace.open(home)
    panel = workspace.seen().panel
    with workspace.ledger(read_only=True) as ledger:
        decided = [night for night in NIGHTS if journaled(ledger.decision(workspace.book_id(), night)).scheduled]
    assert len(decided) == 3
    for night in NIGHTS[:-4]:
        expected = next(one for one in decided if one > night)
        assert next_decision(workspace.strategy, panel.upto(panel.row_of(night)), NIGHTS[0], night) == (expected, "")
        assert next_decision(workspace.strategy, None, NIGHTS[0], night) == (expected, "")


def test_every_time_stop_was_told_the_night_before(home):
    workspace = Workspace.open(home)
    told, happened = {}, {}
    with workspace.ledger(read_only=True) as ledger:
        for night in NIGHTS:
            row = ledger.session(workspace.book_id(), night)
            coming = upcoming(row, ledger, workspace.strategy, None, NIGHTS[0])
            told[night] = {one.symbol for one in coming.time_exits if one.sessions == 1}
            assert all(one.session == calendar.next_session(night) for one in coming.time_exits if one.sessions == 1)
            happened[night] = {one.symbol for one in row.events if one.reason is OrderReason.TIME_STOP and one.outcome == "filled"}
    assert any(happened.values())
    for before, after in pairwise(NIGHTS):
        assert told[before] >= happened[after], "nothing ends by time that was not told"
        assert told[before] == happened[after], "and what is told with a bar to trade in ends"


@pytest.mark.parametrize("every", [Every.SESSIONS, Every.WEEK, Every.MONTH, Every.QUARTER])
@pytest.mark.parametrize("anchor", [None, date(2020, 6, 3)])
def test_schedules_of_every_kind_agree_with_what_they_decide_later(home, every, anchor):
    panel = Workspace.open(home).seen().panel
    config = Config()
    schedule = Schedule(every=every, every_sessions=7, anchor=anchor)
    config = config.model_copy(update={"strategy": config.strategy.model_copy(update={"schedule": schedule})})
    strategy = Strategy(config)
    began = 900
    rows = strategy.decision_rows(panel, began, began, len(panel.sessions))
    for row in range(began, began + 130, 13):
        found, _ = next_decision(strategy, panel.upto(row), panel.sessions[began].astype(object), panel.sessions[row].astype(object))
        assert np.datetime64(found) == panel.sessions[rows[rows > row][0]]


def test_a_schedule_that_waits_is_unknown(home):
    config = Config()
    config = config.model_copy(update={"strategy": config.strategy.model_copy(update={"schedule": Schedule(every=Every.SIGNAL)})})
    assert next_decision(Strategy(config), None, NIGHTS[0], NIGHTS[1])[0] is None
    month = config.model_copy(update={"strategy": config.strategy.model_copy(update={"schedule": Schedule(every=Every.MONTH)})})
    found, why = next_decision(Strategy(month), None, NIGHTS[0], NIGHTS[1])
    assert found is None and "no bars" in why


def test_half_days_and_holidays():
    assert dataclasses.astuple(next_session(date(2024, 11, 27)))[0::3] == (date(2024, 11, 29), True), "the day after Thanksgiving"
    assert not next_session(date(2024, 11, 29)).early and next_session(date(2024, 12, 24)).session == date(2024, 12, 26)
    summer, winter = next_session(date(2024, 7, 9)), next_session(date(2024, 1, 9))
    assert (summer.opens.hour, winter.opens.hour) == (13, 14), "bells are in UTC"


@given(st.integers(0, 80), st.one_of(st.none(), st.integers(1, 60)), st.one_of(st.none(), st.integers(1, 60)))
@settings(max_examples=80, deadline=None)
def test_time_exits_count_as_the_rule_says(age, sessions, calendar_days):
    now = date(2024, 5, 28)
    past = calendar.sessions(date(2023, 1, 3), now)[-1 - age].astype(object)
    found = time_exits([dataclasses.replace(line("AAA"), age=age)], now, StopRules(time_sessions=sessions, time_days=calendar_days))
    close = now
    for k in range(AHEAD):
        if (sessions is not None and age + k >= sessions) or (calendar_days is not None and (close - past).days >= calendar_days):
            assert [(one.session, one.sessions) for one in found] == [(calendar.next_session(close), k + 1)]
            return
        close = calendar.next_session(close)
    assert found == ()


def test_levels_are_near_by_their_distance_and_unknown_ones_are_not_told():
    lines = [
        line("LONG", 10.0, mark=100.0, stop=96.0, target=130.0),
        line("SHORT", -10.0, mark=100.0, stop=103.0, target=99.0),
        line("PASSED", 10.0, mark=100.0, stop=101.0),
        line("FAR", 10.0, mark=100.0, stop=100.0 * (1.0 - NEAR) - 0.01),
        line("NONE", 10.0, mark=100.0, stop=NAN),
        line("DARK", 10.0, mark=NAN, stop=90.0),
    ]
    found = {(one.symbol, one.kind): one.distance for one in _exits(lines)}
    expected = {("LONG", "stop"): 0.04, ("SHORT", "stop"): 0.03, ("SHORT", "target"): 0.01, ("PASSED", "stop"): -0.01}
    assert found == pytest.approx(expected)


def test_resting_orders_are_those_that_may_still_trade(home):
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        assert resting(ledger, workspace.book_id(), NIGHTS[-1]) == (), "the paper book keeps its levels itself"
        empty = SessionRow(BOOK, NIGHTS[-1], day(), ())
        coming = upcoming(empty, ledger, workspace.strategy, None, NIGHTS[0])
    assert coming.exits == coming.time_exits == () and coming.earnings == () and "unknown" in coming.earnings_note
