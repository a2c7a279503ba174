"""``factors.yml`` as frozen models: which factors count, how much, and how their values become one score."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from mech_exo.utils.model import Model, PositiveFraction
from mech_exo.utils.plugin_settings import Plugins


class Direction(StrEnum):
    """How a factor's value speaks: low is good, high is good, or far below its own normal is good."""

    LOWER_BETTER = "lower_better"
    HIGHER_BETTER = "higher_better"
    MEAN_REVERT = "mean_revert"


class FactorWeight(Model):
    """One line of ``factors.yml``: ``pe_ratio: {weight: 15, direction: lower_better}``."""

    weight: Annotated[float, Field(ge=0.0, le=100.0)]
    direction: Direction
    params: dict[str, float | int] = Field(default_factory=dict, description="overrides of the factor's own parameters")


class Normalisation(StrEnum):
    """How a factor's cross-section becomes comparable with the others'."""

    ZSCORE = "zscore"
    RANK = "rank"
    NONE = "none"


class NormalisedWithin(StrEnum):
    """Among whom a factor's values are made comparable."""

    SESSION = "session"
    SECTOR = "sector"


class Neutral(StrEnum):
    """What a factor can be made neutral to: the sector, the logarithm of market capitalisation, the beta to the market."""

    SECTOR = "sector"
    SIZE = "size"
    BETA = "beta"


class RegressionWeights(StrEnum):
    """How much a name counts in that regression."""

    EQUAL = "equal"
    SQRT_SIZE = "sqrt_size"


class ScoringRules(Model):
    """From factor values to one score per name."""

    normalisation: Normalisation = Field(
        Normalisation.ZSCORE, description="the scale factors are brought to: z-scores, ranks over [-1, 1], or as they are"
    )
    winsor: Annotated[float, Field(ge=0.0, lt=0.5)] = Field(0.025, description="share clipped at each end before the z-score")
    winsor_mad: Annotated[float, Field(ge=0.5, le=20.0)] | None = Field(
        None, description="instead: clip at so many scaled median absolute deviations from the median"
    )
    within: NormalisedWithin = Field(NormalisedWithin.SESSION, description="compare with everyone, or with one's own sector alone")
    min_sector_names: Annotated[int, Field(ge=2, le=1000)] = Field(
        5, description="names of a sector that must have a value before its names are compared with each other; fewer: no opinion"
    )
    neutralise: tuple[Neutral, ...] = Field((), description="what is taken out of every factor by a regression in each session")
    neutralise_weights: RegressionWeights = Field(
        RegressionWeights.EQUAL, description="weights of that regression: all names the same, or by the root of market capitalisation"
    )
    min_coverage: PositiveFraction = Field(0.7, description="least share of the weights a name must have values for")
    min_breadth: PositiveFraction = Field(
        0.25, description="least share of the eligible names a factor that reads facts must be known for, to count in a session"
    )

    @model_validator(mode="after")
    def _comparable(self) -> ScoringRules:
        if self.within is NormalisedWithin.SECTOR and self.normalisation is Normalisation.NONE:
            raise ValueError("within: sector compares nothing while normalisation is none; choose zscore or rank")
        if len(set(self.neutralise)) < len(self.neutralise):
            raise ValueError(f"neutralise names each exposure once; got {', '.join(self.neutralise)}")
        return self

    @property
    def reads_size(self) -> bool:
        """Whether market capitalisation must be known."""
        return Neutral.SIZE in self.neutralise or (bool(self.neutralise) and self.neutralise_weights is RegressionWeights.SQRT_SIZE)


Multipliers = dict[str, Annotated[float, Field(ge=0.0, le=5.0)]]


class RegimeRules(Model):
    """``regime:`` of ``factors.yml``: weights that depend on the state of the market. A multiplier names a factor or a family."""

    trend_window: Annotated[int, Field(ge=2, le=2000)] = Field(200, description="sessions of the mean the index is compared with")
    volatility_window: Annotated[int, Field(ge=2, le=1000)] = Field(21, description="sessions of the index's realised volatility")
    volatility_history: Annotated[int, Field(ge=2, le=5000)] = Field(504, description="values of it, of which the median is its normal")
    bull: Multipliers = Field(default_factory=dict, description="the index is above its mean")
    bear: Multipliers = Field(default_factory=dict, description="below")
    high_volatility: Multipliers = Field(default_factory=dict, description="volatility is above its median")
    low_volatility: Multipliers = Field(default_factory=dict, description="below")

    @property
    def states(self) -> dict[str, Multipliers]:
        """Multipliers by state of the market, those states alone that have any."""
        named = ("bull", "bear", "high_volatility", "low_volatility")
        return {name: getattr(self, name) for name in named if getattr(self, name)}


class FactorsConfig(Model):
    """``factors.yml``: weights and directions by family, sector multipliers, normalisation."""

    fundamental: dict[str, FactorWeight] = Field(default_factory=dict, description="factors of company figures, by name")
    technical: dict[str, FactorWeight] = Field(default_factory=dict, description="factors of bars, by name")
    sentiment: dict[str, FactorWeight] = Field(default_factory=dict, description="factors of news and ratings, by name")
    quality: dict[str, FactorWeight] = Field(default_factory=dict, description="factors of balance-sheet quality, by name")
    sector_adjustments: dict[str, Annotated[float, Field(gt=0.0, le=5.0)]] = Field(
        default_factory=dict, description="multiplier of the score by sector; 1 where a sector is not named"
    )
    scoring: ScoringRules = ScoringRules()
    regime: RegimeRules | None = Field(None, description="weights by state of the market; null: the same in every market")
    plugins: Plugins = Field((), description="files and modules with factors of your own; docs/writing-a-factor.md")

    def weights(self) -> dict[str, FactorWeight]:
        """Every factor with a weight above 0, in order of the names: the same configuration adds up in the same order."""
        lines = [item for family in (self.fundamental, self.technical, self.sentiment, self.quality) for item in family.items()]
        return {name: line for name, line in sorted(lines, key=lambda item: item[0]) if line.weight > 0}

    @model_validator(mode="after")
    def _some_weight(self) -> FactorsConfig:
        if not self.weights():
            raise ValueError("at least one factor needs a weight above 0")
        names = [name for family in (self.fundamental, self.technical, self.sentiment, self.quality) for name in family]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"a factor stands in one family only; doubled: {', '.join(sorted(doubled))}")
        return self
