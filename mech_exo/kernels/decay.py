"""What was said, remembered less with every session."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit
def decayed_mean_rows(total: Floats, count: Floats, rows: Ints, half_life: float, window: int, least: float) -> Floats:
    """Mean of everything said by each of ``rows``, each saying weighted by ``0.5 ** (sessions since / half_life)``.

    Parameters
    ----------
    total, count
        ``(T, N)`` sum of what was said of each name in each session, and how many said it; 0 or NaN where nobody did.
    rows
        ``(K,)`` strictly increasing.
    half_life
        Sessions, above 0.
    window
        After so many sessions in which nobody said anything all is forgotten.
    least
        The mean is NaN where the decayed count is below it.

    Returns
    -------
    ``(K, N)``. Each row is the same recursion from the first session on, whatever rows are asked for.
    """
    names = total.shape[1]
    out = np.empty((len(rows), names))
    weight, said, silent = np.zeros(names), np.zeros(names), np.zeros(names, np.int64)
    fade = 0.5 ** (1.0 / half_life)
    k = 0
    for t in range(rows[-1] + 1 if len(rows) else 0):
        for j in range(names):
            said[j] *= fade
            weight[j] *= fade
            silent[j] += 1
            if count[t, j] > 0.0 and not np.isnan(total[t, j]):
                said[j] += total[t, j]
                weight[j] += count[t, j]
                silent[j] = 0
            elif silent[j] >= window:
                said[j] = weight[j] = 0.0
        if t == rows[k]:
            for j in range(names):
                out[k, j] = said[j] / weight[j] if weight[j] >= least else np.nan
            k += 1
    return out
