"""The highest values of the last ``window`` rows of ``(T, N)`` arrays, one series per column. Rules: :mod:`mech_exo.kernels.rolling`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import njit
from mech_exo.kernels.rolling import least_observations
from mech_exo.kernels.threads import columns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TILE = 256
"""Columns that are worked on at once."""


def highest_mean_rows(values: Floats, rows: Ints, window: int, count: int) -> Floats:
    """``(K, N)`` mean of the ``count`` highest values in the last ``window`` rows.

    NaN where the row is missing, or where fewer than 80 % of the window's values, or fewer than ``count``, exist.
    """
    return columns(_highest_mean, (len(rows), values.shape[1]), values, rows, window, count)


@njit
def _highest_mean(values: Floats, rows: Ints, window: int, count: int, out: Floats, lo: int, hi: int) -> None:
    least = max(least_observations(window), count)
    for first in range(lo, hi, TILE):
        last = min(first + TILE, hi)
        seen, rest, top = np.empty(last - first), np.empty(last - first), np.empty((count, last - first))
        for k in range(len(rows)):
            seen[:] = 0.0
            top[:] = -np.inf
            for t in range(max(rows[k] - window + 1, 0), rows[k] + 1):
                row = values[t, first:last]
                for j in range(last - first):  # selects, no branches: see rolling._rsi
                    known = row[j] == row[j]
                    seen[j] += 1.0 if known else 0.0
                    rest[j] = row[j] if known else -np.inf
                for place in range(count):  # a value takes the first place it is higher than, and pushes the others on
                    held = top[place]
                    for j in range(last - first):
                        old, new = held[j], rest[j]
                        held[j] = new if new > old else old
                        rest[j] = old if new > old else new
            rest[:] = 0.0
            for place in range(count):
                for j in range(last - first):
                    rest[j] += top[place, j]
            for j in range(last - first):
                newest = values[rows[k], first + j]
                known = seen[j] >= least and newest == newest
                out[k, first + j] = rest[j] / count if known else np.nan


def highest_rows(values: Floats, rows: Ints, window: int) -> Floats:
    """``(K, N)`` highest value in the last ``window`` rows; NaN where the row is missing or fewer than 80 % of the values exist."""
    return columns(_highest, (len(rows), values.shape[1]), values, rows, window)


@njit
def _highest(values: Floats, rows: Ints, window: int, out: Floats, lo: int, hi: int) -> None:
    """In two parts, as :mod:`mech_exo.kernels.windows` sums: the end of one block of ``window`` rows and the beginning of the next."""
    least = least_observations(window)
    for first in range(lo, hi, TILE):
        last = min(first + TILE, hi)
        ends, ends_seen = np.empty((window + 1, last - first)), np.empty((window + 1, last - first))
        begun, begun_seen = np.empty(last - first), np.empty(last - first)
        done = -1
        for k in range(len(rows)):
            row, start = rows[k], rows[k] - rows[k] % window
            if done < start:
                ends[:], begun[:] = -np.inf, -np.inf
                ends_seen[:], begun_seen[:] = 0.0, 0.0
                for t in range(start - 1, max(row - window, -1), -1):
                    i = t - start + window
                    ends[i], ends_seen[i] = ends[i + 1], ends_seen[i + 1]
                    _raise(values[t, first:last], ends[i], ends_seen[i])
                done = start - 1
            for t in range(done + 1, row + 1):
                _raise(values[t, first:last], begun, begun_seen)
            done = row
            old, old_seen, newest, result = ends[row % window + 1], ends_seen[row % window + 1], values[row, first:last], out[k, first:last]
            for j in range(last - first):
                highest = old[j] if old[j] > begun[j] else begun[j]
                known = (old_seen[j] + begun_seen[j] >= least) & (newest[j] == newest[j])
                result[j] = highest if known else np.nan


@njit
def _raise(row: Floats, highest: Floats, seen: Floats) -> None:
    for j in range(len(row)):
        highest[j] = row[j] if row[j] > highest[j] else highest[j]  # false of a missing value
        seen[j] += 1.0 if row[j] == row[j] else 0.0
