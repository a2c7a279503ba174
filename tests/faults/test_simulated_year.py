"""Nights through the wire with a gateway that restarts every night and fails at random: ledger = broker = the book of the fills alone."""

from __future__ import annotations

import math
import os
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from mech_exo.decision.night import decide
from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import OrderState
from mech_exo.execution import codec
from mech_exo.execution.broker_books import BrokerBooks
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import FillRow, Plan, Protection, SessionRow, StateChange
from mech_exo.session import NightResult, run_night
from mech_exo.utils.calendar import next_session, session_close
from tests.execution.fake_broker import FakeBroker
from tests.gateway import FakeGateway, random_plan
from tests.session.stage import days, decide_every, set_line, stored
from tests.session.wire import ACCOUNT, Clock, Wire, WireMarket

SESSIONS = int(os.environ.get("EXO_TEST_SESSIONS", "15"))
SEED = int(os.environ.get("EXO_TEST_SEED", "7"))
CASH = 100_000.0
TRIES = 14


def a_workspace(home: Path) -> Path:
    """Decided weekly, with tight stops and targets so that they trade; without interest, which a broker pays monthly."""
    stored(home)
    decide_every(home, 5)
    strategy, limits = home / "config" / "strategy.yml", home / "config" / "risk_limits.yml"
    set_line(strategy, "  top: 30", "  top: 8")
    set_line(limits, "  hard: 0.15", "  hard: 0.03")
    set_line(limits, "  target: 0.30", "  target: 0.03")
    set_line(limits, "  time_sessions: 60", "  time_sessions: 12")
    return home


class Year:
    """The nights, with what was counted on the way."""

    def __init__(self, wire: Wire, market: WireMarket) -> None:
        self.wire, self.market, self.seen = wire, market, Counter[str]()

    def play(self, sessions: list[date]) -> None:
        panel, gateway = self.market.panel, self.wire.gateway
        for number, day in enumerate(sessions):
            self.market.session(int(np.searchsorted(panel.sessions, np.datetime64(day))))
            self.wire.clock.at = session_close(day) + timedelta(hours=1)
            for fault in random_plan(SEED * 10_000 + number, 4):
                gateway.faults.add(fault.kind, skip=fault.skip, code=fault.code, message=fault.message)
            self.night(day)
            self.seen.update(gateway.faults.fired)
            gateway.faults.clear()
            gateway.faults.fired.clear()
            gateway.restart()

    def night(self, day: date) -> NightResult:
        """The night of ``day``, again as often as an operator would until everything is out."""
        for tried in range(TRIES):
            if tried == TRIES // 2:
                self.wire.gateway.faults.clear()
            desks = self.wire.desks()
            try:
                result = run_night(desks, day)
                if self.settled(result):
                    return result
                self.seen["unsettled nights"] += 1
            except BrokerError:
                self.seen["broken nights"] += 1
            finally:
                desks.broker.close()
            self.wire.gateway.release()
            if self.wire.gateway.away:
                self.wire.gateway.regain_server()
            self.wire.clock.at += timedelta(minutes=1.5)
        raise AssertionError(f"{day}: {result.gate.breaks}, {[one for one in result.sent if one.outcome.value != 'live']}")

    def settled(self, result: NightResult) -> bool:
        open_ = self.wire.ledger.orders(self.wire.book, states={OrderState.NEW, OrderState.SENDING, OrderState.UNKNOWN})
        return not open_ and not [found for found in result.gate.breaks if not found.harmless]


def from_the_fills_alone(wire: Wire, folder: Path, sessions: list[date]) -> list[SessionRow]:
    """Every session booked and decided anew from orders and fills, without broker and without one booked session."""
    with Ledger.open(folder / "again.sqlite", clock=wire.clock) as again:
        with again.transaction():
            for kind in (Plan, Protection, StateChange, FillRow):
                for number, row in enumerate(wire.ledger.rows(kind)):
                    key = {StateChange: lambda r: r.order_id, FillRow: lambda r: r.fill.id}.get(kind, lambda r: f"{r.book}/{r.session}")(row)
                    again.append(row, key if kind in (StateChange, FillRow) else f"{key}/{number}")
        strategy = wire.workspace.strategy
        books = BrokerBooks(again, wire.book, FakeBroker(cash=CASH), *terms_of(wire))
        books.begin()
        rows = []
        for day in sessions:
            known = wire.workspace.known(day)
            played = books.trade_session(known.panel, known.row)
            desk = books.desk(known.panel)
            decide(known, desk, strategy, wire.book.account, next_session(day))
            rows.append(books.row(desk.book, desk.days[known.row], played))
            books.take_levels(desk.book)
        return rows


def terms_of(wire: Wire) -> tuple[object, object]:
    books = wire.desks().books
    return books._costs, books._terms  # type: ignore[attr-defined]


def test_a_year_of_nights(tmp_path: Path) -> None:
    home, clock = a_workspace(tmp_path / "w"), Clock()
    sessions = days("2020-06-01", SESSIONS)
    clock.new_york(sessions[0], 1)
    with (
        FakeGateway(version=178, account=ACCOUNT, cash=CASH) as gateway,
        Ledger.open(home / "data" / "ledger.sqlite", clock=clock) as ledger,
    ):
        wire = Wire(home, gateway, ledger, clock)
        year = Year(wire, WireMarket(gateway.exchange, wire.workspace.known().panel, clock))
        year.play(sessions)
        last = ledger.last_session(wire.book)
        assert last is not None and last.session == sessions[-1]
        assert {line.symbol: int(line.shares) for line in last.lines if line.shares} == gateway.exchange.positions
        assert math.isclose(last.day.cash, gateway.exchange.cash, abs_tol=0.005)
        assert all(gateway.accepted(row.order.id) <= 1 and gateway.sends(row.order.id) <= 1 for row in ledger.orders(wire.book))
        assert not ledger.is_halted and not wire.switch.state().halted and ledger.verify().sound
        fills = [row.fill for row in ledger.fills(wire.book)]
        again = from_the_fills_alone(wire, tmp_path, sessions)
        for row in again:
            assert codec.encode(row) == codec.encode(ledger.session(wire.book, row.session)), row.session
        kinds = {ledger.order(fill.order_id).order.type.value for fill in fills}
        if out := os.environ.get("EXO_TEST_OUT"):
            year.seen["fills"] = len(fills)
            Path(out).write_text(f"{len(sessions)} sessions, {len(fills)} fills {kinds}, NAV {last.day.nav:,.2f}, {dict(year.seen)}\n")
        assert len(fills) > SESSIONS and kinds >= {"market_on_open", "stop", "limit"}
