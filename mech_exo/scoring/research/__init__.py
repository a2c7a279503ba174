"""Factor research: what a factor told of later returns, and whether it still does. Names are imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mech_exo.scoring.research.comparison import Comparison, Contribution, compare, contribution
    from mech_exo.scoring.research.factor_study import FactorStudy, study, study_of
    from mech_exo.scoring.research.forward import Entry
    from mech_exo.scoring.research.health import FactorHealth, State, factor_health
    from mech_exo.scoring.research.portfolio import long_short
    from mech_exo.scoring.research.sample import Sample

__all__ = [
    "Comparison", "Contribution", "Entry", "FactorHealth", "FactorStudy", "Sample", "State", "compare", "contribution", "factor_health",
    "long_short", "study", "study_of",
]  # fmt: skip

_HOME = {
    "Comparison": "comparison", "Contribution": "comparison", "compare": "comparison", "contribution": "comparison", "Entry": "forward",
    "FactorHealth": "health", "State": "health", "factor_health": "health", "long_short": "portfolio", "Sample": "sample",
    "FactorStudy": "factor_study", "study": "factor_study", "study_of": "factor_study",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
