"""``research.yml``: how research is judged before it trades."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mech_exo.utils.model import Fraction, Model, PositiveFraction, Sessions


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
