"""The limits and the stops once more, in plain Python with dictionaries: what every approved book must satisfy, bar by bar exits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tests.oracles.naive_risk_model import average_volume, clusters, figures, gap_tail, returns_of

TOLERANCE = 1e-9  # relative


@dataclass(repr=False)
class Past:
    """A name's bars, oldest first."""

    open: list[float]
    close: list[float]
    volume: list[float]


@dataclass
class Name:
    """One name of a plan."""

    wanted: float
    held: float
    price: float
    sector: int
    stop: float = math.nan
    mark: float = math.nan
    verdict: int = 0  # 2: its data are blocked
    past: Past | None = None
    kind: str = "market_on_open"
    level: float = math.nan
    shortable: bool = False


def known(value):
    return not math.isnan(value) and 0 < value < math.inf


def at_risk(name, limits):
    """USD per share from the price to where the stop fills after a gap; the whole price without a stop; an unknown gap counts as none."""
    if math.isnan(name.stop):
        return name.price
    side = 1 if name.wanted > 0 else -1
    gap = (tail_of(name, side, limits) or 0.0) if limits.gap_share else 0.0
    reached = name.price if side * (name.price - name.stop) < 0 else name.stop
    return max(0.0, side * (name.price - reached * (1 - side * gap)))


def tail_of(name, side, limits):
    """The gap its stop must survive; None = unknown."""
    return None if name.past is None else gap_tail(name.past, side, limits.gap_share, limits.gap_window)


def increases(target, held):
    """Whether going from ``held`` to ``target`` adds risk: larger, or to the other side."""
    return abs(target) > abs(held) or target * held < 0 or (held == 0 and target != 0)


def growth(target, held):
    """Shares added; going down to 0 adds none."""
    return max(0.0, abs(target) - abs(held)) if target * held > 0 else abs(target)


def violations(names, targets, nav, state, limits, market=None, scale=1.0):
    """Every rule that ``targets`` break, as words. ``limits`` has the fields of LimitParams; nav may be anything."""
    found = []
    for symbol, (name, target) in enumerate(zip(names, targets, strict=True)):
        if not math.isfinite(target) or target != math.floor(target):
            found.append(f"{symbol}: {target} is not a whole number")
        if abs(target) > abs(name.wanted) or target * name.wanted < 0:
            found.append(f"{symbol}: {name.wanted} was asked and {target} given")
        unknown = not known(nav) or not known(name.price) or (name.sector < 0 and not math.isnan(limits.sector))
        unknown = unknown or what_is_unknown(name, target, limits, market)
        denied = limits.rare is not None and (short_denied(name, target, limits.rare) or collared(name, limits.rare))
        if (unknown or denied or state != "active" or name.verdict == 2 or math.isnan(scale)) and increases(target, name.held):
            found.append(f"{symbol}: {name.held} -> {target} although {state}, unknown={unknown}, denied={denied}")
    return found + (over_limits(names, targets, nav, limits, market, scale) if known(nav) else [])


def what_is_unknown(name, target, limits, market):
    """Whether a figure of the name's past that a limit needs is unknown."""
    if limits.gap_share and not math.isnan(name.stop) and target != 0 and tail_of(name, math.copysign(1, target), limits) is None:
        return True
    rare = limits.rare
    if rare is None or target == 0:
        return False
    if min(rare.volume_share, rare.exit_days) < math.inf and (name.past is None or average_volume(name.past, rare.volume_window) is None):
        return True
    if not model_asked(rare):
        return False
    moves = None if name.past is None else returns_of(name.past, rare.window)
    still = moves is not None and not np.var(moves) > 0
    return moves is None or (still and pairs_asked(rare)) or (rare.beta < math.inf and market is None)


def pairs_asked(rare):
    return min(rare.pair_correlation, rare.average_correlation, rare.volatility, rare.value_at_risk, rare.shortfall) < math.inf


def model_asked(rare):
    return pairs_asked(rare) or rare.beta < math.inf


def short_denied(name, target, rare):
    return target < 0 and (rare.shorts == 2 or (rare.shorts == 1 and not name.shortable))


def collared(name, rare):
    """Whether the order's level is too far from the close."""
    if name.kind not in ("limit", "stop") or rare.price_deviation == math.inf or not known(name.price):
        return False
    away = abs(rare.order_offset) if math.isnan(name.level) else abs(name.level / name.price - 1)
    return not away <= rare.price_deviation * (1 + TOLERANCE)


def over_limits(names, targets, nav, limits, market, scale):
    """Limits that a book of ``targets`` exceeds."""
    found, sectors, longs, shorts, sizes = [], {}, 0.0, 0.0, []

    def check(what, value, limit):
        if value > limit * nav * (1 + TOLERANCE):
            found.append(f"{what}: {value / nav} > {limit}")

    for symbol, (name, target) in enumerate(zip(names, targets, strict=True)):
        if known(name.price):
            check(f"{symbol} position", abs(target) * name.price, limits.position)
            check(f"{symbol} risk", abs(target) * at_risk(name, limits), limits.trade_risk)
        price = name.price if known(name.price) else name.mark
        if math.isnan(price):
            continue
        if name.sector >= 0 and not math.isnan(limits.sector):
            sectors[name.sector] = sectors.get(name.sector, 0.0) + abs(target) * price
        longs += max(0.0, target) * price
        shorts += max(0.0, -target) * price
        sizes.append(abs(target) * price)
    for sector, value in sectors.items():
        check(f"sector {sector}", value, limits.sector)
    check("gross", longs + shorts, limits.gross * (1.0 if math.isnan(scale) else min(1.0, scale)))
    check("leverage", longs + shorts, limits.leverage)
    check("net", abs(longs - shorts), limits.net)
    if limits.rare is not None:
        check("top five", sum(sorted(sizes)[-5:]), limits.rare.top_five)
        found += over_rare(names, targets, nav, limits, market, check)
    return found


def over_rare(names, targets, nav, limits, market, check):
    """The same of turnover, liquidity and the risk model; a name whose figure is unknown counts in none."""
    rare, found, grown, reduced = limits.rare, [], 0.0, 0.0
    values, moves = [], []
    for symbol, (name, target) in enumerate(zip(names, targets, strict=True)):
        price = name.price if known(name.price) else name.mark
        if math.isnan(price):
            continue
        grown += growth(target, name.held) * price
        reduced += growth(name.held, target) * price
        volume = None if name.past is None else average_volume(name.past, rare.volume_window)
        if volume is not None:
            if growth(target, name.held) > rare.volume_share * volume * (1 + TOLERANCE):
                found.append(f"{symbol}: grows by {growth(target, name.held)} of {volume} a day")
            if abs(target) > rare.exit_days * rare.exit_participation * volume * (1 + TOLERANCE):
                found.append(f"{symbol}: {target} takes too long to leave at {volume} a day")
        past = None if name.past is None else returns_of(name.past, rare.window)
        if past is not None and target != 0 and (known(name.price) or math.isnan(name.price)):
            values.append(target * price)
            moves.append(past)
    if grown > 0:
        check("turnover", grown + reduced, rare.turnover)
    if not values or not model_asked(rare):
        return found
    seen = figures(np.array(values), np.array(moves), market[-rare.window :], rare.confidence)
    for what in ("volatility", "value_at_risk", "shortfall"):
        check(what, seen[what], getattr(rare, what))
    if rare.average_correlation < math.inf:
        check("average correlation", seen["average_correlation"] / nav, rare.average_correlation)
    if rare.beta < math.inf:
        check("beta", abs(seen["betas"] @ np.array(values)), rare.beta)
    if rare.pair_correlation < math.inf:
        for members in clusters(seen["alike"], rare.pair_correlation):
            check(f"cluster {members}", sum(abs(values[i]) for i in members), limits.position)
    return found


def level(side, entry, best, atr, rules):
    """(price, reason) of the nearest stop; (None, None) when all are off. ``rules`` is a StopRules."""
    candidates = []
    if rules.hard is not None:
        candidates.append((entry - side * entry * rules.hard, "hard_stop"))
    if rules.trailing is not None:
        candidates.append((best - side * best * rules.trailing, "trailing_stop"))
    if rules.volatility_atr is not None and not math.isnan(atr):
        candidates.append((entry - side * rules.volatility_atr * atr, "volatility_stop"))
    if not candidates:
        return None, None
    return max(candidates, key=lambda c: c[0]) if side > 0 else min(candidates, key=lambda c: c[0])


def walk(side, entry, atr, bars, rules, splits=None, dividends=None, dates=None):
    """Hold from the close of bar 0 until something ends it: (bar, reason, reference price), or None.

    ``bars`` is a list of (open, high, low, close), None = no bar. Bar 0 is the session of entry; its levels rest from bar 1 on.
    ``splits`` and ``dividends`` happen before the bar they stand at (a dividend per share after the split), ``dates`` are calendar days.
    """
    best = bars[0][1] if side > 0 else bars[0][2]
    for t in range(1, len(bars)):
        stop, reason = level(side, entry, best, atr, rules)  # set at the close before
        target = None if rules.target is None else entry * (1 + side * rules.target)
        ratio, paid = splits[t] if splits else 1, dividends[t] if dividends else 0
        entry, best, atr = entry / ratio, best / ratio, atr / ratio
        stop, target = (None if x is None else x / ratio for x in (stop, target))
        if paid and rules.adjust_for_dividends and paid < min(entry, best):
            entry, best = entry - paid, best - paid
            stop, target = (None if x is None else x - paid for x in (stop, target))
        if old(t - 1, rules, dates):
            if bars[t] is not None:
                return t, "time_stop", bars[t][0]
            continue
        if bars[t] is None:
            continue
        open_, high, low, _ = bars[t]
        worse, better = (low, high) if side > 0 else (high, low)
        if stop is not None and side * open_ <= side * stop:
            return t, reason, open_
        if target is not None and target > 0 and side * open_ >= side * target:
            return t, "profit_target", open_
        if stop is not None and side * worse <= side * stop:
            return t, reason, stop
        if target is not None and target > 0 and side * better >= side * target:
            return t, "profit_target", target
        best = max(best, high) if side > 0 else min(best, low)
    return None


def old(t, rules, dates):
    """Whether at the close of bar ``t`` the position has been held for as many sessions, or calendar days, as is allowed."""
    if rules.time_sessions is not None and t >= rules.time_sessions:
        return True
    return rules.time_days is not None and (dates[t] - dates[0] if dates else t) >= rules.time_days
