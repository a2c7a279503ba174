"""Overview: is it running, am I within limits, what did it do, what needs me."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dash import dcc, html

from mech_exo.domain.errors import MechExoError
from mech_exo.performance import figures
from mech_exo.performance.kpi import MAX_COST_SHARE
from mech_exo.reporting.dashboard.account_data import Booked, booked, night
from mech_exo.reporting.dashboard.choosing import plain_table, session_bar, steer_session
from mech_exo.reporting.dashboard.condition import condition
from mech_exo.reporting.dashboard.overview_data import Need, Running, curve, delivery, needs, running, undelivered, waiting
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import badge, card, chart, command, empty, stack, tile, tiles
from mech_exo.reporting.text import UNKNOWN, money, percent, ratio, whole, words
from mech_exo.utils.calendar import NEW_YORK

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.alerts.status import Status
    from mech_exo.reporting.dashboard.overview_data import Curve
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.reporting.night import Headroom, NightReport
    from mech_exo.reporting.night_parts import KpiDemand, KpiFigure

TONES = {"pass": "good", "fail": "bad", "ok": "good", "warning": "warn", "breach": "bad", "unknown": "bad"}
STATES = {"active": "good", "reducing": "warn", "halted": "bad"}
ENDS = {"halted": "exo resume --reason 'what was found'", "reducing": "ends when NAV recovers: exo risk status", "active": "new risk may be taken"}
SHOWN = 8


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``session`` and ``book`` of the address."""
    known = booked(reader, query)
    session = known.session(query)
    told_of, ran, sent, now = night(reader, known.book, session), running(reader, known), delivery(reader), condition(reader)
    wanted = needs(now, night(reader, known.book, known.sessions[-1]), waiting(reader, known), sent)
    state = "halted" if now.halt.halted or told_of.halted else told_of.state
    return stack(
        _needs(wanted),
        _glance(told_of, ran, sent, state),
        session_bar("overview", "/", known, session, query),
        card("NAV and its falls", _curve(curve(reader, known, session))),
        html.Div([card("Limits, the tightest first", _limits(told_of)), card("The KPI contract", _contract(told_of))], className="columns"),
        html.Div([card(f"P&L of {session} by cause", _causes(told_of)), card("… by position", _by_position(told_of))], className="columns"),
        html.Div([card("What it ordered", _orders(told_of, known)), card("What comes", _upcoming(told_of))], className="columns"),
        card("How old the figures are", _ages(told_of)),
    )


def _needs(wanted: Sequence[Need]) -> Any:
    if not wanted:
        return card("What needs you", html.P([badge("nothing", "good"), " Nothing needs you now."]))
    lines = [
        html.Li(
            [
                badge("now" if need.tone == "bad" else "look", need.tone),
                html.Div(
                    [
                        html.Span(need.said),
                        *([dcc.Link("show", href=need.path, className="step", title=f"show: {need.said}")] if need.path else []),
                        *[command(line) for line in need.command.splitlines()],
                    ]
                ),
            ]
        )
        for need in wanted
    ]
    return card(f"What needs you ({len(wanted)})", html.Ul(lines, className="needs"))


def _glance(told_of: NightReport, ran: Running, sent: Status | MechExoError, state: str) -> Any:
    age, funds = f"at the close of {told_of.session}", told_of.money
    falls = next((line for line in told_of.limits if line.name == "Drawdown"), None)
    tight = next(iter(_tightest(told_of.limits)), None)
    filled, traded = sum(line.price is not None for line in told_of.executed), len(told_of.executed)
    late = ran.booked < ran.due
    verdict = told_of.kpi.trailing
    return tiles(
        tile("State", state.upper(), ENDS.get(state, ""), age, STATES.get(state, "")),
        tile("Last night", str(ran.booked), "that of " + str(ran.due) + " is due" if late else "every night is booked",
             f"performed {_instant(ran.booked_at)}", "bad" if late else "good"),
        tile("Next night", f"{ran.next:%a} {ran.next}", f"from {ran.next_at.astimezone(NEW_YORK):%H:%M} New York", _instant(ran.next_at)),
        _alerts(sent),
        tile("NAV, USD", money(funds.nav, 0), f"{money(funds.cash, 0)} cash, {len(told_of.holdings)} positions", age),
        tile("Day's P&L, USD", _signed(funds.pnl), f"{percent(funds.day_return)} of NAV", age, _gain(funds.pnl)),
        tile("Drawdown", percent(told_of.drawdown), f"limit {percent(falls.limit, 0)}" if falls else "no limit is on",
             age, TONES.get(falls.status, "") if falls else ""),
        tile("Tightest limit", UNKNOWN if tight is None else tight.name, _use(tight), age, TONES.get(tight.status, "") if tight else ""),
        tile("KPI contract", verdict, f"12 months; whole period: {told_of.kpi.whole}", f"{told_of.kpi.sessions} sessions", TONES.get(verdict, "")),
        tile("Orders", f"{len(told_of.planned)} for {told_of.orders_for}" if told_of.orders_for else UNKNOWN,
             f"{filled} of {traded} filled this session; {len(told_of.withheld) + len(told_of.cuts)} limits cut or denied", age),
        tile("Costs of gross P&L", percent(told_of.costs.share, 1) if told_of.costs.share is not None else "not meaningful",
             f"at most {percent(MAX_COST_SHARE, 0)}; this session {money(_paid(told_of))} USD", age,
             "" if told_of.costs.share is None else "good" if told_of.costs.share <= MAX_COST_SHARE else "bad"),
        tile("Market data", _data_age(told_of), _coverage(told_of), f"quality gate: {_assessed(told_of)}"),
    )  # fmt: skip


def _alerts(sent: Status | MechExoError) -> Any:
    if isinstance(sent, MechExoError):
        return tile("Alerts", "not delivered", sent.message, tone="bad")
    count = undelivered(sent)
    runs = "nobody delivers now" if sent.process is None else f"delivered by process {sent.process}"
    if not sent.channels:
        return tile("Alerts", "no channel", "exo alert test", f"heartbeat: {sent.heartbeat}", "warn")
    tone = "bad" if count and sent.process is None else "warn" if count or sent.process is None else "good"
    said = f"{count} waiting" if count else "all delivered"
    return tile("Alerts", said, f"{runs}; {sent.heartbeat}", f"last round {_instant(sent.last_round)}", tone)


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
    note = f"The best and the worst {SHOWN} of {len(lines)}; all of them: positions." if left else "Net, entries and exits included."
    return [plain_table(("Symbol", "Shares", "USD"), body, (1, 2)), html.P(note, className="card-note")]


def _orders(told_of: NightReport, known: Booked) -> Any:
    if not told_of.decided:
        return empty("This session was booked without a decision.", "exo plan")
    said = "The whole book was decided anew." if told_of.scheduled else "No decision of the whole book was due: stops and exits alone."
    parts: list[Any] = [html.P(said, className="card-note")]
    if told_of.planned:
        shown = told_of.planned[:SHOWN]
        body = [
            (dcc.Link(line.symbol, href=f"/orders?explain={line.id}"), f"{line.shares:+,}".replace("-", "−"), words(line.reason), words(line.state))
            for line in shown
        ]
        parts.append(plain_table(("Symbol", "Shares", "Why", "State"), body, (1,)))
        more = len(told_of.planned) - len(shown)
        parts += [html.P(dcc.Link(f"and {more} more", href=f"/orders?since={told_of.orders_for}"), className="card-note")] if more else []
    held_back = [f"{line.who or 'whole book'}: {words(line.code)}" for line in told_of.withheld]
    held_back += [f"{cut.symbol}: {cut.wanted:,} cut to {cut.shares:,} by {words(cut.by)}" for cut in told_of.cuts]
    if held_back:
        parts += [html.H3("Withheld"), html.Ul([html.Li(line) for line in held_back[:SHOWN]])]
        more = len(held_back) - SHOWN
        parts += [html.P(dcc.Link(f"and {more} more", href=f"/orders?session={told_of.session}"), className="card-note")] if more > 0 else []
    if not told_of.planned and not held_back:
        parts.append(html.P("Nothing was ordered and nothing withheld."))
    return parts


def _upcoming(told_of: NightReport) -> Any:
    coming = told_of.upcoming
    early = ", closes early" if coming.session.early else ""
    bells = f"{coming.session.opens.astimezone(NEW_YORK):%H:%M} to {coming.session.closes.astimezone(NEW_YORK):%H:%M} New York{early}"
    body: list[tuple[Any, ...]] = [("Next session", f"{coming.session.session:%a} {coming.session.session}", bells)]
    body.append(("Next decision of the book", str(coming.rebalance or UNKNOWN), coming.rebalance_note))
    body += [(f"{one.symbol}: {words(one.kind)} near", money(one.level), f"{percent(one.distance, 1)} away") for one in coming.exits[:SHOWN]]
    body += [(f"{one.symbol}: time exit", str(one.session), f"in {one.sessions} sessions") for one in coming.time_exits[:SHOWN]]
    body += [(f"{one.symbol}: results", str(one.day), one.source) for one in coming.earnings[:SHOWN]]
    note = [html.P(coming.earnings_note, className="card-note")] if coming.earnings_note else []
    return [plain_table(("What", "When or where", ""), body), *note]


def _ages(told_of: NightReport) -> Any:
    body = [
        (words(age.part), str(age.session or UNKNOWN), _instant(age.at) if age.at else "", _old(age.sessions), age.note) for age in told_of.ages
    ]
    return plain_table(("Part", "Of session", "Known at", "Age", ""), body)


def _old(sessions: int | None) -> str:
    return UNKNOWN if sessions is None else "this session" if sessions == 0 else f"{sessions} sessions"


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


def _data_age(told_of: NightReport) -> str:
    return str(told_of.quality.as_of or UNKNOWN)


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
