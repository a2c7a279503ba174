"""What is kept of the gateway's words: orders, executions, and a question with its answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mech_exo.execution.ib_messages import ENDED

if TYPE_CHECKING:
    import ib_async

TIME = "the time"


@dataclass(slots=True)
class Told:
    """An order as the gateway tells it. Shares signed; NaN = not told. ``order_id`` counts only beside ``client_id``."""

    perm_id: int
    order_id: int = 0
    client_id: int = 0
    ref: str = ""
    contract: ib_async.Contract | None = None
    shares: float = math.nan
    level: float | None = None
    status: str = ""
    filled: float = math.nan
    note: str = ""
    refused: bool = False

    @property
    def ended(self) -> bool:
        """Whether it can trade no more."""
        return self.refused or self.status in ENDED


@dataclass(slots=True)
class Sent:
    """An order this connection wrote: what came back of it."""

    ref: str
    order_id: int
    perm_id: int = 0
    refusal: str = ""
    ending: str = ""
    remark: str = ""
    status: str = ""
    filled: float = 0.0

    @property
    def accepted(self) -> bool:
        """The gateway gave it a lasting number and did not refuse it. Inactive may be followed by the reason of a refusal."""
        return self.perm_id > 0 and (self.filled > 0.0 or (not self.refusal and self.status != "Inactive"))

    @property
    def decided(self) -> bool:
        """Whether the gateway's word on it is known."""
        return self.accepted or bool(self.refusal or self.ending)


@dataclass(frozen=True, slots=True)
class Traded:
    """An execution: its lasting id and correction number, signed shares, USD, a UTC instant (None = no zone was told)."""

    id: str
    stem: str
    revision: int
    ref: str
    perm_id: int
    contract: ib_async.Contract
    shares: float
    price: float
    time: datetime | None


@dataclass(slots=True)
class Ask:
    """A question and what has come of its answer. ``number`` -1: the answer carries none."""

    kind: str
    number: int
    losses: int = 0
    items: list[Any] = field(default_factory=list)
    mentioned: dict[tuple[str, int], tuple[object, ...]] = field(default_factory=dict)
    ended: bool = False
    disturbed: bool = False
    failure: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """What was connected to: ``account`` masked, ``server_version`` of the protocol, ``clock_ahead`` seconds of the gateway's clock."""

    account: str
    live: bool
    host: str
    port: int
    client_id: int
    server_version: int
    clock_ahead: float
