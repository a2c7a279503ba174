"""Memory that is free goes back to the system, so that a process that runs for weeks stays as small as what it keeps.

The allocator of glibc keeps freed memory in a pool a thread. Other systems do as they do.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

ARENAS, M_ARENA_MAX = 2, -8
LARGE, M_MMAP_THRESHOLD = 1 << 20, -3
"""Bytes from which on a piece of memory is the system's own and goes back to it at once."""


def lean() -> None:
    """Few pools, and large pieces outside them; to be called before threads are begun."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, ARENAS)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)


def trimmed() -> None:
    """Give back what is free."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
