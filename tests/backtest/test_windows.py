"""Which rows choose and which judge: hand-made cases, and the laws that hold for all lengths."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.backtest.windows import Groups, Lengths, Split, Window
from mech_exo.domain.errors import InputError


def test_windows_by_hand() -> None:
    lengths = Lengths(train=10, test=4, embargo=2, purge=3)
    assert lengths.windows(100, 121) == (Window((100, 107), (112, 116)), Window((104, 111), (116, 120)), Window((108, 115), (120, 121)))
    anchored = Lengths(train=10, test=4, step=6, embargo=2, purge=3, anchored=True)
    assert anchored.windows(100, 121) == (Window((100, 107), (112, 116)), Window((100, 113), (118, 121)))


@given(st.integers(0, 20), st.integers(2, 30), st.integers(1, 12), st.integers(0, 6), st.integers(0, 6), st.integers(1, 120), st.booleans())
def test_every_session_after_the_first_training_is_judged_once_and_later_than_it_taught(first, train, test, embargo, purge, length, anchored) -> None:
    if train - purge < 2 or length <= train + embargo:
        with pytest.raises(InputError):
            Lengths(train, test, None, embargo, purge, anchored).windows(first, first + length)
        return
    windows = Lengths(train, test, None, embargo, purge, anchored).windows(first, first + length)
    judged = [row for window in windows for row in range(*window.test)]
    assert judged == list(range(first + train + embargo, first + length))
    for window in windows:
        assert window.train[1] + purge + embargo == window.test[0] and window.train[1] - window.train[0] >= 2
        assert window.train[0] >= first and (not anchored or window.train[0] == first)


def test_splits_and_paths_by_hand() -> None:
    groups = Groups(4, 2, purge=2, embargo=3)
    bounds = groups.bounds(0, 40)
    assert bounds == ((0, 10), (10, 20), (20, 30), (30, 40))
    splits = groups.splits(bounds)
    assert splits == (
        Split((0, 1), ((23, 40),)),
        Split((0, 2), ((13, 18), (33, 40))),
        Split((0, 3), ((13, 28),)),
        Split((1, 2), ((0, 8), (33, 40))),
        Split((1, 3), ((0, 8), (23, 28))),
        Split((2, 3), ((0, 18),)),
    )
    assert groups.assignment(splits).tolist() == [[0, 0, 1, 2], [1, 3, 3, 4], [2, 4, 5, 5]]


def test_the_books_example_has_fifteen_splits_and_five_paths() -> None:
    """López de Prado (2018), ch. 12.3: N = 6, k = 2."""
    groups = Groups(6, 2)
    splits = groups.splits(groups.bounds(0, 600))
    assert (len(splits), groups.paths) == (15, 5)


@given(st.integers(2, 8), st.integers(1, 7), st.integers(0, 4), st.integers(0, 4), st.integers(0, 50), st.integers(0, 60))
def test_no_training_row_is_in_a_test_group_or_its_margins(count, test, purge, embargo, first, more) -> None:
    if test >= count:
        with pytest.raises(InputError, match="left to train on"):
            Groups(count, test)
        return
    groups = Groups(count, test, purge, embargo)
    bounds = groups.bounds(first, first + count * (2 + purge + embargo) + more)
    splits = groups.splits(bounds)
    assert [bound[1] for bound in bounds[:-1]] == [bound[0] for bound in bounds[1:]]
    assert max(b - a for a, b in bounds) - min(b - a for a, b in bounds) <= 1
    for split in splits:
        taught = [row for block in split.train for row in range(*block)]
        forbidden = {row for group in split.test for row in range(bounds[group][0] - purge, bounds[group][1] + embargo)}
        assert taught == [row for row in range(bounds[0][0], bounds[-1][1]) if row not in forbidden]
    table = groups.assignment(splits)
    assert len(splits) == comb(count, test)
    assert table.shape == (comb(count, test) * test // count, count)
    used = [(int(number), group) for path in table for group, number in enumerate(path)]
    assert sorted(used) == sorted((number, group) for number, split in enumerate(splits) for group in split.test)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"count": 1}, "groups must be"), ({"test": 0}, "test_groups must be"), ({"purge": -1}, "purge must be"), ({"embargo": 1.5}, "embargo must be")],
)  # fmt: skip
def test_counts_are_checked(arguments, message) -> None:
    with pytest.raises(InputError, match=message):
        Groups(**({"count": 6, "test": 2} | arguments))


def test_groups_must_survive_their_margins() -> None:
    with pytest.raises(InputError, match="at least 9 sessions"):
        Groups(4, 2, purge=3, embargo=4).bounds(0, 35)
