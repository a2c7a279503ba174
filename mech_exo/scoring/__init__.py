"""From bars to ranked ideas: factors, their composite and its explanation. Names are imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mech_exo.scoring.eligibility import Exclusion
    from mech_exo.scoring.faces import FactorFactory, IdeaScorer
    from mech_exo.scoring.scorer import ScoreTable, score_rows

__all__ = ["Exclusion", "FactorFactory", "IdeaScorer", "ScoreTable", "score_rows"]

_HOME = {"Exclusion": "eligibility", "FactorFactory": "faces", "IdeaScorer": "faces", "ScoreTable": "scorer", "score_rows": "scorer"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
