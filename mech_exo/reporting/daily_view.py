"""A night's report as tables of text, in the order they are read: what the page and nothing else shows. Unknown is the word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from mech_exo.reporting.needs import measure
from mech_exo.reporting.text import UNKNOWN, day, money, percent, ratio, whole, words
from mech_exo.reporting.view import Section, Table

if TYPE_CHECKING:
    from mech_exo.reporting.night import NightReport
    from mech_exo.reporting.night_parts import Age, Cause, KpiFigure

UNDECIDED = "Unknown: no decision was journaled."
CAUSES = "Market: what every scored name earned; factors: what scores brought; trading: fills up to the close; specific: the rest."
STOPS = "No stop is counted: in a gap it fills at the open, wherever that is."
INTERVAL = "In brackets the 95 % interval, where one exists. A verdict needs a year of sessions; a broken ceiling fails at once."
NOT_SENT = {"denied": "denied", "rejected": "refused by the broker", "unknown": "in doubt", "new": "not handed over"}
"""Orders that were decided and did not leave, or of which nobody knows."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure, what it is, and of when."""

    name: str
    value: str
    age: str
    tone: str = ""


def tiles(report: NightReport) -> tuple[Tile, ...]:
    """The figures at the top."""
    close = f"close of {report.session}"
    funds, state = report.money, "halted" if report.halted else report.state
    before = "" if funds.previous_nav is None else f"; before {money(funds.previous_nav)}"
    gross = next((line for line in report.limits if line.name == "Gross exposure"), None)
    return (
        Tile("State", state, close, "" if state == "active" else "bad"),
        Tile("NAV, USD", money(funds.nav), close + before),
        Tile("Day's P&L, USD", money(funds.pnl), f"session of {report.session}", _tone(funds.pnl)),
        Tile("Day's return", percent(funds.day_return), f"session of {report.session}", _tone(funds.day_return)),
        Tile("Below 12-month peak", percent(report.drawdown), close),
        Tile("Gross exposure", percent(gross.value if gross else None), close),
        Tile("Cash, USD", money(funds.cash), close),
        Tile("KPI contract", report.kpi.trailing, f"12 months to {report.session}", "bad" if report.kpi.trailing == "fail" else ""),
    )


def sections(report: NightReport) -> tuple[Section, ...]:
    """Every part of the report."""
    return (
        Section("pnl", "Where the P&L came from", (_causes(report), _by_position(report)), CAUSES),
        Section("kpi", "KPI contract", (_kpi(report),), INTERVAL),
        Section("limits", "Risk limits", (_limits(report), _stress(report))),
        Section("orders", f"Orders for {day(report.orders_for)}", (_orders(report), _withheld(report))),
        Section("positions", "Positions", (_positions(report),)),
        Section("session", "What happened in the session", (_executed(report), _costs(report))),
        Section("upcoming", "Upcoming", (_exits(report), _coming(report), _resting(report))),
        Section("ideas", "Ideas", (_ideas(report),)),
        Section("data", "Data", (_quality(report), _ages(report))),
        Section("account", "The session's account", (_account(report),)),
    )


def _causes(report: NightReport) -> Table:
    causes = report.causes
    rows = [(cause_name(part), money(part.pnl), _of(part.pnl, report.money.previous_nav)) for part in causes.parts if _shown(part)]
    rows.append(("Day's P&L", money(causes.pnl), _of(causes.pnl, report.money.previous_nav)))
    of = f"Factor scores of {causes.exposures}." if causes.exposures is not None else ""
    why = f"Market, factors, specific and trading are unknown: {causes.why}." if causes.why else ""
    return Table("By cause", ("Cause", "USD", "Of NAV"), tuple(rows), note=f"{of} {why}".strip())


def _shown(part: Cause) -> bool:
    """A residual of a rounding is left out."""
    return part.kind != "residual" or part.pnl is None or abs(part.pnl) >= 0.005


def cause_name(part: Cause) -> str:
    """A cause in words."""
    if part.kind == "factor":
        return f"Factor {words(part.name)}" if part.name != "factors" else "Factors"
    names = {"specific": "Specific to the names", "trading": "Trading: fills to the close", "residual": "Explained by nothing in the books"}
    return names.get(part.name, words(part.name).capitalize())


def _by_position(report: NightReport) -> Table:
    head = ("Symbol", "P&L, USD", "Market", "Selection", "Specific", "Trading", "Dividends", "Costs", "Shares before", "Shares")
    rows = tuple(
        (
            one.symbol, money(one.pnl), money(one.market), money(one.selection), money(one.specific), money(one.trading),
            money(one.dividends), money(_less(one.commission, one.slippage)), whole(one.before), whole(one.shares),
        )
        for one in report.causes.positions
    )  # fmt: skip
    note = "Net, the best first. Selection is the sum of the factors."
    return Table("By position", head, rows, nothing="Nothing was held or traded.", note=note)


def _less(*costs: float | None) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return 0.0 - sum(known) if len(known) == len(costs) else None


def _kpi(report: NightReport) -> Table:
    head = ("Demand", "Bound", "12 months", "Measured", "Whole period", "Measured")
    rows = tuple(
        (
            line.label, f"{'≤' if line.bound == 'at most' else '>'}\u00a0{_kpi_value(line.name, line.threshold)}",
            line.trailing.verdict, _measured(line.name, line.trailing), line.whole.verdict, _measured(line.name, line.whole),
        )
        for line in report.kpi.demands
    )  # fmt: skip
    nothing = f"Unknown: {report.kpi.why}."
    return Table("Over the record so far", head, rows, (0, 2, 4), nothing, note=f"{report.kpi.sessions} sessions to {report.session}.")


def _kpi_value(name: str, value: float | None) -> str:
    return ratio(value) if name == "sharpe" else percent(value)


def _measured(name: str, figure: KpiFigure) -> str:
    if figure.low is None:
        return _kpi_value(name, figure.value)
    low, high = _kpi_value(name, figure.low).removesuffix("\u00a0%"), _kpi_value(name, figure.high)
    return f"{_kpi_value(name, figure.value)} [{low} to {high}]"


def _limits(report: NightReport) -> Table:
    rows = tuple(
        (
            line.name, measure(line, line.value), measure(line, line.limit), measure(line, line.left),
            percent(line.value / line.limit, 0) if line.value is not None and line.limit else UNKNOWN, line.status, line.who or "",
        )
        for line in report.limits
    )  # fmt: skip
    head = ("Limit", "Used", "Allowed", "Left", "Of the limit", "", "Whose")
    return Table("Use and headroom", head, rows, (0, 5, 6), "No limit is on.", f"Fractions of NAV, at the close of {report.session}.")


def _stress(report: NightReport) -> Table:
    rows = tuple(
        (
            f"{one.name} ({one.detail})" if one.detail else one.name, whole(one.pnl), percent(one.fraction, 1),
            f"{one.worst} {whole(one.worst_pnl)}" if one.worst else "", one.basis + _unmeasured(one.unmeasured),
        )
        for one in report.stress.scenarios
    )  # fmt: skip
    why = f" Not measured: {report.stress.why}." if report.stress.why else ""
    return Table("Stress", ("Scenario", "USD", "Of NAV", "Worst position", "Rests on"), rows, (0, 3, 4), note=STOPS + why)


def _unmeasured(symbols: tuple[str, ...]) -> str:
    return f"; without {', '.join(symbols)}" if symbols else ""


def _orders(report: NightReport) -> Table:
    head = ("Symbol", "Shares", "Why", "Decided at, USD", "Stop", "Target", "State")
    rows = tuple(
        (
            one.symbol, whole(one.shares), words(one.reason), money(one.decided_at), _level(one.stop), _level(one.target),
            one.state + (f": {one.note}" if one.note else ""),
        )
        for one in report.planned
    )  # fmt: skip
    nothing = "No orders." if report.decided else UNDECIDED
    return Table("Planned", head, rows, (0, 2, 6), nothing, f"Decided at the close of {report.session}; states as the ledger has them now.")


def _withheld(report: NightReport) -> Table:
    stayed = [one for one in report.planned if one.state in NOT_SENT]
    rows = [(one.symbol, f"order of {whole(one.shares)} {NOT_SENT[one.state]}", one.note, "") for one in stayed]
    rows += [(one.who or "portfolio", words(one.code), percent(one.value), percent(one.limit)) for one in report.withheld]
    rows += [(one.symbol, f"{words(one.by)}, shares", whole(one.wanted), whole(one.shares)) for one in report.cuts]
    nothing = "No limit bound and every order left." if report.decided else UNDECIDED
    return Table("Withheld and cut", ("Who", "Why", "Asked", "Allowed"), tuple(rows), (0, 1), nothing)


def _positions(report: NightReport) -> Table:
    head = ("Symbol", "Shares", "Entry", "Close", "Value, USD", "Of NAV", "Unrealised", "Held", "Stop", "Target", "Lost if stopped")
    rows = tuple(
        (
            one.symbol + (f" (no bar for {one.missing_sessions})" if one.missing_sessions else ""), whole(one.shares), money(one.entry),
            money(one.price), money(one.value), percent(one.weight), money(one.unrealised), whole(one.sessions_held),
            _level(one.stop) + (f" ({words(one.stop_reason).removesuffix(' stop')})" if one.stop_reason else ""), _level(one.target),
            percent(one.at_risk),
        )
        for one in report.holdings
    )  # fmt: skip
    return Table("At the close", head, rows, nothing="Nothing is held.", note="USD a share; held: sessions since the entry; lost: of NAV.")


def _executed(report: NightReport) -> Table:
    rows = tuple(
        (
            one.symbol, whole(one.shares), "not filled" if one.what == "no_bar" else money(one.price), money(one.commission),
            "" if one.what == "no_bar" else money(one.slippage), words(one.what), words(one.reason),
        )
        for one in report.executed
    )  # fmt: skip
    head = ("Symbol", "Shares", "Price, USD", "Commission", "Slippage", "What", "Why")
    return Table("Fills, stops and corporate actions", head, rows, (0, 5, 6), "No fill, stop or corporate action.")


def _costs(report: NightReport) -> Table:
    costs = report.costs
    share = percent(costs.share) if costs.share is not None else "not meaningful"
    rows = (
        ("Fills", whole(costs.fills), ""),
        ("Traded, USD", money(costs.traded), ""),
        ("Commission, USD", money(costs.commission), ""),
        ("Slippage, USD", money(costs.slippage), _bps(costs.slippage_bps)),
        ("Implementation shortfall, USD", money(costs.shortfall), _bps(costs.shortfall_bps)),
        ("Costs of the record, of gross P/L", share, f"demand: ≤\u00a0{percent(costs.allowed, 0)}"),
    )
    lacking = f"{costs.unmeasured} fills have no decision's price, as stops of the paper book. " if costs.unmeasured else ""
    return Table("Costs", ("Figure", "Value", ""), rows, (0, 2), note=(lacking + costs.share_note).strip())


def _bps(value: float | None) -> str:
    return "" if value is None else f"{ratio(value, 1)} bps"


def _exits(report: NightReport) -> Table:
    coming = report.upcoming
    rows = [
        (one.symbol, f"{one.kind}: {words(one.reason)}", money(one.level), money(one.price), percent(one.distance, 1))
        for one in coming.exits
    ]
    rows += [(one.symbol, "time stop", f"open of {one.session}", "", f"{one.sessions} sessions") for one in coming.time_exits]
    nothing = "No level is near, no time stop is due."
    note = f"Levels within {percent(coming.near, 0)} of the close of {report.session}; time stops within {coming.ahead} sessions."
    return Table("Exits that are near", ("Symbol", "What", "Level, USD", "Close, USD", "Away"), tuple(rows), (0, 1), nothing, note)


def _coming(report: NightReport) -> Table:
    coming = report.upcoming
    bells = f"{coming.session.opens:%H:%M} to {coming.session.closes:%H:%M} UTC" + (", closes early" if coming.session.early else "")
    rows = [
        ("Next session", day(coming.session.session), bells),
        ("Book decided anew", f"close of {coming.rebalance}" if coming.rebalance else UNKNOWN, coming.rebalance_note),
    ]
    rows += [(f"Results of {one.symbol}", day(one.day), one.source) for one in coming.earnings]
    rows += [] if coming.earnings else [("Results of held companies", UNKNOWN, coming.earnings_note)]
    return Table("Dates", ("What", "When", ""), tuple(rows), (0, 1, 2), prose=True)


def _resting(report: NightReport) -> Table:
    rows = tuple(
        (one.symbol, whole(one.shares), words(one.type), _level(one.level), "protects" if one.protects else "trades", one.state)
        for one in report.upcoming.resting
    )
    kept = any(one.stop is not None for one in report.holdings)
    nothing = "None: stops and targets are levels that the night keeps." if kept else "None."
    return Table("Resting orders", ("Symbol", "Shares", "Type", "Level, USD", "For", "State"), rows, (0, 2, 4, 5), nothing)


def _ideas(report: NightReport) -> Table:
    factors = tuple(dict.fromkeys(part.factor for idea in report.ideas for part in idea.contributions))
    head = ("Rank", "Symbol", "Score", "Percentile", "Coverage", *map(words, factors))
    rows = []
    for idea in report.ideas:
        of = {part.factor: part.value for part in idea.contributions}
        figures = (ratio(of.get(name), 3) for name in factors)
        rows.append((whole(idea.rank), idea.symbol, ratio(idea.score, 3), percent(idea.percentile, 1), percent(idea.coverage, 0), *figures))
    left_out = "".join(f"; {whole(count)} left out: {words(reason)}" for reason, count in report.excluded)
    missing = "".join(f"; without {words(name)}: {reason}" for name, reason in report.missing_factors)
    note = f"{whole(report.scored)} names scored{left_out}{missing}. Contributions sum to the score." if report.decided else ""
    return Table("Best ranked", head, tuple(rows), (0, 1), "No name has a score." if report.decided else UNDECIDED, note)


def _quality(report: NightReport) -> Table:
    found = report.quality
    rows = tuple(
        (one.symbol, "held" if one.held else "", one.verdict, words(one.check), day(one.since) if one.since else "", one.evidence)
        for one in found.doubts
    )
    if found.why:
        return Table("Quality", (), (), nothing=f"Unknown: {found.why}.")
    looked = "" if found.assessed else " Nobody looked for faults in the newest data."
    note = f"{percent(found.coverage, 1)} of {whole(found.names)} names have a bar of {day(found.as_of)}.{looked}"
    head = ("Symbol", "", "Verdict", "Check", "Since", "Evidence")
    return Table("Quality", head, rows, (0, 1, 2, 3, 4, 5), "No name is in doubt.", note, prose=True)


def _ages(report: NightReport) -> Table:
    rows = tuple((one.part.capitalize(), age(one), _distance(one), one.note) for one in report.ages)
    return Table("Of when the parts are", ("Part", "As of", "Age", "Remark"), rows, (0, 1, 3), prose=True, note="Age: sessions.")


def age(one: Age) -> str:
    """Of when, in words."""
    return day(one.session) if one.at is None else f"{one.at:%Y-%m-%d %H:%M} UTC"


def _distance(one: Age) -> str:
    return UNKNOWN if one.sessions is None else whole(one.sessions)


def _account(report: NightReport) -> Table:
    funds = report.money
    rows = (
        ("NAV before", funds.previous_nav), ("Deposits less withdrawals", funds.flow), ("Price P&L", funds.price_pnl),
        ("Dividends", funds.dividends), ("Interest", funds.interest), ("Borrow fees paid", funds.borrow),
        ("Commission paid", funds.commission), ("Slippage paid", funds.slippage), ("NAV", funds.nav),
    )  # fmt: skip
    return Table("USD", ("Line", "USD"), tuple((name, money(value)) for name, value in rows), note=f"Session of {report.session}.")


def digest_lines(report: NightReport) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What the digest lists under a heading, the most telling lines only."""
    parts = sorted((one for one in report.causes.parts if one.pnl), key=lambda one: -abs(one.pnl or 0.0))
    names = [one for one in report.causes.positions if one.pnl]
    ends = [*names[:3], *[one for one in names[-3:] if one not in names[:3]]]
    unknown = [cause_name(one) for one in report.causes.parts if one.pnl is None]
    unpriced = [one.symbol for one in report.causes.positions if one.pnl is None]
    yield "P&L by cause, USD", (*(f"{cause_name(one)} {money(one.pnl)}" for one in parts[:5]), *_unknown(unknown))
    yield "P&L by position, USD", (*(f"{one.symbol} {money(one.pnl)}" for one in ends), *_unknown(unpriced))
    yield f"Orders for {day(report.orders_for)}", _few(
        f"{one.symbol} {whole(one.shares)} ({words(one.reason)}, {one.state})" for one in report.planned
    )
    withheld = [f"{one.who or 'portfolio'}: {words(one.code)}" for one in report.withheld]
    cut = (f"{one.symbol}: {words(one.by)}, {whole(one.shares)} of {whole(one.wanted)}" for one in report.cuts)
    yield "Withheld", _few([*withheld, *cut])
    coming = report.upcoming
    near = [f"{one.symbol} {one.kind} {money(one.level)}, {percent(one.distance, 1)} away" for one in coming.exits]
    yield "Exits that are near", _few([*near, *(f"{one.symbol} time stop, open of {one.session}" for one in coming.time_exits)])
    early = ", closes early" if coming.session.early else ""
    yield "Next", (f"session {coming.session.session}{early}", _decided(coming.rebalance, coming.rebalance_note))


def _decided(on: date | None, note: str) -> str:
    return f"book decided anew at the close of {on}" if on is not None else f"next decision of the book unknown: {note}"


def _unknown(names: Sequence[str]) -> tuple[str, ...]:
    return (f"{UNKNOWN}: {', '.join(_few(names))}",) if names else ()


def _few(lines: Iterable[str], most: int = 6) -> tuple[str, ...]:
    every = list(lines)
    more = [f"and {len(every) - most} more"] if len(every) > most else []
    return (*every[:most], *more)


def _of(value: float | None, nav: float | None) -> str:
    return percent(value / nav) if value is not None and nav is not None and nav > 0.0 else UNKNOWN


def _level(value: float | None) -> str:
    return "none" if value is None else money(value)


def _tone(value: float | None) -> str:
    return "" if not value else "up" if value > 0.0 else "down"
