"""The gate before anything is sent: what the ledger believes against what the broker says.

:func:`gate` looks while nothing moves, recovers the orders the last process left in doubt, compares both sides and gives up what was in
doubt for long enough. A difference is a value, :class:`Break`. What cannot be explained locks its symbol: reductions pass, new risk does
not. A lost journal halts everything. Nothing repairs a difference but :func:`accept`, on the operator's command, by a journal row.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mech_exo.domain.errors import UserError
from mech_exo.domain.orders import OrderState
from mech_exo.execution import causes
from mech_exo.execution.breaks import ACCEPTED, HALTING, Break, BreakKind, Cause, GateReport
from mech_exo.execution.broker import BrokerInterface
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.recovery import Snapshot, end_passed, look, note_instruments, recover, resolve_doubts, with_breaks
from mech_exo.execution.rows import OPEN_STATES, Adjustment, BookId, Instrument
from mech_exo.utils.broker_settings import DoubtRules

__all__ = ["HALTING", "Break", "BreakKind", "Cause", "Expected", "GateReport", "accept", "expected", "gate", "reconcile"]

LEAST_COMMISSION = 1.0
MOST_COMMISSION = 0.01
"""What a commission not reported yet may come to: at most 1 % of the trade's value, at least 1 USD (Interactive Brokers, fixed pricing)."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the ledger accounts for: signed ``shares`` by symbol, ``cash`` in USD (NaN for a book without a session: nothing says what it
    began with), and ``unreported``, the most that commissions not reported yet may take from it.
    """

    shares: Mapping[str, int]
    cash: float
    unreported: float


def gate(ledger: Ledger, broker: BrokerInterface, book: BookId, doubt: DoubtRules | None = None) -> GateReport:
    """Look, recover, compare. Nothing may be sent without the report of this process's own gate.

    Raises BrokerError for an incomplete answer.
    """
    proof = broker.capabilities.absence_is_proof
    seen = look(ledger, broker, book)
    adopted = recover(ledger, seen, book, proof=proof)
    report = with_breaks(compare(ledger, seen, book, proof=proof), adopted)
    if proof:
        return report
    if end_passed(ledger, report):
        report = with_breaks(compare(ledger, seen, book, proof=proof), adopted)
    note_instruments(ledger, seen, book)
    given_up = resolve_doubts(ledger, seen, report, doubt or DoubtRules())
    return replace(report, abandoned=given_up)


def reconcile(ledger: Ledger, broker: BrokerInterface, book: BookId) -> GateReport:
    """Compare account, orders, positions and cash. Reads only."""
    return compare(ledger, look(ledger, broker, book), book, proof=broker.capabilities.absence_is_proof)


def compare(ledger: Ledger, seen: Snapshot, book: BookId, *, proof: bool) -> GateReport:
    """Every difference between the ledger and ``seen``, with its cause."""
    wanted = expected(ledger, book)
    breaks: list[Break] = []
    if seen.account.account != book.account:
        note = f"the broker's account is {seen.account.account}, the book's {book.account}"
        breaks.append(Break(BreakKind.ACCOUNT, None, math.nan, math.nan, note))
    positions, cash = _position_breaks(wanted.shares, seen), _cash_break(wanted, seen, proof)
    evidence = causes.gather(ledger, seen, book) if positions or cash is not None else None
    if evidence is not None:
        breaks += [causes.of_position(found, evidence) for found in positions]
    breaks += _instrument_breaks(ledger.instruments(book), seen)
    breaks += _order_breaks(ledger, book, seen)
    if not proof:
        breaks += _overfills(ledger, book)
    if cash is not None and evidence is not None:
        breaks.append(cash if proof else causes.of_cash(cash, evidence, alone=not breaks))
    return GateReport(book, seen.account, seen.positions, tuple(breaks), seen.open_orders)


def expected(ledger: Ledger, book: BookId) -> Expected:
    """What the ledger accounts for: the last booked session, every fill since, and what the operator accepted since."""
    last = ledger.last_session(book)
    shares: Counter[str] = Counter()
    cash, unreported = math.nan, 0.0
    if last is not None:
        shares.update({line.symbol: int(line.shares) for line in last.lines})
        cash = last.day.cash
    for row in ledger.fills(book, since=None if last is None else last.session):
        fill = row.fill
        if last is None or fill.session > last.session:
            shares[fill.symbol] += fill.shares
            cash -= fill.shares * fill.price
            if math.isnan(fill.commission):
                unreported += max(LEAST_COMMISSION, MOST_COMMISSION * abs(fill.shares) * fill.price)
            else:
                cash -= fill.commission
    for adjusted in ledger.adjustments(book):
        if adjusted.symbol is not None:
            shares[adjusted.symbol] += adjusted.shares
        cash += adjusted.cash
    return Expected({symbol: count for symbol, count in shares.items() if count}, cash, unreported)


def accept(ledger: Ledger, report: GateReport, what: str, reason: str) -> tuple[Adjustment, ...]:
    """Journal that the broker is right about ``what``, a symbol or ``"cash"``: one row a break. Nothing to accept gives nothing.

    Raises UserError when what differs is not settled by accepting it, e.g. an order that is still open at the broker.
    """
    symbol = None if what == "cash" else what
    found = [one for one in report.breaks if one.symbol == symbol and one.kind is not BreakKind.ACCOUNT]
    for one in found:
        if one.kind not in ACCEPTED or one.open:
            raise UserError(f"accepting settles shares, cash and orders that ended; {one} is neither", remedy=one.repair)
        if one.kind in (BreakKind.POSITION, BreakKind.CASH) and not math.isfinite(one.broker):
            raise UserError(f"only a figure the broker reports can be accepted; {one}", remedy="exo reconcile, once it reports it")
    with ledger.transaction():
        rows = tuple(_adjustment(ledger, report.book, one, number, reason) for number, one in enumerate(found))
        for row, one in zip(rows, found, strict=True):
            ledger.once(row)
            if one.kind is BreakKind.INSTRUMENT and one.symbol is not None:
                ledger.record_instrument(Instrument(report.book, one.symbol, one.key))
    return rows


def _adjustment(ledger: Ledger, book: BookId, found: Break, number: int, reason: str) -> Adjustment:
    last, pending = ledger.last_booked(book), len(ledger.adjustments(book))
    what = (str(book), str(last), pending, number, found.kind, found.symbol, found.ledger, found.broker, found.orders)
    id_ = "adj-" + hashlib.sha256(repr(what).encode()).hexdigest()[:24]
    shares, cash = 0, 0.0
    if found.kind is BreakKind.POSITION:
        shares = int(found.broker) - int(found.ledger)
        cash = 0.0 if math.isnan(found.cash) else found.cash
    elif found.kind is BreakKind.CASH:
        cash = found.broker - found.ledger
    return Adjustment(id_, book, found.symbol, shares, found.price, cash, reason, ledger.now(), found.orders)


def _position_breaks(ledger: Mapping[str, int], seen: Snapshot) -> list[Break]:
    broker = {position.symbol: position.shares for position in seen.positions}
    breaks = []
    for symbol in sorted(ledger.keys() | broker.keys()):
        ours, theirs = ledger.get(symbol, 0), broker.get(symbol, 0)
        if ours != theirs:
            breaks.append(Break(BreakKind.POSITION, symbol, ours, theirs, f"ledger {ours} shares, broker {theirs}"))
    return breaks


def _instrument_breaks(known: Mapping[str, str], seen: Snapshot) -> list[Break]:
    breaks = []
    for position in seen.positions:
        before = known.get(position.symbol)
        if before is not None and position.instrument and position.instrument != before:
            note = f"the symbol meant {before} and means {position.instrument} at the broker now"
            terms = (BreakKind.INSTRUMENT, position.symbol, math.nan, math.nan, note, Cause.RENAMED)
            breaks.append(Break(*terms, evidence="the broker's own key of the instrument", key=position.instrument))
    return breaks


def _order_breaks(ledger: Ledger, book: BookId, seen: Snapshot) -> list[Break]:
    breaks = []
    live = {row.order.id: row for row in ledger.orders(book, states={OrderState.LIVE})}
    rows = live | ledger.find_orders(order.order_id for order in seen.open_orders if order.order_id not in live)
    for order in seen.open_orders:
        row, id_ = rows.get(order.order_id), order.order_id
        if row is None and id_ not in seen.ids:
            note = f"order {order.broker_id} is not from here"
            breaks.append(Break(BreakKind.FOREIGN_ORDER, order.symbol, math.nan, order.shares, note, open=True))
        elif row is None:
            note = f"{id_} is open at the broker and not in the ledger"
            breaks.append(Break(BreakKind.LOST_JOURNAL, order.symbol, math.nan, order.shares, note, orders=(id_,), open=True))
        elif row.state not in OPEN_STATES:
            note = f"{id_} is {row.state} in the ledger and open at the broker"
            breaks.append(Break(BreakKind.REVIVED_ORDER, order.symbol, math.nan, order.shares, note, orders=(id_,), open=True))
    open_ids = {order.order_id for order in seen.open_orders}
    for row in live.values():
        if row.order.id not in open_ids:
            note = f"{row.order.id} is live in the ledger; the broker shows neither it nor its end"
            breaks.append(Break(BreakKind.MISSING_ORDER, row.order.symbol, row.order.shares, math.nan, note, orders=(row.order.id,)))
    return breaks


def _overfills(ledger: Ledger, book: BookId) -> list[Break]:
    accepted = ledger.accepted_orders(book)
    breaks = []
    for row in ledger.overfilled(book):
        if row.order.id not in accepted:
            note = f"{row.order.id} filled {row.filled} of {row.order.shares} shares"
            breaks.append(Break(BreakKind.OVERFILL, row.order.symbol, row.order.shares, row.filled, note, orders=(row.order.id,)))
    return breaks


def _cash_break(wanted: Expected, seen: Snapshot, proof: bool) -> Break | None:
    ours, theirs = wanted.cash, seen.account.cash
    allowed = causes.cash_tolerance(seen.account.nav, proof)
    if math.isnan(ours) or -wanted.unreported - allowed <= theirs - ours <= allowed:
        return None
    return Break(BreakKind.CASH, None, ours, theirs, f"ledger {ours:,.2f} USD, broker {theirs:,.2f} USD")
