"""What the account held, how much of it changed hands, and what that cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mech_exo.performance.figures.style import (
    BLUE,
    GREEN,
    GREY,
    MANY,
    ORANGE,
    PALE,
    PERCENT,
    USD,
    VERMILLION,
    Dates,
    blank,
    dates,
    days,
    light,
    limit,
    signed,
)
from mech_exo.performance.ratios import Floats
from mech_exo.performance.trading import costs, exposure, session_pnl

if TYPE_CHECKING:
    import plotly.graph_objects as go

Records = NDArray[np.void]
MOST_POINTS = 500
"""Points of a stacked area: more are no longer seen and would weigh in the page once a sector."""
UNKNOWN = "unknown"


def exposure_figure(sessions: Dates, records: Records) -> go.Figure:
    """Gross and net exposure at each close, fractions of NAV."""
    gross, net = exposure(records)
    figure = blank(height=220, top=10 if np.allclose(gross, net, equal_nan=True) else 34)
    lines = [("Gross", gross, BLUE)] if np.allclose(gross, net, equal_nan=True) else [("Gross", gross, BLUE), ("Net", net, ORANGE)]
    for name, values, colour in lines:
        figure.add_scatter(x=days(sessions), y=light(values), name=name, line={"color": colour, "width": 1.4}, hovertemplate="%{y:.0%}")
    figure.update_layout(yaxis={"tickformat": PERCENT, "rangemode": "tozero"}, hovermode="x unified")
    dates(figure, sessions)
    return figure


def limits_figure(sessions: Dates, used: dict[str, Floats]) -> go.Figure:
    """How much of each limit was in use ``(T,)`` at each close, 1 = the limit itself, by name."""
    figure = blank(height=260, top=34)
    for (name, values), colour in zip(used.items(), (BLUE, ORANGE, VERMILLION), strict=False):
        line = {"color": colour, "width": 1.4}
        figure.add_scatter(x=days(sessions), y=light(values), name=name, line=line, hovertemplate="%{y:.0%}")
    figure.update_layout(yaxis={"tickformat": PERCENT, "rangemode": "tozero"}, hovermode="x unified")
    dates(figure, sessions)
    limit(figure, 1.0, "the limit")
    return figure


def sectors_figure(sessions: Dates, weights: dict[str, Floats]) -> go.Figure:
    """Stacked areas: of each sector the sum of its positions' sizes ``(T,)`` as fractions of NAV, the largest on average at the bottom.

    A long history is thinned to every n-th close, the last one included; what is drawn is as it was at that close.
    """
    every = -(-len(sessions) // MOST_POINTS) or 1
    chosen = np.arange(len(sessions) - 1, -1, -every)[::-1]
    when = days(sessions[chosen])
    rows = -(-len(weights) // 4)
    figure = blank(height=300 + 20 * rows, top=16)
    ordered = sorted(weights, key=lambda name: (name == UNKNOWN, -float(np.nansum(weights[name])), name))
    for number, name in enumerate(ordered):
        colour = PALE if name == UNKNOWN else MANY[number % len(MANY)]
        figure.add_scatter(
            x=when, y=light(weights[name][chosen]), name=name, stackgroup="all", mode="lines", line={"width": 0.4, "color": colour},
            fillcolor=colour, hovertemplate="%{y:.1%}",
        )  # fmt: skip
    figure.update_layout(yaxis={"tickformat": PERCENT, "rangemode": "tozero"}, hovermode="x unified")
    figure.update_layout(legend={"x": 0, "y": -0.12, "yanchor": "top", "traceorder": "normal", "font": {"size": 11}})
    return figure


def turnover_figure(sessions: Dates, records: Records) -> go.Figure:
    """One-way turnover by calendar month: (bought + sold) / 2 ÷ the month's average closing NAV, a fraction of NAV; NaN leaves a gap."""
    months, inverse = np.unique(sessions.astype("datetime64[M]"), return_inverse=True)
    traded = np.bincount(inverse, records["traded"], len(months)) / 2.0
    nav = np.bincount(inverse, records["nav"], len(months)) / np.maximum(1, np.bincount(inverse, minlength=len(months)))
    share = traded / np.where(nav > 0.0, nav, np.nan)
    figure = blank(height=200, top=10)
    shown = "%{x|%b %Y}: %{y:.0%}<extra></extra>"
    figure.add_bar(x=[f"{month}-01" for month in months], y=share, marker={"color": BLUE}, hovertemplate=shown)
    figure.update_layout(yaxis={"tickformat": PERCENT, "rangemode": "tozero"}, bargap=0.15, showlegend=False)
    figure.update_xaxes(type="date", hoverformat="%b %Y")
    return figure


def costs_figure(records: Records) -> go.Figure:
    """From gross to net P&L in USD: commission, slippage and borrow fees as steps down."""
    paid = costs(records)
    steps = np.array([paid.gross, -paid.commission, -paid.slippage, -paid.borrow, paid.net])
    figure = blank(height=250, top=10, left=8)
    figure.add_waterfall(
        orientation="h",
        y=["Gross", "Commission", "Slippage", "Borrow", "Net"],
        x=steps,
        measure=["absolute", "relative", "relative", "relative", "total"],
        increasing={"marker": {"color": GREEN}}, decreasing={"marker": {"color": VERMILLION}}, totals={"marker": {"color": BLUE}},
        connector={"line": {"color": GREY, "width": 1, "dash": "dot"}}, text=signed(steps),
        textposition="auto", textangle=0, cliponaxis=False, hovertemplate="%{y}: %{delta:,.2f} USD<extra></extra>",
    )  # fmt: skip
    figure.update_layout(yaxis={"autorange": "reversed", "showgrid": False, "ticksuffix": " "}, showlegend=False)
    reached = np.r_[0.0, np.cumsum(steps[:-1])]
    low, high = float(reached.min()), float(reached.max())
    room = 0.3 * (high - low)  # a short step's figure stands left of it and would stand on the names
    axis = {"tickformat": USD, "tickangle": 0, "nticks": 6, "title": {"text": "USD", "font": {"size": 12}}}
    figure.update_layout(xaxis=axis | ({"range": [low - room, high + room / 6]} if room > 0.0 else {}))
    return figure


def gross_net_figure(sessions: Dates, records: Records) -> go.Figure:
    """P&L so far in USD, before and after commission, slippage and borrow fees; the space between is what trading cost."""
    net = np.cumsum(session_pnl(records))
    gross = net + np.cumsum(records["commission"] + records["slippage"] + records["borrow"])
    figure, when = blank(height=250), days(sessions)
    for name, values, colour, fill in (("Net", net, BLUE, None), ("Gross", gross, GREY, "tonexty")):
        look = {"fill": fill, "fillcolor": "rgba(213,94,0,0.22)"} if fill else {}
        figure.add_scatter(x=when, y=light(values), name=name, line={"color": colour, "width": 1.5}, hovertemplate="%{y:,.0f}", **look)
    figure.update_layout(yaxis={"tickformat": USD}, hovermode="x unified")
    dates(figure, sessions)
    return figure


def pnl_figure(names: list[str], pnl: Floats) -> go.Figure:
    """P&L in USD, a bar a name, in the order given from the top; gains blue, losses vermillion.

    The figure of a gain stands right of its bar, that of a loss right of the axis: on a narrow screen it would stand on the names.
    """
    figure = blank(top=10, height=70 + 27 * max(1, len(names)), left=8)
    colours = [BLUE if value > 0.0 else VERMILLION for value in pnl]
    text = signed(pnl)
    shown = "%{y}: %{customdata} USD<extra></extra>"
    figure.add_bar(x=pnl, y=names, orientation="h", marker={"color": colours}, customdata=text, hovertemplate=shown)
    beside = {"x": np.fmax(0.0, pnl), "y": names, "text": text, "mode": "text", "textposition": "middle right"}
    figure.add_scatter(**beside, hoverinfo="skip", cliponaxis=False)
    axis = {"tickformat": USD, "tickangle": 0, "nticks": 6, "title": {"text": "USD", "font": {"size": 12}}, "range": _reach(pnl)}
    names_axis = {"autorange": "reversed", "showgrid": False, "ticksuffix": " ", "type": "category"}
    figure.update_layout(xaxis=axis, yaxis=names_axis, showlegend=False)
    return figure


def _reach(pnl: Floats) -> list[float] | None:
    """The ends of an axis of bars, with room at the right for the figures beside them."""
    known = pnl[np.isfinite(pnl)]
    if not len(known) or not known.any():
        return None
    low, high = min(0.0, float(known.min())), max(0.0, float(known.max()))
    span = high - low
    return [low - 0.03 * span if low < 0.0 else 0.0, high + 0.36 * span]
