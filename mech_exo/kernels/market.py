"""The market as one series: an average over names that does not depend on their order."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@njit
def equal_weighted_returns(values: Floats, member: Flags) -> Floats:
    """``(T,)`` mean return from the row before over the names that were ``member`` there and have a value in both rows; NaN: none has.

    Sums are taken on two grids (ExtractVector of Rump, Ogita & Oishi (2008), "Accurate Floating-Point Summation Part I", SIAM Journal on
    Scientific Computing 31(1)): each return is split into a multiple of a unit, chosen by their number and the largest of them so that
    no sum of such multiples is ever rounded, and a rest, which is split likewise. What is left is below 2^-80 of the largest. So the order
    of the names changes no bit, nor does a name that does not take part.
    """
    steps, count = values.shape
    out = np.full(steps, np.nan)
    change = np.empty(count)
    for t in range(1, steps):
        new, old, part = values[t], values[t - 1], member[t - 1]
        names, largest = 0, 0.0
        for j in range(count):
            move = new[j] / old[j] - 1.0
            taken = part[j] and abs(move) < np.inf
            change[j] = move if taken else 0.0
            names += 1 if taken else 0
            largest = max(largest, abs(change[j]))
        if names > 0:
            room = math.frexp(names + 2.0)[1]
            unit = math.ldexp(1.0, room + math.frexp(largest)[1])
            rest = math.ldexp(unit, room - 53)
            coarse, fine = 0.0, 0.0
            for j in range(count):
                step = (unit + change[j]) - unit
                coarse += step
                fine += (rest + (change[j] - step)) - rest
            out[t] = (coarse + fine) / names
    return out
