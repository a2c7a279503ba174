"""What one fill, one night of cash and one night of shorts cost."""

from __future__ import annotations

import math

from mech_exo.kernels import lean
from mech_exo.kernels.records import Bars, CostParams

SESSIONS_PER_YEAR = 252.0
UNKNOWN_LIQUIDITY_SLIPPAGE = 0.10  # an exit must trade even where its impact cannot be estimated: charged harshly
MAX_SLIPPAGE = 0.5


@lean
def commission(shares: float, price: float, costs: CostParams) -> float:
    """USD for an order of ``shares`` (unsigned) at ``price``.

    max(minimum, per share × shares + fraction × value), at most ``max_fraction`` of the value; where the cap is below the minimum
    the cap is charged (Interactive Brokers, fixed and tiered pricing, "maximum per order").
    """
    fee = max(costs.min_order, costs.per_share * shares + costs.fraction * shares * price)
    return min(fee, costs.max_fraction * shares * price)


@lean
def square_root_impact(t: int, s: int, shares: float, bars: Bars, costs: CostParams) -> float:
    """Impact as a fraction of price: impact × σ × sqrt(shares / ADV), from the sessions before ``t`` only.

    σ is the standard deviation of daily returns and ADV the mean daily volume (in shares of session ``t``) over
    ``impact_window`` sessions. NaN where fewer than half of them traded. Almgren, Thum, Hauptmann & Li (2005).
    """
    count, volume, total, squares = 0, 0.0, 0.0, 0.0
    ratio = bars.split_ratio[t, s]
    later = math.nan
    first = max(0, t - costs.impact_window)
    for u in range(t - 1, first - 1, -1):
        close = bars.close[u, s]
        if not math.isnan(close):
            volume += bars.volume[u, s] * ratio
            if not math.isnan(later):
                change = later / close - 1.0
                total += change
                squares += change * change
            count += 1
            later = close
        ratio *= bars.split_ratio[u, s]
        later *= bars.split_ratio[u, s]
    returns = count - 1
    if count * 2 < costs.impact_window or returns < 2 or not volume > 0.0:
        return math.nan
    variance = max(0.0, (squares - total * total / returns) / (returns - 1))
    return costs.impact * math.sqrt(variance) * math.sqrt(shares / (volume / count))


@lean
def estimated_spread(t: int, s: int, bars: Bars, window: int) -> float:
    """Bid-ask spread as a fraction of price that the ``window`` sessions before ``t`` imply; NaN with fewer than half as many pairs.

    Mean over consecutive sessions u, u + 1 of √max(0, 4 (c_u − η_u)(c_u − η_{u+1})), c the log close and η the mean of log high and
    log low, prices of u + 1 in the shares of u. Abdi & Ranaldo (2017), Review of Financial Studies 30(12), "two-day corrected" estimator,
    eqs. 9-10.
    """
    total, pairs = 0.0, 0
    for u in range(max(0, t - window), t - 1):
        close = math.log(bars.close[u, s])
        middle = 0.5 * (math.log(bars.high[u, s]) + math.log(bars.low[u, s]))
        later = 0.5 * (math.log(bars.high[u + 1, s]) + math.log(bars.low[u + 1, s])) + math.log(bars.split_ratio[u + 1, s])
        product = (close - middle) * (close - later)
        if not math.isnan(product):
            total += math.sqrt(max(0.0, 4.0 * product))
            pairs += 1
    return total / pairs if pairs > 0 and pairs * 2 >= window else math.nan


@lean
def learnt(t: int, s: int, shares: float, bars: Bars, costs: CostParams) -> float:
    """The part of the slippage that past bars tell, a fraction; the harsh :data:`UNKNOWN_LIQUIDITY_SLIPPAGE` where they do not."""
    total = 0.0
    if costs.spread_estimate > 0.0:
        total += costs.spread_estimate * 0.5 * estimated_spread(t, s, bars, costs.impact_window)
    if costs.impact > 0.0:
        total += square_root_impact(t, s, shares, bars, costs)
    return UNKNOWN_LIQUIDITY_SLIPPAGE if math.isnan(total) else total


@lean
def slippage(t: int, s: int, shares: float, reference: float, bars: Bars, costs: CostParams) -> float:
    """Fraction of the ``reference`` price that a market fill of ``shares`` (unsigned) gives away, at most :data:`MAX_SLIPPAGE`."""
    given = costs.slippage
    if costs.spread > 0.0:
        given += 0.5 * costs.spread / reference
    if costs.impact > 0.0 or costs.spread_estimate > 0.0:
        given += learnt(t, s, shares, bars, costs)
    return min(given, MAX_SLIPPAGE)


@lean
def round_trip(shares: float, price: float, slip: float, costs: CostParams) -> float:
    """USD of trading ``shares`` (unsigned) in and out again at ``price``: commission and the fraction ``slip``, twice."""
    return 2.0 * (commission(shares, price, costs) + shares * price * slip)


@lean
def cash_interest(cash: float, costs: CostParams) -> float:
    """USD earned (or paid) on one session's closing cash: annual rate / 252."""
    rate = costs.cash_rate if cash > 0.0 else costs.margin_rate
    return cash * rate / SESSIONS_PER_YEAR


@lean
def borrow_fee(short_value: float, costs: CostParams) -> float:
    """USD paid for one session of ``short_value`` (negative USD) held short."""
    return -short_value * costs.borrow_rate / SESSIONS_PER_YEAR
