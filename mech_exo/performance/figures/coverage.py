"""Which days have data: a calendar of shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance.figures.style import BLUE, MONTHS, ORANGE, VERMILLION, Dates, blank
from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go

SCALE = [[0.0, VERMILLION], [0.6, VERMILLION], [0.9, ORANGE], [0.98, "#56B4E9"], [1.0, BLUE]]
"""Nine in ten is already poor: a share of 0.9 is orange, below 0.6 all is red."""
DAYS = 31


def coverage_figure(sessions: Dates, share: Floats) -> go.Figure:
    """A cell a session: months down, days of the month across, coloured by the ``share`` ``(T,)`` in [0, 1]. No session is a gap.

    A session whose share is NaN is a gap, too.
    """
    month, day = sessions.astype("datetime64[M]"), (sessions - sessions.astype("datetime64[M]")).astype(np.int64)
    known, place = np.unique(month, return_inverse=True)
    cells = np.full((len(known), DAYS), np.nan)
    cells[place, day] = share
    names = [f"{MONTHS[int(str(one)[5:7]) - 1]} {str(one)[:4]}" for one in known]
    figure = blank(height=110 + 20 * max(2, len(known)), top=8)
    figure.add_heatmap(
        z=cells, x=[str(number) for number in range(1, DAYS + 1)], y=names, zmin=0.0, zmax=1.0, colorscale=SCALE, xgap=2, ygap=2,
        hoverongaps=False, hovertemplate="%{x} %{y}: %{z:.1%}<extra></extra>",
        colorbar={"thickness": 10, "tickformat": ".0%", "outlinewidth": 0, "tickvals": [0.0, 0.5, 0.9, 1.0]},
    )  # fmt: skip
    side = {"type": "category", "showgrid": False}
    figure.update_layout(xaxis=side | {"side": "top", "dtick": 5, "tickangle": 0}, yaxis=side | {"autorange": "reversed"})
    return figure
