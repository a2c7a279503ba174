"""The account and its market: orders accepted, triggered, filled, cancelled and expired; cash and positions booked.

It knows nothing of wires. Prices come from the test; nothing fills of itself.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from tests.gateway.account import Execution, Holding, Instrument, Ticket, stamp

P, R, S = ParamSpec("P"), TypeVar("R"), TypeVar("S", bound="Exchange")
SYMBOLS = ("AAPL", "MSFT", "SPY", "IBM", "AAA", "BBB", "CCC", "DDD", "EEE")


class Refused(Exception):
    """An order or cancel the broker does not take: its error code and words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


class Watcher(Protocol):
    """Who is told what happens."""

    def order_changed(self, ticket: Ticket) -> None: ...

    def executed(self, done: Execution) -> None: ...


def alone(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """One at a time: the test's thread and the server's meet here."""

    @wraps(method)
    def locked(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **kwargs)

    return locked


class Exchange:
    """State at the broker.

    Parameters
    ----------
    account, cash
        Its id and USD.
    clock
        Time of executions; ``utc_now`` of the machine when not given.
    """

    def __init__(self, account: str, cash: float, symbols: Iterable[str] = SYMBOLS, clock: Callable[[], datetime] | None = None) -> None:
        self.lock = threading.RLock()
        self.account, self.cash = account, cash
        self.clock = clock or (lambda: datetime.now(UTC))
        self.instruments = {one.con_id: one for one in map(Instrument.of, symbols)}
        self.tickets: dict[int, Ticket] = {}
        self.executions: dict[str, Execution] = {}
        self.holdings: dict[int, Holding] = {}
        self.marks: dict[int, float] = {}
        self.accepted: Counter[str] = Counter()
        self.is_open = False
        self.watcher: Watcher | None = None
        self.takes: Callable[[Ticket], int] = lambda ticket: ticket.remaining
        self._perm, self._fill = 1_700_000_000, 0

    def fee(self, shares: float, price: float) -> float:
        """USD of commission: half a cent a share, at least a dollar."""
        return max(1.0, 0.005 * abs(shares))

    def set_time(self, iso: str) -> None:
        """Its clock stands there from now on."""
        now = datetime.fromisoformat(iso)
        self.clock = lambda: now

    def take_at_most(self, shares: int | None) -> None:
        """A print fills no more than that of an order; None: all of it."""
        self.takes = lambda ticket: ticket.remaining if shares is None else min(shares, ticket.remaining)

    # What a test asks

    @property
    def positions(self) -> dict[str, float]:
        """Signed shares by symbol, without what is flat."""
        return {self.instruments[con_id].symbol: one.shares for con_id, one in self.holdings.items() if one.shares}

    @property
    def nav(self) -> float:
        """Cash and holdings at the last price (average cost where none was)."""
        return self.cash + sum(one.shares * self.mark(con_id) for con_id, one in self.holdings.items())

    def mark(self, con_id: int) -> float:
        return self.marks.get(con_id, self.holdings[con_id].average if con_id in self.holdings else 0.0)

    def orders(self, ref: str | None = None, *, live: bool = False) -> list[Ticket]:
        """Orders in memory, of one ref or all, oldest first. Those that ended are forgotten with the day."""
        return [one for one in self.tickets.values() if ref in (None, one.ref) and one.transmit and (one.live or not live)]

    def instrument(self, key: int | str) -> Instrument:
        """By conId or symbol. Error 200 when unknown."""
        for one in self.instruments.values():
            if key in (one.con_id, one.symbol):
                return one
        raise Refused(200, "No security definition has been found for the request")

    @alone
    def enlist(self, symbol: str, **terms: Any) -> Instrument:
        """Make a symbol tradable."""
        one = replace(Instrument.of(symbol), **terms)
        self.instruments[one.con_id] = one
        return one

    # Orders

    @alone
    def place(self, ticket: Ticket) -> Ticket:
        """Take an order. One that is not to be transmitted waits unseen for the last of its bracket."""
        self._check(ticket)
        self._perm += 1
        ticket.perm_id = self._perm
        self.tickets[ticket.perm_id] = ticket
        parent = self._parent(ticket)
        if ticket.parent_id and parent is None:
            del self.tickets[ticket.perm_id]
            raise Refused(135, f"Can't find order with id = {ticket.parent_id}")
        if ticket.transmit:
            for one in (*self._held_back(parent), ticket):
                one.transmit = True
                self._accept(one)
        return ticket

    def _accept(self, ticket: Ticket) -> None:
        parent = self._parent(ticket)
        self.accepted[ticket.ref] += 1
        if parent is not None and parent.status != "Filled":
            ticket.status, ticket.why_held = "PreSubmitted", "child"
        else:
            ticket.status = self._working_status(ticket)
        self._tell(ticket)

    def _working_status(self, ticket: Ticket) -> str:
        waits = not self.is_open or ticket.type in {"STP", "MOC"} or ticket.tif == "OPG" or bool(ticket.good_after)
        return "PreSubmitted" if waits else "Submitted"

    def _check(self, ticket: Ticket) -> None:
        if ticket.account != self.account:
            raise Refused(321, f"Error validating request.-'b2' : cause - Invalid account code '{ticket.account}'.")
        tick = self.instrument(ticket.con_id).min_tick
        for price in (ticket.limit, ticket.aux):
            if price is not None and not math.isclose(price / tick, round(price / tick), abs_tol=1e-6):
                raise Refused(110, "The price does not conform to the minimum price variation for this contract.")

    @alone
    def modify(self, ticket: Ticket, quantity: int, limit: float | None, aux: float | None) -> None:
        """Change a live order's terms."""
        if not ticket.live:
            raise Refused(104, "Cannot modify a filled order.")
        self._check(replace(ticket, limit=limit, aux=aux))
        ticket.quantity, ticket.limit, ticket.aux = quantity, limit, aux
        self._tell(ticket)

    @alone
    def cancel(self, ticket: Ticket, words: str = "Order Canceled - reason:") -> None:
        """End a live order, and the legs that wait for it."""
        if not ticket.live:
            raise Refused(10148, f"OrderId {ticket.order_id} that needs to be cancelled cannot be cancelled, state: {ticket.status}.")
        ticket.end("Cancelled", words, self.clock())
        self._tell(ticket)
        for leg in self._legs(ticket):
            if leg.live and leg.why_held == "child":
                self.cancel(leg, words)

    def _parent(self, ticket: Ticket) -> Ticket | None:
        own = (one for one in self.tickets.values() if one.client_id == ticket.client_id and one.order_id == ticket.parent_id)
        return next(own, None) if ticket.parent_id else None

    def _legs(self, ticket: Ticket) -> list[Ticket]:
        return [one for one in self.tickets.values() if one.client_id == ticket.client_id and one.parent_id == ticket.order_id and ticket.order_id]

    def _held_back(self, parent: Ticket | None) -> list[Ticket]:
        return [one for one in (parent, *self._legs(parent)) if not one.transmit] if parent else []

    # The market

    @alone
    def open_session(self, prices: Mapping[str, float]) -> None:
        """The opening auction. Without a price (absent, NaN) a symbol does not open; what was only for the open ends."""
        self.is_open = True
        for symbol in sorted(prices):
            self._print(symbol, prices[symbol], opening=True)
        for one in self._working():
            if one.tif == "OPG":
                self.cancel(one, "Order Canceled - reason: no fill at the open")
            elif one.status == "PreSubmitted" and one.works(self.clock()):
                one.status = self._working_status(one)
                self._tell(one)

    @alone
    def trade(self, symbol: str, price: float) -> None:
        """A print: what it triggers fills, a limit at its own price, a stop or market order at the print's."""
        self._print(symbol, price, opening=False)

    @alone
    def close_session(self, prices: Mapping[str, float]) -> None:
        """The closing auction; DAY orders end."""
        for symbol in sorted(prices):
            con_id = self._mark(symbol, prices[symbol])
            for one in self._working(con_id) if prices[symbol] > 0.0 else ():
                if one.type == "MOC" and one.works(self.clock()):
                    self._execute(one, self.takes(one), prices[symbol])
        self.is_open = False
        for one in self._working():
            if one.tif in {"DAY", "OPG"} and one.live:
                self.cancel(one, "Order Canceled - reason: expired")

    def _print(self, symbol: str, price: float, *, opening: bool) -> None:
        con_id = self._mark(symbol, price)
        if not price > 0.0:
            return
        for one in self._working(con_id):
            at = _fills_at(one, price, opening=opening)
            if at is not None and one.works(self.clock()):
                self._execute(one, self.takes(one), at)

    def _mark(self, symbol: str, price: float) -> int:
        con_id = self.instrument(symbol).con_id
        if price > 0.0:
            self.marks[con_id] = price
        return con_id

    def _working(self, con_id: int | None = None) -> Iterator[Ticket]:
        """Looked at one by one: an order may end while another fills."""
        return (one for one in list(self.tickets.values()) if one.live and con_id in (None, one.con_id))

    @alone
    def fill(self, ref: str, price: float, shares: int | None = None) -> Execution:
        """Fill the live order of ``ref``, wholly or ``shares`` (unsigned) of it, wherever the market is."""
        (ticket,) = [one for one in self.orders(ref) if one.live]
        return self._execute(ticket, ticket.remaining if shares is None else shares, price)

    def _execute(self, ticket: Ticket, shares: int, price: float) -> Execution:
        ticket.filled += shares
        ticket.spent += shares * price
        ticket.last_price = price
        done = self._record(ticket, ticket.sign * shares, price)
        if ticket.remaining <= 0:
            ticket.end("Filled", f"Filled Size: {ticket.filled}", self.clock())
        self._tell(ticket)
        self._after_fill(ticket, shares)
        return done

    def _record(self, ticket: Ticket, shares: int, price: float) -> Execution:
        self._fill += 1
        done = Execution(
            f"{ticket.perm_id & 0xFFFFFFFF:08x}.{self._fill:08x}.01.01", ticket.perm_id, ticket.order_id, ticket.client_id, ticket.con_id,
            self.account, shares, price, ticket.filled, ticket.average, stamp(self.clock()), self.fee(shares, price), ticket.ref,
            self.instruments[ticket.con_id].exchange,
        )  # fmt: skip
        self.executions[done.id] = done
        self._book(done.con_id, shares, price, done.commission or 0.0)
        if self.watcher:
            self.watcher.executed(done)
        return done

    def _book(self, con_id: int, shares: float, price: float, commission: float) -> None:
        self.holdings.setdefault(con_id, Holding()).book(shares, price, commission)
        self.cash -= shares * price + commission

    def _after_fill(self, ticket: Ticket, shares: int) -> None:
        """The rest of its group is cancelled (type 1) or cut (2 and 3); legs that waited for it begin to work."""
        for one in self._working():
            if ticket.oca_group and one.oca_group == ticket.oca_group and one is not ticket:
                if ticket.oca_type == 1 or one.remaining <= shares:
                    self.cancel(one, "Order Canceled - reason: OCA")
                else:
                    one.quantity -= shares
                    self._tell(one)
        if ticket.status == "Filled":
            for leg in self._legs(ticket):
                if leg.live and leg.why_held == "child":
                    leg.why_held, leg.status = "", self._working_status(leg)
                    self._tell(leg)

    # What nobody ordered through us

    @alone
    def foreign_order(self, symbol: str, shares: int, limit: float = 1.0, ref: str = "", client_id: int = 0) -> Ticket:
        """Somebody else's resting limit order on the same account; typed in by hand it has order id 0 and client 0."""
        one = self.instrument(symbol)
        action = "BUY" if shares > 0 else "SELL"
        return self.place(Ticket(0, client_id, 0, one.con_id, self.account, action, abs(shares), "LMT", limit=limit, tif="GTC", ref=ref))

    @alone
    def manual_trade(self, symbol: str, shares: int, price: float) -> Execution:
        """A trade typed in by hand: done at once, without a reference."""
        self._perm += 1
        one = self.instrument(symbol)
        action = "BUY" if shares > 0 else "SELL"
        ticket = Ticket(0, 0, self._perm, one.con_id, self.account, action, abs(shares), "MKT", filled=abs(shares), spent=abs(shares) * price)
        return self._record(ticket, shares, price)

    @alone
    def correct(self, execution_id: str, price: float | None = None, shares: int | None = None) -> Execution:
        """The exchange's correction of a fill: the same id with the last part one higher. It takes the place of the old one."""
        old = self.executions[execution_id]
        later = int(old.id.rpartition(".")[2]) + 1
        new = replace(
            old, id=f"{old.stem}.{later:02d}", price=old.price if price is None else price, shares=old.shares if shares is None else shares
        )
        self._book(old.con_id, -old.shares, old.price, 0.0)
        self._book(new.con_id, new.shares, new.price, 0.0)
        self.executions[new.id] = new
        if self.watcher:
            self.watcher.executed(new)
        return new

    @alone
    def split(self, symbol: str, ratio: float) -> None:
        """``ratio`` new shares for one. The broker cancels resting orders of a symbol that splits."""
        con_id = self.instrument(symbol).con_id
        if con_id in self.holdings:
            held = self.holdings[con_id]
            held.shares, held.average = held.shares * ratio, held.average / ratio
        if con_id in self.marks:
            self.marks[con_id] /= ratio
        for one in self._working(con_id):
            self.cancel(one, "Order Canceled - reason: corporate action")

    @alone
    def dividend(self, symbol: str, per_share: float) -> None:
        """Cash for each share held."""
        held = self.holdings.get(self.instrument(symbol).con_id)
        self.cash += held.shares * per_share if held else 0.0

    @alone
    def new_day(self) -> None:
        """Midnight: what was executed or ended is no longer told."""
        self.executions.clear()
        self.tickets = {key: one for key, one in self.tickets.items() if one.live}

    def drop_untransmitted(self) -> None:
        """A restart forgets orders that were never transmitted."""
        self.tickets = {key: one for key, one in self.tickets.items() if one.transmit}

    def _tell(self, ticket: Ticket) -> None:
        if self.watcher and ticket.transmit:
            self.watcher.order_changed(ticket)

    # A process of its own keeps this in a file

    @alone
    def state(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "account": self.account, "cash": self.cash, "is_open": self.is_open, "perm": self._perm, "fill": self._fill,
            "instruments": [asdict(one) for one in self.instruments.values()],
            "tickets": [asdict(one) for one in self.tickets.values()],
            "executions": [asdict(one) for one in self.executions.values()],
            "holdings": {str(key): asdict(one) for key, one in self.holdings.items()},
            "marks": {str(key): one for key, one in self.marks.items()}, "accepted": dict(self.accepted),
        }  # fmt: skip

    @alone
    def restore(self, state: Mapping[str, Any]) -> None:
        """As it was when :meth:`state` was asked."""
        self.account, self.cash, self.is_open = state["account"], state["cash"], state["is_open"]
        self._perm, self._fill = state["perm"], state["fill"]
        self.instruments = {one["con_id"]: Instrument(**one) for one in state["instruments"]}
        self.tickets = {one["perm_id"]: Ticket(**one) for one in state["tickets"]}
        self.executions = {one["id"]: Execution(**one) for one in state["executions"]}
        self.holdings = {int(key): Holding(**one) for key, one in state["holdings"].items()}
        self.marks = {int(key): one for key, one in state["marks"].items()}
        self.accepted = Counter(state["accepted"])


def _fills_at(ticket: Ticket, price: float, *, opening: bool) -> float | None:
    """Price at which a print fills the order, else None. What gaps through its level fills at the open's price."""
    if ticket.type == "MOC" or (ticket.tif == "OPG" and not opening):
        return None
    if ticket.type == "MKT":
        return price
    if ticket.type == "STP":
        assert ticket.aux is not None
        return price if ticket.sign * (price - ticket.aux) >= 0 else None
    assert ticket.limit is not None
    if ticket.sign * (ticket.limit - price) < 0:
        return None
    return price if opening else ticket.limit
