"""A booked session as risk sees it: its book, its NAVs so far, every limit and every scenario, measured by ``risk.checker``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mech_exo.reporting.night import Headroom
from mech_exo.reporting.night_parts import Scenario, Stress

if TYPE_CHECKING:
    from mech_exo.domain.portfolio import Portfolio
    from mech_exo.execution.rows import BookedDay, SessionRow
    from mech_exo.risk.model import Market
    from mech_exo.risk.status import RiskStatus
    from mech_exo.risk.stress import StressLine
    from mech_exo.utils.settings import RiskLimits


def closing_book(row: SessionRow, sectors: Mapping[str, str | None]) -> Portfolio:
    """What was held at the close. Without the price of one position there is no NAV: an empty book of 0 USD, of which all is unknown."""
    from mech_exo.domain.portfolio import Portfolio
    from mech_exo.execution.booking import position_of

    held = [line for line in row.lines if line.shares]
    if any(math.isnan(line.mark) for line in held):
        return Portfolio(0.0)
    return Portfolio(row.day.cash, {line.symbol: position_of(line, row.session, sectors.get(line.symbol)) for line in held})


def nav_history(days: Sequence[BookedDay]) -> list[float]:
    """NAVs before the last of ``days`` with deposits taken out, oldest first, on that day's scale; NaN where unknown or not above 0."""
    last = days[-1].day
    scale = last.nav / last.index if last.index > 0.0 else math.nan
    history = [scale, *(booked.day.index * scale for booked in days[:-1])]
    return [value if 0.0 < value < math.inf else math.nan for value in history]


def closing_status(
    row: SessionRow, days: Sequence[BookedDay], limits: RiskLimits, sectors: Mapping[str, str | None], market: Market | None, *,
    halted: bool,
) -> RiskStatus:  # fmt: skip
    """Every limit, the book's risk and the scenarios at the close of ``row``, the last of ``days``.

    Without ``market`` what is measured on it is unknown.
    """
    from mech_exo.risk.checker import RiskChecker

    missing = {line.symbol: line.missing for line in row.lines if line.shares and line.missing}
    return RiskChecker(
        closing_book(row, sectors), limits, nav_history=nav_history(days), halted=halted, market=market, missing=missing,
        share=row.day.scale,
    ).check()  # fmt: skip


def headroom(status: RiskStatus) -> tuple[Headroom, ...]:
    """Every limit that is on and asked of a book, with its most used instance."""
    return tuple(
        Headroom(line.label, line.who, line.limit, line.value, line.unit.value, line.status.value)
        for line in status.limits
        if line.limit is not None and line.unit.value != "order"
    )


def stress(status: RiskStatus, why: str) -> Stress:
    """The scenarios; ``why`` says what could not be read for them."""
    return Stress(tuple(_scenario(line) for line in status.stress), why)


def _scenario(line: StressLine) -> Scenario:
    worst, loss = line.worst if line.worst is not None else (None, None)
    return Scenario(line.scenario, line.story, line.detail, line.pnl, line.fraction, line.basis, worst, loss, line.unmeasured)
