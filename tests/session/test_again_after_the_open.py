"""Last night performed again after the open, as a vendor that is late makes it: what protects today's positions stays as it rests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from mech_exo.execution.ledger import Ledger
from mech_exo.nightly import Done, Night, Step, telling
from mech_exo.session import NightResult, run_night
from mech_exo.utils.calendar import session_close
from tests.gateway import FakeGateway
from tests.session.stage import days, decide_every, set_line, stored
from tests.session.wire import ACCOUNT, Clock, Wire, WireMarket

FIRST, SECOND, THIRD = days("2020-06-01", 3)


@pytest.fixture
def entered(tmp_path: Path) -> Iterator[Wire]:
    """A night decided and sent, and the session after it played: its entries are held, each with its stop and target."""
    home, clock = stored(tmp_path / "w"), Clock()
    decide_every(home, 5)
    set_line(home / "config" / "strategy.yml", "  top: 30", "  top: 8")
    with (
        FakeGateway(account=ACCOUNT, cash=100_000.0) as gateway,
        Ledger.open(home / "data" / "ledger.sqlite", clock=clock) as ledger,
    ):
        wire = Wire(home, gateway, ledger, clock)
        market = WireMarket(gateway.exchange, wire.workspace.known().panel, clock)
        for day in (FIRST, SECOND):
            market.session(int(np.searchsorted(market.panel.sessions, np.datetime64(day))))
            if day == FIRST:
                night(wire)
        yield wire


def night(wire: Wire, day: object = FIRST, **after: float) -> NightResult:
    wire.clock.at = max(wire.clock.at, session_close(FIRST)) + timedelta(**after or {"hours": 1})
    desks = wire.desks()
    try:
        return run_night(desks, day)  # type: ignore[arg-type]
    finally:
        desks.broker.close()


def resting(wire: Wire, symbol: str | None = None) -> dict[str, float]:
    live = wire.gateway.exchange.orders(live=True)
    wanted = None if symbol is None else wire.gateway.exchange.instrument(symbol).con_id
    return {one.ref: one.aux or one.limit for one in live if wanted in (None, one.con_id)}


@pytest.mark.parametrize("hours", [-4, 2])
def test_what_was_entered_today_keeps_its_stops(entered: Wire, hours: int) -> None:
    """In the session, and in the evening when its bars are not there yet."""
    held, before = entered.gateway.exchange.positions, resting(entered)
    assert held and len(before) == 2 * len(held)
    again = night(entered, hours=hours)
    assert again.repeated and resting(entered) == before and not again.gate.breaks


def test_a_level_of_before_a_split_is_not_sent_after_it(entered: Wire) -> None:
    night(entered, SECOND)
    symbol = next(iter(entered.gateway.exchange.positions))
    assert resting(entered, symbol)
    entered.clock.new_york(THIRD, 9, 0)
    entered.gateway.exchange.split(symbol, 2.0)  # the broker cancels what rested
    before = telling.known_alerts(entered.ledger)
    again = night(entered, SECOND)
    assert again.repeated and resting(entered, symbol) == {}
    assert any(alert.id == f"unprotected-{THIRD}-{symbol}" for alert in entered.ledger.alerts())
    alarms = telling.alarms(entered.ledger, before)
    assert any(text.startswith(f"{symbol} is held without its stop") for text in alarms)
    steps = tuple(Done(step, "", None, alarms if step is Step.SUBMIT else ()) for step in Step)
    assert Night(steps, again, ()).troubled and not Night(steps[:4], again, ()).troubled
