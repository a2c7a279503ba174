"""Rules of plug-ins: Python, so they are asked between the two halves of a close that decides the book, as an optimiser is.

Everything else about such a decision is the compiled code that decides any other: what a sizing method answers is read from
``night.weights``, what a limit answers from ``night.caps``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.history import History, read_only
from mech_exo.risk.own import LimitSight, SetLimit, caps
from mech_exo.sizing.own import SetSizing, SizingSight

if TYPE_CHECKING:
    from mech_exo.decision.params import Features, Night, Rules
    from mech_exo.decision.strategy import Strategy
    from mech_exo.domain.panel import Universe
    from mech_exo.kernels.records import Bars, Floats, Ints


@dataclass(frozen=True, eq=False)
class Asked:
    """What of a strategy is Python: its sizing method and its limits, each None or empty where there is none of a plug-in."""

    sizing: SetSizing | None
    limits: tuple[SetLimit, ...]
    symbols: tuple[str, ...]
    sector_names: tuple[str, ...]

    @classmethod
    def of(cls, strategy: Strategy, symbols: tuple[str, ...], universe: Universe) -> Asked | None:
        """For the columns ``symbols``; None where nothing of a plug-in decides but factors, which are computed beforehand."""
        sizing, limits = strategy.own_sizing, strategy.own_limits
        return None if sizing is None and not limits else cls(sizing, limits, symbols, universe.sector_names)

    def size(
        self, t: int, k: int, names: Ints, longs: int, nav: float, bars: Bars, features: Features, night: Night, rules: Rules
    ) -> None:
        """Write the shares that the method gives the selected ``names`` to ``night.weights``; nobody else has any."""
        assert self.sizing is not None
        night.weights[:] = np.nan
        if not len(names):
            return
        sizing = rules.sizing
        sight = SizingSight(
            symbols=tuple(self.symbols[s] for s in names),
            side=read_only(np.where(np.arange(len(names)) < longs, 1.0, -1.0)),
            close=read_only(bars.close[t, names]),
            score=read_only(features.score[k, names]),
            volatility=_of(features.volatility, k, names),
            atr=_of(features.atr, k, names),
            standard=_of(features.standard, k, names),
            nav=nav,
            gross=sizing.gross,
            count=sizing.top + sizing.bottom,
            trade_risk=sizing.trade_risk,
            columns=names,
            history=History.upto(bars, t),
            params=self.sizing.params,
        )
        night.weights[names] = self.sizing.sizes(sight)

    def limit(self, t: int, nav: float, sector: np.ndarray, bars: Bars, book: np.ndarray, night: Night) -> None:
        """Write what each limit allows of what ``night.plan`` wants to ``night.caps``; ``sector`` ``(N,)`` codes, -1 unknown."""
        if not self.limits:
            return
        sight = LimitSight(
            symbols=self.symbols,
            wanted=read_only(night.plan["wanted"].copy()),
            held=read_only(book["shares"].copy()),
            close=read_only(bars.close[t]),
            stop=read_only(night.plan["stop"].copy()),
            sector=tuple(self.sector_names[code] if code >= 0 else None for code in sector.tolist()),
            nav=nav,
            history=History.upto(bars, t),
        )
        caps(self.limits, sight, night.caps)


def _of(values: Floats, k: int, names: Ints) -> Floats:
    return read_only(values[k, names] if values.shape[1] else np.full(len(names), np.nan))


def own_warnings(strategy: Strategy) -> tuple[str, ...]:
    """One line naming the parts of plug-ins that decide, with the hash of their sources; nothing where none does."""
    from mech_exo.scoring.factors import known

    factors, sizing = known(strategy.config.factors.plugins), strategy.own_sizing
    origins = [(f"factor {name}", factors[name].plugin, factors[name].origin) for name in strategy.config.factors.weights()]
    if sizing is not None:
        origins.append((f"sizing {sizing.part.what.name}", sizing.part.plugin, sizing.part.origin))
    limits = strategy.own_limits
    origins += [(f"limit {one.part.what.name} at {one.figure:g}", one.part.plugin, one.part.origin) for one in limits]
    said = "; ".join(f"{what} of {origin}" for what, plugin, origin in origins if plugin is not None)
    driver = ", asked in Python at every decision" if strategy.asks else ""
    return (f"rules of plug-ins decided{driver}: {said}",) if said else ()
