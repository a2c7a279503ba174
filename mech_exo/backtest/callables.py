"""The Python driver: session by session for any callable. It calls ``step`` and the decision's row functions, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mech_exo.backtest.drivers import full, grown
from mech_exo.decision.asked import Asked
from mech_exo.decision.orders import clear_plan, guard, settle
from mech_exo.decision.params import Night, past_of
from mech_exo.decision.record import portfolio_of
from mech_exo.decision.rows import want
from mech_exo.decision.strategy import Strategy
from mech_exo.decision.tickets import StrategyFunction, wanted_shares
from mech_exo.domain.panel import BarPanel, MarketView, Universe
from mech_exo.kernels.records import Bars, CostParams, Floats, Ints, Terms
from mech_exo.kernels.simulate import step
from mech_exo.risk.governor import share_decided
from mech_exo.risk.rules import Sight, drawdown, read_gaps

NO_VERDICT = np.empty(0, np.int8)
NO_VERDICT.flags.writeable = False  # of the type a universe's rows have: compiled once


class CallableDriver:
    """Session by session for any Python callable: the same step, the same verdict, the same orders.

    ``run`` plays rows ``first..last-1`` and returns the event buffer.
    """

    def __init__(self, function: StrategyFunction, panel: BarPanel, universe: Universe, strategy: Strategy) -> None:
        from mech_exo.scoring.inputs import FactorInputs

        self.function, self.panel, self.universe, self.rules = function, panel, universe, strategy.rules
        self.beside = strategy.beside(FactorInputs(panel, universe))
        self.asked = Asked.of(strategy, panel.symbols, universe)

    def run(
        self,
        first: int,
        last: int,
        flows: Floats,
        bars: Bars,
        book: np.ndarray,
        live: Ints,
        account: np.ndarray,
        days: np.ndarray,
        events: np.ndarray,
        night: Night,
        costs: CostParams,
        terms: Terms,
        tick: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """Play the rows; ``tick`` is called with the number of sessions done."""
        for t in range(first, last):
            if full(events, account):
                events = grown(events, account)
            step(t, float(flows[t]), bars, book, live, account, days, events, costs, terms)
            guard(t, False, bars, book, live, account, days, self.rules)
            self._decide(t, bars, book, live, account, days, night)
            if tick is not None:
                tick(t + 1 - first)
        return events

    def _decide(self, t: int, bars: Bars, book: np.ndarray, live: Ints, account: np.ndarray, days: np.ndarray, night: Night) -> None:
        view = MarketView(self.panel, self.universe, t)
        answer = self.function(view, portfolio_of(t, float(account["cash"][0]), book, self.panel, self.universe))
        if answer is None:
            return
        columns, shares, tickets = wanted_shares(answer, view, float(account["nav"][0]), self.rules.limits.lot)
        clear_plan(night.plan)
        close = self.panel.close[t]
        share = share_decided(t, drawdown(days["index"], t), days["scale"], self.rules.governor)
        want(columns, shares, share, tickets, close, book, night.plan, self.rules)
        verdict = NO_VERDICT if self.universe.verdict is None else self.universe.verdict[t]
        read_gaps(t, night.plan, bars, night.gaps, night.read, self.rules.limits.gap_share)
        if self.asked is not None:
            self.asked.limit(t, float(account["nav"][0]), self.universe.sector[t], bars, book, night)
        sight = Sight(close, self.universe.sector[t], verdict, past_of(t, bars, self.beside), night.caps)
        settle(t, share, sight, book, live, account, days, night, self.rules)
