"""How a stock moves: with the market, beside it, and in its extremes."""

from __future__ import annotations

from mech_exo.kernels.extremes import highest_mean_rows
from mech_exo.kernels.rolling import least_observations
from mech_exo.kernels.windows import beta_rows, residual_volatility_rows
from mech_exo.scoring.factors.base import Factor, Family, Floats, Ints, Param, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction


def market_beta(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` slope of the daily returns on the market's over the last ``window`` sessions.

    The least-squares estimate with an intercept, as Fama & MacBeth (1973), "Risk, Return, and Equilibrium", Journal of Political Economy
    81(3), section IV, on daily returns; not the shrunk product of a one-year ratio of volatilities and a five-year correlation that
    Frazzini & Pedersen (2014), section 3.1, use to find that low betas earn more than they should. Reads ``returns`` and
    ``market_return``. NaN where the session has no bar, fewer than 80 % of the window's pairs exist, or the market stood still.
    """
    return beta_rows(inputs.returns, inputs.market_return, rows, params["window"])


def idiosyncratic_volatility(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` standard deviation of what the market does not explain of the daily returns of the last ``window`` sessions.

    Ang, Hodrick, Xing & Zhang (2006), "The Cross-Section of Volatility and Expected Returns", Journal of Finance 61(1), equation 8: there
    residuals of the three factors of Fama & French within one month; here of the market model alone, since size and value portfolios
    have no source. The regression's standard error (ddof 2), a fraction per session, not annualised. Reads and NaN: :func:`market_beta`.
    """
    return residual_volatility_rows(inputs.returns, inputs.market_return, rows, params["window"])


def max_return(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` mean of the ``count`` highest daily returns of the last ``window`` sessions.

    Bali, Cakici & Whitelaw (2011), "Maxing Out", Journal of Financial Economics 99(2), section 2: MAX is the highest return of the month,
    MAX(5) the mean of its five highest. Reads ``returns``; a fraction. NaN where the session has no bar or fewer than 80 % of the window's
    returns (at least ``count``) exist.
    """
    return highest_mean_rows(inputs.returns, rows, params["window"], params["count"])


MARKET_BETA = Factor(
    name="market_beta",
    family=Family.TECHNICAL,
    inputs=("returns", "market_return"),
    unit="ratio",
    direction=Direction.LOWER_BETTER,
    source='Frazzini & Pedersen (2014), "Betting Against Beta", Journal of Financial Economics 111(1)',
    compute=market_beta,
    params={"window": Param(252, minimum=4)},
    warmup=lambda params: least_observations(params["window"]),
)

IDIOSYNCRATIC_VOLATILITY = Factor(
    name="idiosyncratic_volatility",
    family=Family.TECHNICAL,
    inputs=("returns", "market_return"),
    unit="fraction per session",
    direction=Direction.LOWER_BETTER,
    source='Ang, Hodrick, Xing & Zhang (2006), "The Cross-Section of Volatility and Expected Returns", Journal of Finance 61(1)',
    compute=idiosyncratic_volatility,
    params={"window": Param(21, minimum=4)},
    warmup=lambda params: least_observations(params["window"]),
)

MAX_RETURN = Factor(
    name="max_return",
    family=Family.TECHNICAL,
    inputs=("returns",),
    unit="fraction",
    direction=Direction.LOWER_BETTER,
    source='Bali, Cakici & Whitelaw (2011), "Maxing Out: Stocks as Lotteries", Journal of Financial Economics 99(2)',
    compute=max_return,
    params={"window": Param(21), "count": Param(1, minimum=1, maximum=21)},
    warmup=lambda params: max(least_observations(params["window"]), params["count"]),
    order=("count", "window"),
)
