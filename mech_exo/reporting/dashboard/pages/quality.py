"""Data quality: who has usable data, what was found and of whom, what was refused, who told what when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
import numpy as np
from dash import html

from mech_exo.performance import figures
from mech_exo.reporting.dashboard.choosing import plain_table, steer_choice
from mech_exo.reporting.dashboard.data_state import DataState, Finding, data_state, held_now
from mech_exo.reporting.dashboard.later import Answer, ask, steer_waiting, waiting
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import card, chart, column, command, empty, stack, table, tile, tiles
from mech_exo.reporting.text import UNKNOWN, percent, whole, words

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.dashboard.reader import Reader

PATH = "/quality"
FINDINGS = [
    column("held", "Held", width=84, minWidth=76, flex=0),
    column("symbol", "Symbol", pinned="left", width=100, flex=0),
    column("verdict", "Verdict", minWidth=96),
    column("check", "Check", minWidth=130),
    column("session", "Since", "date", minWidth=108),
    column("left", "Sessions left", "whole", minWidth=120),
    column("evidence", "Evidence", minWidth=320, flex=3),
    column("clear", "What clears it", minWidth=320, flex=2),
]
REFUSED = [
    column("recorded_at", "Refused", "date", minWidth=172),
    column("symbol", "Symbol", minWidth=96),
    column("day", "Day", "date", minWidth=108),
    column("reason", "Why", minWidth=280, flex=2),
    column("file", "From", minWidth=150),
    column("row", "The row as it came", minWidth=320, flex=3),
]
YEAR = 12
CALENDAR = (
    "Share of the members with a bar that is not blocked, of those that traded in the month before: a cell a session. "
    "Empty: no session, or no member."
)
BLOCKS = "A blocked name gets no new risk tonight; a warned one may be traded. Held names first."
COUNTS = "Findings of all times that stand, by check."
COMPUTING = "The stored data are being looked at: once after each change. This appears by itself."


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``year``, ``check``, ``verdict`` and ``symbol`` of the address."""
    answer = looked(reader)
    if answer.value is None:
        return stack(empty(COMPUTING), waiting("quality", fresh=False))
    found = answer.value
    held = reader.once(("held",), lambda _, ledger: held_now(ledger))
    shown = chosen(found.findings, held, query)
    return stack(
        *_said(found),
        _summary(found, held),
        card("Coverage", _calendar(found, query), CALENDAR),
        html.Div(_filters(found, query), className="choosing"),
        card("Blocked and warned", _findings(found, shown), BLOCKS),
        html.Div([card("Findings by check", _counts(found), COUNTS), card("Sources", _sources(found))], className="columns"),
        card("Quarantine", _refused(found, query), "Rows that were refused at the door, as they came; the newest first."),
        card("Accepted findings", _accepted(found), "A person said that the data are right, and why."),
        waiting("quality", fresh=answer.fresh),
    )


def looked(reader: Reader) -> Answer[DataState]:
    """The data as published, looked at once for each snapshot and configuration."""
    now = reader.stamp()
    return ask(reader, ("quality",), lambda house, _: data_state(house), stamp=(now.data, now.config))


def chosen(findings: Sequence[Finding], held: frozenset[str], query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of the table for the filters in the address: held names first, then blocks, then by name."""
    check, verdict, symbol = (query.get(name, "") for name in ("check", "verdict", "symbol"))
    rows = [
        {
            "held": "held" if one.symbol in held else "", "symbol": one.symbol, "verdict": one.verdict, "check": words(one.check),
            "session": one.session.isoformat(), "left": "no end" if one.left is None else one.left, "evidence": one.evidence,
            "clear": one.clear,
        }
        for one in findings
        if (not check or one.check == check) and (not verdict or one.verdict == verdict) and (not symbol or one.symbol == symbol.upper())
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["held"] == "", row["verdict"] != "block", row["symbol"], row["session"]))


def _said(found: DataState) -> list[Any]:
    notes = list(found.warnings)
    bars = []
    if not found.assessed:
        bars.append(html.Div([html.B("Nobody looked for faults in the newest of these data."), command("exo data publish")],
                             className="banner tone-warn"))  # fmt: skip
    if notes:
        bars.append(html.Div(html.Ul([html.Li(note[:1].upper() + note[1:]) for note in notes]), className="banner tone-info notes"))
    return bars


def _summary(found: DataState, held: frozenset[str]) -> Any:
    report, status = found.report, found.status
    blocked = {one.symbol for one in found.findings if one.verdict == "block"}
    troubled = sorted(blocked & held)
    age = f"at {report.as_of}"
    behind = status.stale_sessions
    return tiles(
        tile("Bars in the last session", percent(report.coverage, 1), f"of {whole(report.names)} names", age),
        tile("Members usable", percent(float(found.usable[-1]), 1), "with a bar that is not blocked", age),
        tile("Blocked", whole(len(blocked)), "names without new risk", age, "warn" if blocked else ""),
        tile("Warned", whole(len(report.warned)), "names", age),
        tile("Held and blocked", whole(len(troubled)), ", ".join(troubled[:4]) or "none", age, "bad" if troubled else ""),
        tile("Behind the exchange", UNKNOWN if behind is None else f"{whole(behind)} sessions", f"last bar {status.last}",
             f"stored {_at(status.last_recorded)}", "warn" if behind else ""),
        tile("Quarantined rows", whole(sum(status.quarantined.values())), "refused at the door", age),
    )  # fmt: skip


def _calendar(found: DataState, query: Query) -> Any:
    years = sorted({str(year) for year in found.sessions.astype("datetime64[Y]")}, reverse=True)
    year = query.get("year") if query.get("year") in years else None
    chooser = dmc.Select(
        id="quality-year", data=years, value=year, placeholder="last 12 months", clearable=True, size="xs", w=150, **{"aria-label": "Year"}
    )
    months = found.sessions.astype("datetime64[M]")
    if year is None:
        inside = months > months[-1] - np.timedelta64(YEAR, "M")
    else:
        inside = found.sessions.astype("datetime64[Y]") == np.datetime64(year, "Y")
    share = found.usable[inside]
    known = share[np.isfinite(share)]
    if not len(known):
        return stack(chooser, empty("Nobody is a member of the universe in these sessions.", "exo data import --universe FILE"))
    said = f"Mean {percent(float(known.mean()))}, lowest {percent(float(known.min()))} over {len(known)} sessions."
    return stack(chooser, chart("quality-calendar", figures.coverage_figure(found.sessions[inside], share), said))


def _filters(found: DataState, query: Query) -> list[Any]:
    checks = sorted({one.check for one in found.findings})
    verdicts = sorted({one.verdict for one in found.findings})
    selects = [
        dmc.Select(
            id=f"quality-{name}", data=[{"value": one, "label": words(one)} for one in data],
            value=query.get(name) if query.get(name) in data else None, placeholder=f"any {name}",
            clearable=True, size="xs", w=160, **{"aria-label": name.capitalize()},
        )
        for name, data in (("check", checks), ("verdict", verdicts))
    ]  # fmt: skip
    symbol = dmc.TextInput(
        id="quality-symbol", value=query.get("symbol", ""), placeholder="any symbol", size="xs", w=120, debounce=400,
        **{"aria-label": "Symbol"},
    )  # fmt: skip
    return [*selects, symbol]


def _findings(found: DataState, rows: list[dict[str, Any]]) -> Any:
    if not found.findings:
        return empty("Nothing is blocked or warned tonight.")
    if not rows:
        return empty("No finding is of this kind: widen the filters above.")
    return table("quality-findings", FINDINGS, rows)


def _counts(found: DataState) -> Any:
    if not found.report.counts:
        return empty("Nothing was found in these data.")
    rows = [(words(check), whole(warn), whole(block)) for check, (warn, block) in found.report.counts.items()]
    return plain_table(("Check", "Warn", "Block"), rows, (1, 2))


def _sources(found: DataState) -> Any:
    if not found.sources:
        return empty("Nothing is stored yet.", "exo data import FILE")
    rows = [(one.kind, one.source, whole(one.rows), _at(one.known_at), _at(one.recorded_at)) for one in found.sources]
    return plain_table(("What", "Who told it", "Rows", "Newest known", "Last stored"), rows, (2,))


def _refused(found: DataState, query: Query) -> Any:
    symbol = query.get("symbol", "").upper()
    rows = [
        {"recorded_at": _at(one.recorded_at), "symbol": one.symbol, "day": one.day, "reason": one.reason, "file": one.file, "row": one.row}
        for one in found.refused
        if not symbol or one.symbol == symbol
    ]
    if not rows:
        return empty("No row was refused." if not symbol else f"No row of {symbol} was refused.")
    reasons = ", ".join(f"{reason}: {whole(count)}" for reason, count in found.status.quarantined.items())
    return [html.P(reasons, className="card-note"), table("quality-refused", REFUSED, rows)]


def _accepted(found: DataState) -> Any:
    if not found.accepted:
        return empty("No finding was accepted.", 'exo data quality accept SYMBOL DATE CHECK --because "…"')
    rows = [(one.symbol, str(one.session), words(one.check), one.because, _at(one.said_at)) for one in found.accepted]
    return plain_table(("Symbol", "Session", "Check", "Because", "Said"), rows)


def _at(moment: datetime | None) -> str:
    return UNKNOWN if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def register(app: Dash, reader: Reader) -> None:
    """The filters go into the address; the page is drawn again while the data are being looked at."""
    steer_waiting(app, reader, PAGE)
    for name in ("year", "check", "verdict", "symbol"):
        steer_choice(app, "quality", name)


PAGE = Page(PATH, "Data quality", "quality", layout, register)
