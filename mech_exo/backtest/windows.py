"""Which sessions choose and which judge: the windows of a walk-forward and the splits of a cross-validation, as row ranges."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import comb

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.kernels.records import Ints

Rows = tuple[int, int]
"""Rows of the panel, half-open."""
SHORTEST = 2
"""Sessions a part needs to have any return of its own."""


@dataclass(frozen=True, slots=True)
class Window:
    """One step: the rows the objective sees, and the rows that judge what it chose."""

    train: Rows
    test: Rows


@dataclass(frozen=True, slots=True)
class Lengths:
    """Sessions of the parts of a walk-forward; see :class:`mech_exo.backtest.walk_forward.WalkForwardEvaluator`.

    Raises InputError for a length that is not a whole number in its range.
    """

    train: int = 756
    test: int = 252
    step: int | None = None
    embargo: int = 0
    purge: int = 0
    anchored: bool = False

    def __post_init__(self) -> None:
        whole("train", self.train, SHORTEST)
        whole("test", self.test, 1)
        whole("embargo", self.embargo, 0)
        whole("purge", self.purge, 0)
        if self.step is not None:
            whole("step", self.step, self.test, why=", else sessions would be judged twice")
        if self.train - self.purge < SHORTEST:
            raise InputError(
                f"the purge must leave at least {SHORTEST} sessions of the training part; got train {self.train}, purge {self.purge}"
            )

    def windows(self, first: int, last: int) -> tuple[Window, ...]:
        """The windows of rows ``[first, last)``; the last test part may be shorter. Raises InputError when not even one fits."""
        found = []
        begin = first
        while begin + self.train + self.embargo < last:
            edge = begin + self.train
            judged = edge + self.embargo
            found.append(Window((first if self.anchored else begin, edge - self.purge), (judged, min(judged + self.test, last))))
            begin += self.step or self.test
        if not found:
            raise InputError(
                f"the period must hold a training part and more: over {self.train + self.embargo} sessions; it has {last - first}",
                remedy="a longer period, or a shorter train",
            )
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Split:
    """One way to divide the groups: the numbers of those that judge, and the blocks of rows that choose."""

    test: tuple[int, ...]
    train: tuple[Rows, ...]


@dataclass(frozen=True, slots=True)
class Groups:
    """Combinatorial purged cross-validation of ``count`` groups, ``test`` of them judging at a time.

    López de Prado (2018), "Advances in Financial Machine Learning", ch. 12: C(N, k) splits, φ = k / N × C(N, k) paths.
    """

    count: int = 6
    test: int = 2
    purge: int = 0
    embargo: int = 0

    def __post_init__(self) -> None:
        whole("groups", self.count, 2, "groups")
        whole("test_groups", self.test, 1, "groups")
        whole("purge", self.purge, 0)
        whole("embargo", self.embargo, 0)
        if self.test >= self.count:
            raise InputError(f"at least one group must be left to train on; got {self.test} test groups of {self.count}")

    @property
    def paths(self) -> int:
        """φ = k / N × C(N, k) = C(N - 1, k - 1)."""
        return comb(self.count - 1, self.test - 1)

    def bounds(self, first: int, last: int) -> tuple[Rows, ...]:
        """Rows ``[first, last)`` in ``count`` neighbouring groups, the first ones a session longer where they cannot be equal.

        Raises InputError when a group between two test groups would not survive purge and embargo.
        """
        least = SHORTEST + self.purge + self.embargo
        if (last - first) // self.count < least:
            raise InputError(
                f"a group must hold at least {least} sessions (purge + embargo + {SHORTEST}); "
                f"{last - first} sessions make {self.count} groups of {(last - first) // self.count}",
                remedy="fewer groups, or a longer period",
            )
        parts = np.array_split(np.arange(first, last), self.count)
        return tuple((int(part[0]), int(part[-1]) + 1) for part in parts)

    def splits(self, bounds: tuple[Rows, ...]) -> tuple[Split, ...]:
        """All C(N, k) of them, in lexical order of their test groups."""
        numbers = range(self.count)
        return tuple(Split(test, self._training(bounds, frozenset(test))) for test in itertools.combinations(numbers, self.test))

    def _training(self, bounds: tuple[Rows, ...], test: frozenset[int]) -> tuple[Rows, ...]:
        blocks = []
        for judging, run in itertools.groupby(range(self.count), key=test.__contains__):
            if judging:
                continue
            members = list(run)
            begin = bounds[members[0]][0] + (self.embargo if members[0] > 0 else 0)
            end = bounds[members[-1]][1] - (self.purge if members[-1] < self.count - 1 else 0)
            blocks.append((begin, end))
        return tuple(blocks)

    def assignment(self, splits: tuple[Split, ...]) -> Ints:
        """``(φ, N)``: path j takes group g from the j-th split that judges g, so that every test part stands in exactly one path."""
        table = np.empty((self.paths, self.count), np.int64)
        for group in range(self.count):
            table[:, group] = [number for number, split in enumerate(splits) if group in split.test]
        return table


def whole(name: str, value: object, least: int, what: str = "sessions", why: str = "") -> None:
    """Raise InputError unless ``value`` is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of {what}, at least {least}{why}; got {value}")
