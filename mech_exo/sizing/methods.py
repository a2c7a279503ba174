"""How many shares: one small function per method, the same for a single name and for the whole book.

Each returns unrounded shares (float, ≥ 0); an unknown input (NaN) or a distance of 0 gives NaN or inf, which the caller
turns into "no size", never into a number. The formulas with hand-computed tables: docs/sizing.md.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import lean
from mech_exo.kernels.records import Floats, Ints
from mech_exo.utils.settings import SizingMethod

EQUAL, FIXED, ATR, VOLATILITY, KELLY, SCORE, PARITY, VARIANCE = range(8)
GIVEN = AS_IS, AT_MOST, FULL = 8, 9, 10  # shares that a plug-in gave, by what becomes of them: see sizing/own.py
NONE = -1  # no method: nobody has a size
CODES = {
    SizingMethod.EQUAL_WEIGHT: EQUAL,
    SizingMethod.FIXED_PERCENT: FIXED,
    SizingMethod.ATR_BASED: ATR,
    SizingMethod.VOLATILITY_BASED: VOLATILITY,
    SizingMethod.KELLY: KELLY,
    SizingMethod.SCORE_WEIGHTED: SCORE,
    SizingMethod.RISK_PARITY: PARITY,
    SizingMethod.MINIMUM_VARIANCE: VARIANCE,
}
"""A method is one function below and one line here; those from SCORE on share out weights over the selected names."""
OPTIMISED = (PARITY, VARIANCE)
"""Their weights come from an optimiser (``sizing/optimised.py``): Python, asked between the compiled stretches."""


@lean
def too_small(shares: float, price: float, least: float) -> bool:
    """Whether a position of ``shares`` (signed) at ``price`` USD is worth less than the ``least`` USD that one is opened for."""
    return abs(shares) * price < least


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
def kelly_shrinkage(win_rate: float, payoff: float, trades: float) -> float:
    """The share of a Kelly bet that is worth betting when ``win_rate`` was only measured, on ``trades`` closed trades; in [0, 1].

    ((b + 1) p − 1)² / (((b + 1) p − 1)² + (b + 1)² σ²) with σ² = p (1 − p) / n, the sampling variance of the win rate. The payoff b is
    taken as known. Baker & McHale (2013), "Optimal Betting Under Parameter Uncertainty", Decision Analysis 10(3), the approximate factor.
    NaN without an edge to shrink and without doubt (0 / 0).
    """
    edge = (payoff + 1.0) * win_rate - 1.0
    doubt = (payoff + 1.0) ** 2 * win_rate * (1.0 - win_rate) / trades
    return edge * edge / (edge * edge + doubt)


@lean
def measured_kelly(wins: float, losses: float, gains: float, forfeits: float, fraction: float, least: float = 0.0) -> float:
    """The bet, a fraction of NAV, by ``fraction`` of Kelly from closed trades: :func:`kelly_fraction` × :func:`kelly_shrinkage`.

    ``wins`` and ``losses`` count them; ``gains`` and ``forfeits`` (≥ 0) are the sums of their returns. NaN with fewer trades than
    ``least``, and where no payoff was measured: nobody won or nobody lost anything. 0 = measured, and no edge.
    """
    trades = wins + losses
    if trades < least or not (wins > 0.0 and losses > 0.0 and gains > 0.0 and forfeits > 0.0):
        return math.nan
    win_rate, payoff = wins / trades, gains / wins / (forfeits / losses)
    bet = kelly_fraction(win_rate, payoff, fraction)
    return bet * kelly_shrinkage(win_rate, payoff, trades) if bet > 0.0 else bet


@lean
def kelly(nav: float, bet: float, price: float) -> float:
    """``bet`` × NAV, in shares."""
    return nav * bet / price


@lean
def score_weights(standard: Floats, names: Ints, longs: int, weights: Floats) -> None:
    """Write to ``weights`` ``(N,)`` each of the selected ``names``' share of the whole; the first ``longs`` of them are bought.

    In proportion to the standardised score (``standard`` ``(N,)``, mean 0 and deviation 1 over all scored names; higher is better): a
    name on the wrong side of the average gets 0, whatever the sign of the composite. With alpha = IC × volatility × score (Grinold &
    Kahn 2000, "Active Portfolio Management", 2nd ed., ch. 11) and one IC, weights in this proportion take risk in proportion to
    alpha. A NaN score gives NaN to all.
    """
    total = 0.0
    for i in range(len(names)):
        conviction = standard[names[i]] if i < longs else -standard[names[i]]
        weights[names[i]] = 0.0 if conviction < 0.0 else conviction
        total += 0.0 if conviction < 0.0 else conviction
    for i in range(len(names)):
        weights[names[i]] /= total


@lean
def weighted(nav: float, gross: float, weight: float, price: float) -> float:
    """``weight`` of gross × NAV, in shares."""
    return gross * nav * weight / price


@lean
def whole(shares: float, lot: float = 1.0) -> float:
    """Rounded down to lots (whole shares by default); 0 for anything that is not a finite positive number."""
    return float(np.floor(shares / lot) * lot) if shares > 0.0 and shares < math.inf else 0.0
