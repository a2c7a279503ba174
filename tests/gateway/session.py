"""One connected client, as the gateway keeps it."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque

from tests.gateway import messages as say


class Session:
    """One connected client."""

    def __init__(self, link: socket.socket) -> None:
        self.link, self.client_id = link, -1
        self.version = 0
        self.closed = self.deaf = False
        self.portfolio = self.holdings = False
        self.times: deque[float] = deque()
        self.silenced: set[int] = set()
        """Orders whose acknowledgement is lost: nothing is said of them on this connection."""
        self.back: list[say.Message] = []
        """Messages held back, to be said after the next."""

    @property
    def alive(self) -> bool:
        """Whether its end of the connection still stands, even if the thread that reads it has not noticed."""
        if self.closed:
            return False
        try:
            return self.link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def write(self, data: bytes) -> None:
        """Bytes to the client; one that does not take them is gone."""
        if self.closed or self.deaf:
            return
        try:
            self.link.sendall(data)
        except OSError:
            self.close()

    def close(self, *, reset: bool = False) -> None:
        """End the connection, with a reset or a clean end."""
        self.closed = True
        with contextlib.suppress(OSError):
            if reset:
                self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.link.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)  # wakes the thread that reads
        if reset:
            self.link.close()
