"""The probability of backtest overfitting: a matrix computed by hand, a naive second version, and its laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.performance import pbo as module
from mech_exo.performance.pbo import probability_of_backtest_overfitting
from tests.performance import naive_overfitting


def noise(seed: int, sessions: int = 320, trials: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (sessions, trials))


def test_a_matrix_computed_by_hand() -> None:
    """Trial X has block means 3, 1, 2 and -1.5, trial Y 0 in every block; a block is (mean + 1, mean - 1).

    ==========  ===========  ======  =================  =======
    train       X's mean     chosen  test, X's mean     rank
    ==========  ===========  ======  =================  =======
    1, 2        2            X       3, 4:  0.25        2 of 2
    1, 3        2.5          X       2, 4: -0.25        1
    1, 4        0.75         X       2, 3:  1.5         2
    2, 3        1.5          X       1, 4:  0.75        2
    2, 4        -0.25        Y       1, 3:  2.5         1
    3, 4        0.25         X       1, 2:  2           2
    ==========  ===========  ======  =================  =======
    """
    returns = np.array([[4, 1], [2, -1], [2, 1], [0, -1], [3, 1], [1, -1], [-0.5, 1], [-2.5, -1]])
    found = probability_of_backtest_overfitting(returns, 4)
    good, bad = math.log((2 / 3) / (1 / 3)), math.log((1 / 3) / (2 / 3))
    np.testing.assert_allclose(found.logits, [good, bad, good, good, bad, good], rtol=1e-14)
    assert found.probability == 2 / 6
    year = math.sqrt(252)
    assert found.in_sample[0] == pytest.approx(2 / math.sqrt(8 / 3) * year)  # 4, 2, 2, 0
    assert found.out_of_sample[0] == pytest.approx(0.25 / math.sqrt(16.25 / 3) * year)  # 3, 1, -0.5, -2.5
    assert (found.in_sample[4], found.out_of_sample[4]) == (0.0, 0.0)
    assert found.probability_of_loss == 1 / 6
    assert found.slope == pytest.approx(np.polyfit(found.in_sample, found.out_of_sample, 1)[0])


@given(st.integers(0, 2**32 - 1), st.integers(12, 60), st.integers(2, 6), st.sampled_from([2, 4, 6]))
def test_it_is_what_plain_loops_give(seed: int, sessions: int, trials: int, blocks: int) -> None:
    returns = noise(seed, sessions, trials)
    found = probability_of_backtest_overfitting(returns, blocks)
    probability, logits = naive_overfitting.pbo(returns, blocks)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-12)
    assert found.probability == pytest.approx(probability, abs=1e-15)


def test_pure_noise_is_a_coin() -> None:
    found = [probability_of_backtest_overfitting(noise(seed), 8).probability for seed in range(120)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_a_dominant_trial_is_no_overfitting() -> None:
    returns = noise(1)
    returns[:, 7] += 0.02
    found = probability_of_backtest_overfitting(returns)
    assert (found.probability, found.probability_of_loss, len(found.logits)) == (0.0, 0.0, 12870)
    assert (found.logits == math.log(20)).all()


def test_what_reverses_is_overfitting() -> None:
    """Each trial shines in one block and loses in the others."""
    returns = noise(2, 320, 16) - 0.01
    for block in range(16):
        returns[block * 20 : block * 20 + 20, block] += 0.15
    found = probability_of_backtest_overfitting(returns)
    assert found.probability == 1.0
    assert found.probability_of_loss == 1.0


@given(st.permutations(range(8)), st.integers(0, 1000))
def test_the_order_of_the_trials_does_not_matter(order: list[int], seed: int) -> None:
    returns = noise(seed, 80, 8)
    one, other = probability_of_backtest_overfitting(returns, 8), probability_of_backtest_overfitting(returns[:, order], 8)
    np.testing.assert_array_equal(one.logits, other.logits)


@given(st.floats(0.01, 100.0), st.integers(0, 1000))
def test_leverage_does_not_matter(scale: float, seed: int) -> None:
    returns = noise(seed, 80, 8)
    one, other = probability_of_backtest_overfitting(returns, 8), probability_of_backtest_overfitting(returns * scale, 8)
    np.testing.assert_array_equal(one.logits, other.logits)


def test_equal_trials_share_the_middle() -> None:
    returns = np.repeat(noise(4, 80, 1), 5, axis=1)
    found = probability_of_backtest_overfitting(returns, 8)
    assert (found.logits == 0.0).all()


def test_a_trial_that_never_trades_earns_nothing() -> None:
    returns = noise(5, 80, 3)
    returns[:, :2] -= 0.02
    returns[:, 2] = 0.0
    found = probability_of_backtest_overfitting(returns, 8)
    assert found.probability == 0.0
    assert (found.in_sample == 0.0).all()


def test_only_the_oldest_sessions_are_left_out() -> None:
    returns = noise(6, 83, 5)
    np.testing.assert_array_equal(
        probability_of_backtest_overfitting(returns, 8).logits, probability_of_backtest_overfitting(returns[3:], 8).logits
    )


def test_working_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = noise(7)
    whole = probability_of_backtest_overfitting(returns)
    monkeypatch.setattr(module, "LARGEST", 20 * 700)
    np.testing.assert_array_equal(whole.logits, probability_of_backtest_overfitting(returns).logits)


def test_too_little_is_unknown() -> None:
    holed = noise(8)
    holed[0, 0] = np.nan
    for returns in (noise(8, 320, 1), noise(8, 31, 5), np.empty((0, 5)), holed):
        found = probability_of_backtest_overfitting(returns)
        assert math.isnan(found.probability)
        assert len(found.logits) == 0


@pytest.mark.parametrize("blocks", [0, 3, 22, -2])
def test_blocks_are_even(blocks: int) -> None:
    with pytest.raises(InputError, match=f"even number of blocks, 2 to 20; blocks is {blocks}"):
        probability_of_backtest_overfitting(noise(1), blocks)


def test_a_vector_is_no_matrix() -> None:
    with pytest.raises(InputError, match="matrix of sessions by trials"):
        probability_of_backtest_overfitting(np.zeros(100))
