"""A backtest reads history as it is known today; where that differs from what a night saw, it is said."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from mech_exo.datasource import DataStorage

DAYS = [date(2020, 1, 2), date(2020, 1, 3), date(2020, 1, 6)]


def bars(close: float) -> pl.DataFrame:
    return pl.DataFrame({"symbol": "AAA", "date": DAYS, "open": 10.0, "high": 20.0, "low": 5.0, "close": [10.0, close, 11.0], "volume": 1e6})


def test_restated_bars_are_said_of_the_whole_history_and_not_of_a_night(tmp_path: Path) -> None:
    with DataStorage(tmp_path / "x.duckdb") as storage:
        storage.store_ohlc_data(bars(10.5))
        assert storage.view().warnings() == ()
        storage.store_ohlc_data(bars(12.0))
        (said,) = storage.view().warnings()
        assert said.startswith("1 bars and actions were restated later")
        assert storage.view(DAYS[-1]).warnings() == ()
        assert storage.view(DAYS[-1]).panel().close[1, 0] == 10.5 and storage.view().panel().close[1, 0] == 12.0
