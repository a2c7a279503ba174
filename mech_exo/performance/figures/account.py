"""NAV and its falls, one above the other on one axis of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mech_exo.performance.drawdowns import trailing_drawdown
from mech_exo.performance.figures.style import (
    BLUE,
    GREY,
    GRID,
    INK,
    LEFT,
    PERCENT,
    USD,
    VERMILLION,
    Dates,
    dates,
    days,
    label,
    light,
    style,
)
from mech_exo.performance.ratios import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go

RANGES = ((1, "month", "1 m"), (3, "month", "3 m"), (1, "year", "1 y"), (3, "year", "3 y"))
ROOM = 1.15


def account_figure(sessions: Dates, nav: Floats, index: Floats, limit: float | None, benchmark: Floats | None = None) -> go.Figure:
    """NAV ``(T,)`` in USD and, below it, the fall of ``index`` ``(T,)`` (growth of 1, flows taken out) that the drawdown limit sees.

    Deposits are in the NAV and not in the falls. ``benchmark`` ``(T,)`` is what the same account would be worth in it, USD. ``limit`` is a
    fraction of the trailing 12-month peak; None draws none. Buttons choose the span; both panels move together.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.66, 0.34])
    style(figure, height=430, top=40, left=LEFT)
    when = days(sessions)
    if benchmark is not None:
        figure.add_scatter(x=when, y=light(benchmark), name="Benchmark", line={"color": GREY, "width": 1.3}, hovertemplate="%{y:,.0f} USD")
    figure.add_scatter(x=when, y=light(nav), name="NAV", line={"color": BLUE, "width": 2}, hovertemplate="%{y:,.0f} USD")
    fall = -trailing_drawdown(index)
    figure.add_scatter(
        x=when, y=light(fall), name="Fall from the 12-month peak", fill="tozeroy", fillcolor="rgba(213,94,0,0.22)", row=2, col=1,
        line={"color": VERMILLION, "width": 1.2}, hovertemplate="%{y:.2%}", showlegend=False,
    )  # fmt: skip
    if limit is not None:
        _limit(figure, limit, float(np.nanmin(fall, initial=0.0)))
    buttons = [{"count": count, "step": step, "stepmode": "backward", "label": text} for count, step, text in RANGES]
    chosen = {"buttons": [*buttons, {"step": "all", "label": "all"}], "x": 1.0, "xanchor": "right", "y": 1.0, "yanchor": "bottom"}
    look = {"bgcolor": "rgba(0,0,0,0)", "bordercolor": GRID, "borderwidth": 1, "activecolor": "rgba(0,114,178,0.25)"}
    figure.update_layout(xaxis={"rangeselector": chosen | look, "type": "date"}, yaxis={"tickformat": USD}, hovermode="x unified")
    figure.update_layout(yaxis2={"tickformat": PERCENT})
    dates(figure, sessions)
    return figure


def _limit(figure: go.Figure, limit: float, deepest: float) -> None:
    """The limit on the lower panel, always in sight: what is left of it is what one looks for."""
    across = {"xref": "x2 domain", "yref": "y2"}
    figure.add_shape(type="line", x0=0, x1=1, y0=-limit, y1=-limit, line={"color": INK, "width": 1, "dash": "dot"}, **across)
    text = f"limit {limit:.0%}"
    figure.add_annotation(x=0, y=-limit, text=text, showarrow=False, xanchor="left", yanchor="bottom", **across, **label())
    figure.update_layout(yaxis2={"range": [ROOM * min(-limit, deepest), 0.0]})
