"""What is known of companies beside their bars: figures from filings, headlines, ratings, laid out on a panel's sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Facts:
    """Named ``(T, N)`` arrays: row ``t`` is what was known at that session's close, NaN = unknown.

    Parameters
    ----------
    known
        Array by input name, e.g. ``pe_ratio`` (names and units: docs/fundamentals.md), read-only.
    absent
        Of inputs that were asked for and for which the store holds nothing at all: the reason, by name.
    """

    known: Mapping[str, Floats] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for values in self.known.values():
            values.flags.writeable = False

    def at(self, index: Any) -> Facts:
        """The cells that ``index`` picks of every array."""
        return Facts({name: values[index] for name, values in self.known.items()}, self.absent)

    def why_absent(self, name: str) -> str | None:
        """Why ``name`` has no array, None where it has one."""
        return None if name in self.known else self.absent.get(name, "nothing here tells it")

    def data_hash(self) -> str:
        """Hash of every array (64 bits, hex)."""
        digest = hashlib.sha256()
        for name, values in sorted(self.known.items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(values).view(np.uint8).data)
        return digest.hexdigest()[:16]
