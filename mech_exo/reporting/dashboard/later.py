"""Answers that take longer than a click may wait: made in a thread beside the pages, one at a time, and kept until something changed.

A page shows what :func:`ask` has. Until the first answer is there that is nothing, and the page says so; while a newer one is being made
it is the one before, and the page says that, too.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.execution.ledger import Ledger
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.pages import Page
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """An answer made, or being made, of ``stamp``."""

    stamp: object
    future: Future[Any]

    def value(self) -> Any:
        """What was made; None where that failed."""
        return None if self.future.exception() else self.future.result()


class _Kept:
    """What was made for one reader, and what is being made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.worker = ThreadPoolExecutor(1, "pages")
        self.made: OrderedDict[Hashable, _Asked] = OrderedDict()
        self.running: dict[Hashable, _Asked] = {}

    def finished(self, key: Hashable, asked: _Asked) -> None:
        """Keep an answer, or the error that stands for it."""
        with self.lock:
            self.running.pop(key, None)
            self.made[key] = asked
            self.made.move_to_end(key)
            while len(self.made) > KEPT:
                self.made.popitem(last=False)


_by_reader: WeakKeyDictionary[Reader, _Kept] = WeakKeyDictionary()
_guard = threading.Lock()


def _kept(reader: Reader) -> _Kept:
    with _guard:
        return _by_reader.setdefault(reader, _Kept())


def ask(
    reader: Reader, key: Hashable, make: Callable[[House, Ledger], Made], *, stamp: object = None, patience: float = PATIENCE
) -> Answer[Made]:
    """What ``make`` says of the workspace, if it has been made; else it is begun.

    ``key`` names the answer wholly. ``stamp`` is what the answer is of, else everything on disk (:meth:`Reader.stamp`): a new one is made
    when it changes. Errors of ``make`` are raised here, each time until something changed.
    """
    kept = _kept(reader)
    now = reader.stamp() if stamp is None else stamp
    with kept.lock:
        made = kept.made.get(key)
        if made is not None and made.stamp == now:
            kept.made.move_to_end(key)
            return Answer(made.future.result(), fresh=True)
        asked = kept.running.get(key)
        if asked is None:
            asked = kept.running[key] = _Asked(now, kept.worker.submit(_made, reader, key, make))
            begun = True
        else:
            begun = False
    if begun:  # outside the lock: an answer that is there at once is kept at once
        asked.future.add_done_callback(lambda _: kept.finished(key, asked))
    try:
        return Answer(asked.future.result(patience), fresh=asked.stamp == now)
    except TimeoutError:
        return Answer(None if made is None else made.value(), fresh=False)


def _made(reader: Reader, key: Hashable, make: Callable[[House, Ledger], Made]) -> Made:
    """The answer; what took so long may have scanned the whole store, so the store is let go of afterwards."""
    try:
        return reader.once(("later", key), make)
    finally:
        reader.rest()


def waiting(page: str, *, fresh: bool) -> Any:
    """Lets ``page`` be drawn again each second while an answer of it is being made; :func:`steer_waiting` does it."""
    from dash import dcc

    return dcc.Interval(id=f"{page}-wait", interval=1000, disabled=fresh)


def steer_waiting(app: Dash, reader: Reader, page: Page) -> None:
    """The callback of :func:`waiting`; called from a page's ``register``."""
    from dash import Input, Output, State

    from mech_exo.reporting.dashboard.address import parsed
    from mech_exo.reporting.dashboard.app import shown

    @app.callback(
        Output("made", "data", allow_duplicate=True), Input(f"{page.icon}-wait", "n_intervals"), State("url", "search"),
        prevent_initial_call=True,
    )  # fmt: skip
    def again(_ticks: object, search: object) -> Any:
        return {"path": page.path, "page": shown(page, reader, parsed(search))}
