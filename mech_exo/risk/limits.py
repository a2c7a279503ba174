"""The words of the limits: their codes, their numbers, what they may see, what they write, and the state they ask for."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from mech_exo.kernels import lean
from mech_exo.kernels.records import Bars, Floats, RiskState
from mech_exo.kernels.risk_model import normal_multiples
from mech_exo.utils.settings import RiskLimits, Shorts

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
        ("gap", np.float64),  # the tail of the name's overnight gaps against it that its stop must survive; 0: none asked, NaN unknown
        ("asked", np.float64),  # signed shares the sizing method asked for, before its filters
        ("filter", np.int64),  # Rule of sizing that made ``wanted`` (or ``target``) of it, 0 = none; what follows is of tonight only then
        ("filter_limit", np.float64),  # what that rule compared, in its own unit; NaN unknown
        ("filter_value", np.float64),
        ("gain", np.float64),  # expected return of an enlargement over the cost filter's horizon, a fraction; NaN unknown or off
        ("slip", np.float64),  # slippage it would meet, a fraction
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
    PLUGIN = 1000  # the first limit of a plug-in; the next is 1001


DRAWDOWN, STOPPED, DAILY_LOSS, ALL_TIME = int(Rule.DRAWDOWN), int(Rule.HALTED), int(Rule.DAILY_LOSS), int(Rule.ALL_TIME_DRAWDOWN)
ACTIVE, REDUCING, HALTED = int(RiskState.ACTIVE), int(RiskState.REDUCING), int(RiskState.HALTED)
DRAWDOWN_WINDOW = 252  # sessions: the trailing 12 months of the user's KPI
ANY_SHORT, LISTED_SHORT, NO_SHORT = range(3)
SHORTS = {Shorts.ANY: ANY_SHORT, Shorts.LISTED: LISTED_SHORT, Shorts.NEVER: NO_SHORT}


class RareParams(NamedTuple):
    """The limits that are off unless asked for; inf = off. Where all are, there is none of it, and none of their rules is compiled."""

    volume_share: float = math.inf
    exit_days: float = math.inf
    exit_participation: float = 0.1
    volume_window: int = 20
    turnover: float = math.inf
    top_five: float = math.inf
    price_deviation: float = math.inf
    order_offset: float = 0.0  # of the levels that the strategy itself gives its orders, a fraction
    shorts: int = ANY_SHORT
    window: int = 252  # sessions of the risk model
    confidence: float = 0.95
    value_at_risk_z: float = 1.6448536269514722  # standard deviations of a normal value at risk
    shortfall_z: float = 2.0627128075074257
    pair_correlation: float = math.inf
    average_correlation: float = math.inf
    volatility: float = math.inf
    value_at_risk: float = math.inf
    shortfall: float = math.inf
    beta: float = math.inf

    @classmethod
    def of(cls, limits: RiskLimits, order_offset: float) -> RareParams | None:
        """The numbers of ``limits``; None where every one of them is off."""
        single, book, model = limits.position_sizing, limits.portfolio, limits.risk_model
        asked = (
            single.max_volume_share, single.max_exit_days, book.max_turnover, book.max_top_five, book.max_price_deviation,
            model.max_pair_correlation, model.max_average_correlation, model.max_volatility, model.max_value_at_risk,
            model.max_expected_shortfall, model.max_beta,
        )  # fmt: skip
        if book.shorts is Shorts.ANY and all(limit is None for limit in asked):
            return None
        volume, days, turnover, top, away, pair, average, volatility, value_at_risk, shortfall, beta = map(_any, asked)
        z, shortfall_z = normal_multiples(model.confidence)
        return cls(
            volume, days, single.exit_participation, single.volume_window, turnover, top, away, order_offset, SHORTS[book.shorts],
            model.window, model.confidence, z, shortfall_z, pair, average, volatility, value_at_risk, shortfall, beta,
        )  # fmt: skip


def _any(limit: float | None) -> float:
    return math.inf if limit is None else limit


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
    gap_share: float = 0.0  # of its own gaps, that a stop must survive; 0: not asked
    gap_window: int = 252
    daily_loss: float = math.inf
    all_time: float = math.inf
    rare: RareParams | None = None

    @classmethod
    def of(cls, limits: RiskLimits, lot: float = 1.0, order_offset: float = 0.0) -> LimitParams:
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
            gap_share=single.gap_stress or 0.0,
            gap_window=single.gap_window,
            daily_loss=_any(book.max_daily_loss),
            all_time=_any(book.max_all_time_drawdown),
            rare=RareParams.of(limits, order_offset),
        )


class Past(NamedTuple):
    """What only rare limits read: rows up to the session's own."""

    row: int
    bars: Bars
    shortable: np.ndarray  # (N,) bool, who may be sold short where only those listed may; (0,): nobody
    market: Floats  # (T,) returns of the market, for betas; (0,): unknown


NO_CAPS: Floats = np.empty((0, 0))


class Sight(NamedTuple):
    """What the limits may know of a session. What is unknown denies an increase and lets a reduction pass."""

    close: Floats  # (N,) USD as traded, NaN = unknown
    sector: np.ndarray  # (N,) codes, -1 unknown
    verdict: np.ndarray  # (N,) DataVerdict codes; (0,): all in order
    past: Past | None = None  # None where no rare limit is on
    caps: Floats = NO_CAPS  # (L, N) the most shares that each limit of a plug-in allows, NaN = unknown; (0, N): there is none


class Falls(NamedTuple):
    """How far the time-weighted index lies below what the limits measure from, fractions; NaN = unknown, or not asked for."""

    year: float  # the peak of the trailing 252 sessions
    ever: float = math.nan  # the peak of all sessions
    session: float = math.nan  # the close before


@lean
def drawdown(index: np.ndarray, t: int, window: int = DRAWDOWN_WINDOW) -> float:
    """Fall of the time-weighted index at ``t`` from its peak of the trailing ``window`` sessions and the close before; in [0, 1].

    The index is 1 before the book's first session (rows before it are NaN): where the window reaches back to it, that 1 counts.
    """
    first = t - window
    peak = index[t]
    if peak < 1.0 and (first < 0 or math.isnan(index[first])):
        peak = 1.0
    for u in range(max(0, first), t):
        if index[u] > peak:
            peak = index[u]
    fall: float = 1.0 - index[t] / peak
    return fall


@lean
def falls_of(index: np.ndarray, t: int, limits: LimitParams) -> Falls:
    """What the limits that are on need of the index ``(T,)`` at the close of row ``t``."""
    year, ever, session = math.nan, math.nan, math.nan
    if limits.drawdown < math.inf:
        year = drawdown(index, t, DRAWDOWN_WINDOW)
    if limits.all_time < math.inf:
        ever = drawdown(index, t, t + 1)
    if limits.daily_loss < math.inf:
        session = 1.0 - index[t] / (index[t - 1] if t > 0 and index[t - 1] > 0.0 else 1.0)
    return Falls(year, ever, session)


@lean
def risk_state(falls: Falls, halted: bool, limits: LimitParams) -> int:
    """HALTED by command; REDUCING when a fall exceeds its limit or is unknown; else ACTIVE. Without a limit it need not be known."""
    if halted:
        return HALTED
    within = falls.year <= limits.drawdown or limits.drawdown == math.inf
    within = within and (falls.ever <= limits.all_time or limits.all_time == math.inf)
    within = within and (falls.session <= limits.daily_loss or limits.daily_loss == math.inf)
    return ACTIVE if within else REDUCING


@lean
def margin_call(nav: float, longs: float, shorts: float, limits: LimitParams) -> float:
    """The share of every position that must go: 1 − NAV ÷ (maintenance × value), all without NAV; 0 while the margin is met.

    ``longs`` ≥ 0 and ``shorts`` ≤ 0 in USD. Regulation T accounts, FINRA rule 4210(c).
    """
    requirement = limits.maintenance_long * longs - limits.maintenance_short * shorts
    if not nav < requirement:
        return 0.0
    return 1.0 if nav <= 0.0 else 1.0 - nav / requirement
