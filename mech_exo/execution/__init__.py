"""Execution: the ledger, the broker seam and what stands between them.

``ledger`` (journal of decisions, orders, fills, sessions), ``broker`` (the protocol), ``paper`` (the backtest's fill
model as a broker), ``router`` (sends at most once), ``reconcile`` (ledger against broker), ``safety`` (HALT) and
``tracker`` (slippage and commissions). Names below load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mech_exo.execution.broker import BrokerInterface
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.router import OrderRouter
    from mech_exo.execution.tracker import ExecutionTracker

_HOMES = {"OrderRouter": "router", "BrokerInterface": "broker", "ExecutionTracker": "tracker", "Ledger": "ledger"}
__all__ = ["BrokerInterface", "ExecutionTracker", "Ledger", "OrderRouter"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
