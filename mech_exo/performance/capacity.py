"""How much money a strategy could carry before its own trading eats what it earns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mech_exo.kernels.records import Bars, CostParams, Outcome
from mech_exo.kernels.statistics import fill_impacts
from mech_exo.performance.trading import ORDER_KINDS, session_pnl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Records = NDArray[np.void]

WINDOW = 21
"""Sessions before a fill that its average volume and volatility are taken from."""
LEAST_KNOWN = 0.9
"""Part of the traded value whose liquidity must be known."""


class Capacity(NamedTuple):
    """USD; NaN unknown. ``known`` is the part of the traded value (a fraction) whose volume and volatility are known."""

    nav: float
    edge: float
    impact: float
    known: float


def capacity(days: Records, events: Records, bars: Bars) -> Capacity:
    """NAV at which square-root impact would eat the whole edge ("terminal capacity").

    Orders grow with NAV. At k times the NAV the edge is k times as large and impact k^(3/2) times, so nothing is left at k = (edge /
    impact)²; 4/9 of that is where profit in USD is largest. Vangelisti (2006), "The Capacity of an Equity Strategy", Journal of Portfolio
    Management 32(2); Perold and Salomon (1991), "The Right Amount of Assets under Management", Financial Analysts Journal 47(3).

    Parameters
    ----------
    days, events
        ``(T,)`` of DAY and ``(M,)`` of EVENT.
    bars
        ``(T, N)`` of the same sessions, as traded.

    Returns
    -------
    Capacity
        ``nav`` = average NAV × k. ``edge`` = P&L of the record after commission and borrow fees, before slippage; ``impact`` = Σ value ×
        σ sqrt(shares / ADV) over its fills, coefficient 1 (:func:`mech_exo.kernels.costs.square_root_impact`; Tóth et al. 2011,
        "Anomalous Price Impact", Physical Review X 1: of order 1), from the 21 sessions before each fill. Fills without enough sessions
        or volume before them have no impact: the edge is taken in proportion, and ``nav`` is NaN where they are more than a tenth of
        the traded value, where there is no edge and without fills.
    """
    filled = events[(events["outcome"] == Outcome.FILLED) & np.isin(events["kind"], ORDER_KINDS) & (events["shares"] != 0.0)]
    value = np.abs(filled["shares"] * filled["price"])
    if not len(filled) or not value.sum() > 0.0:
        return Capacity(math.nan, math.nan, math.nan, math.nan)
    law = CostParams._make({"impact": 1.0, "impact_window": WINDOW}.get(name, 0.0) for name in CostParams._fields)
    row, symbol, shares = (np.ascontiguousarray(filled[name]) for name in ("row", "symbol", "shares"))
    fractions = fill_impacts(row, symbol, shares, bars, law)
    measured = np.isfinite(fractions)
    known = float(value[measured].sum() / value.sum())
    impact = float((fractions * value)[measured].sum())
    edge = float((session_pnl(days) + days["slippage"]).sum())
    average = float(days["nav"].mean())
    if not (known >= LEAST_KNOWN and edge > 0.0 and impact > 0.0 and average > 0.0):
        return Capacity(math.nan, edge, impact, known)
    return Capacity(average * (edge * known / impact) ** 2, edge, impact, known)
