"""What a book would have done, once more in plain NumPy: gaps, volumes, correlations, tails and betas of names with a past."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np


def gap_tail(past, side, share, window):
    """The overnight gap against a holder on ``side`` that all but 1 - ``share`` of the last ``window`` stayed within; None = unknown."""
    losses = []
    for (_, before), (open_, _) in pairwise(list(zip(past.open, past.close, strict=True))[-window - 1 :]):
        loss = side * (1.0 - open_ / before)
        if math.isfinite(loss):
            losses.append(loss)
    if len(losses) < max(20, math.ceil(window / 4)):
        return None
    worse = math.floor((1.0 - share) * len(losses) + 1e-9)
    return max(0.0, sorted(losses, reverse=True)[worse])


def average_volume(past, window):
    """Mean of the known volumes of the last ``window`` sessions; None where fewer than half are known, or nothing was traded."""
    known = [v for v in past.volume[-window:] if math.isfinite(v) and v >= 0]
    return float(np.mean(known)) if 2 * len(known) >= window and sum(known) > 0 else None


def returns_of(past, window):
    """``(W,)`` returns from close to close, 0 where there is no close; None without a history."""
    last, out, count = past.close[-window - 1], [], 0
    for close in past.close[-window:]:
        move = close / last - 1.0
        out.append(move if math.isfinite(move) else 0.0)
        count += math.isfinite(move)
        last = close if not math.isnan(close) else last
    return np.array(out) if count >= 20 and 2 * count >= window else None


def figures(values, moves, market, confidence):
    """What limits measure of ``values`` ``(C,)`` USD with returns ``moves`` ``(C, W)``: every figure without the relief of offsets."""
    matrix = np.atleast_2d(np.cov(moves))
    pair = np.outer(values, values)
    deviation = np.sqrt(np.diag(matrix))
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.nan_to_num(matrix / np.outer(deviation, deviation)) * np.sign(pair)
    np.fill_diagonal(alike, 0.0)
    daily = math.sqrt(np.clip(pair * matrix, 0.0, None).sum())
    losses = -np.minimum(0.0, values[:, None] * moves).sum(axis=0)
    share = 1.0 - confidence
    ordered = np.sort(losses)[::-1]
    weight = len(losses) * share
    whole = int(weight + 1e-9)
    tail = (ordered[:whole].sum() + (weight - whole) * ordered[min(whole, len(losses) - 1)]) / weight
    normal = NormalDist()
    z = normal.inv_cdf(confidence)
    centred = market - market.mean()
    return {
        "alike": alike,
        "average_correlation": (np.clip(alike, 0.0, None) * np.abs(pair)).sum(),
        "volatility": daily * math.sqrt(252.0),
        "value_at_risk": max(np.quantile(losses, confidence), z * daily),
        "shortfall": max(tail, normal.pdf(z) / share * daily),
        "betas": (moves - moves.mean(axis=1, keepdims=True)) @ centred / (centred @ centred),
    }


def clusters(alike, limit):
    """Groups of names linked by a correlation above ``limit``, of two or more."""
    group = list(range(len(alike)))
    for i in range(len(alike)):
        for j in range(len(alike)):
            if alike[i, j] > limit and group[i] != group[j]:
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    found = [[i for i, g in enumerate(group) if g == name] for name in set(group)]
    return [members for members in found if len(members) > 1]
