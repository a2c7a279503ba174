"""The bars a rule of the user's may look at: everything up to a close, and nothing after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """``(T, N)`` read-only arrays whose last row is tonight: bars as traded (USD, shares), NaN = not traded.

    ``split_ratio`` is new shares per old, 1 = none; ``dividend`` USD per share on its ex-date, 0 = none.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    split_ratio: Floats
    dividend: Floats

    @classmethod
    def upto(cls, arrays: Any, row: int) -> History:
        """Views of rows ``0..row`` of ``arrays``: a panel, or anything with arrays of these names."""
        return cls(*(read_only(getattr(arrays, name)[: row + 1]) for name in cls.__slots__))


def read_only(values: NDArray[np.float64]) -> Floats:
    """A view of ``values`` that cannot be written to."""
    view = values.view()
    view.flags.writeable = False
    return view
