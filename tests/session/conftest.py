"""Workspaces to run nights in: the sample market, and the real panel where it is present."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mech_exo.datasource.storage import DataStorage
from mech_exo.utils.workspace import create
from tests.session.stage import UNIVERSE, choose_universe, market


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of 60 invented companies over six years, with splits, dividends, delistings and new listings."""
    home = tmp_path_factory.mktemp("sample")
    create(home)
    choose_universe(home, UNIVERSE)
    with DataStorage(DataStorage.path_in(home)) as storage:
        market().store(storage)
        storage.publish()
    return home


@pytest.fixture
def sample(sample_home: Path, tmp_path: Path) -> Path:
    """A copy of the sample workspace without a ledger."""
    shutil.copytree(sample_home, tmp_path / "w")
    return tmp_path / "w"


@pytest.fixture(scope="module")
def real_home(shared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of the 582 real stocks with sectors and S&P 500 membership."""
    from mech_exo.cli.__main__ import main

    home = tmp_path_factory.mktemp("real")
    create(home)
    choose_universe(home, "sp500")
    words = ["data", "import", str(shared("data/prices/us_sp500_members_2003_2016.parquet")), "--adjusted", "split"]
    words += ["--sectors", str(shared("data/reference/sp500_sectors_2016.csv"))]
    words += ["--universe", str(shared("data/reference/sp500_ticker_start_end.csv"))]
    assert main(["--home", str(home), *words, "--json"]) == 0
    return home
