"""The drawdown governor: the share of full exposure that an account may carry so near to its drawdown limit.

Between the soft and the hard limit the share falls from 1 to 0 in proportion to the cushion above the floor. Grossman and Zhou (1993),
"Optimal investment strategies for controlling drawdowns", Mathematical Finance 3(3): under a drawdown limit the optimal policy invests a
constant multiple of the surplus W − αM of wealth over a share of its peak (with a fixed floor: CPPI, Black and Perold 1992, JEDC 16). The
peak here is that of the trailing twelve months: a governor tied to the highest value of all time never earns its way back from cash.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mech_exo.kernels import lean
from mech_exo.utils.settings import ReRisk, RiskLimits


class GovernorParams(NamedTuple):
    """:class:`mech_exo.utils.settings.GovernorRules` as numbers; a NaN ``soft`` is "off"."""

    soft: float  # drawdown up to which the share is 1
    hard: float  # drawdown from which it is 0
    min_change: float  # a fall of the share of less than this orders nothing
    wait: int  # sessions after a reduction in which the share does not rise
    recovered: bool  # it rises only once the drawdown is within the soft limit

    @classmethod
    def of(cls, limits: RiskLimits) -> GovernorParams:
        """The numbers of ``limits.governor``, with ``portfolio.max_drawdown`` as the hard limit."""
        hard, rules, soft = limits.portfolio.max_drawdown, limits.governor, limits.soft_drawdown
        if rules is None or soft is None:
            return cls(math.nan, hard, 0.0, 0, False)
        return cls(soft, hard, rules.min_change, rules.wait_sessions, rules.re_risk is ReRisk.RECOVERED)


@lean
def allowed_share(fall: float, governor: GovernorParams) -> float:
    """The share of full exposure at a drawdown of ``fall``: the cushion above the floor, of what it is at the soft limit; in [0, 1].

    With peak M, wealth W = (1 − fall) M and floor (1 − hard) M the cushion is (W − floor) / W = (hard − fall) / (1 − fall).
    NaN where the drawdown is unknown.
    """
    if fall <= governor.soft:
        return 1.0
    if fall >= governor.hard:
        return 0.0
    share: float = (governor.hard - fall) / (1.0 - fall) * (1.0 - governor.soft) / (governor.hard - governor.soft)
    return share


@lean
def share_before(t: int, scale: np.ndarray) -> float:
    """The share in force before the close of ``t``: that after the last session played, 1 before the first. ``scale`` is ``DAY.scale``."""
    for u in range(t - 1, -1, -1):
        if not math.isnan(scale[u]):
            share: float = scale[u]
            return share
    return 1.0


@lean
def share_tonight(t: int, fall: float, scale: np.ndarray, governor: GovernorParams) -> float:
    """The share in force after the close of ``t``, unless the book is decided anew: it only falls, and by ``min_change`` at least.

    An unknown drawdown changes nothing here (the risk state then allows reductions only).
    """
    before, allowed = share_before(t, scale), allowed_share(fall, governor)
    return allowed if allowed <= before - governor.min_change or (allowed == 0.0 and before > 0.0) else before


@lean
def share_decided(t: int, fall: float, scale: np.ndarray, governor: GovernorParams) -> float:
    """The share that sizes decided at the close of ``t`` are multiplied by: what is allowed, upwards only as the re-risking rule says.

    ``scale[t]`` is :func:`share_tonight`. 1 without a governor.
    """
    if math.isnan(governor.soft):
        return 1.0
    now: float = scale[t]
    allowed = allowed_share(fall, governor)
    if math.isnan(allowed) or (allowed > now and not may_rise(t, fall, scale, governor)):
        return now
    return allowed


@lean
def may_rise(t: int, fall: float, scale: np.ndarray, governor: GovernorParams) -> bool:
    """Whether the share may rise at the close of ``t``: no reduction in the last ``wait`` sessions, and recovered where that is asked."""
    if governor.recovered and fall > governor.soft:
        return False
    for u in range(max(1, t - governor.wait + 1), t + 1):
        if scale[u] < scale[u - 1]:
            return False
    return True


@lean
def share_to_sell(t: int, scale: np.ndarray) -> float:
    """The share of every position that leaves at the next open because the governor's share fell at the close of ``t``; all at 0."""
    before, now = share_before(t, scale), scale[t]
    if now == 0.0:
        return 1.0
    return 1.0 - now / before if now < before else 0.0

