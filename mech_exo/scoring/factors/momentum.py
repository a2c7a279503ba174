"""Momentum: what rose keeps rising."""

from __future__ import annotations

from mech_exo.kernels.rolling import lagged_ratio_rows
from mech_exo.scoring.factors.base import Factor, Family, Floats, Ints, Param, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction


def momentum(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` total return from ``lookback`` to ``skip`` sessions ago; NaN where either session has no bar."""
    return lagged_ratio_rows(inputs.total_return, rows, params["skip"], params["lookback"])


MOMENTUM_12_1 = Factor(
    name="momentum_12_1",
    family=Family.TECHNICAL,
    inputs=("total_return",),
    unit="fraction",
    direction=Direction.HIGHER_BETTER,
    source='Jegadeesh & Titman (1993), "Returns to Buying Winners and Selling Losers", Journal of Finance 48(1)',
    compute=momentum,
    params={"lookback": Param(252), "skip": Param(21, minimum=0)},
    warmup=lambda params: params["lookback"],
    order=("skip", "lookback"),
)
