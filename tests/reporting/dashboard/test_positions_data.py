"""Positions as the page tells them, recomputed from the journal's own JSON; exits; trades that add up to the account."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.assembly import Workspace
from mech_exo.domain.errors import MissingDataError
from mech_exo.reporting.account import Course, account_record
from mech_exo.reporting.dashboard import account_data, positions_data
from mech_exo.reporting.dashboard.pages import positions
from mech_exo.reporting.dashboard.positions_data import distance, standings, time_exit
from mech_exo.risk.stops import StopParams
from mech_exo.utils import calendar
from tests.reporting.dashboard.book import journaled, part, reader, rows, sample, texts
from tests.reporting.dashboard.serving import booked_workspace, reader_of

OFF = StopParams(math.nan, math.nan, math.nan, -1, -1, math.nan, True)


@pytest.fixture(scope="module")
def known():
    return account_data.booked(reader(), {})


def test_every_figure_of_a_position_is_that_of_the_journal(known):
    session = known.sessions[-1]
    night = account_data.night(reader(), known.book, session)
    shown = {row.holding.symbol: row for row in standings(night, None, OFF)}
    body = journaled("session", f"{known.book}/{session}")
    held = [line for line in body["lines"] if line["shares"]]
    assert {line["symbol"] for line in held} == set(shown) and len(held) > 5
    for line in held:
        row = shown[line["symbol"]]
        value = line["shares"] * line["mark"]
        assert (row.holding.shares, row.holding.entry, row.holding.sessions_held) == (line["shares"], line["cost"], line["age"])
        assert row.holding.value == pytest.approx(value) and row.holding.weight == pytest.approx(value / body["day"]["nav"])
        assert row.holding.unrealised == pytest.approx(value - line["shares"] * line["cost"])
        assert row.to_stop == pytest.approx(1.0 - line["stop"] / line["mark"])
        assert row.to_target == pytest.approx(line["target"] / line["mark"] - 1.0)


def test_the_nearest_to_its_stop_comes_first(known):
    night = account_data.night(reader(), known.book, known.sessions[-1])
    near = [row.to_stop for row in standings(night, None, OFF)]
    assert near == sorted(near)


def test_what_a_position_earned_in_the_session_is_the_change_of_its_value_and_the_cash_of_its_events(known):
    before, session = known.sessions[-2:]
    night = account_data.night(reader(), known.book, session)
    then, now = (journaled("session", f"{known.book}/{day}") for day in (before, session))
    worth = [{line["symbol"]: line["shares"] * line["mark"] for line in body["lines"] if line["shares"]} for body in (then, now)]
    cash: dict[str, float] = {}
    for event in now["events"]:
        cash[event["symbol"]] = cash.get(event["symbol"], 0.0) + (event["cash"] or 0.0)
    for row in standings(night, None, OFF):
        symbol = row.holding.symbol
        assert row.day_pnl == pytest.approx(worth[1][symbol] - worth[0].get(symbol, 0.0) + cash.get(symbol, 0.0), abs=1e-6)


@given(price=st.floats(0.01, 1e5), level=st.floats(0.01, 1e5), shares=st.sampled_from((1, -1, 70)))
def test_a_price_that_moves_by_the_distance_stands_at_the_level(price, level, shares):
    away = distance(shares, price, level)
    assert away is not None and price * (1.0 - away * math.copysign(1.0, shares)) == pytest.approx(level, rel=1e-6, abs=1e-9 * price)


@given(age=st.integers(0, 80), sessions=st.integers(1, 80), days=st.sampled_from((-1, 30, 60)), back=st.integers(0, 400))
def test_a_time_exit_is_the_first_close_at_which_the_stop_engine_would_order_it(age, sessions, days, back):
    session = calendar.previous_session(date(2024, 6, 3) - timedelta(days=back))
    rules = OFF._replace(time_sessions=sessions, time_days=days)
    due = time_exit(session, age, rules)
    entry = calendar.sessions(session - timedelta(days=400), session)[-1 - age].astype(object)
    ahead = [session]
    while True:  # session by session, as the nights come
        held, day = len(calendar.sessions(entry, ahead[-1])) - 1, ahead[-1]
        if held >= sessions or (days > 0 and (day - entry).days >= days):
            break
        ahead.append(calendar.next_session(day))
    assert due == ahead[-1]


def test_without_a_time_stop_there_is_no_time_exit():
    assert time_exit(date(2024, 6, 3), 10, OFF) is None


def test_trades_closed_and_open_add_up_to_what_the_account_earned(known):
    found = account_data.account(reader(), known.book)
    assert found.trades is not None, found.error
    closed = positions_data.closed_trades(reader(), known.book)
    open_pnl = float(found.trades.filter(found.trades["open"])["pnl"].sum())
    (total,) = rows("SELECT sum(price_pnl + dividends - commission - slippage) FROM sessions")[0]
    assert math.fsum(row["pnl"] for row in closed) + open_pnl == pytest.approx(total, abs=1e-4)
    exits = [row["exit_date"] for row in closed]
    assert exits == sorted(exits, reverse=True) and len(closed) > 50
    for row in closed:
        entry, exit_ = date.fromisoformat(row["entry_date"]), date.fromisoformat(row["exit_date"])
        assert row["mae"] >= 0.0 and row["mfe"] >= 0.0 and row["holding"] == len(calendar.sessions(entry, exit_)) - 1


def test_an_earlier_record_is_cut_from_the_whole_as_if_read_by_itself(known):
    home = Workspace.open(sample().home)
    panel = home.storage.view().panel()
    with home.journal() as ledger:
        whole = Course.of(ledger, known.book)
        for session in (known.sessions[0], known.sessions[len(known.sessions) // 2], known.sessions[-1]):
            cut = account_record(ledger, known.book, panel, home.config, until=session, course=whole)
            lines = [line for day in known.sessions if day <= session for line in ledger.session(known.book, day).events]
            assert [panel.symbols[i] for i in cut.events["symbol"]] == [line.symbol for line in lines]
            assert cut.events["shares"].tolist() == [line.shares for line in lines]
            assert cut.sessions.tolist() == [day for day in known.sessions if day <= session]
            assert cut.days["nav"][-1] == ledger.session(known.book, session).day.nav


def test_levels_of_a_name_are_those_that_rested_after_each_close(known):
    night = account_data.night(reader(), known.book, known.sessions[-1])
    symbol = night.holdings[0].symbol
    found = positions_data.name(reader(), known.book, symbol, known.sessions[-1])
    stops = dict(zip(found.prices.sessions.astype(object), found.prices.stop, strict=True))
    checked = 0
    for session in known.sessions:
        lines = [line for line in journaled("session", f"{known.book}/{session}")["lines"] if line["symbol"] == symbol and line["shares"]]
        if session in stops:
            expected = lines[0]["stop"] if lines and lines[0]["stop"] is not None else math.nan
            assert stops[session] == pytest.approx(expected, nan_ok=True), session
            checked += 1
    assert checked > 20 and np.isfinite(found.prices.stop).any() and np.isnan(found.prices.stop).any()
    ((count, shares),) = rows("SELECT count(*), sum(shares) FROM fills WHERE symbol = ?", symbol)
    assert len(found.fills) == count and shares == night.holdings[0].shares


def test_a_name_the_book_never_knew_is_none(known):
    assert positions_data.name(reader(), known.book, "NOSUCH", known.sessions[-1]) is None


def test_the_page_shows_a_session_before_as_it_was_then(known):
    session = known.sessions[20]
    page = positions.layout(reader(), {"session": session.isoformat()})
    grid = part(page, "positions-held")
    body = journaled("session", f"{known.book}/{session}")
    assert {row["key"]: row["shares"] for row in grid.rowData} == {line["symbol"]: line["shares"] for line in body["lines"] if line["shares"]}
    weekend = session + timedelta(days=1 if session.weekday() < 4 else 2)
    while calendar.is_session(weekend):
        weekend += timedelta(days=1)
    assert known.session({"session": weekend.isoformat()}) == calendar.previous_session(weekend)
    assert known.session({"session": "yesterday"}) == known.sessions[-1]


def test_without_bars_the_book_is_shown_and_what_needs_them_says_why(tmp_path):
    over = reader_of(booked_workspace(tmp_path / "w"))
    page = positions.layout(over, {"symbol": "AAA"})
    said = " ".join(texts(page))
    assert "exo data import" in said and part(page, "positions-held").rowData[0]["stop"] == 95.0


def test_before_the_first_night_the_command_that_runs_it_is_named(workspace):
    with pytest.raises(MissingDataError, match=r"no|ledger") as error:
        positions.layout(reader_of(workspace), {})
    assert "exo run" in str(error.value.remedy)
