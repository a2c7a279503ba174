from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mech_exo.datasource.replay.server import Answer, Replay, leading_to, page, replaying


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Replay]:
    """A replay server to which the environment leads every HTTP client of this process."""
    pytest.importorskip("trustme", reason="needs trustme: pip install -r requirements.txt")
    import yfinance

    with replaying(tmp_path) as server, leading_to(server):
        yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))
        server.on("fc.yahoo.com", page("gone", 404))
        server.on("getcrumb", Answer(200, b"crumb", "text/plain"))
        yield server
