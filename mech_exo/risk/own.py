"""Limits of the user's plug-ins: a rule asked at every decision of the book, beside the program's own; the strictest binds."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mech_exo.domain.errors import ConfigError
from mech_exo.domain.history import History
from mech_exo.kernels.records import Floats
from mech_exo.utils.plugin_answers import shares_of
from mech_exo.utils.plugin_files import Part, chosen, parts
from mech_exo.utils.plugin_settings import Plugins
from mech_exo.utils.settings import RiskLimits


@dataclass(frozen=True, slots=True, eq=False)
class LimitSight:
    """What a limit may know at a close; arrays ``(N,)`` are read-only, in the order of ``symbols``.

    Parameters
    ----------
    wanted, held
        Signed shares the strategy would hold after the next open, and holds now.
    close
        USD as traded, NaN = no bar tonight.
    stop
        Level at which the wanted position's stop would rest, USD; NaN = none.
    sector
        Names, None = unknown.
    nav
        USD, NaN = unknown.
    history
        Bars up to tonight, its columns in the order of ``symbols``.
    """

    symbols: tuple[str, ...]
    wanted: Floats
    held: Floats
    close: Floats
    stop: Floats
    sector: tuple[str | None, ...]
    nav: float
    history: History


Allows = Callable[[LimitSight, float], Floats]


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit: one function and its declaration. It is on where ``plugin_limits`` of ``risk_limits.yml`` gives it a figure.

    Parameters
    ----------
    allows
        ``(sight, figure) -> (N,)`` float64: the most shares, long or short (≥ 0, no sign), of each name; inf = any, NaN = unknown. The
        program rounds down to lots, never enlarges a position by it, and where it says NaN lets nothing but reductions pass.
    unit
        Of the figure, for a reader.
    example
        A figure it is tried with where the configuration gives none.
    minimum, maximum
        The figures it takes.
    source
        Rule, paper or book it comes from.
    """

    name: str
    allows: Allows
    unit: str
    example: float
    minimum: float = 0.0
    maximum: float = math.inf
    source: str = ""


@dataclass(frozen=True, slots=True)
class SetLimit:
    """A limit with its figure."""

    part: Part[Limit]
    figure: float

    def allowed(self, sight: LimitSight) -> Floats:
        """``(N,)`` the most shares of each name, ≥ 0; NaN unknown. Raises PluginError for a rule that fails or answers something else."""
        limit, wanted = self.part.what, "the most shares of each symbol"
        return shares_of(self.part.brought, f"limit {limit.name}", wanted, len(sight.symbols), lambda: limit.allows(sight, self.figure))


def declared(plugins: Plugins) -> dict[str, Part[Limit]]:
    """The limits of ``plugins`` by name, not checked by the laws. Raises PluginError."""
    return parts(plugins, Limit)


def set_limits(limits: RiskLimits) -> tuple[SetLimit, ...]:
    """The limits of plug-ins that are on, in order of their names. Raises ConfigError for a name or a figure there is none of."""
    return _set(limits.plugins, tuple(limits.limits_of_plugins.items()))


@functools.lru_cache(maxsize=64)
def _set(plugins: Plugins, figures: tuple[tuple[str, float], ...]) -> tuple[SetLimit, ...]:
    found = declared(plugins)
    result = []
    for name, figure in figures:
        part = chosen(found, name, "plugin_limits names limits of plug-ins", "risk_limits.yml")
        limit = part.what
        if not limit.minimum <= figure <= limit.maximum:
            raise ConfigError(f"plugin_limits.{name} must be from {limit.minimum:g} to {limit.maximum:g} ({limit.unit}); got {figure:g}")
        result.append(SetLimit(part, figure))
    return tuple(result)


def caps(limits: tuple[SetLimit, ...], sight: LimitSight, out: Floats | None = None) -> Floats:
    """``(L, N)`` the most shares that each of ``limits`` allows of each name, as :class:`mech_exo.risk.limits.Sight` takes them."""
    result = np.empty((len(limits), len(sight.symbols))) if out is None else out
    for j, limit in enumerate(limits):
        result[j] = limit.allowed(sight)
    return result
