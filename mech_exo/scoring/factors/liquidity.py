"""What trading a stock costs."""

from __future__ import annotations

import numpy as np

from mech_exo.kernels.rolling import least_observations
from mech_exo.kernels.windows import mean_rows
from mech_exo.scoring.factors.base import Factor, Family, Floats, Ints, Param, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction


def amihud_illiquidity(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` mean of absolute return ÷ dollar volume over the last ``window`` sessions, per million USD.

    Amihud (2002), "Illiquidity and Stock Returns", Journal of Financial Markets 5(1), equation 1, over a year: by how much a million
    dollars traded moves the price. Dollar volume is ``raw_close`` × ``raw_volume``, as traded; the return (``returns``) holds dividends. A
    session without volume says nothing of its price and is left out; NaN where the session itself is one, or fewer than 80 % remain.
    """
    dollars = inputs.raw_close * inputs.raw_volume
    moves = np.divide(np.abs(inputs.returns), dollars, out=np.full(dollars.shape, np.nan), where=dollars > 0.0)
    window = params["window"]
    return 1e6 * mean_rows(moves, rows, window, least_observations(window))


AMIHUD_ILLIQUIDITY = Factor(
    name="amihud_illiquidity",
    family=Family.TECHNICAL,
    inputs=("returns", "raw_close", "raw_volume"),
    unit="fraction per million USD",
    direction=Direction.HIGHER_BETTER,
    source='Amihud (2002), "Illiquidity and Stock Returns: Cross-Section and Time-Series Effects", Journal of Financial Markets 5(1)',
    compute=amihud_illiquidity,
    params={"window": Param(252)},
    warmup=lambda params: least_observations(params["window"]),
)
