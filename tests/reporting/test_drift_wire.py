"""Drift of an account at Interactive Brokers: over the wire the fills, fees and a hand are the broker's, and each has its own column."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from mech_exo.execution.ledger import Ledger
from mech_exo.execution.reconcile import accept, reconcile
from mech_exo.reporting.drift import drift
from mech_exo.session import run_night
from mech_exo.utils.calendar import session_close
from tests.faults.test_simulated_year import a_workspace
from tests.gateway import FakeGateway
from tests.session.stage import days
from tests.session.wire import ACCOUNT, Clock, Wire, WireMarket

CASH = 100_000.0
NIGHTS = days("2020-06-01", 8)
BY_HAND = 6
"""The night after which the operator trades by himself; the book was decided anew the night before, and is not again."""


def test_fills_fees_and_a_trade_by_hand(tmp_path: Path) -> None:
    home, clock = a_workspace(tmp_path / "w"), Clock()
    clock.new_york(NIGHTS[0], 1)
    with (
        FakeGateway(version=178, account=ACCOUNT, cash=CASH) as gateway,
        Ledger.open(home / "data" / "ledger.sqlite", clock=clock) as ledger,
    ):
        wire, exchange = Wire(home, gateway, ledger, clock), gateway.exchange
        market = WireMarket(exchange, wire.workspace.known().panel, clock)
        symbol, price, paid = "", math.nan, math.nan
        for number, day in enumerate(NIGHTS):
            market.session(int(np.searchsorted(market.panel.sessions, np.datetime64(day))))
            clock.at = session_close(day) + timedelta(hours=1)
            desks = wire.desks()
            run_night(desks, day)
            if number == BY_HAND:
                symbol = max(exchange.positions, key=lambda name: exchange.positions[name])
                price, cash = (
                    float(market.panel.close[market.panel.sessions.tolist().index(day), market.panel.column_of(symbol)]),
                    exchange.cash,
                )
                exchange._book(exchange.instrument(symbol).con_id, 50.0, price, 1.25)
                paid = cash - exchange.cash
                clock.at += timedelta(minutes=5)
                desks.broker.connect()
                for what in (symbol, "cash"):
                    accept(ledger, reconcile(ledger, desks.broker, wire.book), what, "bought by hand")
            desks.broker.close()
        last = ledger.last_session(wire.book)
        assert last is not None and math.isclose(last.day.cash, exchange.cash, abs_tol=0.005)
        (line,) = [line for line in last.lines if line.symbol == symbol]
        assert line.shares == exchange.positions[symbol] and paid == pytest.approx(50.0 * price + 1.25)
        found = drift(replace(wire.workspace), ledger, wire.book)
    parts = asdict(found.parts)
    for day in found.days:
        assert day.parts.total == pytest.approx(day.drift, abs=1e-9)
    assert "1234567" not in found.book
    assert found.live_pnl == pytest.approx(last.day.nav - CASH, abs=1e-6)
    assert parts["manual"] == pytest.approx(50.0 * line.mark - paid, abs=0.05)
    assert any(event.symbol == symbol and "accepted" in event.said for event in found.events)
    assert parts["price"] > 1.0, "this market fills at the open itself, the model beyond it"
    assert parts["late_data"] == parts["corporate_action"] == 0.0
    assert abs(parts["residual"]) < 0.5, parts
