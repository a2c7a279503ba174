"""The compiled driver: whole histories of the configured strategy. It calls ``step`` and ``decide_row``, and nothing else."""

from __future__ import annotations

import numpy as np

from mech_exo.decision.params import Features, Night, Rules
from mech_exo.decision.rows import decide_row
from mech_exo.kernels import njit
from mech_exo.kernels.records import Bars, CostParams, Floats, Ints, Terms
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL, step


@njit
def with_room(events: np.ndarray, account: np.ndarray) -> np.ndarray:
    """``events`` with room for one more session of everything that is live; twice as large when it must grow."""
    used = account[0].events
    needed = used + EVENTS_PER_SYMBOL * account[0].live
    if needed <= len(events):
        return events
    larger = np.empty(2 * needed + 64, events.dtype)
    larger[:used] = events[:used]
    return larger


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

    ``decision_at`` ``(T,)`` is the row of ``features`` to decide with at each session, -1 = not that night.
    """
    for t in range(first, last):
        events = with_room(events, account)
        step(t, flows[t], bars, book, live, account, days, events, costs, terms)
        decide_row(t, decision_at[t], False, bars, features, book, live, account, days, night, rules)
    return events
