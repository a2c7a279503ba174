"""How many shares: ``methods`` (one compiled function per method) and ``sizer`` (the face for one name). Imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mech_exo.sizing.sizer import PositionSizer, Size
    from mech_exo.utils.settings import SizingMethod

__all__ = ["PositionSizer", "Size", "SizingMethod"]

_HOMES = {"PositionSizer": "mech_exo.sizing.sizer", "Size": "mech_exo.sizing.sizer", "SizingMethod": "mech_exo.utils.settings"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
