"""What of a night needs a person, the gravest first: one rule a line, each with the command that helps. Pure: :func:`needs` of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mech_exo.reporting.text import money, percent, ratio, words

if TYPE_CHECKING:
    from mech_exo.reporting.night import Headroom, NightReport, Planned

SEVERITIES = ("critical", "warning", "info")
SHOWN = 5
UNEXPLAINED = 1e-6
"""Share of NAV above which a residual is no rounding."""
ORDER_STATES = {
    "unknown": ("critical", "in doubt: the broker has not said what became of", "exo reconcile"),
    "sending": ("critical", "in doubt: the broker has not said what became of", "exo reconcile"),
    "rejected": ("warning", "the broker refused", "exo orders"),
    "denied": ("warning", "not sent, denied:", "exo orders"),
    "new": ("warning", "planned and not handed over:", "exo run"),
}
"""What an order's state asks of a person: severity, words before the symbols, command."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something to look at: ``severity`` critical, warning or info; ``command`` "" where only a look is needed."""

    severity: str
    text: str
    command: str


def needs(report: NightReport) -> tuple[Need, ...]:
    """Everything that asks for a person, by severity and in the order of the rules."""
    found = [need for rule in RULES for need in rule(report)]
    return tuple(sorted(found, key=lambda need: SEVERITIES.index(need.severity)))


def _state(report: NightReport) -> Iterator[Need]:
    if report.halted:
        yield Need("critical", "trading is halted: only reductions pass", 'exo resume --reason "…"')
    elif report.state != "active":
        yield Need("critical", f"the account is {report.state}: no new risk is taken", "exo risk status")
    if not report.decided:
        yield Need("warning", "nothing was decided at this close: the session was booked later, or not by a night", "exo run")


def _orders(report: NightReport) -> Iterator[Need]:
    by_reason: dict[tuple[str, str], list[Planned]] = {}
    for order in report.planned:
        if order.state in ORDER_STATES:
            by_reason.setdefault((order.state, order.note), []).append(order)
    for (state, note), orders in by_reason.items():
        severity, said, command = ORDER_STATES[state]
        named = _listed([f"{order.symbol} {order.shares:+d}" for order in orders])
        yield Need(severity, f"{said} {named}" + (f" ({note})" if note else ""), command)


def _limits(report: NightReport) -> Iterator[Need]:
    for limit in report.limits:
        who = f" ({limit.who})" if limit.who else ""
        if limit.status == "breach":
            used = f"{measure(limit, limit.value)} of {measure(limit, limit.limit)}"
            yield Need("warning", f"{limit.name}{who} is beyond its limit: {used}", "exo risk status")
        elif limit.status == "unknown":
            yield Need("warning", f"{limit.name}{who} is unknown: nothing may be increased until it is known", "exo risk status")
        elif limit.status == "warning" and limit.value is not None:
            yield Need("info", f"{limit.name}{who} is at {percent(limit.value / limit.limit, 0)} of its limit", "exo risk status")
    if report.governor < 1.0:
        left = percent(report.governor, 0)
        yield Need("info", f"the drawdown governor leaves {left} of full exposure", "exo risk status")


def measure(limit: Headroom, value: float | None) -> str:
    """A figure of ``limit`` in its unit."""
    return percent(value) if limit.unit == "nav" else ratio(value)


def _positions(report: NightReport) -> Iterator[Need]:
    gone = [f"{one.symbol} for {one.missing_sessions} sessions" for one in report.holdings if one.missing_sessions]
    if gone:
        yield Need("warning", f"held without a bar: {_listed(gone)}", "exo data quality")
    unpriced = [one.symbol for one in report.holdings if one.price is None]
    if unpriced:
        yield Need("critical", f"held without any price, so that NAV is unknown: {_listed(unpriced)}", "exo data quality")
    bare = [one.symbol for one in report.holdings if one.stop is None]
    if bare and len(bare) < len(report.holdings):
        yield Need("warning", f"held without a stop while others have one: {_listed(bare)}", "exo positions")


def _data(report: NightReport) -> Iterator[Need]:
    quality = report.quality
    if quality.why:
        yield Need("warning", f"the market data could not be read, what rests on them is unknown: {quality.why}", "exo data status")
    for doubt in quality.doubts:
        if doubt.held and doubt.verdict == "block":
            yield Need("warning", f"{doubt.symbol} is held and its data are blocked ({words(doubt.check)}): {doubt.evidence}", doubt.clear)
    if quality.assessed is False:
        yield Need("warning", "nobody looked for faults in the newest data", "exo data publish")
    for age in report.ages:
        if age.part == "bars" and age.sessions:
            yield Need("warning", f"the newest bars are of {age.session}, {age.sessions} sessions before this one", "exo data update")


def _denied(report: NightReport) -> Iterator[Need]:
    from mech_exo.decision.strategy import DENIES_ALL

    for warning in report.warnings:
        if DENIES_ALL in warning:
            said, _, remedies = warning.partition(": ")
            command, _, otherwise = remedies.partition(", ")
            yield Need("warning", f"{said} ({otherwise})" if otherwise else said, command)


def _books(report: NightReport) -> Iterator[Need]:
    for cause in report.causes.parts:
        nav = report.money.nav
        if cause.kind == "residual" and cause.pnl is not None and nav is not None and abs(cause.pnl) > max(0.01, UNEXPLAINED * abs(nav)):
            yield Need("warning", f"{money(cause.pnl)} USD of the day's P&L are explained by nothing in the books", "exo ledger verify")


def _contract(report: NightReport) -> Iterator[Need]:
    broken = [demand.label for demand in report.kpi.demands if demand.trailing.verdict == "fail"]
    if broken:
        yield Need("info", f"demands not met over the trailing 12 months: {', '.join(broken)}", "exo report performance")


def _coming(report: NightReport) -> Iterator[Need]:
    passed = [f"{one.symbol} {one.kind}" for one in report.upcoming.exits if one.distance <= 0.0]
    if passed:
        yield Need("info", f"the price is beyond a resting level: {_listed(passed)}", "exo positions")


RULES = (_state, _orders, _limits, _positions, _data, _denied, _books, _contract, _coming)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
