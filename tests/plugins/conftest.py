"""A workspace with a small sample market, made once, copied for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from mech_exo.datasource.demo import LABEL, sample_market
from mech_exo.datasource.storage import DataStorage
from mech_exo.utils.workspace import create
from tests.plugins.pages import configure


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("plugins") / "w"
    create(home)
    market = sample_market(seed=11, symbols=30, years=3)
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.set_label(LABEL)
        storage.store_ohlc_data(market.panel.to_frame(), source=LABEL)
        storage.store_corporate_actions(market.delistings(), source=LABEL)
        storage.store_sectors(market.sectors)
        storage.publish()
    technical = {"momentum_12_1": {"weight": 12, "direction": "higher_better"}, "rsi_14": {"weight": 8, "direction": "mean_revert"}}
    configure(home / "config" / "factors.yml", {"fundamental": None, "technical": None, "sentiment": None, "quality": None})
    none = {"fundamental": {}, "sentiment": {}, "quality": {}}
    configure(home / "config" / "factors.yml", {**none, "technical": technical})
    configure(home / "config" / "strategy.yml", {"schedule": {"every_sessions": 5}, "selection": {"top": 10}})
    configure(home / "config" / "data.yml", {"benchmark": None})
    return home


@pytest.fixture
def home(stocked: Path, tmp_path: Path) -> Path:
    """A copy of it, to be written to."""
    return Path(shutil.copytree(stocked, tmp_path / "w"))


@pytest.fixture(scope="session")
def frame() -> pl.DataFrame:
    """Bars of one symbol, as a house may keep them."""
    panel = sample_market(seed=11, symbols=30, years=3).panel
    return panel.to_frame()
