"""The configuration as frozen, typed models: every key, its unit, its allowed range and its default.

Fractions, never percent (0.05 is 5 %); USD; sessions, not calendar days, unless a name says otherwise. Unknown keys are
refused. ``mech_exo.utils.config`` reads them from YAML; a program may also build them directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
PositiveFraction = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Exposure = Annotated[float, Field(gt=0.0, le=4.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Sessions = Annotated[int, Field(ge=1, le=5000)]


class Model(BaseModel):
    """Frozen, strict about names, no silent coercion of text into numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_text_for_numbers(cls, value: object, info: ValidationInfo) -> object:
        """``"5"`` or ``true`` where a number is meant is a slip of the pen, not a value."""
        annotation = cls.model_fields[info.field_name].annotation if info.field_name else None
        if isinstance(value, (str, bool)) and _wants_number(annotation):
            raise PydanticCustomError("number_wanted", "a number is wanted")
        if isinstance(value, (int, float)) and date in (annotation, *get_args(annotation)):
            raise PydanticCustomError("date_wanted", "a date is wanted")  # else 86400 would be 1970-01-02
        if isinstance(value, Mapping) and get_origin(annotation) is dict and _wants_number(get_args(annotation)[1]):
            for key, item in value.items():
                if isinstance(item, (str, bool)):
                    raise PydanticCustomError("number_wanted", "a number is wanted for {key}", {"key": str(key)})
        return value


def _wants_number(annotation: object) -> bool:
    """Whether ``annotation`` is float or int, perhaps annotated, perhaps with None."""
    if get_origin(annotation) is Annotated:
        return _wants_number(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return all(_wants_number(branch) for branch in get_args(annotation) if branch is not type(None))
    return annotation in (float, int)


class Direction(StrEnum):
    """How a factor's value speaks: low is good, high is good, or far below its own normal is good."""

    LOWER_BETTER = "lower_better"
    HIGHER_BETTER = "higher_better"
    MEAN_REVERT = "mean_revert"


class FactorWeight(Model):
    """One line of ``factors.yml``: ``pe_ratio: {weight: 15, direction: lower_better}``."""

    weight: Annotated[float, Field(ge=0.0, le=100.0)]
    direction: Direction
    params: dict[str, float | int] = Field(default_factory=dict, description="overrides of the factor's own parameters")


class Normalisation(StrEnum):
    """How a factor's cross-section becomes comparable with the others'."""

    ZSCORE = "zscore"
    RANK = "rank"
    NONE = "none"


class ScoringRules(Model):
    """From factor values to one score per name."""

    normalisation: Normalisation = Normalisation.ZSCORE
    winsor: Annotated[float, Field(ge=0.0, lt=0.5)] = Field(0.025, description="share clipped at each end before the z-score")
    min_coverage: PositiveFraction = Field(0.7, description="least share of the weights a name must have values for")


class FactorsConfig(Model):
    """``factors.yml``: weights and directions by family, sector multipliers, normalisation."""

    fundamental: dict[str, FactorWeight] = Field(default_factory=dict)
    technical: dict[str, FactorWeight] = Field(default_factory=dict)
    sentiment: dict[str, FactorWeight] = Field(default_factory=dict)
    quality: dict[str, FactorWeight] = Field(default_factory=dict)
    sector_adjustments: dict[str, Annotated[float, Field(gt=0.0, le=5.0)]] = Field(
        default_factory=dict, description="multiplier of the score by sector; 1 where a sector is not named"
    )
    scoring: ScoringRules = ScoringRules()

    def weights(self) -> dict[str, FactorWeight]:
        """Every factor with a weight above 0, in order of the names: the same configuration adds up in the same order."""
        lines = [item for family in (self.fundamental, self.technical, self.sentiment, self.quality) for item in family.items()]
        return {name: line for name, line in sorted(lines, key=lambda item: item[0]) if line.weight > 0}

    @model_validator(mode="after")
    def _some_weight(self) -> FactorsConfig:
        if not self.weights():
            raise ValueError("at least one factor needs a weight above 0")
        names = [name for family in (self.fundamental, self.technical, self.sentiment, self.quality) for name in family]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"a factor stands in one family only; doubled: {', '.join(sorted(doubled))}")
        return self


class UniverseRules(Model):
    """Which names may be bought at all."""

    name: str | None = Field(None, description="universe loaded with `exo data import --universe`; null: every symbol in the store")
    min_price: NonNegative = Field(5.0, description="USD, as-traded close")
    min_dollar_volume: NonNegative = Field(5_000_000.0, description="USD a day, median")
    dollar_volume_window: Sessions = Field(63, description="sessions of the median")


class Schedule(Model):
    """When the book is decided anew."""

    every_sessions: Sessions = 21
    anchor: date | None = Field(None, description="session from which is counted; null: the first session of the book")


class Selection(Model):
    """Who is held."""

    top: Annotated[int, Field(ge=1, le=1000)] = 30
    bottom: Annotated[int, Field(ge=0, le=1000)] = Field(0, description="names sold short")
    max_sector_share: PositiveFraction = Field(1.0, description="largest share of the selected names from one sector")


class SizingMethod(StrEnum):
    """How a selected name becomes a number of shares. Each is one function of ``sizing/methods.py``."""

    EQUAL_WEIGHT = "equal_weight"
    FIXED_PERCENT = "fixed_percent"
    ATR_BASED = "atr_based"
    VOLATILITY_BASED = "volatility_based"
    KELLY = "kelly"


class SizingRules(Model):
    """How much of each name."""

    method: SizingMethod = SizingMethod.VOLATILITY_BASED
    gross_exposure: Exposure = Field(1.0, description="fraction of NAV invested before volatility scaling")
    target_volatility: Annotated[float, Field(gt=0.0, le=2.0)] | None = Field(0.12, description="annual; null: no scaling")
    volatility_window: Annotated[int, Field(ge=5, le=1000)] = 63
    atr_window: Annotated[int, Field(ge=2, le=1000)] = 14
    atr_multiple: Positive = Field(2.0, description="risk distance of ATR sizing in ATRs")
    kelly_fraction: PositiveFraction = Field(0.25, description="share of full Kelly")
    win_rate: Fraction | None = Field(None, description="measured, for Kelly; null: no Kelly")
    payoff: Positive | None = Field(None, description="average win / average loss, measured, for Kelly")
    no_trade_buffer: Fraction = Field(0.2, description="a change smaller than this share of the target is not traded")

    @model_validator(mode="after")
    def _kelly_is_measured(self) -> SizingRules:
        if self.method is SizingMethod.KELLY and (self.win_rate is None or self.payoff is None):
            raise ValueError("method kelly needs win_rate and payoff measured on closed trades; without them there is no Kelly size")
        return self


class CommissionPreset(StrEnum):
    """Commission schedules. ``custom`` reads the three figures beside it."""

    IB_FIXED = "ib_fixed"
    IB_TIERED = "ib_tiered"
    ZERO = "zero"
    CUSTOM = "custom"


class CostModel(Model):
    """What trading and holding costs. The paper broker and the backtest charge exactly this.

    ``commission`` per order = per_share × shares, at least ``min_order``, at most ``max_fraction`` of the order's value
    (Interactive Brokers, "Stocks, ETFs, Warrants - North America, Fixed"). A preset sets the three figures unless they
    are given. ``slippage_bps`` moves every market fill against the trader; ``impact`` adds
    impact × daily volatility × sqrt(shares / average daily volume) (Almgren et al. 2005, "Direct estimation of equity
    market impact", eq. 4 with exponent 1/2). Rates are annual, charged per session on 1/252.
    """

    commission: CommissionPreset = CommissionPreset.IB_FIXED
    per_share: NonNegative | None = None
    min_order: NonNegative | None = None
    max_fraction: PositiveFraction | None = None
    slippage_bps: Annotated[float, Field(ge=0.0, le=1000.0)] = 5.0
    impact: NonNegative = 0.0
    impact_window: Annotated[int, Field(ge=2, le=500)] = 20
    cash_rate: Annotated[float, Field(ge=-0.05, le=0.5)] = Field(0.0, description="annual, on positive cash")
    margin_rate: Annotated[float, Field(ge=0.0, le=0.5)] = Field(0.06, description="annual, on negative cash")
    borrow_rate: Annotated[float, Field(ge=0.0, le=2.0)] = Field(0.005, description="annual, on the value held short")

    def schedule(self) -> tuple[float, float, float]:
        """(USD per share, USD minimum per order, cap as a fraction of the order's value; inf = no cap)."""
        presets = {
            CommissionPreset.IB_FIXED: (0.005, 1.0, 0.01),
            CommissionPreset.IB_TIERED: (0.0035, 0.35, 0.01),
            CommissionPreset.ZERO: (0.0, 0.0, float("inf")),
            CommissionPreset.CUSTOM: (0.0, 0.0, float("inf")),
        }
        given = (self.per_share, self.min_order, self.max_fraction)
        preset = presets[self.commission]
        return tuple(mine if mine is not None else theirs for mine, theirs in zip(given, preset, strict=True))  # type: ignore[return-value]


class StopRules(Model):
    """Resting exits. A null switches one off. Levels are fractions of the entry price or of the best price since."""

    hard: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(0.15, description="loss from entry")
    trailing: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(0.25, description="fall from the best price since entry")
    target: Annotated[float, Field(gt=0.0, le=10.0)] | None = Field(0.30, description="gain from entry")
    time_sessions: Sessions | None = Field(60, description="exit at the next open after so many sessions")
    volatility_atr: Positive | None = Field(None, description="distance from entry in ATRs at entry")
    active_on_entry: bool = Field(True, description="protect a position in the very session it is opened")

    @classmethod
    def none(cls) -> StopRules:
        """No stop at all."""
        return cls(hard=None, trailing=None, target=None, time_sessions=None, volatility_atr=None)


class PositionLimits(Model):
    """``position_sizing:`` of ``risk_limits.yml``."""

    max_single_trade_risk: PositiveFraction = Field(0.02, description="of NAV lost if the stop fills at its level")
    max_sector_exposure: Exposure | None = Field(0.20, description="of NAV, gross, per sector; null: no sector limit")
    max_position: Exposure = Field(0.10, description="of NAV per name")


class PortfolioLimits(Model):
    """``portfolio:`` of ``risk_limits.yml``."""

    max_gross_exposure: Exposure = 1.5
    max_net_exposure: Exposure = 1.0
    max_leverage: Exposure = Field(1.5, description="gross exposure over NAV the account may carry")
    max_drawdown: PositiveFraction = Field(0.10, description="from the trailing-12-month peak NAV; beyond it only reductions")


class SendingLimits(Model):
    """``sending:`` of ``risk_limits.yml``: what may leave for one session, counted from the journal so that a restart resets nothing.

    They guard against a program run wild, not against the strategy; a backtest does not know them.
    """

    max_orders_per_session: Annotated[int, Field(ge=1, le=10_000)] = Field(500, description="beyond it orders that add risk are denied")
    max_notional_per_session: Positive | None = Field(None, description="USD; null: no ceiling")


class RiskLimits(Model):
    """``risk_limits.yml``: what may never be exceeded, and the stops."""

    position_sizing: PositionLimits = PositionLimits()
    portfolio: PortfolioLimits = PortfolioLimits()
    sending: SendingLimits = SendingLimits()
    stops: StopRules = StopRules()

    @classmethod
    def off(cls, stops: StopRules | None = None) -> RiskLimits:
        """No limit binds (research on a callable strategy); reports say "no risk limits"."""
        return cls(
            position_sizing=PositionLimits(max_single_trade_risk=1.0, max_sector_exposure=None, max_position=4.0),
            portfolio=PortfolioLimits(max_gross_exposure=4.0, max_net_exposure=4.0, max_leverage=4.0, max_drawdown=1.0),
            stops=stops or StopRules.none(),
        )


class StrategyConfig(Model):
    """``strategy.yml``."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] = "default"
    initial_cash: Positive = Field(100_000.0, description="USD")
    history_start: date = Field(date(2003, 1, 2), description="first session factors may read; part of the config hash")
    universe: UniverseRules = UniverseRules()
    schedule: Schedule = Schedule()
    selection: Selection = Selection(max_sector_share=0.2)
    sizing: SizingRules = SizingRules()
    costs: CostModel = CostModel()
    max_missing_sessions: Annotated[int, Field(ge=1, le=250)] = Field(
        10, description="sessions without a bar after which a position is closed at the last close, flagged"
    )


class DataConfig(Model):
    """``data.yml``."""

    calendar: Literal["XNYS"] = "XNYS"
    symbols: tuple[str, ...] = Field((), description="what the downloaders fetch; empty: the universe's members")
    benchmark: str | None = Field("SPY", description="name of the imported benchmark returns")
    max_jump: Annotated[float, Field(gt=0.0, le=100.0)] = Field(0.4, description="overnight move flagged as a jump")
    min_coverage: PositiveFraction = Field(0.5, description="least share of the names of the session before that need a bar for a night")


class OverfittingRules(Model):
    """``overfitting:`` of ``research.yml``."""

    blocks: Literal[2, 4, 6, 8, 10, 12, 14, 16, 18, 20] = Field(16, description="of sessions, for the probability of overfitting")
    draws: Annotated[int, Field(ge=100, le=100_000)] = Field(1000, description="resamples of the reality check and the SPA test")


class PromotionRules(Model):
    """``promotion:`` of ``research.yml``: what a run must show before its configuration trades. A null switches one off."""

    min_sessions: Sessions | None = Field(756, description="sessions played")
    min_trades: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(100, description="closed round trips")
    min_deflated_sharpe: Fraction | None = Field(0.95, description="probability that the true Sharpe ratio is above what luck would show")
    max_pbo: Fraction | None = Field(0.2, description="probability of backtest overfitting; asked of a run that comes from a sweep")
    max_drawdown: PositiveFraction | None = Field(0.10, description="of NAV")
    max_cost_share: PositiveFraction | None = Field(0.25, description="fees and slippage over gross P/L")
    require_walk_forward: bool = Field(True, description="the configuration must have been a candidate of a walk-forward evaluation")


class ResearchConfig(Model):
    """``research.yml``: how research is judged. No part of a decision, so no part of the config hash."""

    overfitting: OverfittingRules = OverfittingRules()
    promotion: PromotionRules = PromotionRules()


class Keys(Model):
    """Secrets of one vendor."""

    api_key: SecretStr = SecretStr("")


class TelegramKeys(Model):
    """Telegram bot."""

    bot_token: SecretStr = SecretStr("")
    chat_id: SecretStr = SecretStr("")


class ApiKeys(Model):
    """``api_keys.yml``, overridden by ``api_keys_local.yml``. Never part of the config hash."""

    finnhub: Keys = Keys()
    slack_webhook: SecretStr = SecretStr("")
    telegram: TelegramKeys = TelegramKeys()
    ib_account: SecretStr = SecretStr("")
    sec_user_agent: str = ""


class Config(Model):
    """The whole effective configuration. ``hash`` (in ``utils.config``) covers what decides: all but research and keys."""

    strategy: StrategyConfig = StrategyConfig()
    risk: RiskLimits = RiskLimits()
    factors: FactorsConfig = Field(
        default_factory=lambda: FactorsConfig(technical={"momentum_12_1": FactorWeight(weight=1, direction=Direction.HIGHER_BETTER)})
    )
    data: DataConfig = DataConfig()
    research: ResearchConfig = ResearchConfig()
    keys: ApiKeys = ApiKeys()
