"""A ranking and the explanation of one name as values, for a terminal and a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain import markup

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

    from mech_exo.domain.scores import Scores

HEAD = ("rank", "symbol", "composite_score", "percentile", "current_price", "pe_ratio")
OVERSOLD, OVERBOUGHT = 30.0, 70.0
"""Of the relative strength index: Wilder (1978), chapter VI."""


def known(value: float | None, form: str = ".4g") -> str:
    """A figure, or "unknown"."""
    return "unknown" if value is None or not np.isfinite(value) else format(value, form)


@dataclass(frozen=True, slots=True, eq=False)
class FactorLine:
    """One factor of one name. NaN = unknown.

    Parameters
    ----------
    raw, unit
        The value as computed, and what it is measured in.
    percentile
        Share of the names that may be bought whose raw value is not greater, in (0, 1].
    normalised
        On the common scale, times its direction: higher is better.
    weight
        Share of the weights the name has values for; the lines' weights sum to 1.
    contribution
        What it adds to the score.
    """

    factor: str
    raw: float
    unit: str
    percentile: float
    normalised: float
    weight: float
    contribution: float

    @property
    def word(self) -> str:
        """ "oversold" or "overbought" for a relative strength index beyond 30 or 70, else ""."""
        if not self.factor.startswith("rsi") or not np.isfinite(self.raw):
            return ""
        return "oversold" if self.raw < OVERSOLD else "overbought" if self.raw > OVERBOUGHT else ""

    def cells(self) -> tuple[str, ...]:
        """The line as text: raw value with unit and word, percentile, normalised, weight, contribution."""
        raw = known(self.raw) if not np.isfinite(self.raw) else f"{self.raw:.4g} ({', '.join(filter(None, (self.unit, self.word)))})"
        opinion = np.isfinite(self.normalised)
        scale = known(self.normalised, "+.3f") if opinion else "no opinion"
        return self.factor, raw, known(self.percentile, ".2f"), scale, known(self.weight if opinion else None, ".3f"), (
            f"{self.contribution:+.4f}" if opinion and np.isfinite(self.contribution) else "none"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why a name scores as it does; ``exclusion`` says why it has no score, "" where it has one. NaN = unknown.

    ``multiplier`` is its sector's; ``adjustments`` are (factor, state of the market, multiplier of its weight), where any was applied;
    ``missing`` the configured factors that do not count at this session, with the reason.
    """

    symbol: str
    as_of: date
    rank: int | None
    of: int
    composite_score: float
    percentile: float
    coverage: float
    sector: str | None
    exclusion: str
    multiplier: float
    factors: tuple[FactorLine, ...]
    adjustments: tuple[tuple[str, str, float], ...]
    missing: tuple[tuple[str, str], ...]

    @property
    def headline(self) -> str:
        """Rank and score in one sentence."""
        if self.rank is None:
            return f"{self.symbol} has no score at {self.as_of}: {self.exclusion}"
        return f"{self.symbol} ranks {self.rank} of {self.of} at {self.as_of} with a score of {self.composite_score:.4f}"

    def notes(self) -> tuple[str, ...]:
        """What else decided: coverage, sector, market, and what is missing and why."""
        said = [f"coverage {known(self.coverage, '.0%')} of the weights; sector {self.sector or 'unknown'}"]
        if self.multiplier != 1.0:
            said.append(f"the score is multiplied by {self.multiplier:g}, as {self.sector} is (sector_adjustments)")
        said += [f"weight of {name} × {times:g} in a {state.replace('_', ' ')} market" for name, state, times in self.adjustments]
        return (*said, *(f"{name}: {reason}" for name, reason in self.missing))

    def __str__(self) -> str:
        names = ("raw", "percentile", "normalised", "weight", "adds")
        lines = [
            f"  {cells[0]}: " + ", ".join(f"{name} {text}" for name, text in zip(names, cells[1:], strict=True))
            for cells in (line.cells() for line in self.factors)
        ]
        return "\n".join([self.headline, *lines, *(f"  {note}" for note in self.notes())])

    def _repr_html_(self) -> str:
        head = ("factor", "raw", "percentile", "normalised", "weight", "contribution")
        rows = [line.cells() for line in self.factors]
        return markup.page(markup.title(self.headline), markup.table(head, rows, len(rows)), markup.notes(self.notes()))

    def figure(self) -> go.Figure:
        """Waterfall of the contributions, largest first, to the score."""
        import plotly.graph_objects as go

        lines = sorted((line for line in self.factors if np.isfinite(line.contribution)), key=lambda line: -abs(line.contribution))
        names, parts = [line.factor for line in lines], [line.contribution for line in lines]
        figure = go.Figure(
            go.Waterfall(
                x=[*names, "score"],
                y=[*parts, self.composite_score],
                measure=[*("relative" for _ in lines), "total"],
                text=[f"{value:+.3f}" for value in (*parts, self.composite_score)],
                increasing_marker_color="#009E73",
                decreasing_marker_color="#D55E00",
                totals_marker_color="#0072B2",
            )
        )
        return figure.update_layout(title=self.headline, template="plotly_white", showlegend=False, height=420)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """One session's ranked universe with what a reader must know beside it.

    ``frame`` as :meth:`mech_exo.scoring.IdeaScorer.rank_universe`; ``excluded`` counts the names without a score by reason; ``missing`` the
    configured factors that do not count at this session, with the reason.
    """

    as_of: date
    frame: pl.DataFrame
    scores: Scores
    sectors: tuple[str | None, ...]
    excluded: dict[str, int]
    missing: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    def cells(self, count: int) -> list[tuple[str, ...]]:
        """The best ``count`` names as text, in the columns :data:`HEAD`."""
        return [
            (
                str(row["rank"]), row["symbol"], f"{row['composite_score']:.3f}", f"{row['percentile']:.2f}",
                f"{row['current_price']:.2f}", known(row["pe_ratio"], ".1f"),
            )
            for row in self.frame.head(count).iter_rows(named=True)
        ]  # fmt: skip

    def notes(self) -> tuple[str, ...]:
        """Who has no score, which factors do not count, what the market changed, and what is to be known of the data."""
        left_out = ", ".join(f"{count} ({reason})" for reason, count in sorted(self.excluded.items()))
        said = [f"{self.frame.height} names scored" + (f"; without a score: {left_out}" if left_out else "")]
        by_reason = {reason: [name for name, why in self.missing if why == reason] for _, reason in self.missing}
        said += [f"not in the score ({reason}): {', '.join(names)}" for reason, names in by_reason.items()]
        said += [f"weight of {name} × {times:g} in a {state.replace('_', ' ')} market" for name, state, times in self.scores.adjustments]
        return (*said, *(f"note: {warning}" for warning in self.warnings))

    def __str__(self) -> str:
        lines = [HEAD, *self.cells(10)]
        widths = [max(len(line[c]) for line in lines) for c in range(len(HEAD))]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*text, "", *self.notes()])

    def _repr_html_(self) -> str:
        top = markup.title(f"Top ideas at the close of {self.as_of}")
        return markup.page(top, markup.table(HEAD, self.cells(markup.SHOWN)), markup.notes(self.notes()))
