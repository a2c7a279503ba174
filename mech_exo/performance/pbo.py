"""The probability of backtest overfitting by combinatorially symmetric cross-validation.

Bailey, Borwein, Lopez de Prado and Zhu (2017), "The Probability of Backtest Overfitting", Journal of Computational Finance 20(4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.performance.ratios import NOISE, YEAR, Floats

LARGEST = 4_000_000
"""Figures worked on at once: 32 MB each of a few arrays, however many trials there are."""


@dataclass(frozen=True, slots=True)
class Pbo:
    """What happened out of sample to the trial that was best in sample, over every symmetric split. Sharpe ratios annual."""

    probability: float
    """Share of the splits in which the best in sample was not better than the median out of sample. NaN = not measured."""
    logits: Floats
    """``(K,)`` ln(ω / (1 - ω)), ω the relative rank out of sample of the best in sample; 0 is the median."""
    in_sample: Floats
    """``(K,)`` Sharpe ratio of the chosen trial in sample."""
    out_of_sample: Floats
    """``(K,)`` and out of sample."""
    slope: float
    """Of ``out_of_sample`` on ``in_sample`` by least squares: below 0, the better it looked the worse it did."""
    probability_of_loss: float
    """Share of the splits in which the chosen trial lost out of sample."""
    blocks: int


def probability_of_backtest_overfitting(returns: Floats, blocks: int = 16) -> Pbo:
    """Choose the best of M trials on every half of the time, and see what it does in the other half.

    The sessions are cut into ``blocks`` (S) equal blocks in order; each of the C(S, S/2) choices of half of them is once the training
    and its complement the test set. The trial with the highest Sharpe ratio in training has rank r among M in the test (mean rank
    among equals), ω = r / (M + 1), logit ln(ω / (1 - ω)); the probability is the share of logits not above 0 (section 3 of the paper;
    "performance degradation" and "probability of loss" are its section 4).

    Parameters
    ----------
    returns
        ``(T, M)`` session returns of every trial over the same sessions. The oldest T mod S sessions are left out.
    blocks
        Even, 2 to 20 (184,756 splits).

    Returns
    -------
    Pbo
        NaN and empty below 2 trials, below 2 sessions a block, and where a return is NaN. A trial that stands still over a half has the
        ratio 0 there: it earned nothing.

    Raises
    ------
    InputError
        ``blocks`` is odd or outside its range, or ``returns`` is not a matrix.
    """
    if blocks % 2 or not 2 <= blocks <= 20:
        raise InputError(f"the sessions are cut into an even number of blocks, 2 to 20; blocks is {blocks}")
    if returns.ndim != 2:
        raise InputError(f"the trials' returns must be a matrix of sessions by trials; got {returns.ndim} dimensions")
    sessions, trials = returns.shape
    size = sessions // blocks
    if trials < 2 or size < 2 or not np.isfinite(returns).all():
        nothing = np.empty(0)
        return Pbo(math.nan, nothing, nothing, nothing, math.nan, math.nan, blocks)
    used = returns[sessions - size * blocks :]
    centre = used.mean(axis=0)
    parts = (used - centre).reshape(blocks, size, trials)
    sums, squares = parts.sum(axis=1), (parts**2).sum(axis=1)
    picks = _halves(blocks)
    step = max(1, LARGEST // trials)
    chosen = [_choose(picks[at : at + step], sums, squares, centre, size * blocks // 2) for at in range(0, len(picks), step)]
    trained, tested, rank = (np.concatenate(column) for column in zip(*chosen, strict=True))
    logits = np.log(rank / (trials + 1.0 - rank))
    return Pbo(
        probability=float((logits <= 0.0).mean()),
        logits=logits,
        in_sample=trained * math.sqrt(YEAR),
        out_of_sample=tested * math.sqrt(YEAR),
        slope=_slope(trained, tested),
        probability_of_loss=float((tested < 0.0).mean()),
        blocks=blocks,
    )


def _halves(blocks: int) -> Floats:
    """``(K, S)`` of 0 and 1: every choice of half the blocks."""
    picked = np.array(list(combinations(range(blocks), blocks // 2)))
    halves = np.zeros((len(picked), blocks))
    np.put_along_axis(halves, picked, 1.0, axis=1)
    return halves


def _choose(picks: Floats, sums: Floats, squares: Floats, centre: Floats, sessions: int) -> tuple[Floats, Floats, Floats]:
    """Of each split ``(k,)``: ratio in training and in test of the best in training, and its rank in the test, 1 the worst."""
    trained = _ratios(picks @ sums, picks @ squares, centre, sessions)
    tested = _ratios((1.0 - picks) @ sums, (1.0 - picks) @ squares, centre, sessions)
    best = trained.argmax(axis=1)[:, None]
    score = np.take_along_axis(tested, best, axis=1)
    rank = (tested < score).sum(axis=1) + ((tested == score).sum(axis=1) + 1.0) / 2.0
    return np.take_along_axis(trained, best, axis=1)[:, 0], score[:, 0], rank


def _ratios(sums: Floats, squares: Floats, centre: Floats, sessions: int) -> Floats:
    """``(k, M)`` Sharpe ratios per session from sums of returns less ``centre`` and of their squares."""
    mean = sums / sessions
    variance = np.maximum(squares - sums * mean, 0.0) / (sessions - 1)
    ratios: Floats = (mean + centre) / np.maximum(np.sqrt(variance), NOISE)
    return ratios


def _slope(across: Floats, up: Floats) -> float:
    spread = across - across.mean()
    total = float(spread @ spread)
    return float(spread @ (up - up.mean())) / total if total > NOISE else math.nan
