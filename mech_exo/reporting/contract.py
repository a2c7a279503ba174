"""What the account has to show for itself at a close: the KPI contract, and what the day's trading cost beside its demand on costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.errors import MechExoError
from mech_exo.reporting.night_parts import DayCosts, KpiContract, KpiDemand, KpiFigure
from mech_exo.reporting.text import UNKNOWN, known

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookedDay, BookId
    from mech_exo.performance.kpi import Kpi
    from mech_exo.reporting.account import Course
    from mech_exo.utils.settings import Config


def contract(
    ledger: Ledger, book: BookId, config: Config, panel: BarPanel | None, until: date, why: str, course: Course | None = None
) -> KpiContract:
    """The contract of ``book`` over its sessions up to ``until``; unknown without the bars its trades are measured on (``why``).

    ``course``: what is booked, where it is at hand.
    """
    from mech_exo.reporting.account import account_record

    if panel is None:
        return KpiContract(0, UNKNOWN, UNKNOWN, (), why)
    try:
        record = account_record(ledger, book, panel, config, until=until, course=course)
    except MechExoError as error:  # the store lacks a traded name or a session: said, not guessed
        return KpiContract(0, UNKNOWN, UNKNOWN, (), error.message)
    trailing, whole = record.kpi.trailing, record.kpi.whole
    demands = tuple(
        KpiDemand(one.name, one.label, one.bound, one.threshold, _figure(recent), _figure(one))
        for recent, one in zip(trailing.kpis, whole.kpis, strict=True)
    )
    return KpiContract(whole.sessions, trailing.verdict.value, whole.verdict.value, demands, "")


def _figure(kpi: Kpi) -> KpiFigure:
    bounded = kpi.interval is not None and math.isfinite(kpi.interval.low)
    low, high = (kpi.interval.low, kpi.interval.high) if bounded and kpi.interval is not None else (None, None)
    return KpiFigure(known(kpi.value), known(low), known(high), kpi.verdict.value, kpi.note)


def day_costs(ledger: Ledger, book: BookId, panel: BarPanel | None, days: Sequence[BookedDay]) -> DayCosts:
    """The fills of the last of ``days``, and what all of ``days`` cost of their gross P&L."""
    from mech_exo.execution.tracker import ExecutionTracker, summed
    from mech_exo.kernels.records import DAY
    from mech_exo.performance.kpi import MAX_COST_SHARE
    from mech_exo.performance.trading import costs
    from mech_exo.reporting.account import day_record

    session = days[-1].session
    total = summed(ExecutionTracker(ledger, book, panel).costs(session=session))
    paid = costs(np.array([day_record(day) for day in days], DAY))
    nothing = f"gross P/L of the record is {paid.gross:,.2f} USD, not above 0: a share of it means nothing"
    note = "" if math.isfinite(paid.share) else nothing
    lacking = total.fills - total.complete
    return DayCosts(
        fills=total.fills,
        traded=total.traded,
        commission=None if total.unreported else total.commission,
        slippage=None if total.unarrived else total.slippage,
        slippage_bps=None if total.unarrived else known(total.slippage_bps),
        shortfall=None if lacking else total.shortfall,
        shortfall_bps=None if lacking else known(total.shortfall_bps),
        unmeasured=lacking,
        share=known(paid.share),
        allowed=MAX_COST_SHARE,
        share_note=note,
    )
