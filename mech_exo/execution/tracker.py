"""What execution cost: each fill against the price it was decided at, the price it could have had, and the close that followed.

Perold (1988), "The Implementation Shortfall: Paper versus Reality", Journal of Portfolio Management 14(3): shortfall = what the account
paid beyond trading everything at the decision price for nothing. It falls into delay (decision to arrival), impact (arrival to fill; spread
and market impact) and fees, which add up to it by construction. Positive is a cost. NaN = unknown: counted, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.orders import Fill, OrderType
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId, OrderRow

if TYPE_CHECKING:
    import polars as pl

    from mech_exo.domain.panel import BarPanel

BPS = 10_000.0


class By(StrEnum):
    """What costs are summed by."""

    SYMBOL = "symbol"
    DAY = "day"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class FillCost:
    """One fill's costs in USD; prices in USD a share.

    Parameters
    ----------
    decision
        The close the order was decided at, in the session's shares and without its dividend. Of a resting stop or target: its level.
    arrival
        The price it could have had: the open; the close for an order at the close; the level of a stop or limit, or the open beyond it.
    close
        The session's close.
    fees
        The commission.
    delay, impact
        (arrival - decision) × shares and (price - arrival) × shares.
    """

    fill_id: str
    order_id: str
    session: date
    symbol: str
    shares: int
    price: float
    decision: float
    arrival: float
    close: float
    fees: float

    @property
    def delay(self) -> float:
        """USD lost or gained between decision and arrival."""
        return (self.arrival - self.decision) * self.shares

    @property
    def impact(self) -> float:
        """USD paid beyond the arrival price: spread and market impact. What is called slippage everywhere else."""
        return (self.price - self.arrival) * self.shares

    @property
    def shortfall(self) -> float:
        """The implementation shortfall: delay + impact + fees."""
        return self.delay + self.impact + self.fees

    @property
    def against_close(self) -> float:
        """USD paid beyond the session's close; what the fill's timing inside the session was worth."""
        return (self.price - self.close) * self.shares

    @property
    def decided_value(self) -> float:
        """|shares| × decision price: what the parts in bps are of, so that they add up too."""
        return abs(self.shares) * self.decision

    def bps(self, usd: float) -> float:
        """``usd`` in basis points of the decided value."""
        return usd / self.decided_value * BPS

    @property
    def impact_bps(self) -> float:
        """Impact in bps of the arrival price, known also where no decision is."""
        return self.impact / (abs(self.shares) * self.arrival) * BPS


@dataclass(frozen=True, slots=True)
class CostSummary:
    """Costs of many fills in USD.

    ``delay + impact + fees = shortfall``, in USD and in bps of ``decided`` alike, over the ``complete`` fills, of which everything is
    known. ``commission`` and ``slippage`` (impact) are those of every fill where they are known; ``slippage_bps`` is of their value at
    arrival, NaN where nothing traded. ``undecided``, ``unarrived`` and ``unreported`` count fills without a decision price, an arrival
    price, a commission.
    """

    fills: int
    complete: int
    undecided: int
    unarrived: int
    unreported: int
    traded: float
    decided: float
    delay: float
    impact: float
    fees: float
    shortfall: float
    delay_bps: float
    impact_bps: float
    fees_bps: float
    shortfall_bps: float
    against_close: float
    commission: float
    slippage: float
    slippage_bps: float


class ExecutionTracker:
    """Costs of one book's fills, from the ledger.

    ``panel``: bars as traded, for opens, closes, splits and dividends. Without it the arrival is the fill's own reference, closes are
    unknown, and a split or dividend between decision and fill is not taken out.
    """

    def __init__(self, ledger: Ledger, book: BookId, panel: BarPanel | None = None) -> None:
        self._ledger, self._book, self._panel = ledger, book, panel

    def costs(self, since: date | None = None, *, session: date | None = None) -> tuple[FillCost, ...]:
        """One row per fill of sessions from ``since`` on, or of ``session`` alone, in the order they were recorded."""
        fills = self._ledger.fills(self._book, since=since, session=session)
        orders = self._ledger.find_orders(row.fill.order_id for row in fills)
        return tuple(self._cost(row.fill, orders.get(row.fill.order_id)) for row in fills)

    def summary(self, since: date | None = None) -> CostSummary:
        """Totals of the sessions from ``since`` on."""
        return summed(self.costs(since))

    def by(self, what: By, since: date | None = None) -> tuple[tuple[str, CostSummary], ...]:
        """Totals by symbol, day or order, in that order."""
        key: Callable[[FillCost], str] = {
            By.SYMBOL: lambda cost: cost.symbol, By.DAY: lambda cost: str(cost.session), By.ORDER: lambda cost: cost.order_id,
        }[what]  # fmt: skip
        groups: dict[str, list[FillCost]] = {}
        for cost in self.costs(since):
            groups.setdefault(key(cost), []).append(cost)
        return tuple((name, summed(groups[name])) for name in (groups if what is By.ORDER else sorted(groups)))

    def frame(self, since: date | None = None) -> pl.DataFrame:
        """:meth:`costs` as a Polars frame, parts included."""
        import polars as pl

        parts = ("delay", "impact", "shortfall", "against_close", "impact_bps")
        rows = [asdict(cost) | {name: getattr(cost, name) for name in parts} for cost in self.costs(since)]
        text = {"fill_id": pl.String, "order_id": pl.String, "session": pl.Date, "symbol": pl.String, "shares": pl.Int64}
        names = (*(field.name for field in fields(FillCost)), *parts)
        return pl.DataFrame(rows, schema={name: text.get(name, pl.Float64) for name in names})

    def _cost(self, fill: Fill, row: OrderRow | None) -> FillCost:
        bar = _Bar.of(self._panel, fill.symbol, fill.session)
        return FillCost(
            fill.id, fill.order_id, fill.session, fill.symbol, fill.shares, fill.price,
            _decision(row, bar), _arrival(fill, row, bar), bar.close, fill.commission,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Bar:
    """Of one session: USD a share, NaN unknown."""

    open: float = math.nan
    close: float = math.nan
    ratio: float = 1.0
    dividend: float = 0.0

    @classmethod
    def of(cls, panel: BarPanel | None, symbol: str, session: date) -> _Bar:
        column = None if panel is None else panel.find(symbol)
        if panel is None or column is None:
            return cls()
        row = int(np.searchsorted(panel.sessions, np.datetime64(session, "D")))
        if row == len(panel.sessions) or panel.sessions[row] != np.datetime64(session, "D"):
            return cls()
        return cls(*(float(values[row, column]) for values in (panel.open, panel.close, panel.split_ratio, panel.dividend)))


def _decision(row: OrderRow | None, bar: _Bar) -> float:
    if row is None:
        return math.nan
    if row.order.rests and row.order.level is not None:
        return row.order.level
    return row.price / bar.ratio - bar.dividend


def _arrival(fill: Fill, row: OrderRow | None, bar: _Bar) -> float:
    if not math.isnan(fill.reference):
        return fill.reference
    if row is None:
        return math.nan
    if row.order.type is OrderType.MARKET_ON_CLOSE:
        return bar.close
    if row.order.type in (OrderType.STOP, OrderType.LIMIT) and row.order.level is not None:
        return _met(row.order.type, row.order.level, bar.open, fill.shares)
    return bar.open


def _met(type_: OrderType, level: float, open_: float, shares: int) -> float:
    """Where a bar that opened at ``open_`` and reached ``level`` met the order: the open where it was beyond the level already."""
    if math.isnan(open_):
        return math.nan
    dearest = (shares > 0) is (type_ is OrderType.STOP)  # a stop is met at the worse price of the two, a limit at the better
    return max(level, open_) if dearest else min(level, open_)


def summed(costs: Iterable[FillCost]) -> CostSummary:
    """The totals of ``costs``."""
    every = tuple(costs)
    whole = [cost for cost in every if not math.isnan(cost.shortfall)]
    arrived = [cost for cost in every if not math.isnan(cost.arrival)]
    decided = math.fsum(cost.decided_value for cost in whole)
    delay, impact, fees = (math.fsum(getattr(cost, name) for cost in whole) for name in ("delay", "impact", "fees"))
    shortfall = delay + impact + fees
    slippage = math.fsum(cost.impact for cost in arrived)

    def bps(usd: float, value: float = decided) -> float:
        return usd / value * BPS if value > 0.0 else math.nan

    return CostSummary(
        fills=len(every),
        complete=len(whole),
        undecided=sum(math.isnan(cost.decision) for cost in every),
        unarrived=len(every) - len(arrived),
        unreported=sum(math.isnan(cost.fees) for cost in every),
        traded=math.fsum(abs(cost.shares) * cost.price for cost in every),
        decided=decided,
        delay=delay,
        impact=impact,
        fees=fees,
        shortfall=shortfall,
        delay_bps=bps(delay),
        impact_bps=bps(impact),
        fees_bps=bps(fees),
        shortfall_bps=bps(shortfall),
        against_close=math.fsum(cost.against_close for cost in every if not math.isnan(cost.close)),
        commission=math.fsum(cost.fees for cost in every if not math.isnan(cost.fees)),
        slippage=slippage,
        slippage_bps=bps(slippage, math.fsum(abs(cost.shares) * cost.arrival for cost in arrived)),
    )
