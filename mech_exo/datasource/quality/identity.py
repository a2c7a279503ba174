"""Whose bars these are: doubled and reused symbols, sources that disagree, reports in another currency."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.quality.findings import Evidence, found
from mech_exo.domain.verdict import DataVerdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK, WARN = int(DataVerdict.BLOCK), int(DataVerdict.WARN)
MONTH = 21
OTHER_LEVEL = math.log(1.5)


def duplicate(evidence: Evidence) -> pl.DataFrame:
    """Two symbols with the same close and volume on most of the last 21 sessions are one: the one listed later is blocked."""
    panel, rules = evidence.panel, evidence.rules
    shared: dict[tuple[int, int], list[int]] = {}
    for row, (close, volume) in enumerate(zip(panel.close, panel.volume, strict=True)):
        for pair in _equal(close, volume):
            shared.setdefault(pair, []).append(row)
    least = math.ceil(rules.duplicate_share * MONTH)
    parts = []
    for (one, other), rows in shared.items():
        later, earlier = (one, other) if (evidence.listed[one], one) > (evidence.listed[other], other) else (other, one)
        at = np.array(rows)
        recent = np.arange(1, len(at) + 1) - np.searchsorted(at, at - MONTH, "right")
        hit = recent >= least
        texts = [f"{n} of the last {MONTH} bars are those of {panel.symbols[earlier]}" for n in recent[hit]]
        places = np.full(int(hit.sum()), later)
        parts.append(found("duplicate", at[hit], places, BLOCK, recent[hit] / MONTH, rules.duplicate_share, texts, MONTH))
    every = pl.concat([_nothing("duplicate"), *parts])
    return every.unique(["row", "column"], keep="first", maintain_order=True)


def _equal(close: NDArray[np.float64], volume: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Columns whose close and volume are equal, two by two."""
    columns = np.flatnonzero(volume > 0.0)
    order = columns[np.lexsort((close[columns], volume[columns]))]
    same = (volume[order[1:]] == volume[order[:-1]]) & (close[order[1:]] == close[order[:-1]])
    return [(min(a, b), max(a, b)) for a, b in zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True)]


def reused(evidence: Evidence) -> pl.DataFrame:
    """After ``reused_gap`` sessions without a bar another price level: the symbol may be another company's; the same level only warns."""
    rules = evidence.rules
    rows = np.arange(len(evidence.panel.sessions), dtype=np.int32)[:, None]
    at, columns = np.nonzero(evidence.traded & (evidence.before >= 0) & (rows - evidence.before > rules.reused_gap))
    gap, move = at - evidence.before[at, columns], evidence.moves[at, columns]
    other = np.abs(move) > OTHER_LEVEL
    texts = [f"no bar for {g - 1} sessions, then {math.expm1(m):+.1%}" for g, m in zip(gap, move, strict=True)]
    told = found("reused_symbol", at, columns, np.where(other, BLOCK, WARN), gap - 1, rules.reused_gap, texts, rules.hold_seam)
    return told.with_columns(lasts=pl.when(pl.col("verdict") == "warn").then(pl.lit(MONTH, pl.Int32)).otherwise("lasts"))


def sources(evidence: Evidence) -> pl.DataFrame:
    """A second source's close differs from the first one's, whose bar it took the place of."""
    rules = evidence.rules
    at, columns, cells = evidence.places(evidence.disputes)
    if not len(at):
        return _nothing("sources")
    value = cells["value"].to_numpy()
    hit = np.abs(value) > rules.source_tolerance
    code = np.where(np.abs(value[hit]) > rules.source_block, BLOCK, WARN)
    texts = cells["evidence"].filter(pl.Series(hit)).to_list()
    return found("sources", at[hit], columns[hit], code, value[hit], rules.source_tolerance, texts, MONTH)


def currency(evidence: Evidence) -> pl.DataFrame:
    """Reports in another currency than USD beside prices in USD: ratios of the two mean nothing until one is converted."""
    at, columns, cells = evidence.places(evidence.foreign)
    texts = [f"its reports are in {unit}" for unit in cells["unit"]] if cells.height else []
    return found("currency", at, columns, WARN, 0.0, None, texts, None)


def _nothing(check: str) -> pl.DataFrame:
    none = np.empty(0, np.int64)
    return found(check, none, none, WARN, 0.0, None, [], None)
