"""What a user or notebook calls: :class:`IdeaScorer` ranks a stored universe, :class:`FactorFactory` makes one factor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.domain.scores import Scores
from mech_exo.scoring.factors import REGISTRY, BoundFactor, facts_of, lookup
from mech_exo.scoring.scorer import score_rows
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MarketAt(Protocol):
    """What is known at one session's close; a store's view."""

    def panel(self, *, start: date | None = None, symbols: Sequence[str] | None = None) -> BarPanel:
        """Bars from ``start`` to the session."""
        ...

    def universe(self, panel: BarPanel, name: str | None, facts: Sequence[str] = ()) -> Universe:
        """Members, sectors and ``facts`` on the panel's rows."""
        ...

    def warnings(self) -> tuple[str, ...]:
        """What a reader must know about the data."""
        ...


class Market(Protocol):
    """A store that can be viewed as of a date."""

    def view(self, as_of: date | None = None) -> MarketAt:
        """Everything known at the close of ``as_of``; None: of the last session."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FactorLine:
    """One factor of one name: raw value, normalised and directed value, and what it adds to the score. NaN = unknown."""

    factor: str
    raw: float
    normalised: float
    contribution: float


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why a name scores as it does; ``exclusion`` says why it has no score, "" where it has one. NaN = unknown."""

    symbol: str
    as_of: date
    rank: int | None
    of: int
    composite_score: float
    percentile: float
    coverage: float
    sector: str | None
    exclusion: str
    factors: tuple[FactorLine, ...]
    missing: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        if self.rank is None:
            head = f"{self.symbol} has no score at {self.as_of}: {self.exclusion}"
        else:
            head = f"{self.symbol} ranks {self.rank} of {self.of} at {self.as_of} with a score of {self.composite_score:.4f}"
        lines = [
            f"  {line.factor}: " + (f"raw {line.raw:.4g}, normalised {line.normalised:.3f}, adds {line.contribution:.4f}"
                                    if np.isfinite(line.normalised) else f"raw {_known(line.raw)}, no opinion")
            for line in self.factors
        ]  # fmt: skip
        return "\n".join([head, *lines, *(f"  {name}: {reason}" for name, reason in self.missing)])


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """One session's ranked universe with what a reader must know beside it.

    ``frame`` as :meth:`IdeaScorer.rank_universe`; ``excluded`` counts the names without a score by reason; ``missing`` the
    configured factors that do not count at this session, with the reason.
    """

    as_of: date
    frame: pl.DataFrame
    scores: Scores
    sectors: tuple[str | None, ...]
    excluded: dict[str, int]
    missing: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


class IdeaScorer:
    """Ranks the universe with the configured factors.

    Parameters
    ----------
    storage
        A store (:class:`mech_exo.datasource.DataStorage`); None opens the published snapshot of the workspace
        (``$EXO_HOME`` or the current folder).
    config
        The configuration; None reads that workspace's ``config/``.

    Raises
    ------
    MissingDataError
        Nothing has been published yet.
    ConfigError
        The configuration breaks a rule, or names an unknown factor or sector.
    """

    def __init__(self, storage: Market | None = None, config: Config | None = None) -> None:
        self._config = _configured() if config is None else config  # first: a folder that is no workspace says so
        self._storage = _published() if storage is None else storage

    def ranking(self, as_of: date | None = None) -> Ranking:
        """Score the last session at or before ``as_of`` (None: the last one stored)."""
        view = self._storage.view(as_of)
        strategy = self._config.strategy
        panel = view.panel(start=strategy.history_start)
        row = _last_row(panel, strategy.history_start, as_of)
        universe = view.universe(panel, strategy.universe.name, facts_of(self._config.factors.weights()))
        table = score_rows(panel, universe, np.array([row]), self._config.factors, strategy.universe)
        scores = table.scores(0)
        sectors = _sector_names(universe, row)
        return Ranking(
            as_of=scores.as_of,
            frame=_ranked(scores, panel.close[row], sectors),
            scores=scores,
            sectors=sectors,
            excluded=dict(Counter(reason for reason in scores.exclusion if reason)),
            missing=scores.missing,
            warnings=view.warnings(),
        )

    def rank_universe(self, as_of: date | None = None) -> pl.DataFrame:
        """Every name with a score, best first.

        Columns: rank (1 = best), symbol, composite_score (higher is better), percentile (share of scored names that are not
        better, in (0, 1]), current_price (USD, as traded), pe_ratio (null while no source feeds it), sector (null = unknown),
        coverage (share of the weights the name has values for) and ``contribution_<factor>``, which sum to the score.
        """
        return self.ranking(as_of).frame

    def get_top_ideas(self, n: int = 10, as_of: date | None = None) -> pl.DataFrame:
        """The best ``n`` rows of :meth:`rank_universe`; fewer when fewer have a score. ``n`` must be at least 1."""
        if n < 1:
            raise InputError(f"the number of ideas must be at least 1; got {n}")
        return self.rank_universe(as_of).head(n)

    def explain(self, symbol: str, as_of: date | None = None) -> Explanation:
        """Why ``symbol`` ranks where it does, or why it has no score. Raises InputError for an unknown symbol."""
        ranking = self.ranking(as_of)
        scores = ranking.scores
        if symbol not in scores.symbols:
            import difflib

            near = difflib.get_close_matches(symbol, scores.symbols, 3, 0.5)
            raise InputError(
                f"the symbol must be one of the store's {len(scores.symbols)}; got {symbol!r}",
                remedy=f"did you mean {' or '.join(near)}?" if near else None,
            )
        j = scores.symbols.index(symbol)
        columns = (scores.raw[j], scores.normalised[j], scores.contribution[j])
        lines = (FactorLine(name, float(a), float(b), float(c)) for name, a, b, c in zip(scores.factors, *columns, strict=True))
        return Explanation(
            symbol=symbol,
            as_of=scores.as_of,
            rank=int(scores.rank[j]) or None,
            of=int((scores.rank > 0).sum()),
            composite_score=float(scores.value[j]),
            percentile=float(scores.percentile[j]),
            coverage=float(scores.coverage[j]),
            sector=ranking.sectors[j],
            exclusion=scores.exclusion[j],
            factors=tuple(lines),
            missing=ranking.missing,
        )


class FactorFactory:
    """Makes factors by name."""

    @staticmethod
    def names() -> tuple[str, ...]:
        """Every known factor, also those no source feeds yet."""
        return tuple(REGISTRY)

    @staticmethod
    def create(name: str, **params: float) -> BoundFactor:
        """The factor ``name`` with ``params`` over its defaults; ``.compute(panel)`` gives ``(T, N)`` raw values.

        Raises ConfigError for an unknown factor or parameter, with the nearest names.
        """
        return lookup(name).bind(params)


def _published() -> Market:
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.utils.config import home_folder

    return DataStorage.snapshot(home_folder())


def _configured() -> Config:
    from mech_exo.utils.config import home_folder, load

    return load(home_folder())


def _last_row(panel: BarPanel, start: date, as_of: date | None) -> int:
    """The panel's last row. Raises MissingDataError when there is none, or when nothing at all was traded in it."""
    row = panel.shape[0] - 1
    if row < 0:
        raise MissingDataError(
            f"scoring needs bars from {start} on; the store has none up to {as_of or 'today'}", remedy="exo data import FILE"
        )
    if np.isnan(panel.close[row]).all():
        traded = np.flatnonzero(~np.isnan(panel.close).all(axis=1))
        last = f"the last session with any is {panel.sessions[traded[-1]]}" if len(traded) else "there is none before it either"
        raise MissingDataError(
            f"scoring needs bars of its session; the store has none of {panel.sessions[row]}; {last}",
            remedy="import newer bars with `exo data import FILE`, or choose an earlier date",
        )
    return row


def _sector_names(universe: Universe, row: int) -> tuple[str | None, ...]:
    return tuple(universe.sector_names[code] if code >= 0 else None for code in universe.sector[row])


def _ranked(scores: Scores, close: NDArray[np.float64], sectors: tuple[str | None, ...]) -> pl.DataFrame:
    scored = np.flatnonzero(scores.rank > 0)
    order = scored[np.argsort(scores.rank[scored])]
    frame = pl.DataFrame(
        {
            "rank": scores.rank[order],
            "symbol": pl.Series([scores.symbols[j] for j in order], dtype=pl.String),
            "composite_score": scores.value[order],
            "percentile": scores.percentile[order],
            "current_price": close[order],
            "pe_ratio": pl.Series([_raw(scores, "pe_ratio", j) for j in order], dtype=pl.Float64),
            "sector": pl.Series([sectors[j] for j in order], dtype=pl.String),
            "coverage": scores.coverage[order],
        }
    )
    return frame.with_columns(pl.Series(f"contribution_{name}", scores.contribution[order, f]) for f, name in enumerate(scores.factors))


def _raw(scores: Scores, factor: str, j: int) -> float | None:
    """Raw value of ``factor`` for name ``j``; None where it is not used or unknown."""
    if factor not in scores.factors:
        return None
    value = float(scores.raw[j, scores.factors.index(factor)])
    return value if np.isfinite(value) else None


def _known(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "unknown"
