"""The user's own example of the data pipeline, with a local source in the network's place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from mech_exo.datasource import DataStorage, FundamentalFetcher, NewsScraper, OHLCDownloader
from mech_exo.domain.panel import BarPanel
from tests.datasource.market import bars, days


class LocalDownloader:
    """Hands over bars it was given."""

    def fetch(self, symbols: Sequence[str], period: str = "1mo") -> pl.DataFrame:
        assert period == "1mo"
        return bars(symbols, days(count=21))


def test_fetch_and_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXO_HOME", str(tmp_path))
    storage = DataStorage()
    downloader = LocalDownloader()

    data = downloader.fetch(["SPY", "QQQ"], period="1mo")
    summary = storage.store_ohlc_data(data)

    assert storage.path == tmp_path / "data" / "mech_exo.duckdb"
    assert summary.new == 42
    assert storage.view().panel().data_hash() == BarPanel.from_frame(data).data_hash()
    storage.close()


def test_the_four_names_are_importable() -> None:
    assert {cls.__name__ for cls in (OHLCDownloader, FundamentalFetcher, NewsScraper, DataStorage)} == {
        "OHLCDownloader",
        "FundamentalFetcher",
        "NewsScraper",
        "DataStorage",
    }
    with pytest.raises(ImportError):
        from mech_exo.datasource import Downloader  # type: ignore[attr-defined]  # noqa: F401


def test_naming_the_room_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import sys, mech_exo.datasource; print([name for name in ('duckdb', 'polars', 'pandas', 'yfinance') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert done.stdout.strip() == "[]"
