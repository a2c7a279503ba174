"""A small made-up market in which everything happens that happens to data: the laws of plug-ins are tried on it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mech_exo.domain.facts import Facts
from mech_exo.domain.panel import BAR_FIELDS, BarPanel, Universe

SECTORS = ("Energy", "Utilities")
NEVER = 3
"""Column of the name that never trades."""
GAPLESS = 0
"""Column of a name that trades always and has no corporate action."""


def trial_market(sessions: int = 300, names: int = 8, facts: Iterable[str] = (), seed: int = 7) -> tuple[BarPanel, Universe]:
    """Bars with gaps, a late listing, an end, splits and dividends; members, sectors and the ``facts`` asked for, in part unknown."""
    rng = np.random.default_rng(seed)
    shape = (sessions, names)
    close = 40.0 * np.exp(np.cumsum(rng.normal(0.0003, 0.02, shape), axis=0))
    split, dividend = np.ones(shape), np.zeros(shape)
    split[rng.random(shape) < 0.01] = 2.0
    dividend[rng.random(shape) < 0.02] = 0.2
    split[:, GAPLESS], dividend[:, GAPLESS] = 1.0, 0.0
    bars = {
        "open": close * rng.uniform(0.99, 1.01, shape),
        "high": close * rng.uniform(1.01, 1.03, shape),
        "low": close * rng.uniform(0.97, 0.99, shape),
        "close": close,
        "volume": np.round(rng.uniform(1e5, 1e6, shape)),
    }
    missing = rng.random(shape) < 0.03
    missing[: sessions // 3, 1] = True
    missing[sessions - sessions // 5 :, 2] = True
    missing[:, GAPLESS] = False
    missing[:, NEVER] = True
    for values in bars.values():
        values[missing] = np.nan
    days = np.datetime64("2015-01-05") + np.arange(sessions)
    panel = BarPanel.from_arrays(days, [f"T{j:02d}" for j in range(names)], {**bars, "split_ratio": split, "dividend": dividend})
    known = {name: _fact(rng, shape) for name in facts}
    member = rng.random(shape) < 0.95
    member[:, GAPLESS] = True
    return panel, Universe(member, rng.integers(0, len(SECTORS), shape).astype(np.int16), SECTORS, facts=Facts(known))


def _fact(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Figures that hold for a while, unknown at first for some names and lost later for others."""
    change = rng.random(shape) < 0.03
    change[0] = True
    at = np.maximum.accumulate(np.where(change, np.arange(shape[0])[:, None], 0), axis=0)
    values: np.ndarray = np.exp(rng.normal(0.0, 1.0, shape))[at, np.arange(shape[1])]
    values[: shape[0] // 4, 1::3] = np.nan
    values[-(shape[0] // 6) :, 2::3] = np.nan
    return values


def poisoned(panel: BarPanel, universe: Universe, row: int) -> tuple[BarPanel, Universe]:
    """The same market with everything after ``row`` turned into something else."""
    after = slice(row + 1, None)
    bars = {name: getattr(panel, name).copy() for name in (*BAR_FIELDS, "split_ratio", "dividend")}
    for name in BAR_FIELDS:
        bars[name][after] *= 1000.0
    bars["close"][after, ::2] = np.nan
    bars["split_ratio"][after] = 5.0
    bars["dividend"][after] = 3.0
    member, facts = universe.member.copy(), {name: np.array(cells[:]) for name, cells in universe.facts.known.items()}
    member[after] = ~member[after]
    for values in facts.values():
        values[after] = -1000.0
    return replace(panel, **bars), replace(universe, member=member, facts=Facts(facts))


def permuted(panel: BarPanel, universe: Universe, order: Sequence[int]) -> tuple[BarPanel, Universe]:
    """The same market with its columns in another order under the old names."""
    names = (*BAR_FIELDS, "split_ratio", "dividend")
    moved: dict[str, Any] = {name: getattr(panel, name)[:, order] for name in names}
    moved |= {"delisted": panel.delisted[list(order)], "delisting_value": panel.delisting_value[list(order)]}
    return replace(panel, **moved), universe.at(np.s_[:, list(order)])


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two float arrays are equal to the last bit; every NaN is the same NaN."""
    if a.shape != b.shape:
        return False
    left, right = (np.ascontiguousarray(values, np.float64) for values in (a, b))
    return bool(((left.view(np.int64) == right.view(np.int64)) | (np.isnan(left) & np.isnan(right))).all())
