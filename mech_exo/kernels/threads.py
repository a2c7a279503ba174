"""Sharing a compiled loop among threads. Every piece writes its own part of the result, so the number of threads changes no bit of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 256
"""Columns or rows a thread is worth."""


def share(count: int, work: Callable[[int, int], object], least: int = LEAST) -> None:
    """Call ``work(first, last)`` on consecutive pieces that cover ``0..count-1``, of at least ``least``, one for each thread.

    As many threads as this process has CPUs, fewer where ``NUMBA_NUM_THREADS`` says so. ``work`` must release the GIL
    (:func:`mech_exo.kernels.njit`) and write nothing outside its piece.
    """
    pieces = max(1, min(numba.config.NUMBA_NUM_THREADS, count // max(least, 1)))
    bounds = [count * piece // pieces for piece in range(pieces + 1)]
    if pieces == 1:
        work(0, count)
        return
    with ThreadPoolExecutor(pieces - 1, thread_name_prefix="mech_exo") as pool:
        others = [pool.submit(work, first, last) for first, last in itertools.pairwise(bounds[1:])]
        work(bounds[0], bounds[1])
        for other in others:
            other.result()


def columns(kernel: Callable[..., object], shape: tuple[int, int], *arguments: Any) -> Floats:
    """The ``shape`` ``(K, N)`` array that ``kernel(*arguments, out, first, last)`` fills, for the columns ``first..last-1`` of each thread.

    The array is NumPy's own: it asks the system for large pages, which compiled code does not (a third of the time of a quick kernel).
    """
    out = np.empty(shape)
    share(shape[1], lambda first, last: kernel(*arguments, out, first, last))
    return out
