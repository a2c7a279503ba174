"""Limits on what the wanted book would have done over the last sessions: correlations, volatility, value at risk, shortfall, beta.

No figure here counts relief: a hedge may be cut or not fill, and one name's gain is no reason to let another lose more. So each figure
falls with every position, and a smaller book satisfies whatever a larger one did. The statistics are those of ``kernels/risk_model.py``.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import lean, njit
from mech_exo.kernels.costs import SESSIONS_PER_YEAR
from mech_exo.kernels.records import Floats, Ints
from mech_exo.kernels.risk_model import (
    betas,
    book_losses,
    correlation,
    covariance,
    known_history,
    tail_loss,
    volatility_without_offsets,
    window_returns,
)
from mech_exo.risk.cuts import breach, cut, deny_increase, share_allowed
from mech_exo.risk.limits import LimitParams, Past, RareParams, Rule

UNKNOWN_RISK, PAIR_CORRELATION, AVERAGE_CORRELATION = int(Rule.UNKNOWN_RISK), int(Rule.PAIR_CORRELATION), int(Rule.AVERAGE_CORRELATION)
VOLATILITY, VALUE_AT_RISK, EXPECTED_SHORTFALL = int(Rule.VOLATILITY), int(Rule.VALUE_AT_RISK), int(Rule.EXPECTED_SHORTFALL)


@lean
def asks_pairs(rare: RareParams) -> bool:
    """Whether a limit needs every pair of names."""
    pairs = min(rare.pair_correlation, rare.average_correlation)
    return min(pairs, rare.volatility, rare.value_at_risk, rare.shortfall) < math.inf


@lean
def asks_model(rare: RareParams) -> bool:
    """Whether a limit needs past returns."""
    return asks_pairs(rare) or rare.beta < math.inf


@njit
def model_rules(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, past: Past, worth: Floats, nav: float, limits: LimitParams,
    rare: RareParams, breaches: np.ndarray, count: int,
) -> tuple[Floats, int]:
    """Cut the book pro rata over the wanted sizes to every limit but that on beta; returns the betas ``(held,)`` and the breach count.

    A name without enough history (:func:`~mech_exo.kernels.risk_model.known_history`), or of which a figure that a limit needs is unknown,
    may be reduced, not enlarged, and counts in none of them.
    """
    some, values, place, wanted = np.empty(held, np.int64), np.empty(held), np.empty(held, np.int64), 0
    for i in range(held):
        value = plan[names[i]].wanted * worth[i]
        if value != 0.0 and not math.isnan(value):
            some[wanted], values[wanted], place[wanted] = names[i], value, i
            wanted += 1
    every, sessions = window_returns(past.row, some[:wanted], past.bars, rare.window)
    moved, kept = np.empty(every.shape), 0
    for c in range(wanted):
        if known_history(sessions[c], rare.window):
            some[kept], values[kept], place[kept] = some[c], values[c], place[c]
            for u in range(len(every)):
                moved[u, kept] = every[u, c]
            kept += 1
        else:
            count = deny_increase(plan, some[c], book[some[c]].shares, UNKNOWN_RISK, breaches, count)
    some, values, returns = some[:kept], values[:kept], np.ascontiguousarray(moved[:, :kept])
    slopes = np.full(held, math.nan)
    if rare.beta < math.inf:
        count = beta_of(plan, some, book, place, returns, past, slopes, breaches, count)
    if kept > 0 and asks_pairs(rare):
        matrix = covariance(returns)
        for c in range(kept):
            if not matrix[c, c] > 0.0:  # it never moved: its correlations are unknown
                count = deny_increase(plan, some[c], book[some[c]].shares, UNKNOWN_RISK, breaches, count)
        count = pair_rules(plan, some, values, matrix, nav, limits, rare, breaches, count)
        count = tail_rules(plan, some, book, values, returns, matrix, nav, limits.lot, rare, breaches, count)
    return slopes, count


@njit
def beta_of(
    plan: np.ndarray, names: Ints, book: np.ndarray, place: Ints, returns: Floats, past: Past, slopes: Floats, breaches: np.ndarray,
    count: int,
) -> int:
    """Write the betas of ``names`` to their ``place`` in ``slopes``; who has none may not be enlarged. Returns the breach count."""
    first = past.row + 1 - len(returns)
    known = betas(returns, past.market[first : past.row + 1]) if len(past.market) > past.row else np.full(len(names), math.nan)
    for c in range(len(names)):
        slopes[place[c]] = known[c]
        if math.isnan(known[c]):
            count = deny_increase(plan, names[c], book[names[c]].shares, UNKNOWN_RISK, breaches, count)
    return count


@njit
def pair_rules(
    plan: np.ndarray, names: Ints, values: Floats, matrix: Floats, nav: float, limits: LimitParams, rare: RareParams, breaches: np.ndarray,
    count: int,
) -> int:
    """Names that move together count as one position; the average of all pairs has a limit; returns the breach count."""
    if min(rare.pair_correlation, rare.average_correlation) == math.inf:
        return count
    together = alike(correlation(matrix), values)
    if rare.pair_correlation < math.inf:
        count = cluster_limit(plan, names, values, together > rare.pair_correlation, nav, limits, breaches, count)
    if rare.average_correlation < math.inf:
        value = moving_together(together, values, nav)
        share = share_allowed(rare.average_correlation, value)
        if share < 1.0:
            count = breach(breaches, count, AVERAGE_CORRELATION, -1, rare.average_correlation, value)
            for s in names:
                cut(plan, s, math.sqrt(share), AVERAGE_CORRELATION, limits.lot)
    return count


@njit
def alike(correlations: Floats, values: Floats) -> Floats:
    """``(C, C)`` |correlation| of the pairs whose positions gain and lose together, 0 for the others: a long and a short may hedge."""
    together = correlations.copy()
    for i in range(len(values)):
        for j in range(len(values)):
            same = together[i, j] * values[i] * values[j] > 0.0
            together[i, j] = abs(together[i, j]) if same and i != j else 0.0
    return together


@njit
def moving_together(together: Floats, values: Floats, nav: float) -> float:
    """Σ ρᵢⱼ wᵢ wⱼ over the pairs of :func:`alike`: the average correlation of two dollars of NAV in different names."""
    moving = volatility_without_offsets(together, np.abs(values)) / nav
    return moving * moving / SESSIONS_PER_YEAR


@njit
def groups_of(linked: np.ndarray) -> Ints:
    """``(C,)`` the first member of each name's group: of a group each is ``linked`` ``(C, C)`` to another."""
    group, queue = np.full(len(linked), -1), np.empty(len(linked), np.int64)
    for first in range(len(linked)):
        if group[first] >= 0:
            continue
        queue[0], group[first] = first, first
        done, size = 0, 1
        while done < size:
            for j in range(len(linked)):
                if linked[queue[done], j] and group[j] < 0:
                    queue[size], group[j] = j, first
                    size += 1
            done += 1
    return group


@njit
def cluster_limit(
    plan: np.ndarray, names: Ints, values: Floats, linked: np.ndarray, nav: float, limits: LimitParams, breaches: np.ndarray, count: int
) -> int:
    """The position limit on every group of names of which each is ``linked`` ``(C, C)`` to another; returns the breach count.

    The breach names the group's largest position.
    """
    group = groups_of(linked)
    for first in range(len(names)):
        if group[first] != first:
            continue
        total, largest, size = 0.0, first, 0
        for j in range(len(names)):  # in the order of the names, whatever order they were found in
            if group[j] == first:
                total += abs(values[j])
                size += 1
                largest = j if abs(values[j]) > abs(values[largest]) else largest
        share = share_allowed(limits.position * nav, total)
        if size > 1 and share < 1.0:
            count = breach(breaches, count, PAIR_CORRELATION, names[largest], limits.position, total / nav)
            for i in range(len(names)):
                if group[i] == first:
                    cut(plan, names[i], share, PAIR_CORRELATION, limits.lot)
    return count


@njit
def tail_rules(
    plan: np.ndarray, names: Ints, book: np.ndarray, values: Floats, returns: Floats, matrix: Floats, nav: float, lot: float,
    rare: RareParams, breaches: np.ndarray, count: int,
) -> int:
    """Volatility, value at risk and expected shortfall: the larger of the historical and the normal one; returns the breach count."""
    sigma = volatility_without_offsets(matrix, values) / nav
    count = scale_down(plan, names, book, rare.volatility, sigma, VOLATILITY, lot, breaches, count)
    if min(rare.value_at_risk, rare.shortfall) == math.inf:
        return count
    quantile, mean = tail_loss(book_losses(returns, values), rare.confidence)
    session = sigma / math.sqrt(SESSIONS_PER_YEAR)
    at_risk = worse(quantile / nav, rare.value_at_risk_z * session)
    shortfall = worse(mean / nav, rare.shortfall_z * session)
    count = scale_down(plan, names, book, rare.value_at_risk, at_risk, VALUE_AT_RISK, lot, breaches, count)
    return scale_down(plan, names, book, rare.shortfall, shortfall, EXPECTED_SHORTFALL, lot, breaches, count)


@lean
def worse(one: float, other: float) -> float:
    """The larger of two; NaN where either is unknown."""
    return one + other if math.isnan(one) or math.isnan(other) else max(one, other)


@lean
def scale_down(
    plan: np.ndarray, names: Ints, book: np.ndarray, limit: float, value: float, rule: int, lot: float, breaches: np.ndarray, count: int
) -> int:
    """Cut ``names`` pro rata so that a ``value`` that grows with the book in proportion is within its limit; unknown: enlarge none."""
    if limit == math.inf:
        return count
    if math.isnan(value):
        for s in names:
            count = deny_increase(plan, s, book[s].shares, UNKNOWN_RISK, breaches, count)
        return count
    share = share_allowed(limit, value)
    if share < 1.0:
        count = breach(breaches, count, rule, -1, limit, value)
        for s in names:
            cut(plan, s, share, rule, lot)
    return count
