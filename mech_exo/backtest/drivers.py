"""The two drivers over history. Both call ``step`` and the decision's row functions, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mech_exo.decision.rows import Features, Night, Rules, clear_plan, decide_row, guard, settle, want
from mech_exo.decision.record import portfolio_of
from mech_exo.decision.strategy import StrategyFunction, wanted_shares
from mech_exo.domain.panel import BarPanel, MarketView, Universe
from mech_exo.kernels import njit
from mech_exo.kernels.records import Bars, CostParams, Floats, Ints
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
    first: int, last: int, decision_at: Ints, flows: Floats, bars: Bars, features: Features, book: np.ndarray, live: Ints,
    account: np.ndarray, days: np.ndarray, events: np.ndarray, night: Night, costs: CostParams, max_missing: int, rules: Rules,
) -> np.ndarray:
    """Rows ``first..last-1`` of the configured strategy, compiled; returns the event buffer (it may have grown).

    ``decision_at`` ``(T,)`` is the row of ``features`` to decide with at each session, -1 = not that night.
    """
    for t in range(first, last):
        events = with_room(events, account)
        step(t, flows[t], bars, book, live, account, days, events, costs, max_missing)
        decide_row(t, decision_at[t], False, bars, features, book, live, account, days, night, rules)
    return events


class CallableDriver:
    """Session by session for any Python callable: the same step, the same verdict, the same orders.

    ``run`` plays rows ``first..last-1`` and returns the event buffer.
    """

    def __init__(self, function: StrategyFunction, panel: BarPanel, universe: Universe, rules: Rules) -> None:
        self.function, self.panel, self.universe, self.rules = function, panel, universe, rules

    def run(
        self, first: int, last: int, flows: Floats, bars: Bars, book: np.ndarray, live: Ints, account: np.ndarray,
        days: np.ndarray, events: np.ndarray, night: Night, costs: CostParams, max_missing: int,
        tick: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """Play the rows; ``tick`` is called with the number of sessions done."""
        for t in range(first, last):
            events = with_room(events, account)
            step(t, float(flows[t]), bars, book, live, account, days, events, costs, max_missing)
            guard(t, False, book, live, account, days, self.rules)
            self._decide(t, book, live, account, days, night)
            if tick is not None:
                tick(t + 1 - first)
        return events

    def _decide(self, t: int, book: np.ndarray, live: Ints, account: np.ndarray, days: np.ndarray, night: Night) -> None:
        view = MarketView(self.panel, self.universe, t)
        answer = self.function(view, portfolio_of(t, float(account["cash"][0]), book, self.panel, self.universe))
        if answer is None:
            return
        columns, shares = wanted_shares(answer, view, float(account["nav"][0]))
        clear_plan(night.plan)
        close = self.panel.close[t]
        want(columns, shares, close, book, night.plan, self.rules)
        settle(t, close, self.universe.sector[t], book, live, account, days, night, self.rules)
