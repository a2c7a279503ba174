"""The compiled decision over one session's cross-section: :func:`decide_row`.

It composes the rules of scoring, sizing and risk; the history driver calls it for every session, the night calls it once.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.decision.orders import clear_plan, guard, settle
from mech_exo.decision.params import Features, Night, Rules, SizingParams, past_of
from mech_exo.kernels import inlined, lean, njit
from mech_exo.kernels.costs import SESSIONS_PER_YEAR
from mech_exo.kernels.cross_section import top_ranked
from mech_exo.kernels.records import Bars, Floats, Ints, Reason
from mech_exo.kernels.risk_model import portfolio_volatility
from mech_exo.risk.rules import Sight, read_gaps
from mech_exo.risk.stops import StopParams, stop_level, target_level
from mech_exo.sizing import methods

TIME = int(Reason.TIME_STOP)
EQUAL, FIXED, ATR, VOLATILITY, KELLY = methods.EQUAL, methods.FIXED, methods.ATR, methods.VOLATILITY, methods.KELLY


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


@lean
def raw_shares(price: float, volatility: float, atr: float, nav: float, sizing: SizingParams) -> float:
    """Unrounded shares of one selected name by the configured method; NaN where an input is unknown."""
    if sizing.method == EQUAL:
        return methods.equal_weight(nav, sizing.gross, sizing.top + sizing.bottom, price)
    if sizing.method == FIXED:
        distance = price if math.isnan(sizing.hard_stop) else price * sizing.hard_stop
        return methods.fixed_percent(nav, sizing.trade_risk, distance)
    if sizing.method == ATR:
        return methods.atr_based(nav, sizing.trade_risk, sizing.atr_multiple, atr)
    if sizing.method == VOLATILITY:
        return methods.volatility_based(nav, sizing.trade_risk, volatility * math.sqrt(SESSIONS_PER_YEAR), price)
    return methods.kelly(nav, sizing.kelly, price)


@njit
def exposure_scale(t: int, names: Ints, shares: Floats, bars: Bars, nav: float, sizing: SizingParams) -> float:
    """Factor that brings the selected names to the configured gross exposure and, below it, to the target volatility.

    Equal weights are exact as they come. Inverse-volatility sizes are scaled up or down to the exposure; the methods
    that size by risk are only scaled down.
    """
    values = np.empty(len(names))
    invested = 0.0
    for i in range(len(names)):
        values[i] = shares[i] * bars.close[t, names[i]]
        invested += abs(values[i])
    if not invested > 0.0:
        return 0.0
    scale = 1.0
    if sizing.method != EQUAL:
        budget = sizing.gross * nav * len(names) / (sizing.top + sizing.bottom)
        scale = budget / invested
        if sizing.method != VOLATILITY:
            scale = min(1.0, scale)
    if not math.isnan(sizing.target_volatility):
        volatility = portfolio_volatility(t, names, values, bars, sizing.volatility_window) * scale / nav
        if math.isnan(volatility):
            return 0.0
        if volatility > sizing.target_volatility:
            scale *= sizing.target_volatility / volatility
    return scale


@lean
def size_one(
    plan: np.ndarray, s: int, side: float, shares: float, position: np.ndarray, price: float, atr: float, sizing: SizingParams,
    stops: StopParams,
) -> None:
    """Write one name's wanted size (in lots) and its levels: where a held position's rest, else those its entry would carry."""
    entry = plan[s]
    size, held = side * shares, position.shares
    if size * held > 0.0 and abs(size - held) < sizing.buffer * abs(size):
        size = held
    entry.wanted = size
    entry.atr = atr
    entry.kind, entry.keep = sizing.order_kind, sizing.order_keep
    if size * held > 0.0:
        entry.stop, entry.stop_reason, entry.profit = position.stop, position.stop_reason, position.target
    else:
        entry.stop, entry.stop_reason = stop_level(side, price, price, atr, stops)
        entry.profit = target_level(side, price, stops)


@njit
def raw_sizes(t: int, k: int, nav: float, bars: Bars, features: Features, book: np.ndarray, rules: Rules) -> tuple[Ints, int, Floats]:
    """The names selected (longs first), how many of them are longs, and the signed unrounded shares of each; 0 where no size is known."""
    sizing = rules.sizing
    sector = features.sector[k]
    longs = select(features.score[k], sector, book, sizing.top, sizing)
    shorts = select(-features.score[k], sector, book, sizing.bottom, sizing) if sizing.bottom > 0 else longs[:0]
    names = np.concatenate((longs, shorts))
    shares = np.empty(len(names))
    has_volatility, has_atr = features.volatility.shape[1] > 0, features.atr.shape[1] > 0
    for i in range(len(names)):
        s = names[i]
        volatility = features.volatility[k, s] if has_volatility else math.nan
        atr = features.atr[k, s] if has_atr else math.nan
        size = raw_shares(bars.close[t, s], volatility, atr, nav, sizing)
        usable = size > 0.0 and size < math.inf and not (has_volatility and math.isnan(volatility))
        usable = usable and not (math.isnan(atr) and not math.isnan(rules.stops.volatility_atr))
        side = 1.0 if i < len(longs) else -1.0
        shares[i] = side * size if usable else 0.0
    return names, len(longs), shares


@njit
def propose(
    t: int, k: int, nav: float, bars: Bars, features: Features, book: np.ndarray, live: Ints, held: int, plan: np.ndarray, rules: Rules
) -> bool:
    """Scores → ``plan.wanted``: select, size, scale, round, and leave small changes alone.

    False = nothing is wanted anew: the schedule waits for a signal, and who is selected is who is held.
    """
    sizing = rules.sizing
    names, longs, shares = raw_sizes(t, k, nav, bars, features, book, rules)
    if sizing.on_signal and already_held(names, longs, book, live, held):
        return False
    has_atr = features.atr.shape[1] > 0
    scale = exposure_scale(t, names, shares, bars, nav, sizing)
    for i in range(len(names)):
        s = names[i]
        side = 1.0 if i < longs else -1.0
        atr = features.atr[k, s] if has_atr else math.nan
        wanted = abs(shares[i]) if scale == 1.0 else abs(shares[i]) * scale
        size_one(plan, s, side, methods.whole(wanted, sizing.lot), book[s], bars.close[t, s], atr, sizing, rules.stops)
    keep_unseen(bars.close[t], book, plan)
    return True


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
            plan[s].wanted = position.shares
            plan[s].stop, plan[s].stop_reason, plan[s].profit = position.stop, position.stop_reason, position.target


@lean
def want(names: Ints, shares: Floats, terms: np.ndarray, close: Floats, book: np.ndarray, plan: np.ndarray, rules: Rules) -> None:
    """Write the sizes that a callable strategy asks for: ``shares`` (signed) of the columns ``names``, each ordered on its ``terms``."""
    for i in range(len(names)):
        s = names[i]
        side = 1.0 if shares[i] >= 0.0 else -1.0
        size_one(plan, s, side, abs(shares[i]), book[s], close[s], math.nan, rules.sizing, rules.stops)
        plan[s].kind, plan[s].level, plan[s].keep = terms[i].kind, terms[i].level, terms[i].keep


@lean
def any_score(score: Floats) -> bool:
    """Whether anybody has a score. Without one there is no opinion, and no opinion is no reason to sell everything."""
    for value in score:
        if not math.isnan(value):
            return True
    return False


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
    if not any_score(features.score[k]):
        return 0
    clear_plan(night.plan)
    if not propose(t, k, account[0].nav, bars, features, book, live, account[0].live, night.plan, rules):
        return 0
    read_gaps(t, night.plan, bars, night.gaps, night.read, rules.limits.gap_share)
    sight = Sight(bars.close[t], features.sector[k], features.verdict[k], past_of(t, bars, features.beside))
    return settle(t, sight, book, live, account, days, night, rules)


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
    guard(t, halted, book, live, account, days, rules)
    return decide_book(t, k, bars, features, book, live, account, days, night, rules) if k >= 0 else 0
