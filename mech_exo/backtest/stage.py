"""An account while it is played: what a backtest and its replay set up and hand to the two drivers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mech_exo.backtest.callables import CallableDriver
from mech_exo.backtest.drivers import play
from mech_exo.decision.asked import Asked
from mech_exo.decision.params import Features, Night
from mech_exo.decision.strategy import Strategy, cost_params, night_buffers
from mech_exo.decision.weighing import decide_weighed
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.account import new_account, new_book, new_days
from mech_exo.kernels.records import EVENT, Bars, CostParams, Floats, Ints


@dataclass(eq=False)
class Stage:
    """Everything an account is, and what it is played on. Arrays as :func:`mech_exo.kernels.simulate.step` takes them."""

    strategy: Strategy
    bars: Bars
    flows: Floats
    costs: CostParams
    book: np.ndarray
    live: Ints
    account: np.ndarray
    days: np.ndarray
    events: np.ndarray
    night: Night
    asked: Asked | None

    @classmethod
    def empty(cls, panel: BarPanel, strategy: Strategy, flows: Floats, universe: Universe | None = None) -> Stage:
        """The cash of ``strategy`` before the first session of ``panel``; ``flows`` ``(T,)`` USD come in before the opens.

        ``universe`` tells limits of plug-ins the sectors' names; None: none is known.
        """
        sessions, symbols = panel.shape
        settings = strategy.settings
        book, live, account, days = new_book(symbols), np.zeros(symbols, np.int64), new_account(settings.initial_cash), new_days(sessions)
        asked = Asked.of(strategy, panel.symbols, universe or Universe.everyone(panel))
        events, night = np.empty(1024, EVENT), night_buffers(symbols, strategy.rules.limits, len(strategy.own_limits))
        return cls(strategy, Bars.of(panel), flows, cost_params(settings.costs), book, live, account, days, events, night, asked)

    def decide(self, first: int, last: int, decision_at: Ints, features: Features) -> None:
        """Play rows ``first..last-1``, decided from ``features`` where ``decision_at`` says so: see :func:`play`.

        Where an optimiser weighs or rules of plug-ins decide, they are asked at each decision; the stretches between are played compiled.
        """
        if self.asked is None and not self.strategy.rules.sizing.optimised:
            self._play(first, last, decision_at, features)
            return
        undecided = np.full_like(decision_at, -1)
        for row in (first + np.flatnonzero(decision_at[first:last] >= 0)).tolist():
            self._play(first, row + 1, undecided, features)
            decide_weighed(
                row, int(decision_at[row]), self.bars, features, self.book, self.live, self.account, self.days, self.night,
                self.strategy.rules, self.asked,
            )  # fmt: skip
            first = row + 1
        self._play(first, last, undecided, features)

    def _play(self, first: int, last: int, decision_at: Ints, features: Features) -> None:
        self.events = play(
            first, last, decision_at, self.flows, self.bars, features, self.book, self.live, self.account, self.days, self.events,
            self.night, self.costs, self.strategy.terms, self.strategy.rules,
        )  # fmt: skip

    def ask(self, first: int, last: int, driver: CallableDriver, tick: Callable[[int], None] | None = None) -> None:
        """Play rows ``first..last-1``, ``driver`` asking its callable at every close."""
        self.events = driver.run(
            first, last, self.flows, self.bars, self.book, self.live, self.account, self.days, self.events, self.night, self.costs,
            self.strategy.terms, tick,
        )  # fmt: skip

    @property
    def happened(self) -> np.ndarray:
        """``(M,)`` EVENT so far."""
        return self.events[: int(self.account["events"][0])]

    @property
    def breaches(self) -> int:
        """Limits that bound in the night of the last session played."""
        return int((self.night.breaches["rule"] != 0).sum())


def decisions(rows: Ints, sessions: int) -> Ints:
    """``(sessions,)`` the place of each session in ``rows`` ``(K,)``, -1 where the book is not decided."""
    at = np.full(sessions, -1, np.int64)
    at[rows] = np.arange(len(rows))
    return at
