"""The thread of the tests must be free for ib_async, which runs its loop in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _free_thread() -> Iterator[None]:
    """A browser that other tests opened keeps its own loop running in this thread until the last test: it is set aside meanwhile."""
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(before)
