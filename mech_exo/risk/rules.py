"""The limits. Each is one rule; together they cut a wanted book down to an approved one, never up.

Every limit finds by itself how much of the *wanted* size it allows, and the strictest binds. So the order of the rules
does not matter, tightening any limit never enlarges any position, and approving twice changes nothing.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from mech_exo.domain.verdict import DataVerdict
from mech_exo.kernels import lean, njit
from mech_exo.kernels.records import Floats, Ints, RiskState
from mech_exo.utils.settings import RiskLimits

PLAN = np.dtype(
    [
        ("wanted", np.float64),  # signed shares before risk
        ("target", np.float64),  # signed shares after risk
        ("binding", np.int64),  # Rule that cut it, 0 = none
        ("stop", np.float64),  # level an entry would carry, USD
        ("profit", np.float64),
        ("stop_reason", np.int64),
        ("atr", np.float64),
        ("kind", np.int64),  # OrderKind of the order that gets there
        ("level", np.float64),  # its limit or stop price; NaN: from the close, by the configured offset
        ("keep", np.int64),  # 1: ordered anew while it is not reached
    ]
)
"""Per symbol ``(N,)``: one night's plan."""

BREACH = np.dtype([("rule", np.int64), ("symbol", np.int64), ("limit", np.float64), ("value", np.float64)])
"""A limit that bound; symbol -1 is the whole portfolio, ``FIRST_SECTOR - k`` the sector ``k``."""
FIRST_SECTOR = -2


class Rule(IntEnum):
    """Codes of the rules; names equal ``domain.verdict.BreachCode`` (tested)."""

    NONE = 0
    UNKNOWN_PRICE = 1
    UNKNOWN_NAV = 2
    UNKNOWN_SECTOR = 3
    DRAWDOWN = 4
    HALTED = 5
    TRADE_RISK = 6
    POSITION = 7
    SECTOR = 8
    GROSS = 9
    LEVERAGE = 10
    NET = 11
    DATA_QUALITY = 12
    STALE_PRICE = 13
    PRICE_COLLAR = 14
    VOLUME = 15
    EXIT_DAYS = 16
    TURNOVER = 17
    DAILY_LOSS = 18
    ALL_TIME_DRAWDOWN = 19
    CONCENTRATION = 20
    PAIR_CORRELATION = 21
    AVERAGE_CORRELATION = 22
    VOLATILITY = 23
    VALUE_AT_RISK = 24
    EXPECTED_SHORTFALL = 25
    BETA = 26
    SHORT = 27
    UNKNOWN_RISK = 28
    GOVERNOR = 29
    MINIMUM_VALUE = 30
    COST = 31
    BUFFER = 32


UNKNOWN_PRICE, UNKNOWN_NAV, UNKNOWN_SECTOR = int(Rule.UNKNOWN_PRICE), int(Rule.UNKNOWN_NAV), int(Rule.UNKNOWN_SECTOR)
DRAWDOWN, STOPPED, TRADE_RISK, POSITION = int(Rule.DRAWDOWN), int(Rule.HALTED), int(Rule.TRADE_RISK), int(Rule.POSITION)
SECTOR, GROSS, LEVERAGE, NET = int(Rule.SECTOR), int(Rule.GROSS), int(Rule.LEVERAGE), int(Rule.NET)
DATA_QUALITY, BLOCK = int(Rule.DATA_QUALITY), int(DataVerdict.BLOCK)
ACTIVE, REDUCING, HALTED = int(RiskState.ACTIVE), int(RiskState.REDUCING), int(RiskState.HALTED)
DRAWDOWN_WINDOW = 252  # sessions: the trailing 12 months of the user's KPI
SLACK = 1e-12  # relative: 0.29 × 100 is 28.999999999999996 in floating point and must still allow 29


class LimitParams(NamedTuple):
    """:class:`mech_exo.utils.settings.RiskLimits` as numbers, fractions of NAV; NaN sector limit is "none", inf any other."""

    trade_risk: float
    position: float
    sector: float
    gross: float
    leverage: float
    net: float
    drawdown: float
    maintenance_long: float = math.nan  # NaN: no margin call
    maintenance_short: float = math.nan
    lot: float = 1.0  # approved shares come in multiples of it

    @classmethod
    def of(cls, limits: RiskLimits, lot: float = 1.0) -> LimitParams:
        """The numbers of ``limits``. ``RiskLimits.off()`` is no limit at all, also above the ranges a file may state."""
        margin = limits.margin
        maintenance = (math.nan, math.nan) if margin is None else (margin.maintenance_long, margin.maintenance_short)
        if limits == RiskLimits.off(limits.stops, margin):
            none = math.inf
            return cls(none, none, math.nan, none, none, none, none, *maintenance, lot)
        single, book = limits.position_sizing, limits.portfolio
        return cls(
            trade_risk=single.max_single_trade_risk,
            position=single.max_position,
            sector=math.nan if single.max_sector_exposure is None else single.max_sector_exposure,
            gross=book.max_gross_exposure,
            leverage=book.max_leverage,
            net=book.max_net_exposure,
            drawdown=book.max_drawdown,
            maintenance_long=maintenance[0],
            maintenance_short=maintenance[1],
            lot=lot,
        )


class Sight(NamedTuple):
    """What the limits may know of a session, each ``(N,)``; the last four ``(0,)`` where no rule reads them."""

    close: Floats  # USD as traded, NaN = unknown
    sector: np.ndarray  # codes, -1 unknown
    verdict: np.ndarray  # DataVerdict codes; (0,): all in order
    gap_down: Floats  # tail of the name's own overnight falls, a fraction >= 0, NaN unknown
    gap_up: Floats  # of its overnight rises
    volume: Floats  # average daily volume in shares as traded, NaN unknown


@lean
def drawdown(index: np.ndarray, t: int) -> float:
    """Fall of the time-weighted index at ``t`` from its peak of the trailing 252 sessions and the close before; in [0, 1].

    The index is 1 before the book's first session (rows before it are NaN): where the window reaches back to it, that 1 counts.
    """
    first = t - DRAWDOWN_WINDOW
    peak = index[t]
    if peak < 1.0 and (first < 0 or math.isnan(index[first])):
        peak = 1.0
    for u in range(max(0, first), t):
        if index[u] > peak:
            peak = index[u]
    fall: float = 1.0 - index[t] / peak
    return fall


@lean
def risk_state(fall: float, halted: bool, limits: LimitParams) -> int:
    """HALTED by command; REDUCING when the drawdown exceeds its limit or is unknown; else ACTIVE. Without a limit it need not be known."""
    if halted:
        return HALTED
    return ACTIVE if fall <= limits.drawdown or limits.drawdown == math.inf else REDUCING


@lean
def margin_call(nav: float, longs: float, shorts: float, limits: LimitParams) -> float:
    """The share of every position that must go: 1 − NAV ÷ (maintenance × value), all without NAV; 0 while the margin is met.

    ``longs`` ≥ 0 and ``shorts`` ≤ 0 in USD. Regulation T accounts, FINRA rule 4210(c).
    """
    requirement = limits.maintenance_long * longs - limits.maintenance_short * shorts
    if not nav < requirement:
        return 0.0
    return 1.0 if nav <= 0.0 else 1.0 - nav / requirement


@lean
def position_shares(limit: float, nav: float, price: float, lot: float = 1.0) -> float:
    """Most shares, in lots, worth at most ``limit`` × NAV."""
    return float(np.floor(limit * nav / price * (1.0 + SLACK) / lot) * lot)


@lean
def trade_risk_shares(limit: float, nav: float, price: float, stop: float, side: float, lot: float = 1.0) -> float:
    """Most shares, in lots, that lose at most ``limit`` × NAV from ``price`` to ``stop``.

    Without a stop (NaN) the whole price is at risk. A stop already passed risks nothing further (inf).
    """
    at_risk = price if math.isnan(stop) else (price - stop) * side
    return float(np.floor(limit * nav / at_risk * (1.0 + SLACK) / lot) * lot) if at_risk > 0.0 else math.inf


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
def reduce_only(wanted: float, held: float) -> float:
    """``wanted`` cut so that it does not enlarge or turn what is held."""
    if wanted * held <= 0.0:
        return 0.0
    return wanted if abs(wanted) <= abs(held) else held


@lean
def unknowns(price: float, nav: float, sector: int, limits: LimitParams) -> int:
    """The first thing unknown that a limit needs, as a Rule; 0 when all is known."""
    if not nav > 0.0 or nav == math.inf:
        return UNKNOWN_NAV
    if not price > 0.0 or price == math.inf:
        return UNKNOWN_PRICE
    if sector < 0 and not math.isnan(limits.sector):
        return UNKNOWN_SECTOR
    return 0


@lean
def single_name(
    plan: np.ndarray, s: int, price: float, nav: float, limits: LimitParams, breaches: np.ndarray, count: int
) -> int:
    """Position and per-trade-risk limits of one name; returns the breach count."""
    entry = plan[s]
    side = 1.0 if entry.wanted > 0.0 else -1.0
    size = abs(entry.wanted)
    allowed = position_shares(limits.position, nav, price, limits.lot)
    if size > allowed:
        count = breach(breaches, count, POSITION, s, limits.position, size * price / nav)
        entry.binding = POSITION
    by_risk = trade_risk_shares(limits.trade_risk, nav, price, entry.stop, side, limits.lot)
    if size > by_risk:
        at_risk = price if math.isnan(entry.stop) else (price - entry.stop) * side
        count = breach(breaches, count, TRADE_RISK, s, limits.trade_risk, size * at_risk / nav)
        if by_risk < allowed:
            entry.binding = TRADE_RISK
    entry.target = side * min(size, allowed, by_risk)
    return count


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
def value_price(close: float, mark: float) -> float:
    """What a share counts for in an exposure: its close, or where that is unknown the mark NAV counts it at; NaN = never priced."""
    return close if close > 0.0 and close < math.inf else mark


@njit
def portfolio_wide(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, close: np.ndarray, sector: np.ndarray, nav: float, limits: LimitParams,
    breaches: np.ndarray, count: int,
) -> int:
    """Sector, gross, leverage and net limits, pro rata over the wanted sizes; returns the breach count."""
    sectors = 0
    for i in range(held):
        sectors = max(sectors, sector[names[i]] + 1)
    by_sector = np.zeros(sectors)
    longs, shorts = 0.0, 0.0
    for i in range(held):
        s = names[i]
        wanted = plan[s].wanted * value_price(close[s], book[s].mark)
        if math.isnan(wanted):
            continue
        if sector[s] >= 0:
            by_sector[sector[s]] += abs(wanted)
        longs += max(0.0, wanted)
        shorts += max(0.0, -wanted)
    if not math.isnan(limits.sector):
        for k in range(sectors):
            if share_allowed(limits.sector * nav, by_sector[k]) < 1.0:
                count = breach(breaches, count, SECTOR, FIRST_SECTOR - k, limits.sector, by_sector[k] / nav)
    rule = GROSS if limits.gross <= limits.leverage else LEVERAGE
    gross = share_allowed(min(limits.gross, limits.leverage) * nav, longs + shorts)
    if gross < 1.0:
        count = breach(breaches, count, rule, -1, min(limits.gross, limits.leverage), (longs + shorts) / nav)
    for i in range(held):
        s = names[i]
        if not math.isnan(limits.sector) and sector[s] >= 0:
            cut(plan, s, share_allowed(limits.sector * nav, by_sector[sector[s]]), SECTOR, limits.lot)
        cut(plan, s, gross, rule, limits.lot)
    return net_limit(plan, names, held, book, close, nav, longs, shorts, limits, breaches, count)


@lean
def side_value(plan: np.ndarray, names: Ints, held: int, book: np.ndarray, close: np.ndarray, side: float) -> float:
    """USD that the targets of one side (+1 long, -1 short) are worth; ≥ 0."""
    total = 0.0
    for i in range(held):
        s = names[i]
        value = side * plan[s].target * value_price(close[s], book[s].mark)
        if value > 0.0:
            total += value
    return total


@lean
def net_limit(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, close: np.ndarray, nav: float, longs: float, shorts: float,
    limits: LimitParams, breaches: np.ndarray, count: int,
) -> int:
    """Cut either side until |net| ≤ limit × NAV given what is left of the other; returns the breach count.

    A side cut pro rata to the *wanted* sizes may end below what the other side was measured against, so both are looked at
    until neither changes: the largest book that satisfies both, whatever the order. Targets are whole and only fall: it ends.
    """
    changed, first = True, True
    while changed:
        changed = False
        for side in (1.0, -1.0):
            other = side_value(plan, names, held, book, close, -side)
            wanted = longs if side > 0.0 else shorts
            share = share_allowed(limits.net * nav + other, wanted)
            if share < 1.0:
                if first:
                    count = breach(breaches, count, NET, -1, limits.net, (wanted - other) / nav)
                for i in range(held):
                    if plan[names[i]].wanted * side > 0.0 and cut(plan, names[i], share, NET, limits.lot):
                        changed = True
        first = False
    return count


@lean
def approve(
    plan: np.ndarray, names: Ints, held: int, book: np.ndarray, sight: Sight, nav: float, state: int, fall: float, limits: LimitParams,
    breaches: np.ndarray,
) -> int:
    """Turn ``plan.wanted`` into ``plan.target`` for the symbols ``names[:held]``; returns how many breaches were written.

    Parameters
    ----------
    sight
        What is unknown denies an increase; a reduction always passes. What is held without a close counts in the portfolio's limits
        at its mark, as it does in NAV. A name whose data are blocked is not bought, enlarged or turned.
    state
        ACTIVE approves within the limits; REDUCING and HALTED approve reductions only.
    """
    count, close, sector, verdict = 0, sight.close, sight.sector, sight.verdict
    if state != ACTIVE:
        rule = DRAWDOWN if state == REDUCING else STOPPED
        count = breach(breaches, count, rule, -1, limits.drawdown, fall)
    for i in range(held):
        s = names[i]
        if not math.isfinite(plan[s].wanted):
            plan[s].wanted = 0.0  # an unknown size is no size
        plan[s].target = plan[s].wanted
        plan[s].binding = 0
        if plan[s].wanted == 0.0:
            continue
        unknown = unknowns(close[s], nav, sector[s], limits)
        if unknown == 0 or unknown == UNKNOWN_SECTOR:
            count = single_name(plan, s, close[s], nav, limits, breaches, count)
        if unknown != 0:
            count = deny_increase(plan, s, book[s].shares, unknown, breaches, count)
        if len(verdict) > 0 and verdict[s] >= BLOCK:
            count = deny_increase(plan, s, book[s].shares, DATA_QUALITY, breaches, count)
        if state != ACTIVE:  # before the portfolio's limits: a hedge that is denied no longer offsets anything
            rule = DRAWDOWN if state == REDUCING else STOPPED
            count = deny_increase(plan, s, book[s].shares, rule, breaches, count)
    if nav > 0.0:
        count = portfolio_wide(plan, names, held, book, close, sector, nav, limits, breaches, count)
    return count


@lean
def deny_increase(plan: np.ndarray, s: int, held: float, rule: int, breaches: np.ndarray, count: int) -> int:
    """Let a target reduce what is held but not enlarge it; returns the breach count."""
    allowed = reduce_only(plan[s].target, held)
    if allowed != plan[s].target:
        count = breach(breaches, count, rule, s, abs(held), abs(plan[s].target))
        plan[s].target = allowed
        plan[s].binding = rule
    return count
