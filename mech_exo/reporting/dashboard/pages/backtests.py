"""Backtests: the saved runs, a few beside each other, one in full; what is out of sample comes first, luck is counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
import numpy as np
from dash import Input, Output, State, html, no_update
from flask import Response, send_file

from mech_exo.domain.errors import MechExoError
from mech_exo.performance import figures
from mech_exo.reporting import wording
from mech_exo.reporting.dashboard.address import parsed, search_of
from mech_exo.reporting.dashboard.choosing import plain_table, told
from mech_exo.reporting.dashboard.downsample import thinned
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import badge, card, chart, column, command, empty, stack, table, tile, tiles
from mech_exo.reporting.dashboard.saved_runs import (
    MOST,
    Beside,
    Places,
    Run,
    SweepLine,
    Walk,
    beside,
    curves,
    files,
    listed,
    report_of,
    run,
    sweeps,
    walks,
)
from mech_exo.reporting.evidence import luck_alone, statistics
from mech_exo.reporting.text import UNKNOWN, money, percent, ratio, whole, words

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.dashboard.reader import Reader

PATH, TABLE = "/backtests", "backtests-rows"
COLUMNS = [
    column("run_id", "Run", pinned="left", width=164, flex=0),
    column("name", "Strategy", minWidth=110),
    column("start", "From", "date", minWidth=108),
    column("end", "To", "date", minWidth=108),
    column("sharpe", "Sharpe", "ratio"),
    column("cagr", "CAGR", "percent"),
    column("max_drawdown", "Drawdown", "percent", minWidth=110),
    column("cost_share", "Costs of gross", "percent", minWidth=130),
    column("trades", "Trades", "whole"),
    column("kpi", "KPI contract", minWidth=130),
    column("saved_at", "Saved", "date", minWidth=150),
    column("damaged", "Damaged", minWidth=120),
]
FIGURES = (
    ("total_return", "Total return", percent), ("cagr", "CAGR", percent), ("volatility_ann", "Volatility, a year", percent),
    ("sharpe", "Sharpe", ratio), ("sortino", "Sortino", ratio), ("calmar", "Calmar", ratio), ("max_drawdown", "Deepest fall", percent),
    ("max_drawdown_12m", "… from a 12-month peak", percent), ("value_at_risk_95", "Value at risk 95 %, a session", percent),
    ("turnover_ann", "Turnover a year, one way", percent), ("total_costs", "Costs, USD", money),
    ("cost_share", "Costs of gross P&L", percent), ("trades", "Closed trades", whole),
    ("win_rate", "Winning trades", percent), ("orders", "Orders", whole), ("final_equity", "Last NAV, USD", money),
)  # fmt: skip
"""What stands in the comparison: key of ``BacktestResult.metrics``, label, how it is written."""
VERDICTS = {"pass": "good", "fail": "bad", "not enough data": "warn", "not meaningful": ""}
LIST = (
    "In sample: chosen and judged on the same history, unless a walk-forward says otherwise. "
    f"Choose up to {MOST} rows: one opens in full, more stand beside each other."
)
SWEEPS = "Runs that were compared with each other: what chose the best of them may be luck."
WALK_COMMAND = "exo backtest walk-forward --set strategy.selection.top=20,30 --train 756 --test 252"
POINT = "The point with its 95 % interval (Lo 2002); luck: what the best of as many worthless ones would show."
APART = "Bars far apart: what was chosen looked better than it was."
WALKED = "Of each window: what was chosen on the past alone, and how it did on the sessions that followed. Only those are in the curve."
SAME = "Over the sessions that all of them have, each from 100 before the first of them; falls from the peak so far below."
MULTIPLE = {"rowSelection": {"mode": "multiRow", "checkboxes": True, "headerCheckbox": False, "enableClickSelection": False}}


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``runs`` (ids by commas) and ``walk`` of the address."""
    now = files(places(reader))
    rows = reader.once(("runs", now), lambda house, _: listed(house))
    kept = reader.once(("walks", now), lambda house, _: walks(house))
    wanted = [name for name in query.get("runs", "").split(",") if name][:MOST]
    return stack(
        _out_of_sample(kept, query),
        card("Saved runs", _list(rows, wanted), LIST),
        html.Div(_chosen(reader, rows, wanted, now)),
        card("Sweeps", _sweeps(reader.once(("sweeps",), lambda _, ledger: sweeps(ledger))), SWEEPS),
    )  # fmt: skip


def _out_of_sample(kept: Sequence[Walk], query: Query) -> Any:
    title = "Out of sample"
    if not kept:
        return card(title, empty("No walk-forward is kept: every figure below is in sample.", WALK_COMMAND))
    shown = next((walk for walk in kept if walk.id == query.get("walk")), kept[0])
    chooser = dmc.Select(
        id="backtests-walk", data=[{"value": walk.id, "label": f"{walk.id} · {_stamp(walk.kept_at)}"} for walk in kept], value=shown.id,
        size="xs", w=270, allowDeselect=False, **{"aria-label": "Walk-forward"},
    )  # fmt: skip
    return card(title, stack(*([chooser] if len(kept) > 1 else []), *_walk(shown)), WALKED)


def _walk(walk: Walk) -> tuple[Any, ...]:
    metrics, name = walk.metrics, words(walk.objective)
    inside, outside = (walk.column(f"{walk.objective}_{where}") for where in ("in_sample", "out_of_sample"))
    starts = [str(row["test_start"]) for row in walk.windows]
    span = f"{walk.sessions[0]} to {walk.sessions[-1]}" if len(walk.sessions) else ""
    interval = f"95 %: {ratio(metrics.get('sharpe_low'))} to {ratio(metrics.get('sharpe_high'))}"
    rows = [
        (
            f"{row['train_start']} – {row['train_end']}", f"{row['test_start']} – {row['test_end']}", _choices(row, walk),
            ratio(row.get(f"{walk.objective}_in_sample")), ratio(row.get(f"{walk.objective}_out_of_sample")),
            percent(row["cagr_out_of_sample"]), ratio(row["efficiency"]), percent(row["max_drawdown"]), whole(row["trades"]),
        )
        for row in walk.windows
    ]  # fmt: skip
    named = (f"{name.capitalize()} before", f"{name.capitalize()} after")
    head = ("Chosen on", "Judged on", "Chosen", *named, "CAGR after", "Efficiency", "Deepest fall", "Trades")
    place = thinned(np.cumsum(walk.returns)) if len(walk.returns) else np.empty(0, np.int64)
    steady = ", ".join(f"{row['parameter']} {row['most_frequent']} in {percent(row['share'], 0)}" for row in walk.parameters)
    drawn = figures.out_of_sample_figure(walk.sessions, walk.returns, starts[1:])
    drawn.layout.updatemenus = ()  # Plotly's own buttons know no dark page
    return (
        tiles(
            tile("Sharpe, out of sample", ratio(metrics.get("sharpe")), interval, span),
            tile("CAGR, out of sample", percent(metrics.get("cagr")), "", span),
            tile("Deepest fall", percent(metrics.get("max_drawdown")), "", span),
            tile("Efficiency", ratio(walk.efficiency), "CAGR after / CAGR in training", span),
            tile("Candidates", whole(walk.trials), f"at most {walk.candidates} a window, all counted as trials", _stamp(walk.kept_at)),
        ),
        html.Div(
            [
                chart("backtests-walk-curve", drawn, "Growth of 100 over the judged sessions alone."),
                chart("backtests-windows", figures.windows_figure(starts, inside, outside, name), APART),
            ],
            className="columns",
        ),
        plain_table(head, rows, (3, 4, 5, 6, 7, 8)),
        html.P(f"Steadiness of the choices: {steady or 'nothing was to choose'}.", className="card-note"),
        *([html.Ul([html.Li(text) for text in walk.warnings[:6]], className="card-note")] if walk.warnings else []),
    ) if len(place) else (empty("This walk-forward has no judged session."),)  # fmt: skip


def _choices(row: Mapping[str, Any], walk: Walk) -> str:
    names = [str(line["parameter"]) for line in walk.parameters]
    return ", ".join(f"{name.rpartition('.')[2]} {row.get(name)}" for name in names)


def _list(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> Any:
    if not rows:
        return empty("No run is saved yet.", "exo backtest run")
    cells = [{**{each["field"]: row.get(each["field"]) for each in COLUMNS}, "key": row["run_id"]} for row in rows]
    for cell in cells:
        cell["kpi"], cell["damaged"] = words(str(cell["kpi"] or "")), str(cell["damaged"] or "")
    chosen = [cell for cell in cells if cell["run_id"] in wanted]
    return table(TABLE, COLUMNS, cells, getRowId="params.data.key", dashGridOptions=MULTIPLE, selectedRows=chosen)


def _chosen(reader: Reader, rows: Sequence[Mapping[str, Any]], wanted: Sequence[str], now: object) -> Any:
    if not rows:
        return None
    known = [name for name in wanted if any(row["run_id"] == name for row in rows)]
    if not known:
        sound = [row["run_id"] for row in rows if not row["damaged"]]
        if not sound:
            return empty("Every saved run is damaged.", "exo backtest list")
        known = [str(sound[0])]
    try:
        if len(known) > 1:
            return _beside(reader.once(("beside", tuple(known), now), lambda house, _: beside(house, known)))
        return _run(reader.once(("run", known[0], now), lambda house, ledger: run(house, ledger, known[0])))
    except MechExoError as error:
        return told(error)


def _beside(found: Beside) -> Any:
    first, others = found.results[0], found.results[1:]
    lines = found.curves
    head = ("Figure", *(f"{result.run_id[:8]}" for result in found.results), *(f"{other.run_id[:8]} less first" for other in others))
    rows = []
    for key, label, form in FIGURES:
        values = [result.metrics.get(key) for result in found.results]
        changes = [next((line.change for line in one.metrics if line.name == key), None) for one in found.comparisons]
        rows.append((label, *(form(value) for value in values), *(_change(change, form) for change in changes)))
    asked = [
        plain_table(
            ("Asked differently", first.run_id[:8], other.run_id[:8]),
            [(line.key, _said(line.a), _said(line.b)) for line in one.differences],
        )
        if one.differences else html.P(f"{other.run_id[:8]} was asked the same.", className="card-note")
        for one, other in zip(found.comparisons, others, strict=True)
    ]  # fmt: skip
    said = [html.Li(f"{other.run_id[:8]}: {line}") for one, other in zip(found.comparisons, others, strict=True) for line in one.lines()]
    if len(lines.sessions):
        places = [np.union1d(thinned(grown), thinned(fallen)) for grown, fallen in zip(lines.growth, lines.falls, strict=True)]
        drawn = figures.beside_figure(
            [lines.sessions[place] for place in places], [line[place] for line, place in zip(lines.growth, places, strict=True)],
            [line[place] for line, place in zip(lines.falls, places, strict=True)], [name[:8] for name in lines.names],
        )  # fmt: skip
        picture = chart("backtests-beside", drawn, f"{lines.sessions[0]} to {lines.sessions[-1]}.")
    else:
        picture = empty("These runs have no session in common.")
    return stack(
        card("Beside each other", picture, SAME),
        card("Figures", plain_table(head, rows, tuple(range(1, len(head)))), "Of each run's whole period."),
        card("What was asked, and where they part", [*asked, html.Ul(said)]),
    )  # fmt: skip


def _change(value: float | None, form: Any) -> str:
    if value is None:
        return UNKNOWN
    if form is percent:
        return f"{'+' if value > 0.0 else ''}{ratio(100.0 * value)} pp"
    return f"{'+' if value > 0.0 else ''}{form(value)}"


def _said(value: object) -> str:
    return "null" if value is None else str(value)


def _run(found: Run) -> Any:
    result, report = found.result, found.overfitting
    metrics = result.metrics
    span = f"{result.sessions[0]} to {result.sessions[-1]}"
    verdict = words(str(found.listed["kpi"]))
    grown, fallen = _growth(found)
    place = np.union1d(thinned(grown), thinned(fallen))
    drawn = figures.beside_figure([result.sessions[place]], [grown[place]], [fallen[place]], [result.run_id[:8]])
    sheet = (
        html.A("Tear sheet (HTML)", href=f"/reports/backtests/{result.run_id}.html", download=f"{result.run_id}.html", className="mini")
        if found.report is not None else html.Span(["No tear sheet: ", command("exo backtest run")], className="tile-age")
    )  # fmt: skip
    groups = [
        card(group.title, plain_table(("Figure", "Value", ""), [(line.name, line.value, line.note) for line in group.lines], (1,)))
        for group in wording.metric_groups(metrics)
    ]
    demands = [
        (line.label, line.demand, *(_cell(cell.value, verdict_) for cell, verdict_ in zip(line.cells, line.verdicts, strict=True)))
        for line in wording.kpi_lines(result.kpi)
    ]
    return stack(
        html.Div([badge(result.run_id, "info"), html.Span(f"{result.name} · {span}", className="tile-age"), sheet], className="choosing"),
        _luck(found),
        card("KPI contract", plain_table(("Demand", "", "Trailing 12 months", "Whole period"), demands), f"Whole period: {verdict}."),
        card("Growth and falls, in sample", chart("backtests-run", drawn, f"Growth of 100, {span}; falls from the peak so far below.")),
        html.Details([html.Summary("Every figure"), html.Div(groups, className="columns")]),
        card("Before believing it", _doubts((*result.warnings, *report.notes))),
    )


def _doubts(said: Sequence[str]) -> Any:
    return html.Ul([html.Li(text) for text in said]) if said else empty("Nothing is to be said against it.")


def _cell(value: str, verdict: str) -> Any:
    return html.Span([value, " ", badge(words(verdict), VERDICTS.get(words(verdict), ""))])


def _growth(found: Run) -> tuple[Any, Any]:
    line = curves([found.result])
    return line.growth[0], line.falls[0]


def _luck(found: Run) -> Any:
    report = found.overfitting
    drawn = figures.luck_figure(report.sharpe, report.sharpe_low, report.sharpe_high, report.expected_best)
    deflated = report.deflated_sharpe
    tone = "" if not math.isfinite(deflated) else "good" if deflated >= 0.95 else "bad"
    counted = "the ledger's, this run among them"
    said, warn = ("counted", "") if found.walked else ("none", "warn")
    walked = tile("Walk-forward", said, "of this very configuration", tone=warn)
    return card(
        "Luck and overfitting",
        stack(
            tiles(
                tile("Deflated Sharpe", percent(deflated, 1), "below 95 % is no evidence", tone=tone),
                tile("Trials", whole(report.trials), counted),
                tile("PBO", percent(report.pbo, 0), "of its sweep" if found.swept else "no sweep belongs to it"),
                tile("Sharpe", ratio(report.sharpe), f"luck alone: {ratio(report.expected_best)}"),
                walked,
            ),
            html.P(luck_alone(report)),
            chart("backtests-luck", drawn, POINT),
            plain_table(("Figure", "Value", "In words"), statistics(report, len(found.result.sessions)), (1,)),
        ),
        "Every look at history is a trial; the more there were, the more the best of them owes to luck.",
    )  # fmt: skip


def _sweeps(found: Sequence[SweepLine]) -> Any:
    if not found:
        return empty("No sweep was counted yet.", "exo backtest sweep --set strategy.selection.top=20,30")
    rows = [(one.id, whole(one.runs), percent(one.pbo, 0), ratio(one.reality_check, 3), ratio(one.spa, 3)) for one in found]
    return plain_table(("Sweep", "Runs", "PBO", "Reality check, p", "SPA, p"), rows, (1, 2, 3, 4))


def _stamp(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def places(reader: Reader) -> Places:
    """Where the workspace keeps its runs."""
    return reader.once(("places",), lambda house, _: Places(house.home, house.runs, house.reports))


def register(app: Dash, reader: Reader) -> None:
    """Rows that are chosen and the walk-forward go into the address; the tear sheets of saved runs may be fetched, and no other file."""

    @app.callback(
        Output("url", "search", allow_duplicate=True), Input(TABLE, "selectedRows"), State("url", "search"), prevent_initial_call=True
    )
    def choose(rows: Any, search: str | None) -> Any:
        query = parsed(search)
        names = [str(row.get("key")) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        before = [name for name in query.get("runs", "").split(",") if name]
        kept = [name for name in before if name in names] + [name for name in names if name not in before]
        wanted = ",".join(kept[-MOST:])
        return no_update if wanted == query.get("runs", "") else search_of(query, runs=wanted)

    @app.callback(
        Output("url", "search", allow_duplicate=True), Input("backtests-walk", "value"), State("url", "search"), prevent_initial_call=True
    )
    def walk(value: str | None, search: str | None) -> Any:
        query = parsed(search)
        return no_update if value is None or value == query.get("walk", value) else search_of(query, walk=value)

    @app.server.route("/reports/backtests/<run_id>.html")
    def sheet(run_id: str) -> Response:
        path = report_of(places(reader), run_id)
        if path is None:
            return Response("This run has no tear sheet.\n", 404, mimetype="text/plain")
        return send_file(path.resolve(), mimetype="text/html", as_attachment=True, download_name=f"{path.stem}.html")


PAGE = Page(PATH, "Backtests", "backtests", layout, register)
