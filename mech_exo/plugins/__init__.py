"""What a plug-in's author imports, and what is known of the plug-ins of a workspace. Names are imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mech_exo.datasource.base import BarSource, Kind, Source
    from mech_exo.datasource.fetching import Outcome, Status, symbols_of
    from mech_exo.datasource.own import SourceMaker, SourceTerms
    from mech_exo.datasource.spans import closed_by, refuse_disorder
    from mech_exo.domain.errors import BrokerError, DataError
    from mech_exo.domain.history import History
    from mech_exo.domain.orders import Fill, Order, OrderType
    from mech_exo.domain.panel import PriceBasis
    from mech_exo.execution.broker import (
        AccountState,
        Acknowledgement,
        BrokerInterface,
        BrokerOrder,
        BrokerOrderState,
        BrokerPosition,
        Capabilities,
        NotSentError,
    )
    from mech_exo.execution.own import BrokerMaker, BrokerTerms
    from mech_exo.plugins.findings import Finding, check
    from mech_exo.risk.own import Limit, LimitSight
    from mech_exo.scoring.factors.base import Factor, Family, Param
    from mech_exo.sizing.own import Exposure, Sizing, SizingSight
    from mech_exo.utils.settings import Direction

_HOMES = {
    "mech_exo.datasource.base": ("BarSource", "Kind", "Source"),
    "mech_exo.datasource.fetching": ("Outcome", "Status", "symbols_of"),
    "mech_exo.datasource.own": ("SourceMaker", "SourceTerms"),
    "mech_exo.datasource.spans": ("closed_by", "refuse_disorder"),
    "mech_exo.domain.errors": ("BrokerError", "DataError"),
    "mech_exo.domain.history": ("History",),
    "mech_exo.domain.orders": ("Fill", "Order", "OrderType"),
    "mech_exo.domain.panel": ("PriceBasis",),
    "mech_exo.execution.broker": (
        "AccountState", "Acknowledgement", "BrokerInterface", "BrokerOrder", "BrokerOrderState", "BrokerPosition", "Capabilities",
        "NotSentError",
    ),
    "mech_exo.execution.own": ("BrokerMaker", "BrokerTerms"),
    "mech_exo.plugins.findings": ("Finding", "check"),
    "mech_exo.risk.own": ("Limit", "LimitSight"),
    "mech_exo.scoring.factors.base": ("Factor", "Family", "Param"),
    "mech_exo.sizing.own": ("Exposure", "Sizing", "SizingSight"),
    "mech_exo.utils.settings": ("Direction",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AccountState", "Acknowledgement", "BarSource", "BrokerError", "BrokerInterface", "BrokerMaker", "BrokerOrder", "BrokerOrderState",
    "BrokerPosition", "BrokerTerms", "Capabilities", "DataError", "Direction", "Exposure", "Factor", "Family", "Fill", "Finding", "History",
    "Kind", "Limit", "LimitSight", "NotSentError", "Order", "OrderType", "Outcome", "Param", "PriceBasis", "Sizing", "SizingSight",
    "Source", "SourceMaker", "SourceTerms", "Status", "check", "closed_by", "refuse_disorder", "symbols_of",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
