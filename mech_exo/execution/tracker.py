"""What execution cost: every fill against the price it was decided at and the price it could have had."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId

if TYPE_CHECKING:
    import polars as pl

BPS = 10_000.0


@dataclass(frozen=True, slots=True)
class FillCost:
    """One fill's costs. Positive is a cost; NaN where a price is unknown (an exit by a stop has no decision price).

    ``slippage`` is against the open or the stop's level, ``shortfall`` against the close the order was decided at
    (Perold 1988, "The implementation shortfall": paper against reality, commission apart). ``_bps`` are of the
    respective price.
    """

    fill_id: str
    session: date
    symbol: str
    shares: int
    price: float
    reference: float
    decision_price: float
    commission: float
    slippage: float
    slippage_bps: float
    shortfall: float
    shortfall_bps: float


@dataclass(frozen=True, slots=True)
class CostSummary:
    """Costs of a period in USD; ``_bps`` weighted by value traded; NaN where nothing traded.

    ``gross_pnl`` is price P&L + dividends + interest of the booked sessions, ``borrow`` what their shorts cost;
    ``cost_share`` = (commission + slippage + borrow) ÷ gross, NaN ("not meaningful") unless gross is above 0.
    """

    fills: int
    traded: float
    commission: float
    slippage: float
    slippage_bps: float
    shortfall: float
    shortfall_bps: float
    borrow: float
    gross_pnl: float
    cost_share: float


class ExecutionTracker:
    """Slippage and commissions of one book, from the ledger."""

    def __init__(self, ledger: Ledger, book: BookId) -> None:
        self._ledger, self._book = ledger, book

    def costs(self, since: date | None = None) -> tuple[FillCost, ...]:
        """One row per fill of sessions from ``since`` on, in the order they were recorded."""
        decided = {row.order.id: row.price for row in self._ledger.orders(self._book)}
        found = []
        for row in self._ledger.fills(self._book, since=since):
            fill = row.fill
            price = decided.get(fill.order_id, math.nan)
            shortfall = (fill.price - price) * fill.shares
            found.append(
                FillCost(
                    fill.id, fill.session, fill.symbol, fill.shares, fill.price, fill.reference, price, fill.commission,
                    slippage=fill.slippage, slippage_bps=_bps(fill.slippage, fill.shares, fill.reference),
                    shortfall=shortfall, shortfall_bps=_bps(shortfall, fill.shares, price),
                )
            )  # fmt: skip
        return tuple(found)

    def summary(self, since: date | None = None) -> CostSummary:
        """Totals of the period. Shortfall covers the fills that have a decision price."""
        costs = self.costs(since)
        decided = [cost for cost in costs if not math.isnan(cost.shortfall)]
        at_reference = math.fsum(abs(cost.shares) * cost.reference for cost in costs)
        at_decision = math.fsum(abs(cost.shares) * cost.decision_price for cost in decided)
        commission, slippage = math.fsum(cost.commission for cost in costs), math.fsum(cost.slippage for cost in costs)
        shortfall = math.fsum(cost.shortfall for cost in decided)
        days = [booked.day for booked in self._ledger.day_history(self._book) if since is None or booked.session >= since]
        gross = math.fsum(day.price_pnl + day.dividends + day.interest for day in days) if days else math.nan
        borrow = math.fsum(day.borrow for day in days)
        return CostSummary(
            fills=len(costs),
            traded=math.fsum(abs(cost.shares) * cost.price for cost in costs),
            commission=commission,
            slippage=slippage,
            slippage_bps=slippage / at_reference * BPS if at_reference > 0.0 else math.nan,
            shortfall=shortfall,
            shortfall_bps=shortfall / at_decision * BPS if at_decision > 0.0 else math.nan,
            borrow=borrow,
            gross_pnl=gross,
            cost_share=(commission + slippage + borrow) / gross if gross > 0.0 else math.nan,
        )

    def frame(self, since: date | None = None) -> pl.DataFrame:
        """:meth:`costs` as a Polars frame."""
        import polars as pl

        return pl.DataFrame(self.costs(since))


def _bps(cost: float, shares: int, price: float) -> float:
    return cost / (abs(shares) * price) * BPS
