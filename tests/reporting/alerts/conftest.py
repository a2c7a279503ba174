"""The servers of all services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reporting.alerts.servers import World, world


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[World]:
    """Running servers that have been told nothing yet."""
    folder = tmp_path / "authority"
    folder.mkdir()
    with world(folder) as made:
        yield made
