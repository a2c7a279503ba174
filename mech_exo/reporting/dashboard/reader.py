"""The one way the pages read a workspace: what was read is kept until ledger, data or configuration changed on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mech_exo.datasource.storage import DataStorage
from mech_exo.datasource.storage.publish import POINTER, snapshot_folder
from mech_exo.execution.ledger import default_path, utc_now

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.reporting.dashboard.house import House

Made = TypeVar("Made")
Files = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What of a workspace is on disk now: equal stamps, equal answers."""

    ledger: Files
    data: Files
    config: Files


class Reader:
    """Reads the workspace that ``open_house`` opens, anew only when something changed; safe in many threads.

    ``home`` is its folder, ``clock`` tells the present instant.
    """

    def __init__(self, home: Path, open_house: Callable[[], House], clock: Callable[[], datetime] = utc_now) -> None:
        self.home, self.clock = home, clock
        self._open = open_house
        self._lock = threading.RLock()
        self._stamp: Stamp | None = None
        self._house: House | None = None
        self._kept: dict[Hashable, Any] = {}

    def stamp(self) -> Stamp:
        """Sizes and times of the files that answers are made of."""
        ledger = default_path(self.home)
        return Stamp(
            _files(ledger, ledger.with_name(ledger.name + "-wal")),
            _files(snapshot_folder(DataStorage.path_in(self.home)) / POINTER),
            _files(*sorted((self.home / "config").glob("*.yml"))),
        )

    def once(self, key: Hashable, make: Callable[[House, Ledger], Made]) -> Made:
        """What ``make`` says of the workspace and its journal, made once for each ``key`` and :class:`Stamp`.

        ``key`` names the answer wholly: the function and everything it was given. Errors are raised and not kept.
        """
        with self._lock:
            now = self.stamp()
            if now != self._stamp or self._house is None:
                self._house, self._stamp, self._kept = self._open(), now, {}
            if key not in self._kept:
                with self._house.journal() as ledger:
                    self._kept[key] = make(self._house, ledger)
            kept: Made = self._kept[key]
            return kept


def _files(*paths: Path) -> Files:
    found = []
    for path in paths:
        try:
            about = path.stat()
        except FileNotFoundError:
            continue
        found.append((path.name, about.st_mtime_ns, about.st_size))
    return tuple(found)
