"""One session of an account: :func:`step`. Backtest, paper broker and replay call this and nothing else.

The order of events is the meaning of a backtest (docs/fills.md): corporate actions, orders at the open, resting stops and targets, orders
during the day and at the close, marks, interest. Deciding is somebody else's business (``mech_exo.decision``).
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import inlined
from mech_exo.kernels.actions import close_out, corporate_actions
from mech_exo.kernels.costs import borrow_fee, cash_interest
from mech_exo.kernels.records import Bars, CostParams, EventKind, Reason, Terms
from mech_exo.kernels.trading import later_orders, open_orders, resting_orders

EVENTS_PER_SYMBOL = 16
"""Split, dividend, end of the listing, an order's fill and its rest, a stop's or target's, an entry's stop; the others are to spare."""
STALE_CLOSE, NO_BARS = int(EventKind.STALE_CLOSE), int(Reason.NO_BARS)


@inlined
def mark(
    t: int, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray, terms: Terms
) -> int:
    """Value what is held at the close, keep best prices and ages, close what has no bars; returns how many remain live.

    Live is what is held or has the rest of an order.
    """
    kept = 0
    for i in range(account[0].live):
        s = live[i]
        position = book[s]
        if position.shares == 0.0:
            if position.rest != 0.0:
                live[kept] = s
                kept += 1
            continue
        position.age += 1
        close = bars.close[t, s]
        if math.isnan(close):
            position.missing += 1
            if position.missing >= terms.max_missing:
                close_out(t, s, position.mark, STALE_CLOSE, NO_BARS, book, account, day, events)
                continue
        else:
            position.mark = close
            position.missing = 0
        high, low = bars.high[t, s], bars.low[t, s]
        if position.age == 0 and math.isfinite(position.best):  # entered after the open: only the close surely came later
            high, low = close, close
        if position.shares > 0.0:
            if high > position.best:
                position.best = high
            day.long_value += position.shares * position.mark
        else:
            if low < position.best:
                position.best = low
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
    day.scale = 1.0
    day.wins = 0.0
    day.losses = 0.0
    day.gains = 0.0
    day.forfeits = 0.0


@inlined
def close_day(day: np.ndarray, account: np.ndarray, book: np.ndarray, live: np.ndarray, costs: CostParams) -> None:
    """Interest and borrow on the closing balances, then NAV and the time-weighted index."""
    day.interest = cash_interest(account[0].cash, costs)
    day.borrow = borrow_fee(day.short_value, costs)
    account[0].cash += day.interest - day.borrow
    nav = account[0].cash
    for i in range(account[0].live):
        if book[live[i]].shares != 0.0:  # a rest alone has no mark
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
    events: np.ndarray, costs: CostParams, terms: Terms,
) -> None:
    """Play session ``t`` on an account, in place.

    Parameters
    ----------
    t
        Row of the session in every array of ``bars``; only rows up to ``t`` are read.
    flow
        USD deposited (positive) or withdrawn before the open.
    book
        ``(N,)`` BOOK: holdings, their resting levels and the orders for this session. Afterwards no order is left; what is to be
        ordered anew stands in ``rest``.
    live
        ``(N,)`` int64; its first ``account.live`` entries are the symbols held or ordered, ascending. Afterwards those held or
        with a rest.
    account
        ``(1,)`` ACCOUNT.
    days
        ``(T,)`` DAY; row ``t`` is written.
    events
        EVENT buffer with room for ``EVENTS_PER_SYMBOL × account.live`` more.
    terms
        What the account may do.
    """
    day = days[t]
    open_day(day, account, flow)
    waiting = False
    if corporate_actions(t, bars, book, live, account, day, events, terms):  # most sessions have no order: nothing to look through
        waiting = open_orders(t, bars, book, live, account, day, events, costs, terms)
    resting_orders(t, bars, book, live, account, day, events, costs, terms)
    if waiting:
        later_orders(t, bars, book, live, account, day, events, costs, terms)
    account[0].live = mark(t, bars, book, live, account, day, events, terms)
    close_day(day, account, book, live, costs)
