"""What a plug-in's author imports, and what is known of the plug-ins of a workspace. Names are imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mech_exo.plugins.findings import Finding, check
    from mech_exo.scoring.factors.base import Factor, Family, Param
    from mech_exo.utils.settings import Direction

__all__ = ["Direction", "Factor", "Family", "Finding", "Param", "check"]

_HOMES = {
    "Direction": "mech_exo.utils.settings",
    "Factor": "mech_exo.scoring.factors.base",
    "Family": "mech_exo.scoring.factors.base",
    "Finding": "mech_exo.plugins.findings",
    "Param": "mech_exo.scoring.factors.base",
    "check": "mech_exo.plugins.findings",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
