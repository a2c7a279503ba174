"""The compiled decision over one session's cross-section: :func:`decide_row`.

It composes the rules of scoring, sizing and risk; the history driver calls it for every session, the night calls it once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mech_exo.kernels import inlined, njit
from mech_exo.kernels.cross_section import top_ranked
from mech_exo.kernels.records import Bars, Floats, Ints, Reason
from mech_exo.risk.rules import LimitParams, approve, drawdown, risk_state
from mech_exo.risk.stops import StopParams, protect, stop_level, target_level
from mech_exo.sizing import methods
from mech_exo.utils.settings import RiskLimits, StrategyConfig

SESSIONS_PER_YEAR = 252.0
REBALANCE, TIME = int(Reason.REBALANCE), int(Reason.TIME_STOP)
EQUAL, FIXED, ATR, VOLATILITY, KELLY = methods.EQUAL, methods.FIXED, methods.ATR, methods.VOLATILITY, methods.KELLY


class SizingParams(NamedTuple):
    """Selection and sizing as numbers; NaN is "off"."""

    method: int
    top: int
    bottom: int
    per_sector: int  # most names of one sector, longs and shorts each
    gross: float
    target_volatility: float
    volatility_window: int
    atr_multiple: float
    trade_risk: float
    hard_stop: float
    kelly: float
    buffer: float
    need_sector: bool

    @classmethod
    def of(cls, strategy: StrategyConfig, limits: RiskLimits) -> SizingParams:
        """The numbers of ``strategy`` under ``limits``."""
        sizing, chosen = strategy.sizing, strategy.selection
        kelly = math.nan
        if sizing.win_rate is not None and sizing.payoff is not None:
            kelly = methods.kelly_fraction(sizing.win_rate, sizing.payoff, sizing.kelly_fraction)
        return cls(
            method=methods.CODES[sizing.method],
            top=chosen.top,
            bottom=chosen.bottom,
            per_sector=max(1, math.floor(chosen.max_sector_share * max(chosen.top, chosen.bottom) + 1e-9)),
            gross=sizing.gross_exposure,
            target_volatility=math.nan if sizing.target_volatility is None else sizing.target_volatility,
            volatility_window=sizing.volatility_window,
            atr_multiple=sizing.atr_multiple,
            trade_risk=limits.position_sizing.max_single_trade_risk,
            hard_stop=math.nan if limits.stops.hard is None else limits.stops.hard,
            kelly=kelly,
            buffer=sizing.no_trade_buffer,
            need_sector=limits.position_sizing.max_sector_exposure is not None or chosen.max_sector_share < 1.0,
        )


class Rules(NamedTuple):
    """Everything :func:`decide_row` obeys."""

    sizing: SizingParams
    stops: StopParams
    limits: LimitParams


class Features(NamedTuple):
    """What is known at the ``K`` decision sessions. Arrays ``(K, N)``, or ``(K, 0)`` where no rule reads them."""

    score: Floats  # NaN = no opinion
    volatility: Floats  # daily
    atr: Floats  # USD, as traded
    sector: np.ndarray  # int16, -1 unknown


class Night(NamedTuple):
    """Scratch and output of a decision, reused from session to session."""

    plan: np.ndarray  # (N,) risk.rules.PLAN
    breaches: np.ndarray  # risk.rules.BREACH buffer


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
def portfolio_volatility(t: int, names: Ints, values: Floats, bars: Bars, window: int) -> float:
    """Annual volatility in USD that holding ``values`` USD of ``names`` would have had over the last ``window`` sessions.

    Uses the realised total returns of the very mix, so correlations are in it. A session without a bar moved nothing; what happened
    over a gap moved the session after it.
    """
    first = max(1, t - window + 1)
    total, squares = 0.0, 0.0
    last = np.empty(len(names))  # last close, per today's share less what it paid without trading
    for i in range(len(names)):
        last[i] = bars.close[first - 1, names[i]]
    for u in range(first, t + 1):
        pnl = 0.0
        for i in range(len(names)):
            s = names[i]
            close, ratio = bars.close[u, s], bars.split_ratio[u, s]
            if math.isnan(close):
                last[i] = last[i] / ratio - bars.dividend[u, s]
                continue
            change = (close + bars.dividend[u, s]) * ratio / last[i] - 1.0
            last[i] = close
            if not math.isnan(change):
                pnl += values[i] * change
        total += pnl
        squares += pnl * pnl
    count = t + 1 - first
    if count < 2:
        return math.nan
    return math.sqrt(max(0.0, squares - total * total / count) / (count - 1) * SESSIONS_PER_YEAR)


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


@njit
def size_one(
    plan: np.ndarray, s: int, side: float, shares: float, position: np.ndarray, price: float, atr: float, sizing: SizingParams,
    stops: StopParams,
) -> None:
    """Write one name's wanted size and its levels: where a held position's rest, else those its entry would carry."""
    entry = plan[s]
    size, held = side * methods.whole(shares), position.shares
    if size * held > 0.0 and abs(size - held) < sizing.buffer * abs(size):
        size = held
    entry.wanted = size
    entry.atr = atr
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
def propose(t: int, k: int, nav: float, bars: Bars, features: Features, book: np.ndarray, plan: np.ndarray, rules: Rules) -> None:
    """Scores → ``plan.wanted``: select, size, scale, round, and leave small changes alone."""
    sizing = rules.sizing
    names, longs, shares = raw_sizes(t, k, nav, bars, features, book, rules)
    has_atr = features.atr.shape[1] > 0
    scale = exposure_scale(t, names, shares, bars, nav, sizing)
    for i in range(len(names)):
        s = names[i]
        side = 1.0 if i < longs else -1.0
        atr = features.atr[k, s] if has_atr else math.nan
        wanted = abs(shares[i]) if scale == 1.0 else abs(shares[i]) * scale
        size_one(plan, s, side, wanted, book[s], bars.close[t, s], atr, sizing, rules.stops)
    keep_unseen(bars.close[t], book, plan)


@njit
def keep_unseen(close: Floats, book: np.ndarray, plan: np.ndarray) -> None:
    """A held name without a bar tonight is wanted as it is: nothing is known of it, which is no reason to sell."""
    for s in range(len(plan)):
        position = book[s]
        if position.shares != 0.0 and math.isnan(close[s]) and position.order_reason != TIME:
            plan[s].wanted = position.shares
            plan[s].stop, plan[s].stop_reason, plan[s].profit = position.stop, position.stop_reason, position.target


@njit
def clear_plan(plan: np.ndarray) -> None:
    """Nothing is wanted of anybody."""
    for s in range(len(plan)):
        plan[s].wanted = 0.0
        plan[s].target = 0.0
        plan[s].binding = 0
        plan[s].stop = math.nan
        plan[s].profit = math.nan
        plan[s].stop_reason = 0
        plan[s].atr = math.nan


@njit
def relist(plan: np.ndarray, book: np.ndarray, live: Ints) -> int:
    """Rewrite ``live`` as every symbol held, ordered or wanted, ascending; returns how many."""
    count = 0
    for s in range(len(plan)):
        if book[s].shares != 0.0 or plan[s].wanted != 0.0 or book[s].order != 0.0:
            live[count] = s
            count += 1
    return count


@njit
def place_orders(plan: np.ndarray, names: Ints, count: int, book: np.ndarray, stops: StopParams) -> None:
    """Orders for the next open = approved target − held; an entry carries its levels when stops are active on entry."""
    for i in range(count):
        s = names[i]
        position, entry = book[s], plan[s]
        if position.order_reason == TIME:
            continue
        change = entry.target - position.shares
        if change == 0.0:
            continue
        position.order = change
        position.order_reason = REBALANCE
        position.order_atr = entry.atr
        if stops.active_on_entry:
            position.order_stop = entry.stop
            position.order_stop_reason = entry.stop_reason
            position.order_target = entry.profit


@njit
def settle(
    t: int,
    close: Floats,
    sector: np.ndarray,
    book: np.ndarray,
    live: Ints,
    account: np.ndarray,
    days: np.ndarray,
    night: Night,
    rules: Rules,
) -> int:
    """``plan.wanted`` → approved targets → orders on the book; returns the number of breaches."""
    count = relist(night.plan, book, live)
    account[0].live = count
    fall = drawdown(days["index"], t)
    state = days[t].state
    written = approve(night.plan, live, count, book, close, sector, account[0].nav, state, fall, rules.limits, night.breaches)
    place_orders(night.plan, live, count, book, rules.stops)
    return written


@inlined
def guard(t: int, halted: bool, book: np.ndarray, live: Ints, account: np.ndarray, days: np.ndarray, rules: Rules) -> None:
    """What every close does, decision or not: stop and target levels, time exits, the risk state."""
    protect(book, live, account[0].live, rules.stops)
    fall = drawdown(days["index"], t) if rules.limits.drawdown < math.inf else math.nan
    days[t].state = risk_state(fall, halted, rules.limits)


@njit
def want(names: Ints, shares: Floats, close: Floats, book: np.ndarray, plan: np.ndarray, rules: Rules) -> None:
    """Write the sizes that a callable strategy asks for: ``shares`` (signed whole) of the columns ``names``."""
    for i in range(len(names)):
        s = names[i]
        side = 1.0 if shares[i] >= 0.0 else -1.0
        size_one(plan, s, side, abs(shares[i]), book[s], close[s], math.nan, rules.sizing, rules.stops)


@njit
def any_score(score: Floats) -> bool:
    """Whether anybody has a score. Without one there is no opinion, and no opinion is no reason to sell everything."""
    for value in score:
        if not math.isnan(value):
            return True
    return False


@njit
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
    if k < 0 or not any_score(features.score[k]):
        return 0
    clear_plan(night.plan)
    propose(t, k, account[0].nav, bars, features, book, night.plan, rules)
    return settle(t, bars.close[t], features.sector[k], book, live, account, days, night, rules)
