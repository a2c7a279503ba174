"""Plotly figures of an account, the same for a backtest, a live report and a notebook.

Every function takes the arrays the metrics take and returns a figure; Plotly is imported when one is drawn. Colours are Okabe
and Ito's (2008, "Color Universal Design"), told apart by every kind of colour vision. NaN leaves a gap, never a 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mech_exo.performance import kpi
from mech_exo.performance.drawdowns import drawdown_series
from mech_exo.performance.periods import Calendar, rolling_sharpe, rolling_volatility
from mech_exo.performance.ratios import YEAR, Floats, from_first_close, growth
from mech_exo.performance.trading import account_returns, costs, exposure

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

Dates = NDArray[np.datetime64]

BLUE, VERMILLION, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#E69F00", "#009E73", "#6B7680"
INK, GRID, PAPER = "#1D2733", "#E6E9EC", "#FFFFFF"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
NUMBER, PERCENT = ",.2~f", ".2~%"
"""Tick labels (d3): as many of two decimals as it takes to tell neighbouring ticks apart."""
FEW_SESSIONS = 12
"""Up to here every session is marked and named by its date; Plotly would write hours between so few."""
DIVERGING = [[0.0, VERMILLION], [0.5, "#F7F7F5"], [1.0, BLUE]]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def equity_figure(sessions: Dates, days: NDArray[np.void], benchmark: Floats | None = None) -> go.Figure:
    """Growth of 100 of the account, flows taken out, against the benchmark ``(T,)``; buttons choose a linear or a log axis.

    Both begin at 100 with the first session: the account holds cash then, and what the benchmark did since the close before does not
    count (:func:`mech_exo.performance.ratios.from_first_close`); an account that already trades in its first session begins at what that
    made of 100. A benchmark known only later joins the account where it begins; it ends at its first gap.
    """
    figure = _blank(height=380)
    value = 100.0 * growth(account_returns(days))[1:]
    figure.add_scatter(x=sessions, y=value, name="Account", line={"color": BLUE, "width": 2}, hovertemplate="%{y:,.2f}")
    if benchmark is not None:
        theirs = _joined(value, from_first_close(benchmark))
        figure.add_scatter(x=sessions, y=theirs, name="Benchmark", line={"color": GREY, "width": 1.3}, hovertemplate="%{y:,.2f}")
    known = value[np.isfinite(value)]
    wide = "D2" if len(known) and known.max() > 4.0 * known.min() else None  # on a narrow axis 1, 2 and 5 alone may all be out of sight
    buttons = [
        {"label": label, "method": "relayout", "args": [{"yaxis.type": kind, "yaxis.dtick": tick}]}
        for label, kind, tick in (("Linear", "linear", None), ("Log", "log", wide))
    ]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "x": 1.0, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    look = {"bgcolor": PAPER, "bordercolor": GRID, "font": {"size": 12, "color": INK}, "pad": {"t": 0, "b": 4}}
    figure.update_layout(updatemenus=[menu | look], yaxis={"tickformat": NUMBER}, hovermode="x unified")
    figure.update_layout(legend={"x": 0, "y": -0.16, "yanchor": "top"})
    _dates(figure, sessions)
    return figure


def underwater_figure(sessions: Dates, days: NDArray[np.void]) -> go.Figure:
    """Fall from the highest point so far, in percent below 0, with the limit of the KPI contract."""
    figure = _blank(height=210, top=10)
    below = -drawdown_series(growth(account_returns(days)))[1:]
    figure.add_scatter(
        x=sessions, y=below, fill="tozeroy", fillcolor="rgba(213,94,0,0.22)", line={"color": VERMILLION, "width": 1.2},
        hovertemplate="%{y:.1%}<extra></extra>",
    )  # fmt: skip
    _limit(figure, -kpi.MAX_DRAWDOWN, f"limit {kpi.MAX_DRAWDOWN:.0%}")
    figure.update_layout(yaxis={"tickformat": PERCENT, "rangemode": "tozero"}, showlegend=False, hovermode="x unified")
    _dates(figure, sessions)
    return figure


def monthly_figure(calendar: Calendar) -> go.Figure:
    """Heat map of monthly returns, years down; the scale is symmetric about 0 and ends at the largest month."""
    figure = _blank(height=90 + 24 * max(1, len(calendar.years)))
    known = calendar.months[np.isfinite(calendar.months)]
    reach = float(np.abs(known).max()) if len(known) else 1.0
    figure.add_heatmap(
        z=calendar.months, x=MONTHS, y=[str(year) for year in calendar.years], colorscale=DIVERGING, zmin=-reach, zmax=reach,
        showscale=False, xgap=2, ygap=2, texttemplate="%{z:.1%}", textfont={"size": 10}, hoverongaps=False,
        hovertemplate="%{x} %{y}: %{z:.2%}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(yaxis={"autorange": "reversed", "type": "category", "showgrid": False}, xaxis={"showgrid": False, "side": "top"})
    return figure


def rolling_figure(sessions: Dates, days: NDArray[np.void], risk_free: float = 0.0) -> go.Figure:
    """Sharpe ratio and annual volatility over the trailing twelve months, one above the other, with the KPI's threshold."""
    from plotly.subplots import make_subplots

    returns = account_returns(days)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.12, subplot_titles=("Sharpe ratio", "Volatility, annual"))
    _style(figure, height=360)
    lines = ((rolling_sharpe(returns, YEAR, risk_free), BLUE, "%{y:.2f}"), (rolling_volatility(returns, YEAR), ORANGE, "%{y:.1%}"))
    for row, (values, colour, shown) in enumerate(lines, 1):
        line = {"color": colour, "width": 1.6}
        figure.add_scatter(x=sessions, y=values, line=line, hovertemplate=shown + "<extra></extra>", row=row, col=1)
    _limit(figure, kpi.MIN_SHARPE, f"goal {kpi.MIN_SHARPE}")
    figure.update_layout(showlegend=False, hovermode="x unified", yaxis2={"tickformat": PERCENT, "rangemode": "tozero"})
    _dates(figure, sessions)
    figure.update_annotations(font={"size": 12, "color": INK})
    return figure


def exposure_figure(sessions: Dates, days: NDArray[np.void]) -> go.Figure:
    """Gross and net exposure at each close, fractions of NAV."""
    gross, net = exposure(days)
    figure = _blank(height=220, top=10 if np.allclose(gross, net, equal_nan=True) else 34)
    figure.add_scatter(x=sessions, y=gross, name="Gross", line={"color": BLUE, "width": 1.4}, hovertemplate="%{y:.0%}")
    if not np.allclose(gross, net, equal_nan=True):
        figure.add_scatter(x=sessions, y=net, name="Net", line={"color": ORANGE, "width": 1.4}, hovertemplate="%{y:.0%}")
    figure.update_layout(yaxis={"tickformat": PERCENT, "rangemode": "tozero"}, hovermode="x unified")
    _dates(figure, sessions)
    return figure


def trades_figure(trades: NDArray[np.void]) -> go.Figure:
    """Distribution of closed trades' P&L as fractions of NAV at entry, losses and gains apart, with the KPI's limit."""
    figure = _blank(height=300)
    result = trades["nav_fraction"][~trades["open"]]
    result = result[np.isfinite(result)]
    if len(result):
        width = _bin_width(result)
        for name, part, colour in (("Losses", result[result <= 0.0], VERMILLION), ("Gains", result[result > 0.0], BLUE)):
            bins = {"start": -width * np.ceil(-min(0.0, result.min()) / width), "end": float(result.max()) + width, "size": width}
            figure.add_histogram(x=part, name=name, marker={"color": colour}, xbins=bins, hovertemplate="%{x}: %{y} trades<extra></extra>")
    figure.add_vline(x=-kpi.MAX_TRADE_LOSS, line={"color": INK, "width": 1, "dash": "dot"})
    figure.add_annotation(x=-kpi.MAX_TRADE_LOSS, y=1.0, yref="paper", text=f"limit −{kpi.MAX_TRADE_LOSS:.0%}", showarrow=False,
                          xanchor="right", yanchor="top", font={"size": 11, "color": GREY})  # fmt: skip
    axis = {"tickformat": PERCENT, "title": {"text": "P&L of NAV at entry"}}
    figure.update_layout(barmode="overlay", bargap=0.06, xaxis=axis, yaxis={"title": {"text": "trades"}})
    return figure


def costs_figure(days: NDArray[np.void]) -> go.Figure:
    """From gross to net P&L in USD: commission, slippage and borrow fees as steps down."""
    paid = costs(days)
    figure = _blank(height=300, top=10)
    figure.add_waterfall(
        x=["Gross", "Commission", "Slippage", "Borrow", "Net"],
        y=[paid.gross, -paid.commission, -paid.slippage, -paid.borrow, paid.net],
        measure=["absolute", "relative", "relative", "relative", "total"],
        increasing={"marker": {"color": GREEN}}, decreasing={"marker": {"color": VERMILLION}}, totals={"marker": {"color": BLUE}},
        connector={"line": {"color": GREY, "width": 1, "dash": "dot"}}, texttemplate="%{delta:,.0f}", textposition="auto", textangle=0,
        hovertemplate="%{x}: %{delta:,.2f} USD<extra></extra>",
    )  # fmt: skip
    names = {"showgrid": False, "tickangle": 0, "tickfont": {"size": 10}}
    figure.update_layout(yaxis={"tickformat": NUMBER, "title": {"text": "USD"}}, xaxis=names, showlegend=False)
    return figure


def exits_figure(reasons: pl.DataFrame) -> go.Figure:
    """P&L in USD by exit reason with the number of trades: the frame of :func:`mech_exo.performance.attribution.by_exit_reason`."""
    figure = _blank(top=10, height=80 + 34 * max(1, reasons.height))
    ordered = reasons.sort("pnl")
    counted = zip(ordered["exit_reason"], ordered["trades"], strict=True)
    names = [f"{str(name).replace('_', ' ')} ({count})" for name, count in counted]
    pnl = ordered["pnl"].to_numpy()
    text = [f"{value:+,.0f}" for value in pnl]
    colours = [BLUE if value > 0.0 else VERMILLION for value in pnl]
    shown = "%{y}: %{text}<extra></extra>"
    look = {"marker": {"color": colours}, "textposition": "auto", "textangle": 0, "cliponaxis": False}
    figure.add_bar(x=pnl, y=names, orientation="h", text=text, hovertemplate=shown, **look)
    axis = {"tickformat": NUMBER, "title": {"text": "USD"}}
    figure.update_layout(xaxis=axis, yaxis={"showgrid": False, "ticksuffix": " "}, showlegend=False)
    return figure


def _joined(value: Floats, returns: Floats) -> Floats:
    """The benchmark's growth, starting at the account's value before its first known return, up to its first gap."""
    out = np.full(len(value), np.nan)
    known = np.flatnonzero(np.isfinite(returns))
    if not len(known):
        return out
    first = int(known[0])
    path = np.cumprod(1.0 + returns[first:])
    out[first:] = path * (value[first - 1] if first else 100.0)
    return out


def _dates(figure: go.Figure, sessions: Dates) -> None:
    """The date axes of a few sessions show these sessions and no hours; their points are marked, a single one would be invisible."""
    if not 0 < len(sessions) <= FEW_SESSIONS:
        return
    room = max(np.timedelta64(12, "h"), (sessions[-1] - sessions[0]).astype("timedelta64[h]") // 20)
    ends = [str(sessions[0] - room), str(sessions[-1] + room)]
    named = [str(session) for session in sessions]
    figure.update_xaxes(type="date", range=ends, tickmode="array", tickvals=named, ticktext=[_short(day) for day in sessions])
    figure.update_traces(mode="lines+markers", marker={"size": 5})


def _short(session: np.datetime64) -> str:
    """Like 3 Jan 2024."""
    year, month, day = str(session).split("-")
    return f"{int(day)} {MONTHS[int(month) - 1]} {year}"


def _bin_width(values: Floats) -> float:
    """Freedman and Diaconis (1981): 2 × interquartile range / n^(1/3), at most a quarter of the span, at least 1e-4."""
    upper, lower = np.percentile(values, [75, 25])
    span = float(values.max() - values.min())
    return float(max(1e-4, min(2.0 * (upper - lower) / len(values) ** (1 / 3), span / 4.0)))


def _limit(figure: go.Figure, level: float, text: str) -> None:
    """A dotted line across the first panel with its name at the left end."""
    across = {"xref": "x domain", "yref": "y"}
    figure.add_shape(type="line", x0=0, x1=1, y0=level, y1=level, line={"color": INK, "width": 1, "dash": "dot"}, **across)
    font = {"size": 11, "color": GREY}
    figure.add_annotation(x=0, y=level, text=text, showarrow=False, xanchor="left", yanchor="bottom", font=font, **across)


def _blank(height: int, top: int = 34) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    _style(figure, height, top)
    return figure


def _style(figure: go.Figure, height: int, top: int = 34) -> None:
    import plotly.graph_objects as go

    axis: dict[str, Any] = {"gridcolor": GRID, "zerolinecolor": "#B9C0C7", "linecolor": GRID, "automargin": True, "fixedrange": False}
    template = go.layout.Template(layout={"font": {"family": FONT, "size": 12, "color": INK}, "xaxis": axis, "yaxis": axis})
    figure.update_layout(
        template=template, height=height, paper_bgcolor=PAPER, plot_bgcolor=PAPER, margin={"l": 8, "r": 10, "t": top, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}, hoverlabel={"bgcolor": PAPER, "font": {"color": INK}},
    )  # fmt: skip
