"""What goes wrong, and when: scripted faults, and seeded random ones. Each that strikes is counted in :attr:`Faults.fired`."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

PLACE, CANCEL, SAY = "place", "cancel", "say"

POINTS = {
    "cut_before_accept": PLACE,
    "cut_after_accept": PLACE,
    "lost_order": PLACE,
    "lost_ack": PLACE,
    "held": PLACE,
    "half_open": PLACE,
    "huge_frame": PLACE,
    "throttle": PLACE,
    "server_lost": PLACE,
    "restart": PLACE,
    "error": PLACE,
    "lost_cancel": CANCEL,
    "cancel_error": CANCEL,
    "mute": SAY,
    "duplicate": SAY,
    "reorder": SAY,
    "late": SAY,
    "garble": SAY,
    "cut": SAY,
}
"""Where each kind strikes: as an order or a cancel arrives, or as a message is about to be said."""

REFUSALS = {
    103: "Duplicate order id",
    110: "The price does not conform to the minimum price variation for this contract.",
    135: "Can't find order with id = {id}",
    200: "No security definition has been found for the request",
    201: "Order rejected - reason:We are unable to accept your order. Your Available Funds are insufficient.",
    321: "Error validating request.-'bM' : cause - The API interface is currently in Read-Only mode.",
    460: "No trading permissions.",
    504: "Not connected",
}
"""Codes that mean the order was not taken."""

REMARKS = {
    104: "Cannot modify a filled order.",
    161: "Cancel attempted when order is not in a cancellable state. Order permId = {perm}",
    162: "Historical Market Data Service error message:API historical data query cancelled: {id}",
    202: "Order Canceled - reason:",
    354: "Requested market data is not subscribed.",
    399: "Order Message:\nWarning: your order will not be placed at the exchange until 2026-11-23 09:30:00 US/Eastern",
    10147: "OrderId {id} that needs to be cancelled is not found.",
    10148: "OrderId {id} that needs to be cancelled cannot be cancelled, state: PreSubmitted.",
}
"""Codes said of an order that was taken and lives, but for 202: that one ends it."""

SYSTEM = {
    502: "Couldn't connect to TWS. Confirm that \"Enable ActiveX and Socket Clients\" is enabled",
    504: "Not connected",
    1100: "Connectivity between IBKR and Trader Workstation has been lost.",
    1101: "Connectivity between IBKR and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IBKR and Trader Workstation has been restored - data maintained.",
    1300: "Socket port has been reset and this connection is being dropped. Please reconnect on the new port - 4002",
    2110: "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
}
"""Codes said to everybody."""


@dataclass(slots=True)
class Fault:
    """A fault of ``kind``.

    Parameters
    ----------
    times
        How often it strikes; None: until :meth:`Faults.clear`.
    skip
        Opportunities it lets pass first.
    ref
        Only orders of this reference.
    code
        Of ``error`` and ``cancel_error``.
    message
        Number of the message that the kinds that strike as one is said mean; None: any.
    """

    kind: str
    times: int | None = 1
    skip: int = 0
    ref: str | None = None
    code: int = 201
    message: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in POINTS:
            raise ValueError(f"a fault is one of {', '.join(sorted(POINTS))}; got {self.kind}")


class Faults:
    """Faults that are to strike. ``fired`` counts those that did, by kind (an error by kind and code)."""

    def __init__(self) -> None:
        self.fired: Counter[str] = Counter()
        self._armed: list[Fault] = []

    @property
    def armed(self) -> tuple[Fault, ...]:
        """What has not struck yet."""
        return tuple(self._armed)

    def add(self, *faults: Fault | str, **terms: Any) -> None:
        """Arm faults: ``add("error", code=110)`` or ``add(Fault("cut", message=3), …)``."""
        self._armed += [replace(one, **terms) if isinstance(one, Fault) else Fault(one, **terms) for one in faults]

    def clear(self) -> None:
        """Disarm everything."""
        self._armed.clear()

    def strikes(self, point: str, *, ref: str | None = None, message: int | None = None) -> Fault | None:
        """The fault that strikes now, counted; None where all goes well."""
        for one in self._armed:
            if POINTS[one.kind] != point or one.ref not in (None, ref) or (one.message is not None and one.message != message):
                continue
            if one.skip:
                one.skip -= 1
                continue
            self.fired[f"{one.kind} {one.code}" if "error" in one.kind else one.kind] += 1
            if one.times is not None:
                one.times -= 1
                if not one.times:
                    self._armed.remove(one)
            return one
        return None


SPOKEN = (3, 5, 11, 53, 55, 59, 61, 62, 101, 102)
"""Messages of orders, fills and positions, and the ends of their lists."""


HEALED = tuple(kind for kind in POINTS if kind != "held")
"""Kinds after which nothing remains to be done: an order that comes days late is no accident of a night, but a halt."""


def random_plan(seed: int, count: int, kinds: tuple[str, ...] = HEALED) -> list[Fault]:
    """``count`` faults that strike once each, somewhere: the same seed gives the same faults."""
    chance = random.Random(seed)
    plan = []
    for _ in range(count):
        kind = chance.choice(kinds)
        codes = {"error": (*REFUSALS, *REMARKS), "cancel_error": (135, 161, 10147, 10148)}.get(kind, (201,))
        skip = chance.randrange(40 if POINTS[kind] == SAY else 4)
        plan.append(Fault(kind, skip=skip, code=chance.choice(codes), message=chance.choice(SPOKEN) if POINTS[kind] == SAY else None))
    return plan
