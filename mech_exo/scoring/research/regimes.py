"""States of the market that were known when they reigned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.scoring.inputs import FactorInputs

Ints8 = NDArray[np.int8]
TREND, VOLATILITY = 200, 63
REGIMES = {"bull": ("trend", 1), "bear": ("trend", 0), "high volatility": ("volatility", 1), "low volatility": ("volatility", 0)}
"""Name of each regime, and the state that makes it."""


def states(inputs: FactorInputs) -> dict[str, Ints8]:
    """``(T,)`` int8 1, 0 or -1 (unknown yet) by state, of the equal-weighted market of the members, from rows up to each alone.

    ``trend``: 1 where the market stands above its mean of the last 200 sessions (Faber 2007, "A Quantitative Approach to Tactical Asset
    Allocation", Journal of Wealth Management 9(4)). ``volatility``: 1 where the standard deviation of its last 63 returns is above the
    median of all such values so far.
    """
    returns = np.where(np.isnan(inputs.market_return), 0.0, inputs.market_return)
    level = np.cumsum(np.log1p(returns))
    trend, volatility = np.full(len(level), -1, np.int8), np.full(len(level), -1, np.int8)
    if len(level) >= TREND:
        mean = np.lib.stride_tricks.sliding_window_view(np.exp(level), TREND).mean(axis=1)
        trend[TREND - 1 :] = np.exp(level[TREND - 1 :]) > mean
    if len(level) > VOLATILITY:
        spread = np.lib.stride_tricks.sliding_window_view(returns[1:], VOLATILITY).std(axis=1)
        volatility[VOLATILITY:] = [now > np.median(spread[: i + 1]) for i, now in enumerate(spread)]
    return {"trend": trend, "volatility": volatility}
