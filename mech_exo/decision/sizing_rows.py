"""The compiled sizes of the selected names: by method, brought to the exposure, rounded to lots, small changes left alone.

What is not worth its trouble (too small a position, a gain below its costs) is filtered here too, and each name's line of the plan says so.
"""

from __future__ import annotations

import math

import numpy as np

from mech_exo.decision.params import Features, FilterParams, Rules, SizingParams
from mech_exo.kernels import lean, njit
from mech_exo.kernels.costs import SESSIONS_PER_YEAR, round_trip, slippage
from mech_exo.kernels.records import Bars, Floats, Ints
from mech_exo.kernels.risk_model import portfolio_volatility
from mech_exo.risk.cuts import reduce_only
from mech_exo.risk.rules import Rule
from mech_exo.risk.stops import StopParams, stop_level, target_level
from mech_exo.sizing import methods

EQUAL, FIXED, ATR, VOLATILITY, KELLY, SCORE = methods.EQUAL, methods.FIXED, methods.ATR, methods.VOLATILITY, methods.KELLY, methods.SCORE
AS_IS, AT_MOST = methods.AS_IS, methods.AT_MOST
MINIMUM_VALUE, COST, BUFFER = int(Rule.MINIMUM_VALUE), int(Rule.COST), int(Rule.BUFFER)


@lean
def in_force(t: int, days: np.ndarray, sizing: SizingParams) -> tuple[int, float]:
    """The method that sizes at the close of row ``t``, and Kelly's bet (a fraction of NAV; NaN for every other method).

    Kelly without a given win rate measures its own: the trades closed in the sessions of ``days`` ``(T,)`` DAY up to ``t``. With too few of
    them, or without a payoff, the method of ``until_measured`` sizes; ``methods.NONE`` where there is none.
    """
    if sizing.method != KELLY:
        return sizing.method, math.nan
    if not math.isnan(sizing.kelly):
        return KELLY, sizing.kelly
    wins, losses, gains, forfeits = closed_trades(t, days)
    bet = methods.measured_kelly(wins, losses, gains, forfeits, sizing.kelly_fraction, sizing.kelly_min)
    if math.isnan(bet):
        return sizing.until, math.nan
    return KELLY, bet


@lean
def closed_trades(t: int, days: np.ndarray) -> tuple[float, float, float, float]:
    """How many positions were closed with a gain and without up to row ``t``, and the sums of their gains and losses (both ≥ 0).

    A session of which nothing is known (NaN) closed none.
    """
    wins, losses, gains, forfeits = 0.0, 0.0, 0.0, 0.0
    for u in range(t + 1):
        day = days[u]
        if not math.isnan(day.nav) and not math.isnan(day.wins):
            wins += day.wins
            losses += day.losses
            gains += day.gains
            forfeits += day.forfeits
    return wins, losses, gains, forfeits


@lean
def raw_shares(
    method: int, price: float, volatility: float, atr: float, weight: float, bet: float, nav: float, sizing: SizingParams
) -> float:
    """Unrounded shares of one selected name by ``method``; NaN where an input is unknown. ``weight`` is what a plug-in gave, in shares."""
    if method >= AS_IS:
        return weight
    if method == EQUAL:
        return methods.equal_weight(nav, sizing.gross, sizing.top + sizing.bottom, price)
    if method == FIXED:
        distance = price if math.isnan(sizing.hard_stop) else price * sizing.hard_stop
        return methods.fixed_percent(nav, sizing.trade_risk, distance)
    if method == ATR:
        return methods.atr_based(nav, sizing.trade_risk, sizing.atr_multiple, atr)
    if method == VOLATILITY:
        return methods.volatility_based(nav, sizing.trade_risk, volatility * math.sqrt(SESSIONS_PER_YEAR), price)
    if method == KELLY:
        return methods.kelly(nav, bet, price)
    return methods.weighted(nav, sizing.gross, weight, price)


@njit
def exposure_scale(t: int, names: Ints, shares: Floats, bars: Bars, nav: float, method: int, sizing: SizingParams) -> float:
    """Factor that brings the selected names to the configured gross exposure and, below it, to the target volatility.

    Equal weights are exact as they come. Inverse-volatility sizes and weights are scaled up or down to the exposure; the methods
    that size by risk are only scaled down.
    """
    values = np.empty(len(names))
    invested = 0.0
    for i in range(len(names)):
        values[i] = shares[i] * bars.close[t, names[i]]
        invested += abs(values[i])
    if not invested > 0.0:
        return 0.0
    scale = 1.0
    if method not in (EQUAL, AS_IS):
        budget = sizing.gross * nav * len(names) / (sizing.top + sizing.bottom)
        scale = budget / invested
        if method in (FIXED, ATR, KELLY, AT_MOST):
            scale = min(1.0, scale)
    if not math.isnan(sizing.target_volatility):
        volatility = portfolio_volatility(t, names, values, bars, sizing.volatility_window) * scale / nav
        if math.isnan(volatility):
            return 0.0
        if volatility > sizing.target_volatility:
            scale *= sizing.target_volatility / volatility
    return scale


@njit
def raw_sizes(
    t: int, k: int, names: Ints, longs: int, nav: float, method: int, bet: float, bars: Bars, features: Features, weights: Floats,
    rules: Rules,
) -> Floats:
    """The signed unrounded shares of each of the selected ``names``, the first ``longs`` of them bought; 0 where no size is known.

    ``weights`` ``(N,)`` is the share of each where ``method`` shares out weights, or the shares that a plug-in gave; NaN = none.
    """
    sizing = rules.sizing
    shares = np.empty(len(names))
    has_volatility, has_atr = features.volatility.shape[1] > 0, features.atr.shape[1] > 0
    for i in range(len(names)):
        s = names[i]
        volatility = features.volatility[k, s] if has_volatility else math.nan
        atr = features.atr[k, s] if has_atr else math.nan
        size = raw_shares(method, bars.close[t, s], volatility, atr, weights[s], bet, nav, sizing)
        usable = size > 0.0 and size < math.inf and not (has_volatility and math.isnan(volatility))
        usable = usable and not (math.isnan(atr) and not math.isnan(rules.stops.volatility_atr))
        side = 1.0 if i < longs else -1.0
        shares[i] = side * size if usable else 0.0
    return shares


@lean
def size_one(
    plan: np.ndarray, s: int, side: float, shares: float, position: np.ndarray, price: float, atr: float, sizing: SizingParams,
    stops: StopParams,
) -> None:
    """Write one name's wanted size (in lots) and its levels: where a held position's rest, else those its entry would carry."""
    entry = plan[s]
    size, held = side * shares, position.shares
    entry.asked = size
    if size * held > 0.0 and size != held and abs(size - held) < sizing.buffer * abs(size):
        note(entry, BUFFER, sizing.buffer, abs(size - held) / abs(size))
        size = held
    entry.wanted = size
    entry.atr = atr
    entry.kind, entry.keep = sizing.order_kind, sizing.order_keep
    if size * held > 0.0:
        entry.stop, entry.stop_reason, entry.profit = position.stop, position.stop_reason, position.target
    else:
        entry.stop, entry.stop_reason = stop_level(side, price, price, atr, stops)
        entry.profit = target_level(side, price, stops)


@lean
def note(entry: np.ndarray, rule: int, limit: float, value: float) -> None:
    """Say in a line of the plan which rule of sizing changed what the method asked for."""
    entry.filter = rule
    entry.filter_limit = limit
    entry.filter_value = value


@lean
def expected_gain(side: float, standard: float, volatility: float, terms: FilterParams) -> float:
    """What a position is expected to return over the horizon, a fraction: IC × volatility × score, the score on the position's side.

    ``volatility`` is daily; ``standard`` the standardised score. Grinold (1994), "Alpha is Volatility Times IC Times Score", Journal of
    Portfolio Management 20(4). NaN unknown.
    """
    return side * standard * terms.information_coefficient * volatility * math.sqrt(terms.horizon)


@lean
def worth_it(size: float, held: float, price: float, entry: np.ndarray, terms: FilterParams) -> float:
    """``size`` (signed shares), or what is left of it where enlarging ``held`` to it is not worth the trouble; ``entry`` says why.

    A position below the minimum value is neither opened nor enlarged, and nothing is enlarged whose expected gain is not above its costs,
    or unknown. What reduces passes.
    """
    kept = reduce_only(size, held)
    more = abs(size - kept)
    if not more > 0.0:
        return size
    if methods.too_small(size, price, terms.min_value):
        note(entry, MINIMUM_VALUE, terms.min_value, abs(size) * price)
        return kept
    if not math.isnan(terms.cost_multiple):
        cost, gain = terms.cost_multiple * round_trip(more, price, entry.slip, terms.costs), entry.gain * more * price
        if not gain > cost:
            note(entry, COST, cost, gain)
            return kept
    return size


@lean
def filter_wanted(
    t: int, k: int, names: Ints, longs: int, bars: Bars, features: Features, book: np.ndarray, plan: np.ndarray, terms: FilterParams | None
) -> None:
    """Filter what is wanted of ``names``, the first ``longs`` of them bought, before risk measures it."""
    if terms is None:
        return
    for i in range(len(names)):
        s = names[i]
        entry, held, price = plan[s], book[s].shares, bars.close[t, s]
        if not math.isnan(terms.cost_multiple):
            side = 1.0 if i < longs else -1.0
            entry.gain = expected_gain(side, features.standard[k, s], features.volatility[k, s], terms)
            entry.slip = slippage(t, s, abs(entry.wanted - reduce_only(entry.wanted, held)), price, bars, terms.costs)
        entry.wanted = worth_it(entry.wanted, held, price, entry, terms)


@lean
def filter_targets(names: Ints, count: int, close: Floats, book: np.ndarray, plan: np.ndarray, terms: FilterParams | None) -> bool:
    """Filter again what risk has cut of the first ``count`` of ``names``: the rest may be too small, or no longer pay its costs.

    What is filtered is wanted no more than it is held. Returns whether there was any: the limits must then be asked again.
    """
    changed = False
    if terms is None:
        return changed
    for i in range(count):
        s = names[i]
        if plan[s].target != plan[s].wanted:
            kept = worth_it(plan[s].target, book[s].shares, close[s], plan[s], terms)
            if kept != plan[s].target:
                plan[s].wanted = plan[s].target = kept
                changed = True
    return changed
