"""The limits and the stops once more, in plain Python with dictionaries: what every approved book must satisfy, bar by bar exits."""

from __future__ import annotations

import math
from dataclasses import dataclass

TOLERANCE = 1e-9  # relative


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


def known(value):
    return not math.isnan(value) and 0 < value < math.inf


def at_risk(name):
    """USD per share from the price to the stop; the whole price without one; 0 beyond it."""
    if math.isnan(name.stop):
        return name.price
    distance = name.price - name.stop if name.wanted > 0 else name.stop - name.price
    return max(0.0, distance)


def increases(target, held):
    """Whether going from ``held`` to ``target`` adds risk: larger, or to the other side."""
    return abs(target) > abs(held) or target * held < 0 or (held == 0 and target != 0)


def violations(names, targets, nav, state, limits):
    """Every rule that ``targets`` break, as words. ``limits`` has the fields of LimitParams; nav may be anything."""
    found = []
    for symbol, (name, target) in enumerate(zip(names, targets, strict=True)):
        if not math.isfinite(target) or target != math.floor(target):
            found.append(f"{symbol}: {target} is not a whole number")
        if abs(target) > abs(name.wanted) or target * name.wanted < 0:
            found.append(f"{symbol}: {name.wanted} was asked and {target} given")
        unknown = not known(nav) or not known(name.price) or (name.sector < 0 and not math.isnan(limits.sector))
        if (unknown or state != "active" or name.verdict == 2) and increases(target, name.held):
            found.append(f"{symbol}: {name.held} -> {target} although {state}, unknown={unknown}")
    return found + (over_limits(names, targets, nav, limits) if known(nav) else [])


def over_limits(names, targets, nav, limits):
    """Limits that a book of ``targets`` exceeds."""
    found, sectors, longs, shorts = [], {}, 0.0, 0.0

    def check(what, value, limit):
        if value > limit * nav * (1 + TOLERANCE):
            found.append(f"{what}: {value / nav} > {limit}")

    for symbol, (name, target) in enumerate(zip(names, targets, strict=True)):
        if known(name.price):
            check(f"{symbol} position", abs(target) * name.price, limits.position)
            check(f"{symbol} risk", abs(target) * at_risk(name), limits.trade_risk)
        price = name.price if known(name.price) else name.mark
        if math.isnan(price):
            continue
        if name.sector >= 0 and not math.isnan(limits.sector):
            sectors[name.sector] = sectors.get(name.sector, 0.0) + abs(target) * price
        longs += max(0.0, target) * price
        shorts += max(0.0, -target) * price
    for sector, value in sectors.items():
        check(f"sector {sector}", value, limits.sector)
    check("gross", longs + shorts, limits.gross)
    check("leverage", longs + shorts, limits.leverage)
    check("net", abs(longs - shorts), limits.net)
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
