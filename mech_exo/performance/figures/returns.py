"""What the account made of its capital, and how far it fell on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mech_exo.performance import kpi
from mech_exo.performance.drawdowns import drawdown_series
from mech_exo.performance.figures.style import (
    BLUE,
    GREY,
    GRID,
    INK,
    LEFT,
    MONTHS,
    NUMBER,
    ORANGE,
    PAPER,
    PERCENT,
    PURPLE,
    VERMILLION,
    Dates,
    blank,
    dates,
    days,
    light,
    limit,
    style,
)
from mech_exo.performance.periods import Calendar, rolling_sharpe, rolling_volatility
from mech_exo.performance.ratios import YEAR, Floats, from_first_close, growth
from mech_exo.performance.trading import account_returns

if TYPE_CHECKING:
    import plotly.graph_objects as go

Records = NDArray[np.void]
DIVERGING = [[0.0, VERMILLION], [0.5, "#F7F7F5"], [1.0, BLUE]]


def equity_figure(sessions: Dates, records: Records, benchmark: Floats | None = None) -> go.Figure:
    """Growth of 100 of the account, flows taken out, against the benchmark ``(T,)``; buttons choose a linear or a log axis.

    Both begin at 100 with the first session: the account holds cash then, and what the benchmark did since the close before does not
    count (:func:`mech_exo.performance.ratios.from_first_close`); an account that already trades in its first session begins at what that
    made of 100. A benchmark known only later joins the account where it begins; it ends at its first gap.
    """
    figure = blank(height=380)
    value, when = 100.0 * growth(account_returns(records))[1:], days(sessions)
    figure.add_scatter(x=when, y=light(value), name="Account", line={"color": BLUE, "width": 2}, hovertemplate="%{y:,.2f}")
    if benchmark is not None:
        theirs = joined(value, from_first_close(benchmark))
        figure.add_scatter(x=when, y=light(theirs), name="Benchmark", line={"color": GREY, "width": 1.3}, hovertemplate="%{y:,.2f}")
    scale_buttons(figure, value)
    figure.update_layout(yaxis={"tickformat": NUMBER}, hovermode="x unified")
    dates(figure, sessions)
    return figure


def underwater_figure(sessions: Dates, records: Records) -> go.Figure:
    """Fall from the highest point so far, in percent below 0, with the limit of the KPI contract."""
    figure = blank(height=210, top=10)
    below = -drawdown_series(growth(account_returns(records)))[1:]
    figure.add_scatter(
        x=days(sessions), y=light(below), fill="tozeroy", fillcolor="rgba(213,94,0,0.22)", line={"color": VERMILLION, "width": 1.2},
        hovertemplate="%{y:.1%}<extra></extra>",
    )  # fmt: skip
    limit(figure, -kpi.MAX_DRAWDOWN, f"limit {kpi.MAX_DRAWDOWN:.0%}")
    figure.update_layout(yaxis={"tickformat": PERCENT, "rangemode": "tozero"}, showlegend=False, hovermode="x unified")
    dates(figure, sessions)
    return figure


def monthly_figure(calendar: Calendar) -> go.Figure:
    """Heat map of monthly returns, years down; the scale is symmetric about 0 and ends at the largest month."""
    figure = blank(height=90 + 24 * max(1, len(calendar.years)))
    known = calendar.months[np.isfinite(calendar.months)]
    reach = float(np.abs(known).max()) if len(known) else 1.0
    figure.add_heatmap(
        z=calendar.months, x=MONTHS, y=[str(year) for year in calendar.years], colorscale=DIVERGING, zmin=-reach, zmax=reach,
        showscale=False, xgap=2, ygap=2, texttemplate="%{z:.1%}", textfont={"size": 10}, hoverongaps=False,
        hovertemplate="%{x} %{y}: %{z:.2%}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(yaxis={"autorange": "reversed", "type": "category", "showgrid": False}, xaxis={"showgrid": False, "side": "top"})
    return figure


def rolling_figure(sessions: Dates, records: Records, risk_free: float = 0.0, beta: Floats | None = None) -> go.Figure:
    """Sharpe ratio, annual volatility and (where it is given) ``beta`` ``(T,)`` over the trailing twelve months, one above the other."""
    from plotly.subplots import make_subplots

    returns = account_returns(records)
    panels = [
        ("Sharpe ratio", rolling_sharpe(returns, YEAR, risk_free), BLUE, "%{y:.2f}"),
        ("Volatility, annual", rolling_volatility(returns, YEAR), ORANGE, "%{y:.1%}"),
    ]
    if beta is not None:
        panels.append(("Beta to the benchmark", beta, PURPLE, "%{y:.2f}"))
    titles = [panel[0] for panel in panels]
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.09, subplot_titles=titles)
    style(figure, height=120 + 120 * len(panels), left=LEFT)
    when = days(sessions)
    for row, (_, values, colour, shown) in enumerate(panels, 1):
        line = {"color": colour, "width": 1.6}
        figure.add_scatter(x=when, y=light(values), line=line, hovertemplate=shown + "<extra></extra>", row=row, col=1)
    figure.update_annotations(font={"size": 12, "color": INK}, x=0, xanchor="left")
    limit(figure, kpi.MIN_SHARPE, f"goal {kpi.MIN_SHARPE}")
    figure.update_layout(showlegend=False, hovermode="x unified", yaxis2={"tickformat": PERCENT, "rangemode": "tozero"})
    dates(figure, sessions)
    return figure


def scale_buttons(figure: go.Figure, value: Floats) -> None:
    """Two buttons above the chart: a linear or a logarithmic axis for ``value``."""
    known = value[np.isfinite(value)]
    wide = "D2" if len(known) and known.max() > 4.0 * known.min() else None  # on a narrow axis 1, 2 and 5 alone may all be out of sight
    buttons = [
        {"label": label, "method": "relayout", "args": [{"yaxis.type": kind, "yaxis.dtick": tick}]}
        for label, kind, tick in (("Linear", "linear", None), ("Log", "log", wide))
    ]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "x": 1.0, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    look = {"bgcolor": PAPER, "bordercolor": GRID, "font": {"size": 12, "color": INK}, "pad": {"t": 0, "b": 4}}
    figure.update_layout(updatemenus=[menu | look])


def joined(value: Floats, returns: Floats) -> Floats:
    """The benchmark's growth, starting at the account's ``value`` before its first known return, up to its first gap."""
    out = np.full(len(value), np.nan)
    known = np.flatnonzero(np.isfinite(returns))
    if not len(known):
        return out
    first = int(known[0])
    path = np.cumprod(1.0 + returns[first:])
    out[first:] = path * (value[first - 1] if first else 100.0)
    return out
