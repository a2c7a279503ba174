"""The same figures written again as plain loops, straight from the papers."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np


def sharpe(values: list[float]) -> float:
    return statistics.fmean(values) / statistics.stdev(values)


def pbo(returns: np.ndarray, blocks: int) -> tuple[float, list[float]]:
    """Probability and logits."""
    sessions, trials = returns.shape
    size = sessions // blocks
    rows = [list(range(sessions - size * (blocks - b), sessions - size * (blocks - b - 1))) for b in range(blocks)]
    logits = []
    for picked in itertools.combinations(range(blocks), blocks // 2):
        train = [t for b in picked for t in rows[b]]
        test = [t for b in range(blocks) if b not in picked for t in rows[b]]
        inside = [sharpe([float(returns[t, m]) for t in train]) for m in range(trials)]
        outside = [sharpe([float(returns[t, m]) for t in test]) for m in range(trials)]
        best = inside.index(max(inside))
        rank = 1 + sum(value < outside[best] for value in outside)
        omega = rank / (trials + 1)
        logits.append(math.log(omega / (1 - omega)))
    return sum(value <= 0 for value in logits) / len(logits), logits


def autocovariance(values: list[float], lag: int) -> float:
    mean = statistics.fmean(values)
    return sum((values[t] - mean) * (values[t + lag] - mean) for t in range(len(values) - lag)) / len(values)


def long_run_deviation(values: list[float], block: float) -> float:
    n, q = len(values), 1.0 / block
    total = autocovariance(values, 0)
    for i in range(1, n):
        kappa = (n - i) / n * (1 - q) ** i + i / n * (1 - q) ** (n - i)
        total += 2 * kappa * autocovariance(values, i)
    return math.sqrt(total)


def snooping(returns: np.ndarray, rows: np.ndarray, block: float) -> tuple[float, float, float, float]:
    """p-values of the reality check and of the SPA (consistent, lower, upper) on the resamples ``rows`` (draws, T)."""
    n, trials = returns.shape
    columns = [[float(value) for value in returns[:, m]] for m in range(trials)]
    mean = [statistics.fmean(column) for column in columns]
    omega = [long_run_deviation(column, block) for column in columns]
    bound = -math.sqrt(2 * math.log(math.log(n)))
    white = max(math.sqrt(n) * d for d in mean)
    hansen = max(0.0, *(math.sqrt(n) * d / w for d, w in zip(mean, omega, strict=True)))
    keeps = {
        "consistent": [d if math.sqrt(n) * d / w >= bound else 0.0 for d, w in zip(mean, omega, strict=True)],
        "lower": [max(0.0, d) for d in mean],
        "upper": mean,
    }
    counts = dict.fromkeys(["white", *keeps], 0)
    for draw in rows:
        again = [statistics.fmean(column[t] for t in draw) for column in columns]
        counts["white"] += max(math.sqrt(n) * (a - d) for a, d in zip(again, mean, strict=True)) >= white
        for name, centre in keeps.items():
            value = max(0.0, *(math.sqrt(n) * (a - g) / w for a, g, w in zip(again, centre, omega, strict=True)))
            counts[name] += value >= hansen
    return tuple((1 + counts[name]) / (1 + len(rows)) for name in ("white", "consistent", "lower", "upper"))  # type: ignore[return-value]


def block_length(values: list[float]) -> float:
    """Politis and White (2004) with the correction of 2009, lag by lag."""
    n = len(values)
    quiet = 5
    furthest = math.ceil(math.sqrt(n)) + quiet
    rho = [autocovariance(values, k) / autocovariance(values, 0) for k in range(furthest + 1)]
    bound = 2 * math.sqrt(math.log10(n) / n)
    m = 0
    while m + quiet <= furthest and any(abs(rho[m + k]) >= bound for k in range(1, quiet + 1)):
        m += 1
    if m + quiet > furthest:
        m = max(k for k in range(1, furthest + 1) if abs(rho[k]) >= bound)
    width = min(2 * max(m, 1), furthest)

    def taper(t: float) -> float:
        return 1.0 if abs(t) <= 0.5 else 2 * (1 - abs(t))

    both = range(-width, width + 1)
    curvature = sum(taper(k / width) * abs(k) * autocovariance(values, abs(k)) for k in both)
    density = sum(taper(k / width) * autocovariance(values, abs(k)) for k in both)
    length = (2 * curvature**2 / (2 * density**2)) ** (1 / 3) * n ** (1 / 3)
    return max(1.0, min(length, math.ceil(min(3 * math.sqrt(n), n / 3))))
