"""Limits on one name at a time: its value, what its stop loses after a gap, its liquidity, short selling, the price of its order."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.kernels import lean, njit
from mech_exo.kernels.liquidity import average_volume, remembered_tails
from mech_exo.kernels.records import Bars, Floats, Ints, OrderKind
from mech_exo.risk.cuts import SLACK, at_most, breach, deny_increase, reduce_only, whole_lots
from mech_exo.risk.limits import LISTED_SHORT, NO_SHORT, LimitParams, Past, RareParams, Rule

UNKNOWN_PRICE, UNKNOWN_NAV, UNKNOWN_SECTOR = int(Rule.UNKNOWN_PRICE), int(Rule.UNKNOWN_NAV), int(Rule.UNKNOWN_SECTOR)
STALE_PRICE, UNKNOWN_RISK = int(Rule.STALE_PRICE), int(Rule.UNKNOWN_RISK)
TRADE_RISK, POSITION, PRICE_COLLAR = int(Rule.TRADE_RISK), int(Rule.POSITION), int(Rule.PRICE_COLLAR)
PLUGIN = int(Rule.PLUGIN)
VOLUME, EXIT_DAYS, SHORT = int(Rule.VOLUME), int(Rule.EXIT_DAYS), int(Rule.SHORT)
LIMIT, STOP_ORDER = int(OrderKind.LIMIT), int(OrderKind.STOP)


@lean
def position_shares(limit: float, nav: float, price: float, lot: float = 1.0) -> float:
    """Most shares, in lots, worth at most ``limit`` × NAV."""
    return float(np.floor(limit * nav / price * (1.0 + SLACK) / lot) * lot)


@lean
def loss_per_share(price: float, stop: float, side: float, gap: float = 0.0) -> float:
    """USD that a share of a position of sign ``side`` loses from ``price`` where its ``stop`` fills a ``gap`` beyond its level; ≥ 0.

    Long: price − stop × (1 − gap); short: stop × (1 + gap) − price. A stop that the price has passed already fills at the next open, a gap
    from the price. Without a stop (NaN) the whole price is at risk.
    """
    if math.isnan(stop):
        return price
    level = min(stop, price) if side > 0.0 else max(stop, price)
    return max(0.0, side * (price - level * (1.0 - side * gap)))


@lean
def trade_risk_shares(limit: float, nav: float, price: float, stop: float, side: float, lot: float = 1.0, gap: float = 0.0) -> float:
    """Most shares, in lots, whose :func:`loss_per_share` is at most ``limit`` × NAV; inf where nothing is at risk."""
    at_risk = loss_per_share(price, stop, side, gap)
    return float(np.floor(limit * nav / at_risk * (1.0 + SLACK) / lot) * lot) if at_risk > 0.0 else math.inf


@lean
def unknowns(price: float, mark: float, nav: float, sector: int, limits: LimitParams) -> int:
    """The first thing unknown that a limit needs, as a Rule; 0 when all is known. ``mark`` is the last close of what is held."""
    if not nav > 0.0 or nav == math.inf:
        return UNKNOWN_NAV
    if not price > 0.0 or price == math.inf:
        return STALE_PRICE if mark > 0.0 and mark < math.inf else UNKNOWN_PRICE
    if sector < 0 and not math.isnan(limits.sector):
        return UNKNOWN_SECTOR
    return 0


@lean
def single_name(
    plan: np.ndarray, s: int, price: float, nav: float, limits: LimitParams, breaches: np.ndarray, count: int
) -> int:
    """Position and per-trade-risk limits of one name; returns the breach count. An unknown gap (NaN) counts as none here."""
    entry = plan[s]
    side = 1.0 if entry.wanted > 0.0 else -1.0
    size = abs(entry.wanted)
    gap = 0.0 if math.isnan(entry.gap) else entry.gap
    allowed = position_shares(limits.position, nav, price, limits.lot)
    if size > allowed:
        count = breach(breaches, count, POSITION, s, limits.position, size * price / nav)
        entry.binding = POSITION
    by_risk = trade_risk_shares(limits.trade_risk, nav, price, entry.stop, side, limits.lot, gap)
    if size > by_risk:
        count = breach(breaches, count, TRADE_RISK, s, limits.trade_risk, size * loss_per_share(price, entry.stop, side, gap) / nav)
        if by_risk < allowed:
            entry.binding = TRADE_RISK
    entry.target = side * min(size, allowed, by_risk)
    return count


@lean
def own_limits(plan: np.ndarray, s: int, held: float, caps: Floats, lot: float, breaches: np.ndarray, count: int) -> int:
    """What the limits of plug-ins allow of one name: at most ``caps`` ``(L, N)`` shares, and no increase where that is unknown."""
    for j in range(caps.shape[0]):
        most = caps[j, s]
        if math.isnan(most):
            count = deny_increase(plan, s, held, PLUGIN + j, breaches, count)
        elif abs(plan[s].wanted) > whole_lots(most, lot):
            count = breach(breaches, count, PLUGIN + j, s, whole_lots(most, lot), abs(plan[s].wanted))
            at_most(plan, s, whole_lots(most, lot), PLUGIN + j)
    return count


@njit
def read_gaps(t: int, plan: np.ndarray, bars: Bars, gaps: Floats, read: Ints, share: float) -> None:
    """Write the gap tails that the stops of what is wanted must survive, NaN = unknown; without a stop none is needed: all is at risk.

    Of the rows up to ``t`` only; ``gaps`` and ``read`` as :func:`~mech_exo.kernels.liquidity.remembered_tails` keeps them. With ``share`` 0
    nothing is asked.
    """
    if share == 0.0:
        return
    names, sides, count = np.empty(len(plan), np.int64), np.empty(len(plan)), 0
    for s in range(len(plan)):
        plan[s].gap = 0.0
        if plan[s].wanted != 0.0 and not math.isnan(plan[s].stop):
            names[count], sides[count] = s, 1.0 if plan[s].wanted > 0.0 else -1.0
            count += 1
    tails = remembered_tails(t, names[:count], sides, bars.open, bars.close, bars.split_ratio, bars.dividend, gaps, read, share)
    for i in range(count):
        plan[names[i]].gap = tails[i]


@njit
def rare_name_rules(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, close: Floats, past: Past, lot: float, rare: RareParams,
    breaches: np.ndarray, count: int,
) -> int:
    """Liquidity, short selling and the price collar of every name; returns the breach count."""
    for i in range(held):
        s = names[i]
        before = book[s].shares
        if plan[s].wanted == 0.0:
            continue
        if plan[s].wanted < 0.0 and (rare.shorts == NO_SHORT or (rare.shorts == LISTED_SHORT and not listed(s, past))):
            count = deny_increase(plan, s, before, SHORT, breaches, count)
        if rare.price_deviation < math.inf:
            away = deviation(plan[s].kind, plan[s].level, close[s], rare.order_offset)
            allowed = reduce_only(plan[s].target, before)
            if not away <= rare.price_deviation * (1.0 + SLACK) and allowed != plan[s].target:
                count = breach(breaches, count, PRICE_COLLAR, s, rare.price_deviation, away)
                plan[s].target, plan[s].binding = allowed, PRICE_COLLAR
        if min(rare.volume_share, rare.exit_days) < math.inf:
            volume = average_volume(past.row, s, past.bars.volume, past.bars.split_ratio, rare.volume_window)
            count = liquidity(plan, s, before, volume, lot, rare, breaches, count)
    return count


@lean
def listed(s: int, past: Past) -> bool:
    """Whether the name is one of those that may be sold short."""
    return len(past.shortable) > 0 and bool(past.shortable[s])


@lean
def deviation(kind: int, level: float, close: float, offset: float) -> float:
    """How far a limit or stop order's level lies from the close, a fraction of it.

    0 for market orders; ``offset`` where the order has the strategy's own level.
    """
    if kind != LIMIT and kind != STOP_ORDER:
        return 0.0
    return abs(offset) if math.isnan(level) else abs(level / close - 1.0)


@lean
def liquidity(
    plan: np.ndarray, s: int, held: float, volume: float, lot: float, rare: RareParams, breaches: np.ndarray, count: int
) -> int:
    """At most ``volume_share`` of the average daily volume more than is held, and at most what ``exit_days`` sell."""
    if math.isnan(volume):
        return deny_increase(plan, s, held, UNKNOWN_RISK, breaches, count)
    size, kept = abs(plan[s].wanted), abs(held) if plan[s].wanted * held > 0.0 else 0.0
    if rare.volume_share < math.inf:
        most = max(kept, whole_lots(kept + rare.volume_share * volume, lot))
        if size > most:
            count = breach(breaches, count, VOLUME, s, rare.volume_share, (size - kept) / volume)
            at_most(plan, s, most, VOLUME)
    if rare.exit_days < math.inf:
        daily = rare.exit_participation * volume
        most = whole_lots(rare.exit_days * daily, lot)
        if size > most:
            count = breach(breaches, count, EXIT_DAYS, s, rare.exit_days, size / daily)
            at_most(plan, s, most, EXIT_DAYS)
    return count
