"""The seam to a broker: one protocol, frozen messages. A broker is one file that passes ``tests/contracts/test_broker_contract.py``.

What a caller may rely on:

- A method answers completely or raises :class:`BrokerError`; an incomplete answer is never an empty one.
- :meth:`BrokerInterface.place` raises :class:`NotSentError` only when nothing can have reached the broker; any other
  :class:`BrokerError` leaves the order in doubt, and doubt is never resolved by sending again.
- Placing an id twice never trades twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol, runtime_checkable

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Fill, Order, OrderType

LOOKS, LOOK_SECONDS = 20, 0.25


class NotSentError(BrokerError):
    """The order provably never left this program: it may be sent again."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker is.

    Parameters
    ----------
    name
        Said in reports, e.g. ``"paper"``.
    live
        True when real money moves.
    absence_is_proof
        True when an order that :meth:`BrokerInterface.open_orders` does not show was certainly never accepted, as with
        a broker that lives inside this process; False for anything behind a wire.
    keeps_levels
        True when stops and targets of held positions are this broker's own bookkeeping, set by the decision; False when they are orders
        that must be placed, watched and cancelled.
    types
        Order types it takes.
    """

    name: str
    live: bool
    absence_is_proof: bool
    keeps_levels: bool = False
    types: frozenset[OrderType] = frozenset(OrderType)


@dataclass(frozen=True, slots=True)
class AccountState:
    """The account as the broker reports it: id, cash and net asset value in USD (NaN = not reported)."""

    account: str
    cash: float
    nav: float


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """``shares`` (signed, whole) of ``symbol`` held at the broker, at ``average_cost`` USD a share (NaN = not reported).

    ``instrument`` is the broker's own lasting key of it ("" = it has none): a symbol may come to mean another company.
    """

    symbol: str
    shares: int
    average_cost: float = math.nan
    instrument: str = ""


class BrokerOrderState(StrEnum):
    """What the broker says of an order."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order at the broker. ``order_id`` is our reference ("" for a foreign order), ``broker_id`` the broker's own lasting one.

    ``shares`` signed, as ordered; ``filled`` signed, so far; ``level`` its limit or stop price as it rests now. ``works`` False: the broker
    keeps it and does not work it, so that it protects nothing.
    """

    order_id: str
    broker_id: str
    symbol: str
    shares: int
    state: BrokerOrderState
    note: str = ""
    filled: int = 0
    level: float | None = None
    works: bool = True


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The broker's answer to an order: accepted, or refused for ``reason``. No answer is a BrokerError, not this."""

    order_id: str
    accepted: bool
    broker_id: str | None = None
    reason: str = ""


@runtime_checkable
class BrokerInterface(Protocol):
    """A place that holds positions and takes orders."""

    @property
    def capabilities(self) -> Capabilities:
        """What this broker is."""
        ...

    def connect(self) -> None:
        """Make ready to answer. Raises BrokerError when the account, port and configuration do not agree."""
        ...

    def close(self) -> None:
        """Let go. Resting orders stay."""
        ...

    def probe(self) -> None:
        """One round trip to the broker. Raises BrokerError when it does not come back."""
        ...

    def account(self) -> AccountState:
        """Cash and net asset value."""
        ...

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Everything held, by symbol; a symbol with 0 shares is absent."""
        ...

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """Every order that may still trade, foreign ones included, by symbol."""
        ...

    def completed_orders(self) -> tuple[BrokerOrder, ...]:
        """Orders that ended since the session began."""
        ...

    def executions(self, since: date) -> tuple[Fill, ...]:
        """Fills of sessions from ``since`` on, oldest first. The same fill always has the same id."""
        ...

    def place(self, order: Order, legs: Sequence[Order] = ()) -> Acknowledgement:
        """Send ``order`` and the ``legs`` attached to it (their ``parent`` is the order's id), all or nothing.

        Returns the broker's word on the order; raises NotSentError or BrokerError as the module says.
        """
        ...

    def cancel(self, order_id: str) -> None:
        """Ask for a cancel. A wish: only :meth:`open_orders` tells whether it was granted. Unknown ids are no error."""
        ...


def comes_true(holds: Callable[[], bool], pause: Callable[[float], None]) -> bool:
    """Look until ``holds``, some five seconds in all; False when it never does. ``pause`` waits that many seconds between two looks."""
    for _ in range(LOOKS):
        if holds():
            return True
        pause(LOOK_SECONDS)
    return False


def gone(broker: BrokerInterface, ids: Collection[str], pause: Callable[[float], None]) -> bool:
    """Whether none of our orders ``ids`` is open at ``broker`` any more, looked at for some seconds: a cancel is a wish."""
    return comes_true(lambda: not any(order.order_id in ids for order in broker.open_orders()), pause)
