"""Answers that take longer than a click may wait: made in a thread beside the pages, one at a time, and kept until something changed.

A page shows what :func:`ask` has. Until the first answer is there that is nothing, and the page says so; while a newer one is being made
it is the one before, and the page says that, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from mech_exo.utils import log

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.reader import Reader

Made = TypeVar("Made")
PATIENCE = 0.15
"""Seconds that a page waits for an answer: a small workspace is shown at once."""
KEPT = 32
"""Answers kept; the ones asked for longest ago go first."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[Made]):
    """``value`` None: none was made yet. ``fresh``: it is of what is on disk now; otherwise the next one is being made."""

    value: Made | None
    fresh: bool


class _Kept:
    """What was made for one reader."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.worker = ThreadPoolExecutor(1, "pages")
        self.made: dict[Hashable, tuple[object, Any]] = {}
        self.running: dict[Hashable, tuple[object, Future[Any]]] = {}


_by_reader: WeakKeyDictionary[Reader, _Kept] = WeakKeyDictionary()
_guard = threading.Lock()


def ask(
    reader: Reader, key: Hashable, make: Callable[[House, Ledger], Made], *, stamp: object = None, patience: float = PATIENCE
) -> Answer[Made]:
    """What ``make`` says of the workspace, if it has been made; else it is begun.

    ``key`` names the answer wholly. ``stamp`` is what the answer is of, else everything on disk (:meth:`Reader.stamp`): a new one is made
    when it changes. Errors of ``make`` are raised here, each time until something changed.
    """
    with _guard:
        kept = _by_reader.setdefault(reader, _Kept())
    now = reader.stamp() if stamp is None else stamp
    with kept.lock:
        made = kept.made.get(key)
        if made is not None and made[0] == now:
            kept.made[key] = kept.made.pop(key)
            return Answer(_told(made[1]), fresh=True)
        running = kept.running.get(key)
        if running is None:
            running = kept.running[key] = (now, kept.worker.submit(_make, reader, kept, key, now, make))
    try:
        value = running[1].result(patience)
    except TimeoutError:
        before = None if made is None or isinstance(made[1], Exception) else made[1]
        return Answer(before, fresh=False)
    return Answer(_told(value), fresh=running[0] == now)


def _make(reader: Reader, kept: _Kept, key: Hashable, stamp: object, make: Callable[[House, Ledger], Any]) -> Any:
    value: Any
    try:
        value = reader.once(("later", key), make)
    except Exception as error:  # told to whoever asks, in his own thread
        log.get(__name__).info("%s could not be made: %s", key, error)
        value = error
    with kept.lock:
        kept.made[key] = (stamp, value)
        kept.running.pop(key, None)
        while len(kept.made) > KEPT:
            kept.made.pop(next(iter(kept.made)))
    return value


def _told(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value
