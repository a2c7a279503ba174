"""Scores of one session's cross-section, with the contributions that make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain import markup

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Composite scores of ``N`` names at the close of ``as_of``; higher is better, NaN = no opinion.

    Parameters
    ----------
    value
        ``(N,)`` composite score.
    rank
        ``(N,)`` int, 1 = best, 0 = no score; ties in symbol order.
    percentile
        ``(N,)`` share of scored names that are not better, in (0, 1]; NaN = no score.
    factors
        ``(F,)`` names of the factors used.
    raw, normalised, contribution
        ``(N, F)`` factor values, normalised and directed values, and weighted shares; contributions sum to ``value``.
    coverage
        ``(N,)`` share of the weights the name has values for.
    exclusion
        ``(N,)`` why a name is not considered at all, "" where it is.
    missing
        Factors of the configuration that do not count in this session, with the reason: no source, or known for too few names.
    weights
        ``(F,)`` weight of each factor in this session, before it is divided among those a name has; 0 = does not count. Empty = unknown.
    multiplier
        ``(N,)`` sector multiplier. Empty = unknown.
    adjustments
        (factor, state of the market, multiplier of its weight) that were applied in this session.
    """

    as_of: date
    symbols: tuple[str, ...]
    value: NDArray[np.float64]
    rank: NDArray[np.int64]
    percentile: NDArray[np.float64]
    factors: tuple[str, ...]
    raw: NDArray[np.float64]
    normalised: NDArray[np.float64]
    contribution: NDArray[np.float64]
    coverage: NDArray[np.float64]
    exclusion: tuple[str, ...]
    missing: tuple[tuple[str, str], ...] = ()
    weights: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    multiplier: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    adjustments: tuple[tuple[str, str, float], ...] = ()

    def frame(self) -> pl.DataFrame:
        """Ranked table: rank, symbol, composite_score, percentile, coverage, one column per factor's contribution."""
        import polars as pl

        scored = np.flatnonzero(self.rank > 0)
        order = scored[np.argsort(self.rank[scored], kind="stable")]
        columns: dict[str, Any] = {
            "rank": self.rank[order],
            "symbol": [self.symbols[i] for i in order],
            "composite_score": self.value[order],
            "percentile": self.percentile[order],
            "coverage": self.coverage[order],
        }
        for j, name in enumerate(self.factors):
            columns[name] = self.contribution[order, j]
        return pl.DataFrame(columns)

    def _repr_html_(self) -> str:
        scored = np.argsort(np.where(self.rank > 0, self.rank, np.iinfo(np.int64).max), kind="stable")[: int((self.rank > 0).sum())]
        rows = [
            (int(self.rank[i]), self.symbols[i], *(markup.shown(float(x[i]), ".3f") for x in (self.value, self.percentile, self.coverage)),
             self._most(int(i)))
            for i in scored
        ]  # fmt: skip
        said = f"{len(rows):,} of {len(self.symbols):,} names have a score"
        table = markup.table(("rank", "symbol", "score", "percentile", "coverage", "what adds most"), rows)
        return markup.page(markup.title(f"Scores at the close of {self.as_of}:", said), table, markup.notes(map(": ".join, self.missing)))

    def _most(self, i: int) -> str:
        """The three factors that move name ``i`` most, with what they add."""
        parts = [(f, float(self.contribution[i, f])) for f in range(len(self.factors)) if np.isfinite(self.contribution[i, f])]
        return ", ".join(f"{self.factors[f]} {value:+.3f}" for f, value in sorted(parts, key=lambda part: -abs(part[1]))[:3])
