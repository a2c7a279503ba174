"""Factors read from prices and volumes alone, beside momentum."""

from __future__ import annotations

import numpy as np

from mech_exo.kernels.rolling import least_observations, rsi_rows
from mech_exo.kernels.windows import mean_rows, volatility_rows
from mech_exo.scoring.factors.base import Factor, Family, Floats, Ints, Param, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction


def rsi(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` relative strength index in 0..100 of the split-adjusted close. Far below 50 is oversold."""
    return rsi_rows(inputs.close, rows, params["window"])


def volatility_ratio(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` realised volatility of total returns over ``short`` sessions ÷ that over ``long``; below 1 is calmer than usual."""
    recent = volatility_rows(inputs.returns, rows, params["short"])
    return _ratio(recent, volatility_rows(inputs.returns, rows, params["long"]))


def volume_trend(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` mean split-adjusted volume over ``short`` sessions ÷ that over ``long``, less 1; above 0 is busier than usual."""
    means = [mean_rows(inputs.volume, rows, params[name], least_observations(params[name])) for name in ("short", "long")]
    return _ratio(means[0], means[1]) - 1.0


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotient, NaN where the denominator is 0: a stock that never moved or traded is not comparable with itself."""
    out = np.full(above.shape, np.nan)
    np.divide(above, below, out=out, where=below > 0.0)
    return out


RSI_14 = Factor(
    name="rsi_14",
    family=Family.TECHNICAL,
    inputs=("close",),
    unit="0 to 100",
    direction=Direction.MEAN_REVERT,
    source='Wilder (1978), "New Concepts in Technical Trading Systems", chapter VI',
    compute=rsi,
    params={"window": Param(14)},
    warmup=lambda params: params["window"],
)

VOLATILITY_RATIO = Factor(
    name="volatility_ratio",
    family=Family.TECHNICAL,
    inputs=("returns",),
    unit="ratio",
    direction=Direction.LOWER_BETTER,
    source='Ang, Hodrick, Xing & Zhang (2006), "The Cross-Section of Volatility and Expected Returns", Journal of Finance 61(1)',
    compute=volatility_ratio,
    params={"short": Param(20), "long": Param(120)},
    warmup=lambda params: least_observations(params["long"]),
    order=("short", "long"),
)

VOLUME_TREND = Factor(
    name="volume_trend",
    family=Family.TECHNICAL,
    inputs=("volume",),
    unit="fraction",
    direction=Direction.HIGHER_BETTER,
    source='Gervais, Kaniel & Mingelgrin (2001), "The High-Volume Return Premium", Journal of Finance 56(3)',
    compute=volume_trend,
    params={"short": Param(20), "long": Param(60)},
    warmup=lambda params: least_observations(params["long"]) - 1,
    order=("short", "long"),
)
