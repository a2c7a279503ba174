"""What risk says of a plan: values, not exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from mech_exo.domain.targets import TargetPosition


class RiskState(StrEnum):
    """What risk allows. Cancels and reductions always pass. Names equal ``kernels.records.RiskState`` (tested)."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class DataVerdict(IntEnum):
    """What is thought of a name's data at a session's close. BLOCK gives the name no new risk; reductions and exits pass."""

    OK = 0
    WARN = 1
    BLOCK = 2


class BreachCode(StrEnum):
    """Why a target was cut or denied. One rule of ``risk/rules.py`` each; names equal its ``Rule`` codes (tested)."""

    NONE = "none"
    UNKNOWN_PRICE = "unknown_price"
    UNKNOWN_NAV = "unknown_nav"
    UNKNOWN_SECTOR = "unknown_sector"
    DATA_QUALITY = "data_quality"
    DRAWDOWN = "max_drawdown"
    HALTED = "halted"
    TRADE_RISK = "max_single_trade_risk"
    POSITION = "max_position"
    SECTOR = "max_sector_exposure"
    GROSS = "max_gross_exposure"
    LEVERAGE = "max_leverage"
    NET = "max_net_exposure"
    STALE_PRICE = "stale_price"
    PRICE_COLLAR = "max_price_deviation"
    VOLUME = "max_volume_share"
    EXIT_DAYS = "max_exit_days"
    TURNOVER = "max_turnover"
    DAILY_LOSS = "max_daily_loss"
    ALL_TIME_DRAWDOWN = "max_all_time_drawdown"
    CONCENTRATION = "max_top_five"
    PAIR_CORRELATION = "max_pair_correlation"
    AVERAGE_CORRELATION = "max_average_correlation"
    VOLATILITY = "max_volatility"
    VALUE_AT_RISK = "max_value_at_risk"
    EXPECTED_SHORTFALL = "max_expected_shortfall"
    BETA = "max_beta"
    SHORT = "shorts"
    UNKNOWN_RISK = "unknown_risk"
    GOVERNOR = "governor"
    MINIMUM_VALUE = "min_position_value"
    COST = "cost_filter"
    BUFFER = "no_trade_buffer"


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that bound: ``value`` was asked where ``limit`` is allowed. ``symbol`` None = the whole portfolio."""

    code: BreachCode
    symbol: str | None
    limit: float
    value: float

    def __str__(self) -> str:
        who = f"{self.symbol}: " if self.symbol else ""
        return f"{who}{self.code} {self.value:.4g} > {self.limit:.4g}"


@dataclass(frozen=True, slots=True)
class RiskDecision:
    """Approved targets, the breaches that shaped them and the state."""

    approved: tuple[TargetPosition, ...]
    breaches: tuple[Breach, ...]
    state: RiskState
