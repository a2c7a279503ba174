from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replay.server import Answer, Replay, page, replaying


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    """A replay server to which the environment leads every HTTP client of this process."""
    import yfinance

    with replaying(tmp_path) as server:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, server.proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, str(server.authority))
        yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))
        server.on("fc.yahoo.com", page("gone", 404))
        server.on("getcrumb", Answer(200, b"crumb", "text/plain"))
        yield server
