"""What a factor is: :class:`Factor` in the registry, :class:`BoundFactor` with its parameters settled."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import ConfigError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.scoring.inputs import BARS, FactorInputs
from mech_exo.utils.settings import Direction

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Params = Mapping[str, int]
Compute = Callable[[FactorInputs, Ints, Params], Floats]


class Family(StrEnum):
    """The blocks of ``factors.yml``."""

    FUNDAMENTAL = "fundamental"
    TECHNICAL = "technical"
    SENTIMENT = "sentiment"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class Param:
    """A whole-number parameter, mostly of sessions: default and allowed range."""

    default: int
    minimum: int = 2
    maximum: int = 5000


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor: one function and its declaration.

    Parameters
    ----------
    compute
        ``(inputs, rows, params) -> (K, N)`` float64, NaN = no opinion; row ``rows[k]`` may depend on rows ``0..rows[k]`` alone
        (law: ``f(panel[:t+1])[t] == f(panel)[t]``, tested over the registry).
    inputs
        Names of what it reads of :class:`FactorInputs`: arrays of the bars (:data:`mech_exo.scoring.inputs.BARS`), and facts. Where
        the store holds nothing of one of the facts, the factor is left out and every output says why.
    unit
        Of the raw value, for a reader.
    direction
        The direction the literature gives it; ``factors.yml`` states its own.
    params
        Parameters by name.
    warmup
        Index of the first row that can hold a value in a gapless history.
    order
        Names of parameters, each of which must be smaller than the next.
    source
        Paper or book the formula comes from.
    """

    name: str
    family: Family
    inputs: tuple[str, ...]
    unit: str
    direction: Direction
    source: str
    compute: Compute
    params: Mapping[str, Param] = field(default_factory=dict)
    warmup: Callable[[Params], int] | None = None
    order: tuple[str, ...] = ()

    @property
    def facts(self) -> tuple[str, ...]:
        """Those of :attr:`inputs` that bars do not tell."""
        return tuple(name for name in self.inputs if name not in BARS)

    def bind(self, given: Mapping[str, float]) -> BoundFactor:
        """Settle the parameters. Raises ConfigError for an unknown one, a value out of range or not whole."""
        settled = {name: param.default for name, param in self.params.items()}
        for name, value in given.items():
            if name not in self.params:
                known = ", ".join(self.params) or "none"
                raise ConfigError(f"{self.name} has the parameters: {known}; got {name!r}", remedy=did_you_mean(name, self.params))
            settled[name] = self._checked(name, value)
        for small, large in itertools.pairwise(self.order):
            if settled[small] >= settled[large]:
                raise ConfigError(f"{small} of {self.name} must be below {large}; got {small}={settled[small]}, {large}={settled[large]}")
        return BoundFactor(self, settled)

    def _checked(self, name: str, value: float) -> int:
        param = self.params[name]
        if isinstance(value, bool) or value != int(value) or not param.minimum <= value <= param.maximum:
            raise ConfigError(
                f"{name} of {self.name} must be a whole number from {param.minimum} to {param.maximum}; got {value}"
            )
        return int(value)


@dataclass(frozen=True, slots=True)
class BoundFactor:
    """A factor with its parameters: ``values`` at chosen rows, ``compute`` over a whole panel."""

    factor: Factor
    params: Params

    @property
    def name(self) -> str:
        """Name in the registry."""
        return self.factor.name

    @property
    def warmup(self) -> int:
        """Index of the first row that can hold a value."""
        return 0 if self.factor.warmup is None else self.factor.warmup(self.params)

    def values(self, inputs: FactorInputs, rows: Ints) -> Floats:
        """``(K, N)`` raw values at the strictly increasing ``rows``."""
        return self.factor.compute(inputs, rows, self.params)

    def compute(self, panel: BarPanel, universe: Universe | None = None) -> Floats:
        """``(T, N)`` raw values of every session of ``panel``; ``universe`` (None: everyone, no facts) holds members and facts."""
        return self.values(FactorInputs(panel, universe), np.arange(panel.shape[0], dtype=np.int64))


def did_you_mean(name: str, known: Mapping[str, object]) -> str | None:
    """The nearest known names as a remedy, None when nothing is near."""
    near = difflib.get_close_matches(name, list(known), 3, 0.5)
    return f"did you mean {' or '.join(near)}?" if near else None
