"""Overview: is it running, am I within limits, what did it do, what needs me."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dash import dcc, html

from mech_exo.domain.errors import MechExoError
from mech_exo.performance import figures
from mech_exo.reporting.dashboard.account_data import booked, night
from mech_exo.reporting.dashboard.choosing import plain_table, session_bar, steer_session
from mech_exo.reporting.dashboard.condition import condition
from mech_exo.reporting.dashboard.overview_data import Running, curve, delivery, running, undelivered, waiting, wanted
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import badge, card, chart, command, empty, stack, tile, tiles
from mech_exo.reporting.text import UNKNOWN, money, percent, ratio, whole, words
from mech_exo.utils.calendar import NEW_YORK

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.alerts.status import Status
    from mech_exo.reporting.dashboard.overview_data import Curve
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.reporting.needs import Need
    from mech_exo.reporting.night import Headroom, NightReport
    from mech_exo.reporting.night_parts import KpiDemand, KpiFigure

TONES = {"pass": "good", "fail": "bad", "ok": "good", "warning": "warn", "breach": "bad", "unknown": "bad"}
STATES = {"active": "good", "reducing": "warn", "halted": "bad"}
ENDS = {
    "halted": "exo resume --reason 'what was found'",
    "reducing": "ends when NAV recovers: exo risk status",
    "active": "new risk may be taken",
}
SHOWN = 8
WORDS = {"critical": ("now", "bad"), "warning": ("soon", "warn"), "info": ("note", "info")}
"""How soon something wants the operator, and how that is coloured."""
PATHS = {
    "exo risk status": "/risk", "exo orders": "/orders", "exo reconcile": "/orders", "exo positions": "/positions",
    "exo data quality": "/quality", "exo data publish": "/quality", "exo data update": "/quality", "exo alert status": "/log?kind=alerts",
}  # fmt: skip
"""The page that shows what a command tells of."""


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``session`` and ``book`` of the address."""
    known = booked(reader, query)
    session = known.session(query)
    told_of, ran, sent, now = night(reader, known.book, session), running(reader, known), delivery(reader), condition(reader)
    asks = wanted(night(reader, known.book, known.sessions[-1]), waiting(reader, known), sent)
    state = "halted" if now.halt.halted or told_of.halted else told_of.state
    return stack(
        _needs(asks, above=bool(now.problems)),
        _glance(told_of, ran, sent, state),
        session_bar("overview", "/", known, session, query),
        card("NAV and its falls", _curve(curve(reader, known, session))),
        html.Div([card("Limits, the tightest first", _limits(told_of)), card("The KPI contract", _contract(told_of))], className="columns"),
        html.Div([card(f"P&L of {session} by cause", _causes(told_of)), card("… by position", _by_position(told_of))], className="columns"),
        html.Div([card("What it ordered", _orders(told_of)), card("What comes", _upcoming(told_of))], className="columns"),
        card("How old the figures are", _ages(told_of)),
    )


def _needs(asks: Sequence[Need], *, above: bool) -> Any:
    """``above``: the banner over the page says something already."""
    if not asks and above:
        return card("What needs you", html.P("Only what stands above."))
    if not asks:
        return card("What needs you", html.P([badge("nothing", "good"), " Nothing needs you now."]))
    return card(f"What needs you ({len(asks)})", html.Ul([html.Li(_need(need)) for need in asks], className="needs"))


def _need(need: Need) -> list[Any]:
    word, tone = WORDS[need.severity]
    path = PATHS.get(" ".join(need.command.split()[:3])) if need.command else "/log?kind=alerts"
    said: list[Any] = [html.Span(f"{need.text[:1].upper()}{need.text[1:]}.")]
    said += [dcc.Link("show", href=path, className="step", title=f"show: {need.text}")] if path else []
    return [badge(word, tone), html.Div([*said, *(command(line) for line in need.command.splitlines())])]


def _glance(told_of: NightReport, ran: Running, sent: Status | MechExoError, state: str) -> Any:
    return tiles(*_running(told_of, ran, sent, state), *_within(told_of), *_done(told_of))


def _running(told_of: NightReport, ran: Running, sent: Status | MechExoError, state: str) -> tuple[Any, ...]:
    """Is it running?"""
    late = f"that of {ran.due} is due" if ran.booked < ran.due else "every night is booked"
    bell = f"{ran.next:%A}, from {ran.next_at.astimezone(NEW_YORK):%H:%M} New York"
    return (
        tile("State", state.upper(), ENDS.get(state, ""), _close(told_of), STATES.get(state, "")),
        tile("Last night", str(ran.booked), f"{late}; performed", _instant(ran.booked_at), "bad" if ran.booked < ran.due else "good"),
        tile("Next night", str(ran.next), bell, _instant(ran.next_at)),
        _alerts(sent),
    )


def _within(told_of: NightReport) -> tuple[Any, ...]:
    """Am I within limits?"""
    falls = next((line for line in told_of.limits if line.name == "Drawdown"), None)
    tight = next(iter(_tightest(told_of.limits)), None)
    limit = f"limit {percent(falls.limit, 0)}" if falls else "no limit is on"
    return (
        tile("Drawdown", percent(told_of.drawdown), limit, _close(told_of), TONES.get(falls.status, "") if falls else ""),
        tile("Tightest limit", tight.name if tight else "none", _use(tight), _close(told_of), TONES.get(tight.status, "") if tight else ""),
        tile(
            "KPI contract", told_of.kpi.trailing, f"12 months; whole period: {told_of.kpi.whole}", f"{told_of.kpi.sessions} sessions",
            TONES.get(told_of.kpi.trailing, ""),
        ),
        _cost_share(told_of),
    )  # fmt: skip


def _cost_share(told_of: NightReport) -> Any:
    costs, age = told_of.costs, _close(told_of)
    allowed = f"at most {percent(costs.allowed, 0)}; this session {money(_paid(told_of))} USD"
    if costs.share is None:
        return tile("Costs of gross P&L", "not meaningful", allowed, age)
    return tile("Costs of gross P&L", percent(costs.share, 1), allowed, age, "good" if costs.share <= costs.allowed else "bad")


def _done(told_of: NightReport) -> tuple[Any, ...]:
    """What did it do?"""
    funds, age = told_of.money, _close(told_of)
    filled, traded = sum(line.price is not None for line in told_of.executed), len(told_of.executed)
    held_back = len(told_of.withheld) + len(told_of.cuts)
    ordered = f"for {told_of.orders_for}; {held_back} times a limit cut or denied; {filled} of {traded} filled today"
    return (
        tile("NAV, USD", money(funds.nav, 0), f"{money(funds.cash, 0)} cash, {len(told_of.holdings)} positions", age),
        tile("Day's P&L, USD", _signed(funds.pnl), f"{percent(funds.day_return)} of NAV", age, _gain(funds.pnl)),
        tile("Orders", whole(len(told_of.planned)) if told_of.decided else UNKNOWN, ordered if told_of.decided else "nothing decided", age),
        tile("Market data", str(told_of.quality.as_of or UNKNOWN), _coverage(told_of), f"quality gate {_assessed(told_of)}"),
    )


def _close(told_of: NightReport) -> str:
    return f"close of {told_of.session}"


def _alerts(sent: Status | MechExoError) -> Any:
    if isinstance(sent, MechExoError):
        return tile("Alerts", "not delivered", sent.message, tone="bad")
    count = undelivered(sent)
    runs = "nobody delivers now" if sent.process is None else f"delivered by process {sent.process}"
    if not sent.channels:
        return tile("Alerts", "no channel", f"exo alert test; {sent.heartbeat}", "", "warn")
    tone = "bad" if count and sent.process is None else "warn" if count or sent.process is None else "good"
    said = f"{count} waiting" if count else "all delivered"
    return tile("Alerts", said, f"{runs}; {sent.heartbeat}; last round", _instant(sent.last_round), tone)


def _curve(drawn: Curve) -> Any:
    figure = figures.account_figure(drawn.sessions, drawn.nav, drawn.index, drawn.limit, drawn.benchmark)
    said = f"{len(drawn.sessions)} sessions up to {drawn.sessions[-1]}; deposits are in the NAV and not in the falls."
    said += "" if drawn.benchmark is None else " Benchmark: the same capital grown as the benchmark did."
    return chart("overview-nav", figure, said)


def _tightest(limits: Sequence[Headroom]) -> list[Headroom]:
    """Unknown first, for it denies; then by what of the limit is used."""
    return sorted(limits, key=lambda line: -_share(line))


def _share(line: Headroom) -> float:
    return float("inf") if line.value is None else line.value / line.limit if line.limit else float(line.value > 0.0)


def _use(line: Headroom | None) -> str:
    if line is None:
        return "no limit is on"
    who = f"{line.who}: " if line.who else ""
    return f"{who}{_figure(line.value, line.unit)} of {_figure(line.limit, line.unit)}"


def _figure(value: float | None, unit: str) -> str:
    return percent(value, 1) if unit == "nav" else ratio(value)


def _limits(told_of: NightReport) -> Any:
    if not told_of.limits:
        return empty("No limit is on.", "config/risk_limits.yml")
    body = [
        (
            line.name, line.who or "", _figure(line.value, line.unit), _figure(line.limit, line.unit),
            html.Meter(value=str(min(1.0, _share(line))), min="0", max="1", high="0.8", title=percent(_share(line), 0)),
            badge(line.status, TONES.get(line.status, "")),
        )
        for line in _tightest(told_of.limits)
    ]  # fmt: skip
    return plain_table(("Limit", "Who", "Used", "Allowed", "Of it", ""), body, (2, 3))


def _contract(told_of: NightReport) -> Any:
    contract = told_of.kpi
    if not contract.demands:
        return empty(f"Unknown: {contract.why}")
    body = [
        (line.label, f"{line.bound} {_measure(line, line.threshold)}", *(_judged(line, figure) for figure in (line.trailing, line.whole)))
        for line in contract.demands
    ]
    table = plain_table(("Demand", "Bound", "12 months", "Whole period"), body)
    return [table, *([html.P(contract.why, className="card-note")] if contract.why else [])]


def _judged(line: KpiDemand, figure: KpiFigure) -> Any:
    between = f"{_measure(line, figure.low)} to {_measure(line, figure.high)}" if figure.low is not None else ""
    return html.Div(
        [badge(figure.verdict, TONES.get(figure.verdict, "")), f" {_measure(line, figure.value)}", html.Div(between, className="tile-age")],
        title=figure.note,
    )


def _measure(line: KpiDemand, value: float | None) -> str:
    return ratio(value) if line.name == "sharpe" else percent(value, 1)


def _causes(told_of: NightReport) -> Any:
    body = [(words(cause.name), cause.kind, _signed(cause.pnl, 2)) for cause in told_of.causes.parts]
    body.append(("All together", "", _signed(told_of.causes.pnl, 2)))
    why = [html.P(told_of.causes.why, className="card-note")] if told_of.causes.why else []
    return [plain_table(("Cause", "Kind", "USD"), body, (2,)), *why]


def _by_position(told_of: NightReport) -> Any:
    lines = told_of.causes.positions
    if not lines:
        return empty("Nothing was held or traded in this session.")
    shown = lines if len(lines) <= 2 * SHOWN else (*lines[:SHOWN], *lines[-SHOWN:])
    body = [(line.symbol, f"{line.before:,} → {line.shares:,}", _signed(line.pnl, 2)) for line in shown]
    left = len(lines) - len(shown)
    if left:
        body.insert(SHOWN, ("…", "", ""))
    note = f"The best and the worst {SHOWN} of {len(lines)}; all of them: positions." if left else "Net, entries and exits included."
    return [plain_table(("Symbol", "Shares", "USD"), body, (1, 2)), html.P(note, className="card-note")]


def _orders(told_of: NightReport) -> Any:
    if not told_of.decided:
        return empty("This session was booked without a decision.", "exo plan")
    said = "The whole book was decided anew." if told_of.scheduled else "No decision of the whole book was due: stops and exits alone."
    parts: list[Any] = [html.P(said, className="card-note")]
    if told_of.planned:
        shown = told_of.planned[:SHOWN]
        links = [dcc.Link(line.symbol, href=f"/orders?explain={line.id}") for line in shown]
        body = [
            (link, f"{line.shares:+,}".replace("-", "−"), words(line.reason), words(line.state))
            for link, line in zip(links, shown, strict=True)
        ]
        parts.append(plain_table(("Symbol", "Shares", "Why", "State"), body, (1,)))
        parts += _more(len(told_of.planned) - len(shown), f"/orders?since={told_of.orders_for}")
    held_back = [f"{line.who or 'whole book'}: {words(line.code)}" for line in told_of.withheld]
    held_back += [f"{cut.symbol}: {cut.wanted:,} cut to {cut.shares:,} by {words(cut.by)}" for cut in told_of.cuts]
    if held_back:
        parts += [html.H3("Withheld"), html.Ul([html.Li(line) for line in held_back[:SHOWN]])]
        parts += _more(len(held_back) - SHOWN, f"/orders?session={told_of.session}")
    if not told_of.planned and not held_back:
        parts.append(html.P("Nothing was ordered and nothing withheld."))
    return parts


def _more(count: int, path: str) -> list[Any]:
    return [html.P(dcc.Link(f"and {count} more", href=path), className="card-note")] if count > 0 else []


def _upcoming(told_of: NightReport) -> Any:
    coming = told_of.upcoming
    early = ", closes early" if coming.session.early else ""
    bells = f"{coming.session.opens.astimezone(NEW_YORK):%H:%M} to {coming.session.closes.astimezone(NEW_YORK):%H:%M} New York{early}"
    body: list[tuple[Any, ...]] = [("Next session", f"{coming.session.session}, {coming.session.session:%a}", bells)]
    body.append(("Next decision of the book", str(coming.rebalance or UNKNOWN), coming.rebalance_note))
    body += [(f"{one.symbol}: {words(one.kind)}", money(one.level), f"{percent(one.distance, 1)} away") for one in coming.exits[:SHOWN]]
    body += [(f"{one.symbol}: time exit", str(one.session), f"in {one.sessions} sessions") for one in coming.time_exits[:SHOWN]]
    body += [(f"{one.symbol}: results", str(one.day), one.source) for one in coming.earnings[:SHOWN]]
    said = coming.earnings_note
    note = [html.P(f"{said[:1].upper()}{said[1:]}.", className="card-note")] if said else []
    return [plain_table(("What", "When or where", ""), body), *note]


def _ages(told_of: NightReport) -> Any:
    body = [
        (words(age.part), _old(age.sessions), str(age.session or ""), _instant(age.at) if age.at else "", age.note) for age in told_of.ages
    ]
    return plain_table(("Part", "Age", "Of session", "Known at", ""), body)


def _old(sessions: int | None) -> str:
    if sessions is None:
        return UNKNOWN
    return "this session" if sessions == 0 else "1 session" if sessions == 1 else f"{sessions} sessions"


def _instant(at: datetime | None) -> str:
    return UNKNOWN if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _signed(value: float | None, places: int = 0) -> str:
    shown = money(value, places)
    return f"+{shown}" if value is not None and value > 0.0 and any(digit in shown for digit in "123456789") else shown


def _gain(value: float | None) -> str:
    return "" if value is None or value == 0.0 else "good" if value > 0.0 else "bad"


def _paid(told_of: NightReport) -> float | None:
    parts = (told_of.costs.commission, told_of.costs.slippage)
    return None if None in parts else sum(part for part in parts if part is not None)


def _coverage(told_of: NightReport) -> str:
    found = told_of.quality
    if found.coverage is None:
        return found.why or "coverage unknown"
    return f"{percent(found.coverage, 1)} of {whole(found.names)} names; {len(found.doubts)} in doubt"


def _assessed(told_of: NightReport) -> str:
    return {True: "has looked", False: "has not looked yet", None: UNKNOWN}[told_of.quality.assessed]


def register(app: Dash, reader: Reader) -> None:
    """A chosen day goes into the address."""
    steer_session(app, reader, "overview")


PAGE = Page("/", "Overview", "overview", layout, register)
