"""What a factor told of later returns: information coefficients, quantiles, decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance.figures.style import (
    BLUE,
    GREY,
    INK,
    MANY,
    MONTHS,
    NUMBER,
    PERCENT,
    SKY,
    VERMILLION,
    Dates,
    blank,
    dates,
    days,
    light,
)
from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go

DIVERGING = [[0.0, VERMILLION], [0.5, "#F7F7F5"], [1.0, BLUE]]
INTERVAL = 1.96
"""Standard errors of a 95 % interval."""


def series_figure(sessions: Dates, values: Floats, smooth: int, tick: str = NUMBER) -> go.Figure:
    """A noisy series ``(T,)`` and its mean over the last ``smooth`` values; NaN leaves a gap."""
    figure, when = blank(height=280), days(sessions)
    figure.add_scatter(x=when, y=light(values), name="Each session", line={"color": SKY, "width": 0.7}, hovertemplate="%{y:.3f}")
    if len(values) >= smooth:
        mean = np.full(len(values), np.nan)
        mean[smooth - 1 :] = np.lib.stride_tricks.sliding_window_view(values, smooth).mean(axis=1)
        figure.add_scatter(x=when, y=light(mean), name=f"Mean of {smooth}", line={"color": INK, "width": 1.8}, hovertemplate="%{y:.3f}")
    figure.update_layout(yaxis={"tickformat": tick}, hovermode="x unified")
    dates(figure, sessions)
    return figure


def rolling_ic_figure(sessions: Dates, ic: Floats, low: Floats, high: Floats) -> go.Figure:
    """Mean IC ``(T,)`` of rolling windows within its 95 % band; NaN leaves a gap."""
    figure, when = blank(height=260), days(sessions)
    edge = {"line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=when, y=light(high), **edge)
    figure.add_scatter(x=when, y=light(low), fill="tonexty", fillcolor="rgba(86,180,233,0.28)", **edge)
    figure.add_scatter(x=when, y=light(ic), name="Mean IC of the window", line={"color": BLUE, "width": 1.8}, hovertemplate="%{y:.3f}")
    figure.update_layout(yaxis={"tickformat": ",.3~f", "zeroline": True, "zerolinewidth": 2}, hovermode="x unified")
    dates(figure, sessions)
    return figure


def histogram_figure(values: Floats, mean: float) -> go.Figure:
    """How often a value was how large, and where the mean lies."""
    figure = blank(height=260, top=10)
    kept = values[np.isfinite(values)]
    counts, edges = np.histogram(kept, bins=40)
    figure.add_bar(x=0.5 * (edges[1:] + edges[:-1]), y=counts, marker={"color": BLUE}, hovertemplate="%{x:.2f}: %{y}<extra></extra>")
    across = {"xref": "x", "yref": "y domain"}
    figure.add_shape(type="line", x0=mean, x1=mean, y0=0, y1=1, line={"color": VERMILLION, "width": 1.6, "dash": "dot"}, **across)
    figure.update_layout(bargap=0.05, showlegend=False, xaxis={"tickformat": NUMBER})
    return figure


def errors_figure(names: Sequence[str], means: Floats, errors: Floats, title: str = "") -> go.Figure:
    """Bars with their 95 % intervals, in the order given; names that would not fit under them stand at the left of lying ones."""
    lying = len(names) > 4 and max(len(name) for name in names) > 8
    figure = blank(height=70 + 27 * len(names) if lying else 260, top=10)
    colours = [BLUE if value > 0.0 else VERMILLION for value in means]
    bars = {"type": "data", "array": INTERVAL * errors, "color": GREY, "thickness": 1.2, "width": 4}
    if lying:
        shown = "%{y}: %{x:.4f}<extra></extra>"
        figure.add_bar(y=list(names), x=means, orientation="h", marker={"color": colours}, error_x=bars, hovertemplate=shown)
        side = {"type": "category", "autorange": "reversed", "showgrid": False, "ticksuffix": " "}
        figure.update_layout(showlegend=False, xaxis={"tickformat": ",.3~f", "nticks": 6}, yaxis=side)
        return figure
    figure.add_bar(x=list(names), y=means, marker={"color": colours}, error_y=bars, hovertemplate="%{x}: %{y:.4f}<extra></extra>")
    figure.update_layout(showlegend=False, yaxis={"tickformat": ",.3~f"}, xaxis={"type": "category", "title": {"text": title}})
    return figure


def quantiles_figure(horizons: Sequence[int], excess: Floats) -> go.Figure:
    """Bars of ``excess`` ``(H, Q)``, fractions per session held, a group for each quantile, worst to best."""
    figure = blank(height=300, top=44)
    quantiles = [str(q + 1) for q in range(excess.shape[1])]
    for number, (horizon, line) in enumerate(zip(horizons, excess, strict=True)):
        shown = f"{horizon} sessions, quantile " + "%{x}: %{y:.2f} bp<extra></extra>"
        label = "1 session" if horizon == 1 else f"{horizon} sessions"
        figure.add_bar(x=quantiles, y=1e4 * line, name=label, marker={"color": MANY[number % len(MANY)]}, hovertemplate=shown)
    axis = {"type": "category", "title": {"text": "Quantile, 1 = worst"}}
    figure.update_layout(barmode="group", xaxis=axis, yaxis={"tickformat": NUMBER, "title": {"text": "bp per session"}})
    return figure


def growth_figure(lines: Mapping[str, tuple[Dates, Floats]]) -> go.Figure:
    """Growth of 1 of each named line, on a logarithmic axis."""
    figure = blank(height=340, top=54)
    for number, (name, (sessions, values)) in enumerate(lines.items()):
        colour = MANY[number % len(MANY)]
        figure.add_scatter(x=days(sessions), y=light(values), name=name, line={"color": colour, "width": 1.5}, hovertemplate="%{y:,.2f}")
    figure.update_layout(yaxis={"type": "log", "tickformat": NUMBER, "nticks": 8}, hovermode="x unified")
    return figure


def turnover_figure(horizons: Sequence[int], shares: Floats) -> go.Figure:
    """Bars of the share of new names ``(H, Q)`` in each quantile."""
    figure = quantiles_figure(horizons, shares / 1e4)
    figure.update_traces(hovertemplate="quantile %{x}: %{y:.0%}<extra></extra>")
    figure.update_layout(yaxis={"tickformat": PERCENT, "title": {"text": "new names"}, "rangemode": "tozero"})
    return figure


def months_figure(years: Sequence[int], values: Floats) -> go.Figure:
    """Heat map ``(Y, 12)``, written in hundredths; the scale is symmetric about 0."""
    known = values[np.isfinite(values)]
    end = float(np.abs(known).max()) if len(known) else 1.0
    figure = blank(height=90 + 24 * max(1, len(years)))
    text = [["" if np.isnan(value) else f"{round(100.0 * value)}" for value in line] for line in values]
    figure.add_heatmap(
        z=values, x=MONTHS, y=[str(year) for year in years], colorscale=DIVERGING, zmin=-end, zmax=end, showscale=False, xgap=2, ygap=2,
        text=text, texttemplate="%{text}", textfont={"size": 10}, hoverongaps=False, hovertemplate="%{x} %{y}: %{z:.3f}<extra></extra>",
    )  # fmt: skip
    side = {"showgrid": False, "side": "top", "type": "category"}
    figure.update_layout(yaxis={"autorange": "reversed", "type": "category", "showgrid": False}, xaxis=side)
    return figure
