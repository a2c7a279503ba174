"""An account's records and the smallest things that happen to them: an event is written, a holding changes, an execution is booked."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import inlined, lean
from mech_exo.kernels.records import ACCOUNT, BOOK, DAY, EventKind, Outcome

WHOLE = 1e-9  # a share count this close to the next lot is that lot

ORDER = int(EventKind.ORDER)
FILLED = int(Outcome.FILLED)


def new_book(symbols: int) -> np.ndarray:
    """``(N,)`` BOOK of nothing held: no levels, no marks, no orders."""
    book = np.zeros(symbols, BOOK)
    levels = ("mark", "entry", "best", "atr", "stop", "target", "order_stop", "order_target", "order_atr", "order_level")
    for name in (*levels, "cost", "spent", "earned"):
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
    position.spent = math.nan
    position.earned = math.nan
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
    if abs(after) < WHOLE:
        after = 0.0  # what adding fractions of a share left by rounding
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


@lean
def close_trade(position: np.ndarray, day: np.ndarray) -> None:
    """Count a position that has come to its end among the session's wins or losses, by what it brought per dollar spent.

    What is not known (a holding older than this record) is not counted.
    """
    result = position.earned / position.spent
    if result > 0.0:
        day.wins += 1.0
        day.gains += result
    elif result <= 0.0:
        day.losses += 1.0
        day.forfeits -= result


@lean
def tally(position: np.ndarray, shares: float, price: float, fee: float, day: np.ndarray) -> None:
    """Book an execution into the position's own result, before the holding changes; the commission of a turn belongs to both its parts."""
    held = position.shares
    if held == 0.0:
        position.spent = abs(shares) * price
        position.earned = -(shares * price + fee)
    elif held * shares > 0.0:
        position.spent += abs(shares) * price
        position.earned -= shares * price + fee
    elif abs(held + shares) < WHOLE:
        position.earned -= shares * price + fee
        close_trade(position, day)
    elif abs(shares) < abs(held):
        position.earned -= shares * price + fee
    else:
        part = -held / shares
        position.earned -= -held * price + fee * part
        close_trade(position, day)
        opened = shares + held
        position.spent = abs(opened) * price
        position.earned = -(opened * price + fee * (1.0 - part))


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
    tally(book[s], shares, price, fee, day)
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
    position.rest = 0.0
    position.order_reason = 0
    position.order_kind = 0
    position.order_level = math.nan
    position.order_keep = 0
    position.order_stop = math.nan
    position.order_target = math.nan
    position.order_stop_reason = 0
    position.order_atr = math.nan


@inlined
def say(t: int, s: int, kind: int, outcome: int, reason: int, shares: float, account: np.ndarray, events: np.ndarray) -> None:
    """Write what became of ``shares`` of an order that did not fill."""
    event = events[record(events, account, t, s, kind, reason)]
    event.outcome = outcome
    event.shares = shares


@inlined
def end_order(t: int, s: int, outcome: int, book: np.ndarray, account: np.ndarray, events: np.ndarray) -> None:
    """Drop an order that could not fill, or the rest of one, if there is one, and say so."""
    left = book[s].order + book[s].rest  # an order that met the market has a rest instead
    if left != 0.0:
        say(t, s, ORDER, outcome, book[s].order_reason, left, account, events)
    drop_order(book[s])


@inlined
def lots_down(exact: float, lot: float) -> float:
    """``exact`` shares towards 0 to whole lots; what rounding left just under a lot is that lot (49 × 1/49)."""
    return float(np.trunc((exact + (WHOLE if exact > 0.0 else -WHOLE)) / lot) * lot)


@inlined
def at_most(shares: float, most: float) -> float:
    """``shares``, cut to ``most``; what only rounding would take off is no cut."""
    return shares if most > shares - WHOLE else most


@lean
def lots_up(exact: float, lot: float) -> float:
    """``exact`` shares (≥ 0) up to whole lots; what rounding left just over a lot is that lot."""
    return float(np.ceil((exact - WHOLE) / lot) * lot)
