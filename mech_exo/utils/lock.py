"""One process at a time: a file locked by the operating system, which says who holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class HeldError(Exception):
    """Another process (or this very one, elsewhere) holds the lock: ``holder`` is its process id, or "unknown"."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by process {holder}")
        self.holder = holder


class ProcessLock:
    """Held from being made until :meth:`release` or the death of the process, however it dies: a left-over file blocks nobody.

    Raises HeldError at once when another holds it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise HeldError(holder) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


def holder_of(path: Path) -> int | None:
    """The process that holds the lock file ``path``, None where nobody does, or the system does not tell. Takes no lock itself.

    Trying the lock, however shortly, could refuse it to who just then wants it.
    """
    try:
        inode, written = path.stat().st_ino, path.read_text("ascii", errors="replace").strip()
        table = Path("/proc/locks").read_text("ascii")
    except OSError:
        return None
    for line in table.splitlines():
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5].rsplit(":", 1)[-1] == str(inode) and words[4] == written:
            return int(written)
    return None
