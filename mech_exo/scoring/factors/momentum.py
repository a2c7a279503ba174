"""What past returns say of the next: momentum, its relatives and its opposite. All of total returns, in sessions."""

from __future__ import annotations

import numpy as np

from mech_exo.kernels.extremes import highest_rows
from mech_exo.kernels.rolling import lagged_ratio_rows, least_observations
from mech_exo.kernels.windows import residual_momentum_rows
from mech_exo.scoring.factors.base import Factor, Family, Floats, Ints, Param, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction


def momentum(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` total return from ``lookback`` to ``skip`` sessions ago; NaN where either session has no bar."""
    return lagged_ratio_rows(inputs.total_return, rows, params["skip"], params["lookback"])


def short_term_reversal(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` total return of the last ``window`` sessions; NaN where either end has no bar.

    Jegadeesh (1990), "Evidence of Predictable Behavior of Security Returns", Journal of Finance 45(3), table I: the month's return
    predicts the next one's with a negative sign. Reads ``total_return``; a fraction.
    """
    return lagged_ratio_rows(inputs.total_return, rows, 0, params["window"])


def high_52_week(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` close ÷ highest close of the last ``window`` sessions, in (0, 1], both adjusted for splits but not for dividends.

    George & Hwang (2004), "The 52-Week High and Momentum Investing", Journal of Finance 59(5). NaN where the session has no
    bar or fewer than 80 % of the window's have one. Closes, not highs: a single false tick would stand for a year. Reads ``close``.
    """
    return inputs.close[rows] / highest_rows(inputs.close, rows, params["window"])


def residual_momentum(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` sum of the residual returns from ``lookback`` to ``skip`` sessions ago ÷ their standard deviation.

    Blitz, Huij & Martens (2011), "Residual Momentum", Journal of Empirical Finance 18(3): there monthly returns over 36 months
    and the three factors of Fama & French; here daily returns over ``window`` sessions (three years) and the market alone, since size
    and value portfolios have no source. Least squares with an intercept on ``market_return``. NaN where the session has no bar, where
    fewer than 80 % of either period's returns exist, or where the market explains the returns entirely. Reads ``returns``.
    """
    return residual_momentum_rows(inputs.returns, inputs.market_return, rows, params["window"], params["lookback"], params["skip"])


def seasonality(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` mean, over the last ``years`` years, of the return in the ``month`` sessions that followed this day of that year.

    Heston & Sadka (2008), "Seasonality in the Cross-Section of Stock Returns", Journal of Financial Economics 87(2): the mean return
    that the calendar month ahead brought in earlier years (annual lags). A year is ``year`` sessions, so at row ``t`` these are the total
    returns from row ``t - year·y`` to row ``t - year·y + month`` for y = 1, 2, ...: the nearest ended ``year - month`` sessions ago.
    A year without a bar at either end is left out; NaN where fewer than 80 % of the years remain, or the session has no bar. Reads
    ``total_return``.
    """
    year, month, years = params["year"], params["month"], params["years"]
    values = inputs.total_return
    total, seen = np.zeros((len(rows), values.shape[1])), np.zeros((len(rows), values.shape[1]))
    for back in range(1, years + 1):
        change = lagged_ratio_rows(values, rows, year * back - month, year * back)
        known = ~np.isnan(change)
        np.add(total, change, out=total, where=known)
        seen += known
    enough = (seen >= _least_years(params)) & ~np.isnan(values[rows])
    mean: Floats = np.divide(total, seen, out=np.full(total.shape, np.nan), where=enough)
    return mean


def _least_years(params: Params) -> int:
    return min(params["years"], least_observations(params["years"]))


def _residual_warmup(params: Params) -> int:
    held = params["skip"] + least_observations(params["lookback"] - params["skip"])
    return max(least_observations(params["window"]), held)


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

SHORT_TERM_REVERSAL = Factor(
    name="short_term_reversal",
    family=Family.TECHNICAL,
    inputs=("total_return",),
    unit="fraction",
    direction=Direction.LOWER_BETTER,
    source='Jegadeesh (1990), "Evidence of Predictable Behavior of Security Returns", Journal of Finance 45(3)',
    compute=short_term_reversal,
    params={"window": Param(21, minimum=1)},
    warmup=lambda params: params["window"],
)

HIGH_52_WEEK = Factor(
    name="high_52_week",
    family=Family.TECHNICAL,
    inputs=("close",),
    unit="ratio",
    direction=Direction.HIGHER_BETTER,
    source='George & Hwang (2004), "The 52-Week High and Momentum Investing", Journal of Finance 59(5)',
    compute=high_52_week,
    params={"window": Param(252)},
    warmup=lambda params: least_observations(params["window"]) - 1,
)

RESIDUAL_MOMENTUM = Factor(
    name="residual_momentum",
    family=Family.TECHNICAL,
    inputs=("returns", "market_return"),
    unit="standard deviations",
    direction=Direction.HIGHER_BETTER,
    source='Blitz, Huij & Martens (2011), "Residual Momentum", Journal of Empirical Finance 18(3)',
    compute=residual_momentum,
    params={"window": Param(756, minimum=4), "lookback": Param(252), "skip": Param(21, minimum=0)},
    warmup=_residual_warmup,
    order=("skip", "lookback", "window"),
)

SEASONALITY = Factor(
    name="seasonality",
    family=Family.TECHNICAL,
    inputs=("total_return",),
    unit="fraction",
    direction=Direction.HIGHER_BETTER,
    source='Heston & Sadka (2008), "Seasonality in the Cross-Section of Stock Returns", Journal of Financial Economics 87(2)',
    compute=seasonality,
    params={"year": Param(252), "month": Param(21, minimum=1), "years": Param(5, minimum=1, maximum=20)},
    warmup=lambda params: params["year"] * _least_years(params),
    order=("month", "year"),
)
