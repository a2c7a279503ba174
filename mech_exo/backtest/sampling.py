"""Choices drawn at random from a grid too large to try whole. Bergstra and Bengio (2012), JMLR 13: better than a coarse grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mech_exo.backtest.search import Choice, Grid, corners, is_range
from mech_exo.domain.errors import InputError

TRIES = 50
"""Draws per wanted choice before the grid counts as exhausted."""


def sample(grid: Grid, trials: int, seed: int = 0) -> tuple[Choice, ...]:
    """``trials`` different choices of ``grid``, equal for equal seeds; all there are where there are fewer.

    A list or tuple names its values, each as likely as the others; a tuple of two numbers is the range between them, both ends included,
    whole numbers where both ends are. Raises InputError for ``trials`` below 1 or an empty grid.
    """
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise InputError(f"trials must be a whole number, at least 1; got {trials!r}")
    next(corners(grid))
    generator = np.random.default_rng(seed)
    wanted = min(trials, _size(grid))
    found: dict[str, Choice] = {}
    for _ in range(TRIES * wanted):
        choice = tuple((key, _draw(generator, values)) for key, values in grid.items())
        found.setdefault(repr(choice), choice)
        if len(found) == wanted:
            break
    return tuple(found.values())


def _size(grid: Grid) -> int:
    """How many choices there are; of a range of fractions more than anybody tries."""
    many = 1 << 62
    sizes = []
    for values in grid.values():
        if not is_range(values):
            sizes.append(len(values))
        else:
            low, high = min(values), max(values)
            sizes.append(high - low + 1 if isinstance(low, int) and isinstance(high, int) else many)
    return min(many, math.prod(sizes))


def _draw(generator: np.random.Generator, values: Any) -> Any:
    if not is_range(values):
        return values[int(generator.integers(len(values)))]
    low, high = min(values), max(values)
    if isinstance(low, int) and isinstance(high, int):
        return int(generator.integers(low, high + 1))
    return float(generator.uniform(low, high))
