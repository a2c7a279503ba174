"""Orders against one bar: at the open, resting through the day, during the day, at the close.

The rule book is docs/fills.md. Everything here is put into ``step``, but for the phases that few accounts use: those are compiled
once and called only where an order waits for them.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import inlined, lean
from mech_exo.kernels.account import ORDER, at_most, drop_order, end_order, fill, lots_down, say
from mech_exo.kernels.costs import commission, slippage
from mech_exo.kernels.matching import NO_EXIT, STOP_HIT, resting_exit
from mech_exo.kernels.records import Bars, CostParams, EventKind, Floats, OrderKind, Outcome, Reason, Terms

STOP, TARGET = int(EventKind.STOP), int(EventKind.TARGET)
NO_BAR, ENDED, CARRIED = int(Outcome.NO_BAR), int(Outcome.ENDED), int(Outcome.CARRIED)
EXPIRED, NO_MARGIN = int(Outcome.EXPIRED), int(Outcome.NO_MARGIN)
ON_OPEN, ON_CLOSE = int(OrderKind.MARKET_ON_OPEN), int(OrderKind.MARKET_ON_CLOSE)
LIMIT, STOP_ORDER, LIMIT_ON_OPEN = int(OrderKind.LIMIT), int(OrderKind.STOP), int(OrderKind.LIMIT_ON_OPEN)
PROFIT_TARGET, GOVERNOR = int(Reason.PROFIT_TARGET), int(Reason.GOVERNOR)


@inlined
def available(t: int, s: int, shares: float, bars: Bars, costs: CostParams, terms: Terms) -> float:
    """What the session's volume lets through of an order of ``shares`` (unsigned); an unknown volume lets nothing through."""
    if costs.participation == math.inf:
        return shares
    most = lots_down(costs.participation * bars.volume[t, s], terms.lot)
    return at_most(shares, most) if most > 0.0 else 0.0


@lean
def exposure_room(t: int, prices: Floats, book: np.ndarray, live: np.ndarray, account: np.ndarray, terms: Terms) -> float:
    """USD by which gross exposure may grow: equity ÷ initial margin − gross exposure at ``prices`` ``(T, N)`` (else the mark)."""
    equity, gross = account[0].cash, 0.0
    for i in range(account[0].live):
        position = book[live[i]]
        if position.shares != 0.0:
            price = prices[t, live[i]]
            value = position.shares * (position.mark if math.isnan(price) else price)
            equity += value
            gross += abs(value)
    room: float = equity / terms.initial_margin - gross
    return room


@lean
def granted(shares: float, held: float, reference: float, room: float, lot: float) -> float:
    """How much of an order of signed ``shares`` the account may carry (unsigned): reductions always, growth of exposure within ``room``."""
    wanted = abs(shares)
    if (abs(held + shares) - abs(held)) * reference <= room:
        return wanted
    growth = max(0.0, lots_down(max(0.0, room) / reference, lot))
    flip = 2.0 * abs(held) if held * shares < 0.0 else 0.0
    return at_most(wanted, flip + growth)


@inlined
def leave_rest(position: np.ndarray, rest: float) -> None:
    """The order is over for this session; what is left of it keeps its terms and is ordered anew at the close."""
    if rest == 0.0:
        drop_order(position)
    else:
        position.order = 0.0
        position.rest = rest


@inlined
def fill_order(
    t: int, s: int, reference: float, room: float, bars: Bars, book: np.ndarray, account: np.ndarray, day: np.ndarray,
    events: np.ndarray, costs: CostParams, terms: Terms, slips: bool,
) -> float:
    """Fill the order of ``s`` at ``reference`` as far as margin and volume allow; returns the room that is left.

    ``slips`` is False for a limit that was touched. A limit that filled at the open slips, but never beyond its limit.
    """
    position = book[s]
    order, reason, kind, level = position.order, position.order_reason, position.order_kind, position.order_level
    side = 1.0 if order > 0.0 else -1.0
    may = abs(order) if room == math.inf else granted(order, position.shares, reference, room, terms.lot)
    filled = available(t, s, may, bars, costs, terms)
    if filled > 0.0:
        price = reference
        if slips:
            price = reference * (1.0 + side * slippage(t, s, filled, reference, bars, costs))
            if (kind == LIMIT or kind == LIMIT_ON_OPEN) and price * side > level * side:
                price = level
        before = abs(position.shares)
        fee = commission(filled, price, costs)
        fill(t, s, side * filled, reference, price, fee, ORDER, reason, book, account, day, events)
        if room != math.inf:
            room -= (abs(position.shares) - before) * reference
    if filled < may:
        say(t, s, ORDER, CARRIED, reason, side * (may - filled), account, events)
    if may < abs(order):
        say(t, s, ORDER, NO_MARGIN, reason, side * (abs(order) - may), account, events)
    if kind == STOP_ORDER:  # it has been triggered: what is left of it is a market order
        position.order_kind = ON_OPEN
        position.order_level = math.nan
    leave_rest(position, side * (may - filled))
    return room


@inlined
def open_orders(
    t: int, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray,
    costs: CostParams, terms: Terms,
) -> bool:
    """Orders that meet the open: sells, then buys, in symbol order. Returns whether one waits for the day or the close."""
    waiting = False
    for phase in range(2):
        side = -1.0 if phase == 0 else 1.0
        room = math.inf if math.isnan(terms.initial_margin) else exposure_room(t, bars.open, book, live, account, terms)
        for i in range(account[0].live):
            s = live[i]
            position = book[s]
            if position.order * side <= 0.0:
                continue
            reference = bars.open[t, s]
            kind = position.order_kind
            if kind != ON_OPEN:
                better = (position.order_level - reference) * side  # NaN without an open: it waits
                is_limit = kind == LIMIT or kind == LIMIT_ON_OPEN
                if not ((is_limit and better >= 0.0) or (kind == STOP_ORDER and better <= 0.0)):
                    if kind == LIMIT_ON_OPEN:
                        unreached(t, s, bars, book, account, events)
                    else:
                        waiting = True
                    continue
            elif math.isnan(reference):
                if position.order_reason == GOVERNOR:  # ordered once, when its share fell: it leaves as soon as it can
                    say(t, s, ORDER, CARRIED, GOVERNOR, position.order, account, events)
                    leave_rest(position, position.order)
                else:
                    end_order(t, s, NO_BAR, book, account, events)
                continue
            room = fill_order(t, s, reference, room, bars, book, account, day, events, costs, terms, True)
    return waiting


@lean
def exit_position(
    t: int, s: int, which: int, reference: float, bars: Bars, book: np.ndarray, account: np.ndarray, day: np.ndarray,
    events: np.ndarray, costs: CostParams, terms: Terms,
) -> None:
    """A resting stop (it becomes a market order and slips) or target (a limit: it does not) is reached at ``reference``.

    It takes the place of the name's order: both would trade the same shares.
    """
    end_order(t, s, ENDED, book, account, events)
    position = book[s]
    side = 1.0 if position.shares > 0.0 else -1.0
    held = abs(position.shares)
    filled = available(t, s, held, bars, costs, terms)
    price, kind, reason = reference, TARGET, PROFIT_TARGET
    if which == STOP_HIT:
        price = reference * (1.0 - side * slippage(t, s, filled, reference, bars, costs))
        kind, reason = STOP, position.stop_reason
    if filled > 0.0:
        fee = commission(filled, price, costs)
        fill(t, s, -side * filled, reference, price, fee, kind, reason, book, account, day, events)
    if filled < held:
        say(t, s, kind, CARRIED, reason, -side * (held - filled), account, events)
        if which == STOP_HIT:  # a target's rest goes on resting
            position.order_reason = reason
            position.rest = -side * (held - filled)


@inlined
def resting_orders(
    t: int, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray,
    costs: CostParams, terms: Terms,
) -> None:
    """Stops and targets of what is held, against the bar."""
    for i in range(account[0].live):
        s = live[i]
        position = book[s]
        if position.shares == 0.0:
            continue
        side = 1.0 if position.shares > 0.0 else -1.0
        which, reference = resting_exit(side, bars.open[t, s], bars.high[t, s], bars.low[t, s], position.stop, position.target)
        if which != NO_EXIT:
            exit_position(t, s, which, reference, bars, book, account, day, events, costs, terms)


@lean
def later_orders(
    t: int, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray,
    costs: CostParams, terms: Terms,
) -> None:
    """What did not meet the open: limits and stops during the day, then orders for the close; sells, then buys, in symbol order each."""
    for phase in range(4):
        side = -1.0 if phase % 2 == 0 else 1.0
        at_close = phase > 1
        room = math.inf
        if not math.isnan(terms.initial_margin):
            room = exposure_room(t, bars.close if at_close else bars.open, book, live, account, terms)
        for i in range(account[0].live):
            s = live[i]
            position = book[s]
            if position.order * side <= 0.0 or (position.order_kind == ON_CLOSE) != at_close:
                continue
            reference = bars.close[t, s] if at_close else touched(t, s, side, position, bars)
            if math.isnan(reference):
                unreached(t, s, bars, book, account, events)
                continue
            slips = position.order_kind != LIMIT
            room = fill_order(t, s, reference, room, bars, book, account, day, events, costs, terms, slips)
            if position.age == -1:
                position.best = reference  # what the bar showed before the entry is no peak of the position
            if not at_close:
                entry_stop(t, s, reference, bars, book, account, day, events, costs, terms)


@lean
def touched(t: int, s: int, side: float, position: np.ndarray, bars: Bars) -> float:
    """The level of a limit or stop order where the bar reaches it, else NaN."""
    level = position.order_level
    up = (position.order_kind == STOP_ORDER) == (side > 0.0)  # a buy stop and a sell limit wait above the price
    if up:
        return level if bars.high[t, s] >= level else math.nan
    return level if bars.low[t, s] <= level else math.nan


@lean
def unreached(t: int, s: int, bars: Bars, book: np.ndarray, account: np.ndarray, events: np.ndarray) -> None:
    """An order the session did not fill: kept, expired, or without a bar to meet."""
    position = book[s]
    if position.order_keep != 0:
        say(t, s, ORDER, CARRIED, position.order_reason, position.order, account, events)
        leave_rest(position, position.order)
        return
    traded = not (math.isnan(bars.open[t, s]) and math.isnan(bars.high[t, s]) and math.isnan(bars.low[t, s]))
    end_order(t, s, EXPIRED if traded and position.order_kind != ON_CLOSE else NO_BAR, book, account, events)


@lean
def entry_stop(
    t: int, s: int, reference: float, bars: Bars, book: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray,
    costs: CostParams, terms: Terms,
) -> None:
    """The attached stop of a position opened inside the bar at ``reference``: the bar's adverse extreme may have come after it."""
    position = book[s]
    if position.shares == 0.0 or position.age != -1:
        return
    side = 1.0 if position.shares > 0.0 else -1.0
    low = bars.low[t, s] if side > 0.0 else reference
    high = bars.high[t, s] if side < 0.0 else reference
    which, price = resting_exit(side, reference, high, low, position.stop, math.nan)
    if which != NO_EXIT:
        exit_position(t, s, which, price, bars, book, account, day, events, costs, terms)
