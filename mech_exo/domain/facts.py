"""What is known of companies beside their bars: figures from filings, headlines, ratings, laid out on a panel's sessions.

Such facts change seldom. They are kept as their changes and worked out where a row is looked at: ten years of a market cost a few
megabytes, and a night reads one row of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NEWS_TONE, NEWS_COUNT = "news_tone", "news_count"
"""Sum of the sentiments, and number, of the judged headlines of a session; NaN where there was none."""
BLOCK = 64
"""Rows worked out at a time: what lies between two steps of a formula stays in the processor's cache."""


class Cells(Protocol):
    """A ``(T, N)`` float64 array, or what acts as one when it is indexed: ``cells[rows]``, ``cells[t, j]``, ``np.asarray(cells)``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(T, N)``."""
        ...

    def __getitem__(self, index: Any) -> Any:
        """The cells that a NumPy index picks, float64."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Steps:
    """Cells that change seldom.

    Parameters
    ----------
    values
        ``(V,)`` what is said; the last one is NaN.
    at
        ``(T, N)`` int32 which of ``values`` holds in each cell; -1: unknown.
    """

    values: Floats
    at: NDArray[np.int32]

    @classmethod
    def of(cls, values: Floats, at: NDArray[np.int32]) -> Steps:
        """``values`` without the NaN at their end."""
        return cls(np.append(values, np.nan), at)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(T, N)``."""
        return self.at.shape

    def __getitem__(self, index: Any) -> Any:
        """The cells that ``index`` picks."""
        return self.values[self.at[index]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Floats:
        """Every cell."""
        return np.asarray(self[:], dtype)

    def part(self, index: Any) -> Steps:
        """The cells that ``index`` picks, still as steps."""
        return Steps(self.values, self.at[index])


@dataclass(frozen=True, eq=False, slots=True)
class Formula:
    """Cells worked out where they are looked at: ``function`` of the same cells of ``parts``, element by element; a module's own function,
    so that it can travel to another process."""

    function: Callable[..., Floats]
    parts: tuple[Cells, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """``(T, N)``."""
        return self.parts[0].shape

    def __getitem__(self, index: Any) -> Any:
        """The cells that ``index`` picks."""
        return self.function(*(part[index] for part in self.parts))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Floats:
        """Every cell."""
        return np.asarray(rows_of(self, np.arange(self.shape[0])), dtype)

    def part(self, index: Any) -> Formula:
        """The cells that ``index`` picks, still to be worked out."""
        return Formula(self.function, tuple(_part(part, index) for part in self.parts))


def _part(cells: Cells, index: Any) -> Cells:
    if isinstance(cells, Steps | Formula):
        return cells.part(index)
    part: Cells = cells[index]
    return part


def rows_of(cells: Cells, rows: NDArray[np.int64]) -> Floats:
    """``(K, N)`` the ``rows`` ``(K,)`` of ``cells``, a block at a time."""
    out = np.empty((len(rows), *cells.shape[1:]))
    for begin in range(0, len(rows), BLOCK):
        out[begin : begin + BLOCK] = cells[rows[begin : begin + BLOCK]]
    return out


@dataclass(frozen=True, eq=False)
class Facts:
    """Named ``(T, N)`` arrays: row ``t`` is what was known at that session's close, NaN = unknown.

    Parameters
    ----------
    known
        Cells by input name, e.g. ``pe_ratio`` (names and units: docs/fundamentals.md), arrays read-only.
    absent
        Of inputs that were asked for and for which the store holds nothing at all: the reason, by name.
    """

    known: Mapping[str, Cells] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for values in self.known.values():
            if isinstance(values, np.ndarray):
                values.flags.writeable = False

    def at(self, index: Any) -> Facts:
        """The cells that ``index`` picks of every array."""
        return Facts({name: _part(values, index) for name, values in self.known.items()}, self.absent)

    def only(self, names: Iterable[str]) -> Facts:
        """Those of ``names`` alone."""
        chosen = frozenset(names)
        known = {name: cells for name, cells in self.known.items() if name in chosen}
        return Facts(known, {name: reason for name, reason in self.absent.items() if name in chosen})

    def why_absent(self, name: str) -> str | None:
        """Why ``name`` has no array, None where it has one."""
        return None if name in self.known else self.absent.get(name, "nothing here tells it")

    def data_hash(self) -> str:
        """Hash of what the cells are made from (64 bits, hex), beside the bars, which have their own; of steps only the changes are read.

        What is wholly unknown does not count: rows up to ``t`` have one hash, whatever is laid out after them, and a fact of which nothing
        was known yet is as one that is absent.
        """
        digest, seen = hashlib.sha256(), _Seen()
        for name, cells in sorted(self.known.items()):
            told = b"".join(seen.hash_of(leaf) for leaf in _leaves(cells))
            digest.update(name.encode() + told if told else b"")
        return digest.hexdigest()[:16]


def _leaves(cells: Cells) -> Iterator[Cells]:
    """What ``cells`` are made from: themselves, or the steps in their formula."""
    if isinstance(cells, Formula):
        for part in cells.parts:
            if isinstance(part, Steps | Formula):
                yield from _leaves(part)
    else:
        yield cells


class _Seen:
    """Hashes of arrays, each worked out once however many facts are made from it; empty for what is wholly unknown."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[Any, ...], bytes] = {}
        self._changes: dict[tuple[Any, ...], tuple[NDArray[np.int32], bytes]] = {}

    def hash_of(self, cells: Cells) -> bytes:
        key = (*_place(cells.at), *_place(cells.values)) if isinstance(cells, Steps) else _place(np.asarray(cells))
        if key not in self._hashes:
            self._hashes[key] = self._of_steps(cells) if isinstance(cells, Steps) else _told(np.asarray(cells))
        return self._hashes[key]

    def _of_steps(self, steps: Steps) -> bytes:
        key = _place(steps.at)
        if key not in self._changes:
            changed = np.ones(steps.shape, np.bool_)
            changed[1:] = steps.at[1:] != steps.at[:-1]
            self._changes[key] = (steps.at[changed], _sha(np.packbits(changed)))
        states, when = self._changes[key]
        values = steps.values[states]
        told = _told(values)
        return when + told if told else told


def _place(array: NDArray[Any]) -> tuple[Any, ...]:
    """Where ``array`` lies in memory: the same place is the same content as long as both live."""
    return (array.__array_interface__["data"][0], array.shape, array.strides)


def _told(values: Floats) -> bytes:
    """Hash of ``values``, empty where none is known."""
    return b"" if np.isnan(values).all() else _sha(values)


def _sha(array: NDArray[Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).digest()
