"""The registry of factors. To add one: a function, a :class:`Factor` beside it, and its name in :data:`REGISTRY`."""

from __future__ import annotations

from collections.abc import Mapping

from mech_exo.domain.errors import ConfigError
from mech_exo.scoring.factors.base import BoundFactor, Factor, Family, Param, did_you_mean
from mech_exo.scoring.factors.dispersion import IDIOSYNCRATIC_VOLATILITY, MARKET_BETA, MAX_RETURN
from mech_exo.scoring.factors.fundamental import FUNDAMENTAL
from mech_exo.scoring.factors.liquidity import AMIHUD_ILLIQUIDITY
from mech_exo.scoring.factors.momentum import HIGH_52_WEEK, MOMENTUM_12_1, RESIDUAL_MOMENTUM, SEASONALITY, SHORT_TERM_REVERSAL
from mech_exo.scoring.factors.quality import QUALITY
from mech_exo.scoring.factors.sentiment import SENTIMENT
from mech_exo.scoring.factors.technical import RSI_14, VOLATILITY_RATIO, VOLUME_TREND

__all__ = ["REGISTRY", "BoundFactor", "Factor", "Family", "Param", "did_you_mean", "lookup"]

REGISTRY: Mapping[str, Factor] = {
    factor.name: factor
    for factor in (
        MOMENTUM_12_1, RSI_14, VOLATILITY_RATIO, VOLUME_TREND,
        SHORT_TERM_REVERSAL, HIGH_52_WEEK, RESIDUAL_MOMENTUM, SEASONALITY,
        MARKET_BETA, IDIOSYNCRATIC_VOLATILITY, MAX_RETURN, AMIHUD_ILLIQUIDITY,
        *FUNDAMENTAL, *SENTIMENT, *QUALITY,
    )
}  # fmt: skip


def lookup(name: str) -> Factor:
    """The factor called ``name``. Raises ConfigError with the nearest names for an unknown one."""
    if name not in REGISTRY:
        raise ConfigError(
            f"a factor must be one of {', '.join(REGISTRY)}; got {name!r}", remedy=did_you_mean(name, REGISTRY)
        )
    return REGISTRY[name]
