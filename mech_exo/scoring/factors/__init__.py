"""The registry of factors. To add one: a function, a :class:`Factor` beside it, and its name in :data:`REGISTRY`.

A user adds one without touching the package: the same two in a file that ``plugins:`` of ``factors.yml`` names (docs/writing-a-factor.md).
So every look-up is told the ``plugins`` of its configuration; there are none of another workspace's.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from mech_exo.domain.errors import ConfigError
from mech_exo.scoring.factors.base import BoundFactor, Factor, Family, Param, did_you_mean
from mech_exo.scoring.factors.dispersion import IDIOSYNCRATIC_VOLATILITY, MARKET_BETA, MAX_RETURN
from mech_exo.scoring.factors.fundamental import FUNDAMENTAL
from mech_exo.scoring.factors.liquidity import AMIHUD_ILLIQUIDITY
from mech_exo.scoring.factors.momentum import HIGH_52_WEEK, MOMENTUM_12_1, RESIDUAL_MOMENTUM, SEASONALITY, SHORT_TERM_REVERSAL
from mech_exo.scoring.factors.own import checked
from mech_exo.scoring.factors.quality import QUALITY
from mech_exo.scoring.factors.sentiment import SENTIMENT
from mech_exo.scoring.factors.technical import RSI_14, VOLATILITY_RATIO, VOLUME_TREND
from mech_exo.utils.plugin_files import Part
from mech_exo.utils.plugin_settings import Plugins
from mech_exo.utils.settings import FactorsConfig

__all__ = ["REGISTRY", "BoundFactor", "Factor", "Family", "Param", "did_you_mean", "every_fact", "facts_of", "known", "lookup"]

REGISTRY: Mapping[str, Factor] = {
    factor.name: factor
    for factor in (
        MOMENTUM_12_1, RSI_14, VOLATILITY_RATIO, VOLUME_TREND,
        SHORT_TERM_REVERSAL, HIGH_52_WEEK, RESIDUAL_MOMENTUM, SEASONALITY,
        MARKET_BETA, IDIOSYNCRATIC_VOLATILITY, MAX_RETURN, AMIHUD_ILLIQUIDITY,
        *FUNDAMENTAL, *SENTIMENT, *QUALITY,
    )
}  # fmt: skip


@functools.lru_cache(maxsize=32)
def known(plugins: Plugins) -> Mapping[str, Part[Factor]]:
    """Every factor by name with where it comes from: the program's own and those of ``plugins``, which obey the laws.

    Raises PluginError for a plug-in that cannot be imported, takes a name that is taken or breaks a law.
    """
    return checked(plugins, REGISTRY)


def lookup(name: str, plugins: Plugins = ()) -> Factor:
    """The factor called ``name``. Raises ConfigError with the nearest names for an unknown one."""
    if name in REGISTRY and not plugins:
        return REGISTRY[name]
    found = known(plugins)
    if name not in found:
        raise ConfigError(
            f"a factor must be one of {', '.join(found)}; got {name!r}", remedy=did_you_mean(name, found)
        )
    return found[name].what


def facts_of(names: Iterable[str], plugins: Plugins = ()) -> tuple[str, ...]:
    """What the factors ``names`` read that bars do not tell, each once, sorted. Raises ConfigError for an unknown factor."""
    return tuple(sorted({fact for name in names for fact in lookup(name, plugins).facts}))


def facts_read(config: FactorsConfig) -> tuple[str, ...]:
    """What scoring with ``config`` reads that bars do not tell: of its factors, those with a weight of 0 included, and of
    ``scoring.neutralise``. Raises ConfigError for an unknown factor."""
    families = (config.fundamental, config.technical, config.sentiment, config.quality)
    size = {"market_cap"} if config.scoring.reads_size else set()
    return tuple(sorted(size.union(facts_of((name for family in families for name in family), config.plugins))))


def every_fact(plugins: Plugins = ()) -> tuple[str, ...]:
    """What any scoring may read that bars do not tell: for who does not know yet how it will be configured."""
    return tuple(sorted({*facts_of(known(plugins), plugins), "market_cap"}))
