"""The first page: whether it runs, what needs the operator, figures equal to the ledger's, and a curve whose last point is the drawdown."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from mech_exo.domain.errors import ConfigError
from mech_exo.domain.orders import OrderState
from mech_exo.execution import safety
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import Alert
from mech_exo.performance import figures
from mech_exo.reporting.dashboard import account_data
from mech_exo.reporting.dashboard.overview_data import Waiting, curve, delivery, running, waiting, wanted
from mech_exo.reporting.dashboard.pages import overview
from mech_exo.reporting.dashboard.reader import Reader
from mech_exo.utils import calendar
from tests.reporting.dashboard.book import journaled, part, parts, reader, rows, sample, texts, tile
from tests.reporting.dashboard.serving import EVENING, booked_workspace, reader_of
from tests.reporting.nights import TWO

NOTHING = Waiting((), ())


@pytest.fixture(scope="module")
def known():
    return account_data.booked(reader(), {})


@pytest.fixture(scope="module")
def page():
    return overview.layout(reader(), {})


def test_nights_are_due_when_the_schedule_would_perform_them(known):
    ran = running(reader(), known)
    assert ran.booked == ran.due == known.sessions[-1] and ran.next == calendar.next_session(ran.booked)
    assert ran.next_at == calendar.session_close(ran.next) + timedelta(minutes=60)
    (at,) = rows("SELECT at FROM journal WHERE kind = 'session' AND key = ?", f"{known.book}/{ran.booked}")[0]
    assert ran.booked_at == datetime.fromisoformat(at)
    home, last = sample().home, calendar.next_session(calendar.next_session(ran.booked))
    late = running(Reader(home, lambda: reader().once_of_data(("w",), lambda house: house), lambda: calendar.session_close(last) + timedelta(hours=2)), known)
    assert (late.booked, late.due) == (ran.booked, last)


def test_the_tiles_say_what_the_ledger_says(known, page):
    ((nav, before, flow, cash),) = rows(
        'SELECT s.nav, (SELECT nav FROM sessions WHERE session < s.session ORDER BY session DESC LIMIT 1), s.flow, s.cash '
        "FROM sessions s ORDER BY session DESC LIMIT 1"
    )  # fmt: skip
    earned = nav - flow - before
    assert tile(page, "NAV, USD")[0] == f"{nav:,.0f}" and f"{cash:,.0f} cash" in tile(page, "NAV, USD")[1]
    assert tile(page, "Day's P&L, USD")[0] == f"{earned:+,.0f}".replace("-", "−")
    assert tile(page, "Day's P&L, USD")[1] == f"{100 * earned / before:.2f}\u00a0% of NAV".replace("-", "−")
    index = [value for (value,) in rows('SELECT "index" FROM sessions ORDER BY session')]
    fall = 1.0 - index[-1] / max(1.0, *index)
    assert tile(page, "Drawdown")[0] == f"{100 * fall:.2f}\u00a0%"
    ((gross, paid),) = rows("SELECT sum(price_pnl + dividends + interest), sum(commission + slippage + borrow) FROM sessions")
    assert tile(page, "Costs of gross P&L")[0] == f"{100 * paid / gross:.1f}\u00a0%"
    planned = rows("SELECT count(*) FROM orders WHERE decided = ? AND rests = 0 AND parent IS NULL", str(known.sessions[-1]))[0][0]
    assert tile(page, "Orders")[0] == str(planned) and tile(page, "Last night")[0] == str(known.sessions[-1])


def test_causes_and_positions_add_up_to_the_day_s_result_on_the_page(known, page):
    night = account_data.night(reader(), known.book, known.sessions[-1])
    assert math.fsum(cause.pnl for cause in night.causes.parts) == pytest.approx(night.money.pnl, abs=0.01)
    said = texts(page)
    assert said[said.index("All together") + 2] == f"{night.money.pnl:+,.2f}".replace("-", "−")


def test_the_curve_ends_where_the_night_stands(known):
    for session in (known.sessions[-1], known.sessions[30]):
        drawn, night = curve(reader(), known, session), account_data.night(reader(), known.book, session)
        figure = figures.account_figure(drawn.sessions, drawn.nav, drawn.index, drawn.limit, drawn.benchmark)
        lines = {trace.name: trace for trace in figure.data}
        assert float(lines["Fall from the 12-month peak"].y[-1]) == pytest.approx(-night.drawdown, abs=1e-6)
        assert float(lines["NAV"].y[-1]) == pytest.approx(night.money.nav, rel=1e-6) and drawn.limit == 0.10
        assert lines["NAV"].x[-1] == str(session) and lines["NAV"].xaxis != lines["Fall from the 12-month peak"].xaxis
        assert figure.layout.xaxis.matches == "x2" or figure.layout.xaxis2.matches == "x"  # one moves with the other


def test_the_benchmark_is_the_same_capital_grown_as_it_did(known):
    drawn = curve(reader(), known, known.sessions[-1])
    told = account_data.account(reader(), known.book).benchmark
    assert told is not None
    assert drawn.benchmark is not None and drawn.benchmark[0] == pytest.approx(drawn.nav[0])
    units = drawn.nav / drawn.index  # what deposits bought
    grown = drawn.benchmark / units
    assert grown[1:] / grown[:-1] - 1.0 == pytest.approx(told[1:], abs=1e-12)


def test_what_is_in_doubt_comes_first_and_once(tmp_path):
    home = booked_workspace(tmp_path / "w")
    with Ledger.open(default_path(home), clock=lambda: EVENING) as ledger:
        (row,) = ledger.orders(states={OrderState.NEW})
        ledger.set_state(row.order.id, OrderState.SENDING)
        ledger.set_state(row.order.id, OrderState.UNKNOWN, "no acknowledgement")
    over = reader_of(home)
    known = account_data.booked(over, {})
    night = account_data.night(over, known.book, TWO)
    left = waiting(over, known)
    assert [one.order.id for one in left.doubtful] == [row.order.id]
    asked = wanted(night, left, delivery(over))
    assert asked[0].severity == "critical" and sum("in doubt" in need.text for need in asked) == 1
    later = wanted(replace(night, planned=()), left, delivery(over))  # the night after: nothing of it is planned any more
    (need,) = (one for one in later if "in doubt" in one.text)
    assert f"exo ledger settle {row.order.id} --as cancelled" in need.command


def test_alerts_of_the_last_night_are_shown_and_older_ones_are_not(tmp_path):
    home = booked_workspace(tmp_path / "w")
    with Ledger.open(default_path(home), clock=lambda: EVENING) as ledger:
        ledger.post_alert(Alert("break-2024-01-02", "critical", "old", "of the night before"))
        ledger.post_alert(Alert("night-2024-01-03", "info", "Night", "as ever"))
        ledger.post_alert(Alert("break-2024-01-03", "critical", "U1234567 differs", "AAA: position\nBBB: cash"))
    over = reader_of(home)
    found = waiting(over, account_data.booked(over, {}))
    assert [one.alert.id for one in found.alerts] == ["break-2024-01-03"]
    night = account_data.night(over, account_data.booked(over, {}).book, TWO)
    said = [need.text for need in wanted(night, found, delivery(over))]
    assert "U…567 differs: AAA: position …" in said and not any("1234567" in text for text in said)


def test_nobody_who_delivers_is_said_with_the_command(known):
    night = account_data.night(reader(), known.book, known.sessions[-1])
    sent = delivery(reader())
    (need,) = (one for one in wanted(night, NOTHING, sent) if "channel" in one.text)
    assert need.command == "exo alert test"
    (need,) = (one for one in wanted(night, NOTHING, ConfigError("alerts.yml names no such channel", remedy="exo config")) if "delivered" in one.text)
    assert need.command == "exo config"


def test_positions_near_their_stop_are_one_line_and_each_is_as_near_as_the_journal_says(known):
    night = account_data.night(reader(), known.book, known.sessions[-1])
    lines = journaled("session", f"{known.book}/{known.sessions[-1]}")["lines"]
    near = [line for line in lines if line["shares"] and 0 < 1.0 - line["stop"] / line["mark"] <= night.upcoming.near]
    found = [need for need in wanted(night, NOTHING, delivery(reader())) if "of their stop" in need.text]
    assert len(found) == 1 and found[0].text.startswith(f"{len(near)} of {len(night.holdings)} positions")
    first = min(near, key=lambda line: 1.0 - line["stop"] / line["mark"])
    assert f": {first['symbol']} {100 * (1.0 - first['stop'] / first['mark']):.1f}\u00a0%" in found[0].text


def test_a_halt_is_the_state_now_whatever_the_last_night_was(tmp_path):
    home = booked_workspace(tmp_path / "w")
    assert tile(overview.layout(reader_of(home), {}), "State")[0] == "ACTIVE"
    safety.halt(home, "looking at AAA", clock=lambda: EVENING)
    page = overview.layout(reader_of(home), {})
    assert tile(page, "State")[0] == "HALTED" and tile(page, "State")[1].startswith("exo resume")


def test_without_bars_what_needs_them_is_unknown_and_never_zero(tmp_path):
    page = overview.layout(reader_of(booked_workspace(tmp_path / "w")), {})
    assert tile(page, "KPI contract")[0] == "unknown" and tile(page, "Market data")[0] == "unknown"
    assert tile(page, "NAV, USD")[0] == "101,000" and tile(page, "Day's P&L, USD")[0] == "+1,000"


def test_every_tile_says_as_of_when_and_the_page_takes_any_address(page):
    tiles = [each for each in parts(page) if "tile tone" in str(getattr(each, "className", ""))]
    assert len(tiles) == 12
    untimed = [texts(each)[0] for each in tiles if not any(char.isdigit() for char in texts(each)[-1])]
    assert set(untimed) <= {"Alerts", "Market data"}  # whose values are a state now, and a date
    for query in ({"session": "1999-01-01"}, {"session": "x"}, {"book": "live/none"}, {"kind": "<script>"}):
        assert part(overview.layout(reader(), query), "overview-nav") is not None


def test_a_session_before_is_shown_as_it_was(known):
    session = known.sessions[10]
    page = overview.layout(reader(), {"session": str(session)})
    (nav,) = rows("SELECT nav FROM sessions WHERE session = ?", str(session))[0]
    assert tile(page, "NAV, USD")[0] == f"{nav:,.0f}" and tile(page, "Last night")[0] == str(known.sessions[-1])
    curve_x = part(page, "overview-nav").figure["data"][0]["x"]
    assert str(curve_x[-1]) == str(session) and isinstance(date.fromisoformat(str(curve_x[0])), date)
    assert np.isfinite(nav) and sample().now.tzinfo is UTC
