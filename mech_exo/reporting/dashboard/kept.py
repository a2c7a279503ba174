"""Answers kept in memory: each made once by whoever asks first, the longest unasked forgotten first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

MOST = 256


class Kept:
    """At most ``most`` answers by key. Errors reach everybody who waits for them and are not kept."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, tuple[int, Future[Any]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The answer for ``key``, made by ``make`` where there is none. Raises RuntimeError where ``make`` asks for its own key."""
        me = threading.get_ident()
        with self._lock:
            known = self._answers.get(key)
            if known is None:
                mine: Future[Any] = Future()
                self._answers[key] = (me, mine)
                while len(self._answers) > self._most:
                    self._answers.popitem(last=False)
            else:
                self._answers.move_to_end(key)
        if known is not None:
            maker, future = known
            if maker == me and not future.done():
                raise RuntimeError(f"an answer cannot be made of itself: {key!r}")
            return future.result()
        return self._made(key, mine, make)

    def _made(self, key: Hashable, mine: Future[Any], make: Callable[[], Any]) -> Any:
        try:
            answer = make()
        except BaseException as error:
            with self._lock:
                known = self._answers.get(key)
                if known is not None and known[1] is mine:
                    del self._answers[key]
            mine.set_exception(error)
            raise
        mine.set_result(answer)
        return answer
