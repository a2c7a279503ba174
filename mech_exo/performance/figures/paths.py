"""Many histories of one strategy: the paths of a cross-validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance.figures.style import BLUE, GREY, NUMBER, Dates, blank, days, light
from mech_exo.performance.ratios import Floats, growth

if TYPE_CHECKING:
    import plotly.graph_objects as go


def paths_figure(sessions: Dates, paths: Floats, sharpes: Floats) -> go.Figure:
    """Growth of 100 of every path, thin and alike, and their median at each session over them.

    ``paths`` ``(φ, T)`` are returns, ``sharpes`` ``(φ,)`` their annual Sharpe ratios, NaN unknown.
    """
    figure, when = blank(height=380), days(sessions)
    grown = 100.0 * np.array([growth(path)[1:] for path in paths])
    for number, (path, sharpe) in enumerate(zip(grown, sharpes, strict=True), 1):
        shown = f"path {number}, Sharpe {sharpe:.2f}: " + "%{y:,.1f}<extra></extra>"
        look = {"line": {"color": GREY, "width": 1}, "opacity": 0.6, "showlegend": False}
        figure.add_scatter(x=when, y=light(path), hovertemplate=shown, **look)
    middle = light(np.median(grown, axis=0))
    figure.add_scatter(x=when, y=middle, name="Median of the paths", line={"color": BLUE, "width": 2.2}, hovertemplate="%{y:,.1f}")
    figure.update_layout(yaxis={"tickformat": NUMBER}, legend={"x": 0, "y": -0.12, "yanchor": "top"})
    return figure
