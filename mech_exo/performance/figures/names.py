"""One name: its price with the levels it was held at and what was traded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mech_exo.performance.figures.style import BLUE, GREEN, GREY, INK, ORANGE, VERMILLION, Dates, blank, dates, days, light
from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Levels(NamedTuple):
    """``(T,)`` USD after each close, NaN where nothing was held or no level rested."""

    entry: Floats
    stop: Floats
    target: Floats


class Trades(NamedTuple):
    """Fills ``(K,)``: session, price (USD) and signed shares of each."""

    sessions: Dates
    price: Floats
    shares: NDArray[np.int64]


def name_figure(sessions: Dates, close: Floats, low: Floats, high: Floats, levels: Levels, trades: Trades) -> go.Figure:
    """Close ``(T,)`` within the day's range, entry, stop and target as steps while they stood, a triangle for each fill.

    As traded: a split shows as the jump it was, in price and levels alike.
    """
    figure = blank(height=380)
    when = days(sessions)
    edge = {"line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "connectgaps": False}
    figure.add_scatter(x=when, y=light(high), **edge)
    figure.add_scatter(x=when, y=light(low), fill="tonexty", fillcolor="rgba(120,130,140,0.22)", **edge)
    figure.add_scatter(x=when, y=light(close), name="Close", line={"color": INK, "width": 1.6}, hovertemplate="%{y:,.2f}")
    for name, level, colour, dash in (
        ("Entry", levels.entry, GREY, "dot"), ("Stop", levels.stop, VERMILLION, "solid"), ("Target", levels.target, GREEN, "dash"),
    ):  # fmt: skip
        line = {"color": colour, "width": 1.5, "dash": dash, "shape": "hv"}
        figure.add_scatter(x=when, y=light(level), name=name, line=line, connectgaps=False, hovertemplate="%{y:,.2f}")
    for name, part, symbol, colour in (
        ("Bought", trades.shares > 0, "triangle-up", BLUE), ("Sold", trades.shares < 0, "triangle-down", ORANGE),
    ):  # fmt: skip
        look = {"symbol": symbol, "size": 11, "color": colour, "line": {"color": "#FFFFFF", "width": 1}}
        said = [f"{name.lower()} {abs(shares):,}" for shares in trades.shares[part]]
        figure.add_scatter(
            x=days(trades.sessions[part]), y=light(trades.price[part]), name=name, mode="markers", marker=look, text=said,
            hovertemplate="%{text} at %{y:,.4f}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(yaxis={"tickformat": ",.2f"}, hovermode="x unified")
    dates(figure, sessions)
    return figure
