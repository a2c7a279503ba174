"""One session of an account: :func:`step`. Backtest, paper broker and replay call this and nothing else.

The order of events is the meaning of a backtest: corporate actions, sells then buys at the open in symbol order,
resting stops and targets, marks, interest. Deciding is somebody else's business (``mech_exo.decision``).
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import inlined
from mech_exo.kernels.costs import borrow_fee, cash_interest, commission, slippage
from mech_exo.kernels.matching import NO_EXIT, STOP_HIT, resting_exit
from mech_exo.kernels.records import ACCOUNT, BOOK, DAY, Bars, CostParams, EventKind, Outcome, Reason

EVENTS_PER_SYMBOL = 6  # split, dividend, order, stop, delisting or stale close, and one to spare
WHOLE = 1e-9  # a share count this close to the next whole number is that number

ORDER, STOP, TARGET = int(EventKind.ORDER), int(EventKind.STOP), int(EventKind.TARGET)
SPLIT, DIVIDEND = int(EventKind.SPLIT), int(EventKind.DIVIDEND)
DELISTING, STALE_CLOSE = int(EventKind.DELISTING), int(EventKind.STALE_CLOSE)
FILLED, NO_BAR, ENDED = int(Outcome.FILLED), int(Outcome.NO_BAR), int(Outcome.ENDED)
PROFIT_TARGET, DELISTED = int(Reason.PROFIT_TARGET), int(Reason.DELISTED)
NO_BARS, CORPORATE_ACTION = int(Reason.NO_BARS), int(Reason.CORPORATE_ACTION)


def new_book(symbols: int) -> np.ndarray:
    """``(N,)`` BOOK of nothing held: no levels, no marks, no orders."""
    book = np.zeros(symbols, BOOK)
    for name in ("mark", "entry", "best", "atr", "stop", "target", "order_stop", "order_target", "order_atr", "cost"):
        book[name] = np.nan
    return book


def new_account(cash: float) -> np.ndarray:
    """``(1,)`` ACCOUNT holding ``cash`` USD."""
    account = np.zeros(1, ACCOUNT)
    account["cash"] = account["nav"] = cash
    account["index"] = 1.0
    return account


def new_days(sessions: int) -> np.ndarray:
    """``(T,)`` DAY of unknown sessions (NaN)."""
    days = np.zeros(sessions, DAY)
    for name in DAY.names or ():
        if name not in ("state", "flow"):
            days[name] = np.nan
    return days


@inlined
def record(events: np.ndarray, account: np.ndarray, t: int, s: int, kind: int, reason: int) -> int:
    """Append an event with no effect yet and return its place."""
    place: int = account[0].events
    event = events[place]
    event.row = t
    event.symbol = s
    event.kind = kind
    event.outcome = FILLED
    event.reason = reason
    event.shares = 0.0
    event.price = math.nan
    event.reference = math.nan
    event.commission = 0.0
    event.cash = 0.0
    account[0].events = place + 1
    return place


@inlined
def clear(position: np.ndarray) -> None:
    """Nothing is held any more: forget entry and levels."""
    position.entry = math.nan
    position.cost = math.nan
    position.best = math.nan
    position.atr = math.nan
    position.stop = math.nan
    position.target = math.nan
    position.stop_reason = 0
    position.age = 0
    position.missing = 0


@inlined
def hold(position: np.ndarray, shares: float, price: float) -> None:
    """Change the holding by ``shares`` at ``price``: opening (or flipping) sets entry and the attached levels."""
    before = position.shares
    after = before + shares
    position.shares = after
    if after == 0.0:
        clear(position)
    elif before == 0.0 or before * after < 0.0:
        position.entry = price
        position.cost = price
        position.best = -math.inf if after > 0.0 else math.inf
        position.age = -1  # the close of this session makes it 0
        position.atr = position.order_atr
        position.stop = position.order_stop
        position.target = position.order_target
        position.stop_reason = position.order_stop_reason
    elif before * shares > 0.0:
        position.cost = (position.cost * before + price * shares) / after


@inlined
def fill(
    t: int, s: int, shares: float, reference: float, price: float, fee: float, kind: int, reason: int,
    book: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray,
) -> None:
    """Book an execution: cash, holding, the day's costs and an event."""
    cash = -(shares * price + fee)
    account[0].cash -= shares * price + fee
    day.commission += fee
    day.slippage += (price - reference) * shares
    day.traded += abs(shares) * price
    day.price_pnl -= shares * reference
    if book[s].shares == 0.0:
        book[s].mark = reference  # what it is worth should this session have no close; never a mark of an earlier holding
    hold(book[s], shares, price)
    event = events[record(events, account, t, s, kind, reason)]
    event.shares = shares
    event.price = price
    event.reference = reference
    event.commission = fee
    event.cash = cash


@inlined
def drop_order(position: np.ndarray) -> None:
    """The order is done with, filled or not."""
    position.order = 0.0
    position.order_reason = 0
    position.order_stop = math.nan
    position.order_target = math.nan
    position.order_stop_reason = 0
    position.order_atr = math.nan


@inlined
def whole_shares(exact: float) -> float:
    """``exact`` without its fraction; what rounding left just under a whole number is that number (49 × 1/49)."""
    return float(np.trunc(exact + (WHOLE if exact > 0.0 else -WHOLE)))


@inlined
def end_order(t: int, s: int, outcome: int, book: np.ndarray, account: np.ndarray, events: np.ndarray) -> None:
    """Drop an order that could not fill, if there is one, and say so."""
    if book[s].order != 0.0:
        event = events[record(events, account, t, s, ORDER, book[s].order_reason)]
        event.outcome = outcome
        event.shares = book[s].order
    drop_order(book[s])


@inlined
def split_order(t: int, s: int, ratio: float, shares: float, book: np.ndarray, account: np.ndarray, events: np.ndarray) -> None:
    """The order for this open × ratio; one that sells everything still sells the ``shares`` there are after the split."""
    position = book[s]
    if position.order == 0.0:
        return
    order = -shares if position.order == -position.shares else whole_shares(position.order * ratio)
    if order == 0.0:
        end_order(t, s, ENDED, book, account, events)
        return
    position.order = order
    position.order_stop /= ratio
    position.order_target /= ratio
    position.order_atr /= ratio


@inlined
def split(t: int, s: int, ratio: float, book: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray) -> None:
    """Shares × ratio, levels ÷ ratio; a fraction of a share is paid out at the last close ÷ ratio."""
    position = book[s]
    before = position.shares
    exact = before * ratio
    whole = whole_shares(exact)
    position.mark /= ratio
    in_lieu = (exact - whole) * position.mark if abs(exact - whole) > WHOLE else 0.0
    split_order(t, s, ratio, whole, book, account, events)
    position.shares = whole
    position.entry /= ratio
    position.cost /= ratio
    position.best /= ratio
    position.atr /= ratio
    position.stop /= ratio
    position.target /= ratio
    if before == 0.0:
        return
    account[0].cash += in_lieu
    day.price_pnl += in_lieu
    event = events[record(events, account, t, s, SPLIT, CORPORATE_ACTION)]
    event.shares = whole - before
    event.price = ratio
    event.cash = in_lieu
    if whole == 0.0:
        clear(position)


@inlined
def dividend(t: int, s: int, amount: float, book: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray) -> None:
    """Cash on the ex-date for shares held at the previous close; a short pays."""
    shares = book[s].shares
    if shares == 0.0:
        return
    cash = shares * amount
    account[0].cash += cash
    day.dividends += cash
    event = events[record(events, account, t, s, DIVIDEND, CORPORATE_ACTION)]
    event.shares = shares
    event.price = amount
    event.cash = cash


@inlined
def close_out(
    t: int, s: int, price: float, kind: int, reason: int, book: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray
) -> None:
    """End a position without a market: at ``price``, free of costs. An order for this open ends with it."""
    end_order(t, s, ENDED, book, account, events)
    if book[s].shares != 0.0:
        fill(t, s, -book[s].shares, price, price, 0.0, kind, reason, book, account, day, events)


@inlined
def corporate_actions(
    t: int, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray
) -> None:
    """Splits, dividends and delistings of session ``t``, before its open."""
    for i in range(account[0].live):
        s = live[i]
        ratio = bars.split_ratio[t, s]
        if ratio != 1.0:
            split(t, s, ratio, book, account, day, events)
        if bars.dividend[t, s] != 0.0:
            dividend(t, s, bars.dividend[t, s], book, account, day, events)
        if t >= bars.delisted[s]:
            value = bars.delisting_value[s]
            close_out(t, s, book[s].mark if math.isnan(value) else value, DELISTING, DELISTED, book, account, day, events)


@inlined
def open_orders(
    t: int, side: float, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, day: np.ndarray,
    events: np.ndarray, costs: CostParams,
) -> None:
    """Fill the orders of one side (+1 buys, -1 sells) at the open, in symbol order."""
    for i in range(account[0].live):
        s = live[i]
        shares = book[s].order
        if shares * side <= 0.0:
            continue
        reason = book[s].order_reason
        reference = bars.open[t, s]
        if math.isnan(reference):
            end_order(t, s, NO_BAR, book, account, events)
            continue
        price = reference * (1.0 + side * slippage(t, s, abs(shares), bars, costs))
        fee = commission(abs(shares), price, costs)
        fill(t, s, shares, reference, price, fee, ORDER, reason, book, account, day, events)
        drop_order(book[s])


@inlined
def resting_orders(
    t: int, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray, costs: CostParams
) -> None:
    """Stops and targets against the bar. A stop becomes a market order and slips; a target is a limit and does not."""
    for i in range(account[0].live):
        s = live[i]
        position = book[s]
        if position.shares == 0.0:
            continue
        side = 1.0 if position.shares > 0.0 else -1.0
        which, reference = resting_exit(side, bars.open[t, s], bars.high[t, s], bars.low[t, s], position.stop, position.target)
        if which == NO_EXIT:
            continue
        shares = -position.shares
        price, kind, reason = reference, TARGET, PROFIT_TARGET
        if which == STOP_HIT:
            price = reference * (1.0 - side * slippage(t, s, abs(shares), bars, costs))
            kind, reason = STOP, position.stop_reason
        fill(t, s, shares, reference, price, commission(abs(shares), price, costs), kind, reason, book, account, day, events)


@inlined
def mark(
    t: int, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray, max_missing: int
) -> int:
    """Value what is held at the close, keep best prices and ages, close what has no bars; returns how many remain live."""
    kept = 0
    for i in range(account[0].live):
        s = live[i]
        position = book[s]
        if position.shares == 0.0:
            continue
        position.age += 1
        close = bars.close[t, s]
        if math.isnan(close):
            position.missing += 1
            if position.missing >= max_missing:
                close_out(t, s, position.mark, STALE_CLOSE, NO_BARS, book, account, day, events)
                continue
        else:
            position.mark = close
            position.missing = 0
        if position.shares > 0.0:
            if bars.high[t, s] > position.best:
                position.best = bars.high[t, s]
            day.long_value += position.shares * position.mark
        else:
            if bars.low[t, s] < position.best:
                position.best = bars.low[t, s]
            day.short_value += position.shares * position.mark
        live[kept] = s
        kept += 1
    return kept


@inlined
def open_day(day: np.ndarray, account: np.ndarray, flow: float) -> None:
    """Zero the session's sums and let a deposit or withdrawal in."""
    account[0].cash += flow
    day.flow = flow
    day.price_pnl = -account[0].value
    day.long_value = 0.0
    day.short_value = 0.0
    day.dividends = 0.0
    day.commission = 0.0
    day.slippage = 0.0
    day.traded = 0.0


@inlined
def close_day(day: np.ndarray, account: np.ndarray, book: np.ndarray, live: np.ndarray, costs: CostParams) -> None:
    """Interest and borrow on the closing balances, then NAV and the time-weighted index."""
    day.interest = cash_interest(account[0].cash, costs)
    day.borrow = borrow_fee(day.short_value, costs)
    account[0].cash += day.interest - day.borrow
    nav = account[0].cash
    for i in range(account[0].live):
        nav += book[live[i]].shares * book[live[i]].mark
    before = account[0].nav
    account[0].index *= (nav - day.flow) / before
    account[0].nav = nav
    account[0].value = day.long_value + day.short_value
    day.price_pnl += account[0].value
    day.nav = nav
    day.index = account[0].index
    day.cash = account[0].cash


@inlined
def step(
    t: int, flow: float, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, days: np.ndarray,
    events: np.ndarray, costs: CostParams, max_missing: int,
) -> None:
    """Play session ``t`` on an account, in place.

    Parameters
    ----------
    t
        Row of the session in every array of ``bars``; only rows up to ``t`` are read.
    flow
        USD deposited (positive) or withdrawn before the open.
    book
        ``(N,)`` BOOK: holdings, their resting levels and the orders for this open.
    live
        ``(N,)`` int64; its first ``account.live`` entries are the symbols held or ordered, ascending. Afterwards those held.
    account
        ``(1,)`` ACCOUNT.
    days
        ``(T,)`` DAY; row ``t`` is written.
    events
        EVENT buffer with room for ``EVENTS_PER_SYMBOL × account.live`` more.
    max_missing
        Sessions without a bar after which a position is closed at its last close.
    """
    day = days[t]
    open_day(day, account, flow)
    corporate_actions(t, bars, book, live, account, day, events)
    open_orders(t, -1.0, bars, book, live, account, day, events, costs)
    open_orders(t, 1.0, bars, book, live, account, day, events, costs)
    resting_orders(t, bars, book, live, account, day, events, costs)
    account[0].live = mark(t, bars, book, live, account, day, events, max_missing)
    close_day(day, account, book, live, costs)
