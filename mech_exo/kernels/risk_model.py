"""What a book of names would have gained and lost over the last sessions: volatility, value at risk, expected shortfall, beta, correlation.

A window of returns is a ``(W, C)`` array, oldest session first, from :func:`window_returns`. ``values`` are signed USD ``(C,)``, finite.
Sums over names are the same to the last bit in whatever order the names come. *Without offsets* means that no gain or hedge of one name
relieves the loss of another: such a figure never falls when a position grows, so every smaller book keeps a limit on it. NaN = unknown.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from mech_exo.kernels import njit
from mech_exo.kernels.costs import SESSIONS_PER_YEAR
from mech_exo.kernels.records import Bars, Floats, Ints
from mech_exo.kernels.selection import quantile, select
from mech_exo.kernels.summation import steady_sum


@njit
def window_returns(t: int, names: Ints, bars: Bars, window: int) -> tuple[Floats, Ints]:
    """Total returns of the columns ``names`` over the ``window`` sessions up to row ``t``, and how many of them are real.

    Returns ``(W, C)`` fractions, W = min(window, t) (0 at row 0), and ``(C,)`` counts. Prices are as traded: a split and a dividend on
    its ex-date are no moves. A session without a bar moved nothing (0, and it does not count); what happened over the gap moved the
    session after it. Before a name's first bar in the window (row t - W included) nothing is counted: who needs a history asks
    :func:`known_history`.
    """
    first = max(1, t - window + 1)
    returns = np.zeros((max(0, t + 1 - first), len(names)))
    counts = np.zeros(len(names), np.int64)
    last = np.empty(len(names))  # last close, per today's share less what it paid without trading
    for i in range(len(names)):
        last[i] = bars.close[first - 1, names[i]]
    for u in range(first, t + 1):
        for i in range(len(names)):
            s = names[i]
            close, ratio = bars.close[u, s], bars.split_ratio[u, s]
            if math.isnan(close):
                last[i] = last[i] / ratio - bars.dividend[u, s]
                continue
            change = (close + bars.dividend[u, s]) * ratio / last[i] - 1.0
            last[i] = close
            if not math.isnan(change):
                returns[u - first, i] = change
                counts[i] += 1
    return returns, counts


@njit
def least_returns(window: int) -> int:
    """How many real returns say enough of a name in a window of ``window`` sessions: half of them, and 20 at least."""
    return max(20, (window + 1) // 2)


@njit
def known_history(count: int, window: int) -> bool:
    """Whether ``count`` real returns are :func:`least_returns`."""
    return count >= least_returns(window)


@njit
def deviation(pnl: Floats) -> float:
    """Sample standard deviation of ``(W,)`` session results in their own unit; NaN below 2 sessions."""
    count = len(pnl)
    if count < 2:
        return math.nan
    total, squares = 0.0, 0.0
    for value in pnl:
        total += value
        squares += value * value
    return math.sqrt(max(0.0, squares - total * total / count) / (count - 1))


@njit
def portfolio_volatility(t: int, names: Ints, values: Floats, bars: Bars, window: int) -> float:
    """Annual volatility in USD that holding ``values`` USD of ``names`` would have had over the last ``window`` sessions.

    Uses the realised total returns of the very mix, so correlations are in it. What sizing scales with, name after name in the order of
    their rank; :func:`book_volatility` is the same whatever the order.
    """
    returns, _ = window_returns(t, names, bars, window)
    count = len(returns)
    total, squares = 0.0, 0.0
    for u in range(count):
        pnl = 0.0
        for i in range(len(names)):
            pnl += values[i] * returns[u, i]
        total += pnl
        squares += pnl * pnl
    if count < 2:
        return math.nan
    return math.sqrt(max(0.0, squares - total * total / count) / (count - 1) * SESSIONS_PER_YEAR)


@njit
def book_pnl(returns: Floats, values: Floats) -> Floats:
    """USD ``(W,)`` that holding ``values`` would have gained in each session of the window."""
    pnl, terms = np.empty(len(returns)), np.empty(len(values))
    for u in range(len(returns)):
        for i in range(len(values)):
            terms[i] = values[i] * returns[u, i]
        pnl[u] = steady_sum(terms)
    return pnl


@njit
def book_losses(returns: Floats, values: Floats) -> Floats:
    """USD ``(W,)``, 0 or below: in each session the losing positions alone. :func:`book_pnl` without offsets."""
    pnl, terms = np.empty(len(returns)), np.empty(len(values))
    for u in range(len(returns)):
        for i in range(len(values)):
            terms[i] = min(0.0, values[i] * returns[u, i])
        pnl[u] = steady_sum(terms)
    return pnl


@njit
def book_volatility(returns: Floats, values: Floats) -> float:
    """Annual volatility of the book in USD, offsets counted; NaN below 2 sessions."""
    return deviation(book_pnl(returns, values)) * math.sqrt(SESSIONS_PER_YEAR)


@njit
def covariance(returns: Floats) -> Floats:
    """Sample covariance ``(C, C)`` of session returns; NaN below 2 sessions.

    Each entry is a sum over the sessions in their order, so it depends on no other name.
    """
    sessions, count = returns.shape
    matrix = np.zeros((count, count))
    if sessions < 2:
        matrix[:] = math.nan
        return matrix
    centred = np.empty((sessions, count))
    mean = np.zeros(count)
    for u in range(sessions):
        mean += returns[u]
    mean /= sessions
    for u in range(sessions):
        centred[u] = returns[u] - mean
    for i in range(count):
        row = matrix[i]
        for u in range(sessions):
            mine, theirs = centred[u, i], centred[u]
            for j in range(i + 1):
                row[j] += mine * theirs[j]
        for j in range(i + 1):
            row[j] /= sessions - 1.0
            matrix[j, i] = row[j]
    return matrix


@njit
def volatility_without_offsets(matrix: Floats, values: Floats) -> float:
    """Annual volatility in USD, √(252 Σ max(0, vᵢ vⱼ Cᵢⱼ)) of a :func:`covariance`: no pair relieves the others. NaN where an entry is."""
    count = len(values)
    rows, terms = np.empty(count), np.empty(count)
    for i in range(count):
        for j in range(count):
            terms[j] = values[i] * values[j] * matrix[i, j]
            if terms[j] < 0.0:
                terms[j] = 0.0
        if np.isnan(terms).any():
            return math.nan
        rows[i] = steady_sum(terms)
    return math.sqrt(steady_sum(rows) * SESSIONS_PER_YEAR)


@njit
def marginal_volatility(returns: Floats, values: Floats) -> Floats:
    """Annual volatility in USD that one more USD of each name would add, ``(C,)``: ∂σ/∂vᵢ = 252 cov(rᵢ, book) / σ.

    ``values`` × it is the component risk of each name; by Euler's theorem the components sum to σ (Litterman (1996), "Hot Spots and
    Hedges", Journal of Portfolio Management 22; McNeil, Frey and Embrechts (2015), section 8.5). NaN for a book without volatility.
    """
    pnl = book_pnl(returns, values)
    sessions, count = returns.shape
    marginal = np.full(count, math.nan)
    sigma = deviation(pnl)
    if not sigma > 0.0:
        return marginal
    mean = pnl.mean()
    for i in range(count):
        column = returns[:, i]
        own, total = column.mean(), 0.0
        for u in range(sessions):
            total += (column[u] - own) * (pnl[u] - mean)
        marginal[i] = total / (sessions - 1.0) / sigma * math.sqrt(SESSIONS_PER_YEAR)
    return marginal


@njit
def correlation(matrix: Floats) -> Floats:
    """Correlations ``(C, C)`` in [-1, 1] of a :func:`covariance`; NaN where a name never moved, its own 1 included."""
    count = len(matrix)
    out = np.full((count, count), math.nan)
    for i in range(count):
        if not matrix[i, i] > 0.0:
            continue
        out[i, i] = 1.0
        for j in range(i):
            if matrix[j, j] > 0.0:
                value = matrix[i, j] / math.sqrt(matrix[i, i] * matrix[j, j])
                out[i, j] = out[j, i] = max(-1.0, min(1.0, value))
    return out


@njit
def average_correlation(matrix: Floats) -> float:
    """Mean of all pairs of a :func:`correlation`; NaN below 2 names or where a pair is unknown."""
    count = len(matrix)
    if count < 2:
        return math.nan
    pairs = np.empty(count * (count - 1) // 2)
    k = 0
    for i in range(count):
        for j in range(i):
            if math.isnan(matrix[i, j]):
                return math.nan
            pairs[k] = matrix[i, j]
            k += 1
    return steady_sum(pairs) / len(pairs)


@njit
def tail_loss(pnl: Floats, level: float) -> tuple[float, float]:
    """Historical value at risk and expected shortfall at ``level`` (0.95: the worst 5 %) of ``(W,)`` session results; losses above 0.

    Value at risk = -quantile at 1 - ``level``, linear between neighbours (Hyndman and Fan 1996, type 7). Expected shortfall = -mean of
    the worst (1 - ``level``) W sessions, the last one by the part that counts (Acerbi and Tasche 2002, "Expected Shortfall", Economic
    Notes 31(2), definition 2.6): coherent, and never below the value at risk. NaN below 1 / (1 - ``level``) sessions or with a NaN in it.
    """
    count = len(pnl)
    weight = count * (1.0 - level)
    if weight < 1.0 - 1e-9 or np.isnan(pnl).any():
        return math.nan, math.nan
    buffer = pnl.copy()
    loss = -quantile(buffer, count, 1.0 - level)
    whole = min(count - 1, int(weight + 1e-9))
    part = max(0.0, weight - whole)
    total = part * select(buffer, count, whole)
    for i in range(whole):
        total += buffer[i]
    return loss, -total / (whole + part)


def normal_multiples(level: float) -> tuple[float, float]:
    """Value at risk and expected shortfall at ``level`` under a normal law of mean 0, in standard deviations: z and φ(z) / (1 - level).

    McNeil, Frey and Embrechts (2015), "Quantitative Risk Management", examples 2.11 and 2.14. The mean of one session is left out, as
    RiskMetrics does (Technical Document, 4th ed. 1996, section 5.3): beside its deviation it is noise, and it would offset losses.
    """
    normal = NormalDist()
    z = normal.inv_cdf(level)
    return z, normal.pdf(z) / (1.0 - level)


@njit
def betas(returns: Floats, market: Floats) -> Floats:
    """Slope ``(C,)`` of each name's session returns on the market's ``(W,)``: cov(r, m) / var(m).

    Sessions whose market return is NaN are left out; NaN for all below 20 others or where the market never moved.
    """
    sessions, count = returns.shape
    slopes = np.full(count, math.nan)
    known, mean = 0, 0.0
    for u in range(sessions):
        if not math.isnan(market[u]):
            known += 1
            mean += market[u]
    if known < 20:
        return slopes
    mean /= known
    variance, together = 0.0, np.zeros(count)
    for u in range(sessions):
        if not math.isnan(market[u]):
            away = market[u] - mean
            variance += away * away
            together += away * returns[u]
    return together / variance if variance > 0.0 else slopes


@njit
def book_beta(slopes: Floats, values: Floats) -> float:
    """USD that the book moves per unit of market return: Σ vᵢ βᵢ; NaN where a held name's beta is."""
    terms = np.empty(len(values))
    for i in range(len(values)):
        terms[i] = values[i] * slopes[i] if values[i] != 0.0 else 0.0
    return math.nan if np.isnan(terms).any() else steady_sum(terms)


@njit
def beta_without_offsets(slopes: Floats, values: Floats) -> float:
    """The larger of what rises and what falls with the market, USD ≥ 0 per unit of its return: no short hedges a long."""
    up, down = np.zeros(len(values)), np.zeros(len(values))
    for i in range(len(values)):
        term = values[i] * slopes[i] if values[i] != 0.0 else 0.0
        if math.isnan(term):
            return math.nan
        up[i], down[i] = max(0.0, term), max(0.0, -term)
    return max(steady_sum(up), steady_sum(down))
