"""The cost model from own fills: slippage, square-root impact and the commission schedule, each with what speaks for it.

Slippage of a market order = slippage_bps + impact × σ √(shares / ADV) + noise, what the model says of spreads taken off before
(``kernels.costs``, the very functions that the backtest and the paper broker charge). Fitted by Huber's M-estimator (Huber 1964, "Robust
Estimation of a Location Parameter"; k = 1.345, scale by the median absolute deviation), standard errors by its sandwich (Huber 1973,
with the small-sample factor of Street, Carroll & Ruppert 1988), 95 % intervals. A figure is proposed anew only where its interval
excludes the present one: what the fills do not contradict stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.errors import MissingDataError
from mech_exo.domain.orders import OrderType
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId
from mech_exo.execution.tracker import BPS, ExecutionTracker, FillCost
from mech_exo.kernels.records import CostParams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel

    Floats = NDArray[np.float64]
    Weights = Callable[[Floats], Floats]

MINIMUM = 50
"""Market orders below which nothing is estimated: two figures and a scale, and a normal interval that means something."""
MARKET = frozenset({OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE, OrderType.MARKET})
K = 1.345  # 95 % efficient where the noise is normal
CONSISTENT = 1.4826  # of the median absolute deviation, for a normal law
Z = 1.959963984540054
ROUNDS, SETTLED = 200, 1e-12
NEARER = 0.5
"""A commission schedule is proposed when it misses what was charged by less than this part of what the present one misses it by."""


@dataclass(frozen=True, slots=True)
class Traded:
    """One order's market fills of one session: ``slippage`` a fraction of the arrival price, ``fees`` USD (NaN = not reported)."""

    session: date
    symbol: str
    shares: int
    price: float
    slippage: float
    fees: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of the cost model: what it is, what the fills say (95 % from ``low`` to ``high``) and what is proposed."""

    name: str
    present: float
    value: float
    error: float
    low: float
    high: float
    proposed: float

    @property
    def contradicts(self) -> bool:
        """Whether the fills speak against the present figure."""
        return self.proposed != self.present


@dataclass(frozen=True, slots=True)
class Commission:
    """What the commissions of ``orders`` came to, and by how many USD each schedule misses them, summed over orders."""

    orders: int
    charged: float
    present: str
    missed: Mapping[str, float]
    proposed: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """``orders`` measured; ``left_out`` had no arrival price or no known volume; ``noise_bps`` is the scale of what the model leaves."""

    orders: int
    left_out: int
    first: date
    last: date
    estimates: tuple[Estimate, ...]
    noise_bps: float
    commission: Commission


def calibrate(
    ledger: Ledger, book: BookId, panel: BarPanel, costs: CostParams, schedules: Mapping[str, CostParams], since: date | None = None
) -> Calibration:  # fmt: skip
    """Fit the cost model to the market orders of ``book``.

    Parameters
    ----------
    panel
        Bars as traded that hold the sessions before the fills.
    costs
        The present model.
    schedules
        Commission schedules by name to hold against what was charged; the first is the present one.

    Raises
    ------
    MissingDataError
        Fewer than :data:`MINIMUM` market orders can be measured.
    """
    traded = market_trades(ledger, book, panel, since)
    x, rest = _explained(traded, panel, costs)
    known = np.isfinite(x) & np.isfinite(rest)
    count = int(known.sum())
    if count < MINIMUM:
        raise MissingDataError(
            f"costs are estimated from at least {MINIMUM} filled market orders; {book} has {count} that can be measured, "
            f"{MINIMUM - count} more are needed",
            remedy="exo execution costs shows what was paid so far",
        )
    design = np.column_stack([np.ones(count), x[known]])
    fitted, errors, scale = huber(design, rest[known])
    figures = (("slippage_bps", round(costs.slippage * BPS, 9), BPS), ("impact", costs.impact, 1.0))
    estimates = tuple(
        _estimate(name, present, float(value) * unit, float(error) * unit)
        for (name, present, unit), value, error in zip(figures, fitted, errors, strict=True)
    )
    sessions = [trade.session for trade, seen in zip(traded, known, strict=True) if seen]
    commission = _commission(traded, schedules)
    return Calibration(count, len(traded) - count, min(sessions), max(sessions), estimates, scale * BPS, commission)


def market_trades(ledger: Ledger, book: BookId, panel: BarPanel, since: date | None = None) -> tuple[Traded, ...]:
    """The fills of market orders, one line an order and session, in their order."""
    types = {row.order.id: row.order.type for row in ledger.orders(book)}
    groups: dict[tuple[str, date], list[FillCost]] = {}
    for cost in ExecutionTracker(ledger, book, panel).costs(since):
        if types.get(cost.order_id) in MARKET:
            groups.setdefault((cost.order_id, cost.session), []).append(cost)
    return tuple(_trade(fills) for fills in groups.values())


def _trade(fills: Sequence[FillCost]) -> Traded:
    shares = sum(fill.shares for fill in fills)
    paid, met = (math.fsum(fill.shares * getattr(fill, name) for fill in fills) for name in ("price", "arrival"))
    slippage = (paid - met) / abs(met)
    return Traded(fills[0].session, fills[0].symbol, shares, paid / shares, slippage, math.fsum(fill.fees for fill in fills))


def _explained(traded: Sequence[Traded], panel: BarPanel, costs: CostParams) -> tuple[Floats, Floats]:
    """``(M,)`` σ √(shares / ADV) of each order, and its slippage less what the model's spreads say; fractions, NaN unknown."""
    from mech_exo.kernels.costs import UNKNOWN_LIQUIDITY_SLIPPAGE, learnt, slippage, square_root_impact
    from mech_exo.kernels.records import Bars

    bars, whole, spreads = Bars.of(panel), costs._replace(impact=1.0), costs._replace(slippage=0.0, impact=0.0)
    x, rest = np.full(len(traded), np.nan), np.full(len(traded), np.nan)
    for i, trade in enumerate(traded):
        if trade.symbol not in panel.symbols or np.datetime64(trade.session, "D") not in panel.sessions:
            continue
        t, s, shares = panel.row_of(trade.session), panel.column_of(trade.symbol), float(abs(trade.shares))
        arrival = trade.price / (1.0 + math.copysign(1.0, trade.shares) * trade.slippage)
        x[i] = square_root_impact(t, s, shares, bars, whole)
        if learnt(t, s, shares, bars, spreads) < UNKNOWN_LIQUIDITY_SLIPPAGE:
            rest[i] = trade.slippage - slippage(t, s, shares, arrival, bars, spreads)
    return x, rest


def huber(design: Floats, y: Floats) -> tuple[Floats, Floats, float]:
    """Coefficients ``(P,)``, their standard errors ``(P,)`` and the scale of the noise, from ``design`` ``(M, P)`` and ``y`` ``(M,)``.

    Iteratively reweighted least squares from the least absolute deviations. A column that explains nothing has an infinite error.
    """
    varies = np.ptp(design, axis=0) > 1e-9 * np.abs(design).max(axis=0)
    varies[0] = True  # the constant
    used, count = design[:, varies], len(y)
    fitted = _reweighted(used, y, lambda left: 1.0 / np.maximum(np.abs(left), 1e-9 * max(1e-12, float(np.abs(y).max()))))
    scale = CONSISTENT * float(np.median(np.abs(y - used @ fitted)))
    tiny = 1e-10 * max(1e-12, float(np.abs(y).max()))
    scale = max(scale, tiny)  # fills without noise
    fitted = _reweighted(used, y, lambda left: np.minimum(1.0, K * scale / np.maximum(np.abs(left), tiny)), fitted)
    left = (y - used @ fitted) / scale
    inside = np.abs(left) < K
    share, p = float(inside.mean()), used.shape[1]
    correction = 1.0 + p / count * (1.0 - share) / share
    variance = float((np.clip(left, -K, K) ** 2).sum()) / (count - p) / share**2
    errors = correction * scale * np.sqrt(variance * np.diag(np.linalg.inv(used.T @ used)))
    whole, uncertain = np.zeros(design.shape[1]), np.full(design.shape[1], np.inf)
    whole[varies], uncertain[varies] = fitted, errors
    return whole, uncertain, scale


def _reweighted(design: Floats, y: Floats, weights: Weights, start: Floats | None = None) -> Floats:
    fitted = _least_squares(design, y) if start is None else start
    for _ in range(ROUNDS):
        root = np.sqrt(weights(y - design @ fitted))
        before, fitted = fitted, _least_squares(design * root[:, None], y * root)
        if np.abs(fitted - before).max() <= SETTLED:
            break
    return fitted


def _least_squares(design: Floats, y: Floats) -> Floats:
    solution: Floats = np.linalg.lstsq(design, y, rcond=None)[0].astype(np.float64)
    return solution


def _estimate(name: str, present: float, value: float, error: float) -> Estimate:
    """The interval, and the value, never below 0, where the interval excludes ``present``."""
    low, high = value - Z * error, value + Z * error
    tolerance = 1e-6 * max(1.0, abs(present))  # fills without noise have no interval to speak of
    inside = low - tolerance <= present <= high + tolerance
    return Estimate(name, present, value, error, low, high, present if inside else round(max(0.0, value), 4))


def _commission(traded: Sequence[Traded], schedules: Mapping[str, CostParams]) -> Commission:
    from mech_exo.kernels.costs import commission

    known = [trade for trade in traded if math.isfinite(trade.fees)]
    missed = {
        name: math.fsum(abs(trade.fees - commission(float(abs(trade.shares)), trade.price, costs)) for trade in known)
        for name, costs in schedules.items()
    }
    present = next(iter(schedules))
    nearest = min(missed, key=lambda name: missed[name])
    proposed = nearest if missed[nearest] < NEARER * missed[present] else present
    return Commission(len(known), math.fsum(trade.fees for trade in known), present, missed, proposed)
