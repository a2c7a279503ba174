"""Orders and fills: what is asked of a broker and what came of it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from mech_exo.domain.errors import InputError

ID_PREFIX = "mx1-"


class OrderType(StrEnum):
    """How an order may fill."""

    MARKET_ON_OPEN = "market_on_open"
    LIMIT_ON_OPEN = "limit_on_open"
    MARKET_ON_CLOSE = "market_on_close"
    MARKET = "market"
    STOP = "stop"
    LIMIT = "limit"


PRICED = frozenset({OrderType.LIMIT_ON_OPEN, OrderType.STOP, OrderType.LIMIT})
"""Types with a price of their own."""


class OrderReason(StrEnum):
    """Why an order or exit exists. Member names equal those of ``kernels.records.Reason`` (tested)."""

    NONE = "none"
    REBALANCE = "rebalance"
    HARD_STOP = "hard_stop"
    TRAILING_STOP = "trailing_stop"
    VOLATILITY_STOP = "volatility_stop"
    PROFIT_TARGET = "profit_target"
    TIME_STOP = "time_stop"
    DELISTED = "delisted"
    NO_BARS = "no_bars"
    CORPORATE_ACTION = "corporate_action"
    MARGIN_CALL = "margin_call"
    GOVERNOR = "governor"
    FLATTEN = "flatten"


class OrderState(StrEnum):
    """Life of an order in the ledger. UNKNOWN is never resent; ABANDONED was never seen anywhere and given up, not resent either."""

    NEW = "new"
    SENDING = "sending"
    LIVE = "live"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    DENIED = "denied"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class OrderKey:
    """Everything an order's identity is made of: the same decision always yields the same id."""

    account: str
    strategy: str
    session: date
    symbol: str
    side: str
    purpose: str
    leg: int = 0

    def id(self) -> str:
        """``mx1-`` and 96 bits of a hash, 28 ASCII characters: fits every broker's reference field."""
        text = "\0".join((self.account, self.strategy, self.session.isoformat(), self.symbol, self.side, self.purpose, str(self.leg)))
        return ID_PREFIX + hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Order:
    """An order for ``session``.

    Parameters
    ----------
    id
        Deterministic, from :class:`OrderKey`.
    shares
        Signed whole shares: positive buys, negative sells. Never 0.
    session
        Session in which it is to trade.
    stop_level, target_level
        USD levels attached to an entry, None where there is none.
    level
        USD: the limit or stop price of a type that has one, else None.
    rests
        Good till cancelled: it may trade in any session from ``session`` on.
    group
        Orders of one group exclude each other: the first to fill ends the rest, a partial fill leaves them for what is still to be done.
    parent
        Id of the entry this order protects: it goes out with it and works once it fills.
    after
        Instant before which it does not work (UTC); None: at once.
    """

    id: str
    symbol: str
    shares: int
    session: date
    reason: OrderReason
    type: OrderType = OrderType.MARKET_ON_OPEN
    stop_level: float | None = None
    target_level: float | None = None
    level: float | None = None
    rests: bool = False
    group: str | None = None
    parent: str | None = None
    after: datetime | None = None

    def __post_init__(self) -> None:
        if self.shares == 0:
            raise InputError(f"an order must trade at least one share; {self.symbol} has 0")
        priced = self.type in PRICED
        if priced != (self.level is not None) or (self.level is not None and not 0.0 < self.level < math.inf):
            wanted = "a level above 0" if priced else "no level"
            raise InputError(f"a {self.type} order has {wanted}; {self.symbol} has {self.level}")

    @property
    def side(self) -> str:
        """``"buy"`` or ``"sell"``."""
        return "buy" if self.shares > 0 else "sell"


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution: ``shares`` of ``symbol`` at ``price`` USD, with its commission, at a UTC instant.

    ``reference`` is the price slippage is measured from (the open, or the level of a stop). ``commission`` is NaN until the broker
    has reported it, ``reference`` until it is known. A higher ``revision`` of the same id is the broker's correction of it.
    """

    id: str
    order_id: str
    symbol: str
    shares: int
    price: float
    commission: float
    session: date
    time: datetime
    reason: OrderReason
    reference: float
    revision: int = 0

    @property
    def slippage(self) -> float:
        """USD paid beyond the reference price; positive is a cost."""
        return (self.price - self.reference) * self.shares
