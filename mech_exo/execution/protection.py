"""Protection behind a wire: the stops and targets of a decision as resting orders at the broker. Pure functions; the router executes them.

One position has one pair, a stop and a target of one group (the first to fill cancels the other), for exactly what will be held after
tonight's orders:

- held and unchanged: the pair stays while its shares and levels are the decided ones, else it is replaced;
- a full exit joins the pair's group, so that its fill cancels the pair and the pair stays if it does not fill;
- a partial reduction: the pair is replaced by one for what will remain;
- an entry or enlargement carries its own pair for the shares it adds, as legs that work once it fills;
- no position left: what still rests is cancelled.

The decision's shares and levels are adjusted for splits already: a pair that a split made wrong differs from them and is replaced.
Levels are rounded to the tick of US stocks (SEC Rule 612: a cent from 1 USD on, below it a hundredth of one).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.execution.broker import BrokerOrder
from mech_exo.execution.rows import OPEN_STATES, BookId, Intent, OrderRow

Cut = Callable[[Order], tuple[Order, ...]]
EXITS = (OrderType.STOP, OrderType.LIMIT)


class Guarded(Protocol):
    """A decided level of something held: ``mech_exo.decision.record.Level``. USD; None where there is none."""

    @property
    def symbol(self) -> str:
        """What is held."""
        ...

    @property
    def stop(self) -> float | None:
        """USD."""
        ...

    @property
    def target(self) -> float | None:
        """USD."""
        ...

    @property
    def reason(self) -> OrderReason:
        """Why the stop is where it is."""
        ...


@dataclass(frozen=True, slots=True)
class Resting:
    """A resting exit as it stands now: ``shares`` signed, still to trade, and ``level`` in USD as the broker has them.

    ``certain``: the ledger has it LIVE and the broker shows it at work; False while it is in doubt or not sent yet (``planned``).
    """

    id: str
    symbol: str
    shares: int
    type: OrderType
    level: float
    group: str | None
    certain: bool
    planned: bool = False


@dataclass(frozen=True, slots=True)
class ProtectionPlan:
    """What is to change tonight: ids to cancel, then orders to place; ``doubtful`` symbols are left alone, which is an alarm."""

    book: BookId
    session: date
    cancels: tuple[str, ...] = ()
    places: tuple[Intent, ...] = ()
    doubtful: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cancels or self.places)


@dataclass(frozen=True, slots=True)
class _Pair:
    """What should rest for a position: ``shares`` held (signed) that it exits, its levels, the group it must join (None: any)."""

    shares: int
    stop: float | None
    target: float | None
    reason: OrderReason
    group: str | None


def tick(level: float | None) -> float | None:
    """``level`` on the exchange's grid of prices; None stays None, and so does what is no price (NaN, 0 or below)."""
    if level is None or not 0.0 < level < math.inf:
        return None
    return round(level, 2 if level >= 1.0 else 4) or None


def resting_exits(rows: Sequence[OrderRow], shown: Sequence[BrokerOrder]) -> tuple[Resting, ...]:
    """The protection that may still trade: open ledger rows with what the broker shows of them, but for legs of an entry not filled yet."""
    at_broker = {order.order_id: order for order in shown}
    waiting = {row.order.id for row in rows if not row.filled and row.state in OPEN_STATES}
    found = []
    for row in rows:
        order = row.order
        if not order.rests or order.type not in EXITS or row.state not in OPEN_STATES or order.parent in waiting or order.level is None:
            continue
        there = at_broker.get(order.id)
        shares = order.shares - row.filled if there is None else there.shares - there.filled
        level = order.level if there is None or there.level is None else there.level
        certain = row.state is OrderState.LIVE and there is not None and there.works
        found.append(Resting(order.id, order.symbol, shares, order.type, level, order.group, certain, row.state is OrderState.NEW))
    return tuple(found)


def dress(
    book: BookId, orders: Sequence[Order], held: Mapping[str, int], levels: Sequence[Guarded], resting: Sequence[Resting],
    cut: Cut | None = None,
) -> tuple[Order, ...]:  # fmt: skip
    """Tonight's orders as a broker behind a wire takes them: full exits in their group, entries cut by ``cut`` and with their legs."""
    dressed: list[Order] = []
    by_symbol = _by_symbol(resting)
    decided = {level.symbol: level for level in levels}
    for order in orders:
        before = held.get(order.symbol, 0)
        after = before + order.shares
        if before and after * before <= 0 and order.symbol in decided:
            kept = _kept(_pair(before, decided[order.symbol], None), by_symbol.get(order.symbol, ()))
            group = kept if kept is not None else _key(book, order.session, order.symbol, "exit", "group")
            order = replace(order, group=group)
        added = order.shares if before * order.shares >= 0 else after if before * after < 0 else 0
        parts = (order,) if cut is None or order.group is not None or before * order.shares < 0 else cut(order)
        for number, part in enumerate(parts):
            dressed.append(part)
            share = part.shares if len(parts) > 1 else added
            dressed += _legs(book, part, share, number)
    return tuple(dressed)


def plan_protection(
    book: BookId,
    session: date,
    levels: Sequence[Guarded],
    held: Mapping[str, int],
    orders: Sequence[Order],
    resting: Sequence[Resting],
    taken: Collection[str] = (),
) -> ProtectionPlan:
    """What must change at the broker so that every position is protected for what is left of it after ``orders``.

    ``held``: signed shares at the broker before them; ``taken``: ids that were used for ``session`` already. Running it again on what it
    led to changes nothing. A position without a decided stop has none.
    """
    wanted = _wanted(levels, held, orders)
    by_symbol = _by_symbol(resting)
    cancels: list[str] = []
    places: list[Intent] = []
    doubtful = []
    for symbol in sorted(wanted.keys() | by_symbol.keys()):
        there = by_symbol.get(symbol, ())
        pair = wanted.get(symbol)
        if pair is not None and _kept(pair, there) is not None:
            continue
        if any(not one.certain and not one.planned for one in there):
            doubtful.append(symbol)
            continue
        planned = [one for one in there if one.planned]
        ready = pair is not None and _kept(pair, planned) is not None
        cancels += [one.id for one in there if not (ready and one.planned)]
        if pair is not None and not ready:
            places += [Intent(order, math.nan) for order in _exits(book, session, symbol, pair, taken)]
    return ProtectionPlan(book, session, tuple(cancels), tuple(places), tuple(doubtful))


def unprotected(
    levels: Sequence[Guarded], held: Mapping[str, int], orders: Sequence[Order], resting: Sequence[Resting]
) -> tuple[str, ...]:
    """Held symbols with a decided stop that the stops at the broker, with tonight's reductions outside their group, do not cover wholly."""
    short = []
    by_symbol = _by_symbol(resting)
    for level in levels:
        shares = held.get(level.symbol, 0)
        if not shares or tick(level.stop) is None:
            continue
        stops = [one for one in by_symbol.get(level.symbol, ()) if one.type is OrderType.STOP and one.certain and one.shares * shares < 0]
        groups = {one.group for one in stops if one.group is not None}
        leaving = [o for o in orders if o.symbol == level.symbol and o.shares * shares < 0 and not o.rests and o.group not in groups]
        covered = sum(abs(one.shares) for one in stops) + sum(abs(order.shares) for order in leaving)
        if covered < abs(shares):
            short.append(level.symbol)
    return tuple(sorted(short))


def _wanted(levels: Sequence[Guarded], held: Mapping[str, int], orders: Sequence[Order]) -> dict[str, _Pair]:
    change: dict[str, int] = defaultdict(int)
    groups: dict[str, str] = {}
    for order in orders:
        if order.parent is None and not order.rests:
            change[order.symbol] += order.shares
            if order.group is not None:
                groups[order.symbol] = order.group
    wanted = {}
    for level in levels:
        before = held.get(level.symbol, 0)
        after = before + change[level.symbol]
        left = before if after * before <= 0 or abs(after) > abs(before) else after
        pair = _pair(left, level, groups.get(level.symbol))
        if left and (pair.stop is not None or pair.target is not None):
            wanted[level.symbol] = pair
    return wanted


def _pair(shares: int, level: Guarded, group: str | None) -> _Pair:
    return _Pair(shares, tick(level.stop), tick(level.target), level.reason, group)


def _kept(pair: _Pair, there: Sequence[Resting]) -> str | None:
    """The group of what rests when it is exactly ``pair``, else None."""
    groups = {one.group for one in there}
    if len(groups) != 1:
        return None
    (group,) = groups
    if group is None or pair.group not in (None, group) or any(not (one.certain or one.planned) for one in there):
        return None
    has = sorted((one.type.value, one.shares, tick(one.level)) for one in there)
    wants = [(OrderType.LIMIT.value, -pair.shares, pair.target), (OrderType.STOP.value, -pair.shares, pair.stop)]
    return group if has == [want for want in wants if want[2] is not None] else None


def _exits(book: BookId, session: date, symbol: str, pair: _Pair, taken: Collection[str]) -> tuple[Order, ...]:
    """A stop and a target for ``pair``, with ids that were never used for ``session``."""
    leg = 0
    while any(_key(book, session, symbol, "exit", name, leg) in taken for name in ("stop", "target")):
        leg += 1
    group = pair.group or _key(book, session, symbol, "exit", "group", leg)
    ids = [_key(book, session, symbol, "exit", name, leg) for name in ("stop", "target")]
    return _two(ids, symbol, -pair.shares, session, (pair.stop, pair.target), pair.reason, group, None)


def _legs(book: BookId, order: Order, added: int, number: int) -> tuple[Order, ...]:
    """The pair that goes out with ``order`` for the ``added`` shares (signed) it adds to what is held; none when it adds none."""
    levels = tick(order.stop_level), tick(order.target_level)
    if not added or levels == (None, None):
        return ()
    ids = [_key(book, order.session, order.symbol, order.side, f"{order.reason.value}-{name}", number) for name in ("stop", "target")]
    group = _key(book, order.session, order.symbol, order.side, f"{order.reason.value}-group", number)
    return _two(ids, order.symbol, -added, order.session, levels, OrderReason.HARD_STOP, group, order.id)


def _two(
    ids: Sequence[str], symbol: str, shares: int, session: date, levels: tuple[float | None, float | None], reason: OrderReason,
    group: str, parent: str | None,
) -> tuple[Order, ...]:  # fmt: skip
    kinds = ((OrderType.STOP, reason), (OrderType.LIMIT, OrderReason.PROFIT_TARGET))
    return tuple(
        Order(id_, symbol, shares, session, why, kind, level=level, rests=True, group=group, parent=parent)
        for id_, (kind, why), level in zip(ids, kinds, levels, strict=True)
        if level is not None
    )


def _key(book: BookId, session: date, symbol: str, side: str, purpose: str, leg: int = 0) -> str:
    return OrderKey(book.account, book.strategy, session, symbol, side, purpose, leg).id()


def _by_symbol(resting: Sequence[Resting]) -> dict[str, tuple[Resting, ...]]:
    found: dict[str, tuple[Resting, ...]] = {}
    for one in resting:
        found[one.symbol] = (*found.get(one.symbol, ()), one)
    return found
