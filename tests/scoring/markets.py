"""Small random markets with everything that can go wrong in them: gaps, late listings, ends, splits, dividends, missing volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mech_exo.domain.panel import BAR_FIELDS, BarPanel, Universe

SECTORS = ("Energy", "Utilities", "Financials")


def random_panel(seed, steps=40, count=6, *, actions=True, gaps=0.08):
    rng = np.random.default_rng(seed)
    close = 20.0 * np.exp(np.cumsum(rng.normal(0, 0.03, (steps, count)), axis=0))
    split = np.ones((steps, count))
    dividend = np.zeros((steps, count))
    if actions:
        split[rng.random((steps, count)) < 0.02] = 3.0
        split[rng.random((steps, count)) < 0.01] = 1 / 7
        dividend = np.where(rng.random((steps, count)) < 0.03, 0.01 * close, 0.0)
    bars = {
        "open": close * rng.uniform(0.99, 1.01, close.shape),
        "high": close * rng.uniform(1.01, 1.03, close.shape),
        "low": close * rng.uniform(0.97, 0.99, close.shape),
        "close": close,
        "volume": np.round(rng.uniform(1e4, 1e6, close.shape)),
    }
    missing = rng.random((steps, count)) < gaps
    for j in range(count):
        if rng.random() < 0.3:
            missing[: rng.integers(0, steps), j] = True
        if rng.random() < 0.2:
            missing[rng.integers(0, steps) :, j] = True
    for values in bars.values():
        values[missing] = np.nan
    bars["volume"][rng.random((steps, count)) < gaps / 2] = np.nan
    sessions = np.datetime64("2010-01-04") + np.arange(steps)
    symbols = [f"S{j:03d}" for j in range(count)]
    return BarPanel.from_arrays(sessions, symbols, {**bars, "split_ratio": split, "dividend": dividend})


def random_universe(seed, panel):
    rng = np.random.default_rng(seed)
    member = rng.random(panel.shape) < 0.9
    sector = rng.integers(-1, len(SECTORS), panel.shape).astype(np.int16)
    return Universe(member, sector, SECTORS)


def permuted(panel, universe, order):
    """The same market with its columns in another order under the old names."""
    names = (*BAR_FIELDS, "split_ratio", "dividend")
    moved = replace(panel, **{name: getattr(panel, name)[:, order] for name in names},
                    delisted=panel.delisted[order], delisting_value=panel.delisting_value[order])  # fmt: skip
    return moved, replace(universe, member=universe.member[:, order], sector=universe.sector[:, order])


def poisoned(panel, universe, row, kind, seed=0):
    """The same market with everything after ``row`` corrupted: ``nan``, ``scale`` (×1000), ``delete`` (half the symbols vanish) or
    ``actions`` (splits and dividends everywhere)."""
    rng = np.random.default_rng(seed)
    fields = {name: getattr(panel, name).copy() for name in (*BAR_FIELDS, "split_ratio", "dividend")}
    after = slice(row + 1, None)
    for name in BAR_FIELDS:
        if kind == "nan":
            fields[name][after] = np.nan
        elif kind == "scale":
            fields[name][after] *= 1000.0
        elif kind == "delete":
            fields[name][after, rng.random(len(panel.symbols)) < 0.5] = np.nan
    if kind == "actions":
        fields["split_ratio"][after] = 5.0
        fields["dividend"][after] = 3.0
    member, sector = universe.member.copy(), universe.sector.copy()
    member[after] = ~member[after]
    sector[after] = -1
    return replace(panel, **fields), replace(universe, member=member, sector=sector)


def same_bits(a, b):
    """Equal to the last bit; every NaN is the same NaN."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype != np.float64:
        return bool((a == b).all())
    bits = np.ascontiguousarray(a).view(np.int64) == np.ascontiguousarray(b).view(np.int64)
    return bool((bits | (np.isnan(a) & np.isnan(b))).all())
