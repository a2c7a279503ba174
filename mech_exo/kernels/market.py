"""The market as one series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.summation import steady_sum

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@njit
def equal_weighted_returns(values: Floats, member: Flags) -> Floats:
    """``(T,)`` mean return from the row before over the names that were ``member`` there and have a value in both rows; NaN: none has.

    The order of the names changes no bit of it (:func:`mech_exo.kernels.summation.steady_sum`), nor does a name that takes no part.
    """
    steps, count = values.shape
    out = np.full(steps, np.nan)
    change = np.empty(count)
    for t in range(1, steps):
        new, old, part = values[t], values[t - 1], member[t - 1]
        names = 0
        for j in range(count):
            move = new[j] / old[j] - 1.0
            if part[j] and abs(move) < np.inf:
                change[names] = move
                names += 1
        if names > 0:
            out[t] = steady_sum(change[:names]) / names
    return out
