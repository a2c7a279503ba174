"""Trades that lost more of NAV than one may lose, each with what the overnight gap before its exits made of it.

A stop names a level, not a price: what opens beyond it fills at the open. A loss beyond the limit is therefore either a gap, or a
position that was too large; this tells which.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.kernels.records import Bars, EventKind, Outcome
from mech_exo.performance.kpi import MAX_TRADE_LOSS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Records = NDArray[np.void]

EXITS = (EventKind.ORDER, EventKind.STOP, EventKind.TARGET)


@dataclass(frozen=True, slots=True)
class LargeLoss:
    """One position, flat to flat: column ``symbol``, rows of its first entry and last exit, Reason of the last exit.

    ``loss``, ``gap`` and ``slippage`` are fractions of the NAV before the entry, positive = lost: the whole loss; what the nights before
    the exits that filled at an open took (from the close before, dividends put back; negative where they gave); what was paid beyond the
    reference prices of the exits. ``gap`` is NaN without bars.
    """

    symbol: int
    entry_row: int
    exit_row: int
    reason: int
    loss: float
    gap: float
    slippage: float


def large_losses(trades: Records, events: Records, bars: Bars | None, limit: float = MAX_TRADE_LOSS) -> tuple[LargeLoss, ...]:
    """Closed positions of which the whole, or one lot, lost more than ``limit`` of the NAV before its entry; the worst first.

    Parameters
    ----------
    trades
        ``(R,)`` :data:`mech_exo.performance.attribution.TRADE`. A trade whose NAV at entry is unknown is not judged.
    events
        ``(M,)`` EVENT of the same sessions.
    bars
        ``(T, N)`` arrays of these sessions as traded; None: no gap is known.
    """
    closed = trades[~trades["open"]]
    found = []
    for position in np.unique(closed["position"]):
        lots = closed[closed["position"] == position]
        lots = lots[np.argsort(lots["entry_row"], kind="stable")]
        nav = float(lots["nav"][0])
        loss = -min(float(lots["pnl"].sum()) / nav, float(lots["nav_fraction"].min()))
        if loss > limit:
            found.append(_told(lots, loss, nav, events, bars))
    return tuple(sorted(found, key=lambda one: (-one.loss, one.entry_row, one.symbol)))


def _told(lots: Records, loss: float, nav: float, events: Records, bars: Bars | None) -> LargeLoss:
    symbol, first, last = int(lots["symbol"][0]), int(lots["entry_row"].min()), int(lots["exit_row"].max())
    side = math.copysign(1.0, float(lots["shares"][0]))
    mine = events[(events["symbol"] == symbol) & (events["row"] >= first) & (events["row"] <= last)]
    exits = mine[(mine["outcome"] == Outcome.FILLED) & np.isin(mine["kind"], EXITS) & (mine["shares"] * side < 0.0)]
    gap = math.nan if bars is None else sum(_overnight(event, bars) for event in exits) / nav
    slippage = float(((exits["price"] - exits["reference"]) * exits["shares"]).sum()) / nav
    return LargeLoss(symbol, first, last, int(lots["exit_reason"][np.argmax(lots["exit_row"])]), loss, gap, slippage)


def _overnight(event: np.void, bars: Bars) -> float:
    """USD that the night before an exit took from the shares it sold; 0 where it filled during the day or nothing was seen before."""
    row, s, shares = int(event["row"]), int(event["symbol"]), float(event["shares"])
    if row == 0 or event["reference"] != bars.open[row, s]:
        return 0.0
    before = bars.close[:row, s]
    seen = np.flatnonzero(~np.isnan(before))
    if not len(seen):
        return 0.0
    last = int(seen[-1])
    close = float(before[last])
    for u in range(last + 1, row + 1):  # over a silence as over a night
        close = close / float(bars.split_ratio[u, s]) - float(bars.dividend[u, s])
    return (float(event["reference"]) - close) * shares
