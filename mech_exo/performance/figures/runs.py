"""Runs beside each other: growth and falls over the sessions that all of them have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mech_exo.performance.figures.style import MANY, NUMBER, PERCENT, Dates, blank, dates, days, light
from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go

DASHES = ("solid", "dash", "dot", "dashdot")
"""Lines are told apart without their colours, too."""


def beside_figure(sessions: Sequence[Dates], growth: Sequence[Floats], falls: Sequence[Floats], names: Sequence[str]) -> go.Figure:
    """Of each run ``growth`` of 1 as growth of 100 above, and its fall from the peak so far below 0 under it, on its ``sessions``."""
    figure = blank(height=420, top=46)
    for place, (when, grown, fallen, name) in enumerate(zip(sessions, growth, falls, names, strict=True)):
        line = {"color": MANY[place], "width": 1.7, "dash": DASHES[place % len(DASHES)]}
        at = days(when)
        figure.add_scatter(x=at, y=light(100.0 * grown), name=name, line=line, hovertemplate="%{y:,.2f}", legendgroup=name)
        thin = line | {"width": 1.2}
        figure.add_scatter(
            x=at, y=light(-fallen), name=name, line=thin, hovertemplate="%{y:.2%}", legendgroup=name, showlegend=False, yaxis="y2"
        )
    figure.update_layout(
        yaxis={"tickformat": NUMBER, "domain": [0.38, 1.0]}, yaxis2={"tickformat": PERCENT, "domain": [0.0, 0.3], "rangemode": "tozero"},
        xaxis={"anchor": "y2"}, hovermode="x unified",
    )  # fmt: skip
    if len(sessions):
        dates(figure, sessions[0])
    return figure
