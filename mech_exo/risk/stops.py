"""Where stops and targets rest. One formula, used at every close by backtest, paper and live, and by ``risk/stop_engine.py``."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mech_exo.kernels import lean
from mech_exo.kernels.account import drop_order
from mech_exo.kernels.records import Ints, Reason
from mech_exo.utils.settings import StopRules

HARD, TRAILING, VOLATILITY, TIME = int(Reason.HARD_STOP), int(Reason.TRAILING_STOP), int(Reason.VOLATILITY_STOP), int(Reason.TIME_STOP)


class StopParams(NamedTuple):
    """:class:`mech_exo.utils.settings.StopRules` as numbers: NaN (or -1 sessions or days) is "off"."""

    hard: float
    trailing: float
    target: float
    time_sessions: int
    time_days: int
    volatility_atr: float
    active_on_entry: bool

    @classmethod
    def of(cls, rules: StopRules) -> StopParams:
        """The numbers of ``rules``."""
        off = math.nan
        return cls(
            hard=off if rules.hard is None else rules.hard,
            trailing=off if rules.trailing is None else rules.trailing,
            target=off if rules.target is None else rules.target,
            time_sessions=-1 if rules.time_sessions is None else rules.time_sessions,
            time_days=-1 if rules.time_days is None else rules.time_days,
            volatility_atr=off if rules.volatility_atr is None else rules.volatility_atr,
            active_on_entry=rules.active_on_entry,
        )


@lean
def stop_level(side: float, entry: float, best: float, atr: float, stops: StopParams) -> tuple[float, int]:
    """The nearest of the enabled stops, in USD, and the Reason of the one that binds; NaN when none is enabled.

    Long: max of entry × (1 − hard), best × (1 − trailing), entry − k × ATR; short: the mirror image. ``best`` is the
    highest high (lowest low) since entry, infinite before the first is seen; ``atr`` the ATR at entry in USD: NaN switches
    the volatility stop off.
    """
    level, reason = math.nan, 0
    candidate = entry * (1 - stops.hard) if side > 0.0 else entry * (1 + stops.hard)
    if not math.isnan(candidate):
        level, reason = candidate, HARD
    candidate = best * (1 - stops.trailing) if side > 0.0 else best * (1 + stops.trailing)
    if math.isfinite(candidate) and not (level * side >= candidate * side):
        level, reason = candidate, TRAILING
    candidate = entry - side * stops.volatility_atr * atr
    if not math.isnan(candidate) and not (level * side >= candidate * side):
        level, reason = candidate, VOLATILITY
    return level, reason


@lean
def target_level(side: float, entry: float, stops: StopParams) -> float:
    """The profit target in USD: entry × (1 + target) long, entry × (1 − target) short; NaN when off or not above 0."""
    level = entry * (1 + side * stops.target)
    return level if level > 0.0 else math.nan


@lean
def outlived(t: int, age: int, day: Ints, stops: StopParams) -> bool:
    """Whether a position entered ``age`` sessions before ``t`` has been held for as many sessions or calendar days as a time stop allows.

    ``day`` ``(T,)`` is the calendar day of each session; a position older than the first counts from there.
    """
    if stops.time_sessions > 0 and age >= stops.time_sessions:
        return True
    return stops.time_days > 0 and day[t] - day[max(0, t - age)] >= stops.time_days


@lean
def protect(t: int, day: Ints, book: np.ndarray, live: Ints, held: int, stops: StopParams) -> None:
    """At the close of ``t``: set the resting levels of every held position for the next bar, and order time exits for the next open."""
    for i in range(held):
        position = book[live[i]]
        side = 1.0 if position.shares > 0.0 else -1.0
        position.stop, position.stop_reason = stop_level(side, position.entry, position.best, position.atr, stops)
        position.target = target_level(side, position.entry, stops)
        if outlived(t, position.age, day, stops):
            drop_order(position)
            position.order = -position.shares
            position.order_reason = TIME
