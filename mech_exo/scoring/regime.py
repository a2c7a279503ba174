"""How the state of the market changes the weights of factors."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import ConfigError
from mech_exo.kernels.regime import regime_rows
from mech_exo.scoring.factors import BoundFactor, Family, did_you_mean, known
from mech_exo.utils.plugin_settings import Plugins
from mech_exo.utils.settings import RegimeRules

if TYPE_CHECKING:
    from mech_exo.scoring.inputs import FactorInputs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STATES = {"bull": (0, 1), "bear": (0, -1), "high_volatility": (1, 1), "low_volatility": (1, -1)}
"""Column and value of :func:`mech_exo.kernels.regime.regime_rows`."""


def check(rules: RegimeRules | None, plugins: Plugins = ()) -> None:
    """Raises ConfigError where a multiplier names neither a factor nor a family."""
    words = {**dict.fromkeys(family.value for family in Family), **known(plugins)}
    for state, name in ((state, name) for state, given in ({} if rules is None else rules.states).items() for name in given):
        if name not in words:
            raise ConfigError(
                f"a multiplier of regime.{state} must name a factor or one of the families {', '.join(Family)}; got {name!r}",
                remedy=did_you_mean(name, words),
            )


def states(rules: RegimeRules | None, inputs: FactorInputs, rows: Ints) -> Ints:
    """``(K, 2)`` state of the market at ``rows`` for the weights: see :func:`market_states`; all unknown where no rule asks."""
    if rules is None or not rules.states:
        return np.zeros((len(rows), 2), np.int64)
    return market_states(rules, inputs, rows)


def market_states(rules: RegimeRules, inputs: FactorInputs, rows: Ints) -> Ints:
    """``(K, 2)`` state of the equal-weighted market of the members, as :func:`mech_exo.kernels.regime.regime_rows`."""
    return regime_rows(inputs.market_return, rows, rules.trend_window, rules.volatility_window, rules.volatility_history)


def adjustments(rules: RegimeRules | None, state: Ints, factors: tuple[BoundFactor, ...]) -> tuple[tuple[str, str, float], ...]:
    """(factor, state, multiplier) of one session in ``state`` ``(2,)``. Within a state a factor's own multiplier replaces its family's."""
    found = []
    for (name, given), one in itertools.product(({} if rules is None else rules.states).items(), factors):
        column, value = STATES[name]
        multiplier = given.get(one.name, given.get(one.factor.family.value, 1.0))
        if state[column] == value and multiplier != 1.0:
            found.append((one.name, name, multiplier))
    return tuple(found)


def multipliers(rules: RegimeRules | None, state: Ints, factors: tuple[BoundFactor, ...]) -> Floats:
    """``(K, F)`` product of the adjustments of each session in ``state`` ``(K, 2)``."""
    place = {one.name: f for f, one in enumerate(factors)}
    out = np.ones((len(state), len(factors)))
    kinds, which = np.unique(state, axis=0, return_inverse=True)
    for i, kind in enumerate(kinds):
        for name, _, multiplier in adjustments(rules, kind, factors):
            out[which.ravel() == i, place[name]] *= multiplier
    return out
