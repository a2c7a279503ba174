"""Risk: ``rules`` (the limits, compiled), ``governor`` (exposure near the drawdown limit), ``stops`` (where exits rest) and ``stop_engine``
(one position's), ``model`` (what a book risks), ``stress`` (what bad days would do), ``usage`` and ``checker`` (how much of each limit it
uses).

``Portfolio`` and ``Position`` are the domain's own. Names are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mech_exo.domain.portfolio import Portfolio, Position
    from mech_exo.risk.checker import RiskChecker
    from mech_exo.risk.status import RiskStatus
    from mech_exo.risk.stop_engine import StopEngine
    from mech_exo.risk.usage import LimitUsage

__all__ = ["LimitUsage", "Portfolio", "Position", "RiskChecker", "RiskStatus", "StopEngine"]

_HOMES = {
    "LimitUsage": "mech_exo.risk.usage",
    "Portfolio": "mech_exo.domain.portfolio",
    "Position": "mech_exo.domain.portfolio",
    "RiskChecker": "mech_exo.risk.checker",
    "RiskStatus": "mech_exo.risk.status",
    "StopEngine": "mech_exo.risk.stop_engine",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
