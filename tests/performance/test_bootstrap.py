"""Reality check and SPA: a naive second version on the same resamples, their size under the null, and their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.performance.bootstrap import (
    autocovariances,
    block_length,
    data_snooping,
    long_run_deviation,
    reality_check,
    resampled_means,
    spa,
    stationary_rows,
)
from tests.performance import naive_overfitting


def noise(seed: int, sessions: int = 300, trials: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (sessions, trials))


def autoregressive(seed: int, sessions: int, trials: int, persistence: float) -> np.ndarray:
    shocks = noise(seed, sessions, trials)
    for t in range(1, sessions):
        shocks[t] += persistence * shocks[t - 1]
    return shocks


@given(st.integers(0, 2**32 - 1), st.integers(20, 60), st.integers(2, 5), st.floats(1.0, 8.0))
def test_they_are_what_plain_loops_give(seed: int, sessions: int, trials: int, block: float) -> None:
    returns = noise(seed, sessions, trials) + np.linspace(-0.004, 0.004, trials)
    found = data_snooping(returns, draws=40, block=block, seed=9)
    rows = stationary_rows(sessions, block, 40, np.random.Generator(np.random.PCG64(9)))
    expected = naive_overfitting.snooping(returns, rows, block)
    assert (found.reality_check, found.spa, found.spa_lower, found.spa_upper) == pytest.approx(expected, abs=1e-12)


def test_it_agrees_with_the_arch_package() -> None:
    """arch 8.0.0, SPA(zeros, -returns, block_size=5, reps=20000, seed=1): its "upper" p-value is not studentised, so it is White's."""
    returns = autoregressive(42, 500, 12, 0.3) + np.linspace(-0.0005, 0.0012, 12)
    np.testing.assert_allclose(long_run_deviation(returns, 5.0)[:3], [0.01279487, 0.01371501, 0.01468998], atol=5e-9)
    assert data_snooping(returns, block=5.0, draws=20_000).reality_check == pytest.approx(0.30275, abs=0.012)


@given(st.integers(0, 2**32 - 1), st.integers(17, 120), st.floats(-0.3, 0.9))
def test_the_block_length_is_what_plain_loops_give(seed: int, sessions: int, persistence: float) -> None:
    returns = autoregressive(seed, sessions, 3, persistence)
    expected = np.median([naive_overfitting.block_length(column.tolist()) for column in returns.T])
    assert block_length(returns) == pytest.approx(expected, rel=1e-8)


def test_autocovariances_and_deviation_are_what_plain_loops_give() -> None:
    returns = autoregressive(3, 50, 2, 0.5)
    for column in range(2):
        values = returns[:, column].tolist()
        expected = [naive_overfitting.autocovariance(values, lag) for lag in range(50)]
        np.testing.assert_allclose(autocovariances(returns)[:, column], expected, atol=1e-18)
        assert long_run_deviation(returns, 4.0)[column] == pytest.approx(naive_overfitting.long_run_deviation(values, 4.0))


def test_the_stated_deviation_is_that_of_the_resampled_means() -> None:
    returns = autoregressive(4, 200, 3, 0.6)
    means = resampled_means(returns, 6.0, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(means.std(axis=0) * math.sqrt(200), long_run_deviation(returns, 6.0), rtol=0.02)
    np.testing.assert_allclose(means.mean(axis=0), returns.mean(axis=0), atol=3e-5)


def test_blocks_have_the_length_asked_for_and_every_row_the_same_chance() -> None:
    rows = stationary_rows(100, 5.0, 4000, np.random.default_rng(1))
    follows = (rows[:, 1:] - rows[:, :-1]) % 100 == 1
    assert 1.0 / (1.0 - follows.mean()) == pytest.approx(5.0, rel=0.06)  # one random start in 100 also follows
    assert np.bincount(rows.ravel(), minlength=100) / 4000 == pytest.approx(np.ones(100), abs=0.12)
    endless = stationary_rows(100, 1e9, 5, np.random.default_rng(1))
    assert (endless == (endless[:, :1] + np.arange(100)) % 100).all(), "one block without an end is the record itself, begun somewhere"


def test_dependence_makes_blocks_longer() -> None:
    lengths = [block_length(autoregressive(5, 2000, 5, persistence)) for persistence in (0.0, 0.3, 0.6, 0.9)]
    assert lengths == sorted(lengths)
    assert lengths[0] < 3.0
    assert lengths[3] > 20.0


@given(st.integers(0, 1000), st.integers(20, 120), st.integers(1, 12))
def test_the_three_nulls_are_in_order(seed: int, sessions: int, trials: int) -> None:
    found = data_snooping(noise(seed, sessions, trials), draws=60, seed=seed)
    assert 0.0 < found.spa_lower <= found.spa <= found.spa_upper <= 1.0


def test_under_the_null_small_values_are_as_rare_as_they_say() -> None:
    """Each trial exactly as good as the benchmark: the upper null is the truth."""
    found = [data_snooping(noise(seed, 250, 8), draws=199, block=1.0) for seed in range(300)]
    for name in ("reality_check", "spa", "spa_upper"):
        values = np.array([getattr(one, name) for one in found])
        assert (values <= 0.1).mean() == pytest.approx(0.1, abs=0.05), name
        assert (values <= 0.5).mean() == pytest.approx(0.5, abs=0.1), name


def test_one_that_is_truly_better_is_found() -> None:
    returns = noise(1)
    returns[:, 3] += 0.003
    found = data_snooping(returns)
    assert found.reality_check <= 0.002
    assert found.spa <= 0.002
    assert found.best == 3


def test_a_wild_worthless_trial_blinds_the_reality_check_but_not_the_spa() -> None:
    """Hansen's reason for studentising and for taking hopeless trials out."""
    returns = noise(2, 500, 6)
    returns[:, 0] += 0.002
    wild = np.random.default_rng(3).normal(-0.02, 0.2, (500, 4))
    found = data_snooping(np.hstack([returns, wild]))
    assert found.spa < 0.01
    assert found.reality_check > 0.2


def test_all_worse_than_the_benchmark_is_never_significant() -> None:
    found = data_snooping(noise(4) - 0.01)
    assert (found.reality_check, found.spa, found.spa_upper) == (1.0, 1.0, 1.0)


def test_the_benchmark_is_what_is_to_be_beaten() -> None:
    market = np.random.default_rng(5).normal(0.003, 0.01, 300)
    followers = market[:, None] + noise(6) * 0.1
    assert spa(followers) < 0.01
    assert spa(followers, market) > 0.1
    assert reality_check(followers, market) > 0.1


def test_the_seed_decides() -> None:
    returns = noise(7)
    assert data_snooping(returns, seed=1) == data_snooping(returns, seed=1)
    assert data_snooping(returns, seed=1) != data_snooping(returns, seed=2)


def test_a_trial_that_stands_still_takes_no_part() -> None:
    returns = noise(8)
    returns[:, 1] += 0.002
    with_idle = np.insert(returns, 0, 0.0, axis=1)
    one, other = data_snooping(returns, block=2.0), data_snooping(with_idle, block=2.0)
    assert (one.spa, one.reality_check, one.best + 1) == (other.spa, other.reality_check, other.best)


def test_too_little_is_unknown() -> None:
    holed = noise(9)
    holed[5, 2] = np.nan
    for returns in (noise(9, 15), np.zeros((100, 3)), holed, np.empty((0, 3))):
        found = data_snooping(returns)
        assert math.isnan(found.spa)
        assert (found.best, math.isnan(found.reality_check)) == (-1, True)


def test_arguments_without_a_meaning_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 draw"):
        data_snooping(noise(1), draws=0)
    with pytest.raises(InputError, match=r"block is 0\.5"):
        data_snooping(noise(1), block=0.5)
    with pytest.raises(InputError, match="block is nan"):
        data_snooping(noise(1), block=math.nan)
    with pytest.raises(InputError, match="one return for each session"):
        data_snooping(noise(1), np.zeros(5))
