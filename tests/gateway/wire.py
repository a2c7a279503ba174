"""Framing of the TWS protocol: a 4-byte big-endian length, then NUL-terminated text fields."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

UNSET = "1.7976931348623157E308"
"""How the wire says "no number" where a field may not be empty."""

HUGE = struct.pack(">I", 2**31 - 1)
"""A length nobody will ever send the bytes for: whoever believes it hears nothing any more."""

Fields = list[str]


def text(value: object) -> str:
    """A field as Interactive Brokers writes it: None is empty, a truth is 1 or 0, whole numbers have no point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:.10f}".rstrip("0").rstrip(".")
    return str(value)


def frame(fields: Iterable[object]) -> bytes:
    """The bytes of one message."""
    body = "".join(f"{text(field)}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


class Frames:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Bodies of the messages that are complete with ``data``."""
        self._data += data
        while len(self._data) >= 4:
            end = 4 + struct.unpack(">I", self._data[:4])[0]
            if len(self._data) < end:
                return
            body, self._data = self._data[4:end], self._data[end:]
            yield body

    def take(self, count: int) -> bytes | None:
        """The first ``count`` bytes, once they are there: the greeting that comes before the first message."""
        if len(self._data) < count:
            return None
        head, self._data = self._data[:count], self._data[count:]
        return head


def fields_of(body: bytes) -> Fields:
    """Fields of a message's body."""
    return body.decode(errors="backslashreplace").split("\0")[:-1]
