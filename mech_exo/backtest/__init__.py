"""Backtests: the night's decisions over history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mech_exo.backtest.comparison import compare
    from mech_exo.backtest.cross_validation import CombinatorialPurgedCV
    from mech_exo.backtest.engine import EventBacktester
    from mech_exo.backtest.result import BacktestResult
    from mech_exo.backtest.walk_forward import WalkForwardEvaluator
    from mech_exo.decision.strategy import Strategy, shares
    from mech_exo.utils.settings import CostModel

__all__ = [
    "BacktestResult", "CombinatorialPurgedCV", "CostModel", "EventBacktester", "Strategy", "WalkForwardEvaluator", "compare", "shares",
]  # fmt: skip

_HOMES = {
    "BacktestResult": "mech_exo.backtest.result",
    "CombinatorialPurgedCV": "mech_exo.backtest.cross_validation",
    "CostModel": "mech_exo.utils.settings",
    "EventBacktester": "mech_exo.backtest.engine",
    "WalkForwardEvaluator": "mech_exo.backtest.walk_forward",
    "compare": "mech_exo.backtest.comparison",
    "Strategy": "mech_exo.decision.strategy",
    "shares": "mech_exo.decision.strategy",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the compiled kernels are heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
