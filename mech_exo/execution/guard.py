"""What stands beside the ledger's database: the writer's lock and the high-water mark.

SQLite drops the rest of a damaged write-ahead log without a word, so the last committed row is also written, with its
hash, to a small file of its own. A database that ends before its mark, or differs at it, has lost rows.
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from mech_exo.domain.errors import LedgerError
from mech_exo.utils.lock import HeldError, ProcessLock

_MARK = re.compile(r"(\d{20}) ([0-9a-f]{64}) ([0-9a-f]{8})\n")


def writer_lock(path: Path) -> ProcessLock:
    """The lock of the one writer. Raises LedgerError naming the process that holds it."""
    try:
        return ProcessLock(path)
    except HeldError as error:
        raise LedgerError(
            f"one process writes the ledger at a time; process {error.holder} holds {path}",
            remedy=f"wait until it ends (ps -p {error.holder}), then run the command again",
        ) from None


@dataclass(frozen=True, slots=True)
class Mark:
    """The last row known to be committed."""

    seq: int
    hash: str


class MarkFile:
    """The high-water mark in a file of one fixed-width line, overwritten in place and synced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def read(self) -> Mark | None:
        """The mark, None when there is no file. Raises LedgerError when the file is damaged."""
        try:
            text = self.path.read_text("ascii", errors="replace")
        except FileNotFoundError:
            return None
        found = _MARK.fullmatch(text)
        if found is None or _checksum(found[1], found[2]) != found[3]:
            raise LedgerError(
                f"the ledger's high-water mark must be one line of seq, hash and checksum; {self.path} is not",
                remedy="restore both with `exo ledger restore BACKUP`",
            )
        return Mark(int(found[1]), found[2])

    def write(self, mark: Mark) -> None:
        """Replace the mark and sync it to the disk."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        seq = f"{mark.seq:020d}"
        os.pwrite(self._descriptor, f"{seq} {mark.hash} {_checksum(seq, mark.hash)}\n".encode("ascii"), 0)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _checksum(seq: str, digest: str) -> str:
    return f"{zlib.crc32(f'{seq} {digest}'.encode()):08x}"
