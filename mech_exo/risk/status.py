"""A book measured: every limit, what the book risks, the stress scenarios and each position, as values for printing or JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mech_exo.domain import markup
from mech_exo.domain.portfolio import Portfolio
from mech_exo.domain.verdict import Breach, BreachCode, RiskState
from mech_exo.risk.model import BookRisk, Market, Terms, book_risk
from mech_exo.risk.stops import StopParams
from mech_exo.risk.stress import StressLine, stress
from mech_exo.risk.usage import LimitStatus, LimitUsage, Standing, Unit, at_risk, known_nav, resting_stop, stress_gap, usages
from mech_exo.utils.settings import RiskLimits


@dataclass(frozen=True, slots=True)
class RiskStatus:
    """The state, the most used instance of every limit, every limit that is broken, what the book risks, and what is not known.

    ``notes`` are sentences for a person: what is unknown, why the state is what it is, what to do.
    """

    state: RiskState
    limits: tuple[LimitUsage, ...]
    violations: tuple[Breach, ...]
    standing: Standing
    risk: BookRisk
    stress: tuple[StressLine, ...]
    notes: tuple[str, ...]

    def usage(self, code: BreachCode) -> LimitUsage:
        """The line of one limit."""
        return next(line for line in self.limits if line.code is code)

    def _repr_html_(self) -> str:
        asked = [line for line in self.limits if line.limit is not None and line.unit is not Unit.ORDER]
        rows = [(u.label, u.who or "", _in_unit(u, u.limit), _in_unit(u, u.value), markup.shown(u.usage, ".0%"), u.status) for u in asked]
        said = f"{len(self.violations):,} limits broken"
        table = markup.table(("limit", "", "allowed", "in use", "usage", ""), rows, len(rows))
        return markup.page(markup.title(f"Risk is {self.state}:", said), table, markup.notes((*self.violations, *self.notes)))


def _in_unit(line: LimitUsage, value: float | None) -> str:
    """A limit or its use as it is stated."""
    return markup.shown(value, {Unit.DAYS: ",.1f", Unit.NUMBER: ",.2f"}.get(line.unit, ".2%"))


def measured(
    portfolio: Portfolio, limits: RiskLimits, market: Market | None, standing: Standing, state: RiskState, *, halted: bool
) -> RiskStatus:
    """Measure every limit, the book's risk and the scenarios; ``standing`` needs no ``risk`` yet."""
    risk = book_risk(portfolio, market, Terms.of(limits))
    lines, broken = usages(portfolio, limits, standing.with_risk(risk))
    scenarios = stress(portfolio, market, Terms.of(limits))
    notes = _notes(portfolio, lines, risk, halted)
    gone = (f"{symbol} has had no bar for {count} sessions" for symbol, count in standing.missing.items())
    notes += tuple(f"{said}: it may be reduced, not increased" for said in gone)
    return RiskStatus(state, lines, broken, standing.with_risk(risk), risk, scenarios, notes)


def summary(portfolio: Portfolio, limits: RiskLimits, market: Market | None, status: RiskStatus) -> dict[str, Any]:
    """``status`` as plain values; see :meth:`mech_exo.risk.checker.RiskChecker.get_risk_status_summary`."""
    nav, risk = portfolio.nav, status.risk
    return {
        "nav": nav,
        "cash": portfolio.cash,
        "state": status.state.value,
        "gross_exposure": portfolio.gross_exposure,
        "net_exposure": portfolio.net_exposure,
        "leverage": portfolio.gross_exposure / nav if known_nav(nav) else None,
        "drawdown": _known(status.standing.fall),
        "all_time_drawdown": _known(status.standing.all_time_fall),
        "session_return": _known(0.0 - status.standing.session_fall),  # not "-": of a quiet session that would print -0.00 %
        "positions": _positions(portfolio, limits, status.standing),
        "limits": [
            {"code": u.code.value, "label": u.label, "limit": u.limit, "value": u.value, "usage": u.usage, "headroom": u.headroom,
             "status": u.status.value, "who": u.who, "unit": u.unit.value}
            for u in status.limits
        ],
        "orders": {"shorts": limits.portfolio.shorts.value, **limits.sending.model_dump()},
        "violations": [{"code": b.code.value, "who": b.symbol, "limit": b.limit, "value": b.value} for b in status.violations],
        "risk": {key: value for key, value in asdict(risk).items() if key != "positions"},
        "market": None if market is None else market.name,
        "stress": [asdict(line) for line in status.stress],
        "notes": list(status.notes),
    }  # fmt: skip


def _positions(portfolio: Portfolio, limits: RiskLimits, standing: Standing) -> list[dict[str, Any]]:
    nav, stops = portfolio.nav, StopParams.of(limits.stops)
    rows: list[dict[str, Any]] = portfolio.as_dict()["positions"]
    for row, p in zip(rows, portfolio.positions.values(), strict=True):
        row["weight"] = p.market_value / nav if known_nav(nav) else None
        row["resting_stop"] = _known(resting_stop(p, stops))
        row["at_risk"] = at_risk(p, stops)
        row["at_risk_in_a_gap"] = _known(at_risk(p, stops, stress_gap(p.symbol, limits, standing)))
        risk = standing.risk
        row.update({key: value for key, value in asdict(risk.position(p.symbol)).items() if key != "symbol"} if risk is not None else {})
    return rows


def _notes(portfolio: Portfolio, lines: Sequence[LimitUsage], risk: BookRisk, halted: bool) -> tuple[str, ...]:
    if not known_nav(portfolio.nav):
        return (f"every limit is a fraction of NAV and NAV is {portfolio.nav:,.2f} USD: nothing can be measured, only reductions pass",)
    notes = ["a HALT is in force: only reductions pass"] if halted else []
    for line in lines:
        said = _said(line)
        if said:
            notes.append(said)
    why: dict[str, list[str]] = {}
    for symbol, reason in risk.unknown.items():
        why.setdefault(reason, []).append(symbol)
    notes += [f"risk is unknown of {', '.join(names)}: {reason}" for reason, names in why.items()]
    return tuple(notes)


FALLS = {
    BreachCode.DRAWDOWN: "the drawdown",
    BreachCode.ALL_TIME_DRAWDOWN: "the all-time drawdown",
    BreachCode.DAILY_LOSS: "the session's loss",
}


def _said(line: LimitUsage) -> str:
    """What one line means for the next order; empty where it allows it."""
    if line.status is LimitStatus.UNKNOWN:
        if line.code is BreachCode.SECTOR:
            return f"the sector of {line.who} is unknown: it may be reduced, not increased"
        if line.code in FALLS:
            return f"{FALLS[line.code]} is unknown without a NAV history: until it is known only reductions pass"
        if line.code is BreachCode.TRADE_RISK:
            return f"the overnight gaps of {line.who} are unknown (gap_stress): it may be reduced, not increased"
        return f"{line.label.lower()} is unknown{f' ({line.who})' if line.who else ''}: only reductions pass"
    if line.status is LimitStatus.BREACH and line.code in FALLS:
        until = "tonight" if line.code is BreachCode.DAILY_LOSS else "until NAV recovers"
        return f"{FALLS[line.code]} is beyond its limit: only reductions pass {until}"
    return ""


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
