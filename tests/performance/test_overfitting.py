"""Probabilistic and deflated Sharpe ratio: the papers' worked examples, laws, and what a reader is told."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.performance.overfitting import (
    OverfittingReport,
    Track,
    deflated_sharpe,
    effective_trials,
    expected_maximum_sharpe,
    minimum_track_record,
    overfitting_report,
    probabilistic_sharpe,
    probability_above,
)
from mech_exo.performance.ratios import YEAR, sharpe

PAPER = Track(sharpe=2.5 / math.sqrt(250), sessions=1250, skewness=-3.0, excess_kurtosis=7.0)
"""The example of Bailey and Lopez de Prado (2014): five years of 250 days, annual Sharpe 2.5, kurtosis 10."""
VARIANCE = 0.5 / 250
tracks = st.builds(
    Track,
    sharpe=st.floats(-0.5, 0.5),
    sessions=st.integers(2, 5000),
    skewness=st.floats(-1.0, 1.0),
    excess_kurtosis=st.floats(0.0, 10.0),
)


def test_the_papers_deflated_sharpe() -> None:
    assert round(expected_maximum_sharpe(100, VARIANCE), 4) == 0.1132
    assert round(deflated_sharpe(PAPER, 100, VARIANCE), 4) == 0.9004
    assert round(deflated_sharpe(PAPER, 46, VARIANCE), 4) == 0.9505
    normal = dataclasses.replace(PAPER, skewness=0.0, excess_kurtosis=0.0)
    assert round(deflated_sharpe(normal, 88, VARIANCE), 4) == 0.9505


def test_the_papers_probabilistic_sharpe() -> None:
    fund = Track(sharpe=0.458, sessions=24, skewness=-2.448, excess_kurtosis=7.164)
    assert round(probability_above(fund, 0.0), 3) == 0.913
    assert round(probability_above(Track(0.458, 24, 0.0, 0.0), 0.0), 3) == 0.982


@pytest.mark.parametrize(
    ("a_year", "skewness", "kurtosis", "years"), [(252, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)]
)
def test_the_papers_minimum_track_record(a_year: int, skewness: float, kurtosis: float, years: float) -> None:
    """An annual Sharpe ratio of 2 against 1 at 95 %, by how often returns are measured."""
    track = Track(2.0 / math.sqrt(a_year), 100, skewness, kurtosis - 3.0)
    assert round(minimum_track_record(track, 1.0 / math.sqrt(a_year)) / a_year, 2) == years


def test_the_expected_best_is_the_mean_of_simulated_maxima() -> None:
    rng = np.random.default_rng(5)
    for trials, within in ((2, 0.1), (10, 0.025), (100, 0.015), (1000, 0.015)):
        simulated = np.mean([rng.normal(0.0, 0.7, (1000, trials)).max(axis=1).mean() for _ in range(20 if trials < 100 else 4)])
        assert expected_maximum_sharpe(trials, 0.49) == pytest.approx(simulated, rel=within)


def test_one_trial_is_no_choice() -> None:
    assert expected_maximum_sharpe(1, math.nan) == 0.0
    assert deflated_sharpe(PAPER, 1, math.nan) == probability_above(PAPER, 0.0)


@given(tracks, st.integers(1, 9999), st.floats(1e-6, 0.1))
def test_more_trials_never_make_it_likelier(track: Track, trials: int, variance: float) -> None:
    now, more = deflated_sharpe(track, trials, variance), deflated_sharpe(track, trials + 1, variance)
    assert 0.0 <= more <= now <= probability_above(track, 0.0) <= 1.0


@given(tracks, st.floats(-0.4, 0.4))
def test_the_minimum_track_record_is_where_the_probability_reaches_95(track: Track, threshold: float) -> None:
    needed = minimum_track_record(track, threshold)
    if track.sharpe <= threshold:
        assert math.isnan(needed)
    elif 2.0 < needed < 1e9:
        enough, short = (dataclasses.replace(track, sessions=size) for size in (math.ceil(needed), math.ceil(needed) - 1))
        assert probability_above(enough, threshold) >= 0.95 - 1e-9
        assert math.isnan(probability_above(short, threshold)) or probability_above(short, threshold) < 0.95 + 1e-9


def test_the_probabilistic_sharpe_covers_what_it_says() -> None:
    """Of many records whose true ratio is 1, about 5 % are 95 % sure that it is above 1."""
    rng = np.random.default_rng(3)
    records = rng.normal(0.01 / math.sqrt(YEAR), 0.01, (4000, 504))
    sure = np.mean([probabilistic_sharpe(record, 1.0) > 0.95 for record in records])
    assert sure == pytest.approx(0.05, abs=0.012)


def test_what_cannot_be_measured_is_nan() -> None:
    for returns in (np.empty(0), np.array([0.01]), np.full(50, 0.001), np.array([0.01, np.nan, 0.02, 0.0, 0.01])):
        assert math.isnan(probabilistic_sharpe(returns))
    assert math.isnan(expected_maximum_sharpe(5, math.nan))
    assert math.isnan(effective_trials(np.zeros((10, 1))))


def test_arguments_without_a_meaning_are_refused() -> None:
    with pytest.raises(InputError, match="at least one trial; trials is 0"):
        expected_maximum_sharpe(0, 1.0)
    with pytest.raises(InputError, match="must not be negative"):
        expected_maximum_sharpe(2, -1.0)


def test_equal_trials_are_one_and_unrelated_ones_are_many() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(0.0, 0.01, (2000, 1))
    assert effective_trials(np.repeat(one, 7, axis=1) * np.arange(1, 8)) == pytest.approx(1.0)
    unrelated = rng.normal(0.0, 0.01, (2000, 30))
    assert effective_trials(unrelated) == pytest.approx(30.0, rel=0.03)
    half = one + rng.normal(0.0, 0.01, (2000, 30))
    assert effective_trials(half) == pytest.approx(0.5 + 0.5 * 30, rel=0.1)
    pairs = np.corrcoef(half.T)[np.triu_indices(30, 1)].mean()
    assert effective_trials(half) == pytest.approx(pairs + (1 - pairs) * 30, rel=1e-12)


def sweep(good: float, trials: int = 20, sessions: int = 1000) -> tuple[np.ndarray, list[float]]:
    """A matrix of noise whose first column has the annual Sharpe ratio ``good`` (true), and everyone's annual Sharpe."""
    matrix = np.random.default_rng(11).normal(0.0, 0.01, (sessions, trials))
    matrix[:, 0] += good * 0.01 / math.sqrt(YEAR)
    return matrix, [sharpe(column) for column in matrix.T]


def test_the_report_puts_the_figures_together() -> None:
    matrix, trials = sweep(3.0)
    report = overfitting_report(matrix[:, 0], trials, matrix)
    variance = float(np.var(trials, ddof=1))
    assert report.trials == 20
    assert report.sharpe == sharpe(matrix[:, 0])
    assert report.sharpe_low < report.sharpe < report.sharpe_high
    assert report.expected_best == expected_maximum_sharpe(20, variance)
    assert report.deflated_sharpe == deflated_sharpe(Track.of(matrix[:, 0]), 20, variance / YEAR)
    assert report.deflated_sharpe > 0.9
    assert report.pbo < 0.05
    assert report.spa < 0.01
    assert report.notes == ()


def test_the_best_of_noise_is_seen_through() -> None:
    matrix, trials = sweep(0.0, trials=200)
    best = int(np.argmax(trials))
    report = overfitting_report(matrix[:, best], trials, matrix)
    assert report.probabilistic_sharpe > 0.95, "alone it looks like skill"
    assert report.deflated_sharpe < 0.7
    assert min(report.pbo, report.reality_check, report.spa) > 0.2


def words(report: OverfittingReport) -> str:
    return " ".join(report.notes)


def test_the_report_says_what_it_could_not_measure() -> None:
    matrix, trials = sweep(3.0)
    alone = overfitting_report(matrix[:, 0], trials)
    assert math.isnan(alone.pbo)
    assert "No sweep" in words(alone)
    only = overfitting_report(matrix[:, 0], trials[:1])
    assert only.deflated_sharpe == only.probabilistic_sharpe
    assert "One trial is counted" in words(only)
    unknown = overfitting_report(matrix[:, 0], [trials[0], math.nan, math.nan])
    assert (unknown.trials, math.isnan(unknown.deflated_sharpe)) == (3, True)
    assert "3 trials are counted and 1 of their Sharpe ratios known" in words(unknown)
    losing = overfitting_report(-matrix[:, 0], trials)
    assert math.isnan(losing.minimum_track_record)
    assert "not above 0" in words(losing)
    short = overfitting_report(matrix[:20, 0], trials, matrix[:20])
    assert math.isnan(short.pbo)
    assert "too few for 16 blocks" in words(short)
    holed = matrix.copy()
    holed[3, 4] = np.nan
    assert "1 of the sweep's 20 trials hold an unknown return" in words(overfitting_report(matrix[:, 0], trials, holed))
    still = overfitting_report(np.zeros(100), trials)
    assert "no spread at all" in words(still)


def test_trials_that_resemble_each_other_are_told_but_all_counted() -> None:
    rng = np.random.default_rng(2)
    matrix = rng.normal(0.0006, 0.01, (1000, 1)) + rng.normal(0.0, 0.002, (1000, 40))
    trials = [sharpe(column) for column in matrix.T]
    report = overfitting_report(matrix[:, 0], trials, matrix)
    assert report.expected_best == expected_maximum_sharpe(40, float(np.var(trials, ddof=1)))
    assert "amount to about 2 independent ones" in words(report)
