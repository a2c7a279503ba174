"""What a user or notebook calls: :class:`IdeaScorer` ranks a stored universe, :class:`FactorFactory` makes one factor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

from mech_exo.domain.errors import InputError, MissingDataError, cut
from mech_exo.domain.facts import rows_of
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.domain.scores import Scores
from mech_exo.kernels.cross_section import percentile
from mech_exo.scoring.eligibility import Exclusion, exclusions
from mech_exo.scoring.explanation import Explanation, FactorLine, Ranking
from mech_exo.scoring.factors import REGISTRY, BoundFactor, did_you_mean, every_fact, facts_read, known, lookup
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.scoring.scorer import score_rows, sector_notes
from mech_exo.utils.plugin_settings import Plugins
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
        The configuration breaks a rule, or names an unknown factor.
    """

    def __init__(self, storage: Market | None = None, config: Config | None = None) -> None:
        self._config = _configured() if config is None else config  # first: a folder that is no workspace says so
        self._storage = _published() if storage is None else storage

    def ranking(self, as_of: date | None = None) -> Ranking:
        """Score the last session at or before ``as_of`` (None: the last one stored)."""
        view = self._storage.view(as_of)
        panel, universe, row = self._known(view, as_of, {*facts_read(self._config.factors), "pe_ratio"})
        table = score_rows(panel, universe, np.array([row]), self._config.factors, self._config.strategy.universe)
        scores = table.scores(0)
        sectors = _sector_names(universe, row)
        return Ranking(
            as_of=scores.as_of,
            frame=_ranked(scores, panel.close[row], _pe_ratios(universe, row), sectors),
            scores=scores,
            sectors=sectors,
            excluded=dict(Counter(reason for reason in scores.exclusion if reason)),
            missing=scores.missing,
            warnings=(*view.warnings(), *sector_notes(self._config.factors, universe)),
        )

    def _known(self, view: MarketAt, as_of: date | None, facts: Iterable[str]) -> tuple[BarPanel, Universe, int]:
        """What is known at the session that ``view`` ends with, and its row."""
        strategy = self._config.strategy
        panel = view.panel(start=strategy.history_start)
        row = _last_row(panel, strategy.history_start, as_of)
        return panel, view.universe(panel, strategy.universe.name, tuple(sorted(facts))), row

    def absent(self) -> dict[str, str]:
        """For every factor whose inputs the store does not hold now: why. Raises MissingDataError where it holds no bars."""
        facts = self._known(self._storage.view(), None, every_fact(self._config.factors.plugins))[1].facts
        every = known(self._config.factors.plugins)
        lacking = {
            name: [facts.why_absent(fact) for fact in part.what.facts if fact not in facts.known] for name, part in every.items()
        }
        return {name: "; ".join(sorted({reason or "" for reason in reasons})) for name, reasons in lacking.items() if reasons}

    def factor(self, name: str, as_of: date | None = None) -> pl.DataFrame:
        """Raw values of one factor at a session, highest first: symbol, value (null = unknown), for the names that may be bought.

        With the parameters of ``factors.yml``, where it names the factor. Raises ConfigError for an unknown factor, MissingDataError where
        its inputs are absent.
        """
        factor = lookup(name, self._config.factors.plugins)
        line = getattr(self._config.factors, factor.family.value).get(name)
        panel, universe, row = self._known(self._storage.view(as_of), as_of, factor.facts)
        rows = np.array([row])
        values = factor.bind({} if line is None else line.params).values(FactorInputs(panel, universe), rows)[0]
        eligible = np.flatnonzero(exclusions(panel, universe, rows, self._config.strategy.universe)[0] == Exclusion.NONE)
        symbols = pl.Series([panel.symbols[j] for j in eligible], dtype=pl.String)
        frame = pl.DataFrame({"symbol": symbols, "value": values[eligible]})
        known_values = frame.with_columns(pl.when(pl.col("value").is_finite()).then("value"))
        return known_values.sort("value", "symbol", descending=[True, False], nulls_last=True)

    def rank_universe(self, as_of: date | None = None) -> pl.DataFrame:
        """Every name with a score, best first.

        Columns: rank (1 = best), symbol, composite_score (higher is better), percentile (share of scored names that are not
        better, in (0, 1]), current_price (USD, as traded), pe_ratio (null = unknown), sector (null = unknown),
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
            raise InputError(
                f"the symbol must be one of the store's {len(scores.symbols)}; got {cut(symbol)!r}",
                remedy=did_you_mean(symbol.upper(), dict.fromkeys(scores.symbols)),
            )
        j = scores.symbols.index(symbol)
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
            multiplier=float(scores.multiplier[j]),
            factors=_lines(scores, j, self._config.factors.plugins),
            adjustments=scores.adjustments,
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


def _lines(scores: Scores, j: int, plugins: Plugins) -> tuple[FactorLine, ...]:
    """One line a factor for name ``j``."""
    peers = np.isfinite(scores.coverage)
    has = np.isfinite(scores.normalised[j])
    have = float(scores.weights[has].sum())
    lines = []
    for f, name in enumerate(scores.factors):
        raw = float(scores.raw[j, f])
        place = percentile(np.where(peers, scores.raw[:, f], np.nan))[j]
        weight = float(scores.weights[f]) / have if has[f] and have > 0.0 else np.nan
        values = (float(scores.normalised[j, f]), weight, float(scores.contribution[j, f]))
        lines.append(FactorLine(name, raw, lookup(name, plugins).unit, float(place), *values))
    return tuple(lines)


def _pe_ratios(universe: Universe, row: int) -> NDArray[np.float64]:
    """``(N,)`` as known at ``row``, NaN = unknown."""
    known = universe.facts.known.get("pe_ratio")
    return np.full(universe.member.shape[1], np.nan) if known is None else rows_of(known, np.array([row]))[0]


def _published() -> Market:
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.utils.workspace import home_folder

    return DataStorage.snapshot(home_folder())


def _configured() -> Config:
    from mech_exo.utils.config import load
    from mech_exo.utils.workspace import home_folder

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


def _ranked(scores: Scores, close: NDArray[np.float64], pe: NDArray[np.float64], sectors: tuple[str | None, ...]) -> pl.DataFrame:
    scored = np.flatnonzero(scores.rank > 0)
    order = scored[np.argsort(scores.rank[scored])]
    frame = pl.DataFrame(
        {
            "rank": scores.rank[order],
            "symbol": pl.Series([scores.symbols[j] for j in order], dtype=pl.String),
            "composite_score": scores.value[order],
            "percentile": scores.percentile[order],
            "current_price": close[order],
            "pe_ratio": pl.Series([float(pe[j]) if np.isfinite(pe[j]) else None for j in order], dtype=pl.Float64),
            "sector": pl.Series([sectors[j] for j in order], dtype=pl.String),
            "coverage": scores.coverage[order],
        }
    )
    return frame.with_columns(pl.Series(f"contribution_{name}", scores.contribution[order, f]) for f, name in enumerate(scores.factors))
