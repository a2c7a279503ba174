"""The composite score: configured factors over a panel, normalised within each session, weighted, explained."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import ConfigError, InputError, MissingDataError
from mech_exo.domain.facts import Facts, rows_of
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.domain.scores import Scores
from mech_exo.kernels.cross_section import percentile, ranks
from mech_exo.scoring import regime
from mech_exo.scoring.eligibility import Exclusion, exclusions
from mech_exo.scoring.factors import BoundFactor, lookup
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.scoring.normalize import Method, Neighbours, composite_row, composite_rows, known_counts, too_thin
from mech_exo.utils.settings import (
    Direction,
    FactorsConfig,
    Neutral,
    NormalisedWithin,
    RegimeRules,
    RegressionWeights,
    ScoringRules,
    UniverseRules,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIGNS = {Direction.HIGHER_BETTER: 1.0, Direction.LOWER_BETTER: -1.0, Direction.MEAN_REVERT: -1.0}
"""A value that reverts to its normal speaks against itself: -z. The normal is the session's cross-section, so an RSI far below the
others' (oversold) scores high, exactly as 50 - RSI would."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A ``factors.yml`` made ready: the factors that have a source with weight and sign, and those that have none."""

    factors: tuple[BoundFactor, ...]
    weights: Floats
    signs: Floats
    reads_facts: NDArray[np.bool_]
    missing: tuple[tuple[str, str], ...]
    rules: ScoringRules
    regime: RegimeRules | None

    @classmethod
    def of(cls, config: FactorsConfig, facts: Facts) -> Recipe:
        """Look up every factor of ``config``, and those of its inputs that bars do not tell in ``facts``.

        Raises ConfigError for an unknown factor or parameter (also where the weight is 0) and when no factor has a source.
        """
        for family in (config.fundamental, config.technical, config.sentiment, config.quality):
            for name, line in family.items():
                lookup(name, config.plugins).bind(line.params)
        regime.check(config.regime, config.plugins)
        bound = {name: lookup(name, config.plugins).bind(line.params) for name, line in config.weights().items()}
        reasons = {name: facts.why_absent(fact) for name, one in bound.items() for fact in one.factor.facts if fact not in facts.known}
        missing = tuple((name, reason or "") for name, reason in reasons.items())
        used = {name: factor for name, factor in bound.items() if name not in reasons}
        if not used:
            raise ConfigError(
                f"at least one factor with a weight needs a source; none of {', '.join(bound)} has one",
                remedy="give a technical factor a weight in factors.yml, e.g. momentum_12_1: {weight: 12, direction: higher_better}",
            )
        lines = [config.weights()[name] for name in used]
        return cls(
            factors=tuple(used.values()),
            weights=np.array([line.weight for line in lines]),
            signs=np.array([SIGNS[line.direction] for line in lines]),
            reads_facts=np.array([bool(factor.factor.facts) for factor in used.values()]),
            missing=missing,
            rules=config.scoring,
            regime=config.regime,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """Scores of ``N`` names at ``K`` sessions.

    Parameters
    ----------
    rows
        ``(K,)`` rows of the panel.
    value
        ``(K, N)`` composite, higher is better, NaN = no opinion.
    exclusion
        ``(K, N)`` int8, :class:`Exclusion`.
    raw
        ``(F, K, N)`` factor values as computed.
    multiplier
        ``(K, N)`` sector multiplier of the composite.
    known
        ``(K, F)`` for how many of the names that take part in the normalisation a factor has a value.
    weights
        ``(K, F)`` weight of each factor in each session, adjusted to the market (``regime``); 0 where it is too thin.
    thin
        ``(K, F)`` whether a factor is left out of a session because it is known for too few names (``scoring.min_breadth``).
    state
        ``(K, 2)`` state of the market, see :func:`mech_exo.kernels.regime.regime_rows`; 0 = unknown, or nobody asks.
    near
        Sectors and exposures the names are compared by.
    """

    symbols: tuple[str, ...]
    sessions: NDArray[np.datetime64]
    rows: Ints
    value: Floats
    exclusion: NDArray[np.int8]
    raw: Floats
    multiplier: Floats
    known: Ints
    weights: Floats
    thin: NDArray[np.bool_]
    state: Ints
    near: Neighbours
    method: Method
    recipe: Recipe

    @property
    def factors(self) -> tuple[str, ...]:
        """``(F,)`` names of the factors used."""
        return tuple(factor.name for factor in self.recipe.factors)

    @property
    def missing(self) -> tuple[tuple[str, str], ...]:
        """Configured factors that have no source, with the reason; they are not in the denominator of any session."""
        return self.recipe.missing

    def missing_at(self, k: int) -> tuple[tuple[str, str], ...]:
        """Configured factors that are not in the denominator of ``rows[k]``, with the reason, in order of the names."""
        names, least = int(_eligible(self.exclusion[k]).sum()), self.recipe.rules.min_breadth
        thin = [
            (self.factors[f], f"known for {self.known[k, f]} of {names} names, fewer than {100.0 * least:.3g}% (scoring.min_breadth)")
            for f in np.flatnonzero(self.thin[k])
        ]
        return tuple(sorted((*self.missing, *thin)))

    def scores(self, k: int) -> Scores:
        """The cross-section of ``rows[k]`` with raw values, normalised values and contributions ``(N, F)``."""
        recipe, count = self.recipe, len(self.symbols)
        normalised, contribution = np.empty((len(recipe.factors), count)), np.empty((len(recipe.factors), count))
        coverage, value = np.empty(count), np.empty(count)
        composite_row(
            self.raw, k, _eligible(self.exclusion[k]), recipe.signs, self.weights[k], self.method, self.near,
            self.multiplier[k], normalised, contribution, coverage, value,
        )  # fmt: skip
        as_of: date = self.sessions[k].astype(object)
        return Scores(
            as_of=as_of,
            symbols=self.symbols,
            value=value,
            rank=ranks(value),
            percentile=percentile(value),
            factors=self.factors,
            raw=np.ascontiguousarray(self.raw[:, k].T),
            normalised=np.ascontiguousarray(normalised.T),
            contribution=np.ascontiguousarray(contribution.T),
            coverage=coverage,
            exclusion=tuple(Exclusion(int(code)).text for code in self.exclusion[k]),
            missing=self.missing_at(k),
            weights=self.weights[k],
            multiplier=self.multiplier[k],
            adjustments=regime.adjustments(recipe.regime, self.state[k], recipe.factors),
        )


def score_rows(
    panel: BarPanel, universe: Universe, rows: Ints, factors: FactorsConfig, rules: UniverseRules, inputs: FactorInputs | None = None
) -> ScoreTable:
    """Score every name of ``panel`` at the close of each of ``rows`` ``(K,)``, strictly increasing.

    Each factor reads rows up to the one it is asked for; values are normalised among the names that pass ``rules`` in that
    session (``factors.scoring``), directed, and weighted. The composite is multiplied by its sector's multiplier: above 1 the
    opinion counts for more, a bad one too; an unknown sector has 1. A factor that reads facts counts only in the sessions that know them
    of enough names (``scoring.min_breadth``). ``inputs`` are the panel's, where the caller reads them too.

    Raises
    ------
    ConfigError
        Unknown factor or parameter, or no factor with a source.
    InputError
        ``rows`` is not increasing or leaves the panel; ``universe`` has another shape.
    MissingDataError
        Size is to be taken out, and no market capitalisation is known.
    """
    rows = _checked_rows(rows, panel, universe)
    recipe = Recipe.of(factors, universe.facts)
    multiplier = _multipliers(universe, rows, factors.sector_adjustments)
    excluded = exclusions(panel, universe, rows, rules)
    inputs = inputs or FactorInputs(panel, universe)
    raw = np.empty((len(recipe.factors), len(rows), len(panel.symbols)))
    for f, factor in enumerate(recipe.factors):
        raw[f] = factor.values(inputs, rows)
    eligible = _eligible(excluded)
    known = known_counts(raw, eligible)
    thin = too_thin(known, eligible, recipe.reads_facts, recipe.rules.min_breadth)
    state = regime.states(recipe.regime, inputs, rows)
    weights = np.where(thin, 0.0, recipe.weights * regime.multipliers(recipe.regime, state, recipe.factors))
    near = _neighbours(inputs, universe, rows, recipe.rules)
    method = Method.of(recipe.rules, len(universe.sector_names))
    value = composite_rows(raw, eligible, recipe.signs, weights, method, near, multiplier)
    excluded[(excluded == Exclusion.NONE) & np.isnan(value)] = Exclusion.TOO_FEW_FACTORS
    return ScoreTable(
        panel.symbols, panel.sessions[rows], rows, value, excluded, raw, multiplier, known, weights, thin, state, near, method, recipe
    )  # fmt: skip


def _eligible(exclusion: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Names that took part in the normalisation: those with too few factors did."""
    part: NDArray[np.bool_] = (exclusion == Exclusion.NONE) | (exclusion == Exclusion.TOO_FEW_FACTORS)
    return part


def _checked_rows(rows: Ints, panel: BarPanel, universe: Universe) -> Ints:
    out = np.ascontiguousarray(rows, np.int64)
    if out.ndim != 1 or (len(out) and (out[0] < 0 or out[-1] >= panel.shape[0] or bool((np.diff(out) <= 0).any()))):
        raise InputError(f"rows must be strictly increasing rows of the panel, 0 to {panel.shape[0] - 1}; got {rows}")
    if universe.member.shape != panel.shape:
        raise InputError(f"the universe must have the panel's shape {panel.shape}; got {universe.member.shape}")
    return out


def _multipliers(universe: Universe, rows: Ints, adjustments: dict[str, float]) -> Floats:
    by_code = np.array([adjustments.get(name, 1.0) for name in universe.sector_names] + [1.0])  # -1, unknown, reads the last
    multiplier: Floats = by_code[universe.sector[rows]]
    return multiplier


def sector_notes(config: FactorsConfig, universe: Universe) -> tuple[str, ...]:
    """What must be said of sectors beside a score: multipliers that fit none, and that none is known where names are compared by them."""
    said = []
    unknown = sorted(config.sector_adjustments.keys() - set(universe.sector_names))
    if unknown:
        known = ", ".join(universe.sector_names) or "none"
        said.append(f"sector_adjustments without a sector of that name: {', '.join(unknown)} (known: {known})")
    compared = config.scoring.within is NormalisedWithin.SECTOR or Neutral.SECTOR in config.scoring.neutralise
    if compared and not (universe.sector >= 0).any():
        off = "scoring.within: session, and no sector in scoring.neutralise"
        said.append(f"no sector is known, so nobody can be compared by it: exo data import --sectors FILE, or set {off}")
    return tuple(said)


def _neighbours(inputs: FactorInputs, universe: Universe, rows: Ints, rules: ScoringRules) -> Neighbours:
    """Sectors, exposures and regression weights at ``rows``; arrays that no rule reads are empty."""
    sector = np.ascontiguousarray(universe.sector[rows], np.int64)
    if not rules.neutralise:
        return Neighbours(sector, np.empty((0, *sector.shape)), np.empty((len(rows), 0)))
    size = _size(inputs, rows) if rules.reads_size else np.empty(0)
    exposures = [size] if Neutral.SIZE in rules.neutralise else []
    if Neutral.BETA in rules.neutralise:
        exposures.append(lookup("market_beta").bind({}).values(inputs, rows))
    weights = np.exp(size / 2.0) if rules.neutralise_weights is RegressionWeights.SQRT_SIZE else np.ones(sector.shape)
    return Neighbours(sector, np.array(exposures).reshape(len(exposures), *sector.shape), weights)


def _size(inputs: FactorInputs, rows: Ints) -> Floats:
    """``(K, N)`` logarithm of market capitalisation in USD; NaN where it is not known."""
    reason = "no universe was given" if inputs.universe is None else inputs.universe.facts.why_absent("market_cap")
    if reason is not None:
        raise MissingDataError(
            f"scoring.neutralise and neutralise_weights need market_cap to know the size; it is not known of any name: {reason}",
            remedy="import fundamentals, or take size and sqrt_size out of scoring: in factors.yml",
        )
    cap = rows_of(inputs.fact("market_cap"), rows)
    out: Floats = np.log(np.where(cap > 0.0, cap, np.nan))
    return out
