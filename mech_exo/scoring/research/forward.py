"""What a name returned after it was scored: total returns from a close or from the next open, delistings included."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels.cross_tests import carried
from mech_exo.scoring.inputs import FactorInputs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Entry(StrEnum):
    """Where the return of a name begins whose factor is known at the close of session t, and, ``h`` sessions later, where it ends."""

    CLOSE = "close"
    """Close t to close t + h: what the literature measures."""
    OPEN = "open"
    """Open t + 1 to open t + 1 + h: what could have been traded."""


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """Value ``(T, N)`` of one share of row 0 with its dividends reinvested.

    ``bought`` is NaN where there was nothing to buy (no bar, or the listing had ended); ``worth`` is what a holder had: the last value
    where a session has no bar, and from a delisting on what was paid for the share. ``delay`` is 1 where both are at opens: the first that
    follows a close is a row later.
    """

    bought: Floats
    worth: Floats
    delay: int

    @classmethod
    def of(cls, inputs: FactorInputs, entry: Entry = Entry.CLOSE) -> Holding:
        """What holding the names of a panel was worth.

        A delisting pays ``delisting_value`` per share before the open of its session, or the last close where that is unknown, and is
        cash from then on: the simulator's rule. A name whose bars end without a delisting keeps its last close.
        """
        panel, close = inputs.panel, inputs.total_return
        bought = close.copy()
        paid = {int(j): _paid(inputs, int(j)) for j in np.flatnonzero(panel.delisted < panel.shape[0])}
        for j in paid:
            bought[panel.delisted[j] :, j] = np.nan
        worth = _with(paid, panel.delisted, carried(bought))
        if entry is Entry.CLOSE:
            return cls(bought, worth, 0)
        opened = bought * (panel.open + panel.dividend) / (panel.close + panel.dividend)  # the open still has its dividend before it
        before = np.vstack([np.full((1, panel.shape[1]), np.nan), worth[:-1]])
        return cls(opened, _with(paid, panel.delisted, np.where(np.isnan(opened), before, opened)), 1)

    def returns(self, rows: Ints, horizon: int, lag: int = 0) -> Floats:
        """``(K, N)`` return over ``horizon`` sessions that begins ``lag`` sessions after each of ``rows``, a fraction.

        NaN where the name could not be bought at the beginning, and of everyone where the panel ends before the end.
        """
        begin = rows + self.delay + lag
        inside = begin + horizon < len(self.worth)
        out = np.full((len(rows), self.worth.shape[1]), np.nan)
        begin = begin[inside]
        out[inside] = self.worth[begin + horizon] / self.bought[begin] - 1.0
        return out


def _with(paid: dict[int, float], delisted: Ints, values: Floats) -> Floats:
    for j, value in paid.items():
        values[delisted[j] :, j] = value
    return values


def _paid(inputs: FactorInputs, j: int) -> float:
    """What a holder of one share of row 0 of name ``j`` has once its listing has ended; NaN where it never traded."""
    panel, end = inputs.panel, int(inputs.panel.delisted[j])
    traded = np.flatnonzero(np.isfinite(panel.close[:end, j]))
    if not len(traded):
        return float("nan")
    last = int(traded[-1])
    price, shares, cash = float(panel.close[last, j]), 1.0, 0.0
    for t in range(last + 1, end + 1):  # dividends and splits of sessions without a bar
        shares *= float(panel.split_ratio[t, j])
        cash += shares * float(panel.dividend[t, j])
    value = float(panel.delisting_value[j])
    per_share = (price if np.isnan(value) else shares * value) + cash
    return float(inputs.total_return[last, j]) * per_share / price
