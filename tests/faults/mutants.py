"""Bugs to seed into sizing and risk: each must be noticed by the tests of its suite."""

from __future__ import annotations

from typing import NamedTuple

SUITES = {
    "limits": [
        "tests/risk/test_by_hand.py", "tests/risk/test_config_keys.py", "tests/risk/test_usage_agrees.py", "tests/laws/test_risk_laws.py",
        "tests/risk/test_checker.py",
    ],
    "stops": ["tests/laws/test_stop_laws.py", "tests/risk/test_stop_engine.py"],
    "governor": ["tests/risk/test_governor.py"],
    "gaps": ["tests/kernels/test_liquidity.py"],
    "sizes": ["tests/sizing"],
    "filters": ["tests/decision/test_filters.py"],
}


class Mutant(NamedTuple):
    """``old`` stands once in ``module`` and becomes ``new``; ``what`` says what is wrong then."""

    what: str
    suite: str
    module: str
    old: str
    new: str


CUTS, LIMITS, RULES = "mech_exo.risk.cuts", "mech_exo.risk.limits", "mech_exo.risk.rules"
NAME, BOOK, MODEL = "mech_exo.risk.name_rules", "mech_exo.risk.book_rules", "mech_exo.risk.model_rules"
GOVERNOR, STOPS, METHODS, SIZES = "mech_exo.risk.governor", "mech_exo.risk.stops", "mech_exo.sizing.methods", "mech_exo.decision.sizing_rows"
GAPS = "mech_exo.kernels.liquidity"
MUTANTS = (
    # what every rule is made of
    Mutant("a limit gives way by two percent", "limits", CUTS, "wanted <= cap * (1.0 + SLACK)", "wanted <= cap * 1.02"),
    Mutant("a floating-point 28.99 no longer allows 29", "limits", CUTS, "SLACK = 1e-12", "SLACK = 0.0"),
    Mutant("only reductions pass, but a position may turn", "limits", CUTS, "if wanted * held <= 0.0:", "if wanted * held == 0.0:"),
    Mutant("only reductions pass, but a position may grow", "limits", CUTS, "abs(wanted) <= abs(held) else held", "abs(wanted) >= abs(held) else held"),
    Mutant("the limit that binds is not named", "limits", CUTS, "        entry.binding = rule\n        return True", "        return True"),
    Mutant("a cut rounds up to the next share", "limits", CUTS, "np.floor(share * abs(entry.wanted) / lot)", "np.ceil(share * abs(entry.wanted) / lot)"),
    Mutant("what has no close counts for nothing", "limits", CUTS, "else mark", "else 0.0"),
    # the state
    Mutant("a HALT is no more than a drawdown", "limits", LIMITS, "    if halted:\n        return HALTED", "    if halted:\n        return REDUCING"),
    Mutant("an unknown drawdown lets new risk pass", "limits", LIMITS, "within = falls.year <= limits.drawdown or", "within = not falls.year > limits.drawdown or"),
    Mutant("a day's loss is not looked at", "limits", LIMITS, "falls.session <= limits.daily_loss or", "falls.session == falls.session or"),
    Mutant("the trailing peak forgets a session too early", "limits", LIMITS, "for u in range(max(0, first), t):", "for u in range(max(0, first + 1), t):"),
    Mutant("the peak is a trough", "limits", LIMITS, "if index[u] > peak:", "if index[u] < peak:"),
    Mutant("an unknown size passes as it is", "limits", RULES, "plan[s].wanted = 0.0  # an unknown size is no size", "pass"),
    Mutant("doubtful data are no hindrance", "limits", RULES, "sight.verdict[s] >= BLOCK", "sight.verdict[s] > BLOCK"),
    Mutant("an unknown sector is as good as a known one", "limits", NAME, "if sector < 0 and not", "if sector < -1 and not"),
    Mutant("a NAV of nothing is a NAV", "limits", NAME, "if not nav > 0.0 or nav == math.inf:", "if not nav >= 0.0 or nav == math.inf:"),
    Mutant("an unknown gap is no gap", "limits", RULES, "if math.isnan(plan[s].gap):", "if plan[s].gap > 1e9:"),
    # single names
    Mutant("one share more than the position limit", "limits", NAME, "np.floor(limit * nav / price * (1.0 + SLACK) / lot)", "np.ceil(limit * nav / price * (1.0 + SLACK) / lot)"),
    Mutant("a position may be any size", "limits", NAME, "entry.target = side * min(size, allowed, by_risk)", "entry.target = side * min(size, by_risk)"),
    Mutant("the risk per trade is not limited", "limits", NAME, "entry.target = side * min(size, allowed, by_risk)", "entry.target = side * min(size, allowed)"),
    Mutant("a stop that gaps helps", "limits", NAME, "level * (1.0 - side * gap)", "level * (1.0 + side * gap)"),
    Mutant("a short's stop lies on the wrong side", "limits", NAME, "return max(0.0, side * (price - level", "return max(0.0, 1.0 * (price - level"),
    Mutant("without a stop nothing is at risk", "limits", NAME, "    if math.isnan(stop):\n        return price", "    if math.isnan(stop):\n        return 0.0"),
    Mutant("shares that are not listed may be sold short", "limits", NAME, "rare.shorts == LISTED_SHORT and not listed(s, past)", "rare.shorts == LISTED_SHORT and listed(s, past)"),
    Mutant("the price collar is turned round", "limits", NAME, "if not away <= rare.price_deviation", "if not away >= rare.price_deviation"),
    Mutant("an order may take twice its share of the volume", "limits", NAME, "kept + rare.volume_share * volume, lot", "kept + 2.0 * rare.volume_share * volume, lot"),
    Mutant("days to exit are not limited", "limits", NAME, "at_most(plan, s, most, EXIT_DAYS)", "pass"),
    # the book
    Mutant("shorts do not count in gross exposure", "limits", BOOK, "gross = share_allowed(limit * nav, longs + shorts)", "gross = share_allowed(limit * nav, longs)"),
    Mutant("shorts relieve their sector", "limits", BOOK, "by_sector[sector[names[i]]] += abs(wanted)", "by_sector[sector[names[i]]] += wanted"),
    Mutant("the governor leaves gross exposure alone", "limits", BOOK, "limits.gross * scale if scale > 0.0 else 0.0, GOVERNOR", "limits.gross, GOVERNOR"),
    Mutant("leverage is not limited", "limits", BOOK, "if limits.leverage < limit:", "if limits.leverage < 0.0:"),
    Mutant("the other side of the net limit is not looked at again", "limits", BOOK, "    while changed:\n        changed = False", "    while changed:\n        changed = False\n        if not first:\n            break"),
    Mutant("the net limit adds the sides up", "limits", BOOK, "share_allowed(limit * nav + other, wanted)", "share_allowed(limit * nav - other, wanted)"),
    Mutant("four of the five largest count", "limits", BOOK, "LARGEST = 5", "LARGEST = 4"),
    Mutant("reductions use no turnover", "limits", BOOK, "limit * nav - reduced, grown", "limit * nav, grown"),
    # the risk model
    Mutant("names that move together are not looked at", "limits", MODEL, "if size > 1 and share < 1.0:", "if size > 2 and share < 1.0:"),
    Mutant("gains relieve the value at risk", "limits", MODEL, "worse(quantile / nav, rare.value_at_risk_z * session)", "min(quantile / nav, rare.value_at_risk_z * session)"),
    Mutant("volatility is measured and not limited", "limits", MODEL, "rare.volatility, sigma, VOLATILITY, lot", "10.0 * rare.volatility, sigma, VOLATILITY, lot"),
    # gaps
    Mutant("a fall is what a short fears", "gaps", GAPS, "loss = -side * gap", "loss = side * gap"),
    Mutant("the tail is the best of the worst", "gaps", GAPS, "if loss > worst[last]:", "if loss < worst[last]:"),
    Mutant("a split is a gap", "gaps", GAPS, "(open_ + dividend) * ratio / before - 1.0", "(open_ + dividend) / before - 1.0"),
    # the governor
    Mutant("the governor waits for the hard limit", "governor", GOVERNOR, "    if fall <= governor.soft:\n        return 1.0", "    if fall < governor.hard:\n        return 1.0"),
    Mutant("beyond the hard limit a little is held", "governor", GOVERNOR, "    if fall >= governor.hard:\n        return 0.0", "    if fall >= governor.hard:\n        return 0.05"),
    Mutant("the share rises by itself", "governor", GOVERNOR, "return allowed if allowed <= before - governor.min_change or", "return allowed if abs(allowed - before) >= governor.min_change or"),
    Mutant("it rises without waiting", "governor", GOVERNOR, "if scale[u] < scale[u - 1]:", "if scale[u] > scale[u - 1]:"),
    # stops
    Mutant("the hard stop of a short lies below", "stops", STOPS, "entry * (1 - stops.hard) if side > 0.0 else entry * (1 + stops.hard)", "entry * (1 - stops.hard)"),
    Mutant("the trailing stop hangs on the entry", "stops", STOPS, "candidate = best * (1 - stops.trailing) if side > 0.0", "candidate = entry * (1 - stops.trailing) if side > 0.0"),
    Mutant("the farthest stop binds", "stops", STOPS, "if math.isfinite(candidate) and not (level * side >= candidate * side):", "if math.isfinite(candidate) and not (level * side <= candidate * side):"),
    Mutant("the profit target is a loss", "stops", STOPS, "level = entry * (1 + side * stops.target)", "level = entry * (1 - side * stops.target)"),
    Mutant("the time stop comes a session late", "stops", STOPS, "age >= stops.time_sessions", "age > stops.time_sessions"),
    # sizes
    Mutant("a size that is not finite is rounded", "limits", METHODS, "if shares > 0.0 and shares < math.inf else 0.0", "if shares > 0.0 else 0.0"),
    Mutant("sizes are rounded up", "sizes", METHODS, "np.floor(shares / lot) * lot", "np.ceil(shares / lot) * lot"),
    Mutant("the ATR multiple is forgotten", "sizes", METHODS, "nav * risk / (multiple * atr)", "nav * risk / atr"),
    Mutant("Kelly bets without an edge", "sizes", METHODS, "fraction * max(0.0, win_rate - (1.0 - win_rate) / payoff)", "fraction * abs(win_rate - (1.0 - win_rate) / payoff)"),
    Mutant("Kelly does not shrink", "sizes", METHODS, "return bet * kelly_shrinkage(win_rate, payoff, trades) if bet > 0.0 else bet", "return bet"),
    Mutant("a low score is held as much as a high one", "sizes", METHODS, "weights[names[i]] = 0.0 if conviction < 0.0 else conviction", "weights[names[i]] = 0.0 if conviction < 0.0 else 1.0"),
    Mutant("what does not pay its costs is bought", "filters", SIZES, "if not gain > cost:", "if gain > cost:"),
    Mutant("a position below the least value is opened", "filters", METHODS, "* price < least", "* price < 0.0"),
    Mutant("the buffer keeps large changes too", "filters", SIZES, "abs(size - held) < sizing.buffer * abs(size):", "abs(size - held) > sizing.buffer * abs(size):"),
)
