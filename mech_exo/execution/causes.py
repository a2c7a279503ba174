"""Why ledger and broker differ, as far as the evidence at hand tells: each break gets a cause and the words it was concluded from."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction

from mech_exo.domain.orders import ID_PREFIX, Fill, OrderState
from mech_exo.execution.breaks import Break, Cause
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.recovery import Snapshot
from mech_exo.execution.rows import BookedDay, BookId, LateFill

CENT = 0.01
LEAST_TOLERANCE = 1.0
TOLERANCE = 1e-4
FEES = 1e-3
ACCRUED_OVER = timedelta(days=45)
SPLITS = frozenset(Fraction(*ratio) for ratio in ((3, 2), (5, 2), (4, 3), (5, 3), (5, 4), (6, 5), (2, 3), (3, 4)))
MOST_SPLIT, MOST_REVERSE = 50, 100


@dataclass(frozen=True, slots=True)
class Evidence:
    """What may explain a break, by symbol: fills of nobody's order whose shares, or whose cash, no accepted difference covers yet; fills
    booked late or corrected since; shares our orders filled that no fill told of; what was left of orders that are gone, of a group the
    largest; and the figures of the last 45 days, for what the broker pays later than the book counts it.
    """

    foreign: dict[str, list[Fill]]
    unpaid: tuple[Fill, ...]
    late: dict[str, list[LateFill]]
    untold: dict[str, dict[str, int]]
    gone: dict[str, dict[str, int]]
    days: tuple[BookedDay, ...]
    nav: float


def gather(ledger: Ledger, seen: Snapshot, book: BookId) -> Evidence:
    """The evidence at hand."""
    last = ledger.last_booked(book)
    strange = [fill for fill in seen.fills if not fill.order_id.startswith(ID_PREFIX)]
    accepted = ledger.accepted(book)
    foreign: dict[str, list[Fill]] = defaultdict(list)
    for fill in strange:
        if not any(one.shares and one.symbol == fill.symbol and fill.time <= one.at for one in accepted):
            foreign[fill.symbol].append(fill)
    unpaid = (f for f in strange if not any(one.cash and one.symbol in (None, f.symbol) and f.time <= one.at for one in accepted))
    late: dict[str, list[LateFill]] = defaultdict(list)
    for one in () if last is None else ledger.late_fills(book, last):
        late[one.now.symbol].append(one)
    rows = ledger.find_orders(seen.ids)
    untold: dict[str, dict[str, int]] = defaultdict(dict)
    for order in (*seen.open_orders, *seen.ended):
        row = rows.get(order.order_id)
        if row is not None and row.book == book and order.filled != row.filled and abs(order.filled) > abs(row.filled):
            untold[order.symbol][order.order_id] = order.filled - row.filled
    gone: dict[str, dict[str, int]] = defaultdict(dict)
    for row in ledger.orders(book, states={OrderState.LIVE}):
        left, key = row.order.shares - row.filled, row.order.group or row.order.id
        if row.order.id not in seen.ids:
            gone[row.order.symbol][key] = max(left, gone[row.order.symbol].get(key, 0), key=abs)
    days = () if last is None else tuple(day for day in ledger.day_history(book) if day.session > last - ACCRUED_OVER)
    return Evidence(foreign, tuple(unpaid), late, untold, gone, days, seen.account.nav)


def of_position(found: Break, evidence: Evidence) -> Break:
    """``found`` with its cause: what explains the whole difference in shares, looked for in the order of how well it is known."""
    symbol = found.symbol or ""
    differs = int(found.broker) - int(found.ledger)
    late, foreign = evidence.late.get(symbol, []), evidence.foreign.get(symbol, [])
    untold, gone = evidence.untold.get(symbol, {}), evidence.gone.get(symbol, {})
    if late and sum(_shares(one) for one in late) == differs:
        said = ", ".join(f"{one.now.id} revision {one.now.revision}" for one in late)
        evidently = f"recorded or corrected after its session was booked: {said}"
        cause = Cause.CORRECTED_FILL if any(one.before is not None for one in late) else Cause.MISSED_FILL
        return replace(found, cause=cause, evidence=evidently, price=late[-1].now.price, cash=sum(_cash(one) for one in late))
    if untold and sum(untold.values()) == differs:
        said = ", ".join(f"{id_} by {shares:+d}" for id_, shares in untold.items())
        return replace(found, cause=Cause.MISSED_FILL, evidence=f"the broker says that orders filled and shows no execution: {said}")
    if foreign and sum(fill.shares for fill in foreign) == differs:
        return _manual(found, foreign, differs, evidence.unpaid)
    if gone and sum(gone.values()) == differs:
        said = ", ".join(f"{shares:+d}" for shares in gone.values())
        evidently = f"orders that are live here and gone there come to it ({said}): filled on a day of which the broker tells no more"
        return replace(found, cause=Cause.MISSED_FILL, evidence=evidently)
    ratio = _split(int(found.ledger), int(found.broker))
    if ratio is not None:
        return replace(found, cause=Cause.SPLIT, evidence=f"as of a split {ratio.numerator}:{ratio.denominator}", cash=0.0)
    return replace(found, evidence="nothing at hand explains it")


def of_cash(found: Break, evidence: Evidence, *, alone: bool) -> Break:
    """``found`` with its cause; ``alone``: nothing else differs, so that a small amount may be a fee."""
    differs = found.broker - found.ledger
    allowed = cash_tolerance(evidence.nav, False)
    late = sum(_cash(one) for ones in evidence.late.values() for one in ones)
    manual = sum(_paid(fill) for fill in evidence.unpaid)
    owed, owing, which = _accrued(evidence.days)
    if not math.isfinite(differs):
        return replace(found, evidence="the broker does not report cash in USD")
    if late and abs(differs - late) <= allowed:
        only = all(_same_trade(one) for ones in evidence.late.values() for one in ones)
        cause, words = (Cause.COMMISSION, "commissions reported") if only else (Cause.CORRECTED_FILL, "fills recorded or corrected")
        return replace(found, cause=cause, evidence=f"{words} after the session was booked: {late:,.2f} USD")
    if manual and abs(differs - manual) <= allowed:
        return replace(found, cause=Cause.MANUAL_TRADE, evidence=f"executions of orders not from here come to {manual:,.2f} USD")
    if -owed - allowed <= differs <= owing + allowed:
        booked = f"booked in the last {ACCRUED_OVER.days} days and not paid yet: {owed:,.2f} USD to come, {owing:,.2f} USD to pay"
        return replace(found, cause=which, evidence=booked)
    if alone and abs(differs) <= FEES * evidence.nav:
        return replace(found, cause=Cause.FEE, evidence=f"nothing else differs, and it is at most {FEES:.1%} of the account")
    return replace(found, evidence="nothing at hand explains it")


def cash_tolerance(nav: float, inside: bool) -> float:
    """USD by which cash may differ: a cent inside this process; behind a wire a dollar or a hundredth of a percent of the account.

    A real account rounds interest, fees and exchange rates daily; a difference that grows beyond this is shown with its cause.
    """
    if inside:
        return CENT
    return max(LEAST_TOLERANCE, TOLERANCE * nav) if math.isfinite(nav) else LEAST_TOLERANCE


def _manual(found: Break, fills: Sequence[Fill], differs: int, unpaid: Sequence[Fill]) -> Break:
    cash = sum(_paid(fill) for fill in fills if fill in unpaid)
    price = sum(fill.shares * fill.price for fill in fills) / differs
    said = ", ".join(f"{fill.id} {fill.shares:+d} at {fill.price:,.2f}" for fill in fills)
    return replace(found, cause=Cause.MANUAL_TRADE, evidence=f"executions of orders not from here: {said}", price=price, cash=cash)


def _split(ours: int, theirs: int) -> Fraction | None:
    if not ours or not theirs or (ours > 0) != (theirs > 0):
        return None
    ratio = Fraction(theirs, ours)
    forward = ratio.denominator == 1 and 2 <= ratio.numerator <= MOST_SPLIT
    reverse = ratio.numerator == 1 and 2 <= ratio.denominator <= MOST_REVERSE
    return ratio if forward or reverse or ratio in SPLITS else None


def _accrued(days: Sequence[BookedDay]) -> tuple[float, float, Cause]:
    """USD the book counted that the account may not show yet: to come, to pay, and which of the two kinds is the larger."""
    dividends = [booked.day.dividends for booked in days]
    interest = [booked.day.interest - booked.day.borrow for booked in days]
    owed = sum(max(0.0, amount) for amount in (*dividends, *interest))
    owing = sum(max(0.0, -amount) for amount in (*dividends, *interest))
    larger = sum(abs(amount) for amount in dividends) >= sum(abs(amount) for amount in interest)
    return owed, owing, Cause.DIVIDEND if larger else Cause.INTEREST


def _same_trade(one: LateFill) -> bool:
    return one.before is not None and (one.before.shares, one.before.price) == (one.now.shares, one.now.price)


def _shares(one: LateFill) -> int:
    return one.now.shares - (0 if one.before is None else one.before.shares)


def _cash(one: LateFill) -> float:
    return _paid(one.now) - (0.0 if one.before is None else _paid(one.before))


def _paid(fill: Fill) -> float:
    """USD a fill brought in; a commission not reported yet is in the tolerance, not here."""
    return -fill.shares * fill.price - (0.0 if math.isnan(fill.commission) else fill.commission)
