"""How every figure looks: colours, axes, sizes, and the few marks they share.

Colours are Okabe and Ito's (2008, "Color Universal Design"), told apart by every kind of colour vision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go

Dates = NDArray[np.datetime64]

BLUE, VERMILLION, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#E69F00", "#009E73", "#5C666F"
SKY, PURPLE, YELLOW, PALE = "#56B4E9", "#CC79A7", "#F0E442", "#C9CFD4"
INK, GRID, PAPER = "#1D2733", "#E6E9EC", "#FFFFFF"
MANY = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, "#44597A", "#8C6D1F", "#7FC8AE", "#E3B5CE", "#A9B4BE")
"""For shares of a whole: the eight, then their darker and paler shades. The legend names them in their order."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
NUMBER, PERCENT, USD = ",.2~f", ".2~%", "~s"
"""Tick labels (d3): as many of two decimals as it takes to tell neighbouring ticks apart; dollars as 150k."""
LEFT = 52
"""Pixels left of every date axis, so that the charts of a page stand exactly under each other."""
FEW_SESSIONS = 12
"""Up to here every session is marked and named by its date; Plotly would write hours between so few."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def blank(height: int, top: int = 34, left: int = LEFT) -> go.Figure:
    """An empty figure in the house's look, ``height`` pixels high; ``top`` pixels are left for a legend."""
    import plotly.graph_objects as go

    figure = go.Figure()
    style(figure, height, top, left)
    return figure


def style(figure: go.Figure, height: int, top: int = 34, left: int = LEFT) -> None:
    """Give a figure the house's look."""
    import plotly.graph_objects as go

    axis: dict[str, Any] = {"gridcolor": GRID, "zerolinecolor": "#B9C0C7", "linecolor": GRID, "automargin": True, "fixedrange": False}
    template = go.layout.Template(layout={"font": {"family": FONT, "size": 12, "color": INK}, "xaxis": axis, "yaxis": axis})
    figure.update_layout(
        template=template, height=height, paper_bgcolor=PAPER, plot_bgcolor=PAPER, margin={"l": left, "r": 12, "t": top, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}, hoverlabel={"bgcolor": PAPER, "font": {"color": INK}},
    )  # fmt: skip


def days(sessions: Dates) -> list[str]:
    """Dates as the browser reads them: 2024-05-31."""
    return [str(session) for session in sessions.astype("datetime64[D]")]


def light(values: Floats) -> NDArray[np.float32]:
    """Values for drawing: single precision is finer than any screen and half as large in the page."""
    return np.asarray(values, np.float32)


def dates(figure: go.Figure, sessions: Dates) -> None:
    """The date axes of a few sessions show these sessions and no hours; their points are marked, a single one would be invisible."""
    if not 0 < len(sessions) <= FEW_SESSIONS:
        return
    room = max(np.timedelta64(12, "h"), (sessions[-1] - sessions[0]).astype("timedelta64[h]") // 20)
    ends = [str(sessions[0] - room), str(sessions[-1] + room)]
    named = days(sessions)
    figure.update_xaxes(type="date", range=ends, tickmode="array", tickvals=named, ticktext=[_short(day) for day in sessions])
    figure.update_traces(mode="lines+markers", marker={"size": 5}, selector={"type": "scatter"})


def limit(figure: go.Figure, level: float, text: str) -> None:
    """A dotted line across the first panel with its name at the left end."""
    across = {"xref": "x domain", "yref": "y"}
    figure.add_shape(type="line", x0=0, x1=1, y0=level, y1=level, line={"color": INK, "width": 1, "dash": "dot"}, **across)
    figure.add_annotation(x=0, y=level, text=text, showarrow=False, xanchor="left", yanchor="bottom", **across, **label())


def label() -> dict[str, Any]:
    """How a name inside a chart is written: readable over whatever it stands on."""
    return {"font": {"size": 11, "color": INK}, "bgcolor": "rgba(255,255,255,0.8)", "borderpad": 1}


def plain(text: str) -> str:
    """Foreign text for a figure: Plotly reads some HTML in names, and shows these entities as the letters they are."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def signed(values: Floats) -> list[str]:
    """Gains and losses beside their bars: +1,234, −1,234, a plain 0; NaN is unknown."""
    shown = [f"{value:+,.0f}".replace("-", "\u2212") if np.isfinite(value) else "unknown" for value in values]
    return ["0" if text in ("+0", "\u22120") else text for text in shown]


def _short(session: np.datetime64) -> str:
    """Like 3 Jan 2024."""
    year, month, day = str(session).split("-")
    return f"{int(day)} {MONTHS[int(month) - 1]} {year}"
