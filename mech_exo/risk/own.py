"""Limits of the user's plug-ins: a rule asked at every decision of the book, beside the program's own; the strictest binds."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mech_exo.domain.errors import ConfigError, PluginError
from mech_exo.domain.history import History
from mech_exo.kernels.records import Floats
from mech_exo.utils.plugin_files import OUT, Part, guarded, parts
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
        limit, plugin, count = self.part.what, self.part.plugin, len(sight.symbols)
        assert plugin is not None
        with np.errstate(all="ignore"):  # NaN is an answer
            most = guarded(plugin, f"limit {limit.name} failed", lambda: limit.allows(sight, self.figure))
        if not isinstance(most, np.ndarray) or most.dtype != np.float64 or most.shape != (count,) or (most < 0.0).any():
            told = f"{most.dtype} {most.shape}, least {np.nanmin(most):g}" if _has_values(most) else type(most).__name__
            raise PluginError(
                f"{plugin.spec}: limit {limit.name} must give the most shares of each symbol, float64 ({count},), at least 0 or NaN; "
                f"got {told}",
                remedy=f"correct {plugin.spec}, {OUT}",
            )
        return most


def _has_values(most: object) -> bool:
    return isinstance(most, np.ndarray) and most.dtype.kind in "fiu" and most.size > 0


def declared(plugins: Plugins) -> dict[str, Part[Limit]]:
    """The limits of ``plugins`` by name, not checked by the laws. Raises PluginError."""
    own: Mapping[str, Limit] = {}
    return parts(plugins, Limit, own)


def set_limits(limits: RiskLimits) -> tuple[SetLimit, ...]:
    """The limits of plug-ins that are on, in order of their names. Raises ConfigError for a name or a figure there is none of."""
    return _set(limits.plugins, tuple(limits.limits_of_plugins.items()))


@functools.lru_cache(maxsize=64)
def _set(plugins: Plugins, figures: tuple[tuple[str, float], ...]) -> tuple[SetLimit, ...]:
    found = declared(plugins)
    result = []
    for name, figure in figures:
        if name not in found:
            near = difflib.get_close_matches(name, list(found), 1, 0.5)
            raise ConfigError(
                f"plugin_limits names limits of plug-ins ({', '.join(found) or 'there is none'}); got {name!r}",
                remedy=f"did you mean {near[0]}?" if near else "name its file in plugins: of risk_limits.yml",
            )
        limit = found[name].what
        if not limit.minimum <= figure <= limit.maximum:
            raise ConfigError(f"plugin_limits.{name} must be from {limit.minimum:g} to {limit.maximum:g} ({limit.unit}); got {figure:g}")
        result.append(SetLimit(found[name], figure))
    return tuple(result)


def caps(limits: tuple[SetLimit, ...], sight: LimitSight, out: Floats | None = None) -> Floats:
    """``(L, N)`` the most shares that each of ``limits`` allows of each name, as :class:`mech_exo.risk.limits.Sight` takes them."""
    result = np.empty((len(limits), len(sight.symbols))) if out is None else out
    for j, limit in enumerate(limits):
        result[j] = limit.allowed(sight)
    return result
