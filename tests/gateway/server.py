"""The gateway: listens, greets, and hands each request to who answers it."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.gateway import messages as say
from tests.gateway.desk import Desk
from tests.gateway.exchange import SYMBOLS, Exchange
from tests.gateway.session import Session
from tests.gateway.wire import Fields, Frames, fields_of, frame

RATE = 50
"""Messages a second a client may send; one that exceeds it hears error 100 and is cut."""


class FakeGateway(Desk):
    """A TWS gateway for one account, in a thread of this process.

    Parameters
    ----------
    version
        Server version it speaks, 157 to 178.
    account, cash
        Id and USD of the account.
    port
        0: any that is free.
    keep
        File that holds the state, written before anything is told of it; read when it is there.
    """

    def __init__(
        self, version: int = 178, account: str = "DU1234567", cash: float = 100_000.0, port: int = 0,
        symbols: tuple[str, ...] = SYMBOLS, keep: Path | None = None,
    ) -> None:  # fmt: skip
        super().__init__(Exchange(account, cash, symbols), keep)
        self.version, self.port = version, port
        self.received: Counter[int] = Counter()
        self.peak = 0
        self.rate = RATE
        self._heard = threading.Condition(self.exchange.lock)
        self._listener: socket.socket | None = None
        self._answers: dict[int, Callable[[Session, Fields], None]] = {
            1: self._market_data, 3: self._place, 4: self._cancel, 5: self._open_orders, 6: self._account, 7: self._executions,
            8: self._ids, 9: self._details, 16: self._open_orders, 17: self._accounts, 20: self._history, 49: self._time, 58: self._global_cancel,
            61: self._positions, 62: self._summary, 64: self._no_positions, 71: self._start, 76: self._account_multi, 99: self._completed,
        }  # fmt: skip

    # Its life

    def __enter__(self) -> FakeGateway:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()

    def up(self) -> None:
        """Listen, at the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True, name="gateway").start()

    def down(self) -> None:
        """Nobody listens: a client is refused (its own error 502). Connections end."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.drop(reset=False)

    def pace(self, rate: int) -> None:
        """So many messages a second before a client is cut."""
        self.rate = rate

    def mute(self, message_id: int, times: int | None = None) -> None:
        """That message is not said, ``times`` or for good (until ``faults.clear()``)."""
        self.faults.add("mute", message=message_id, times=times)

    # What a test asks

    def sends(self, ref: str) -> int:
        """How often an order of that reference arrived, whatever became of it."""
        return self.sent[ref]

    def accepted(self, ref: str) -> int:
        """How often one was taken."""
        return self.exchange.accepted[ref]

    def wait(self, condition: Callable[[FakeGateway], bool], seconds: float = 20.0) -> None:
        """Until the condition holds; it is looked at after each request. TimeoutError if it never does."""
        with self._heard:
            if not self._heard.wait_for(lambda: condition(self), seconds):
                raise TimeoutError(f"the gateway was not as awaited within {seconds} s")

    # Connections

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 5, 0))
            session = Session(link)
            with self.exchange.lock:
                self.sessions.append(session)
            threading.Thread(target=self._serve, args=(session,), daemon=True, name="gateway client").start()

    def _serve(self, session: Session) -> None:
        frames = Frames()
        greeted = False
        with contextlib.suppress(OSError):
            while data := session.link.recv(65536):
                for body in frames.feed(data if greeted else data.removeprefix(b"API\0")):
                    with self._heard:
                        if session.deaf or session.closed:
                            continue
                        if greeted:
                            self._handle(session, fields_of(body))
                        else:
                            greeted = self._greet(session, body)
                        self._heard.notify_all()
        with self._heard:
            session.closed = True
            if session in self.sessions:
                self.sessions.remove(session)
            self._heard.notify_all()
        session.link.close()

    def _greet(self, session: Session, body: bytes) -> bool:
        """Agree on a version; a stranger is shown the door."""
        offered = re.match(rb"v\d+\.\.(\d+)", body)
        if offered is None:
            session.close()
            return False
        session.version = min(self.version, int(offered[1]))
        session.write(frame([session.version, f"{self.exchange.clock():%Y%m%d %H:%M:%S} UTC"]))
        return True

    def _handle(self, session: Session, fields: Fields) -> None:
        number = int(fields[0])
        self.received[number] += 1
        if self._too_fast(session):
            session.write(frame(say.error(session.version, -1, 100, "Max rate of messages per second has been exceeded:max=50 rec=51 (1)")))
            session.close()
            return
        answer = self._answers.get(number)
        if answer is not None:
            answer(session, fields)

    def _too_fast(self, session: Session) -> bool:
        now = time.monotonic()
        session.times.append(now)
        while now - session.times[0] >= 1.0:
            session.times.popleft()
        self.peak = max(self.peak, len(session.times))
        return len(session.times) > self.rate
