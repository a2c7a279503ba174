"""The configuration as frozen, typed models: every key, its unit, its allowed range and its default.

Fractions, never percent (0.05 is 5 %); USD; sessions, not calendar days, unless a name says otherwise. Unknown keys are
refused. ``mech_exo.utils.config`` reads them from YAML; a program may also build them directly.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from mech_exo.utils.alert_settings import AlertsConfig
from mech_exo.utils.broker_settings import BrokerConfig
from mech_exo.utils.dashboard_settings import DashboardConfig
from mech_exo.utils.model import Exposure, Fraction, Model, NonNegative, Positive, PositiveFraction, Sessions
from mech_exo.utils.plugin_settings import PluginName, Plugins, named
from mech_exo.utils.quality_settings import QualityRules
from mech_exo.utils.research_settings import ResearchConfig
from mech_exo.utils.risk_settings import (
    GovernorRules,
    MarginRules,
    PortfolioLimits,
    PositionLimits,
    ReRisk,
    RiskLimits,
    RiskModelLimits,
    SendingLimits,
    Shorts,
    StopRules,
)
from mech_exo.utils.scoring_settings import (
    Direction,
    FactorsConfig,
    FactorWeight,
    Neutral,
    Normalisation,
    NormalisedWithin,
    RegimeRules,
    RegressionWeights,
    ScoringRules,
)
from mech_exo.utils.source_settings import SourcesConfig

__all__ = [
    "AlertsConfig", "ApiKeys", "BrokerConfig", "CommissionPreset", "Config", "CostModel", "DashboardConfig", "DataConfig", "Direction",
    "Every", "FactorWeight", "FactorsConfig", "GovernorRules", "Keys", "MarginRules", "Neutral", "Normalisation", "NormalisedWithin",
    "OrderRules", "OrderType", "PortfolioLimits", "PositionLimits", "QualityRules", "ReRisk", "RegimeRules", "RegressionWeights",
    "ResearchConfig", "RiskLimits", "RiskModelLimits", "Schedule", "ScoringRules", "Selection", "SendingLimits", "Sentiment", "Shorts",
    "SizingMethod", "SizingRules", "SmtpKeys", "SourcesConfig", "StopRules", "StrategyConfig", "TelegramKeys", "UniverseRules",
]


class UniverseRules(Model):
    """Which names may be bought at all."""

    name: str | None = Field(None, description="universe loaded with `exo data import --universe`; null: every symbol in the store")
    min_price: NonNegative = Field(5.0, description="USD, as-traded close")
    min_dollar_volume: NonNegative = Field(5_000_000.0, description="USD a day, median")
    dollar_volume_window: Sessions = Field(63, description="sessions of the median")
    min_listing_sessions: Annotated[int, Field(ge=0, le=5000)] = Field(0, description="bars since history_start; 0 asks nothing")


class Every(StrEnum):
    """What the schedule counts in."""

    SESSIONS = "sessions"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    SIGNAL = "signal"


class Schedule(Model):
    """When the book is decided anew: every so many sessions, at the first close of each week, month or quarter, or on a signal
    (at every close at which the names selected are not the names held).
    """

    every: Every = Field(
        Every.SESSIONS, description="so many sessions, the first close of a week, month or quarter, or a change of who is selected"
    )
    every_sessions: Sessions = Field(21, description="read by every: sessions alone")
    anchor: date | None = Field(None, description="session from which is counted; null: the first session of the book")


class OrderType(StrEnum):
    """How an order may fill; docs/fills.md."""

    MARKET_ON_OPEN = "market_on_open"
    MARKET_ON_CLOSE = "market_on_close"
    LIMIT = "limit"
    STOP = "stop"


class OrderRules(Model):
    """How the configured strategy's orders are sent."""

    type: OrderType = Field(OrderType.MARKET_ON_OPEN, description="how the strategy enters and rebalances")
    offset_bps: Annotated[float, Field(ge=-2000.0, le=2000.0)] = Field(
        0.0, description="limit: so much better than the close decided at; stop: so much beyond it"
    )
    keep: bool = Field(True, description="a limit or stop that was not reached is ordered anew until the book is decided again")


class Selection(Model):
    """Who is held."""

    top: Annotated[int, Field(ge=1, le=1000)] = Field(30, description="names held at most, the best scores first")
    bottom: Annotated[int, Field(ge=0, le=1000)] = Field(0, description="names sold short")
    max_sector_share: PositiveFraction = Field(1.0, description="largest share of the selected names from one sector")


class SizingMethod(StrEnum):
    """How a selected name becomes a number of shares. Each is one function of ``sizing/methods.py``."""

    EQUAL_WEIGHT = "equal_weight"
    FIXED_PERCENT = "fixed_percent"
    ATR_BASED = "atr_based"
    VOLATILITY_BASED = "volatility_based"
    KELLY = "kelly"
    SCORE_WEIGHTED = "score_weighted"
    RISK_PARITY = "risk_parity"
    MINIMUM_VARIANCE = "minimum_variance"


class CostFilter(Model):
    """An enlargement is ordered only where it is expected to earn more than ``multiple`` round trips cost.

    Expected gain = IC × volatility over the horizon × standardised score × value: Grinold (1994), "Alpha is Volatility Times IC Times
    Score", Journal of Portfolio Management 20(4).
    """

    information_coefficient: PositiveFraction = Field(0.03, description="correlation of score and later return")
    horizon_sessions: Annotated[int, Field(ge=1, le=504)] = Field(21, description="sessions over which the gain is expected")
    multiple: Annotated[float, Field(gt=0.0, le=20.0)] | None = Field(None, description="of a round trip's cost; null: off")


class SizingRules(Model):
    """How much of each name."""

    method: SizingMethod | PluginName = Field(
        SizingMethod.VOLATILITY_BASED, description="how a wish becomes shares: docs/sizing.md has each formula; or a plug-in's name"
    )
    params: dict[str, float] = Field(default_factory=dict, description="of a method from a plug-in: overrides of its parameters")
    gross_exposure: Exposure = Field(1.0, description="fraction of NAV invested before volatility scaling")
    target_volatility: Annotated[float, Field(gt=0.0, le=2.0)] | None = Field(0.12, description="annual; null: no scaling")
    volatility_window: Annotated[int, Field(ge=5, le=1000)] = Field(63, description="sessions of the volatility that sizes")
    atr_window: Annotated[int, Field(ge=2, le=1000)] = Field(
        14, description="sessions of the average true range that sizes and places stops"
    )
    atr_multiple: Positive = Field(2.0, description="risk distance of ATR sizing in ATRs")
    covariance_window: Annotated[int, Field(ge=20, le=1000)] = Field(252, description="sessions, for risk_parity and minimum_variance")
    kelly_fraction: PositiveFraction = Field(0.25, description="share of full Kelly")
    win_rate: Fraction | None = Field(None, description="for Kelly; null: measured on the strategy's own closed trades")
    payoff: Positive | None = Field(None, description="average win / average loss, for Kelly; null: measured likewise")
    kelly_min_trades: Annotated[int, Field(ge=10, le=100_000)] = Field(50, description="closed trades without which there is no Kelly")
    until_measured: SizingMethod | None = Field(None, description="how Kelly sizes before that; null: nothing is bought")
    lot_size: Annotated[int, Field(ge=1, le=10_000)] = Field(1, description="shares are held in multiples of it")
    min_position_value: NonNegative = Field(0.0, description="USD; a position below it is not opened or enlarged")
    no_trade_buffer: Fraction = Field(0.2, description="a change smaller than this share of the target is not traded")
    cost_filter: CostFilter = CostFilter()
    fractional_shares: bool = Field(False, description="shares in multiples of 0.0001 instead of whole ones; backtests only")

    @property
    def measures(self) -> bool:
        """Whether Kelly sizes and takes win rate and payoff from the strategy's own closed trades."""
        return self.method is SizingMethod.KELLY and self.win_rate is None

    @model_validator(mode="after")
    def _kelly_is_whole(self) -> SizingRules:
        if (self.win_rate is None) != (self.payoff is None):
            raise ValueError("win_rate and payoff are given together, or neither: then both are measured on closed trades")
        if self.until_measured is SizingMethod.KELLY:
            raise ValueError("until_measured is how Kelly sizes before it has measured anything; it cannot be kelly itself")
        return self

    @model_validator(mode="after")
    def _params_of_a_plugin(self) -> SizingRules:
        if self.params and named(self.method) is None:
            raise ValueError(f"params belong to a method from a plug-in (method: plugin.NAME); the method is {self.method}")
        return self

    @model_validator(mode="after")
    def _one_lot(self) -> SizingRules:
        if self.fractional_shares and self.lot_size != 1:
            raise ValueError(f"lots of {self.lot_size} shares and fractional shares exclude each other; set lot_size to 1")
        return self


class CommissionPreset(StrEnum):
    """Commission schedules. ``custom`` reads the four figures beside it."""

    IB_FIXED = "ib_fixed"
    IB_TIERED = "ib_tiered"
    PER_SHARE = "per_share"
    PER_CENT = "per_cent"
    ZERO = "zero"
    CUSTOM = "custom"


class CostModel(Model):
    """What trading and holding costs. The paper broker and the backtest charge exactly this.

    ``commission`` per execution = per_share × shares + fraction × value, at least ``min_order``, at most ``max_fraction`` of the value
    (Interactive Brokers, "Stocks, ETFs, Warrants - North America": fixed, and tiered for up to 300,000 shares a month). A preset sets the
    four figures unless they are given. ``slippage_bps`` moves every market fill against the trader; half of ``spread_usd`` and
    ``spread_estimate`` × half the spread that daily bars imply (Abdi & Ranaldo 2017) come on top; ``impact`` adds
    impact × daily volatility × sqrt(shares / average daily volume) (Almgren et al. 2005, "Direct estimation of equity
    market impact", eq. 4 with exponent 1/2). ``participation`` caps what an order takes of a session's volume; the rest is carried to the
    next session. Rates are annual, charged per session on 1/252.
    """

    commission: CommissionPreset = Field(CommissionPreset.IB_FIXED, description="a broker's schedule; custom: the four keys below")
    per_share: NonNegative | None = Field(None, description="USD per share; null: the schedule's")
    fraction: Annotated[float, Field(ge=0.0, le=0.1)] | None = Field(None, description="of the order's value")
    min_order: NonNegative | None = Field(None, description="USD per order at least; null: the schedule's")
    max_fraction: PositiveFraction | None = Field(None, description="of the order's value at most; null: the schedule's")
    slippage_bps: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        5.0, description="basis points of the reference price, against the trader, at every market fill"
    )
    spread_usd: NonNegative = Field(0.0, description="quoted spread per share; a market fill pays half of it")
    spread_estimate: Annotated[float, Field(ge=0.0, le=5.0)] = Field(0.0, description="multiple of the half spread that daily bars imply")
    impact: NonNegative = Field(0.0, description="coefficient of daily volatility × √(shares ÷ average daily volume); 0: off")
    impact_window: Annotated[int, Field(ge=2, le=500)] = Field(20, description="sessions of the estimated spread and of the impact")
    participation: PositiveFraction | None = Field(None, description="most of a session's volume that one order takes; null: no cap")
    cash_rate: Annotated[float, Field(ge=-0.05, le=0.5)] = Field(0.0, description="annual, on positive cash")
    margin_rate: Annotated[float, Field(ge=0.0, le=0.5)] = Field(0.06, description="annual, on negative cash")
    borrow_rate: Annotated[float, Field(ge=0.0, le=2.0)] = Field(0.005, description="annual, on the value held short")

    def schedule(self) -> tuple[float, float, float, float]:
        """(USD per share, fraction of the value, USD minimum, cap as a fraction of the value; inf = no cap)."""
        none = float("inf")
        presets = {
            CommissionPreset.IB_FIXED: (0.005, 0.0, 1.0, 0.01),
            CommissionPreset.IB_TIERED: (0.0035, 0.0, 0.35, 0.01),
            CommissionPreset.PER_SHARE: (0.005, 0.0, 0.0, none),
            CommissionPreset.PER_CENT: (0.0, 0.001, 0.0, none),
            CommissionPreset.ZERO: (0.0, 0.0, 0.0, none),
            CommissionPreset.CUSTOM: (0.0, 0.0, 0.0, none),
        }
        given = (self.per_share, self.fraction, self.min_order, self.max_fraction)
        preset = presets[self.commission]
        return tuple(mine if mine is not None else theirs for mine, theirs in zip(given, preset, strict=True))  # type: ignore[return-value]


class StrategyConfig(Model):
    """``strategy.yml``."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] = Field(
        "default", description="of the strategy: of its book, ledger and reports"
    )
    initial_cash: Positive = Field(100_000.0, description="USD")
    history_start: date = Field(date(2003, 1, 2), description="first session factors may read; part of the config hash")
    universe: UniverseRules = UniverseRules()
    schedule: Schedule = Schedule()
    selection: Selection = Selection(max_sector_share=0.2)
    sizing: SizingRules = SizingRules()
    orders: OrderRules = OrderRules()
    costs: CostModel = CostModel()
    max_missing_sessions: Annotated[int, Field(ge=1, le=250)] = Field(
        10, description="sessions without a bar after which a position is closed at the last close, flagged"
    )
    plugins: Plugins = Field((), description="files and modules with sizing methods of your own; docs/writing-a-sizing-method.md")


class Sentiment(StrEnum):
    """Who scores headlines: the model that ships with the program, FinBERT, or nobody."""

    LINEAR = "linear"
    FINBERT = "finbert"
    NONE = "none"


class DataConfig(Model):
    """``data.yml``."""

    calendar: Literal["XNYS"] = Field("XNYS", description="the exchange whose sessions count: the New York Stock Exchange")
    symbols: tuple[str, ...] = Field((), description="what the downloaders fetch; empty: the universe's members")
    benchmark: str | None = Field("SPY", description="name of the imported benchmark returns")
    night_after_close: Annotated[int, Field(ge=0, le=720)] = Field(60, description="minutes from the close to the night of `exo schedule`")
    sentiment: Sentiment = Field(Sentiment.LINEAR, description="who scores headlines; docs/sentiment.md")
    sources: SourcesConfig = SourcesConfig()
    max_jump: Annotated[float, Field(gt=0.0, le=100.0)] = Field(0.4, description="move, net of the market's, that may be a jump")
    min_coverage: PositiveFraction = Field(0.5, description="least share of the last month's members with a usable bar, for a night")
    quality: QualityRules = QualityRules()
    plugins: Plugins = Field((), description="files and modules with sources of your own; docs/writing-a-source.md")


class Keys(Model):
    """Secrets of one vendor."""

    api_key: SecretStr = Field(SecretStr(""), description="of finnhub.io; without it nothing is asked there")


class TelegramKeys(Model):
    """Telegram bot."""

    bot_token: SecretStr = Field(SecretStr(""), description="of the bot, as @BotFather gives it")
    chat_id: SecretStr = Field(SecretStr(""), description="of the chat that is told")


class SmtpKeys(Model):
    """Who logs in at the mail server of ``alerts.yml``."""

    user: str = Field("", description="of the login; empty: the server asks for none")
    password: SecretStr = Field(SecretStr(""), description="of the login")


class ApiKeys(Model):
    """``api_keys.yml``, overridden by ``api_keys_local.yml``. Never part of the config hash."""

    finnhub: Keys = Keys()
    slack_webhook: SecretStr = Field(SecretStr(""), description="address of an incoming webhook")
    telegram: TelegramKeys = TelegramKeys()
    discord_webhook: SecretStr = Field(SecretStr(""), description="address of a channel's webhook")
    ntfy_topic: SecretStr = Field(SecretStr(""), description="a topic of ntfy.sh, or the address of one on a server of your own")
    smtp: SmtpKeys = SmtpKeys()
    alert_urls: dict[str, SecretStr] = Field({}, description="of channels of kind url, by name")
    heartbeat_url: SecretStr = Field(SecretStr(""), description="pinged by `exo alert run` while all is well")
    night_heartbeat_url: SecretStr = Field(SecretStr(""), description="pinged after every night")
    ib_account: SecretStr = Field(SecretStr(""), description="of Interactive Brokers; DU… is a paper account")
    dashboard_password: SecretStr = Field(SecretStr(""), description="a hash, written by `exo dash --set-password`")
    dashboard_token: SecretStr = Field(SecretStr(""), description="what a program says to read the dashboard's data")
    sec_user_agent: str = Field("", description="name and mail address, which the SEC asks of who reads EDGAR")
    plugin_keys: dict[str, SecretStr] = Field({}, description="of brokers and sources of plug-ins, by their names")


class Config(Model):
    """The whole effective configuration. ``hash`` (in ``utils.config``) covers what decides: ``utils.config.NOT_DECIDING`` is left out."""

    strategy: StrategyConfig = StrategyConfig()
    risk: RiskLimits = RiskLimits()
    factors: FactorsConfig = Field(
        default_factory=lambda: FactorsConfig(technical={"momentum_12_1": FactorWeight(weight=1, direction=Direction.HIGHER_BETTER)})
    )
    data: DataConfig = DataConfig()
    research: ResearchConfig = ResearchConfig()
    broker: BrokerConfig = BrokerConfig()
    alerts: AlertsConfig = AlertsConfig()
    dashboard: DashboardConfig = DashboardConfig()
    keys: ApiKeys = ApiKeys()
