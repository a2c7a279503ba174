"""Plotly figures of out-of-sample evaluations; colours and style are those of :mod:`mech_exo.performance.figures`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance.figures.style import BLUE, GREY, INK, NUMBER, ORANGE, Dates, blank, style
from mech_exo.performance.ratios import Floats, growth

if TYPE_CHECKING:
    import plotly.graph_objects as go

BAND = "rgba(0,114,178,0.06)"


def walk_forward_figure(sessions: Dates, returns: Floats, starts: Dates, inside: Floats, outside: Floats, objective: str) -> go.Figure:
    """Growth of 100 out of sample, every second window shaded, above the objective in and out of sample by window.

    ``sessions``, ``returns`` ``(T,)`` are the stitched test parts; ``starts``, ``inside``, ``outside`` ``(W,)`` their first sessions and
    the objective of each window's training and test part, NaN unknown.
    """
    from plotly.subplots import make_subplots

    name = objective.replace("_", " ")
    titles = ("Out of sample, growth of 100", f"{name[:1].upper()}{name[1:]} by window")
    figure = make_subplots(rows=2, cols=1, vertical_spacing=0.16, row_heights=[0.62, 0.38], subplot_titles=titles)
    style(figure, height=460)
    value = 100.0 * growth(returns)[1:]
    line = {"color": BLUE, "width": 1.8}
    figure.add_scatter(x=sessions, y=value, line=line, hovertemplate="%{y:,.2f}<extra></extra>", showlegend=False, row=1, col=1)
    edges = [*starts, sessions[-1]]
    for first, last in list(itertools.pairwise(edges))[1::2]:
        figure.add_vrect(x0=str(first), x1=str(last), fillcolor=BAND, line_width=0, layer="below", row=1, col=1)
    windows = [f"{number}: {str(start)[:7]}" for number, start in enumerate(starts, 1)]
    for label, values, colour in (("In sample", inside, GREY), ("Out of sample", outside, ORANGE)):
        shown = "%{x} " + label.lower() + ": %{y:.2f}<extra></extra>"
        figure.add_bar(x=windows, y=values, name=label, marker={"color": colour}, hovertemplate=shown, row=2, col=1)
    figure.update_layout(yaxis={"tickformat": NUMBER}, barmode="group", legend={"x": 0, "y": -0.12, "yanchor": "top"})
    figure.update_annotations(font={"size": 12, "color": INK})
    return figure


def paths_figure(sessions: Dates, paths: Floats, sharpes: Floats) -> go.Figure:
    """Every backtest path of a cross-validation, growth of 100; ``paths`` ``(φ, T)`` returns, ``sharpes`` ``(φ,)``.

    The paths are thin and alike, their median at each session is drawn over them.
    """
    figure = blank(height=380)
    grown = 100.0 * np.array([growth(path)[1:] for path in paths])
    for number, (path, sharpe) in enumerate(zip(grown, sharpes, strict=True), 1):
        shown = f"path {number}, Sharpe {sharpe:.2f}: " + "%{y:,.1f}<extra></extra>"
        figure.add_scatter(x=sessions, y=path, line={"color": GREY, "width": 1}, opacity=0.6, showlegend=False, hovertemplate=shown)
    middle = np.median(grown, axis=0)
    figure.add_scatter(x=sessions, y=middle, name="Median of the paths", line={"color": BLUE, "width": 2.2}, hovertemplate="%{y:,.1f}")
    figure.update_layout(yaxis={"tickformat": NUMBER}, legend={"x": 0, "y": -0.12, "yanchor": "top"})
    return figure
