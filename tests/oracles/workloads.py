"""The two benchmark workloads as this project runs them: W1, a monthly rotation, and W2, the same with stops."""

from __future__ import annotations

import numpy as np

from mech_exo.decision.tickets import shares
from mech_exo.domain.panel import BarPanel
from mech_exo.utils.settings import (
    Config,
    CostModel,
    FactorsConfig,
    FactorWeight,
    RiskLimits,
    Schedule,
    ScoringRules,
    Selection,
    SizingRules,
    StopRules,
    StrategyConfig,
    UniverseRules,
)

CASH = 1_000_000.0
COSTS = CostModel(commission="custom", per_share=0.0035, min_order=0.35, slippage_bps=5)
STOPS = {"W1": StopRules.none(), "W2": StopRules(hard=0.15, trailing=0.25, target=None, time_sessions=None, active_on_entry=False)}


def configured(panel: BarPanel, workload: str) -> Config:
    """The workload as a configured strategy: 20 best by 12-1 month momentum, equal parts of 95 %, anew every 21 sessions."""
    return Config(
        factors=FactorsConfig(
            technical={"momentum_12_1": FactorWeight(weight=1, direction="higher_better")}, scoring=ScoringRules(normalisation="none")
        ),
        strategy=StrategyConfig(
            initial_cash=CASH,
            universe=UniverseRules(min_price=0, min_dollar_volume=0),
            selection=Selection(top=20),
            sizing=SizingRules(method="equal_weight", gross_exposure=0.95, target_volatility=None, no_trade_buffer=0),
            schedule=Schedule(anchor=panel.sessions[252].astype(object)),
            costs=COSTS,
        ),
        risk=RiskLimits.off(STOPS[workload]),
    )


def callable_rotation(view, portfolio):
    """The same rules as a user would write them for a research backtest."""
    t, close = view.row, view.close
    if t < 252 or (t - 252) % 21:
        return None
    best = np.argsort(-(close[t - 21] / close[t - 252] - 1), kind="stable")[:20]
    return shares({view.symbols[s]: np.floor(0.95 * portfolio.nav / 20 / close[t, s]) for s in best})
