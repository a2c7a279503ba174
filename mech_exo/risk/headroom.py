"""How much more of each approved target the limits would allow: :func:`with_rooms`. The uses are those of ``risk/usage.py``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from mech_exo.domain.portfolio import Portfolio, Position
from mech_exo.domain.targets import Room, TargetPosition
from mech_exo.domain.verdict import BreachCode, RiskDecision, RiskState
from mech_exo.risk.stops import StopParams
from mech_exo.risk.usage import Standing, at_risk, instances, known_nav, limit_of
from mech_exo.utils.settings import RiskLimits

DENIED = {RiskState.REDUCING: BreachCode.DRAWDOWN, RiskState.HALTED: BreachCode.HALTED}
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)  # a target has no entry yet, and no limit asks for its date


def with_rooms(
    verdict: RiskDecision, prices: Mapping[str, float], sectors: Mapping[str, str | None], nav: float, limits: RiskLimits
) -> RiskDecision:
    """``verdict`` with the :class:`~mech_exo.domain.targets.Room` of every approved target: which limit is next, and how many USD away.

    Measured on the whole approved book at ``prices`` (USD). A target that a limit cut has no room in it; one whose price or NAV is
    unknown, or that is not wanted at all, has no room that could be known.
    """
    if not known_nav(nav):
        return verdict
    book = Portfolio(nav)
    for target in verdict.approved:
        price = prices.get(target.symbol, math.nan)
        if target.shares and 0.0 < price < math.inf:
            position = Position(target.symbol, target.shares, price, price, UNDATED, sectors.get(target.symbol), target.stop_level)
            book.add_position(position)
    return replace(verdict, approved=tuple(_with_room(target, verdict.state, book, sectors, limits) for target in verdict.approved))


def _with_room(
    target: TargetPosition, state: RiskState, book: Portfolio, sectors: Mapping[str, str | None], limits: RiskLimits
) -> TargetPosition:
    sector = sectors.get(target.symbol)
    if target.binding:
        return replace(target, room=Room(target.binding, sector if target.binding == BreachCode.SECTOR else None, 0.0))
    if state in DENIED and target.shares:
        return replace(target, room=Room(DENIED[state].value, None, 0.0))
    position = book.positions.get(target.symbol)
    if position is None:
        return target
    nearest = min(_rooms(position, book, limits), key=lambda room: room.usd, default=None)
    return target if nearest is None else replace(target, room=nearest)


def _rooms(position: Position, book: Portfolio, limits: RiskLimits) -> Iterator[Room]:
    """USD that ``position`` may grow by until each limit that is on binds, everything else as it is."""
    nav, value = book.nav, abs(position.market_value)
    for code in (BreachCode.POSITION, BreachCode.TRADE_RISK, BreachCode.SECTOR, BreachCode.GROSS, BreachCode.LEVERAGE):
        for line in instances(code, book, limits, Standing(math.nan)):
            who = position.sector if code is BreachCode.SECTOR else position.symbol
            if line.headroom is None or line.who not in (who, None) or (line.who is None and _per_name(code)):
                continue
            risked = at_risk(position, StopParams.of(limits.stops)) if code is BreachCode.TRADE_RISK else value
            if risked > 0.0:  # a stop that is passed already risks nothing further
                yield Room(code.value, line.who if code is BreachCode.SECTOR else None, max(0.0, line.headroom * value / risked))
    net = limit_of(BreachCode.NET, limits)
    if net is not None:
        yield Room(BreachCode.NET.value, None, max(0.0, net * nav - math.copysign(book.net_exposure, position.shares * book.net_exposure)))
    five = limit_of(BreachCode.CONCENTRATION, limits)
    if five is not None:
        others = sorted((abs(p.market_value) for p in book.positions.values() if p is not position), reverse=True)
        fifth = others[4] if len(others) > 4 else 0.0
        room = max(0.0, five * nav - sum(others[:4]) - max(value, fifth))
        yield Room(BreachCode.CONCENTRATION.value, None, room + max(0.0, fifth - value))  # below the fifth it grows freely
    if position.sector is None and limit_of(BreachCode.SECTOR, limits) is not None:
        yield Room(BreachCode.UNKNOWN_SECTOR.value, None, 0.0)


def _per_name(code: BreachCode) -> bool:
    """Whether a limit's line for nobody in particular is only there to show an empty book's headroom."""
    return code in (BreachCode.POSITION, BreachCode.TRADE_RISK, BreachCode.SECTOR)
