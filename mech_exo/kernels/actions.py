"""Corporate actions on what is held and ordered: splits, dividends, the end of a listing.

They are rare: compiled once and called, where putting them into every caller would only make compiling longer.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import inlined, lean
from mech_exo.kernels.account import WHOLE, clear, close_trade, end_order, fill, lots_down, record
from mech_exo.kernels.records import Bars, EventKind, Outcome, Reason, Terms

SPLIT, DIVIDEND, DELISTING = int(EventKind.SPLIT), int(EventKind.DIVIDEND), int(EventKind.DELISTING)
ENDED = int(Outcome.ENDED)
DELISTED, CORPORATE_ACTION = int(Reason.DELISTED), int(Reason.CORPORATE_ACTION)


@inlined
def split_order(t: int, s: int, ratio: float, shares: float, lot: float, book: np.ndarray, account: np.ndarray, events: np.ndarray) -> None:
    """The order for this session × ratio; one that sells everything still sells the ``shares`` there are after the split."""
    position = book[s]
    if position.order == 0.0:
        return
    order = -shares if position.order == -position.shares else lots_down(position.order * ratio, lot)
    if order == 0.0:
        end_order(t, s, ENDED, book, account, events)
        return
    position.order = order
    position.order_level /= ratio
    position.order_stop /= ratio
    position.order_target /= ratio
    position.order_atr /= ratio


@lean
def split(
    t: int, s: int, ratio: float, lot: float, book: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray
) -> None:
    """Shares × ratio, levels ÷ ratio; a fraction of a lot is paid out at the last close ÷ ratio."""
    position = book[s]
    before = position.shares
    exact = before * ratio
    whole = lots_down(exact, lot)
    position.mark /= ratio
    in_lieu = (exact - whole) * position.mark if abs(exact - whole) > WHOLE else 0.0
    split_order(t, s, ratio, whole, lot, book, account, events)
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
    position.earned += in_lieu
    event = events[record(events, account, t, s, SPLIT, CORPORATE_ACTION)]
    event.shares = whole - before
    event.price = ratio
    event.cash = in_lieu
    if whole == 0.0:
        close_trade(position, day)
        clear(position)


@lean
def lower_levels(position: np.ndarray, amount: float) -> None:
    """A dividend of ``amount`` USD a share is no loss of the position: entry, best price and every level are lowered by it.

    One that is not below the entry and the best price leaves the position's: nothing sensible would be left of them.
    """
    position.order_stop -= amount
    position.order_target -= amount
    if amount < position.entry and amount < abs(position.best):  # infinite until the first bar since entry is seen
        position.entry -= amount
        position.best -= amount
        position.stop -= amount
        position.target -= amount


@lean
def dividend(
    t: int, s: int, amount: float, adjust: bool, book: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray
) -> None:
    """Cash on the ex-date for shares held at the previous close; a short pays. ``adjust`` lowers the levels, an entry order's too."""
    if adjust:
        lower_levels(book[s], amount)
    shares = book[s].shares
    if shares == 0.0:
        return
    cash = shares * amount
    account[0].cash += cash
    day.dividends += cash
    book[s].earned += cash
    event = events[record(events, account, t, s, DIVIDEND, CORPORATE_ACTION)]
    event.shares = shares
    event.price = amount
    event.cash = cash


@lean
def close_out(
    t: int, s: int, price: float, kind: int, reason: int, book: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray
) -> None:
    """End a position without a market: at ``price``, free of costs. An order for this open ends with it."""
    end_order(t, s, ENDED, book, account, events)
    if book[s].shares != 0.0:
        fill(t, s, -book[s].shares, price, price, 0.0, kind, reason, book, account, day, events)


@inlined
def corporate_actions(
    t: int, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray, terms: Terms
) -> bool:
    """Splits, dividends and delistings of session ``t``, before its open. Returns whether an order is left for the session."""
    ordered = False
    for i in range(account[0].live):
        s = live[i]
        book[s].rest = 0.0  # ordered anew at the last close, or given up
        ratio = bars.split_ratio[t, s]
        if ratio != 1.0:
            split(t, s, ratio, terms.lot, book, account, day, events)
        if bars.dividend[t, s] != 0.0:
            dividend(t, s, bars.dividend[t, s], terms.adjust_dividends, book, account, day, events)
        if t >= bars.delisted[s]:
            value = bars.delisting_value[s]
            close_out(t, s, book[s].mark if math.isnan(value) else value, DELISTING, DELISTED, book, account, day, events)
        if book[s].order != 0.0:
            ordered = True
    return ordered
