"""The messages of the ledger: frozen rows, each written to the journal as one canonical JSON object.

Money in USD, shares signed and whole, NaN where a figure is unknown. Everything belongs to a book, named by
:class:`BookId`: one strategy in one account.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime

from mech_exo.domain.orders import Fill, Order, OrderReason, OrderState
from mech_exo.domain.verdict import RiskState


@dataclass(frozen=True, slots=True)
class BookId:
    """The book a row belongs to: ``strategy`` run in ``account``."""

    account: str
    strategy: str

    def __str__(self) -> str:
        return f"{self.account}/{self.strategy}"


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What was decided at the close of ``session``. ``body`` is canonical JSON in UTF-8: `exo replay` compares its bytes.

    ``stored_until`` is when the latest market fact in hand had been stored; an import may have been under way beside the night.
    """

    book: BookId
    session: date
    recorded_at: datetime
    config_hash: str
    code_version: str
    data_hash: str
    body: bytes
    stored_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """An order to be sent and the close it was decided at (USD; NaN = unknown, which denies an order that adds risk)."""

    order: Order
    price: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Every intent decided at the close of ``session``; an empty plan is a plan."""

    book: BookId
    session: date
    intents: tuple[Intent, ...]


@dataclass(frozen=True, slots=True)
class Protection:
    """Protection planned at the close of ``session``: new resting orders, and ids of those they replace. Several may follow each other."""

    book: BookId
    session: date
    intents: tuple[Intent, ...]
    cancels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StateChange:
    """An order's new state, why, and the broker's own id once it has one."""

    order_id: str
    state: OrderState
    note: str
    broker_id: str | None = None


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as the ledger knows it now.

    ``decided`` is the session whose close it was decided at, ``sends`` how often it went to SENDING, ``filled`` the
    signed sum of its fills.
    """

    book: BookId
    decided: date
    order: Order
    price: float
    state: OrderState
    note: str
    broker_id: str | None
    sends: int
    filled: int

    @property
    def notional(self) -> float:
        """|shares| × decision price in USD; NaN when the price is unknown."""
        return abs(self.order.shares) * self.price


@dataclass(frozen=True, slots=True)
class FillRow:
    """A fill and its book."""

    book: BookId
    fill: Fill


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One session's figures; field for field ``kernels.records.DAY`` (tested)."""

    nav: float
    index: float
    cash: float
    long_value: float
    short_value: float
    flow: float
    price_pnl: float
    dividends: float
    interest: float
    borrow: float
    commission: float
    slippage: float
    traded: float
    state: RiskState
    scale: float = 1.0  # a journal older than these has them so
    wins: float = 0.0
    losses: float = 0.0
    gains: float = 0.0
    forfeits: float = 0.0


@dataclass(frozen=True, slots=True)
class BookedDay:
    """The figures of a booked session."""

    session: date
    day: DayFigures


@dataclass(frozen=True, slots=True)
class BookLine:
    """One symbol of the book after a close; field for field ``kernels.records.BOOK`` after the name (tested).

    The last six came later: a row written before reads with their defaults.
    """

    symbol: str
    shares: float
    mark: float
    missing: int
    entry: float
    best: float
    age: int
    atr: float
    stop: float
    target: float
    stop_reason: OrderReason
    order: float
    order_reason: OrderReason
    order_stop: float
    order_target: float
    order_stop_reason: OrderReason
    order_atr: float
    cost: float
    order_kind: int = 0
    order_level: float = math.nan
    order_keep: int = 0
    rest: float = 0.0
    spent: float = math.nan
    earned: float = math.nan


@dataclass(frozen=True, slots=True)
class EventLine:
    """Something that happened in a session: ``kernels.records.EVENT`` with names instead of numbers, in lower case."""

    symbol: str
    kind: str
    outcome: str
    reason: OrderReason
    shares: float
    price: float
    reference: float
    commission: float
    cash: float


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A booked session: its figures, the whole book after the close, and what happened, in order."""

    book: BookId
    session: date
    day: DayFigures
    lines: tuple[BookLine, ...]
    events: tuple[EventLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """A deposit (positive) or withdrawal in USD, effective at the open of ``session``. ``id`` makes it count once."""

    id: str
    book: BookId
    session: date
    amount: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A clean comparison at ``at`` (UTC) did not show an order in doubt; ``held`` is what the broker held of its symbol then (shares)."""

    order_id: str
    at: datetime
    held: int


@dataclass(frozen=True, slots=True)
class Adjustment:
    """The operator accepted the broker's word: the ledger's expectation changes by ``shares`` of ``symbol`` and by ``cash`` USD.

    ``symbol`` None: cash alone. ``price`` in USD a share (NaN = not known). ``orders``: ids whose break is accepted with it. It counts from
    the last booked session on, until the next one is booked with it.
    """

    id: str
    book: BookId
    symbol: str | None
    shares: int
    price: float
    cash: float
    reason: str
    at: datetime
    orders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instrument:
    """The broker's lasting key of what ``symbol`` means in this book."""

    book: BookId
    symbol: str
    key: str


@dataclass(frozen=True, slots=True)
class LateFill:
    """A fill that was recorded or corrected after its session had been booked: as it was then (None: not at all) and as it is now."""

    before: Fill | None
    now: Fill


@dataclass(frozen=True, slots=True)
class HaltRow:
    """Trading was halted (``halted``) or resumed, at a UTC instant, for ``reason``."""

    halted: bool
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """A message to be delivered. ``id`` makes the same alert go out once."""

    id: str
    severity: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class PostedAlert:
    """An alert as it stands in the outbox: its journal row, and when it was posted (UTC)."""

    seq: int
    at: datetime
    alert: Alert


@dataclass(frozen=True, slots=True)
class Delivered:
    """The alert ``id`` reached ``channel``. No longer written: deliveries have a record of their own. Old journals may hold some."""

    id: str
    channel: str


@dataclass(frozen=True, slots=True)
class SentTotals:
    """Sends counted from the journal: how many, and their notional in USD (NaN when a price was unknown)."""

    orders: int
    notional: float


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What :meth:`Ledger.verify` checked: rows of the chain, its last hash, and every fault found (none = sound)."""

    rows: int
    last_hash: str
    faults: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """True when the chain, its mark and every projection agree."""
        return not self.faults


OPEN_STATES = frozenset({OrderState.NEW, OrderState.SENDING, OrderState.LIVE, OrderState.UNKNOWN})
"""States in which an order may still trade."""

_S = OrderState
TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    _S.NEW: frozenset({_S.SENDING, _S.DENIED, _S.CANCELLED, _S.EXPIRED}),
    _S.SENDING: frozenset({_S.NEW, _S.LIVE, _S.UNKNOWN, _S.REJECTED, _S.FILLED}),
    _S.LIVE: frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset({_S.LIVE, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED, _S.ABANDONED}),
    _S.ABANDONED: frozenset({_S.LIVE, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED}),
    _S.CANCELLED: frozenset({_S.FILLED}),
    _S.EXPIRED: frozenset({_S.FILLED}),
    _S.FILLED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.DENIED: frozenset(),
}
"""What may follow. An order that ended never becomes live again, but for one given up that appears after all;
a fill may still arrive for one cancelled or expired."""
