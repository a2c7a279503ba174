"""What every study of one history shares: who was eligible, what they returned afterwards, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.cross_tests import correlations, orders
from mech_exo.kernels.threads import share
from mech_exo.scoring.eligibility import Exclusion, exclusions
from mech_exo.scoring.factors import BoundFactor, lookup
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.scoring.research.forward import Entry, Holding
from mech_exo.scoring.scorer import SIGNS
from mech_exo.utils.settings import FactorsConfig, UniverseRules

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
PIECE = 32
"""Rows a thread is worth: each is sorted."""


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """``(K, N)`` values and, row by row, the columns of the finite ones in ascending order."""

    values: Floats
    order: NDArray[np.int32]

    @classmethod
    def of(cls, values: Floats) -> Ordered:
        """Sort every row once."""
        order = np.empty(values.shape, np.int32)
        share(len(values), lambda first, stop: orders(values, first, stop, order), PIECE)
        return cls(values, order)

    def rows(self, chosen: NDArray[np.int64] | slice) -> Ordered:
        """Some of the rows."""
        return Ordered(np.ascontiguousarray(self.values[chosen]), np.ascontiguousarray(self.order[chosen]))

    def correlation(self, other: Ordered, kept: Flags, least: int = 2) -> Floats:
        """``(2, K)`` rank (Spearman) and linear (Pearson) correlation with ``other`` over the names of ``kept`` that have both."""
        out = np.empty((2, len(self.values)))
        mine, theirs = (self.values, self.order), (other.values, other.order)
        share(len(kept), lambda first, stop: correlations(*mine, *theirs, kept, least, first, stop, out), PIECE)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A history made ready for studies.

    Parameters
    ----------
    rows
        ``(K,)`` rows of the panel at whose close a factor is asked, ``every`` sessions apart.
    eligible
        ``(K, N)`` names that pass the universe's rules then.
    horizons
        Sessions over which returns are measured, ascending.
    """

    inputs: FactorInputs
    universe: Universe
    rules: UniverseRules
    rows: Ints
    every: int
    eligible: Flags
    horizons: tuple[int, ...]
    holding: Holding
    entry: Entry
    _forward: dict[tuple[int, int], Ordered] = field(default_factory=dict)
    _thinner: dict[int, Sample] = field(default_factory=dict)

    @classmethod
    def of(
        cls, panel: BarPanel, universe: Universe, rules: UniverseRules, *, horizons: Sequence[int] = (1, 5, 21, 63), every: int = 1,
        entry: Entry = Entry.CLOSE, within: tuple[int, int] | None = None,
    ) -> Sample:  # fmt: skip
        """Prepare ``panel``; ``within`` (half-open rows) is the period judged, factors may look back before it.

        Raises InputError for horizons that are not whole and positive, and where none fits into the history.
        """
        first, last = within or (0, panel.shape[0])
        wanted = tuple(sorted(set(horizons)))
        if not wanted or wanted[0] < 1 or every < 1:
            raise InputError(f"horizons and every must be whole numbers of sessions from 1 on; got {list(horizons)} and {every}")
        if panel.shape[1] < 2:
            raise InputError(f"a cross-section needs at least 2 names; the panel has {panel.shape[1]}", remedy="import more symbols")
        rows = np.arange(first, last, every, dtype=np.int64)
        cut = panel if last == panel.shape[0] else panel.rows(0, last)
        known = universe if last == panel.shape[0] else universe.rows(0, last)
        inputs = FactorInputs(cut, known)
        holding = Holding.of(inputs, entry)
        if not len(rows) or first + holding.delay + wanted[-1] >= last:
            raise InputError(
                f"every horizon must be shorter than the history; got {wanted[-1]} sessions in a period of {max(last - first, 0)}",
                remedy="take shorter horizons, or a longer period",
            )
        eligible = exclusions(cut, known, rows, rules) == Exclusion.NONE
        return cls(inputs, known, rules, rows, every, eligible, wanted, holding, entry)

    @property
    def panel(self) -> BarPanel:
        """The bars, up to the end of the period."""
        return self.inputs.panel

    @property
    def sessions(self) -> NDArray[np.datetime64]:
        """``(K,)`` dates of :attr:`rows`."""
        return self.panel.sessions[self.rows]

    def forward(self, horizon: int, lag: int = 0) -> Ordered:
        """Returns over ``horizon`` sessions from ``lag`` sessions after each row, of all names; made once."""
        key = (horizon, lag)
        if key not in self._forward:
            self._forward[key] = Ordered.of(self.holding.returns(self.rows, horizon, lag))
        return self._forward[key]

    def thin(self, step: int) -> Sample:
        """The same history at every ``step``-th of the rows; made once."""
        if step not in self._thinner:
            eligible = np.ascontiguousarray(self.eligible[::step])
            every = self.every * step
            self._thinner[step] = replace(self, rows=self.rows[::step], every=every, eligible=eligible, _forward={}, _thinner={})
        return self._thinner[step]

    def rows_apart(self, horizon: int) -> int:
        """Rows nearest to ``horizon`` sessions apart; 0 where cross-sections are too far apart to tell."""
        return round(horizon / self.every)

    @property
    def renewed(self) -> int | None:
        """The shortest horizon after which the next cross-section can follow at once; None: cross-sections never meet a horizon's end."""
        return next((horizon for horizon in self.horizons if horizon % self.every == 0), None)

    def overlap(self, horizon: int) -> int:
        """How many of the following rows' returns overlap with a row's."""
        return -(-horizon // self.every) - 1

    def factor(self, factor: BoundFactor, sign: float) -> Ordered:
        """``(K, N)`` values of the eligible names times ``sign``: higher is better. NaN = no opinion.

        Raises InputError where no session tells two names apart.
        """
        raw = sign * factor.values(self.inputs, self.rows)
        directed = Ordered.of(np.where(self.eligible & np.isfinite(raw), raw, np.nan))
        if not (directed.order[:, :2] >= 0).all(axis=1).any():
            raise InputError(
                f"{factor.name} needs a session with values for at least 2 eligible names; there is none of {len(self.rows)}",
                remedy="take a longer period (the factor's warm-up counts), or looser universe rules in strategy.yml",
            )
        low = directed.values[np.arange(len(self.rows)), directed.order[:, 0]]
        if not (np.nanmax(directed.values, axis=1, initial=-np.inf) > np.where(directed.order[:, 0] < 0, np.inf, low)).any():
            raise InputError(f"{factor.name} must tell names apart; it has one value for all of them in every session")
        return directed


def configured(name: str, config: FactorsConfig | None) -> tuple[BoundFactor, float]:
    """The factor ``name`` with its parameters and the sign of its direction as ``config`` has them, else as the literature has them.

    Raises ConfigError for an unknown factor, with the nearest names.
    """
    factor = lookup(name, () if config is None else config.plugins)
    for family in () if config is None else (config.fundamental, config.technical, config.sentiment, config.quality):
        if name in family:
            return factor.bind(family[name].params), SIGNS[family[name].direction]
    return factor.bind({}), SIGNS[factor.direction]
