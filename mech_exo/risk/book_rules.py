"""Limits on the book as a whole: sectors, gross and net exposure, the governor, the largest positions, turnover, beta."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import lean, njit
from mech_exo.kernels.records import Floats, Ints
from mech_exo.risk.cuts import at_most, breach, cut, share_allowed, value_price
from mech_exo.risk.limits import FIRST_SECTOR, LimitParams, Past, RareParams, Rule
from mech_exo.risk.model_rules import asks_model, model_rules
from mech_exo.risk.name_rules import rare_name_rules

SECTOR, GROSS, LEVERAGE, NET = int(Rule.SECTOR), int(Rule.GROSS), int(Rule.LEVERAGE), int(Rule.NET)
GOVERNOR, CONCENTRATION = int(Rule.GOVERNOR), int(Rule.CONCENTRATION)
TURNOVER, BETA = int(Rule.TURNOVER), int(Rule.BETA)
LARGEST = 5


@njit
def book_rules(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, close: Floats, sector: np.ndarray, past: Past | None, nav: float,
    scale: float, limits: LimitParams, rare: RareParams | None, breaches: np.ndarray, count: int,
) -> int:
    """All of them, pro rata over the wanted sizes; returns the breach count.

    ``rare`` are those of ``limits``, handed in by itself: where it is None, what it asks for is not compiled.
    """
    if rare is not None and past is not None:
        count = rare_name_rules(plan, names, held, book, close, past, limits.lot, rare, breaches, count)
    sectors = 0
    worth = np.empty(held)  # USD a share; NaN: never priced
    for i in range(held):
        worth[i] = value_price(close[names[i]], book[names[i]].mark)
        sectors = max(sectors, sector[names[i]] + 1)
    by_sector = np.zeros(sectors)
    longs, shorts = 0.0, 0.0
    for i in range(held):
        wanted = plan[names[i]].wanted * worth[i]
        if math.isnan(wanted):
            continue
        if sector[names[i]] >= 0:
            by_sector[sector[names[i]]] += abs(wanted)
        longs += max(0.0, wanted)
        shorts += max(0.0, -wanted)
    limit, rule = limits.gross, GROSS
    if scale < 1.0:  # what the drawdown governor leaves of it
        limit, rule = limits.gross * scale if scale > 0.0 else 0.0, GOVERNOR
    if limits.leverage < limit:
        limit, rule = limits.leverage, LEVERAGE
    gross = share_allowed(limit * nav, longs + shorts)
    if gross < 1.0:
        count = breach(breaches, count, rule, -1, limit, (longs + shorts) / nav)
    ruled = not math.isnan(limits.sector)
    for k in range(sectors):
        share = share_allowed(limits.sector * nav, by_sector[k]) if ruled else 1.0
        if share < 1.0:
            count = breach(breaches, count, SECTOR, FIRST_SECTOR - k, limits.sector, by_sector[k] / nav)
        by_sector[k] = share
    for i in range(held):
        s = names[i]
        if sector[s] >= 0:
            cut(plan, s, by_sector[sector[s]], SECTOR, limits.lot)
        cut(plan, s, gross, rule, limits.lot)
    if rare is not None and past is not None:
        return rare_book_rules(plan, names, held, book, past, worth, nav, limits, rare, breaches, count)
    return side_limit(plan, names, held, worth, nav, limits.net, NET, longs, shorts, limits.lot, breaches, count)


@lean
def side_total(plan: np.ndarray, names: Ints, held: int, unit: Floats, side: float, wanted: bool) -> float:
    """What the targets, or what is ``wanted``, on one side (+1, -1) of 0 amount to at ``unit`` a share; ≥ 0. NaN counts as nothing."""
    total = 0.0
    for i in range(held):
        entry = plan[names[i]]
        value = side * (entry.wanted if wanted else entry.target) * unit[i]
        if value > 0.0:
            total += value
    return total


@lean
def side_limit(
    plan: np.ndarray, names: Ints, held: int, unit: Floats, nav: float, limit: float, rule: int, above: float, below: float, lot: float,
    breaches: np.ndarray, count: int,
) -> int:
    """Cut either side until |Σ shares × ``unit``| ≤ limit × NAV given what is left of the other; returns the breach count.

    ``above`` and ``below`` ≥ 0 are what is wanted on either side of 0. A side cut pro rata to the *wanted* sizes may end below what the
    other side was measured against, so both are looked at until neither changes: the largest book that satisfies both, whatever the
    order. Targets are whole and only fall: it ends.
    """
    changed, first = True, True
    while changed:
        changed = False
        for side in (1.0, -1.0):
            other = side_total(plan, names, held, unit, -side, False)
            wanted = above if side > 0.0 else below
            share = share_allowed(limit * nav + other, wanted)
            if share < 1.0:
                if first:
                    count = breach(breaches, count, rule, -1, limit, (wanted - other) / nav)
                for i in range(held):
                    if plan[names[i]].wanted * unit[i] * side > 0.0 and cut(plan, names[i], share, rule, lot):
                        changed = True
        first = False
    return count


@njit
def rare_book_rules(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, past: Past, worth: Floats, nav: float, limits: LimitParams,
    rare: RareParams, breaches: np.ndarray, count: int,
) -> int:
    """The largest positions, the risk model, and net exposure with what it must agree with; returns the breach count."""
    slopes = np.empty(0)
    if rare.top_five < math.inf:
        count = concentration_limit(plan, names, held, worth, nav, limits.lot, rare.top_five, breaches, count)
    if asks_model(rare):
        slopes, count = model_rules(plan, names, held, book, past, worth, nav, limits, rare, breaches, count)
    return mutual_limits(plan, names, held, book, worth, slopes, nav, limits, rare, breaches, count)


@njit
def concentration_limit(
    plan: np.ndarray, names: Ints, held: int, worth: Floats, nav: float, lot: float, limit: float, breaches: np.ndarray, count: int
) -> int:
    """The five largest positions: the largest are brought down to one size, as large as the limit allows; returns the breach count."""
    largest = np.zeros(LARGEST + 1)  # the last is where the sixth falls off
    for i in range(held):
        value = abs(plan[names[i]].wanted) * worth[i]
        at = LARGEST
        while at > 0 and value > largest[at - 1]:
            largest[at] = largest[at - 1]
            at -= 1
        if at < LARGEST:
            largest[at] = value
    total, cap = 0.0, limit * nav
    for k in range(LARGEST):
        total += largest[k]
    if share_allowed(cap, total) == 1.0:
        return count
    count = breach(breaches, count, CONCENTRATION, -1, limit, total / nav)
    level, rest = 0.0, total
    for k in range(LARGEST):
        rest -= largest[k]
        level = max(0.0, cap - rest) / (k + 1)
        if k + 1 == LARGEST or level >= largest[k + 1]:
            break
    for i in range(held):
        value = abs(plan[names[i]].wanted) * worth[i]
        if value > level:
            cut(plan, names[i], level / value, CONCENTRATION, lot)
    return count


@lean
def growth(shares: float, held: float) -> float:
    """Shares (unsigned) that going from ``held`` to ``shares`` adds; what first goes down to 0 is no growth."""
    return max(0.0, abs(shares) - abs(held)) if shares * held > 0.0 else abs(shares)


@lean
def turnover_limit(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, worth: Floats, nav: float, limit: float, lot: float,
    breaches: np.ndarray, count: int,
) -> int:
    """What is bought and sold: reductions always pass and use the budget first, growth shares what is left; returns the breach count."""
    grown, reduced = 0.0, 0.0
    for i in range(held):
        entry, before = plan[names[i]], book[names[i]].shares
        if not math.isnan(worth[i]):
            grown += growth(entry.wanted, before) * worth[i]
            reduced += growth(before, entry.target) * worth[i]
    share = 1.0 if grown == 0.0 else share_allowed(limit * nav - reduced, grown)
    if share == 1.0:
        return count
    count = breach(breaches, count, TURNOVER, -1, limit, (grown + reduced) / nav)
    for i in range(held):
        entry, before = plan[names[i]], book[names[i]].shares
        more = growth(entry.wanted, before)
        if more > 0.0:
            at_most(plan, names[i], abs(entry.wanted) - more + float(np.floor(share * more / lot) * lot), TURNOVER)
    return count


@njit
def mutual_limits(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, worth: Floats, slopes: Floats, nav: float, limits: LimitParams,
    rare: RareParams, breaches: np.ndarray, count: int,
) -> int:
    """The limits that look at what the others leave (net exposure, beta, turnover), until none changes anything; returns the breach count.

    Each allows the less of a name, the less is left of the others: whatever the order, they end at the same, largest book.
    """
    unit = np.empty(held)
    for i in range(held):
        unit[i] = worth[i] * slopes[i] if rare.beta < math.inf else math.nan
    longs, shorts = side_total(plan, names, held, worth, 1.0, True), side_total(plan, names, held, worth, -1.0, True)
    up, down = side_total(plan, names, held, unit, 1.0, True), side_total(plan, names, held, unit, -1.0, True)
    left, said = math.inf, breaches
    while True:
        count = side_limit(plan, names, held, worth, nav, limits.net, NET, longs, shorts, limits.lot, said, count)
        if rare.beta < math.inf:
            count = side_limit(plan, names, held, unit, nav, rare.beta, BETA, up, down, limits.lot, said, count)
        if rare.turnover < math.inf:
            count = turnover_limit(plan, names, held, book, worth, nav, rare.turnover, limits.lot, said, count)
        total = 0.0
        for i in range(held):
            total += abs(plan[names[i]].target)
        if not total < left:
            return count
        left, said = total, breaches[:0]  # said once
