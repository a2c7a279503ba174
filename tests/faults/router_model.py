"""A broker as it is behind a wire, in memory: what is true there, and the many ways in which a client is told less, later or twice.

The truth never lies: ``accepted`` counts how often each reference was taken, ``held`` is what is held. Every fault that is delivered is
counted in ``faults`` by its name; a fault that is armed and meets nothing counts for nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Fill, Order, OrderReason, OrderType
from mech_exo.execution.broker import (
    AccountState,
    Acknowledgement,
    BrokerOrder,
    BrokerOrderState,
    BrokerPosition,
    Capabilities,
    NotSentError,
)

NEW_YORK = ZoneInfo("America/New_York")
OPEN, FILLED, CANCELLED, EXPIRED = (BrokerOrderState(name) for name in ("open", "filled", "cancelled", "expired"))
QUESTIONS = ("open_orders", "completed_orders", "executions", "positions", "account")
PLACING = ("lost", "ack cut", "late visibility", "rejected", "not written")
PRICE = 100.0
WIRE = Capabilities("model", live=False, absence_is_proof=False)
QUIET = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
ROUGH = (0.6, 0.06, 0.08, 0.06, 0.14, 0.06)
"""How likely nothing, and each fault of PLACING, is."""
T = TypeVar("T")


class Killed(BaseException):
    """The process ends here."""


@dataclass(slots=True)
class Taken:
    """An order the broker took: ``works`` from (a leg works once its entry filled), shown from ``shown_from`` on."""

    order: Order
    broker_id: str
    shown_from: datetime
    state: BrokerOrderState = OPEN
    filled: int = 0
    works: bool = True
    ended_on: date | None = None


@dataclass(slots=True)
class Told:
    """An execution, told from ``shown_from`` on, its commission from ``commission_from``; ``former`` is told instead now and then."""

    fill: Fill
    shown_from: datetime
    commission_from: datetime
    former: Fill | None = None
    owed: bool = True


@dataclass
class ModelBroker:
    """The broker. ``armed`` maps a place where something can go wrong to what does; ``point`` may end the process at a named place."""

    chance: Random
    account_id: str
    at: datetime
    point: Callable[[str], None]
    watch: Callable[[Order, tuple[Order, ...]], None]
    capabilities: Capabilities = WIRE
    cash: float = 1e6
    held: Counter[str] = field(default_factory=Counter)
    taken: dict[str, Taken] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    foreign: dict[str, BrokerOrder] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    armed: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    looks: list[datetime] = field(default_factory=list)
    deaf_cancels: int = 0
    repeats: int = 0
    odds: tuple[float, ...] = QUIET
    number: int = 0

    def connect(self) -> None: ...

    def close(self) -> None: ...

    def happens(self, what: str) -> None:
        """Count a fault that was delivered."""
        self.faults[what] += 1

    @property
    def today(self) -> date:
        """The day in New York."""
        return self.at.astimezone(NEW_YORK).date()

    # --- questions

    def probe(self) -> None:
        self.point("probe")
        if self.armed.pop("probe", None):
            self.happens("probe unanswered")
            raise BrokerError("no answer within a second")

    def account(self) -> AccountState:
        self._ask("account")
        return AccountState(self.account_id, self.cash, self.cash + PRICE * sum(self.held.values()))

    def positions(self) -> tuple[BrokerPosition, ...]:
        self._ask("positions")
        return tuple(BrokerPosition(symbol, shares, PRICE, f"con-{symbol}") for symbol, shares in sorted(self.held.items()) if shares)

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        self._ask("open_orders")
        if self.answered >= set(QUESTIONS):
            self.looks.append(self.at)
        ours = [self._shown(one) for one in self.taken.values() if one.state is OPEN and one.shown_from <= self.at]
        return self._repeated([*ours, *self.foreign.values()])

    def completed_orders(self) -> tuple[BrokerOrder, ...]:
        self._ask("completed_orders")
        return self._repeated([self._shown(one) for one in self.taken.values() if one.ended_on == self.today and one.shown_from <= self.at])

    def executions(self, since: date) -> tuple[Fill, ...]:
        self._ask("executions")
        told = [self._told(one) for one in self.told if one.fill.session == self.today and one.shown_from <= self.at]
        if "corrections out of order" in self.armed:
            former = [one.former for one in self.told if one.former is not None and one.fill.session == self.today and one.shown_from <= self.at]
            if former:
                del self.armed["corrections out of order"]
                self.happens("corrections out of order")
                told += former
        return self._repeated([fill for fill in told if fill.session >= since])

    def _ask(self, what: str) -> None:
        self.point(f"ask {what}")
        if self.armed.pop(what, None):
            self.happens(f"no end marker: {what}")
            raise BrokerError(f"{what} was not answered to its end")
        if what == "positions" and self.armed.pop("moves", None) and self._resting_fills():
            self.happens("a fill while comparing")
        self.answered.add(what)

    def _repeated(self, rows: list[T]) -> tuple[T, ...]:
        """Told twice and in another order, if that is armed."""
        if rows and self.repeats:
            self.repeats -= 1
            self.happens("told twice, out of order")
            rows = rows + self.chance.choices(rows, k=2)
            self.chance.shuffle(rows)
        return tuple(rows)

    def _shown(self, one: Taken) -> BrokerOrder:
        o = one.order
        return BrokerOrder(o.id, one.broker_id, o.symbol, o.shares, one.state, one.state.value, one.filled, o.level)

    def _told(self, one: Told) -> Fill:
        if one.commission_from <= self.at:
            return one.fill
        if one.owed:
            one.owed = False
            self.happens("a commission told late")
        return replace(one.fill, commission=math.nan)

    # --- orders

    def place(self, order: Order, legs: Sequence[Order] = ()) -> Acknowledgement:
        self.point("place, before it leaves")
        self.watch(order, tuple(legs))
        fault = self.chance.choices(("", *PLACING), self.odds)[0]
        if fault:
            self.happens(fault)
        if fault == "not written":
            raise NotSentError("the socket was closed")
        if fault == "lost":
            raise BrokerError("no acknowledgement")
        if fault == "rejected":
            return Acknowledgement(order.id, False, None, "margin")
        shown = self.at + timedelta(seconds=self.chance.choice((5, 30, 150, 400))) if fault == "late visibility" else self.at
        for one in (order, *legs):
            self.accepted[one.id] += 1
            self.number += 1
            self.taken[one.id] = Taken(one, str(self.number), shown, works=one.parent is None)
        self.point("place, after it was taken")
        if fault:
            raise BrokerError("no acknowledgement")
        return Acknowledgement(order.id, True, self.taken[order.id].broker_id)

    def cancel(self, order_id: str) -> None:
        self.point("cancel")
        one = self.taken.get(order_id)
        if self.deaf_cancels:
            self.deaf_cancels -= 1
            self.happens("a cancel ignored")
        elif one is not None and one.state is OPEN:
            self._end(one, CANCELLED)

    # --- what happens there

    def _end(self, one: Taken, state: BrokerOrderState) -> None:
        one.state, one.ended_on = state, self.today
        if state in (CANCELLED, EXPIRED):
            for leg in self.taken.values():
                if leg.order.parent == one.order.id and leg.state is OPEN:
                    self._end(leg, CANCELLED)

    def fill(self, one: Taken, shares: int, *, hidden: timedelta = timedelta(), unpaid: timedelta = timedelta()) -> Told:
        """Fill ``shares`` (signed) of an order; what is left of its group is cancelled, its legs work."""
        o, price = one.order, one.order.level or PRICE
        fill = Fill(f"ib-{len(self.told):06d}", o.id, o.symbol, shares, price, 1.0, self.today, self.at, o.reason, price)
        told = Told(fill, self.at + hidden, self.at + max(hidden, unpaid))
        self.told.append(told)
        self._book(fill)
        one.filled += shares
        if one.filled == o.shares:
            self._end(one, FILLED)
        if o.group is not None:
            for other in self.taken.values():
                if other.order.group == o.group and other is not one and other.state is OPEN:
                    self._end(other, CANCELLED)
        for leg in self.taken.values():
            if leg.order.parent == o.id and one.state is FILLED:
                leg.works = True
        return told

    def _book(self, fill: Fill, sign: int = 1) -> None:
        self.held[fill.symbol] += sign * fill.shares
        self.cash -= sign * (fill.shares * fill.price + fill.commission)

    def correct(self, told: Told, *, shares: int, price: float) -> None:
        """The exchange corrects an execution."""
        self._book(told.fill, -1)
        self.taken[told.fill.order_id].filled += shares - told.fill.shares
        told.former, told.fill = told.fill, replace(told.fill, shares=shares, price=price, revision=told.fill.revision + 1)
        self._book(told.fill)

    def trade_by_hand(self, symbol: str, shares: int) -> None:
        """Somebody trades without this program."""
        fill = Fill(f"ib-h{len(self.told):05d}", "", symbol, shares, PRICE, 1.0, self.today, self.at, OrderReason.NONE, PRICE)
        self.told.append(Told(fill, self.at, self.at))
        self._book(fill)

    def split(self, symbol: str, ratio: int) -> None:
        """Shares are multiplied; the exchange cancels what rests."""
        self.held[symbol] *= ratio
        for one in self.taken.values():
            if one.order.symbol == symbol and one.state is OPEN:
                self._end(one, CANCELLED)

    def resting(self, symbol: str | None = None) -> list[Taken]:
        """Working resting orders."""
        rows = (one for one in self.taken.values() if one.state is OPEN and one.works and one.order.rests)
        return [one for one in rows if symbol in (None, one.order.symbol)]

    def _resting_fills(self) -> bool:
        stops = [one for one in self.resting() if one.shown_from <= self.at and one.order.shares * self.held[one.order.symbol] < 0]
        if not stops:
            return False
        one = self.chance.choice(stops)
        self.fill(one, one.order.shares - one.filled)
        return True

    def evening_of(self, day: date) -> None:
        """The clock goes to six in the evening of ``day``."""
        self.at = max(self.at, datetime(day.year, day.month, day.day, 18, tzinfo=NEW_YORK).astimezone(UTC))

    def trade_day(self, day: date) -> None:
        """A session: orders for the open fill, in part or whole or not, stops and targets trigger, then the day's orders expire."""
        self.at = datetime(day.year, day.month, day.day, 9, 31, tzinfo=NEW_YORK).astimezone(UTC)
        for one in [one for one in self.taken.values() if one.order.type is OrderType.MARKET_ON_OPEN]:
            if one.state is OPEN and one.order.session == day:
                self._at_open(one)
        for one in self.resting():
            if one.state is OPEN and one.order.shares * self.held[one.order.symbol] < 0 and self.chance.random() < 0.12:
                self.fill(one, one.order.shares - one.filled, **self._late())
        for one in self.taken.values():
            if one.state is OPEN and not one.order.rests and one.order.session <= day:
                self._end(one, EXPIRED)

    def _at_open(self, one: Taken) -> None:
        left = one.order.shares - one.filled
        kind = self.chance.random()
        if kind < 0.12 and abs(left) > 1:
            self.happens("a partial fill")
            part = self.chance.randrange(1, abs(left)) * (1 if left > 0 else -1)
            self.fill(one, part, **self._late())
        elif kind < 0.9:
            for part in self._parts(left):
                self.fill(one, part, **self._late())

    def _parts(self, shares: int) -> tuple[int, ...]:
        if abs(shares) > 1 and self.chance.random() < 0.2:
            self.happens("filled in pieces")
            return (shares // 2, shares - shares // 2)
        return (shares,)

    def _late(self) -> dict[str, timedelta]:
        """A report that comes late, or a commission that does."""
        if self.chance.random() < 0.15:
            self.happens("a fill told late")
            return {"hidden": timedelta(hours=9)}
        if self.chance.random() < 0.15:
            return {"unpaid": timedelta(hours=9)}
        return {}
