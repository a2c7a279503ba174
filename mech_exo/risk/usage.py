"""How much of every limit a book uses. The limits and their arithmetic are those of ``risk/rules.py`` and ``kernels/risk_model.py``."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from mech_exo.domain.portfolio import Portfolio, Position
from mech_exo.domain.verdict import Breach, BreachCode
from mech_exo.risk.model import BookRisk, top_five
from mech_exo.risk.rules import FIRST_SECTOR, Rule, loss_per_share, share_allowed
from mech_exo.risk.stops import StopParams, stop_level
from mech_exo.utils.plugin_settings import PREFIX
from mech_exo.utils.settings import RiskLimits

WARN_AT = 0.8  # share of a limit from which it is shown as a warning


class LimitStatus(StrEnum):
    """What a limit says."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    BREACH = "breach"


class Unit(StrEnum):
    """What a limit is stated in, and so what its headroom is in."""

    NAV = "nav"  # fraction of NAV; headroom in USD
    DAYS = "days"
    NUMBER = "number"  # of sessions, of correlation, of market moves
    ORDER = "order"  # asked of each order: a book at rest uses nothing of it


SEVERITY = {LimitStatus.OK: 0, LimitStatus.WARNING: 1, LimitStatus.UNKNOWN: 2, LimitStatus.BREACH: 3}
LABELS = {
    BreachCode.TRADE_RISK: "Risk per trade",
    BreachCode.POSITION: "Single position",
    BreachCode.SECTOR: "Sector",
    BreachCode.GROSS: "Gross exposure",
    BreachCode.LEVERAGE: "Leverage",
    BreachCode.NET: "Net exposure",
    BreachCode.CONCENTRATION: "Five largest",
    BreachCode.DRAWDOWN: "Drawdown",
    BreachCode.ALL_TIME_DRAWDOWN: "All-time drawdown",
    BreachCode.DAILY_LOSS: "Session loss",
    BreachCode.VOLATILITY: "Annual volatility",
    BreachCode.VALUE_AT_RISK: "Value at risk",
    BreachCode.EXPECTED_SHORTFALL: "Expected shortfall",
    BreachCode.BETA: "Beta",
    BreachCode.PAIR_CORRELATION: "Pair correlation",
    BreachCode.AVERAGE_CORRELATION: "Average correlation",
    BreachCode.EXIT_DAYS: "Days to exit",
    BreachCode.VOLUME: "Share of volume",
    BreachCode.PRICE_COLLAR: "Price collar",
    BreachCode.TURNOVER: "Turnover of a decision",
}
"""Every limit, in the order they are shown."""


@dataclass(frozen=True, slots=True)
class LimitUsage:
    """One limit and its most used instance.

    Parameters
    ----------
    code, label
        Which limit, for programs and for people.
    limit
        In its ``unit``; None = this limit is switched off.
    value
        What is in use, in the same unit (a fraction of the peak for a drawdown); None = unknown, or asked of orders only.
    usage
        value / limit; None where either is None.
    headroom
        What is left until the limit is reached, negative beyond it: USD for a fraction of NAV, else in its own unit; None where
        ``usage`` is.
    status
        ``ok``, ``warning`` (80 % of the limit or more), ``breach`` or ``unknown``, which denies new risk.
    who
        The symbol or sector it is about; None = the whole portfolio, or nobody.
    unit
        What the limit is stated in.
    """

    code: BreachCode
    label: str
    limit: float | None
    value: float | None
    usage: float | None
    headroom: float | None
    status: LimitStatus
    who: str | None = None
    unit: Unit = Unit.NAV


@dataclass(frozen=True, slots=True)
class Standing:
    """What limits are measured on beside the book itself. NaN or None = unknown.

    Parameters
    ----------
    fall, all_time_fall
        Drawdown from the trailing 12-month and from the all-time peak, fractions of the peak.
    session_fall
        Loss of NAV in the last session, deposits taken out; below 0 it is a gain.
    missing
        Sessions since the last bar of each position; one that is not named has a bar of the last session.
    risk
        What the book risks; None = nobody measured it.
    gaps
        The tail of each name's overnight gaps against its holder, a fraction; one that is not named is unknown.
    share
        What the drawdown governor leaves of the gross limit, a fraction.
    """

    fall: float
    all_time_fall: float = math.nan
    session_fall: float = math.nan
    missing: Mapping[str, int] = field(default_factory=dict)
    risk: BookRisk | None = None
    gaps: Mapping[str, float] = field(default_factory=dict)
    share: float = 1.0

    def with_risk(self, risk: BookRisk) -> Standing:
        """The same, the book's risk measured; gaps that are named already stay."""
        measured = {line.symbol: line.gap for line in risk.positions if line.gap is not None}
        return replace(self, risk=risk, gaps=measured | dict(self.gaps))


class Measured(NamedTuple):
    """What every limit is measured on."""

    book: Portfolio
    limits: RiskLimits
    standing: Standing


Instances = Iterator[tuple[str | None, float]]
"""Who, and what is in use; NaN = unknown."""
Measure = Callable[[Measured], Instances]


def usages(portfolio: Portfolio, limits: RiskLimits, standing: Standing) -> tuple[tuple[LimitUsage, ...], tuple[Breach, ...]]:
    """The most used instance of every limit, and each instance that is broken.

    A NAV that is not above 0 makes everything unknown: a fraction of it would mean nothing.
    """
    worst, broken = [], []
    for code in LABELS:
        lines = instances(code, portfolio, limits, standing)
        worst.append(max(lines, key=lambda line: (SEVERITY[line.status], line.usage or 0.0)))
        broken += [
            Breach(line.code, line.who, line.limit, line.value)
            for line in lines
            if line.status is LimitStatus.BREACH and line.limit is not None and line.value is not None
        ]
    return tuple(worst), tuple(broken)


def limit_of(code: BreachCode, limits: RiskLimits) -> float | None:
    """The number of the limit whose key in ``risk_limits.yml`` is ``code``; None = off. ``RiskLimits.off()`` has none."""
    if _none_is_on(limits):
        return None
    if code is BreachCode.PAIR_CORRELATION:  # names that move together by more count as one position
        return None if limits.risk_model.max_pair_correlation is None else limits.position_sizing.max_position
    for part in (limits.position_sizing, limits.portfolio, limits.risk_model):
        value = getattr(part, code.value, None)
        if value is not None:
            return float(value)
    return None


@functools.lru_cache(16)
def _none_is_on(limits: RiskLimits) -> bool:
    """Kept, for it is asked of each limit of each book: ``limits`` are frozen."""
    return limits == RiskLimits.off(limits.stops, limits.margin)


def instances(code: BreachCode, portfolio: Portfolio, limits: RiskLimits, standing: Standing) -> list[LimitUsage]:
    """Every instance of one limit; at least one line, so that an empty book shows its headroom."""
    limit, nav, unit = limit_of(code, limits), portfolio.nav, UNITS.get(code, Unit.NAV)
    if code is BreachCode.GROSS and limit is not None and standing.share < 1.0:
        limit *= standing.share
    if unit is Unit.ORDER or not known_nav(nav):
        status = LimitStatus.OK if known_nav(nav) else LimitStatus.UNKNOWN
        return [LimitUsage(code, LABELS[code], limit, None, None, None, status, None, unit)]
    return [_line(code, limit, value, nav, who, unit) for who, value in MEASURES[code](Measured(portfolio, limits, standing))]


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


def at_risk(position: Position, stops: StopParams, gap: float = 0.0) -> float:
    """USD lost from the current price where the stop fills a ``gap`` (a fraction) beyond its level; without a stop the whole value.

    By :func:`mech_exo.risk.rules.loss_per_share`. An unknown gap (NaN) makes it unknown, unless there is no stop.
    """
    stop = resting_stop(position, stops)
    side = math.copysign(1.0, position.shares)
    if math.isnan(gap) and not math.isnan(stop):
        return math.nan
    return abs(position.shares) * loss_per_share(position.current_price, stop, side, 0.0 if math.isnan(stop) else gap)


def known_nav(nav: float) -> bool:
    """Whether fractions of ``nav`` mean anything: above 0 and finite."""
    return 0.0 < nav < math.inf


def _line(code: BreachCode, limit: float | None, value: float, nav: float, who: str | None, unit: Unit) -> LimitUsage:
    label, said = LABELS[code], None if math.isnan(value) else value
    if limit is None:
        return LimitUsage(code, label, None, said, None, None, LimitStatus.OK, who, unit)
    if said is None:
        return LimitUsage(code, label, limit, None, None, None, LimitStatus.UNKNOWN, who, unit)
    if code in (BreachCode.DRAWDOWN, BreachCode.ALL_TIME_DRAWDOWN):  # of the peak, not of NAV
        status = _below(value / limit) if value <= limit else LimitStatus.BREACH
        return LimitUsage(code, label, limit, value, value / limit, nav - nav / (1.0 - value) * (1.0 - limit), status, who, unit)
    status = LimitStatus.BREACH if share_allowed(limit, value) < 1.0 else _below(value / limit if limit else 0.0)
    room = (limit - value) * (nav if unit is Unit.NAV else 1.0)
    return LimitUsage(code, label, limit, value, value / limit if limit else None, room, status, who, unit)


def _below(usage: float) -> LimitStatus:
    return LimitStatus.WARNING if usage >= WARN_AT else LimitStatus.OK


def _positions(on: Measured) -> Instances:
    nav = on.book.nav
    yield None, 0.0
    for p in on.book.positions.values():
        yield p.symbol, abs(p.market_value) / nav


def _trade_risks(on: Measured) -> Instances:
    stops, limit, nav = StopParams.of(on.limits.stops), limit_of(BreachCode.TRADE_RISK, on.limits), on.book.nav
    yield None, 0.0
    for p in on.book.positions.values():
        value, least = (at_risk(p, stops, gap) / nav for gap in (stress_gap(p.symbol, on.limits, on.standing), 0.0))
        broken = limit is not None and share_allowed(limit, least) < 1.0  # whatever its gaps are
        yield p.symbol, least if math.isnan(value) and broken else value


def stress_gap(symbol: str, limits: RiskLimits, standing: Standing) -> float:
    """The gap beyond its stop that a position must survive; 0 where none is asked, NaN where it is unknown."""
    return 0.0 if limits.position_sizing.gap_stress is None else standing.gaps.get(symbol, math.nan)


def _sectors(on: Measured) -> Instances:
    """One per sector (gross of longs and shorts), and one for the names whose sector is unknown."""
    by_sector: dict[str, float] = {}
    nowhere = [p.symbol for p in on.book.positions.values() if p.sector is None]
    for p in on.book.positions.values():
        if p.sector is not None:
            by_sector[p.sector] = by_sector.get(p.sector, 0.0) + abs(p.market_value)
    yield None, 0.0
    for sector, value in by_sector.items():
        yield sector, value / on.book.nav
    if nowhere and limit_of(BreachCode.SECTOR, on.limits) is not None:
        yield ", ".join(nowhere), math.nan


def _exit_days(on: Measured) -> Instances:
    yield None, 0.0
    for p in on.book.positions.values():
        days = None if on.standing.risk is None else on.standing.risk.position(p.symbol).days_to_exit
        yield p.symbol, math.nan if days is None else days


def _groups(on: Measured) -> Instances:
    """Each group of names that move together, as one position."""
    if on.limits.risk_model.max_pair_correlation is None:  # nobody asked which names move together
        yield None, math.nan
        return
    yield None, 0.0
    if len(on.book.positions) < 2:
        return
    groups = None if on.standing.risk is None else on.standing.risk.groups
    if groups is None:
        yield _unknown(on), math.nan
    for names, usd in groups or ():
        yield " + ".join(names), usd / on.book.nav


def _unknown(on: Measured) -> str | None:
    """The names because of which a figure of the book is unknown."""
    return None if on.standing.risk is None else ", ".join(on.standing.risk.unknown) or None


def _of_risk(name: str, *, per_nav: bool = True) -> Measure:
    """A figure of the whole book's risk; in USD it counts per NAV."""

    def measure(on: Measured) -> Instances:
        value = None if on.standing.risk is None else getattr(on.standing.risk, name)
        if value is not None:
            yield None, abs(value) / on.book.nav if per_nav else value
        elif not on.book.positions:
            yield None, 0.0
        else:
            yield _unknown(on), math.nan

    return measure


def _whole(measure: Callable[[Portfolio, Standing], float]) -> Measure:
    """One figure of the whole book."""

    def measured(on: Measured) -> Instances:
        yield None, measure(on.book, on.standing)

    return measured


MEASURES: dict[BreachCode, Measure] = {
    BreachCode.TRADE_RISK: _trade_risks,
    BreachCode.POSITION: _positions,
    BreachCode.SECTOR: _sectors,
    BreachCode.GROSS: _whole(lambda book, _: book.gross_exposure / book.nav),
    BreachCode.LEVERAGE: _whole(lambda book, _: book.gross_exposure / book.nav),
    BreachCode.NET: _whole(lambda book, _: abs(book.net_exposure) / book.nav),
    BreachCode.CONCENTRATION: _whole(lambda book, _: top_five(book) or 0.0),
    BreachCode.DRAWDOWN: _whole(lambda _, standing: standing.fall),
    BreachCode.ALL_TIME_DRAWDOWN: _whole(lambda _, standing: standing.all_time_fall),
    BreachCode.DAILY_LOSS: _whole(lambda _, standing: max(standing.session_fall, 0.0)),  # in this order: a NaN stays one
    BreachCode.VOLATILITY: _of_risk("volatility_without_offsets"),
    BreachCode.VALUE_AT_RISK: _of_risk("value_at_risk_without_offsets"),
    BreachCode.EXPECTED_SHORTFALL: _of_risk("expected_shortfall_without_offsets"),
    BreachCode.BETA: _of_risk("beta_without_offsets", per_nav=False),
    BreachCode.PAIR_CORRELATION: _groups,
    BreachCode.AVERAGE_CORRELATION: _of_risk("moving_together", per_nav=False),
    BreachCode.EXIT_DAYS: _exit_days,
}
UNITS = {
    BreachCode.AVERAGE_CORRELATION: Unit.NUMBER, BreachCode.TURNOVER: Unit.ORDER,
    BreachCode.BETA: Unit.NUMBER, BreachCode.EXIT_DAYS: Unit.DAYS, BreachCode.VOLUME: Unit.ORDER, BreachCode.PRICE_COLLAR: Unit.ORDER,
}  # fmt: skip


def word_of(rule: int, own_limits: Sequence[str] = ()) -> str:
    """The word by which records name a rule's code; ``own_limits`` are those of plug-ins in their order."""
    return f"{PREFIX}{own_limits[rule - Rule.PLUGIN]}" if rule >= Rule.PLUGIN else BreachCode[Rule(rule).name].value


def breach_of(line: np.void, symbols: Sequence[str], sectors: Sequence[str], own_limits: Sequence[str] = ()) -> Breach:
    """A BREACH record in the domain's words; ``symbols`` and ``sectors`` give the names its codes stand for."""
    who = int(line["symbol"])
    name = symbols[who] if who >= 0 else (sectors[FIRST_SECTOR - who] if who <= FIRST_SECTOR else None)
    return Breach.of(word_of(int(line["rule"]), own_limits), name, float(line["limit"]), float(line["value"]))
