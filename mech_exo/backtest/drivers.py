"""The compiled driver: whole histories of the configured strategy by ``step`` and the two halves of ``decide_row``, and nothing else."""

from __future__ import annotations

import numpy as np

from mech_exo.decision.orders import guard
from mech_exo.decision.params import Features, Night, Rules
from mech_exo.decision.rows import decide_book
from mech_exo.kernels import inlined, njit
from mech_exo.kernels.records import Bars, CostParams, Floats, Ints, Terms
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL, step


@inlined
def full(events: np.ndarray, account: np.ndarray) -> bool:
    """Whether ``events`` lacks room for one more session of everything that is live."""
    needed: int = account[0].events + EVENTS_PER_SYMBOL * account[0].live
    return needed > len(events)


@njit
def grown(events: np.ndarray, account: np.ndarray) -> np.ndarray:
    """The events so far in a buffer that is twice as large as the next session can need."""
    used = account[0].events
    larger = np.empty(2 * (used + EVENTS_PER_SYMBOL * account[0].live) + 64, events.dtype)
    larger[:used] = events[:used]
    return larger


@inlined
def play_on(
    first: int,
    last: int,
    decision_at: Ints,
    flows: Floats,
    bars: Bars,
    book: np.ndarray,
    live: Ints,
    account: np.ndarray,
    days: np.ndarray,
    events: np.ndarray,
    costs: CostParams,
    terms: Terms,
    rules: Rules,
) -> int:
    """Sessions from ``first`` to the next decision (or to ``last``, or while ``events`` has room), guarded at every close.

    Returns the row after the last one played. Whatever a session does happens here, where no reference is counted.
    """
    for t in range(first, last):
        if full(events, account):
            return t
        step(t, flows[t], bars, book, live, account, days, events, costs, terms)
        guard(t, False, bars, book, live, account, days, rules)
        if decision_at[t] >= 0:
            return t + 1
    return last


@njit
def play(
    first: int,
    last: int,
    decision_at: Ints,
    flows: Floats,
    bars: Bars,
    features: Features,
    book: np.ndarray,
    live: Ints,
    account: np.ndarray,
    days: np.ndarray,
    events: np.ndarray,
    night: Night,
    costs: CostParams,
    terms: Terms,
    rules: Rules,
) -> np.ndarray:
    """Rows ``first..last-1`` of the configured strategy, compiled; returns the event buffer (it may have grown).

    ``decision_at`` ``(T,)`` is the row of ``features`` to decide with at each session, -1 = not that night. Session by session this is
    ``step`` and ``decide_row`` (tested to the last bit).
    """
    t = first
    while t < last:
        if full(events, account):
            events = grown(events, account)
        done = play_on(t, last, decision_at, flows, bars, book, live, account, days, events, costs, terms, rules)
        if done > t and decision_at[done - 1] >= 0:
            decide_book(done - 1, decision_at[done - 1], bars, features, book, live, account, days, night, rules)
        t = done
    return events
