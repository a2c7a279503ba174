"""How bad the bad sessions are: value at risk, expected shortfall, Omega and the tail ratio, from one series of session returns.

Value at risk and expected shortfall are **losses** of one session as positive fractions: 0.02 is a loss of 2 %; below 0 is a gain. NaN
rule: a series that is too short or holds a NaN gives NaN. ``level`` 0.95 looks at the worst 5 % of the sessions.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from mech_exo.performance.ratios import Floats, excess_kurtosis, session_rate, skewness


class TailRisk(NamedTuple):
    """Value at risk and expected shortfall of one session, positive fractions of NAV lost."""

    value_at_risk: float
    expected_shortfall: float


UNKNOWN = TailRisk(math.nan, math.nan)


def historical_risk(returns: Floats, level: float = 0.95) -> TailRisk:
    """What the record itself holds: no law is assumed.

    Value at risk = -quantile of the returns at 1 - ``level``, linear between neighbours (Hyndman and Fan 1996, type 7); expected
    shortfall = -mean of the returns at or below that quantile (Acerbi and Tasche 2002, "Expected Shortfall", Economic Notes 31(2),
    definition 2.6), so it is never below the value at risk. NaN below 1 / (1 - level) sessions: a tail without a session in it is unknown.
    """
    if len(returns) * (1.0 - level) < 1.0 - 1e-9 or not np.isfinite(returns).all():
        return UNKNOWN
    quantile = float(np.quantile(returns, 1.0 - level))
    return TailRisk(-quantile, -float(returns[returns <= quantile].mean()))


def gaussian_risk(returns: Floats, level: float = 0.95) -> TailRisk:
    """What a normal law of the same mean and sample deviation would hold: -(μ + σ z) and -μ + σ φ(z) / p, z the normal quantile at p.

    McNeil, Frey and Embrechts (2015), "Quantitative Risk Management", examples 2.11 and 2.14. NaN below 2 sessions.
    """
    return _expanded(returns, level, 0.0, 0.0)


def cornish_fisher_risk(returns: Floats, level: float = 0.95) -> TailRisk:
    """The normal quantile corrected for skewness S and excess kurtosis K ("modified" value at risk).

    w(z) = z + (z² - 1) S / 6 + (z³ - 3z) K / 24 - (2z³ - 5z) S² / 36 (Favre and Galeano 2002, "Mean-Modified Value-at-Risk", Journal
    of Alternative Investments 5(2), eq. 4); the expected shortfall integrates it over the tail: -μ + σ φ(z) / p × (1 + z S / 6 + (z² - 1)
    K / 24 - (2z² - 1) S² / 36) (Maillard 2012, "A User's Guide to the Cornish Fisher Expansion", section 5). NaN where the
    expansion is no quantile function: w must rise everywhere in the tail. NaN below 4 sessions or without spread.
    """
    return _expanded(returns, level, skewness(returns), excess_kurtosis(returns))


def _expanded(returns: Floats, level: float, skew: float, kurtosis: float) -> TailRisk:
    if len(returns) < 2 or not math.isfinite(skew + kurtosis):
        return UNKNOWN
    tail = 1.0 - level
    z = NormalDist().inv_cdf(tail)
    if not _rises(z, skew, kurtosis):
        return UNKNOWN
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    square = skew * skew
    quantile = z + (z * z - 1.0) * skew / 6.0 + (z**3 - 3.0 * z) * kurtosis / 24.0 - (2.0 * z**3 - 5.0 * z) * square / 36.0
    shape = 1.0 + z * skew / 6.0 + (z * z - 1.0) * kurtosis / 24.0 - (2.0 * z * z - 1.0) * square / 36.0
    return TailRisk(-(mean + deviation * quantile), -mean + deviation * NormalDist().pdf(z) / tail * shape)


def _rises(z: float, skew: float, kurtosis: float) -> bool:
    """Whether w'(x) = a x² + b x + c is above 0 for every x up to ``z``: Maillard (2012), section 3.1, asked of the tail alone."""
    a, b, c = kurtosis / 8.0 - skew * skew / 6.0, skew / 3.0, 1.0 - kurtosis / 8.0 + 5.0 * skew * skew / 36.0
    if a < 0.0 or (a == 0.0 and b > 0.0):
        return False
    lowest = z if a == 0.0 else min(z, -b / (2.0 * a))
    return a * lowest * lowest + b * lowest + c > 0.0


def omega(returns: Floats, threshold: float = 0.0) -> float:
    """Σ max(r - τ, 0) / Σ max(τ - r, 0), τ the session's part of the annual ``threshold``.

    Keating and Shadwick (2002), "A Universal Performance Measure", Journal of Performance Measurement 6(3). NaN below 2 sessions and
    where nothing fell short of the threshold.
    """
    if len(returns) < 2:
        return math.nan
    beyond = returns - session_rate(threshold)
    short = -float(np.minimum(beyond, 0.0).sum())
    return float(np.maximum(beyond, 0.0).sum()) / short if short > 0.0 else math.nan


def tail_ratio(returns: Floats) -> float:
    """|95 % quantile| / |5 % quantile| of the returns: above 1 the good sessions reach further than the bad ones.

    As in the peer libraries empyrical and quantstats. NaN below 20 sessions and where the 5 % quantile is 0.
    """
    if len(returns) < 20 or not np.isfinite(returns).all():
        return math.nan
    low, high = np.quantile(returns, [0.05, 0.95])
    return abs(float(high)) / abs(float(low)) if low != 0.0 else math.nan
