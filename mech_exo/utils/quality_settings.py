"""``quality:`` of ``data.yml``: what the quality gate calls a fault, and for how long it denies new risk. See docs/data-quality.md."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mech_exo.utils.model import Fraction, Model, Positive, PositiveFraction, Sessions


class QualityRules(Model):
    """Limits of the checks. Moves are fractions, windows and holds are sessions."""

    mad_multiple: Positive = Field(8.0, description="a jump or step is beyond so many robust deviations, of the name and of that day")
    mad_window: Annotated[int, Field(ge=21, le=1000)] = Field(252, description="sessions of the name's own deviation")
    step: Annotated[float, Field(gt=0.05, le=10.0)] = Field(0.2, description="least overnight step that may be a split")
    split_tolerance: Annotated[float, Field(gt=0.0, le=0.2)] = Field(0.05, description="how near to a simple ratio a split is")
    news_volume: Positive = Field(3.0, description="dollar volume, in medians, from which a move is taken for news")
    reversal_sessions: Sessions = Field(10, description="a step that is undone within so many was no move of the market")
    stale_sessions: Sessions = Field(5, description="sessions without a bar from which a name is stale")
    missing_window: Annotated[int, Field(ge=5, le=1000)] = Field(63, description="sessions in which missing bars are counted")
    max_missing: Fraction = Field(0.1, description="share of missing sessions in missing_window that warns; five times as much blocks")
    refused_window: Annotated[int, Field(ge=1, le=1000)] = Field(21, description="sessions in which refused rows are counted")
    max_refused: Annotated[int, Field(ge=1, le=1000)] = Field(5, description="rows refused in refused_window that block")
    rounding: Annotated[float, Field(ge=0.0, le=0.01)] = Field(0.001, description="contradiction of prices taken for rounding")
    zero_volume_sessions: Sessions = Field(3, description="sessions in a row without volume that block; fewer warn")
    stuck_sessions: Annotated[int, Field(ge=3, le=1000)] = Field(6, description="equal closes in a row that warn; twice as many block")
    duplicate_share: PositiveFraction = Field(0.7, description="share of the last 21 bars two symbols have in common that blocks one")
    reused_gap: Annotated[int, Field(ge=10, le=5000)] = Field(60, description="sessions without a bar: the symbol may be another's")
    source_tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = Field(0.005, description="difference of two sources' closes that warns")
    source_block: Annotated[float, Field(gt=0.0, le=10.0)] = Field(0.05, description="difference of two sources' closes that blocks")
    hold: Sessions = Field(63, description="a fault that is over, or a jump without news, denies new risk so long")
    hold_seam: Sessions = Field(252, description="a seam in the prices denies new risk so long")
