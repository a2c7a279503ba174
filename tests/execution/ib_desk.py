"""What the tests of the Interactive Brokers adapter share: a broker for a fake gateway, and orders."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderType
from mech_exo.execution.ib import IBBroker
from mech_exo.utils.broker_settings import GatewayRules
from tests.gateway import FakeGateway

ACCOUNT = "DU1234567"
SESSION = date(2024, 1, 3)
EVER = date(2000, 1, 1)
PATIENT = {"connect_seconds": 20.0, "answer_seconds": 20.0, "probe_seconds": 20.0, "acknowledge_seconds": 20.0, "messages_per_second": 45}
"""For what must come: nothing of it is waited for when all goes well."""


def a_broker(gateway: FakeGateway, instruments: Path | None = None, **rules: Any) -> IBBroker:
    """Not connected yet. ``rules`` shorten the patience for what must not come."""
    return IBBroker(ACCOUNT, False, GatewayRules(**(PATIENT | rules)), port=gateway.port, instruments=instruments)


def an_order(symbol: str = "AAPL", shares: int = 10, leg: int = 0, **terms: Any) -> Order:
    side = "buy" if shares > 0 else "sell"
    order = Order(OrderKey(ACCOUNT, "default", SESSION, symbol, side, "decision", leg).id(), symbol, shares, SESSION, OrderReason.REBALANCE)
    return replace(order, **terms)


def a_stop(symbol: str = "AAPL", shares: int = -10, level: float = 90.0, leg: int = 7, **terms: Any) -> Order:
    return an_order(symbol, shares, leg, type=OrderType.STOP, level=level, rests=True, reason=OrderReason.HARD_STOP, **terms)


def utc(text: str) -> datetime:
    """``2024-01-03T14:30`` as an instant."""
    return datetime.fromisoformat(text + "+00:00")
