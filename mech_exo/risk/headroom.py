"""How much more of each approved target the limits would allow: :func:`with_rooms`. The uses are those of ``risk/usage.py``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mech_exo.domain.portfolio import Portfolio, Position
from mech_exo.domain.targets import Room, TargetPosition
from mech_exo.domain.verdict import BreachCode, RiskDecision, RiskState
from mech_exo.risk.model import Market, Terms, book_risk
from mech_exo.risk.stops import StopParams
from mech_exo.risk.usage import LimitStatus, Standing, at_risk, instances, known_nav, limit_of, stress_gap
from mech_exo.utils.settings import RiskLimits

STOPPING = (BreachCode.HALTED, BreachCode.DRAWDOWN, BreachCode.ALL_TIME_DRAWDOWN, BreachCode.DAILY_LOSS)
"""By one of them a verdict that is not ACTIVE says why."""
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)  # a target has no entry yet, and no limit asks for its date


SIMPLE = (BreachCode.POSITION, BreachCode.TRADE_RISK, BreachCode.SECTOR, BreachCode.GROSS, BreachCode.LEVERAGE)
MODEL = (
    BreachCode.VOLATILITY, BreachCode.VALUE_AT_RISK, BreachCode.EXPECTED_SHORTFALL, BreachCode.BETA, BreachCode.PAIR_CORRELATION,
    BreachCode.AVERAGE_CORRELATION, BreachCode.EXIT_DAYS,
)  # fmt: skip
HALVINGS = 20


@dataclass(frozen=True, slots=True)
class Tonight:
    """What rooms are measured on: by symbol closes (USD), sectors and gap tails (fractions), missing or NaN = unknown; the market.

    ``share`` is what the drawdown governor leaves of the gross limit.
    """

    prices: Mapping[str, float]
    sectors: Mapping[str, str | None]
    gaps: Mapping[str, float]
    market: Market | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class _Whole:
    """What of the whole book every target's room is measured by, in USD: headroom by limit and whom, net value, the five largest."""

    headroom: Mapping[tuple[BreachCode, str | None], float]
    nav: float
    net: float
    largest: tuple[float, ...]

    @classmethod
    def of(cls, book: Portfolio, tonight: Tonight, limits: RiskLimits) -> _Whole:
        standing = Standing(math.nan, gaps=tonight.gaps, share=tonight.share)
        headroom = {}
        for line in (line for code in SIMPLE for line in instances(code, book, limits, standing)):
            if line.headroom is not None and (line.who is not None or not _per_name(line.code)):
                headroom[line.code, line.who] = line.headroom
        values = sorted((abs(position.market_value) for position in book.positions.values()), reverse=True)
        return cls(headroom, book.nav, book.net_exposure, tuple(values[:6]))


def with_rooms(verdict: RiskDecision, tonight: Tonight, nav: float, limits: RiskLimits) -> RiskDecision:
    """``verdict`` with the :class:`~mech_exo.domain.targets.Room` of every approved target: which limit is next, and how many USD away.

    Measured on the whole approved book. A target that a limit cut has no room in it; one whose price or NAV is unknown, or that is not
    wanted at all, has no room that could be known. What limits ask of an order alone (volume, collar, turnover, those of plug-ins) is not
    looked at.
    """
    if not known_nav(nav):
        return verdict
    book = Portfolio(nav)
    for target in verdict.approved:
        price = tonight.prices.get(target.symbol, math.nan)
        if target.shares and 0.0 < price < math.inf:
            position = Position(target.symbol, target.shares, price, price, UNDATED, tonight.sectors.get(target.symbol), target.stop_level)
            book.add_position(position)
    why = next((found.code for found in verdict.breaches if found.symbol is None and found.code in STOPPING), None)
    why = None if verdict.state is RiskState.ACTIVE else why or BreachCode.DRAWDOWN
    whole = _Whole.of(book, tonight, limits)
    return replace(verdict, approved=tuple(_with_room(target, why, book, whole, tonight, limits) for target in verdict.approved))


def _with_room(
    target: TargetPosition, why: BreachCode | None, book: Portfolio, whole: _Whole, tonight: Tonight, limits: RiskLimits
) -> TargetPosition:  # fmt: skip
    sector = tonight.sectors.get(target.symbol)
    if target.binding:
        return replace(target, room=Room(target.binding, sector if target.binding == BreachCode.SECTOR else None, 0.0))
    if why is not None and target.shares:
        return replace(target, room=Room(why.value, None, 0.0))
    position = book.positions.get(target.symbol)
    if position is None:
        return target
    nearest = min(_rooms(position, whole, tonight, limits), key=lambda room: room.usd, default=None)
    return target if nearest is None else replace(target, room=_model_room(position, book, tonight, limits, nearest))


def _rooms(position: Position, whole: _Whole, tonight: Tonight, limits: RiskLimits) -> Iterator[Room]:
    """USD that ``position`` may grow by until each limit that is on binds, everything else as it is."""
    nav, value, standing = whole.nav, abs(position.market_value), Standing(math.nan, gaps=tonight.gaps, share=tonight.share)
    gap = stress_gap(position.symbol, limits, standing)
    for code in SIMPLE:
        who = position.sector if code is BreachCode.SECTOR else position.symbol if _per_name(code) else None
        left = whole.headroom.get((code, who))
        risked = at_risk(position, StopParams.of(limits.stops), gap) if code is BreachCode.TRADE_RISK else value
        if left is not None and risked > 0.0:  # a stop that is passed already risks nothing further
            yield Room(code.value, who if code is BreachCode.SECTOR else None, max(0.0, left * value / risked))
    net = limit_of(BreachCode.NET, limits)
    if net is not None:
        yield Room(BreachCode.NET.value, None, max(0.0, net * nav - math.copysign(whole.net, position.shares * whole.net)))
    five = limit_of(BreachCode.CONCENTRATION, limits)
    if five is not None:
        others = list(whole.largest)
        if value in others:
            others.remove(value)
        fifth = others[4] if len(others) > 4 else 0.0
        room = max(0.0, five * nav - sum(others[:4]) - max(value, fifth))
        yield Room(BreachCode.CONCENTRATION.value, None, room + max(0.0, fifth - value))  # below the fifth it grows freely
    if math.isnan(at_risk(position, StopParams.of(limits.stops), gap)):
        yield Room(BreachCode.UNKNOWN_RISK.value, None, 0.0)
    if position.sector is None and limit_of(BreachCode.SECTOR, limits) is not None:
        yield Room(BreachCode.UNKNOWN_SECTOR.value, None, 0.0)


def _per_name(code: BreachCode) -> bool:
    """Whether a limit's line for nobody in particular is only there to show an empty book's headroom."""
    return code in (BreachCode.POSITION, BreachCode.TRADE_RISK, BreachCode.SECTOR)


def _model_room(position: Position, book: Portfolio, tonight: Tonight, limits: RiskLimits, nearest: Room) -> Room:
    """``nearest``, or the limit on past returns or liquidity that binds before it, found by halving: each grows with every position."""
    asked = [code for code in MODEL if limit_of(code, limits) is not None]
    terms = Terms.of(limits)

    def binds(more: float) -> BreachCode | None:
        shares = position.shares + math.copysign(more / position.current_price, position.shares)
        grown = Portfolio(book.nav, {**book.positions, position.symbol: replace(position, shares=shares)})
        grown.cash = book.nav - grown.net_exposure
        standing = Standing(math.nan, gaps=tonight.gaps).with_risk(book_risk(grown, tonight.market, terms))
        beyond = (LimitStatus.BREACH, LimitStatus.UNKNOWN)
        return next((code for code in asked if any(line.status in beyond for line in instances(code, grown, limits, standing))), None)

    most = min(nearest.usd, book.nav * 4.0)
    found = binds(most) if asked else None
    if found is None:
        return nearest
    low, high = 0.0, most
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        code = binds(middle)
        low, high, found = (middle, high, found) if code is None else (low, middle, code)
    return Room(found.value, None, low if binds(low) is None else 0.0)
