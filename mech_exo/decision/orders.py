"""What every close does to the book, and how a plan becomes orders: rests, stops, margin calls, the verdict, the orders themselves."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.decision.params import Night, Rules, order_level
from mech_exo.decision.sizing_rows import filter_targets
from mech_exo.kernels import inlined, lean
from mech_exo.kernels.account import WHOLE, drop_order, lots_down, lots_up
from mech_exo.kernels.records import Bars, Floats, Ints, OrderKind, Reason, RiskState
from mech_exo.risk.cuts import reduce_only
from mech_exo.risk.governor import share_to_sell, share_tonight
from mech_exo.risk.rules import Sight, approve, falls_of, margin_call, risk_state
from mech_exo.risk.stops import StopParams, protect, stop_level, target_level

REBALANCE, TIME = int(Reason.REBALANCE), int(Reason.TIME_STOP)
MARGIN_CALL, GOVERNOR = int(Reason.MARGIN_CALL), int(Reason.GOVERNOR)
ON_OPEN, ACTIVE = int(OrderKind.MARKET_ON_OPEN), int(RiskState.ACTIVE)


@lean
def clear_plan(plan: np.ndarray) -> None:
    """Nothing is wanted of anybody."""
    for s in range(len(plan)):
        plan[s].wanted = 0.0
        plan[s].target = 0.0
        plan[s].binding = 0
        plan[s].stop = math.nan
        plan[s].profit = math.nan
        plan[s].stop_reason = 0
        plan[s].atr = math.nan
        plan[s].kind = ON_OPEN
        plan[s].level = math.nan
        plan[s].keep = 0
        plan[s].asked = 0.0
        plan[s].filter = 0
        plan[s].gap = 0.0


@lean
def relist(plan: np.ndarray, book: np.ndarray, live: Ints) -> int:
    """Rewrite ``live`` as every symbol held, ordered or wanted, ascending; returns how many."""
    count = 0
    for s in range(len(plan)):
        if book[s].shares != 0.0 or plan[s].wanted != 0.0 or book[s].order != 0.0:
            live[count] = s
            count += 1
    return count


@lean
def place_orders(plan: np.ndarray, names: Ints, count: int, close: Floats, book: np.ndarray, call: float, rules: Rules) -> None:
    """Orders for the next session = approved target − held; an entry carries its levels when stops are active on entry.

    They take the place of what was to be ordered anew. A time exit stands. Where the share ``call`` of every position leaves by a margin
    call or the governor, so does that, unless the decision reduces more, as surely as the call does, and no further than to nothing.
    """
    for i in range(count):
        s = names[i]
        position, entry = book[s], plan[s]
        if position.order_reason == TIME:
            continue
        change = entry.target - position.shares
        if call > 0.0 and position.shares != 0.0:
            change = math.copysign(min(abs(change), abs(position.shares)), change)
            called = call_shares(call, position.shares, rules.sizing.lot)
            if entry.kind != ON_OPEN or abs(change) <= abs(called) + WHOLE or change * called < 0.0:
                continue
        drop_order(position)
        if abs(change) < WHOLE:
            continue
        position.order = change
        position.order_reason = REBALANCE
        position.order_atr = entry.atr
        position.order_kind = entry.kind
        position.order_keep = entry.keep
        position.order_level = order_level(entry, change, close[s], rules.sizing)
        if rules.stops.active_on_entry:
            attach_levels(position, entry, rules.stops)


@lean
def attach_levels(position: np.ndarray, entry: np.ndarray, stops: StopParams) -> None:
    """The levels an entry carries hang on the price it is expected at: the order's own, else the close the plan was made at."""
    position.order_stop, position.order_stop_reason, position.order_target = entry.stop, entry.stop_reason, entry.profit
    price = position.order_level
    if not math.isnan(price) and entry.target * position.shares <= 0.0:
        side = 1.0 if entry.target > 0.0 else -1.0
        position.order_stop, position.order_stop_reason = stop_level(side, price, price, entry.atr, stops)
        position.order_target = target_level(side, price, stops)


@lean
def settle(
    t: int,
    share: float,
    sight: Sight,
    book: np.ndarray,
    live: Ints,
    account: np.ndarray,
    days: np.ndarray,
    night: Night,
    rules: Rules,
) -> int:
    """``plan.wanted`` → approved targets → orders on the book; returns the number of breaches.

    ``share`` is the governor's, which the wanted sizes were multiplied by: from now on it is in force.
    """
    count = relist(night.plan, book, live)
    account[0].live = count
    falls, state = falls_of(days["index"], t, rules.limits), days[t].state
    written, again = 0, True
    while again:  # a hedge that a filter drops offsets nothing: what it allowed is looked at anew
        written = approve(night.plan, live, count, book, sight, account[0].nav, state, falls, share, rules.limits, night.breaches)
        again = filter_targets(live, count, sight.close, book, night.plan, rules.sizing.filter)
    leaving, _ = forced_share(t, account, days, rules)
    days[t].scale = share
    place_orders(night.plan, live, count, sight.close, book, leaving, rules)
    return written


@inlined
def guard(
    t: int, halted: bool, bars: Bars, book: np.ndarray, live: Ints, account: np.ndarray, days: np.ndarray, rules: Rules
) -> None:
    """What every close does, decision or not: rests ordered anew, stop and target levels, time exits, risk state, governor, margin call."""
    held = account[0].live
    order_anew(book, live, held)
    protect(t, bars.calendar_day, book, live, held, rules.stops)
    falls = falls_of(days["index"], t, rules.limits)
    days[t].state = risk_state(falls, halted, rules.limits)
    if days[t].state != ACTIVE:
        only_reduce(book, live, held)
    if not math.isnan(rules.governor.soft):
        days[t].scale = share_tonight(t, falls.year, days["scale"], rules.governor)
        trim_entries(1.0 - share_to_sell(t, days["scale"]), book, live, held, rules.limits.lot)
    share, reason = forced_share(t, account, days, rules)
    if share > 0.0:
        deleverage(share, reason, book, live, held, rules.limits.lot)


@lean
def forced_share(t: int, account: np.ndarray, days: np.ndarray, rules: Rules) -> tuple[float, int]:
    """The share of every position that leaves at the next open whatever is decided, and why: the larger of margin call and governor."""
    call = margin_call(account[0].nav, days[t].long_value, days[t].short_value, rules.limits)
    governed = 0.0 if math.isnan(rules.governor.soft) else share_to_sell(t, days["scale"])
    return (governed, GOVERNOR) if governed > call else (call, MARGIN_CALL)


@lean
def only_reduce(book: np.ndarray, live: Ints, held: int) -> None:
    """Where only reductions pass, what is ordered anew may not enlarge or turn a holding either: such an order is cut, or given up."""
    for i in range(held):
        position = book[live[i]]
        wanted = position.shares + position.order
        allowed = reduce_only(wanted, position.shares)
        if allowed == position.shares:
            drop_order(position)
        elif allowed != wanted:
            position.order = allowed - position.shares


@lean
def trim_entries(share: float, book: np.ndarray, live: Ints, held: int, lot: float) -> None:
    """What is still ordered of names that are not held is cut to ``share`` of it, in lots: it was sized for more exposure."""
    if share == 1.0:
        return
    for i in range(held):
        position = book[live[i]]
        if position.shares == 0.0 and position.order != 0.0:
            position.order = lots_down(share * position.order, lot)
            if position.order == 0.0:
                drop_order(position)


@inlined
def order_anew(book: np.ndarray, live: Ints, held: int) -> None:
    """What the session left of an order becomes the order for the next one, on its own terms."""
    for i in range(held):
        position = book[live[i]]
        if position.rest != 0.0:
            position.order = position.rest


@lean
def call_shares(share: float, held: float, lot: float) -> float:
    """The order (signed shares) by which one of ``held`` shares is reduced where ``share`` of every position must leave."""
    size = min(abs(held), lots_up(share * abs(held), lot))
    return -size if held > 0.0 else size


@lean
def deleverage(share: float, reason: int, book: np.ndarray, live: Ints, held: int, lot: float) -> None:
    """Order ``share`` of every position away at the next open; what leaves there by itself already, or by more, stays, but turns none."""
    for i in range(held):
        position = book[live[i]]
        if position.shares == 0.0 or position.order_reason == TIME:
            continue
        away = call_shares(share, position.shares, lot)
        if position.order_kind == ON_OPEN and position.order * away > 0.0 and abs(position.order) >= abs(away):
            position.order = math.copysign(min(abs(position.order), abs(position.shares)), position.order)  # it does not turn
            continue
        drop_order(position)
        position.order = away
        position.order_reason = reason
