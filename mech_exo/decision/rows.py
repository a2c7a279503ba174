"""The compiled decision over one session's cross-section: :func:`decide_row`.

It composes the rules of scoring, sizing and risk; the history driver calls it for every session, the night calls it once.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.decision.orders import clear_plan, guard, settle
from mech_exo.decision.params import Features, Night, Rules, SizingParams, past_of
from mech_exo.decision.sizing_rows import exposure_scale, filter_wanted, in_force, raw_sizes, size_one
from mech_exo.kernels import inlined, lean, njit
from mech_exo.kernels.cross_section import top_ranked
from mech_exo.kernels.records import Bars, Floats, Ints, Reason
from mech_exo.risk.governor import share_decided
from mech_exo.risk.rules import Sight, drawdown, read_gaps
from mech_exo.sizing import methods

TIME, SCORE = int(Reason.TIME_STOP), methods.SCORE


@njit
def select(score: Floats, sector: np.ndarray, book: np.ndarray, count: int, sizing: SizingParams) -> Ints:
    """The ``count`` best names by (−score, symbol), at most ``per_sector`` of one sector.

    Names whose sector is unknown are passed over where a sector rule needs it; so are names leaving by a time stop.
    """
    n = len(score)
    chosen = np.empty(min(count, n), np.int64)
    taken, seen, reach = 0, 0, count
    filled = np.zeros(n if sizing.need_sector else 0, np.int64)
    while True:
        ranked = top_ranked(score, reach)
        for s in ranked[seen:]:
            if taken == count:
                break
            if book[s].order_reason == TIME:
                continue
            if sizing.need_sector:
                if sector[s] < 0 or filled[sector[s]] >= sizing.per_sector:
                    continue
                filled[sector[s]] += 1
            chosen[taken] = s
            taken += 1
        seen = len(ranked)
        if taken == count or seen < reach:
            return chosen[:taken]
        reach *= 2


@njit
def chosen(k: int, features: Features, book: np.ndarray, sizing: SizingParams) -> tuple[Ints, int]:
    """The names selected with row ``k`` of ``features``, longs first, and how many of them are longs."""
    sector = features.sector[k]
    longs = select(features.score[k], sector, book, sizing.top, sizing)
    if sizing.bottom == 0:
        return longs, len(longs)
    return np.concatenate((longs, select(-features.score[k], sector, book, sizing.bottom, sizing))), len(longs)


@njit
def propose(
    t: int, k: int, nav: float, share: float, bars: Bars, features: Features, book: np.ndarray, live: Ints, held: int, days: np.ndarray,
    night: Night, rules: Rules,
) -> bool:
    """Scores → ``plan.wanted``: select, size, scale (to the governor's ``share``, too), round, leave small changes alone, filter what
    does not pay.

    False = nothing is wanted anew: the schedule :func:`waits` for a signal.
    """
    sizing, plan = rules.sizing, night.plan
    names, longs = chosen(k, features, book, sizing)
    if waits(t, share, names, longs, book, live, held, days, sizing):
        return False
    method, bet = in_force(t, days, sizing)
    if method == SCORE:
        methods.score_weights(features.standard[k], names, longs, night.weights)
    shares = raw_sizes(t, k, names, longs, nav, method, bet, bars, features, night.weights, rules)
    has_atr = features.atr.shape[1] > 0
    scale = share * exposure_scale(t, names, shares, bars, nav, method, sizing)
    for i in range(len(names)):
        s = names[i]
        side = 1.0 if i < longs else -1.0
        atr = features.atr[k, s] if has_atr else math.nan
        wanted = abs(shares[i]) if scale == 1.0 else abs(shares[i]) * scale
        size_one(plan, s, side, methods.whole(wanted, sizing.lot), book[s], bars.close[t, s], atr, sizing, rules.stops)
    filter_wanted(t, k, names, longs, bars, features, book, plan, sizing.filter)
    keep_unseen(bars.close[t], book, plan)
    return True


@lean
def waits(
    t: int, share: float, names: Ints, longs: int, book: np.ndarray, live: Ints, held: int, days: np.ndarray, sizing: SizingParams
) -> bool:
    """Whether the schedule waits for a signal and there is none: who is selected is who is held, and the governor's share does not rise."""
    return sizing.on_signal and share <= days[t].scale and already_held(names, longs, book, live, held)


@lean
def already_held(names: Ints, longs: int, book: np.ndarray, live: Ints, held: int) -> bool:
    """Whether the names selected (``longs`` of them first) are exactly the names held, on the same sides."""
    count = 0
    for i in range(held):
        if book[live[i]].shares != 0.0:
            count += 1
    if count != len(names):
        return False
    for i in range(len(names)):
        side = 1.0 if i < longs else -1.0
        if not book[names[i]].shares * side > 0.0:
            return False
    return True


@lean
def keep_unseen(close: Floats, book: np.ndarray, plan: np.ndarray) -> None:
    """A held name without a bar tonight is wanted as it is: nothing is known of it, which is no reason to sell."""
    for s in range(len(plan)):
        position = book[s]
        if position.shares != 0.0 and math.isnan(close[s]) and position.order_reason != TIME:
            plan[s].asked = plan[s].wanted = position.shares
            plan[s].stop, plan[s].stop_reason, plan[s].profit = position.stop, position.stop_reason, position.target


@lean
def want(
    names: Ints, shares: Floats, share: float, terms: np.ndarray, close: Floats, book: np.ndarray, plan: np.ndarray, rules: Rules
) -> None:
    """Write the governor's ``share`` of the sizes that a callable strategy asks for: ``shares`` (signed) of the columns ``names``.

    Each is ordered on its ``terms``.
    """
    for i in range(len(names)):
        s = names[i]
        side = 1.0 if shares[i] >= 0.0 else -1.0
        wanted = abs(shares[i]) if share == 1.0 else methods.whole(share * abs(shares[i]), rules.limits.lot)
        size_one(plan, s, side, wanted, book[s], close[s], math.nan, rules.sizing, rules.stops)
        plan[s].kind, plan[s].level, plan[s].keep = terms[i].kind, terms[i].level, terms[i].keep


@lean
def any_score(score: Floats) -> bool:
    """Whether anybody has a score. Without one there is no opinion, and no opinion is no reason to sell everything."""
    for value in score:
        if not math.isnan(value):
            return True
    return False


@njit
def wish(
    t: int, k: int, bars: Bars, features: Features, book: np.ndarray, live: Ints, account: np.ndarray, days: np.ndarray, night: Night,
    rules: Rules,
) -> tuple[bool, float]:
    """The first half of :func:`decide_book`: what is wanted, in ``night.plan``.

    Returns whether anything is wanted anew, and the governor's share.
    """
    if not any_score(features.score[k]):
        return False, math.nan
    clear_plan(night.plan)
    share = share_decided(t, drawdown(days["index"], t), days["scale"], rules.governor)
    if not propose(t, k, account[0].nav, share, bars, features, book, live, account[0].live, days, night, rules):
        return False, share
    read_gaps(t, night.plan, bars, night.gaps, night.read, rules.limits.gap_share)
    return True, share


@njit
def allow(
    t: int, k: int, share: float, bars: Bars, features: Features, book: np.ndarray, live: Ints, account: np.ndarray, days: np.ndarray,
    night: Night, rules: Rules,
) -> int:
    """The second half: what the limits allow of it, as orders on the book; returns the number of breaches."""
    sight = Sight(bars.close[t], features.sector[k], features.verdict[k], past_of(t, bars, features.beside), night.caps)
    return settle(t, share, sight, book, live, account, days, night, rules)


@njit
def decide_book(
    t: int,
    k: int,
    bars: Bars,
    features: Features,
    book: np.ndarray,
    live: Ints,
    account: np.ndarray,
    days: np.ndarray,
    night: Night,
    rules: Rules,
) -> int:
    """Decide the book anew with row ``k`` of ``features``; returns the number of breaches in ``night.breaches``."""
    wished, share = wish(t, k, bars, features, book, live, account, days, night, rules)
    return allow(t, k, share, bars, features, book, live, account, days, night, rules) if wished else 0


@inlined
def decide_row(
    t: int,
    k: int,
    halted: bool,
    bars: Bars,
    features: Features,
    book: np.ndarray,
    live: Ints,
    account: np.ndarray,
    days: np.ndarray,
    night: Night,
    rules: Rules,
) -> int:
    """Decide at the close of row ``t``: levels always; when ``k`` ≥ 0 also the book for the next open.

    Parameters
    ----------
    k
        Row of ``features`` for this session, -1 when the book is not decided tonight.
    halted
        A HALT by command is in force.
    book, live, account, days
        As left by :func:`mech_exo.kernels.simulate.step`; orders are written to ``book``.

    Returns the number of breaches in ``night.breaches``.
    """
    guard(t, halted, bars, book, live, account, days, rules)
    return decide_book(t, k, bars, features, book, live, account, days, night, rules) if k >= 0 else 0
