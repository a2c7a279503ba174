"""What was held at every close, rebuilt from the events alone: a second account beside the engine's, which must agree with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mech_exo.kernels.records import EventKind, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.kernels.records import Bars

HOLDING = np.dtype([("row", np.int64), ("symbol", np.int64), ("shares", np.float64), ("price", np.float64)])
"""One symbol at one close: signed shares and the USD mark per share, the close or what stands for it where there is none."""
DUST = 1e-9
"""Shares that adding and subtracting fractions leaves by rounding."""
BLOCK = 128  # symbols at once: a whole panel of marks beside the panel would double its memory


def holdings(events: NDArray[np.void], bars: Bars) -> NDArray[np.void]:
    """``(H,)`` :data:`HOLDING` of every close with something held, by row, then by symbol.

    Parameters
    ----------
    events
        ``(M,)`` of :data:`mech_exo.kernels.records.EVENT`, rows counted from the first row of ``bars``; the account starts flat.
    bars
        ``(T, N)`` arrays of the sessions played, as traded.

    Notes
    -----
    Shares are the sum of the fills and of what splits added or took. The mark is the close; without one the last close since
    the position was opened, divided by later splits, and before the first close the reference price of the entry.
    """
    moves = (events["outcome"] == Outcome.FILLED) & (events["kind"] != EventKind.DIVIDEND)
    moved = events[moves]
    traded = np.unique(moved["symbol"])
    parts = [_block(moved, traded[first : first + BLOCK], bars) for first in range(0, len(traded), BLOCK)]
    found = np.concatenate(parts) if parts else np.empty(0, HOLDING)
    return found[np.lexsort((found["symbol"], found["row"]))]


def _block(moved: NDArray[np.void], columns: NDArray[np.int64], bars: Bars) -> NDArray[np.void]:
    """The holdings of the symbols ``columns`` ``(C,)``, ascending."""
    steps = len(bars.close)
    mine = moved[np.isin(moved["symbol"], columns)]
    place = np.searchsorted(columns, mine["symbol"])
    shares = np.zeros((steps, len(columns)))
    np.add.at(shares, (mine["row"], place), mine["shares"])
    np.cumsum(shares, axis=0, out=shares)
    shares[np.abs(shares) <= DUST] = 0.0
    price = _marks(mine, place, shares, np.ascontiguousarray(bars.close[:, columns]), np.ascontiguousarray(bars.split_ratio[:, columns]))
    rows, found = np.nonzero(shares)
    out = np.empty(len(rows), HOLDING)
    out["row"], out["symbol"] = rows, columns[found]
    out["shares"], out["price"] = shares[rows, found], price[rows, found]
    return out


def _marks(
    mine: NDArray[np.void], place: NDArray[np.int64], shares: NDArray[np.float64], close: NDArray[np.float64], ratio: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(T, C)`` marks: closes, and where there is none what was last known of the position."""
    row = np.arange(len(close))[:, None]
    before = np.vstack([np.zeros((1, close.shape[1])), shares[:-1]])
    opened = np.maximum.accumulate(np.where((shares != 0.0) & (before == 0.0), row, -1), axis=0)
    seen = np.maximum.accumulate(np.where(np.isnan(close), -1, row), axis=0)
    entry = np.full(close.shape, np.nan)
    entry[mine["row"], place] = mine["reference"]
    from_close = seen >= opened
    source = np.maximum(np.where(from_close, seen, opened), 0)
    known = np.where(from_close, np.take_along_axis(close, source, 0), np.take_along_axis(entry, source, 0))
    to_date = np.multiply.accumulate(ratio, axis=0)
    later = to_date / np.take_along_axis(to_date, source, 0)
    return np.where(source == row, known, known / later)
