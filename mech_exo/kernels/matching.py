"""Resting levels against one bar: what a stop or target order does inside a session."""

from __future__ import annotations

import math

from mech_exo.kernels import lean

NO_EXIT, STOP_HIT, TARGET_HIT = 0, 1, 2


@lean
def resting_exit(side: float, open_: float, high: float, low: float, stop: float, target: float) -> tuple[int, float]:
    """What happens to a position of sign ``side`` (+1 long, -1 short) with resting levels during one bar.

    Gap through a level → the open; touched intraday → the level; both touched → the stop (the order within a bar is
    unknown, so the worse is assumed). A NaN level or price touches nothing. Returns (which, reference price).
    """
    if side < 0.0:
        open_, high, low, stop, target = -open_, -low, -high, -stop, -target
    if open_ <= stop:
        return STOP_HIT, open_ * side
    if open_ >= target:
        return TARGET_HIT, open_ * side
    if low <= stop:
        return STOP_HIT, stop * side
    if high >= target:
        return TARGET_HIT, target * side
    return NO_EXIT, math.nan
