"""Return, risk and ratio of both, from one series of session returns.

A session return is a fraction (0.01 is 1 %). A year is :data:`YEAR` = 252 sessions, so annual figures depend on the number
of sessions, never on calendar days. NaN rule of every function here: a series that is too short or holds a NaN, and a
ratio whose denominator is 0 or mere rounding (:data:`NOISE`), give NaN; nothing raises and nothing becomes 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels.newey_west import automatic_lag, long_run_covariance

Floats = NDArray[np.float64]

YEAR = 252
"""Sessions in a year."""

NOISE = 1e-14
"""Standard deviations at or below this are the rounding of NAV ratios (machine epsilon is 2e-16), not risk."""


def time_weighted_returns(nav: Floats, flow: Floats, initial: float) -> Floats:
    """``(T,)`` returns r_t = (nav_t - flow_t) / nav_{t-1} - 1, with nav_{-1} = ``initial``.

    A flow (USD, deposits less withdrawals) comes at the open, so it is taken out of the NAV of the same close; its own gain
    of that one session stays in (GIPS 2020, "time-weighted return": value the account at every flow). NaN where nav_{t-1} is not above 0,
    where nav_t - flow_t is below 0, or where an input is NaN: an account without capital has no rate of return.
    """
    before = np.concatenate([[initial], nav[:-1]]) if len(nav) else np.empty(0)
    kept = nav - flow
    usable = (before > 0.0) & (kept >= 0.0)
    returns = np.full(len(nav), np.nan)
    returns[usable] = kept[usable] / before[usable] - 1.0
    return returns


def growth(returns: Floats) -> Floats:
    """``(T + 1,)`` value of 1 USD, starting at 1: cumulative product of 1 + r. NaN from the first NaN on."""
    return np.concatenate([[1.0], np.cumprod(1.0 + returns)])


def total_return(returns: Floats) -> float:
    """Compounded return of the whole period, a fraction. NaN for an empty series."""
    return float(growth(returns)[-1] - 1.0) if len(returns) else math.nan


def from_first_close(benchmark: Floats) -> Floats:
    """``(T,)`` returns of a benchmark as an account meets them: its first session counts 0, unless it is unknown (NaN).

    An account begins in cash and decides at its first close. It was not invested at the close before, so what the benchmark did from
    there to the first close is nothing the account could have had: both begin at the first close.
    """
    theirs: Floats = benchmark.astype(np.float64)
    if len(theirs) and np.isfinite(theirs[0]):
        theirs[0] = 0.0
    return theirs


def cagr(returns: Floats) -> float:
    """Compound annual growth rate Π(1 + r)^(252 / T) - 1, a fraction; annualised by sessions. NaN below 2 sessions.

    A total loss gives -1. GIPS 2020, glossary "annualized".
    """
    if len(returns) < 2:
        return math.nan
    return float(growth(returns)[-1] ** (YEAR / len(returns)) - 1.0)


def volatility_ann(returns: Floats) -> float:
    """Sample standard deviation (n - 1) × sqrt(252), a fraction. NaN below 2 sessions; a constant series has 0."""
    return deviation(returns) * math.sqrt(YEAR)


def session_rate(annual: float) -> float:
    """Rate per session that compounds to ``annual``: (1 + annual)^(1/252) - 1."""
    return float((1.0 + annual) ** (1.0 / YEAR) - 1.0)


def sharpe(returns: Floats, risk_free: float = 0.0) -> float:
    """Mean excess return / its sample standard deviation × sqrt(252). ``risk_free`` is annual.

    NaN below 2 sessions and for a constant series. Sharpe (1994), "The Sharpe Ratio", JPM 21(1), eqs. 3-6.
    """
    excess = returns - session_rate(risk_free)
    spread = deviation(excess)
    return float(excess.mean() / spread * math.sqrt(YEAR)) if spread > NOISE else math.nan


def sharpe_standard_error(returns: Floats, risk_free: float = 0.0) -> float:
    """Standard error of the annual :func:`sharpe`: sqrt((1 + SR²/2) / T) × sqrt(252), SR per session.

    For independent, identically distributed returns; autocorrelation makes the truth wider. Lo (2002), "The Statistics of
    Sharpe Ratios", Financial Analysts Journal 58(4), eq. 9. NaN where the ratio is.
    """
    ratio = sharpe(returns, risk_free) / math.sqrt(YEAR)
    return math.sqrt((1.0 + 0.5 * ratio * ratio) / len(returns) * YEAR) if len(returns) else math.nan


def sharpe_robust_error(returns: Floats, risk_free: float = 0.0, lags: int | None = None) -> float:
    """Standard error of the annual :func:`sharpe` for returns that are autocorrelated, skewed, fat-tailed or of changing variance.

    sqrt(V / T) × sqrt(252), V the long-run variance (:func:`mech_exo.kernels.newey_west.long_run_covariance`) of the ratio's
    influence (x - μ) / σ - SR / 2 × ((x - μ)² / σ² - 1). Lo (2002), eqs. 13-15 (the GMM estimator by the delta method). ``lags`` None:
    :func:`mech_exo.kernels.newey_west.automatic_lag`. NaN where the ratio is.
    """
    excess = returns - session_rate(risk_free)
    spread = deviation(excess)
    if not spread > NOISE:
        return math.nan
    score = (excess - excess.mean()) / excess.std()
    influence = score - 0.5 * float(excess.mean() / excess.std()) * (score**2 - 1.0)
    variance = long_run_covariance(influence[:, None], automatic_lag(len(returns)) if lags is None else lags)
    return math.sqrt(max(0.0, float(variance[0, 0])) / len(returns) * YEAR)


def annualisation_factor(returns: Floats, periods: int = YEAR, lags: int | None = None) -> float:
    """η(q): what a Sharpe ratio per session is to be multiplied by for one over ``periods`` = q sessions; sqrt(q) without autocorrelation.

    q / sqrt(q + 2 Σₖ (q - k) ρₖ), Lo (2002), eq. 20, with the autocorrelations beyond ``lags`` taken to be 0: 251 of them cannot be
    measured on daily returns. ``lags`` None: :func:`mech_exo.kernels.newey_west.automatic_lag`. NaN without spread, or where the
    sum is not above 0.
    """
    if not deviation(returns) > NOISE:
        return math.nan
    centred = returns - returns.mean()
    lags = min(periods - 1, automatic_lag(len(returns)) if lags is None else lags)
    squares = float(centred @ centred)
    total = periods + 2.0 * sum((periods - k) * float(centred[k:] @ centred[:-k]) / squares for k in range(1, lags + 1))
    return periods / math.sqrt(total) if total > 0.0 else math.nan


def sortino(returns: Floats, risk_free: float = 0.0) -> float:
    """Mean excess return / sqrt(mean(min(excess, 0)²)) × sqrt(252); the mean is over all T sessions.

    NaN below 2 sessions and without a loss. Sortino and Price (1994), "Performance Measurement in a Downside Risk
    Framework", Journal of Investing 3(3).
    """
    if len(returns) < 2:
        return math.nan
    excess = returns - session_rate(risk_free)
    downside = math.sqrt(float((np.minimum(excess, 0.0) ** 2).mean()))
    return float(excess.mean() / downside * math.sqrt(YEAR)) if downside > NOISE else math.nan


def skewness(returns: Floats) -> float:
    """Third standardised moment m3 / m2^1.5 (population moments). NaN below 3 sessions or without spread."""
    return _moment(returns, 3)


def excess_kurtosis(returns: Floats) -> float:
    """Fourth standardised moment m4 / m2² - 3 (population moments). NaN below 4 sessions or without spread."""
    return _moment(returns, 4) - 3.0


def deviation(values: Floats) -> float:
    """Sample standard deviation; exactly 0 for a constant series, NaN below 2 values."""
    if len(values) < 2:
        return math.nan
    return 0.0 if values[0] == values.max() == values.min() else float(values.std(ddof=1))


def _moment(values: Floats, order: int) -> float:
    if len(values) < order or not deviation(values) > NOISE:
        return math.nan
    centred = values - values.mean()
    squares = centred * centred
    powers = squares * (centred if order == 3 else squares)
    return float(powers.mean() / squares.mean() ** (order / 2))
