"""The one way the pages read a workspace: what was read is kept until ledger, data or configuration changed on disk.

Whatever one page shows is of one moment: of the ledger as it was at one commit, and of the snapshot and configuration that went with it,
however much another process writes meanwhile. An answer is made once, by whoever asks first; others who ask for it wait, those who ask
for something else do not.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from mech_exo.datasource.storage import DataStorage
from mech_exo.datasource.storage.publish import POINTER, snapshot_folder
from mech_exo.domain.errors import DataError
from mech_exo.execution.ledger import default_path, utc_now
from mech_exo.execution.safety import HaltSwitch
from mech_exo.reporting.dashboard.kept import Kept
from mech_exo.reporting.dashboard.memory import trimmed
from mech_exo.reporting.drift.values import FILE

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.reporting.dashboard.house import House

Made = TypeVar("Made")
Files = tuple[tuple[str, int, int, int], ...]
TRIES = 3
"""How often a page that met a commit halfway is begun again before it is made of one moment without keeping anything."""
SETTLED = 50_000_000
"""Nanoseconds after which a file that changes again shows another time; SQLite may write twice within one tick at the same size."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What of a workspace is on disk now: equal stamps, equal answers."""

    ledger: Files
    data: Files
    config: Files
    others: Files

    def __str__(self) -> str:
        """A short word for it that tells nothing of the files."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:16]


class Reader:
    """Reads the workspace that ``open_house`` opens, anew only when something changed; safe in many threads.

    ``home`` is its folder, ``clock`` tells the present instant.
    """

    def __init__(self, home: Path, open_house: Callable[[], House], clock: Callable[[], datetime] = utc_now) -> None:
        self.home, self.clock = home, clock
        self._open = open_house
        self._lock = threading.Lock()
        self._edition: _Edition | None = None
        self._here = threading.local()

    def stamp(self) -> Stamp:
        """Which files answers are made of, with their sizes and times."""
        ledger, data = default_path(self.home), self.home / "data"
        return Stamp(
            _files(ledger, _beside(ledger)),
            _files(snapshot_folder(DataStorage.path_in(self.home)) / POINTER),
            _files(*sorted((self.home / "config").glob("*.yml"))),
            _files(
                HaltSwitch(self.home).path, data / "runs", data / "deliveries.sqlite", _beside(data / "deliveries.sqlite"),
                self.home / "reports" / FILE,
            ),
        )

    def once(self, key: Hashable, make: Callable[[House, Ledger], Made]) -> Made:
        """What ``make`` says of the workspace and its journal, made once for each ``key`` and :class:`Stamp`.

        ``key`` names the answer wholly: the function and everything it was given. Errors are raised and not kept. Inside ``make``, more may
        be asked, but not for ``key``.
        """

        def ask() -> Made:
            moment: _Moment = self._here.moment
            return cast("Made", moment.edition.answers.get(key, lambda: make(moment.house(), moment.ledger())))

        return self.together(ask)

    def once_of_data(self, key: Hashable, make: Callable[[House], Made]) -> Made:
        """As :meth:`once` for what the journal has no part in: kept until data or configuration change, so while a night writes as well."""

        def ask() -> Made:
            moment: _Moment = self._here.moment
            return cast("Made", moment.edition.market.answers.get(key, lambda: make(moment.house())))

        return self.together(ask)

    def together(self, ask: Callable[[], Made]) -> Made:
        """What ``ask`` returns, with everything it reads through this reader of one moment. ``ask`` may be called again: it only reads."""
        if getattr(self._here, "moment", None) is not None:
            return ask()
        for _ in range(TRIES):
            try:
                return self._at(_Moment(self, self._current()), ask)
            except _Moved:
                continue
        return self._at(_Moment(self, None), ask)

    def rest(self) -> None:
        """Close the open snapshots as soon as nobody reads them; who reads next opens them again.

        DuckDB keeps what its scans took while a database is open: some 90 MB after those of ten years of 3,000 symbols.
        """
        with self._lock:
            edition = self._edition
        if edition is not None:
            edition.market.rest()

    def close(self) -> None:
        """Let go of the snapshots; nobody may be reading any more."""
        with self._lock:
            if self._edition is not None:
                self._edition.market.close()
            self._edition = None

    def _at(self, moment: _Moment, ask: Callable[[], Made]) -> Made:
        self._here.moment = moment
        try:
            return ask()
        finally:
            self._here.moment = None
            moment.close()

    def _current(self) -> _Edition:
        """The edition of what is on disk now; the one before lends it what it shares."""
        with self._lock:
            now = self.stamp()
            if self._edition is None or self._edition.stamp != now or not self._edition.settled:
                before, self._edition = self._edition, self.edition(now, self._edition)
                if before is not None and before.market is not self._edition.market:
                    before.market.rest(for_good=True)
            return self._edition

    def edition(self, now: Stamp, before: _Edition | None) -> _Edition:
        """A new edition for ``now``."""
        same = before is not None and (before.stamp.data, before.stamp.config) == (now.data, now.config)
        return _Edition(now, before.market if same and before is not None else _Market(self._open))


class _Moved(Exception):  # noqa: N818 - no error: the files changed while a page was read
    """Begin again."""


class _Market:
    """What data and configuration alone decide, and the open workspaces: one a thread, for a connection is no thing to share."""

    def __init__(self, open_house: Callable[[], House]) -> None:
        self.answers = Kept()
        self._open = open_house
        self._lock = threading.Lock()
        self._houses: dict[int, House] = {}
        self._readers, self._tired, self._retired = 0, False, False

    def house(self) -> House:
        """This thread's, with its snapshot open (where there is one), so that it stays the one of this moment."""
        found = self._houses.get(threading.get_ident())
        if found is None:
            found = self._open()
            with suppress(DataError):  # a page that needs it says so
                _ = found.storage
            self._houses[threading.get_ident()] = found
        return found

    @contextmanager
    def read(self) -> Iterator[None]:
        """Somebody reads while the block runs; the last one to leave closes what :meth:`rest` was asked for."""
        with self._lock:
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                self._close_if_tired()

    def rest(self, *, for_good: bool = False) -> None:
        """Close every snapshot, at once or when the last reader has left; ``for_good``: and again whenever somebody late has left."""
        with self._lock:
            self._tired, self._retired = True, self._retired or for_good
            self._close_if_tired()

    def _close_if_tired(self) -> None:
        if self._tired and not self._readers:
            self._tired = self._retired
            self.close()

    def close(self) -> None:
        """Close every snapshot."""
        if not self._houses:
            return
        for house in self._houses.values():
            with suppress(DataError):
                house.storage.close()
        self._houses.clear()
        trimmed()


class _Edition:
    """The answers for one stamp."""

    def __init__(self, stamp: Stamp, market: _Market) -> None:
        self.stamp, self.market, self.answers = stamp, market, Kept()
        changed = max((time_ns for _, _, time_ns, _ in stamp.ledger), default=0)
        self.settled = time.time_ns() - changed > SETTLED


class _Moment:
    """One page's look at an edition; ``edition`` None: at whatever is there when the ledger is opened, for this page alone."""

    def __init__(self, reader: Reader, edition: _Edition | None) -> None:
        self._reader = reader
        self._checks = edition is not None
        self._stack = ExitStack()
        self._ledger: Ledger | None = None
        self.edition = edition or reader.edition(reader.stamp(), None)
        self._stack.enter_context(self.edition.market.read())

    def house(self) -> House:
        """The workspace."""
        house = self.edition.market.house()
        self._check()
        return house

    def ledger(self) -> Ledger:
        """The journal, standing still at the commit of this moment."""
        if self._ledger is None:
            self._ledger = self._stack.enter_context(self.edition.market.house().journal())
            self._stack.enter_context(self._ledger.still())
            self._check()
        return self._ledger

    def close(self) -> None:
        """Let go of the journal, and of the snapshot where it is to rest or was opened for this moment alone."""
        self._stack.close()
        if not self._checks:
            self.edition.market.rest()

    def _check(self) -> None:
        if self._checks and self._reader.stamp() != self.edition.stamp:
            raise _Moved


def _beside(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def _files(*paths: Path) -> Files:
    found = []
    for path in paths:
        try:
            about = path.stat()
        except OSError:
            continue
        found.append((path.name, about.st_ino, about.st_mtime_ns, about.st_size))
    return tuple(found)
