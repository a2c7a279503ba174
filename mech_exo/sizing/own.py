"""Sizing methods of the user's plug-ins: asked for shares at every decision of the book, then treated as the program's own methods are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from mech_exo.domain.errors import ConfigError
from mech_exo.domain.history import History
from mech_exo.kernels.records import Floats
from mech_exo.utils.plugin_answers import shares_of
from mech_exo.utils.plugin_files import Part, chosen, parts
from mech_exo.utils.plugin_settings import PREFIX, Plugins, named
from mech_exo.utils.settings import StrategyConfig


class Exposure(StrEnum):
    """What becomes of a method's sizes when their values do not add up to the configured gross exposure."""

    AS_IS = "as_is"
    AT_MOST = "at_most"
    FULL = "full"


READS = ("volatility", "atr", "standard")
"""What a method may ask for beside prices and scores: computed only where a rule reads it."""


@dataclass(frozen=True, slots=True, eq=False)
class SizingSight:
    """What a method may know at a close; arrays ``(C,)`` are read-only, of the selected names in the order of ``symbols``.

    Parameters
    ----------
    side
        1 = to be bought, -1 = to be sold short.
    close
        USD as traded, NaN = no bar tonight.
    score
        Composite, higher is better.
    volatility, atr, standard
        Daily volatility (fraction), average true range (USD, as traded) and standardised score; NaN = unknown, or not asked for in
        ``reads``.
    nav, gross, count, trade_risk
        USD; ``sizing.gross_exposure``; how many names the strategy selects when it can; ``max_single_trade_risk``.
    columns, history
        Bars of *all* names up to tonight, and the ``(C,)`` columns of the selected ones.
    params
        The method's own parameters.
    """

    symbols: tuple[str, ...]
    side: Floats
    close: Floats
    score: Floats
    volatility: Floats
    atr: Floats
    standard: Floats
    nav: float
    gross: float
    count: int
    trade_risk: float
    columns: np.ndarray
    history: History
    params: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Sizing:
    """A sizing method: one function and its declaration. It sizes where ``sizing.method`` is ``plugin.`` and its name.

    Parameters
    ----------
    shares
        ``(sight) -> (C,)`` float64: unrounded shares ≥ 0, without sign, of each selected name; NaN = no size is known, so nothing is held.
    exposure
        ``as_is``: sizes stand. ``at_most``: all are scaled down where their values exceed the gross exposure. ``full``: scaled down or up
        to it. The target volatility, lots, the no-trade buffer and every limit follow as for any method.
    reads
        What of :data:`READS` it needs.
    params
        Parameters and their defaults; ``sizing.params`` overrides them.
    """

    name: str
    shares: Callable[[SizingSight], Floats]
    exposure: Exposure = Exposure.FULL
    reads: tuple[str, ...] = ()
    params: Mapping[str, float] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class SetSizing:
    """A method with its parameters."""

    part: Part[Sizing]
    params: Mapping[str, float]

    def sizes(self, sight: SizingSight) -> Floats:
        """``(C,)`` shares ≥ 0, NaN none, as where the price is unknown. Raises PluginError for a method that fails or answers otherwise."""
        method, wanted = self.part.what, "shares of each selected symbol"
        rule = f"sizing method {method.name}"
        shares = shares_of(self.part.brought, rule, wanted, len(sight.symbols), lambda: method.shares(sight))
        return np.where(np.isnan(sight.close), np.nan, shares)  # a method that reads no price must not size what has none


def declared(plugins: Plugins) -> dict[str, Part[Sizing]]:
    """The methods of ``plugins`` by name, not checked by the laws. Raises PluginError."""
    return parts(plugins, Sizing)


def set_sizing(settings: StrategyConfig) -> SetSizing | None:
    """The method of a plug-in that sizes; None where one of the program's own does. Raises ConfigError for an unknown name or parameter."""
    name = named(settings.sizing.method)
    if name is None:
        return None
    rule = "sizing.method plugin.NAME names a method of a plug-in"
    part = chosen(declared(settings.plugins), name, rule, "strategy.yml", PREFIX)
    unknown = sorted(set(settings.sizing.params) - set(part.what.params))
    if unknown:
        raise ConfigError(f"{name} has the parameters: {', '.join(part.what.params) or 'none'}; sizing.params names {', '.join(unknown)}")
    wrong = sorted(set(part.what.reads) - set(READS))
    if wrong:
        raise ConfigError(f"reads of sizing method {name} may name {', '.join(READS)}; it names {', '.join(wrong)}")
    return SetSizing(part, {**part.what.params, **settings.sizing.params})
