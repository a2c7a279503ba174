"""How much of every limit a book uses. The limits and their arithmetic are those of ``risk/rules.py``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mech_exo.domain.portfolio import Portfolio, Position
from mech_exo.domain.verdict import Breach, BreachCode
from mech_exo.risk.rules import FIRST_SECTOR, LimitParams, Rule, share_allowed
from mech_exo.risk.stops import StopParams, stop_level

WARN_AT = 0.8  # share of a limit from which it is shown as a warning


class LimitStatus(StrEnum):
    """What a limit says."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    BREACH = "breach"


SEVERITY = {LimitStatus.OK: 0, LimitStatus.WARNING: 1, LimitStatus.UNKNOWN: 2, LimitStatus.BREACH: 3}
LABELS = {
    BreachCode.TRADE_RISK: "Risk per trade",
    BreachCode.POSITION: "Single position",
    BreachCode.SECTOR: "Sector",
    BreachCode.GROSS: "Gross exposure",
    BreachCode.LEVERAGE: "Leverage",
    BreachCode.NET: "Net exposure",
    BreachCode.DRAWDOWN: "Drawdown",
}
"""Every limit of :class:`~mech_exo.risk.rules.LimitParams`, in the order they are shown."""


@dataclass(frozen=True, slots=True)
class LimitUsage:
    """One limit and its most used instance.

    Parameters
    ----------
    code, label
        Which limit, for programs and for people.
    limit
        Fraction of NAV; None = this limit is switched off.
    value
        Fraction of NAV in use (of the trailing peak for the drawdown); None = unknown.
    usage
        value / limit; None where either is None.
    headroom
        USD until the limit is reached, negative beyond it; None where ``usage`` is.
    status
        ``ok``, ``warning`` (80 % of the limit or more), ``breach`` or ``unknown``, which denies new risk.
    who
        The symbol or sector it is about; None = the whole portfolio, or nobody.
    """

    code: BreachCode
    label: str
    limit: float | None
    value: float | None
    usage: float | None
    headroom: float | None
    status: LimitStatus
    who: str | None = None


def usages(portfolio: Portfolio, limits: LimitParams, stops: StopParams, fall: float) -> tuple[tuple[LimitUsage, ...], tuple[Breach, ...]]:
    """The most used instance of every limit, and each instance that is broken.

    Parameters
    ----------
    fall
        Drawdown, a fraction of the trailing peak; NaN = unknown.

    A NAV that is not above 0 makes everything unknown: a fraction of it would mean nothing.
    """
    worst, broken = [], []
    for code in LABELS:
        lines = list(_lines(code, portfolio, limits, stops, fall))
        top = max(lines, key=lambda line: (SEVERITY[line.status], line.usage or 0.0))
        worst.append(top)
        broken += [
            Breach(line.code, line.who, line.limit, line.value)
            for line in lines
            if line.status is LimitStatus.BREACH and line.limit is not None and line.value is not None
        ]
    return tuple(worst), tuple(broken)


def resting_stop(position: Position, stops: StopParams) -> float:
    """USD level at which ``position`` is closed: its own, else where the configured stops would put it tonight; NaN = none.

    For the trailing stop the best price since entry is taken as the better of entry and current price. The true best is at
    least that, so the true stop is at least as near and the risk shown is the most it can be. Without the ATR at entry the
    volatility stop is left out, for the same reason.
    """
    if position.stop_level is not None:
        return position.stop_level
    side = math.copysign(1.0, position.shares)
    best = side * max(side * position.entry_price, side * position.current_price)
    return stop_level(side, position.entry_price, best, math.nan, stops)[0]


def at_risk(position: Position, stops: StopParams) -> float:
    """USD lost from the current price to the stop; without a stop the whole value; 0 when the stop is passed already."""
    stop = resting_stop(position, stops)
    side = math.copysign(1.0, position.shares)
    return abs(position.shares) * (position.current_price if math.isnan(stop) else max(0.0, (position.current_price - stop) * side))


def known_nav(nav: float) -> bool:
    """Whether fractions of ``nav`` mean anything: above 0 and finite."""
    return 0.0 < nav < math.inf


def _lines(code: BreachCode, portfolio: Portfolio, limits: LimitParams, stops: StopParams, fall: float) -> Iterator[LimitUsage]:
    """Every instance of one limit; at least one line, so that an empty book shows its headroom."""
    nav, limit = portfolio.nav, _limit(code, limits)
    if not known_nav(nav):
        yield LimitUsage(code, LABELS[code], limit, None, None, None, LimitStatus.UNKNOWN)
        return
    held = portfolio.positions.values()
    match code:
        case BreachCode.TRADE_RISK | BreachCode.POSITION:
            yield _line(code, limit, 0.0, nav)
            for p in held:
                yield _position_line(code, p, limits, stops, nav)
        case BreachCode.SECTOR:
            yield from _sector_lines(portfolio, limit)
        case BreachCode.GROSS | BreachCode.LEVERAGE:
            yield _line(code, limit, portfolio.gross_exposure / nav, nav)
        case BreachCode.NET:
            yield _line(code, limit, abs(portfolio.net_exposure) / nav, nav)
        case BreachCode.DRAWDOWN:
            yield _drawdown_line(limit, fall, nav)


def _limit(code: BreachCode, limits: LimitParams) -> float | None:
    value = {
        BreachCode.TRADE_RISK: limits.trade_risk, BreachCode.POSITION: limits.position, BreachCode.SECTOR: limits.sector,
        BreachCode.GROSS: limits.gross, BreachCode.LEVERAGE: limits.leverage, BreachCode.NET: limits.net,
        BreachCode.DRAWDOWN: limits.drawdown,
    }[code]  # fmt: skip
    return value if math.isfinite(value) else None


def _line(code: BreachCode, limit: float | None, value: float, nav: float, who: str | None = None) -> LimitUsage:
    if limit is None:
        return LimitUsage(code, LABELS[code], None, value, None, None, LimitStatus.OK, who)
    status = LimitStatus.BREACH if share_allowed(limit, value) < 1.0 else _below(value / limit)
    return LimitUsage(code, LABELS[code], limit, value, value / limit, (limit - value) * nav, status, who)


def _below(usage: float) -> LimitStatus:
    return LimitStatus.WARNING if usage >= WARN_AT else LimitStatus.OK


def _position_line(code: BreachCode, p: Position, limits: LimitParams, stops: StopParams, nav: float) -> LimitUsage:
    value = abs(p.market_value) if code is BreachCode.POSITION else at_risk(p, stops)
    return _line(code, _limit(code, limits), value / nav, nav, p.symbol)


def _sector_lines(portfolio: Portfolio, limit: float | None) -> Iterator[LimitUsage]:
    """One line per sector (gross of longs and shorts), and one for the names whose sector is unknown."""
    code, nav = BreachCode.SECTOR, portfolio.nav
    by_sector: dict[str, float] = {}
    nowhere = [p.symbol for p in portfolio.positions.values() if p.sector is None]
    for p in portfolio.positions.values():
        if p.sector is not None:
            by_sector[p.sector] = by_sector.get(p.sector, 0.0) + abs(p.market_value)
    yield _line(code, limit, 0.0, nav)
    for sector, value in by_sector.items():
        yield _line(code, limit, value / nav, nav, sector)
    if nowhere and limit is not None:
        yield LimitUsage(code, LABELS[code], limit, None, None, None, LimitStatus.UNKNOWN, ", ".join(nowhere))


def _drawdown_line(limit: float | None, fall: float, nav: float) -> LimitUsage:
    code = BreachCode.DRAWDOWN
    if limit is None:
        return LimitUsage(code, LABELS[code], None, None if math.isnan(fall) else fall, None, None, LimitStatus.OK)
    if math.isnan(fall):
        return LimitUsage(code, LABELS[code], limit, None, None, None, LimitStatus.UNKNOWN)
    peak = nav / (1.0 - fall)
    status = _below(fall / limit) if fall <= limit else LimitStatus.BREACH
    return LimitUsage(code, LABELS[code], limit, fall, fall / limit, nav - peak * (1.0 - limit), status)


def breach_of(line: np.void, symbols: Sequence[str], sectors: Sequence[str]) -> Breach:
    """A BREACH record in the domain's words; ``symbols`` and ``sectors`` give the names its codes stand for."""
    who = int(line["symbol"])
    name = symbols[who] if who >= 0 else (sectors[FIRST_SECTOR - who] if who <= FIRST_SECTOR else None)
    return Breach(BreachCode[Rule(int(line["rule"])).name], name, float(line["limit"]), float(line["value"]))
