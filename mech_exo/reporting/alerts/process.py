"""One delivery process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mech_exo.domain.errors import UserError
from mech_exo.utils.lock import HeldError, ProcessLock


class ServedError(UserError):
    """Another process delivers already."""


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """One process delivers at a time. Raises ServedError naming the other."""
    path = home / "data" / "alerts.lock"
    try:
        lock = ProcessLock(path)
    except HeldError as error:
        raise ServedError(
            f"one process delivers alerts at a time; process {error.holder} holds {path}", remedy=f"look at it: ps -p {error.holder}"
        ) from None
    try:
        yield
    finally:
        lock.release()
