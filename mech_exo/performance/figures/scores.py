"""One name's score and rank through the decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mech_exo.performance.figures.style import BLUE, NUMBER, ORANGE, Dates, blank, dates, days, light
from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go


def score_history_figure(sessions: Dates, score: Floats, rank: Floats) -> go.Figure:
    """Score ``(T,)`` above and rank ``(T,)`` below, 1 = best at the top; NaN (not scored) leaves a gap."""
    figure, when = blank(height=300, top=30), days(sessions)
    figure.add_scatter(x=when, y=light(score), name="Score", line={"color": BLUE, "width": 1.7}, hovertemplate="%{y:.3f}")
    line = {"color": ORANGE, "width": 1.5, "shape": "hv"}
    figure.add_scatter(x=when, y=light(rank), name="Rank", line=line, hovertemplate="%{y:.0f}", yaxis="y2")
    figure.update_layout(
        yaxis={"tickformat": NUMBER, "domain": [0.5, 1.0]}, hovermode="x unified", xaxis={"anchor": "y2"},
        yaxis2={"autorange": "reversed", "tickformat": ",d", "domain": [0.0, 0.42], "title": {"text": "rank", "font": {"size": 11}}},
    )  # fmt: skip
    dates(figure, sessions)
    return figure
