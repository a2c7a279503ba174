"""Small markets with a known truth, for evaluations."""

from __future__ import annotations

from datetime import date

import numpy as np

from mech_exo.domain.panel import BarPanel
from mech_exo.utils.calendar import sessions as calendar_sessions
from mech_exo.utils.settings import (
    CommissionPreset,
    Config,
    CostModel,
    Direction,
    FactorsConfig,
    FactorWeight,
    PortfolioLimits,
    PositionLimits,
    RiskLimits,
    Schedule,
    Selection,
    SizingMethod,
    SizingRules,
    StopRules,
    StrategyConfig,
    UniverseRules,
)

PRICES = ("open", "high", "low", "close")


def market(seed: int, sessions: int, symbols: int, drift: float, volatility: float = 0.01) -> BarPanel:
    """Geometric random walks whose daily drifts are spread evenly over ``[-drift, drift]``, the last symbol rising most.

    With a ``drift`` of 0 this is pure noise: the mean return of every name is 0, and no rule can be better than another but by luck.
    """
    chance = np.random.default_rng(seed)
    drifts = np.linspace(-drift, drift, symbols)
    steps = drifts - volatility**2 / 2.0 + volatility * chance.standard_normal((sessions, symbols))
    close = 50.0 * np.exp(np.cumsum(steps, axis=0))
    begin = np.vstack([np.full((1, symbols), 50.0), close[:-1]])
    bars = {"open": begin, "high": np.maximum(begin, close), "low": np.minimum(begin, close), "close": close, "volume": np.full((sessions, symbols), 1e6)}
    days = calendar_sessions(date(2004, 1, 2), date(2019, 12, 31))[:sessions]
    return BarPanel.from_arrays(days, tuple(f"S{number:02d}" for number in range(symbols)), bars)


def short_sighted(window: int = 5, top: int = 3, every: int = 5) -> Config:
    """A strategy without costs, limits and stops that reads no more than ``window + 1`` sessions back."""
    trend = FactorWeight(weight=1.0, direction=Direction.HIGHER_BETTER, params={"lookback": window, "skip": 0})
    return Config(
        factors=FactorsConfig(technical={"momentum_12_1": trend}),
        risk=RiskLimits(
            position_sizing=PositionLimits(max_single_trade_risk=1.0, max_sector_exposure=None, max_position=1.0),
            portfolio=PortfolioLimits(max_drawdown=1.0), stops=StopRules.none(),
        ),
        strategy=StrategyConfig(
            universe=UniverseRules(min_price=0.0, min_dollar_volume=0.0, dollar_volume_window=window),
            schedule=Schedule(every_sessions=every), selection=Selection(top=top),
            sizing=SizingRules(method=SizingMethod.EQUAL_WEIGHT, target_volatility=None, no_trade_buffer=0.0),
            costs=CostModel(commission=CommissionPreset.ZERO, slippage_bps=0.0, margin_rate=0.0),
        ),
    )  # fmt: skip


def spoilt(panel: BarPanel, first: int, last: int) -> BarPanel:
    """The panel with other prices in rows ``[first, last)``: each name grows by its own factor, and nothing else changes."""
    bars = {name: np.array(getattr(panel, name)) for name in (*PRICES, "volume", "split_ratio", "dividend")}
    wild = np.linspace(1.05, 1.4, panel.shape[1])[::-1] ** np.sin(np.arange(last - first))[:, None]
    for name in PRICES:
        bars[name][first:last] *= wild
    return BarPanel.from_arrays(panel.sessions, panel.symbols, bars)
