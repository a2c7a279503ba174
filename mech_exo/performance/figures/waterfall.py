"""How parts add up to a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance.figures.style import BLUE, GREY, INK, VERMILLION, blank, plain
from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go


def waterfall_figure(names: Sequence[str], parts: Floats, whole: str, digits: int = 3) -> go.Figure:
    """Parts ``(K,)`` laid end to end from 0, the first at the top, and their sum as the bar ``whole`` below them.

    A part that is NaN adds nothing and says that it is unknown. What is above 0 leads to the right, and its figure has a plus sign.
    """
    known = np.isfinite(parts)
    steps = np.where(known, parts, 0.0)
    ends = np.cumsum(steps)
    figure = blank(height=70 + 26 * (len(names) + 1), top=8, left=8)
    said = [_signed(value, digits) if there else "unknown" for value, there in zip(parts, known, strict=True)]
    colours = [GREY if not there else BLUE if value >= 0.0 else VERMILLION for value, there in zip(steps, known, strict=True)]
    rows = [plain(name) for name in (*names, whole)]
    total = float(ends[-1]) if len(ends) else 0.0
    figure.add_bar(
        orientation="h", y=rows, x=[*steps.tolist(), total], base=[*(ends - steps).tolist(), 0.0], marker={"color": [*colours, INK]},
        text=[*said, _signed(total, digits)], textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{text}<extra></extra>",
    )  # fmt: skip
    low, high = min(0.0, ends.min(initial=0.0)), max(0.0, ends.max(initial=0.0))
    room = 0.32 * (high - low or 1.0)
    figure.update_layout(
        xaxis={"range": [low - room, high + room], "zeroline": True},
        yaxis={"autorange": "reversed", "type": "category", "showgrid": False},
        bargap=0.35, showlegend=False,
    )  # fmt: skip
    return figure


def _signed(value: float, digits: int) -> str:
    return f"{value:+,.{digits}f}".replace("-", "\u2212")
