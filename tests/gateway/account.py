"""The nouns at the broker: what can be traded, what was ordered, what was done, what is held."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime

LIVE = frozenset({"PreSubmitted", "Submitted", "PendingCancel"})
"""Statuses of an order that may still trade."""

KNOWN = {"AAPL": 265598, "MSFT": 272093, "SPY": 756733, "IBM": 8314}
"""Real numbers of a few real shares; others get one from their name."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """A US stock. ``con_id`` stays when the symbol changes hands."""

    con_id: int
    symbol: str
    exchange: str = "NASDAQ"
    min_tick: float = 0.01
    currency: str = "USD"
    trading_class: str = "NMS"
    name: str = ""

    @classmethod
    def of(cls, symbol: str) -> Instrument:
        """The instrument a symbol stands for when nothing else was said."""
        return cls(KNOWN.get(symbol, 10_000_000 + zlib.crc32(symbol.encode()) % 900_000_000), symbol, name=f"{symbol} INC")


@dataclass(slots=True)
class Ticket:
    """An order as the broker keeps it. ``limit`` and ``aux`` are None where its type has none; prices USD, shares whole."""

    order_id: int
    client_id: int
    perm_id: int
    con_id: int
    account: str
    action: str
    quantity: int
    type: str
    limit: float | None = None
    aux: float | None = None
    tif: str = "DAY"
    oca_group: str = ""
    oca_type: int = 0
    ref: str = ""
    parent_id: int = 0
    transmit: bool = True
    good_after: str = ""
    outside_hours: bool = False
    status: str = "PreSubmitted"
    filled: int = 0
    spent: float = 0.0
    last_price: float = 0.0
    why_held: str = ""
    warning: str = ""
    ended: str = ""
    ended_as: str = ""

    @property
    def live(self) -> bool:
        """Whether it may still trade."""
        return self.transmit and self.status in LIVE

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled

    @property
    def average(self) -> float:
        """Average price of what was filled, 0 when nothing was, as the wire says it."""
        return self.spent / self.filled if self.filled else 0.0

    @property
    def sign(self) -> int:
        return 1 if self.action == "BUY" else -1

    def works(self, now: datetime) -> bool:
        """Whether it trades at ``now``: it is live, no leg that still waits for its parent, and past its good-after time."""
        return self.live and self.why_held != "child" and (not self.good_after or instant(self.good_after) <= now)

    def end(self, status: str, words: str, now: datetime) -> None:
        """No longer live."""
        self.status, self.ended, self.ended_as = status, stamp(now), words


@dataclass(slots=True)
class Execution:
    """A fill; ``shares`` signed. A correction has the same id but for its last part, and ``revision`` one higher."""

    id: str
    perm_id: int
    order_id: int
    client_id: int
    con_id: int
    account: str
    shares: int
    price: float
    cumulative: int
    average: float
    time: str
    commission: float | None
    ref: str = ""
    exchange: str = "NASDAQ"

    @property
    def stem(self) -> str:
        """What all corrections of a fill have in common."""
        return self.id.rpartition(".")[0]


@dataclass(slots=True)
class Holding:
    """Signed shares at an average cost a share, commission included."""

    shares: float = 0
    average: float = 0.0

    def book(self, shares: float, price: float, commission: float) -> None:
        """Average cost moves with what is added, never with what is taken away."""
        after = self.shares + shares
        if self.shares * shares >= 0:
            self.average = (self.shares * self.average + shares * price + commission) / after if after else 0.0
        elif self.shares * after < 0:
            self.average = price + commission / shares
        self.shares = after


def stamp(now: datetime) -> str:
    """``20261122 14:30:00 UTC``: a time with its zone, else a client reads it as its own machine's."""
    return f"{now.astimezone(UTC):%Y%m%d %H:%M:%S} UTC"


def instant(words: str) -> datetime:
    """A time as an order carries it: ``20261122-14:30:00`` is UTC, else the zone stands behind it."""
    from zoneinfo import ZoneInfo

    day, _, rest = words.replace("-", " ", 1).partition(" ")
    clock, _, zone = rest.partition(" ")
    return datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone or "UTC"))
