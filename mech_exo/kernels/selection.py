"""Order statistics of a buffer without sorting it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit

Floats = NDArray[np.float64]


@njit
def select(values: Floats, size: int, wanted: int) -> float:
    """The ``wanted``-th smallest (from 0) of ``values[:size]``, no NaN among them (Hoare 1961, "Algorithm 65: Find").

    Reorders the buffer: nothing before ``wanted`` is greater, nothing after it smaller.
    """
    low, high = 0, size - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return float(values[wanted])


@njit
def median(values: Floats, size: int) -> float:
    """Median of ``values[:size]`` (at least one, no NaN; the mean of the middle two when even). Reorders the buffer."""
    upper = select(values, size, size // 2)
    if size % 2 == 1:
        return upper
    lower = values[0]
    for i in range(1, size // 2):
        lower = max(lower, values[i])
    return float((lower + upper) / 2.0)
