"""Risk: am I within limits, what carries the risk, what would bad days do, how far has the account fallen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from dash import html

from mech_exo.performance import figures
from mech_exo.reporting.dashboard.account_data import Booked, booked
from mech_exo.reporting.dashboard.book_risk import BookRiskView, book_risk_view
from mech_exo.reporting.dashboard.choosing import plain_table
from mech_exo.reporting.dashboard.downsample import thinned
from mech_exo.reporting.dashboard.later import Answer, ask, steer_waiting, waiting
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import badge, card, chart, column, empty, stack, table, tile, tiles
from mech_exo.reporting.text import UNKNOWN, money, percent, ratio, whole, words
from mech_exo.risk.usage import LimitStatus, LimitUsage, Unit

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.dashboard.reader import Reader

PATH = "/risk"
TONES = {LimitStatus.OK: "good", LimitStatus.WARNING: "warn", LimitStatus.UNKNOWN: "warn", LimitStatus.BREACH: "bad"}
STATES = {"active": "good", "reducing": "warn", "halted": "bad"}
POSITIONS = [
    column("symbol", "Symbol", pinned="left", width=96, flex=0),
    column("value", "Value, USD", "whole"),
    column("weight", "Of NAV", "percent"),
    column("sector", "Sector", minWidth=192),
    column("share", "Of volatility", "percent"),
    column("component", "Part of it, USD", "whole"),
    column("volatility_ann", "Own volatility", "percent"),
    column("beta", "Beta", "ratio"),
    column("days_to_exit", "Days to exit", "days"),
    column("at_risk", "To its stop, USD", "whole", minWidth=124),
    column("at_risk_in_a_gap", "In a gap, USD", "whole"),
    column("gap", "Gap tail", "percent"),
]
LIMITS = "Tightest first; of each limit the name or sector that uses most of it. Unknown denies new risk."
COMPONENTS = "Each position's part in the book's annual volatility; the parts sum to 1 (Euler), one below 0 hedges."
STRESS = "No stop is counted: in a gap a resting stop fills at the open, wherever that is."
TOGETHER = "Of what the positions earn, over the window of the risk model: a short of what moves with a long is a hedge."
FALLS = "The fall that the drawdown limit sees, and the share of full exposure that the governor leaves after each close."
COMPUTING = "The book is being measured: its bars are read once after each night. This appears by itself."


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``book`` of the address."""
    known = booked(reader, query)
    answer = measured(reader, known)
    if answer.value is None:
        return stack(empty(COMPUTING), waiting("risk", fresh=False))
    found = answer.value
    return stack(
        *_said(found, fresh=answer.fresh),
        _summary(found),
        card("Limits", _limits(found), LIMITS),
        html.Div(
            [
                stack(card("Sectors", _sectors(found)), card("What the book risks", _figures(found))),
                card("Who carries the risk", _components(found), COMPONENTS),
            ],
            className="columns",
        ),
        card("What bad days would do", _stress(found), STRESS),
        card("Positions", _positions(found), f"By the last {found.status.risk.window} sessions of their own bars; exits at "
             f"{percent(found.status.risk.participation, 0)} of the average volume a day."),
        card("How the positions move together", _correlation(found), TOGETHER),
        card("Falls and the governor", _falls(found), FALLS),
        waiting("risk", fresh=answer.fresh),
    )  # fmt: skip


def measured(reader: Reader, known: Booked) -> Answer[BookRiskView]:
    """The book's risk, measured once for each night, snapshot and configuration."""
    return ask(reader, ("risk", known.book), lambda house, ledger: book_risk_view(house, ledger, known.book))


def _said(found: BookRiskView, *, fresh: bool) -> list[Any]:
    notes = [*([found.why] if found.why else []), *found.status.notes, *found.warnings]
    notes += [] if fresh else ["what is shown was measured before the last change; it is being measured anew"]
    if not notes:
        return []
    return [html.Div(html.Ul([html.Li(note[:1].upper() + note[1:]) for note in notes]), className="banner tone-warn notes")]


def _summary(found: BookRiskView) -> Any:
    risk, nav, age = found.status.risk, found.nav, f"close of {found.session}"
    usage = {line.label: line for line in found.status.limits}

    def of_limit(label: str) -> tuple[str, str]:
        line = usage[label]
        if line.limit is None:
            return "no limit is set", ""
        return f"limit {amount(line.limit, line.unit)}", "" if line.status is LimitStatus.OK else TONES[line.status]

    def share(value: float | None) -> str:
        return UNKNOWN if value is None or nav is None or not nav > 0.0 else percent(value / nav)

    gross, net, drawdown = (usage[label].value for label in ("Gross exposure", "Net exposure", "Drawdown"))
    broken = len(found.status.violations)
    state, margin = found.status.state.value, found.margin
    level = percent(risk.level, 0)
    return tiles(
        tile("State", words(state), f"{broken} limits broken" if broken else "no limit is broken", age, STATES[state]),
        tile("Gross exposure", percent(gross), *_beside(of_limit("Gross exposure"), age)),
        tile("Net exposure", percent(net), *_beside(of_limit("Net exposure"), age)),
        tile("Leverage", ratio(gross), *_beside(of_limit("Leverage"), age)),
        tile("Beta", ratio(risk.beta), f"to {found.market or 'the market'}", age),
        tile("Drawdown, 12 months", percent(drawdown), *_beside(of_limit("Drawdown"), age)),
        tile("Governor's share", percent(found.status.standing.share, 0), "of full exposure", age,
             "warn" if found.status.standing.share < 1.0 else ""),
        tile("Volatility, a year", share(risk.volatility_ann), f"{money(risk.volatility_ann, 0)} USD", age),
        tile(f"Value at risk {level}", share(risk.value_at_risk), f"{money(risk.value_at_risk, 0)} USD in a session", age),
        tile(f"Expected shortfall {level}", share(risk.expected_shortfall), f"{money(risk.expected_shortfall, 0)} USD in a session", age),
        tile("Days to exit", _days(risk.days_to_exit), "of the slowest position", age),
        tile("Margin excess, USD", money(margin.excess, 0), f"NAV less {money(margin.required, 0)} maintenance", age,
             "bad" if margin.excess is not None and margin.excess < 0.0 else ""),
    )  # fmt: skip


def _beside(limit: tuple[str, str], age: str) -> tuple[str, str, str]:
    return limit[0], age, limit[1]


def tightest(limits: tuple[LimitUsage, ...]) -> tuple[LimitUsage, ...]:
    """The limits that are on and asked of a book: broken and unknown ones first, then by their use."""
    on = [line for line in limits if line.limit is not None and line.unit is not Unit.ORDER]
    return tuple(sorted(on, key=lambda line: -(math.inf if line.usage is None else line.usage)))


def _limits(found: BookRiskView) -> Any:
    lines = tightest(found.status.limits)
    if not lines:
        return empty("No limit is on.", "exo risk status")
    names = [f"{line.label}{f' ({_short(line.who)})' if line.who else ''}" for line in lines]
    used = np.array([math.nan if line.usage is None else line.usage for line in lines])
    said = [percent(line.usage, 0) for line in lines]
    rows = [
        (line.label, line.who or "", badge(line.status.value, TONES[line.status]), percent(line.usage, 0), amount(line.value, line.unit),
         amount(line.limit, line.unit), room(line))
        for line in lines
    ]  # fmt: skip
    head = ("Limit", "Of", "Status", "Use", "In use", "Allowed", "Headroom")
    off = [line.label for line in found.status.limits if line.limit is None and line.unit is not Unit.ORDER]
    return [
        chart("risk-limits", figures.uses_figure(names, used, said), "The same as in the table."),
        plain_table(head, rows, (3, 4, 5, 6)),
        *([html.P(f"Switched off: {', '.join(off)}.", className="card-note")] if off else []),
    ]


def amount(value: float | None, unit: Unit) -> str:
    """A limit or its use in its own unit."""
    if unit is Unit.DAYS:
        return UNKNOWN if value is None else f"{ratio(value, 1)} days"
    return ratio(value) if unit is Unit.NUMBER else percent(value)


def room(line: LimitUsage) -> str:
    """What is left of a limit: USD where it is a share of NAV, else in its own unit."""
    if line.headroom is None:
        return UNKNOWN
    return f"{money(line.headroom, 0)} USD" if line.unit is Unit.NAV else amount(line.headroom, line.unit)


def _short(who: str) -> str:
    return who if len(who) <= 18 else f"{who[:17]}…"


def _days(value: float | None) -> str:
    return ratio(value, 1) if value is None or value >= 0.05 or value == 0.0 else "< 0.1"


def _sectors(found: BookRiskView) -> Any:
    if not found.sectors:
        return empty("Nothing is held, or NAV is unknown.")
    names = [name or UNKNOWN for name, _, _ in found.sectors]
    longs, shorts = (np.array([line[place] for line in found.sectors]) for place in (1, 2))
    limit = next((line.limit for line in found.status.limits if line.label == "Sector"), None)
    drawn = figures.sector_exposure_figure(names, longs, shorts, limit)
    return chart("risk-sectors", drawn, "Fractions of NAV; the limit is on longs and shorts together.")


def _components(found: BookRiskView) -> Any:
    lines = sorted(found.status.risk.positions, key=lambda line: -math.inf if line.share is None else -line.share)
    if not lines:
        return empty("Nothing is held.")
    if all(line.share is None for line in lines):
        return empty("Unknown: without enough history of every position the book's volatility is unknown.", "exo risk status")
    shares = np.array([math.nan if line.share is None else line.share for line in lines])
    return chart("risk-components", figures.components_figure([line.symbol for line in lines], shares), f"At the close of {found.session}.")


def _positions(found: BookRiskView) -> Any:
    if not found.positions:
        return empty("Nothing is held.")
    names = [each["field"] for each in POSITIONS]
    rows = [{name: line.get(name) for name in names} | {"sector": line["sector"] or UNKNOWN} for line in found.positions]
    return table("risk-positions", POSITIONS, sorted(rows, key=lambda row: -(row["share"] or 0.0)))


def _stress(found: BookRiskView) -> Any:
    rows = []
    for line in found.status.stress:
        name = f"{line.scenario} ({line.detail})" if line.detail else line.scenario
        left_out = f"; not measured: {', '.join(line.unmeasured)}" if line.unmeasured and line.pnl is not None else ""
        worst = f"{line.worst[0]} {whole(line.worst[1])}" if line.worst else ""
        lost = "not measured" if line.pnl is None else whole(line.pnl)
        rows.append((name, lost, percent(line.fraction, 1) if line.pnl is not None else "", worst, line.basis + left_out))
    return plain_table(("Scenario", "USD", "Of NAV", "Worst position", "Rests on"), rows, (1, 2))


def _figures(found: BookRiskView) -> Any:
    risk, nav = found.status.risk, found.nav
    level = percent(risk.level, 0)
    rows: list[tuple[Any, ...]] = []
    for label, value, bare in (
        ("Volatility, a year", risk.volatility_ann, risk.volatility_without_offsets),
        (f"Value at risk {level}, a session", risk.value_at_risk, risk.value_at_risk_without_offsets),
        (f"Expected shortfall {level}, a session", risk.expected_shortfall, risk.expected_shortfall_without_offsets),
        ("Value at risk, normal law", risk.normal_value_at_risk, None),
        ("Expected shortfall, normal law", risk.normal_expected_shortfall, None),
    ):
        part = UNKNOWN if value is None or nav is None or not nav > 0.0 else percent(value / nav)
        rows.append((label, money(value, 0), part, "" if bare is None else money(bare, 0)))
    pair = risk.worst_pair
    rows += [
        ("Average correlation of positions", "", ratio(risk.average_correlation), ""),
        (f"Highest: {pair[0]} and {pair[1]}" if pair else "Highest correlation", "", ratio(pair[2] if pair else None), ""),
        ("Five largest positions", "", percent(risk.top_five), ""),
    ]
    return plain_table(("Figure", "USD", "Of NAV", "As limits measure it, USD"), rows, (1, 2, 3))


def _correlation(found: BookRiskView) -> Any:
    if found.correlation is None:
        why = "Fewer than two positions are held." if len(found.held) < 2 else "A position's history is too short: see the notes above."
        return empty(why, "exo risk status")
    risk = found.status.risk
    said = f"{len(found.held)} positions; mean of all pairs {ratio(risk.average_correlation)}."
    return chart("risk-correlation", figures.correlation_figure(found.held, found.correlation), said)


def _falls(found: BookRiskView) -> Any:
    falls = found.falls
    rows = np.union1d(thinned(falls.fall), thinned(falls.share))
    drawn = figures.falls_figure(falls.sessions[rows], falls.fall[rows], falls.share[rows], found.hard, found.soft)
    changes = [(str(since), badge(words(state), STATES[state])) for since, state in falls.changes[:20]]
    return [chart("risk-falls", drawn, f"Up to the close of {found.session}."), plain_table(("State since", "State"), changes)]


def register(app: Dash, reader: Reader) -> None:
    """Drawn again while it is being measured."""
    steer_waiting(app, reader, PAGE)


PAGE = Page(PATH, "Risk", "risk", layout, register)
