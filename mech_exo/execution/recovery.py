"""Recovery: the broker's word on every order that was sent, taken over; and doubt, which ends by that word or by being given up.

An order in doubt is never sent again. It is given up (ABANDONED) once enough clean comparisons over enough time did not show it, all on
the New York day it was sent and with its symbol's position unchanged: executions and completed orders are told for that day alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import ID_PREFIX, Fill, OrderState
from mech_exo.execution.breaks import Break, BreakKind, GateReport
from mech_exo.execution.broker import AccountState, BrokerInterface, BrokerOrder, BrokerOrderState, BrokerPosition
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import OPEN_STATES, Alert, BookId, Instrument, OrderRow, Unseen
from mech_exo.utils.broker_settings import DoubtRules
from mech_exo.utils.calendar import NEW_YORK

MOST_LOOKS = 5
BEFORE_ANY_BOOK = timedelta(days=7)
ENDED = {OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED, OrderState.ABANDONED}
REFUSED = {OrderState.REJECTED, OrderState.DENIED}
_S = OrderState


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the broker said while nothing moved."""

    account: AccountState
    positions: tuple[BrokerPosition, ...]
    open_orders: tuple[BrokerOrder, ...]
    ended: tuple[BrokerOrder, ...]
    fills: tuple[Fill, ...]
    ids: frozenset[str]
    """Our references that the broker has anything to say of."""

    def held(self, symbol: str) -> int:
        """Signed shares of ``symbol``."""
        return next((position.shares for position in self.positions if position.symbol == symbol), 0)


def look(ledger: Ledger, broker: BrokerInterface, book: BookId) -> Snapshot:
    """Everything the broker says, read while neither order nor fill moved; asked again when one did.

    Raises BrokerError when an answer is incomplete, the connection does not answer, or nothing ever stood still.
    """
    since = _since(ledger, book)
    if broker.capabilities.absence_is_proof:
        return _read(broker, since)
    broker.probe()
    for _ in range(MOST_LOOKS):
        seen = _read(broker, since)
        again = _moving(broker.open_orders(), broker.completed_orders(), broker.executions(since))
        if again == _moving(seen.open_orders, seen.ended, seen.fills):
            broker.probe()
            return seen
    raise BrokerError(
        f"ledger and broker are compared while nothing moves; orders or fills moved during each of {MOST_LOOKS} looks",
        remedy="run the command again when the market is quieter",
    )


def recover(ledger: Ledger, seen: Snapshot, book: BookId, *, proof: bool) -> tuple[Break, ...]:
    """Take over what ``seen`` says: fills first, then the life or end of each order that was sent; in one commit.

    Breaks that halt: an order of ours that this journal does not have or never sent, one given up that is there after all, and one that was
    refused and has filled.
    ``proof``: absence proves that an order never arrived; else an order left SENDING and not shown is in doubt.
    """
    rows = {row.order.id: row for row in ledger.orders(book, states=OPEN_STATES)}
    known = rows | ledger.find_orders(seen.ids - rows.keys())
    accepted = ledger.accepted_orders(book)
    breaks = _strays(seen, known, accepted, proof)
    mine = {id_: row for id_, row in known.items() if row.book == book}
    adopted = [row for id_, row in mine.items() if row.state is _S.NEW and id_ in seen.ids]
    revived = [row for id_, row in mine.items() if row.state is _S.ABANDONED and id_ in seen.ids]
    breaks += [_adopted(BreakKind.LOST_JOURNAL, row, "the broker has an order that this ledger never sent") for row in adopted]
    breaks += [_adopted(BreakKind.REVIVED_ORDER, row, "an order given up is at the broker after all") for row in revived]
    filled = {fill.order_id for fill in seen.fills} - accepted
    refused = [row for id_, row in mine.items() if row.state in REFUSED and id_ in filled]
    breaks += [_adopted(BreakKind.REVIVED_ORDER, row, f"an order that is {row.state} here has filled at the broker") for row in refused]
    with ledger.transaction():
        for row in adopted:
            ledger.set_state(row.order.id, _S.SENDING, "the broker has it, though this ledger never sent it")
        new_fills = [ledger.record_fill(book, fill) for fill in seen.fills if fill.order_id in mine]
        if adopted or any(new_fills):
            mine = ledger.find_orders(mine)
        _settle_all(ledger, mine, seen, proof)
        if not proof:
            _settle_absent(ledger, [row for row in mine.values() if row.state is _S.LIVE and row.order.id not in seen.ids])
        if breaks and not ledger.is_halted:
            ledger.halt(str(breaks[0]))  # in the commit that adopts: a process that ends here must not forget it
    return tuple(breaks)


def resolve_doubts(ledger: Ledger, seen: Snapshot, report: GateReport, rules: DoubtRules) -> tuple[str, ...]:
    """Count this comparison for every order in doubt that it does not show, and give up those that were not shown often enough."""
    given_up = []
    with ledger.transaction():
        for row in ledger.orders(report.book, states={_S.UNKNOWN}):
            if not report.halting and row.order.symbol not in report.locked and _count(ledger, row, seen.held(row.order.symbol), rules):
                note = f"given up: {rules.snapshots} clean comparisons over {rules.minutes:g} minutes did not show it"
                ledger.set_state(row.order.id, _S.ABANDONED, note)
                ledger.post_alert(_given_up(row, note))
                given_up.append(row.order.id)
    return tuple(given_up)


def end_passed(ledger: Ledger, report: GateReport) -> bool:
    """End LIVE orders of one session that has passed and that the broker shows no more, where the symbol's position is as expected.

    Such an order cannot trade any more, and had it filled the position would differ.
    """
    differing = {found.symbol for found in report.breaks if found.kind is BreakKind.POSITION}
    missing = {id_ for found in report.breaks if found.kind is BreakKind.MISSING_ORDER for id_ in found.orders}
    rows = [row for id_, row in ledger.find_orders(missing).items() if row.order.symbol not in differing and not row.order.rests]
    passed = [row for row in rows if row.order.session < _day(ledger.now())]
    with ledger.transaction():
        for row in passed:
            ledger.set_state(row.order.id, _S.EXPIRED, "its session passed; the broker shows neither it nor shares from it")
    return bool(passed)


def note_instruments(ledger: Ledger, seen: Snapshot, book: BookId) -> None:
    """Journal what each held symbol means at the broker when it is first seen."""
    known = ledger.instruments(book)
    with ledger.transaction():
        for position in seen.positions:
            if position.instrument and position.symbol not in known:
                ledger.record_instrument(Instrument(book, position.symbol, position.instrument))


def _since(ledger: Ledger, book: BookId) -> date:
    """From when fills are asked for: the oldest order that may have filled, or the last booked session, for what is reported late."""
    days = [day for day in (ledger.last_booked(book), ledger.oldest_open(book)) if day is not None]
    return min(days, default=(ledger.now() - BEFORE_ANY_BOOK).date())


def _read(broker: BrokerInterface, since: date) -> Snapshot:
    open_orders, ended, fills = broker.open_orders(), broker.completed_orders(), broker.executions(since)
    said = {order.order_id for order in (*open_orders, *ended)} | {fill.order_id for fill in fills}
    ours = frozenset(id_ for id_ in said if id_.startswith(ID_PREFIX))
    return Snapshot(broker.account(), broker.positions(), open_orders, ended, fills, ours)


def _moving(open_orders: tuple[BrokerOrder, ...], ended: tuple[BrokerOrder, ...], fills: tuple[Fill, ...]) -> object:
    """What must not change during a comparison."""
    orders = sorted((order.broker_id, order.order_id, order.state.value, order.shares, order.filled) for order in (*open_orders, *ended))
    return orders, sorted((fill.id, fill.revision, fill.shares, fill.price) for fill in fills)


def _strays(seen: Snapshot, known: Mapping[str, OrderRow], accepted: frozenset[str], proof: bool) -> list[Break]:
    """Orders and fills with our reference that no journal of this workspace has. A broker inside fills its own levels without orders."""
    alive = {order.order_id: order for order in seen.open_orders}
    said = {order.order_id: (order.symbol, order.shares) for order in (*seen.ended, *seen.open_orders)}
    if not proof:
        said |= {fill.order_id: (fill.symbol, fill.shares) for fill in seen.fills if fill.order_id not in said}
    found = []
    for id_, (symbol, shares) in sorted(said.items()):
        if id_ in seen.ids and id_ not in known and (id_ in alive or id_ not in accepted):
            note = f"the broker has {id_}, which is ours and not in the ledger"
            found.append(Break(BreakKind.LOST_JOURNAL, symbol, float("nan"), shares, note, orders=(id_,), open=id_ in alive))
    return found


def _adopted(kind: BreakKind, row: OrderRow, note: str) -> Break:
    said = f"{note}: {row.order.id}"
    return Break(kind, row.order.symbol, float("nan"), row.order.shares, said, orders=(row.order.id,))


def _settle_all(ledger: Ledger, mine: Mapping[str, OrderRow], seen: Snapshot, proof: bool) -> None:
    alive = {order.order_id: order for order in seen.open_orders}
    over = {order.order_id: order for order in seen.ended if order.state is not BrokerOrderState.OPEN}
    for id_, row in mine.items():
        if row.state not in OPEN_STATES and row.state is not _S.ABANDONED:
            continue
        if row.state is _S.NEW:
            continue
        if id_ in alive and (row.state, row.broker_id) == (_S.LIVE, alive[id_].broker_id):
            continue
        if id_ in alive:
            ledger.set_state(id_, _S.LIVE, "found open at the broker", alive[id_].broker_id)
        elif id_ in over:
            _end(ledger, row, over[id_])
            if row.order.parent in alive and over[id_].state is not BrokerOrderState.FILLED:
                ledger.post_alert(_leg_gone(row))
        elif row.filled and row.state is not _S.LIVE:
            ledger.set_state(id_, _S.LIVE, "the broker reports fills of it")
        elif row.state is _S.SENDING:
            _doubt(ledger, row, proof)
        elif row.state is _S.UNKNOWN and proof:
            ledger.set_state(id_, _S.CANCELLED, "the broker proves that it never arrived")


def _end(ledger: Ledger, row: OrderRow, over: BrokerOrder) -> None:
    if row.state is _S.SENDING:
        ledger.set_state(row.order.id, _S.UNKNOWN, "left in doubt by the last process")
    ledger.set_state(row.order.id, OrderState(over.state.value), over.note or "ended at the broker", over.broker_id)


def _doubt(ledger: Ledger, row: OrderRow, proof: bool) -> None:
    if proof:
        ledger.set_state(row.order.id, _S.NEW, "the broker proves that it never arrived")
    else:
        ledger.set_state(row.order.id, _S.UNKNOWN, "the last process ended while sending; the broker does not show it")


def _settle_absent(ledger: Ledger, missing: Sequence[OrderRow]) -> None:
    """End LIVE orders that the broker shows no more and whose end follows from another's.

    These are legs of an entry that ended unfilled and the rest of a group of which one filled. Everything else that is absent stays LIVE,
    and is a break.
    """
    for row in missing:
        order = row.order
        parent = ledger.find_order(order.parent) if order.parent is not None else None
        if parent is not None and parent.state in ENDED and not parent.filled:
            ledger.set_state(order.id, _S.CANCELLED, f"ended with its entry {parent.order.id}")
        elif order.group is not None and ledger.group_filled(order.group):
            ledger.set_state(order.id, _S.CANCELLED, "another order of its group filled")


def _count(ledger: Ledger, row: OrderRow, held: int, rules: DoubtRules) -> bool:
    """Journal that the order was not shown; True when that was often and long enough, on one day, with an unchanged position."""
    now, sent = ledger.now(), ledger.sent_at(row.order.id)
    if sent is None or _day(sent) != _day(now) or now < sent:
        return False
    ledger.note_unseen(Unseen(row.order.id, now, held))
    run: list[datetime] = []
    for one in ledger.unseen(row.order.id):
        if one.held != held or one.at < sent or (run and one.at < run[-1]):
            run = []
        if one.held == held and one.at >= sent:
            run.append(one.at)
    return len(run) >= rules.snapshots and run[-1] - run[0] >= timedelta(minutes=rules.minutes)


def _day(at: datetime) -> date:
    return at.astimezone(NEW_YORK).date()


def _leg_gone(row: OrderRow) -> Alert:
    text = f"The {row.order.type} order of {row.order.shares:+d} {row.order.symbol} attached to an entry ended; the entry may still fill. "
    text += "What it opens has no such exit until the next night: cancel the entry, or place the exit by hand."
    return Alert(f"leg-{row.order.id}", "critical", f"{row.order.symbol}: an entry lost its protection", text)


def _given_up(row: OrderRow, note: str) -> Alert:
    text = f"{row.order.symbol} {row.order.shares:+d} shares, {row.order.id}: {note}. It is not sent again; if it appears, trading halts."
    return Alert(f"abandoned-{row.order.id}", "critical", f"{row.order.symbol}: an order in doubt was given up", text)


def with_breaks(report: GateReport, more: tuple[Break, ...]) -> GateReport:
    """``report`` with ``more`` breaks before its own; one told twice stands once."""
    told = {(found.kind, found.orders) for found in more if found.orders}
    own = tuple(found for found in report.breaks if not found.orders or (found.kind, found.orders) not in told)
    return replace(report, breaks=(*more, *own))
