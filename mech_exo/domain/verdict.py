"""What risk says of a plan: values, not exceptions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from mech_exo.domain import markup
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
    PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that bound: ``value`` was asked where ``limit`` is allowed. ``symbol`` None = the whole portfolio.

    ``plugin`` is the limit's name where it is one of a plug-in (code PLUGIN); its figures are shares.
    """

    code: BreachCode
    symbol: str | None
    limit: float
    value: float
    plugin: str = ""

    @classmethod
    def of(cls, word: str, symbol: str | None, limit: float, value: float) -> Breach:
        """From the :attr:`word` of a record."""
        kind, dot, name = word.partition(".")
        return cls(BreachCode(kind), symbol, limit, value, name if dot else "")

    @property
    def word(self) -> str:
        """What records call it: the code, or ``plugin.`` and the limit's name."""
        return f"{self.code.value}.{self.plugin}" if self.plugin else self.code.value

    @property
    def denies(self) -> bool:
        """Whether an increase is denied outright; its figures are then shares: what is held, and what was wanted."""
        return self.code in DENIALS and (self.symbol is not None or self.code is BreachCode.HALTED)

    @property
    def amounts(self) -> tuple[str, str]:
        """What is allowed and what it would be, each in its unit."""
        unit = " shares" if self.denies and self.symbol else "" if self.denies else UNITS[self.code][1]
        return _amount(self.limit, unit), _amount(self.value, unit)

    def __str__(self) -> str:
        who = f"{self.symbol}: " if self.symbol else ""
        if self.denies:
            return f"{who}{DENIALS[self.code]}"
        allowed, value = self.amounts
        return f"{who}{UNITS[self.code][0]} would be {value}, {allowed} is allowed ({self.word})"


def _amount(value: float, unit: str) -> str:
    if math.isnan(value):
        return "unknown" if unit else ""
    if unit.startswith("%"):
        return f"{100.0 * value:,.4g}{unit}"
    return f"{value:,.4g}{unit}"


REDUCED = "it may be reduced, not increased"
DENIALS = {
    BreachCode.UNKNOWN_PRICE: f"its price is unknown: {REDUCED}",
    BreachCode.STALE_PRICE: f"it has no close tonight, only an older one: {REDUCED}",
    BreachCode.UNKNOWN_NAV: "NAV is not above 0: only reductions pass",
    BreachCode.UNKNOWN_SECTOR: f"its sector is unknown: {REDUCED}",
    BreachCode.UNKNOWN_RISK: f"its past is too short for a limit that is on (overnight gaps, volume or returns): {REDUCED}",
    BreachCode.DATA_QUALITY: f"its data are in doubt (exo data quality): {REDUCED}",
    BreachCode.HALTED: "a HALT is in force: only reductions pass",
    BreachCode.DRAWDOWN: "the drawdown is beyond its limit or unknown: only reductions pass",
    BreachCode.ALL_TIME_DRAWDOWN: "the drawdown from the highest NAV ever is beyond its limit or unknown: only reductions pass",
    BreachCode.DAILY_LOSS: "the session lost more than its limit, or what it lost is unknown: only reductions pass tonight",
    BreachCode.SHORT: "it may not be sold short (portfolio.shorts)",
}
"""Codes by which an increase of a name is denied outright, in words."""
NAV = "% of NAV"
UNITS = {
    BreachCode.TRADE_RISK: ("the loss at its stop, gap included,", NAV),
    BreachCode.POSITION: ("the position", NAV),
    BreachCode.SECTOR: ("the sector", NAV),
    BreachCode.GROSS: ("gross exposure", NAV),
    BreachCode.LEVERAGE: ("leverage", NAV),
    BreachCode.NET: ("net exposure", NAV),
    BreachCode.GOVERNOR: ("gross exposure under the drawdown governor", NAV),
    BreachCode.CONCENTRATION: ("the five largest positions together", NAV),
    BreachCode.TURNOVER: ("turnover", NAV),
    BreachCode.PAIR_CORRELATION: ("it and the names that move with it together", NAV),
    BreachCode.VOLATILITY: ("annual volatility without offsets", NAV),
    BreachCode.VALUE_AT_RISK: ("one session's value at risk without offsets", NAV),
    BreachCode.EXPECTED_SHORTFALL: ("one session's expected shortfall without offsets", NAV),
    BreachCode.BETA: ("beta", ""),
    BreachCode.AVERAGE_CORRELATION: ("the average correlation of two dollars of NAV", ""),
    BreachCode.VOLUME: ("the growth of the position", "% of the average daily volume"),
    BreachCode.EXIT_DAYS: ("the way out", " days"),
    BreachCode.PRICE_COLLAR: ("the order's level", "% from the last close"),
    BreachCode.DRAWDOWN: ("the drawdown", "% of the peak"),
    BreachCode.ALL_TIME_DRAWDOWN: ("the drawdown from the highest NAV ever", "% of the peak"),
    BreachCode.DAILY_LOSS: ("the session's loss", NAV),
    BreachCode.MINIMUM_VALUE: ("the position", " USD"),
    BreachCode.COST: ("the cost of the change", " USD"),
    BreachCode.BUFFER: ("the change", "% of the target"),
    BreachCode.PLUGIN: ("the position", " shares"),
}
"""Of every limit with a figure: what is measured, and its unit."""


@dataclass(frozen=True, slots=True)
class RiskDecision:
    """Approved targets, the breaches that shaped them and the state."""

    approved: tuple[TargetPosition, ...]
    breaches: tuple[Breach, ...]
    state: RiskState

    def _repr_html_(self) -> str:
        rows = [
            (t.symbol, f"{t.wanted:,g}", f"{t.shares:,g}", markup.shown(t.weight, ".1%"), markup.shown(t.stop_level, ",.2f"), _why(t))
            for t in self.approved
        ]
        head = ("symbol", "wanted", "approved", "of NAV", "stop USD", "what binds")
        said = f"{len(rows):,} targets, {len(self.breaches):,} limits met"
        return markup.page(markup.title(f"Risk is {self.state}:", said), markup.table(head, rows), markup.notes(self.breaches))


def _why(target: TargetPosition) -> str:
    """What cut a target, else how far it is from the next limit."""
    return target.bound.replace("_", " ") or markup.shown(target.room)
