"""What a book risks: its limits, its sectors, how its names move together, how far the account has fallen and what it may carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PAPER,
    PERCENT,
    VERMILLION,
    Dates,
    blank,
    dates,
    days,
    label,
    light,
    limit,
    plain,
)
from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go

NAMED = 14
"""Names a heat map writes its figures for: more would run into each other."""
LONGEST = 2.0
"""Uses of a limit beyond which a bar ends: how far beyond is in its words."""


def uses_figure(names: Sequence[str], used: Floats, said: Sequence[str]) -> go.Figure:
    """How much of each limit ``(K,)`` is in use, 1 = the limit; the first at the top. NaN = unknown: no bar, and ``said`` tells it."""
    figure = blank(height=56 + 26 * max(1, len(names)), top=24, left=8)
    known = np.isfinite(used)
    colours = [
        GREY if not there else VERMILLION if value > 1.0 else ORANGE if value >= 0.8 else BLUE
        for value, there in zip(used, known, strict=True)
    ]
    drawn = np.where(known, np.minimum(used, LONGEST), 0.0)
    figure.add_bar(
        x=drawn, y=_all(names), orientation="h", marker={"color": colours}, text=list(said), textposition="outside", cliponaxis=False,
        hovertemplate="%{y}: %{text}<extra></extra>",
    )  # fmt: skip
    reach = max(1.0, float(drawn.max(initial=0.0)))
    figure.add_vline(x=1.0, line={"color": INK, "width": 1, "dash": "dot"})
    figure.add_annotation(x=1.0, y=1.0, yref="paper", text="the limit", showarrow=False, yanchor="bottom", **label())
    figure.update_layout(
        xaxis={"tickformat": PERCENT, "range": [0.0, 1.45 * reach], "nticks": 6}, bargap=0.35, showlegend=False,
        yaxis={"autorange": "reversed", "type": "category", "showgrid": False, "ticksuffix": " "},
    )  # fmt: skip
    return figure


def sector_exposure_figure(names: Sequence[str], longs: Floats, shorts: Floats, most: float | None = None) -> go.Figure:
    """Longs right and shorts left of 0, fractions of NAV ``(S,)``, the first at the top; ``most`` is the limit on each sector."""
    figure = blank(height=60 + 26 * max(1, len(names)), top=24, left=8)
    for name, values, colour in (("Long", longs, BLUE), ("Short", shorts, ORANGE)):
        if name == "Long" or np.any(values != 0.0):
            shown = f"%{{y}}, {name.lower()}: %{{x:.2%}}<extra></extra>"
            figure.add_bar(x=light(values), y=_all(names), orientation="h", name=name, marker={"color": colour}, hovertemplate=shown)
    if most is not None:
        figure.add_vline(x=most, line={"color": INK, "width": 1, "dash": "dot"})
        figure.add_annotation(x=most, y=1.0, yref="paper", text=f"limit {most:.0%}", showarrow=False, yanchor="bottom", **label())
    side = {"autorange": "reversed", "type": "category", "showgrid": False, "ticksuffix": " "}
    figure.update_layout(barmode="relative", xaxis={"tickformat": PERCENT, "nticks": 6}, yaxis=side, bargap=0.35)
    figure.update_layout(showlegend=bool(np.any(shorts != 0.0)))
    return figure


def correlation_figure(names: Sequence[str], matrix: Floats) -> go.Figure:
    """Heat map of ``matrix`` ``(C, C)``, -1 to 1; a NaN is a gap. Up to 14 names are written with their figures."""
    few = len(names) <= NAMED
    figure = blank(height=120 + (26 if few else 15) * max(2, len(names)), top=8)
    text = [[_tenths(value) for value in line] for line in matrix] if few else None
    figure.add_heatmap(
        z=matrix, x=_all(names), y=_all(names), zmin=-1.0, zmax=1.0, colorscale=[[0.0, VERMILLION], [0.5, PAPER], [1.0, BLUE]],
        xgap=1, ygap=1, hoverongaps=False, hovertemplate="%{y} and %{x}: %{z:.2f}<extra></extra>",
        colorbar={"thickness": 10, "tickvals": [-1, -0.5, 0, 0.5, 1], "outlinewidth": 0},
        **({"text": text, "texttemplate": "%{text}", "textfont": {"size": 9}} if few else {}),
    )  # fmt: skip
    axis = {"type": "category", "showgrid": False, "tickmode": "linear", "tickfont": {"size": 10 if few else 8}}
    figure.update_layout(xaxis=axis | {"tickangle": -90}, yaxis=axis | {"autorange": "reversed"})
    return figure


def _all(names: Sequence[str]) -> list[str]:
    return [plain(name) for name in names]


def _tenths(value: float) -> str:
    """A correlation for its cell: no minus before a 0."""
    return f"{value:.1f}".replace("-0.0", "0.0").replace("-", "\u2212") if np.isfinite(value) else ""


def falls_figure(sessions: Dates, fall: Floats, share: Floats, hard: float | None, soft: float | None) -> go.Figure:
    """Fall from the trailing peak ``(T,)`` below 0 with its limits, and under it the share of full exposure that the governor leaves."""
    figure = blank(height=340, top=30)
    when, limits = days(sessions), [value for value in (hard, soft) if value is not None]
    figure.add_scatter(
        x=when, y=light(-fall), name="Fall from the 12-month peak", fill="tozeroy", fillcolor="rgba(213,94,0,0.22)",
        line={"color": VERMILLION, "width": 1.4}, hovertemplate="%{y:.2%}",
    )  # fmt: skip
    figure.add_scatter(
        x=when, y=light(share), name="Governor's share of full exposure", yaxis="y2", line={"color": GREEN, "width": 1.6, "shape": "hv"},
        hovertemplate="%{y:.0%}",
    )  # fmt: skip
    low = -1.15 * max([*limits, *fall[np.isfinite(fall)].tolist(), 0.01])
    figure.update_layout(
        yaxis={"tickformat": PERCENT, "domain": [0.36, 1.0], "range": [low, -0.04 * low]}, hovermode="x unified",
        yaxis2={"tickformat": PERCENT, "domain": [0.0, 0.26], "range": [-0.04, 1.09], "tickvals": [0.0, 0.5, 1.0]},
        xaxis={"anchor": "y2"},
    )  # fmt: skip
    dates(figure, sessions)
    if hard is not None:
        limit(figure, -hard, f"limit {hard:.0%}")
    if soft is not None:
        limit(figure, -soft, f"the governor begins at {soft:.0%}")
    return figure


def components_figure(names: Sequence[str], shares: Floats) -> go.Figure:
    """Each position's part in the book's volatility, fractions of it that sum to 1; below 0 it hedges. NaN = unknown: no bar."""
    figure = blank(height=60 + 24 * max(1, len(names)), top=8, left=8)
    colours = [PALE if not np.isfinite(value) else BLUE if value >= 0.0 else ORANGE for value in shares]
    shown = "%{y}: %{x:.1%}<extra></extra>"
    figure.add_bar(x=light(shares), y=_all(names), orientation="h", marker={"color": colours}, hovertemplate=shown)
    side = {"autorange": "reversed", "type": "category", "showgrid": False, "ticksuffix": " ", "tickmode": "linear"}
    figure.update_layout(xaxis={"tickformat": PERCENT, "nticks": 6}, yaxis=side, bargap=0.3, showlegend=False)
    return figure
