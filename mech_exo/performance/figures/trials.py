"""How much a record is to be believed: what happened out of sample, and what luck alone would show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mech_exo.performance import kpi
from mech_exo.performance.figures.returns import joined, scale_buttons
from mech_exo.performance.figures.style import BLUE, GREY, INK, MONTHS, NUMBER, ORANGE, Dates, blank, dates, days, label, light
from mech_exo.performance.ratios import Floats, from_first_close, growth

if TYPE_CHECKING:
    import plotly.graph_objects as go


def out_of_sample_figure(sessions: Dates, returns: Floats, starts: Sequence[str], benchmark: Floats | None = None) -> go.Figure:
    """Growth of 100 over the stitched test parts, a faint line at each of ``starts`` (dates), against the ``benchmark`` ``(T,)``."""
    figure = blank(height=320)
    value, when = 100.0 * growth(returns)[1:], days(sessions)
    look = {"line": {"color": BLUE, "width": 2}, "hovertemplate": "%{y:,.2f}"}
    figure.add_scatter(x=when, y=light(value), name="Out of sample", **look)
    if benchmark is not None:
        theirs = joined(value, from_first_close(benchmark))
        figure.add_scatter(x=when, y=light(theirs), name="Benchmark", line={"color": GREY, "width": 1.3}, hovertemplate="%{y:,.2f}")
    for start in starts:
        figure.add_shape(type="line", x0=start, x1=start, y0=0, y1=1, yref="paper", line={"color": "#A9B4BE", "width": 1, "dash": "dot"})
    scale_buttons(figure, value)
    figure.update_layout(yaxis={"tickformat": NUMBER}, hovermode="x unified")
    dates(figure, sessions)
    return figure


def windows_figure(starts: Sequence[str], inside: Floats, outside: Floats, objective: str) -> go.Figure:
    """The objective of each window, where it was chosen and where it was judged: bars side by side."""
    figure = blank(height=240)
    for name, values, colour in (("In training", inside, ORANGE), ("Out of sample", outside, BLUE)):
        figure.add_bar(x=list(starts), y=values, name=name, marker={"color": colour}, hovertemplate="%{y:,.2f}")
    figure.update_layout(yaxis={"tickformat": NUMBER, "title": {"text": objective, "font": {"size": 12}}}, hovermode="x unified")
    figure.update_layout(bargap=0.25, bargroupgap=0.05, xaxis={"type": "category", "tickangle": 0} | _months(starts))
    return figure


def _months(starts: Sequence[str]) -> dict[str, Any]:
    """At most five of the windows' beginnings, by month: their whole dates would run into each other on a narrow screen."""
    named = list(starts)[:: -(-len(starts) // 5) or 1]
    return {"tickmode": "array", "tickvals": named, "ticktext": [f"{MONTHS[int(day[5:7]) - 1]} {day[:4]}" for day in named]}


def luck_figure(sharpe: float, low: float, high: float, expected_best: float) -> go.Figure:
    """The annual Sharpe ratio with its 95 % interval, beside what the best of as many worthless strategies would show, and the goal."""
    figure = blank(height=150, top=44, left=8)
    if math.isfinite(sharpe):
        known = math.isfinite(low) and math.isfinite(high)
        bars = {"type": "data", "symmetric": False, "array": [high - sharpe], "arrayminus": [sharpe - low], "thickness": 2, "width": 8}
        figure.add_scatter(
            x=[sharpe], y=["this run"], mode="markers", marker={"size": 12, "color": BLUE}, error_x=bars if known else None,
            hovertemplate="%{x:.2f}<extra></extra>",
        )  # fmt: skip
    marks = [(0.0, "0"), (kpi.MIN_SHARPE, f"goal {kpi.MIN_SHARPE}"), (expected_best, f"luck {expected_best:.2f}")]
    for level, (x, text) in enumerate(marks):
        if not math.isfinite(x):
            continue
        figure.add_vline(x=x, line={"color": INK, "width": 1, "dash": "dot" if x else "solid"})
        place = {"x": x, "y": 1.0, "yref": "paper", "xanchor": "center", "yanchor": "bottom", "yshift": 16 * (level == 2)}
        figure.add_annotation(text=text, showarrow=False, **place, **label())
    reach = [value for value in (sharpe, low, high, expected_best, kpi.MIN_SHARPE, 0.0) if math.isfinite(value)]
    room = 0.08 * (max(reach) - min(reach))
    axis = {"range": [min(reach) - room, max(reach) + room], "tickformat": NUMBER}
    figure.update_layout(xaxis=axis, yaxis={"showgrid": False, "ticksuffix": " ", "showticklabels": False}, showlegend=False)
    return figure
