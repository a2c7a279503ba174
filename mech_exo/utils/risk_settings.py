"""``risk_limits.yml`` as frozen, typed models: what may never be exceeded, and the stops. Fractions of NAV, never percent."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mech_exo.utils.model import Exposure, Model, Positive, PositiveFraction, Sessions


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


class RiskLimits(Model):
    """``risk_limits.yml``: what may never be exceeded, and the stops."""

    position_sizing: PositionLimits = PositionLimits()
    portfolio: PortfolioLimits = PortfolioLimits()
    margin: MarginRules | None = MarginRules()
    sending: SendingLimits = SendingLimits()
    stops: StopRules = StopRules()

    @classmethod
    def off(cls, stops: StopRules | None = None, margin: MarginRules | None = None) -> RiskLimits:
        """No limit binds (research on a callable strategy); reports say "no risk limits"."""
        return cls(
            position_sizing=PositionLimits(max_single_trade_risk=1.0, max_sector_exposure=None, max_position=4.0),
            portfolio=PortfolioLimits(max_gross_exposure=4.0, max_net_exposure=4.0, max_leverage=4.0, max_drawdown=1.0),
            margin=margin,
            stops=stops or StopRules.none(),
        )
