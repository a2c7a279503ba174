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


def median_and_mad(values):
    centre = statistics.median(values)
    return centre, 1.4826 * statistics.median(abs(value - centre) for value in values)


def zscores(values, winsor, deviations=None):
    known = {j: v for j, v in values.items() if math.isfinite(v)}
    if not known:
        return {}
    low, high = np.quantile(list(known.values()), [winsor, 1 - winsor])
    if deviations is not None:
        centre, spread = median_and_mad(list(known.values()))
        low, high = (centre - deviations * spread, centre + deviations * spread) if spread else (-math.inf, math.inf)
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


def scaled(values, rules, clip):
    if rules.normalisation == "zscore":
        return zscores(values, rules.winsor if clip else 0.0, rules.winsor_mad if clip else None)
    if rules.normalisation == "rank":
        return rank_scale(values)
    return {j: v for j, v in values.items() if math.isfinite(v)}


def within(values, rules, sector, clip):
    """Everyone together, or each sector of enough names by itself."""
    if rules.within == "session":
        return scaled(values, rules, clip)
    out = {}
    for code in {sector[j] for j in values} - {-1}:
        own = {j: v for j, v in values.items() if sector[j] == code and math.isfinite(v)}
        if len(own) >= rules.min_sector_names:
            out |= scaled(own, rules, clip)
    return out


def residuals(values, rules, sector, exposures, weight):
    """Of a regression by numpy.linalg.lstsq on dummies and exposures; ``exposures``: lists by name, ``weight``: one number a name."""
    by_sector = "sector" in rules.neutralise
    names = [j for j in values if all(math.isfinite(column[j]) for column in exposures) and math.isfinite(weight[j])]
    codes = {j: int(sector[j]) if by_sector else 0 for j in names}
    least = rules.min_sector_names if by_sector else 1
    names = [j for j in names if codes[j] >= 0 and sum(codes[i] == codes[j] for i in names) >= least]
    if not names:
        return {}
    groups = sorted({codes[j] for j in names})
    roots = np.sqrt([weight[j] for j in names])
    design = [[float(codes[j] == code) for j in names] for code in groups]
    for column in exposures:
        wider = [*design, [column[j] for j in names]]
        if len(names) > len(wider) and np.linalg.matrix_rank(np.array(wider) * roots) == len(wider):
            design = wider
    left, right = (np.array(design) * roots).T, np.array([values[j] for j in names])
    rest = right - np.array(design).T @ np.linalg.lstsq(left, right * roots, rcond=None)[0]
    if np.sum((rest * roots) ** 2) <= 1e-12 * np.sum((right * roots) ** 2):
        return {}
    return dict(zip(names, rest.tolist(), strict=True))


def regime(returns, t, rules):
    """The states of the market at ``t``: its returns as a list, NaN = none."""
    known = [value for value in returns[: t + 1] if math.isfinite(value)]
    index = list(itertools.accumulate((1 + value for value in known), lambda a, b: a * b))
    spreads = [statistics.stdev(known[i - rules.volatility_window : i]) for i in range(rules.volatility_window, len(known) + 1)]
    found = []
    if len(index) >= rules.trend_window:
        normal = statistics.fmean(index[-rules.trend_window :])
        found += ["bull"] * (index[-1] > normal) + ["bear"] * (index[-1] < normal)
    if len(spreads) >= rules.volatility_history:
        normal = statistics.median(spreads[-rules.volatility_history :])
        found += ["high_volatility"] * (spreads[-1] > normal) + ["low_volatility"] * (spreads[-1] < normal)
    return found


def score(panel, universe, t, lines, rules, scoring, multipliers, known=None, exposures=(), weight=None):
    """``lines``: (name, params, weight, sign). -> per name None or (score, [contributions], coverage), and the exclusions.

    ``known``: raw values by name of facts, which count where enough names have one; ``exposures``, ``weight``: of the regression.
    """
    names = range(len(panel.symbols))
    reasons = [exclusion(panel, universe, j, t, rules) for j in names]
    columns, lines, facts = [], list(lines), known or {}
    for name, params, _, sign in list(lines):
        if name in facts:
            values = {j: facts[name][j] for j in names if not reasons[j]}
            if values and sum(math.isfinite(v) for v in values.values()) / len(values) < scoring.min_breadth:
                lines = [line for line in lines if line[0] != name]
                continue
        else:
            values = {j: raw_value(name, panel, j, t, params) for j in names if not reasons[j]}
        column = within(values, scoring, universe.sector[t], True)
        if scoring.neutralise:
            column = residuals(column, scoring, universe.sector[t], exposures, weight)
            column = within(column, scoring, universe.sector[t], False)
        columns.append({j: sign * v for j, v in column.items()})
    total = sum(share for _, _, share, _ in lines)
    results = [None] * len(panel.symbols)
    for j in names:
        have = sum(share for (_, _, share, _), column in zip(lines, columns, strict=True) if j in column)
        if reasons[j] or not have:
            reasons[j] = reasons[j] or "too few factors have an opinion"
            continue
        if have / total < scoring.min_coverage:
            reasons[j] = "too few factors have an opinion"
            continue
        code = universe.sector[t, j]
        multiplier = multipliers.get(universe.sector_names[code], 1.0) if code >= 0 else 1.0
        parts = [share / have * column.get(j, 0.0) * multiplier for (_, _, share, _), column in zip(lines, columns, strict=True)]
        results[j] = (sum(parts), parts, have / total)
    return results, reasons
