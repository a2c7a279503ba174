"""What the router is told and tells: the limits and rules of sending, and an order's outcome."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from mech_exo.domain.orders import Order
from mech_exo.utils.broker_settings import DoubtRules


class Valve(Protocol):
    """Says why an order may not leave now: times, days, caps of a first live session."""

    def refusal(self, session: date, now: datetime, order: Order) -> str | None:
        """The reason, None when it may."""
        ...


@dataclass(frozen=True, slots=True)
class SendLimits:
    """Ceilings on what may leave, counted from the journal: ``max_orders`` sends and ``max_notional`` USD per session, sends per minute.

    ``per_minute`` None: as quickly as they go.
    """

    max_orders: int = 500
    max_notional: float = math.inf
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class SendRules:
    """What is asked besides the limits: the valve, when doubt is given up, and who sends.

    ``identity``: hashes of configuration and code (None: not compared with those that planned).
    ``pause`` waits that many seconds between two looks for a cancel.
    """

    valve: Valve | None = None
    doubt: DoubtRules = field(default_factory=DoubtRules)
    identity: tuple[str, str] | None = None
    pause: Callable[[float], None] = time.sleep


class SendOutcome(StrEnum):
    """What became of an order in this pass."""

    LIVE = "live"
    DENIED = "denied"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class SendResult:
    """An order's outcome and the reason, in words for the operator."""

    order_id: str
    symbol: str
    shares: int
    outcome: SendOutcome
    note: str
