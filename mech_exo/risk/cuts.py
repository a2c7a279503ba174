"""How a limit cuts: the few steps that every rule is made of."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import lean

SLACK = 1e-12  # relative: 0.29 × 100 is 28.999999999999996 in floating point and must still allow 29


@lean
def breach(breaches: np.ndarray, count: int, rule: int, symbol: int, limit: float, value: float) -> int:
    """Append a breach while there is room; returns the new count."""
    if count < len(breaches):
        entry = breaches[count]
        entry.rule = rule
        entry.symbol = symbol
        entry.limit = limit
        entry.value = value
        return count + 1
    return count


@lean
def share_allowed(cap: float, wanted: float) -> float:
    """The fraction of ``wanted`` that ``cap`` allows, at most 1."""
    return 1.0 if wanted <= cap * (1.0 + SLACK) else max(0.0, cap) / wanted


@lean
def whole_lots(shares: float, lot: float) -> float:
    """``shares`` ≥ 0 down to whole lots; what rounding left just under a lot is that lot."""
    return float(np.floor(shares * (1.0 + SLACK) / lot) * lot)


@lean
def reduce_only(wanted: float, held: float) -> float:
    """``wanted`` cut so that it does not enlarge or turn what is held."""
    if wanted * held <= 0.0:
        return 0.0
    return wanted if abs(wanted) <= abs(held) else held


@lean
def cut(plan: np.ndarray, s: int, share: float, rule: int, lot: float) -> bool:
    """Cut a target to ``share`` of the wanted size, if that is stricter than what binds already; tells whether it was."""
    entry = plan[s]
    if share == 1.0:  # what is in lots already loses none by rounding again
        return False
    allowed = np.floor(share * abs(entry.wanted) / lot) * lot
    if allowed < abs(entry.target):
        entry.target = allowed if entry.wanted > 0.0 else -allowed
        entry.binding = rule
        return True
    return False


@lean
def at_most(plan: np.ndarray, s: int, allowed: float, rule: int) -> None:
    """Cut a target to ``allowed`` shares (unsigned), if that is stricter than what binds already."""
    entry = plan[s]
    if allowed < abs(entry.target):
        entry.target = allowed if entry.wanted > 0.0 else -allowed
        entry.binding = rule


@lean
def deny_increase(plan: np.ndarray, s: int, held: float, rule: int, breaches: np.ndarray, count: int) -> int:
    """Let a target reduce what is held but not enlarge it; returns the breach count. The breach tells shares: held, and wanted."""
    allowed = reduce_only(plan[s].target, held)
    if allowed != plan[s].target:
        count = breach(breaches, count, rule, s, abs(held), abs(plan[s].target))
        plan[s].target = allowed
        plan[s].binding = rule
    return count


@lean
def value_price(close: float, mark: float) -> float:
    """What a share counts for in an exposure: its close, or where that is unknown the mark NAV counts it at; NaN = never priced."""
    return close if close > 0.0 and close < math.inf else mark
