"""How single trades ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mech_exo.performance import kpi
from mech_exo.performance.figures.book import pnl_figure
from mech_exo.performance.figures.style import BLUE, INK, PERCENT, USD, VERMILLION, blank, label
from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

Records = NDArray[np.void]


def trades_figure(trades: Records) -> go.Figure:
    """Distribution of closed trades' P&L as fractions of NAV at entry, losses and gains apart, with the KPI's limit."""
    figure = blank(height=300)
    result = trades["nav_fraction"][~trades["open"]]
    result = result[np.isfinite(result)]
    if len(result):
        width = _bin_width(result)
        for name, part, colour in (("Losses", result[result <= 0.0], VERMILLION), ("Gains", result[result > 0.0], BLUE)):
            bins = {"start": -width * np.ceil(-min(0.0, result.min()) / width), "end": float(result.max()) + width, "size": width}
            figure.add_histogram(x=part, name=name, marker={"color": colour}, xbins=bins, hovertemplate="%{x}: %{y} trades<extra></extra>")
    figure.add_vline(x=-kpi.MAX_TRADE_LOSS, line={"color": INK, "width": 1, "dash": "dot"})
    where = {"x": -kpi.MAX_TRADE_LOSS, "y": 1.0, "yref": "paper", "xanchor": "left", "yanchor": "top"}
    figure.add_annotation(text=f"limit −{kpi.MAX_TRADE_LOSS:.0%}", showarrow=False, **where, **label())
    axis = {"tickformat": PERCENT, "tickangle": 0, "title": {"text": "P&L of NAV at entry", "font": {"size": 12}}}
    figure.update_layout(barmode="overlay", bargap=0.06, xaxis=axis, yaxis={"title": {"text": "trades", "font": {"size": 12}}})
    return figure


def holding_figure(trades: Records) -> go.Figure:
    """P&L of closed trades (USD) against the sessions they were held: what patience brought. Losses and gains apart."""
    figure = blank(height=300)
    done = trades[~trades["open"]]
    for name, part, colour in (("Losses", done[done["pnl"] <= 0.0], VERMILLION), ("Gains", done[done["pnl"] > 0.0], BLUE)):
        look = {"color": colour, "size": 4, "opacity": 0.45}
        shown = "%{x} sessions: %{y:,.0f} USD<extra></extra>"
        pnl = part["pnl"].astype(np.float32)
        figure.add_scatter(x=part["holding"].astype(np.int32), y=pnl, mode="markers", name=name, marker=look, hovertemplate=shown)
    axis = {"title": {"text": "sessions held", "font": {"size": 12}}, "tickangle": 0, "rangemode": "tozero"}
    figure.update_layout(xaxis=axis, yaxis={"tickformat": USD, "title": {"text": "USD", "font": {"size": 12}}})
    return figure


def exits_figure(reasons: pl.DataFrame) -> go.Figure:
    """P&L in USD by exit reason with the number of trades: the frame of :func:`mech_exo.performance.attribution.by_exit_reason`."""
    ordered = reasons.sort("pnl", descending=True)
    counted = zip(ordered["exit_reason"], ordered["trades"], strict=True)
    return pnl_figure([f"{str(name).replace('_', ' ')} ({count})" for name, count in counted], ordered["pnl"].to_numpy())


def _bin_width(values: Floats) -> float:
    """Freedman and Diaconis (1981): 2 × interquartile range / n^(1/3), at most a quarter of the span, at least 1e-4."""
    upper, lower = np.percentile(values, [75, 25])
    span = float(values.max() - values.min())
    return float(max(1e-4, min(2.0 * (upper - lower) / len(values) ** (1 / 3), span / 4.0)))
