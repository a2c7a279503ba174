"""Pings of a healthchecks-style address: somebody else notices when the watcher itself is gone."""

from __future__ import annotations

import queue
import threading

from mech_exo.utils import log

LOG = log.get(__name__)
EVERY_SECONDS = 60.0
PATIENCE = (5.0, 10.0)
START, SUCCESS, FAIL = "/start", "", "/fail"


class Heartbeat:
    """Pings ``address`` (empty: does nothing) from a thread of its own, so that a server that hangs holds nobody."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._wanted: queue.Queue[str | None] = queue.Queue(maxsize=8)
        self._thread: threading.Thread | None = None

    def ping(self, how: str = SUCCESS) -> None:
        """Let ``address + how`` be asked for soon. Never waits, never fails."""
        if not self._address:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="heartbeat", daemon=True)
            self._thread.start()
        try:
            self._wanted.put_nowait(how)
        except queue.Full:
            LOG.warning("the heartbeat's address does not answer: a ping was left out")

    def end(self, seconds: float) -> None:
        """Wait up to ``seconds`` until what was asked for is sent."""
        if self._thread is not None:
            try:
                self._wanted.put(None, timeout=seconds)
            except queue.Full:
                return
            self._thread.join(seconds)
            self._thread = None

    def _serve(self) -> None:
        import requests

        while (how := self._wanted.get()) is not None:
            try:
                answer = requests.get(self._address + how, timeout=PATIENCE, allow_redirects=False)
            except requests.RequestException as error:
                LOG.warning("the heartbeat's address cannot be reached (%s)", type(error).__name__)
                continue
            if answer.status_code >= 300:
                LOG.warning("the heartbeat's address answered %d", answer.status_code)
