"""The verdict on a plan: :func:`approve`. Each limit is one rule; together they cut a wanted book down to an approved one, never up.

Every limit finds by itself how much of the *wanted* size it allows, and the strictest binds. So the order of the rules
does not matter, tightening any limit never enlarges any position, and approving twice changes nothing. The rules are in ``name_rules.py``,
``book_rules.py`` and ``model_rules.py``, what they are made of in ``cuts.py``, their numbers in ``limits.py``.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.domain.verdict import DataVerdict
from mech_exo.kernels import lean
from mech_exo.kernels.records import Ints
from mech_exo.risk.book_rules import GOVERNOR, book_rules
from mech_exo.risk.cuts import SLACK, breach, deny_increase, share_allowed
from mech_exo.risk.limits import (
    ACTIVE,
    ALL_TIME,
    BREACH,
    DAILY_LOSS,
    DRAWDOWN,
    DRAWDOWN_WINDOW,
    FIRST_SECTOR,
    HALTED,
    PLAN,
    STOPPED,
    Falls,
    LimitParams,
    Past,
    RareParams,
    Rule,
    Sight,
    drawdown,
    falls_of,
    margin_call,
    risk_state,
)
from mech_exo.risk.name_rules import (
    UNKNOWN_RISK,
    UNKNOWN_SECTOR,
    loss_per_share,
    own_limits,
    position_shares,
    read_gaps,
    single_name,
    trade_risk_shares,
    unknowns,
)

__all__ = [
    "BREACH", "DRAWDOWN_WINDOW", "FIRST_SECTOR", "PLAN", "SLACK", "Falls", "LimitParams", "Past", "RareParams", "Rule", "Sight", "approve",
    "drawdown", "falls_of", "loss_per_share", "margin_call", "position_shares", "read_gaps", "risk_state", "share_allowed", "single_name",
    "trade_risk_shares",
]  # fmt: skip

DATA_QUALITY, BLOCK = int(Rule.DATA_QUALITY), int(DataVerdict.BLOCK)


@lean
def approve(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, sight: Sight, nav: float, state: int, falls: Falls, scale: float,
    limits: LimitParams, breaches: np.ndarray,
) -> int:
    """Turn ``plan.wanted`` into ``plan.target`` for the symbols ``names[:held]``; returns how many breaches were written.

    Parameters
    ----------
    sight
        What is unknown denies an increase; a reduction always passes. What is held without a close counts in the portfolio's limits
        at its mark, as it does in NAV. A name whose data are blocked is not bought, enlarged or turned.
    state
        ACTIVE approves within the limits; REDUCING and HALTED approve reductions only.
    falls
        Those the state came from, for the breaches to tell.
    scale
        The governor's share of the gross limit, in [0, 1]; NaN = unknown: nothing is enlarged.
    """
    stopped, count = reductions_only(state, falls, scale, limits, breaches)
    for i in range(held):
        s = names[i]
        if not math.isfinite(plan[s].wanted):
            plan[s].wanted = 0.0  # an unknown size is no size
        plan[s].target = plan[s].wanted
        plan[s].binding = 0
        if plan[s].wanted == 0.0:
            continue
        price = sight.close[s]
        unknown = unknowns(price, book[s].mark, nav, sight.sector[s], limits)
        if unknown == 0 or unknown == UNKNOWN_SECTOR:
            count = single_name(plan, s, price, nav, limits, breaches, count)
        if unknown != 0:
            count = deny_increase(plan, s, book[s].shares, unknown, breaches, count)
        if math.isnan(plan[s].gap):
            count = deny_increase(plan, s, book[s].shares, UNKNOWN_RISK, breaches, count)
        if len(sight.verdict) > 0 and sight.verdict[s] >= BLOCK:
            count = deny_increase(plan, s, book[s].shares, DATA_QUALITY, breaches, count)
        count = own_limits(plan, s, book[s].shares, sight.caps, limits.lot, breaches, count)
        if stopped != 0:  # before the portfolio's limits: a hedge that is denied no longer offsets anything
            count = deny_increase(plan, s, book[s].shares, stopped, breaches, count)
    if nav > 0.0:
        close, sector, past = sight.close, sight.sector, sight.past
        count = book_rules(plan, names, held, book, close, sector, past, nav, scale, limits, limits.rare, breaches, count)
    return count


@lean
def reductions_only(state: int, falls: Falls, scale: float, limits: LimitParams, breaches: np.ndarray) -> tuple[int, int]:
    """The Rule by which only reductions pass, 0 while more does; and how many breaches say why."""
    if state == HALTED:
        return STOPPED, breach(breaches, 0, STOPPED, -1, math.nan, math.nan)
    if state == ACTIVE:
        return (GOVERNOR, breach(breaches, 0, GOVERNOR, -1, 1.0, scale)) if math.isnan(scale) else (0, 0)
    if limits.all_time < math.inf and not falls.ever <= limits.all_time:
        return ALL_TIME, breach(breaches, 0, ALL_TIME, -1, limits.all_time, falls.ever)
    within = falls.year <= limits.drawdown or limits.drawdown == math.inf
    if within and limits.daily_loss < math.inf and not falls.session <= limits.daily_loss:
        return DAILY_LOSS, breach(breaches, 0, DAILY_LOSS, -1, limits.daily_loss, falls.session)
    return DRAWDOWN, breach(breaches, 0, DRAWDOWN, -1, limits.drawdown, falls.year)
