"""The scorer written a second time, slowly: plain Python over lists, one session and one name at a time."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np

NAN = math.nan


def forward(panel, dividends):
    """Closes of each symbol as lists, adjusted for splits and, if asked, dividends bought in at the next observed close."""
    out = []
    for j in range(len(panel.symbols)):
        shares, pending, column = 1.0, 0.0, []
        for t in range(panel.shape[0]):
            ratio, price = panel.split_ratio[t, j], panel.close[t, j]
            shares, pending = shares * ratio, pending / ratio
            if dividends:
                pending += panel.dividend[t, j]
                if pending and not math.isnan(price):
                    shares, pending = shares * (1 + pending / price), 0.0
            column.append(price * shares)
        out.append(column)
    return out


def adjusted_volume(panel):
    out = []
    for j in range(len(panel.symbols)):
        ratio, column = 1.0, []
        for t in range(panel.shape[0]):
            ratio *= panel.split_ratio[t, j]
            column.append(panel.volume[t, j] / ratio)
        out.append(column)
    return out


def observed(column, t):
    return [value for value in column[: t + 1] if not math.isnan(value)]


def momentum(column, t, lookback, skip):
    return column[t - skip] / column[t - lookback] - 1 if t >= lookback else NAN


def rsi(column, t, window):
    prices = observed(column, t)
    if math.isnan(column[t]) or len(prices) <= window:
        return NAN
    ups = [max(b - a, 0.0) for a, b in itertools.pairwise(prices)]
    downs = [max(a - b, 0.0) for a, b in itertools.pairwise(prices)]
    gain, loss = sum(ups[:window]) / window, sum(downs[:window]) / window
    for up, down in zip(ups[window:], downs[window:], strict=True):
        gain, loss = (gain * (window - 1) + up) / window, (loss * (window - 1) + down) / window
    if gain + loss == 0:
        return NAN
    return 100.0 if loss == 0 else 100.0 - 100.0 / (1.0 + gain / loss)


def atr(high, low, close, t, window):
    bars = [bar for bar in zip(high[: t + 1], low[: t + 1], close[: t + 1], strict=True) if not any(map(math.isnan, bar))]
    if any(map(math.isnan, (high[t], low[t], close[t]))) or len(bars) <= window:
        return NAN
    spans = [max(h - lo, abs(h - before[2]), abs(lo - before[2])) for before, (h, lo, _) in itertools.pairwise(bars)]
    level = sum(spans[:window]) / window
    for span in spans[window:]:
        level = (level * (window - 1) + span) / window
    return level


def least(window):
    return max(2, math.ceil(window * 8 / 10))


def volatility(column, t, window):
    if math.isnan(column[t]):
        return NAN
    changes, last = [], None
    for row in range(t + 1):
        if math.isnan(column[row]):
            continue
        if last is not None and row > t - window:
            changes.append(column[row] / last - 1)
        last = column[row]
    return statistics.stdev(changes) if len(changes) >= least(window) else NAN


def mean(column, t, window):
    held = [value for value in column[max(t - window + 1, 0) : t + 1] if not math.isnan(value)]
    return NAN if math.isnan(column[t]) or len(held) < least(window) else math.fsum(held) / len(held)


def ratio(above, below):
    return NAN if math.isnan(above) or math.isnan(below) or below == 0 else above / below


def raw_value(name, panel, j, t, p):
    if name == "momentum_12_1":
        return momentum(forward(panel, True)[j], t, p["lookback"], p["skip"])
    if name == "rsi_14":
        return rsi(forward(panel, False)[j], t, p["window"])
    if name == "volatility_ratio":
        column = forward(panel, True)[j]
        return ratio(volatility(column, t, p["short"]), volatility(column, t, p["long"]))
    if name == "volume_trend":
        column = adjusted_volume(panel)[j]
        return ratio(mean(column, t, p["short"]), mean(column, t, p["long"])) - 1
    raise KeyError(name)


def zscores(values, winsor):
    known = {j: v for j, v in values.items() if math.isfinite(v)}
    if not known:
        return {}
    low, high = np.quantile(list(known.values()), [winsor, 1 - winsor])
    clipped = {j: min(max(v, low), high) for j, v in known.items()}
    if len(set(clipped.values())) < 2:
        return {}
    centre, spread = statistics.fmean(clipped.values()), statistics.pstdev(clipped.values())
    return {j: (v - centre) / spread for j, v in clipped.items()}


def rank_scale(values):
    known = {j: v for j, v in values.items() if math.isfinite(v)}
    if len(set(known.values())) < 2:
        return {}
    out = {}
    for j, v in known.items():
        below, same = sum(w < v for w in known.values()), sum(w == v for w in known.values())
        out[j] = 2 * (below + (same - 1) / 2) / (len(known) - 1) - 1
    return out


def exclusion(panel, universe, j, t, rules):
    if math.isnan(panel.close[t, j]):
        return "no bar this session"
    if not universe.member[t, j]:
        return "not a member of the universe"
    if sum(not math.isnan(panel.close[row, j]) for row in range(t + 1)) < rules.min_listing_sessions:
        return "fewer sessions with a bar than the minimum since its listing"
    if panel.close[t, j] < rules.min_price:
        return "price below the minimum"
    if rules.min_dollar_volume > 0:
        window = range(max(t - rules.dollar_volume_window + 1, 0), t + 1)
        dollars = [panel.close[row, j] * panel.volume[row, j] for row in window]
        dollars = [value for value in dollars if not math.isnan(value)]
        if len(dollars) < rules.dollar_volume_window / 2:
            return "traded too seldom to know its dollar volume"
        if statistics.median(dollars) < rules.min_dollar_volume:
            return "median dollar volume below the minimum"
    return ""


def score(panel, universe, t, lines, rules, scoring, multipliers):
    """``lines``: (name, params, weight, sign). -> per name None or (score, [contributions], coverage), and the exclusions."""
    names = range(len(panel.symbols))
    reasons = [exclusion(panel, universe, j, t, rules) for j in names]
    columns = []
    for name, params, _, sign in lines:
        values = {j: raw_value(name, panel, j, t, params) for j in names if not reasons[j]}
        if scoring.normalisation == "zscore":
            scaled = zscores(values, scoring.winsor)
        elif scoring.normalisation == "rank":
            scaled = rank_scale(values)
        else:
            scaled = {j: v for j, v in values.items() if math.isfinite(v)}
        columns.append({j: sign * v for j, v in scaled.items()})
    total = sum(weight for _, _, weight, _ in lines)
    results = [None] * len(panel.symbols)
    for j in names:
        have = sum(weight for (_, _, weight, _), column in zip(lines, columns, strict=True) if j in column)
        if reasons[j] or not have:
            reasons[j] = reasons[j] or "values for too few factors"
            continue
        if have / total < scoring.min_coverage:
            reasons[j] = "values for too few factors"
            continue
        code = universe.sector[t, j]
        multiplier = multipliers.get(universe.sector_names[code], 1.0) if code >= 0 else 1.0
        parts = [weight / have * column.get(j, 0.0) * multiplier for (_, _, weight, _), column in zip(lines, columns, strict=True)]
        results[j] = (sum(parts), parts, have / total)
    return results, reasons
