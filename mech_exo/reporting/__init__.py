"""Reports a person reads: the tear sheet of a backtest, the snapshot of a night, and the questions asked of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mech_exo.reporting.snapshot import DailySnapshot

__all__ = ["DailySnapshot"]


def __getattr__(name: str) -> Any:
    """``DailySnapshot`` is loaded when it is asked for: ``import mech_exo.reporting`` stays instant."""
    if name == "DailySnapshot":
        from mech_exo.reporting.snapshot import DailySnapshot

        return DailySnapshot
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
