"""``risk_limits.yml`` as frozen, typed models: what may never be exceeded, and the stops. Fractions of NAV, never percent."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from mech_exo.utils.model import Exposure, Model, Positive, PositiveFraction, Sessions
from mech_exo.utils.plugin_settings import Plugins


class StopRules(Model):
    """Resting exits. A null switches one off. Levels are fractions of the entry price or of the best price since."""

    hard: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(0.15, description="loss from entry")
    trailing: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(0.25, description="fall from the best price since entry")
    target: Annotated[float, Field(gt=0.0, le=10.0)] | None = Field(0.30, description="gain from entry")
    time_sessions: Sessions | None = Field(60, description="exit at the next open after so many sessions")
    time_days: Sessions | None = Field(None, description="the same in calendar days; whichever comes first")
    volatility_atr: Positive | None = Field(None, description="distance from entry in ATRs at entry")
    active_on_entry: bool = Field(True, description="protect a position in the very session it is opened")
    adjust_for_dividends: bool = Field(False, description="a cash dividend lowers entry, best price and levels on its ex-date")

    @classmethod
    def none(cls) -> StopRules:
        """No stop at all."""
        return cls(hard=None, trailing=None, target=None, time_sessions=None, volatility_atr=None)


class PositionLimits(Model):
    """``position_sizing:`` of ``risk_limits.yml``."""

    max_single_trade_risk: PositiveFraction = Field(0.02, description="of NAV lost at the stop, after a gap through it (gap_stress)")
    max_sector_exposure: Exposure | None = Field(0.20, description="of NAV, gross, per sector; null: no sector limit")
    max_position: Exposure = Field(0.10, description="of NAV per name")
    gap_stress: Annotated[float, Field(ge=0.9, le=1.0)] | None = Field(
        0.99, description="share of the name's own overnight gaps that its stop must survive; null: a stop is taken to fill at its level"
    )
    gap_window: Annotated[int, Field(ge=20, le=5000)] = Field(252, description="sessions whose gaps count")
    max_volume_share: PositiveFraction | None = Field(None, description="of the average daily volume: growth of a position; null: any")
    max_exit_days: Positive | None = Field(None, description="days that leaving a position may take; null: any")
    exit_participation: PositiveFraction = Field(0.1, description="share of the average daily volume that an exit takes a day")
    volume_window: Annotated[int, Field(ge=2, le=500)] = Field(20, description="sessions of the average daily volume")


class Shorts(StrEnum):
    """Which names may be sold short."""

    ANY = "any"
    LISTED = "listed"
    NEVER = "never"


class PortfolioLimits(Model):
    """``portfolio:`` of ``risk_limits.yml``."""

    max_gross_exposure: Exposure = Field(1.5, description="longs plus shorts, of NAV")
    max_net_exposure: Exposure = Field(1.0, description="|longs minus shorts|, of NAV")
    max_leverage: Exposure = Field(1.5, description="gross exposure over NAV the account may carry")
    max_drawdown: PositiveFraction = Field(0.10, description="from the trailing-12-month peak NAV; beyond it only reductions")
    max_all_time_drawdown: PositiveFraction | None = Field(None, description="from the highest NAV ever; beyond it only reductions")
    max_daily_loss: PositiveFraction | None = Field(None, description="of NAV in one session; beyond it only reductions that night")
    max_turnover: Positive | None = Field(None, description="of NAV bought plus sold by one decision; reductions always pass; null: any")
    max_top_five: Exposure | None = Field(None, description="of NAV in the five largest positions; null: any")
    max_price_deviation: PositiveFraction | None = Field(None, description="of an order's own level from the last close; null: any")
    shorts: Shorts = Field(Shorts.ANY, description="any, listed (those of shortable) or never")
    shortable: tuple[str, ...] = Field((), description="symbols that may be sold short where shorts is listed")


class RiskModelLimits(Model):
    """``risk_model:`` of ``risk_limits.yml``: limits on what the wanted book would have done over the last sessions; null: any.

    They count no relief: neither a hedge nor one name's gain makes room for another's loss, for orders fill one by one.
    """

    window: Annotated[int, Field(ge=20, le=2520)] = Field(252, description="sessions of returns behind every figure below")
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = Field(0.95, description="of value at risk and expected shortfall")
    max_pair_correlation: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None, description="names that move together by more count as one position under max_position"
    )
    max_average_correlation: Annotated[float, Field(gt=0.0, le=4.0)] | None = Field(
        None, description="of two dollars of NAV in different names; cash moves with nothing"
    )
    max_volatility: Annotated[float, Field(gt=0.0, le=4.0)] | None = Field(None, description="annual, of NAV")
    max_value_at_risk: PositiveFraction | None = Field(None, description="of NAV in one session")
    max_expected_shortfall: PositiveFraction | None = Field(None, description="of NAV in one session")
    max_beta: Exposure | None = Field(None, description="of NAV, on the equal-weighted market of the members, long or short")


class ReRisk(StrEnum):
    """When the drawdown governor lets exposure rise again: always at a decision of the book."""

    DECISION = "decision"
    RECOVERED = "recovered"


class GovernorRules(Model):
    """``governor:`` of ``risk_limits.yml``: how exposure falls between a soft drawdown and ``portfolio.max_drawdown``, the hard one."""

    soft_drawdown: Annotated[float, Field(ge=0.0, lt=1.0)] | None = Field(
        None, description="fall of NAV up to which exposure is full; null: half of portfolio.max_drawdown"
    )
    min_change: PositiveFraction = Field(0.1, description="share of full exposure: a smaller fall of it sells nothing")
    re_risk: ReRisk = Field(ReRisk.DECISION, description="at which decisions exposure rises again")
    wait_sessions: Annotated[int, Field(ge=0, le=5000)] = Field(0, description="sessions after a reduction until exposure may rise")


class MarginRules(Model):
    """``margin:`` of ``risk_limits.yml``: what the broker asks of a margin account (Regulation T; FINRA rule 4210)."""

    initial: PositiveFraction = Field(0.5, description="of gross exposure: an order that enlarges a position is cut to it at the fill")
    maintenance_long: PositiveFraction = Field(0.25, description="of what is held long; with less NAV every position is reduced")
    maintenance_short: PositiveFraction = Field(0.30, description="of what is held short")


class SendingLimits(Model):
    """``sending:`` of ``risk_limits.yml``: what may leave for one session, counted from the journal so that a restart resets nothing.

    They guard against a program run wild, not against the strategy; a backtest does not know them.
    """

    max_orders_per_session: Annotated[int, Field(ge=1, le=10_000)] = Field(500, description="beyond it orders that add risk are denied")
    max_notional_per_session: Positive | None = Field(None, description="USD; null: no ceiling")
    max_orders_per_minute: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="beyond it orders that add risk wait for the next run; null: no ceiling"
    )


class RiskLimits(Model):
    """``risk_limits.yml``: what may never be exceeded, and the stops."""

    position_sizing: PositionLimits = PositionLimits()
    portfolio: PortfolioLimits = PortfolioLimits()
    governor: GovernorRules | None = Field(GovernorRules(), description="exposure falls on the way to max_drawdown; null: off")
    risk_model: RiskModelLimits = RiskModelLimits()
    margin: MarginRules | None = Field(MarginRules(), description="what the broker asks of a margin account; null: nothing")
    sending: SendingLimits = SendingLimits()
    stops: StopRules = StopRules()
    plugins: Plugins = Field((), description="files and modules with limits of your own; docs/writing-a-limit.md")
    plugin_limits: dict[str, float | None] = Field(
        default_factory=dict, description="the figure of each limit of a plug-in, by name; one that is not named, or null, is off"
    )

    def __hash__(self) -> int:
        parts = (self.position_sizing, self.portfolio, self.governor, self.risk_model, self.margin, self.sending, self.stops, self.plugins)
        return hash((parts, tuple(self.plugin_limits.items())))

    @property
    def limits_of_plugins(self) -> dict[str, float]:
        """Those of :attr:`plugin_limits` that are on, in order of the names."""
        return {name: figure for name, figure in sorted(self.plugin_limits.items()) if figure is not None}

    @property
    def soft_drawdown(self) -> float | None:
        """The fall at which the governor begins; None without one."""
        if self.governor is None:
            return None
        given = self.governor.soft_drawdown
        return self.portfolio.max_drawdown / 2 if given is None else given

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        soft = self.soft_drawdown
        if soft is not None and soft >= self.portfolio.max_drawdown:
            raise ValueError(
                f"governor.soft_drawdown must be below portfolio.max_drawdown; got {soft:g} and {self.portfolio.max_drawdown:g} "
                "(write a smaller one, or null for half of it)"
            )
        return self

    @classmethod
    def off(cls, stops: StopRules | None = None, margin: MarginRules | None = None) -> RiskLimits:
        """No limit binds (research on a callable strategy); reports say "no risk limits"."""
        return cls(
            position_sizing=PositionLimits(max_single_trade_risk=1.0, max_sector_exposure=None, max_position=4.0, gap_stress=None),
            portfolio=PortfolioLimits(max_gross_exposure=4.0, max_net_exposure=4.0, max_leverage=4.0, max_drawdown=1.0),
            governor=None,
            margin=margin,
            stops=stops or StopRules.none(),
        )
