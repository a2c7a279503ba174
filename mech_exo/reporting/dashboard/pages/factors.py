"""Factor health: whether each factor still tells of later returns, read from the file that a night or the command keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
import numpy as np
from dash import Input, Output, State, html, no_update

from mech_exo.performance import figures
from mech_exo.performance.figures.factors import errors_figure
from mech_exo.reporting.dashboard.address import parsed, search_of
from mech_exo.reporting.dashboard.choosing import ONE
from mech_exo.reporting.dashboard.factor_state import FactorState, factor_state
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import badge, card, chart, column, command, empty, stack, table, tile, tiles
from mech_exo.reporting.text import UNKNOWN, ratio, whole, words
from mech_exo.scoring.research.bulletin import AGAIN, Bulletin, FactorLine
from mech_exo.scoring.research.health import State as Health

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.dashboard.reader import Reader

PATH, TABLE = "/factors", "factors-rows"
TONES = {Health.HEALTHY: "good", Health.WEAKENING: "warn", Health.ALARM: "bad", Health.UNKNOWN: ""}
ORDER = {Health.ALARM: 0, Health.WEAKENING: 1, Health.HEALTHY: 2, Health.UNKNOWN: 3}
THREE = {"function": "params.value == null ? 'unknown' : d3.format(',.3f')(params.value)"}
COLUMNS = [
    column("factor", "Factor", pinned="left", width=188, flex=0),
    column("state", "State", minWidth=110),
    column("ic", "IC, window", "ratio", minWidth=116, valueFormatter=THREE),
    column("band", "95 % band", minWidth=150),
    column("before", "IC before", "ratio", minWidth=112, valueFormatter=THREE),
    column("mean_ic", "IC, all", "ratio", valueFormatter=THREE),
    column("ir", "IR", "ratio"),
    column("t_stat", "t", "ratio"),
    column("spread", "Spread", "percent"),
    column("spread_t", "t of spread", "ratio", minWidth=112),
    column("turnover", "Turnover", "percent", minWidth=106),
    column("autocorrelation", "Rank persistence", "ratio", minWidth=140),
    column("coverage", "Coverage", "percent", minWidth=106),
    column("weight", "Weight", "ratio"),
    column("since", "In alarm since", "date", minWidth=130),
    column("why", "Why", minWidth=260),
]
READING = "A row opens its charts below. ICs are rank correlations with later returns in the configured direction: above 0, it worked."
ROLLING = "Each point is known at its date: the last return of its window was complete then. Band: 95 % (Newey-West)."
DECAY = "IC of a signal so many sessions old with the 21 sessions after it, with its 95 % interval."
QUANTILES = "Mean return of each fifth of the names in excess of all of them, 1 = worst, with its 95 % interval."
ALIKE = "Mean rank correlation of two factors in their directions, a month apart: what moves together counts once."


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``factor`` of the address."""
    found = factor_state(reader)
    kept = found.kept
    if kept is None:
        return nothing()
    lines = sorted(kept.factors, key=lambda line: (ORDER[line.state], line.factor))
    chosen = next((line for line in lines if line.factor == query.get("factor")), lines[0])
    return stack(
        *_stale(found),
        _summary(found, kept),
        card("Factors", _table(kept, lines, chosen), READING),
        *_one(kept, chosen, [line.factor for line in lines]),
        card("How alike the factors are", _alike(kept), ALIKE),
        *_notes(kept),
    )


def nothing() -> Any:
    """Before the first study."""
    return empty("The factors were not studied yet: a night does it when the book is decided anew, or at once:", AGAIN)


def _stale(found: FactorState) -> list[Any]:
    if not found.reasons:
        return []
    said = "; ".join(found.reasons)
    return [html.Div([html.B(f"{said[:1].upper()}{said[1:]}."), command(AGAIN)], className="banner tone-warn")]


def _summary(found: FactorState, kept: Bulletin) -> Any:
    count = {state: sum(line.state is state for line in kept.factors) for state in Health}
    age = f"as of {kept.as_of}"
    behind = "unknown" if found.behind is None else f"{whole(found.behind)} sessions before the last one stored"
    return tiles(
        *(tile(state.value.capitalize(), whole(count[state]), "factors", age, TONES[state] if count[state] else "") for state in Health),
        tile("Studied", f"{kept.as_of}", behind, f"computed {kept.made_at:%Y-%m-%d %H:%M} UTC", "warn" if found.reasons else ""),
        tile("Window", f"{kept.window} sessions", f"of ICs over {kept.horizon} sessions", age),
    )


def _table(kept: Bulletin, lines: list[FactorLine], chosen: FactorLine) -> Any:
    rows = [
        {
            "key": line.factor, "factor": line.factor, "state": line.state.value, "band": _band(line), "why": line.reason,
            "since": "" if line.since is None else line.since.isoformat(),
            **{name: getattr(line, name) for name in
               ("ic", "before", "mean_ic", "ir", "t_stat", "spread", "spread_t", "turnover", "autocorrelation", "coverage", "weight")},
        }
        for line in lines
    ]  # fmt: skip
    picked = [row for row in rows if row["key"] == chosen.factor]
    return table(TABLE, COLUMNS, rows, getRowId="params.data.key", dashGridOptions=ONE, selectedRows=picked) if kept.factors else empty("")


def _band(line: FactorLine) -> str:
    return UNKNOWN if line.low is None else f"{ratio(line.low, 3)} to {ratio(line.high, 3)}"


def _one(kept: Bulletin, line: FactorLine, names: list[str]) -> tuple[Any, ...]:
    chooser = dmc.Select(
        id="factors-factor", data=names, value=line.factor, size="xs", w=220, allowDeselect=False, searchable=True,
        **{"aria-label": "Factor"},
    )  # fmt: skip
    said = html.Span(line.reason, className="tile-age")
    head = html.Div([chooser, badge(line.state.value, TONES[line.state]), said], className="choosing")
    trend = f"trend a year {ratio(line.trend_ann, 3)} (t {ratio(line.trend_t, 1)})"
    life = f"half-life of the signal: {line.half_life_text or UNKNOWN}"
    return (
        card(words(line.factor).capitalize(), head, f"{trend}; {life}."),
        html.Div(
            [
                card("Rolling IC", _rolling(line), ROLLING),
                card("Decay", _decay(line), DECAY),
                card("Quantiles", _quantiles(kept, line), QUANTILES),
            ],
            className="thirds",
        ),
    )  # fmt: skip


def _rolling(line: FactorLine) -> Any:
    if not line.rolling:
        return empty(f"Unknown: {line.reason}.")
    when = np.array([row.date for row in line.rolling], "datetime64[D]")
    ic, low, high = (np.array([getattr(row, name) for row in line.rolling]) for name in ("ic", "low", "high"))
    return chart("factors-rolling", figures.rolling_ic_figure(when, ic, low, high), f"Known up to {line.as_of}.")


def _decay(line: FactorLine) -> Any:
    if not line.decay:
        return empty(f"Unknown: {line.reason}.")
    drawn = errors_figure(
        [str(row.lag) for row in line.decay], _numbers([row.mean for row in line.decay]),
        _numbers([row.standard_error for row in line.decay]), "Age in sessions",
    )  # fmt: skip
    return chart("factors-decay", drawn, line.half_life_text)


def _quantiles(kept: Bulletin, line: FactorLine) -> Any:
    if not line.quantiles:
        return empty(f"Unknown: {line.reason}.")
    drawn = errors_figure(
        [str(row.quantile) for row in line.quantiles], _numbers([row.excess for row in line.quantiles]),
        _numbers([row.standard_error for row in line.quantiles]), "Quantile",
    )  # fmt: skip
    drawn.update_layout(yaxis={"tickformat": ".2~%"})
    return chart("factors-quantiles", drawn, f"Over {kept.horizon} sessions.")


def _numbers(values: list[float | None]) -> Any:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _alike(kept: Bulletin) -> Any:
    if len(kept.correlated) < 2:
        return empty("Fewer than two factors have values.")
    matrix = np.array([_numbers(list(row)) for row in kept.correlation])
    drawn = figures.correlation_figure([words(name) for name in kept.correlated], matrix)
    return chart("factors-alike", drawn, f"As of {kept.as_of}.")


def _notes(kept: Bulletin) -> list[Any]:
    return [card("Before believing it", html.Ul([html.Li(text) for text in kept.warnings]))] if kept.warnings else []


def register(app: Dash, reader: Reader) -> None:  # noqa: ARG001 - the file alone is read
    """The factor chosen goes into the address."""
    @app.callback(
        Output("url", "search", allow_duplicate=True), Input(TABLE, "selectedRows"), State("url", "search"), prevent_initial_call=True
    )
    def row(rows: Any, search: str | None) -> Any:
        chosen = rows[0].get("key") if isinstance(rows, list) and rows and isinstance(rows[0], dict) else None
        return _went(search, chosen)

    @app.callback(
        Output("url", "search", allow_duplicate=True), Input("factors-factor", "value"), State("url", "search"), prevent_initial_call=True
    )
    def choose(value: str | None, search: str | None) -> Any:
        return _went(search, value)


def _went(search: str | None, factor: object) -> Any:
    query = parsed(search)
    return no_update if factor is None or str(factor) == query.get("factor") else search_of(query, factor=factor)


PAGE = Page(PATH, "Factor health", "factors", layout, register)
