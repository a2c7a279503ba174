"""The numbers a decision obeys and the buffers it works in: the configuration as compiled functions take it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mech_exo.kernels import lean, njit
from mech_exo.kernels.records import Bars, CostParams, Floats, Ints, OrderKind
from mech_exo.risk.governor import GovernorParams
from mech_exo.risk.rules import LimitParams, Past
from mech_exo.risk.stops import StopParams
from mech_exo.sizing import methods
from mech_exo.sizing.own import Exposure, set_sizing
from mech_exo.utils.settings import Every, RiskLimits, SizingMethod, SizingRules, StrategyConfig

LIMIT, STOP_ORDER = int(OrderKind.LIMIT), int(OrderKind.STOP)
FRACTION = 0.0001
"""The lot of fractional shares: what Interactive Brokers trades in."""


class FilterParams(NamedTuple):
    """What an enlargement must be worth; NaN is "off"."""

    min_value: float  # USD
    information_coefficient: float
    horizon: float  # sessions
    cost_multiple: float
    costs: CostParams

    @classmethod
    def of(cls, sizing: SizingRules, charged: CostParams) -> FilterParams | None:
        """The numbers of ``sizing``; None where neither filter is on, of which nothing is compiled then."""
        gain = sizing.cost_filter
        if gain.multiple is None and sizing.min_position_value == 0.0:
            return None
        return cls(
            min_value=sizing.min_position_value,
            information_coefficient=gain.information_coefficient,
            horizon=float(gain.horizon_sessions),
            cost_multiple=math.nan if gain.multiple is None else gain.multiple,
            costs=charged,
        )


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
    kelly: float  # the bet, where win rate and payoff are given
    kelly_fraction: float
    kelly_min: float  # closed trades without which nothing is measured
    until: int  # the method before that
    covariance_window: int
    buffer: float
    need_sector: bool
    lot: float
    filter: FilterParams | None
    on_signal: bool  # the book is decided only where the selected names are not the names held
    order_kind: int
    order_offset: float  # of a limit (better than the close) or stop (beyond it), a fraction
    order_keep: int

    @classmethod
    def of(cls, strategy: StrategyConfig, limits: RiskLimits, charged: CostParams) -> SizingParams:
        """The numbers of ``strategy`` under ``limits``, whose orders are ``charged`` so."""
        sizing, chosen = strategy.sizing, strategy.selection
        kelly = math.nan
        if sizing.win_rate is not None and sizing.payoff is not None:
            kelly = methods.kelly_fraction(sizing.win_rate, sizing.payoff, sizing.kelly_fraction)
        return cls(
            method=_code(strategy),
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
            kelly_fraction=sizing.kelly_fraction,
            kelly_min=float(sizing.kelly_min_trades),
            until=methods.NONE if sizing.until_measured is None else methods.CODES[sizing.until_measured],
            covariance_window=sizing.covariance_window,
            buffer=sizing.no_trade_buffer,
            need_sector=limits.position_sizing.max_sector_exposure is not None or chosen.max_sector_share < 1.0,
            lot=lot_of(strategy),
            filter=FilterParams.of(sizing, charged),
            on_signal=strategy.schedule.every is Every.SIGNAL,
            order_kind=int(OrderKind[strategy.orders.type.name]),
            order_offset=strategy.orders.offset_bps / 10_000,
            order_keep=int(strategy.orders.keep),
        )


    @property
    def given(self) -> bool:
        """Whether a plug-in is asked for the sizes: see ``decision/asked.py``."""
        return self.method in methods.GIVEN

    @property
    def optimised(self) -> bool:
        """Whether an optimiser may be asked for the weights: see ``decision/weighing.py``."""
        return self.method in methods.OPTIMISED or (self.method == methods.KELLY and self.until in methods.OPTIMISED)


def _code(strategy: StrategyConfig) -> int:
    given = set_sizing(strategy)
    if given is None:
        return methods.CODES[SizingMethod(strategy.sizing.method)]
    return {Exposure.AS_IS: methods.AS_IS, Exposure.AT_MOST: methods.AT_MOST, Exposure.FULL: methods.FULL}[given.part.what.exposure]


def unit_of(strategy: StrategyConfig) -> float:
    """The smallest holding the account knows: what splits and partial fills are rounded to."""
    return FRACTION if strategy.sizing.fractional_shares else 1.0


def lot_of(strategy: StrategyConfig) -> float:
    """Sizes come in multiples of it."""
    return unit_of(strategy) * strategy.sizing.lot_size


TICKET = np.dtype([("kind", np.int64), ("level", np.float64), ("keep", np.int64)])
"""How an order may fill: OrderKind, limit or stop price (NaN: none), kept (1) or for one session (0)."""


class Rules(NamedTuple):
    """Everything :func:`decide_row` obeys."""

    sizing: SizingParams
    stops: StopParams
    limits: LimitParams
    governor: GovernorParams


class Beside(NamedTuple):
    """What rare limits read beside the bars: see :class:`mech_exo.risk.limits.Past`."""

    shortable: np.ndarray
    market: Floats


@njit  # counts references: a lean function that hands out arrays would have its caller drop one too many
def past_of(t: int, bars: Bars, beside: Beside | None) -> Past | None:
    """What the limits may know of the past at row ``t``; None, and nothing compiled, where no rare limit is on."""
    if beside is None:
        return None
    return Past(t, bars, beside.shortable, beside.market)


class Features(NamedTuple):
    """What is known at the ``K`` decision sessions. Arrays ``(K, N)``, or ``(K, 0)`` where no rule reads them."""

    score: Floats  # NaN = no opinion
    volatility: Floats  # daily
    atr: Floats  # USD, as traded
    sector: np.ndarray  # int16, -1 unknown
    verdict: np.ndarray  # int8 DataVerdict; (K, 0): all in order
    standard: Floats  # score less its mean over the scored names, in standard deviations
    beside: Beside | None = None  # None where no rare limit is on


class Night(NamedTuple):
    """Scratch and output of a decision, reused from session to session."""

    plan: np.ndarray  # (N,) risk.rules.PLAN
    breaches: np.ndarray  # risk.rules.BREACH buffer
    weights: Floats  # (N,) each selected name's share of the exposure, for the methods that share out weights, or a plug-in's; NaN = none
    gaps: Floats  # (N, W) and (N,): the overnight gaps read so far, see kernels.liquidity.remembered_tails
    read: Ints
    caps: Floats  # (L, N) the most shares that each limit of a plug-in allows; see risk.limits.Sight


@lean
def order_level(entry: np.ndarray, change: float, close: float, sizing: SizingParams) -> float:
    """Limit or stop price: the one given, else the close moved by the configured offset; NaN for market orders."""
    if entry.kind != LIMIT and entry.kind != STOP_ORDER:
        return math.nan
    if not math.isnan(entry.level):
        level: float = entry.level
        return level
    side = 1.0 if change > 0.0 else -1.0
    away = -side if entry.kind == LIMIT else side
    return close * (1.0 + away * sizing.order_offset)
