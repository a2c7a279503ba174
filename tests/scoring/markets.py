"""Small random markets with everything that can go wrong in them: gaps, late listings, ends, splits, dividends, missing volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mech_exo.domain.facts import NEWS_COUNT, NEWS_TONE, Facts, Formula, Steps
from mech_exo.domain.panel import BAR_FIELDS, BarPanel, Universe
from mech_exo.scoring.factors import every_fact

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
    return Universe(member, sector, SECTORS, facts=random_facts(seed, panel))


def random_facts(seed, panel):
    """Every fact that any registered factor reads: figures that step and end, some kept as steps or worked out from the price, some plain
    arrays; headlines in a third of the sessions."""
    rng = np.random.default_rng(seed + 1)
    steps, count = panel.shape
    known = {}
    for number, name in enumerate(every_fact()):
        if name in (NEWS_TONE, NEWS_COUNT):
            continue
        change = rng.random(panel.shape) < 0.15
        change[0] = True
        at = (np.cumsum(change, axis=0) - 1 + steps * np.arange(count)).astype(np.int32)
        at[rng.random(count) * steps > np.arange(steps)[:, None] * 3.0] = -1  # companies of which nothing is known at first
        whole = name.startswith("f_")
        values = rng.integers(0, 10, steps * count).astype(float) if whole else rng.normal(0.0, 2.0, steps * count)
        values = np.exp(values) if name == "market_cap" else values
        values[rng.random(len(values)) < 0.2] = np.nan
        laid = Steps.of(values, at)
        known[name] = (laid, Formula(np.multiply, (panel.close, laid)), np.array(laid[:]))[number % 3]
    heard = rng.poisson(0.4, panel.shape).astype(float)
    tone = np.where(heard > 0.0, heard * rng.uniform(-1.0, 1.0, panel.shape), 0.0)
    return Facts({**known, NEWS_COUNT: heard, NEWS_TONE: tone})


def poisoned_facts(facts, row, seed=0):
    """The same with every fact after ``row`` turned into something else: values, gaps, headlines."""
    rng = np.random.default_rng(seed)
    known = {}
    for name, cells in facts.known.items():
        values = np.array(cells[:])
        values[row + 1 :] = np.where(rng.random(values[row + 1 :].shape) < 0.5, np.nan, -1000.0 * rng.random(values[row + 1 :].shape))
        known[name] = values
    return Facts(known)


def permuted(panel, universe, order):
    """The same market with its columns in another order under the old names."""
    names = (*BAR_FIELDS, "split_ratio", "dividend")
    moved = replace(panel, **{name: getattr(panel, name)[:, order] for name in names},
                    delisted=panel.delisted[order], delisting_value=panel.delisting_value[order])  # fmt: skip
    return moved, universe.at(np.s_[:, order])


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
    return replace(panel, **fields), replace(universe, member=member, sector=sector, facts=poisoned_facts(universe.facts, row, seed))


def same_bits(a, b):
    """Equal to the last bit; every NaN is the same NaN."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype != np.float64:
        return bool((a == b).all())
    bits = np.ascontiguousarray(a).view(np.int64) == np.ascontiguousarray(b).view(np.int64)
    return bool((bits | (np.isnan(a) & np.isnan(b))).all())
