"""How many shares: one small function per method, the same for a single name and for the whole book.

Each returns unrounded shares (float, ≥ 0); an unknown input (NaN) or a distance of 0 gives NaN or inf, which the caller
turns into "no size", never into a number.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import lean
from mech_exo.utils.settings import SizingMethod

EQUAL, FIXED, ATR, VOLATILITY, KELLY = range(5)
CODES = {
    SizingMethod.EQUAL_WEIGHT: EQUAL,
    SizingMethod.FIXED_PERCENT: FIXED,
    SizingMethod.ATR_BASED: ATR,
    SizingMethod.VOLATILITY_BASED: VOLATILITY,
    SizingMethod.KELLY: KELLY,
}
"""A method is one function below and one line here."""


@lean
def equal_weight(nav: float, gross: float, count: int, price: float) -> float:
    """Gross × NAV / count, in shares."""
    return gross * nav / count / price


@lean
def fixed_percent(nav: float, risk: float, stop_distance: float) -> float:
    """Shares that lose ``risk`` × NAV over ``stop_distance`` USD (Tharp 1998, "percent risk model")."""
    return nav * risk / stop_distance


@lean
def atr_based(nav: float, risk: float, multiple: float, atr: float) -> float:
    """Shares that lose ``risk`` × NAV over ``multiple`` ATRs (Wilder 1978; Faith 2007, "N" units)."""
    return nav * risk / (multiple * atr)


@lean
def volatility_based(nav: float, budget: float, volatility_ann: float, price: float) -> float:
    """Shares whose stand-alone annual volatility is ``budget`` × NAV: inverse-volatility weights."""
    return nav * budget / (volatility_ann * price)


@lean
def kelly_fraction(win_rate: float, payoff: float, fraction: float) -> float:
    """``fraction`` of Kelly's p − (1 − p) / b, never below 0 (Kelly 1956; Thorp 2006, eq. 1)."""
    return fraction * max(0.0, win_rate - (1.0 - win_rate) / payoff)


@lean
def kelly(nav: float, bet: float, price: float) -> float:
    """``bet`` × NAV, in shares."""
    return nav * bet / price


@lean
def whole(shares: float, lot: float = 1.0) -> float:
    """Rounded down to lots (whole shares by default); 0 for anything that is not a finite positive number."""
    return float(np.floor(shares / lot) * lot) if shares > 0.0 and shares < math.inf else 0.0
