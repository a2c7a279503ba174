"""Workspaces of the sample market for commands to work on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.session.stage import days, play
from tests.session.stage import stored as store_sample

NIGHTS = days("2021-06-30", 23)  # decided on the first and the 22nd; SYN002 is delisted on the eighth


@pytest.fixture(scope="session")
def market_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market without a ledger. Not to be changed."""
    return store_sample(tmp_path_factory.mktemp("market") / "w")


@pytest.fixture(scope="session")
def played_home(market_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market with 23 nights. Not to be changed."""
    home = tmp_path_factory.mktemp("nights") / "w"
    shutil.copytree(market_home, home)
    play(home, NIGHTS)
    return home


@pytest.fixture
def market_copy(market_home: Path, tmp_path: Path) -> Path:
    """A copy of the sample workspace without a ledger."""
    shutil.copytree(market_home, tmp_path / "copy")
    return tmp_path / "copy"
