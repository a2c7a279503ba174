"""Who may be bought at all, judged on as-traded prices at each decision row."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.rolling import product_median_reaches_rows
from mech_exo.utils.settings import UniverseRules

Ints = NDArray[np.int64]


class Exclusion(IntEnum):
    """Why a name is not considered; the first that applies, in this order."""

    NONE = 0
    NO_BAR = 1
    NOT_A_MEMBER = 2
    NEWLY_LISTED = 3
    PRICE_TOO_LOW = 4
    LIQUIDITY_UNKNOWN = 5
    ILLIQUID = 6
    TOO_FEW_FACTORS = 7

    @property
    def text(self) -> str:
        """The reason in words, "" where there is none."""
        return _TEXT[self]


_TEXT = {
    Exclusion.NONE: "",
    Exclusion.NO_BAR: "no bar this session",
    Exclusion.NOT_A_MEMBER: "not a member of the universe",
    Exclusion.NEWLY_LISTED: "fewer sessions with a bar than the minimum since its listing",
    Exclusion.PRICE_TOO_LOW: "price below the minimum",
    Exclusion.LIQUIDITY_UNKNOWN: "traded too seldom to know its dollar volume",
    Exclusion.ILLIQUID: "median dollar volume below the minimum",
    Exclusion.TOO_FEW_FACTORS: "too few factors have an opinion",
}


def exclusions(panel: BarPanel, universe: Universe, rows: Ints, rules: UniverseRules) -> NDArray[np.int8]:
    """``(K, N)`` :class:`Exclusion` of every name at ``rows``, before factors are asked.

    Listing age: at least ``min_listing_sessions`` bars up to the row, counted from the panel's first row (``history_start``).
    Price: as-traded close at least ``min_price`` USD. Liquidity: median of as-traded close × volume over
    ``dollar_volume_window`` sessions at least ``min_dollar_volume`` USD, of which at least half must be observed; fewer
    means unknown, which excludes. A minimum of 0 asks nothing and computes nothing.
    """
    close = panel.close[rows]
    out = np.zeros(close.shape, np.int8)
    if rules.min_dollar_volume > 0.0:
        window = rules.dollar_volume_window
        reached = product_median_reaches_rows(panel.close, panel.volume, rows, window, (window + 1) // 2, rules.min_dollar_volume)
        out[reached == 0] = Exclusion.ILLIQUID
        out[reached < 0] = Exclusion.LIQUIDITY_UNKNOWN
    if rules.min_price > 0.0:
        out[close < rules.min_price] = Exclusion.PRICE_TOO_LOW
    if rules.min_listing_sessions > 0:
        bars = np.cumsum(~np.isnan(panel.close), axis=0, dtype=np.int32)[rows]
        out[bars < rules.min_listing_sessions] = Exclusion.NEWLY_LISTED
    out[~universe.member[rows]] = Exclusion.NOT_A_MEMBER
    out[np.isnan(close)] = Exclusion.NO_BAR
    return out
