"""A session whose executions are known: :func:`book_session` is ``simulate.step`` with a broker's fills in the place of matching.

Corporate actions, bookkeeping, marks and interest are the very functions that ``step`` calls.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import lean
from mech_exo.kernels.account import ORDER, WHOLE, drop_order, end_order, fill, say
from mech_exo.kernels.actions import corporate_actions
from mech_exo.kernels.records import Bars, CostParams, EventKind, OrderKind, Outcome, Reason, Terms
from mech_exo.kernels.simulate import close_day, mark, open_day
from mech_exo.kernels.trading import leave_rest

FILLED, ENDED, CARRIED = int(Outcome.FILLED), int(Outcome.ENDED), int(Outcome.CARRIED)
GIVEN = int(Reason.CORPORATE_ACTION)
STOP, STOP_ORDER, ON_OPEN = int(EventKind.STOP), int(OrderKind.STOP), int(OrderKind.MARKET_ON_OPEN)

HAPPENED = np.dtype(
    [
        ("symbol", np.int64),
        ("kind", np.int64),  # EventKind: ORDER, STOP or TARGET
        ("outcome", np.int64),  # FILLED: an execution; else how what is left ended
        ("reason", np.int64),  # Reason; CORPORATE_ACTION: shares that no order brought
        ("shares", np.float64),  # signed, executed; of an ending: executed before it
        ("price", np.float64),
        ("reference", np.float64),  # price that slippage is measured from
        ("commission", np.float64),
        ("later", np.bool_),  # after the open, so that the bar's extremes may have come before it
    ]
)
"""An execution, or the end of what was not executed, in the order they happened. USD."""
EVENTS_PER_LINE = 3
"""Its own, the end of an order an exit takes the place of, and one to spare."""


@lean
def execute(t: int, line: np.ndarray, book: np.ndarray, account: np.ndarray, day: np.ndarray, events: np.ndarray) -> None:
    """Book an execution. A resting stop or target takes the place of what is left of the name's order."""
    s = line.symbol
    position = book[s]
    if line.kind != ORDER:
        end_order(t, s, ENDED, book, account, events)
    before = position.shares
    fill(t, s, line.shares, line.reference, line.price, line.commission, line.kind, line.reason, book, account, day, events)
    if line.later and before * position.shares <= 0.0 and position.shares != 0.0:
        position.best = line.reference  # what the bar showed before the entry is no peak of the position
    if line.kind == ORDER and line.reason != GIVEN and position.order != 0.0:
        left = position.order - line.shares
        if left * position.order < 0.0 or abs(left) < WHOLE:
            drop_order(position)
        else:
            position.order = left


@lean
def conclude(t: int, line: np.ndarray, book: np.ndarray, account: np.ndarray, events: np.ndarray) -> None:
    """What becomes of the part of an order, or of a stop or target, that was not executed."""
    s = line.symbol
    position = book[s]
    if line.kind != ORDER:
        left = -position.shares
        if left * line.shares > 0.0:  # nothing was opened anew after it
            say(t, s, line.kind, CARRIED, line.reason, left, account, events)
            if line.kind == STOP:  # a target's rest goes on resting
                position.order_reason = line.reason
                position.rest = left
        return
    if position.order == 0.0:
        return
    if line.outcome != CARRIED:
        end_order(t, s, line.outcome, book, account, events)
        return
    say(t, s, ORDER, CARRIED, position.order_reason, position.order, account, events)
    if line.shares != 0.0 and position.order_kind == STOP_ORDER:  # it has been triggered: what is left of it is a market order
        position.order_kind = ON_OPEN
        position.order_level = math.nan
    leave_rest(position, position.order)


@lean
def book_session(
    t: int, flow: float, received: float, happened: np.ndarray, bars: Bars, book: np.ndarray, live: np.ndarray, account: np.ndarray,
    days: np.ndarray, events: np.ndarray, costs: CostParams, terms: Terms,
) -> None:
    """Book session ``t`` on an account, in place, from what ``happened`` ``(M,)`` HAPPENED; the others as for ``simulate.step``.

    ``book`` holds the orders as they were sent; every one of them needs a line that ends what is left of it. ``live`` names the symbols of
    every line too, and ``events`` has room for ``EVENTS_PER_LINE`` more of each. ``received``: USD of cash that nothing here explains
    (interest, fees), paid where negative.
    """
    day = days[t]
    open_day(day, account, flow)
    account[0].cash += received
    corporate_actions(t, bars, book, live, account, day, events, terms)
    for i in range(len(happened)):
        line = happened[i]
        if line.outcome == FILLED:
            execute(t, line, book, account, day, events)
        else:
            conclude(t, line, book, account, events)
    account[0].live = mark(t, bars, book, live, account, day, events, terms)
    close_day(day, account, book, live, costs)
    day.interest += received
