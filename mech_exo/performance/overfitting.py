"""How much of a Sharpe ratio is luck: its own uncertainty, and the luck of having been picked among many trials.

Formulas take Sharpe ratios *per session* in a :class:`Track`, as the papers do; what a reader sees is annual and says so. NaN rule of
every function here: what cannot be measured (too few sessions, an unknown return, no spread) is NaN, nothing raises and nothing
becomes 0. An argument that has no meaning (no trial at all, a negative variance) is an InputError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.performance.bootstrap import Snooping, data_snooping, reality_check, spa
from mech_exo.performance.pbo import Pbo, probability_of_backtest_overfitting
from mech_exo.performance.ratios import YEAR, Floats, excess_kurtosis, session_rate, sharpe, sharpe_standard_error, skewness

__all__ = [
    "OverfittingReport", "Pbo", "Snooping", "Track", "data_snooping", "deflated_sharpe", "effective_trials", "expected_best",
    "expected_maximum_sharpe", "minimum_track_record", "overfitting_report", "probabilistic_sharpe", "probability_above",
    "probability_of_backtest_overfitting", "reality_check", "spa",
]  # fmt: skip

EULER_MASCHERONI = 0.5772156649015329
NORMAL = NormalDist()
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Track:
    """What the formulas need of a track record. ``sharpe`` is per session: the annual one / sqrt(252)."""

    sharpe: float
    sessions: int
    skewness: float
    excess_kurtosis: float

    @classmethod
    def of(cls, returns: Floats, risk_free: float = 0.0) -> Self:
        """The track record of ``(T,)`` session returns over an annual ``risk_free`` rate."""
        ratio = sharpe(returns, risk_free) / math.sqrt(YEAR)
        return cls(ratio, len(returns), skewness(returns), excess_kurtosis(returns))

    @property
    def spread(self) -> float:
        """sqrt(1 - γ3 SR + (γ4 - 1) / 4 SR²), the standard error of the ratio × sqrt(T - 1); γ4 is the kurtosis, 3 for a normal one.

        Bailey and Lopez de Prado (2012), "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2), eq. 8 (after Mertens 2002).
        """
        inner = 1.0 - self.skewness * self.sharpe + (self.excess_kurtosis + 2.0) / 4.0 * self.sharpe**2
        return math.sqrt(inner) if inner > 0.0 else math.nan


def probability_above(track: Track, threshold: float) -> float:
    """Probability that the true Sharpe ratio is above ``threshold`` (per session): Φ((SR - SR*) sqrt(T - 1) / spread).

    The probabilistic Sharpe ratio, Bailey and Lopez de Prado (2012), eq. 11. NaN below 2 sessions or where a moment is unknown.
    """
    if track.sessions < 2:
        return math.nan
    score = (track.sharpe - threshold) * math.sqrt(track.sessions - 1) / track.spread
    return NORMAL.cdf(score) if math.isfinite(score) else math.nan


def probabilistic_sharpe(returns: Floats, threshold_ann: float = 0.0, risk_free: float = 0.0) -> float:
    """Probability that the true annual Sharpe ratio of ``(T,)`` session returns is above ``threshold_ann``.

    :func:`probability_above` with its moments measured. NaN below 4 sessions (the kurtosis needs them), with a NaN, without spread.
    """
    return probability_above(Track.of(returns, risk_free), threshold_ann / math.sqrt(YEAR))


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """Sharpe ratio the best of ``trials`` independent worthless strategies is expected to show, in the unit of sqrt(``variance``).

    sqrt(V) × ((1 - γ) Φ⁻¹(1 - 1/N) + γ Φ⁻¹(1 - 1/(N e))), V the variance of the trials' Sharpe ratios and γ Euler's constant: the
    false strategy theorem. Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5), eq. 1
    with mean 0. It approximates: 8 % low for 2 trials, within 2 % from 10 on. One trial is no choice: 0 exactly. NaN where ``variance``
    is, unless there is one trial.

    Raises
    ------
    InputError
        ``trials`` below 1, or ``variance`` below 0.
    """
    if trials < 1:
        raise InputError(f"a Sharpe ratio is the result of at least one trial; trials is {trials}")
    if variance < 0.0:
        raise InputError(f"a variance must not be negative; the variance of the trials' Sharpe ratios is {variance:g}")
    if trials == 1:
        return 0.0
    common, rare = (NORMAL.inv_cdf(1.0 - 1.0 / size) for size in (trials, trials * math.e))
    return math.sqrt(variance) * ((1.0 - EULER_MASCHERONI) * common + EULER_MASCHERONI * rare)


def expected_best(trials: Sequence[float]) -> float:
    """Annual Sharpe ratio the best of ``trials`` would show if all were worthless; of each its annual Sharpe ratio, NaN unknown.

    :func:`expected_maximum_sharpe`: every trial counts, the known ones give the variance. NaN where fewer than 2 of several are known.
    """
    return expected_maximum_sharpe(len(trials), _variance(trials))


def _variance(trials: Sequence[float]) -> float:
    known = np.array([value for value in trials if math.isfinite(value)])
    return float(known.var(ddof=1)) if len(known) > 1 else math.nan


def deflated_sharpe(track: Track, trials: int, variance: float) -> float:
    """Probability that the true Sharpe ratio is above what the best of ``trials`` worthless strategies would show.

    :func:`probability_above` with :func:`expected_maximum_sharpe` as threshold; ``variance`` of the trials' Sharpe ratios *per session*
    (the annual one / 252). Bailey and Lopez de Prado (2014), eq. 2. With one trial it is the probabilistic Sharpe ratio.
    """
    return probability_above(track, expected_maximum_sharpe(trials, variance))


def minimum_track_record(track: Track, threshold: float = 0.0, confidence: float = CONFIDENCE) -> float:
    """Sessions needed for ``confidence`` that the true Sharpe ratio is above ``threshold`` (per session), if it goes on as it did.

    1 + spread² × (Φ⁻¹(confidence) / (SR - SR*))², Bailey and Lopez de Prado (2012), eq. 13. NaN where SR is not above the threshold
    (no length would do) or by so little that no length can be counted.
    """
    ahead = track.sharpe - threshold
    if not ahead > 0.0:
        return math.nan
    needed = track.spread * NORMAL.inv_cdf(confidence) / ahead
    sessions = 1.0 + needed * needed  # ** would raise where this is infinite
    return sessions if math.isfinite(sessions) else math.nan


def effective_trials(matrix: Floats) -> float:
    """How many independent trials the ``(T, M)`` returns of M trials amount to: ρ + (1 - ρ) M, ρ their average correlation.

    Bailey and Lopez de Prado (2014), appendix A.3: an interpolation between M equal trials (1) and M unrelated ones (M), not an
    estimate of a distribution; at least 1, at most M. Columns without spread are left out. NaN without two columns or with a NaN.
    """
    centred = matrix - matrix.mean(axis=0) if len(matrix) else matrix
    length = np.sqrt((centred**2).sum(axis=0))
    moving = length > 0.0
    count = int(moving.sum())
    if count < 2 or not np.isfinite(length).all():
        return math.nan
    together = float(((centred[:, moving] / length[moving]).sum(axis=1) ** 2).sum())
    correlation = max(0.0, (together - count) / (count * (count - 1)))
    return correlation + (1.0 - correlation) * count


@dataclass(frozen=True, slots=True)
class OverfittingReport:
    """What is left of a result once its luck is counted. Sharpe ratios annual (252 sessions), probabilities and p-values fractions.

    NaN = could not be measured; ``notes`` says why, in sentences for a reader.
    """

    trials: int
    """Counted in the ledger, this run among them."""
    sharpe: float
    """Annual."""
    sharpe_low: float
    """Lower end of the 95 % interval (Lo 2002)."""
    sharpe_high: float
    """Upper end."""
    probabilistic_sharpe: float
    """Probability that the true Sharpe ratio is above 0."""
    expected_best: float
    """Annual Sharpe ratio the best of ``trials`` worthless strategies would show."""
    deflated_sharpe: float
    """Probability that the true Sharpe ratio is above ``expected_best``."""
    minimum_track_record: float
    """Sessions needed for 95 % confidence that the true Sharpe ratio is above 0; NaN = never."""
    pbo: float
    """Probability that the sweep's best falls below its median out of sample; NaN without a sweep."""
    reality_check: float
    """p-value of White's reality check; NaN without a sweep."""
    spa: float
    """p-value of Hansen's test for superior predictive ability; NaN without a sweep."""
    notes: tuple[str, ...]
    """What could not be measured and why."""


def overfitting_report(
    returns: Floats,
    trials: Sequence[float],
    matrix: Floats | None = None,
    *,
    risk_free: float = 0.0,
    blocks: int = 16,
    draws: int = 1000,
    seed: int = 0,
) -> OverfittingReport:
    """Measure the luck in ``(T,)`` session ``returns``.

    Parameters
    ----------
    trials
        Annual Sharpe ratio of every counted trial, this run among them, NaN where unknown: each counts, the known ones give the variance.
    matrix
        ``(T, M)`` session returns of the sweep the run was chosen from; None where there was no sweep. Columns with a NaN are left out.
    risk_free
        Annual rate taken off every return.
    blocks, draws, seed
        Of :func:`probability_of_backtest_overfitting` and :func:`data_snooping`.
    """
    count, known, variance = max(1, len(trials)), sum(map(math.isfinite, trials)), _variance(trials)
    track = Track.of(returns, risk_free)
    error = 1.96 * sharpe_standard_error(returns, risk_free)
    ratio = track.sharpe * math.sqrt(YEAR)
    notes = [*_about_track(track), *_about_trials(count, known)]
    pbo = snooping = None
    if matrix is None:
        notes.append("No sweep belongs to this run, so there is no probability of backtest overfitting, reality check or SPA.")
    else:
        usable = matrix[:, np.isfinite(matrix).all(axis=0)]
        left_out = matrix.shape[1] - usable.shape[1]
        if left_out:
            notes.append(f"{left_out} of the sweep's {matrix.shape[1]} trials hold an unknown return and are left out of its figures.")
        excess = usable - session_rate(risk_free)
        pbo = probability_of_backtest_overfitting(excess, blocks)
        snooping = data_snooping(excess, draws=draws, seed=seed)
        notes += _about_sweep(track, usable, pbo, count, variance)
    return OverfittingReport(
        trials=count,
        sharpe=ratio,
        sharpe_low=ratio - error,
        sharpe_high=ratio + error,
        probabilistic_sharpe=probability_above(track, 0.0),
        expected_best=expected_maximum_sharpe(count, variance),
        deflated_sharpe=deflated_sharpe(track, count, variance / YEAR),
        minimum_track_record=minimum_track_record(track),
        pbo=math.nan if pbo is None else pbo.probability,
        reality_check=math.nan if snooping is None else snooping.reality_check,
        spa=math.nan if snooping is None else snooping.spa,
        notes=tuple(notes),
    )


def _about_track(track: Track) -> list[str]:
    if not math.isfinite(track.sharpe):
        return [f"The Sharpe ratio of {track.sessions} sessions is unknown: too few of them, an unknown return, or no spread at all."]
    if track.sharpe <= 0.0:
        return ["The Sharpe ratio is not above 0: no track record, however long, would show that the true one is."]
    return []


def _about_trials(count: int, known: int) -> list[str]:
    if count == 1:
        return ["One trial is counted: nothing was chosen, nothing is deflated. Looks at history the ledger never saw are not in this."]
    if known < 2:
        return [f"{count} trials are counted and {known} of their Sharpe ratios known: without a variance there is nothing to deflate by."]
    if known < count:
        return [f"{count - known} of {count} trials have no Sharpe ratio: they count, their spread is that of the other {known}."]
    return []


def _about_sweep(track: Track, matrix: Floats, pbo: Pbo, count: int, variance: float) -> list[str]:
    if not math.isfinite(pbo.probability):
        size = f"{matrix.shape[1]} trials over {len(matrix)} sessions"
        return [f"The sweep's {size} are too few for {pbo.blocks} blocks: no probability of backtest overfitting."]
    independent = effective_trials(matrix)
    if not math.isfinite(independent) or matrix.shape[1] > count:
        return []
    fewer = max(1, round(count - matrix.shape[1] + independent))
    value = deflated_sharpe(track, fewer, variance / YEAR)
    if fewer == count or not math.isfinite(value):
        return []
    alike = f"The sweep's {matrix.shape[1]} trials resemble each other and amount to about {independent:.0f} independent ones; "
    return [alike + f"at {fewer} trials in all the deflated Sharpe ratio would be {value:.3f}. The figure shown counts every trial."]
