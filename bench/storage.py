"""The store: import of a whole history, publication, and loading the panel. Prints a table; ``--json`` a list of figures.

Every figure stands beside its bar; the loads also beside the floor of the same run: reading the five arrays from plain files.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from _common import REPOSITORY, SHARED, Line, line, main

from mech_exo.datasource.storage import DataStorage
from mech_exo.utils import calendar

REAL = SHARED / "data" / "prices" / "us_sp500_members_2003_2016.parquet"
LOAD = """
import sys, time
from datetime import date
from pathlib import Path
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain import panel as _
from mech_exo.utils import calendar
calendar.is_session(date(2020, 1, 2))
began = time.perf_counter()
with DataStorage.snapshot(Path(sys.argv[1])) as storage:
    panel = storage.view().panel()
    loaded = time.perf_counter() - began
    for array in (panel.open, panel.high, panel.low, panel.close, panel.volume):
        array.max()
print(loaded, time.perf_counter() - began)
"""


def market(symbols: int, sessions: int, seed: int = 3) -> pl.DataFrame:
    """An invented long frame, sorted by symbol and date."""
    rng = np.random.default_rng(seed)
    days = calendar.sessions(date(2005, 1, 3), date(2021, 1, 1))[:sessions]
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.015, (symbols, sessions)), axis=1))
    opening = close * np.exp(rng.normal(0.0, 0.004, close.shape))
    data = {
        "symbol": np.repeat([f"S{number:04d}" for number in range(symbols)], sessions),
        "date": np.tile(days, symbols),
        "open": opening.ravel(),
        "high": (np.maximum(opening, close) * 1.003).ravel(),
        "low": (np.minimum(opening, close) * 0.997).ravel(),
        "close": close.ravel(),
        "volume": rng.integers(100_000, 9_000_000, close.size).astype(float),
    }
    return pl.DataFrame(data)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def whole_history(folder: Path) -> list[Line]:
    """Import 1.76 million rows from a file, as `exo data import` does, and again."""
    from mech_exo.datasource.importer import ImportRequest, run_import
    from mech_exo.domain.panel import PriceBasis

    path = REAL
    if not path.exists():
        path = folder / "prices.parquet"
        prices = ["open", "high", "low", "close"]
        market(582, 3_028).with_columns(pl.col(prices).cast(pl.Float32), pl.col("symbol").cast(pl.Categorical)).write_parquet(path)
    request = ImportRequest(bars=(path,), price_basis=PriceBasis.SPLIT_ADJUSTED)
    calendar.is_session(date(2020, 1, 2))
    with DataStorage(DataStorage.path_in(folder / "w")) as storage:
        first = timed(lambda: run_import(storage, request))
        again = timed(lambda: run_import(storage, request))
        rows = storage.status().bars
    floor = ("polars reading the file", timed(lambda: pl.read_parquet(path)))
    imported = line(f"import and publish {rows:,} bars", first, "s", 15.0, floor)
    return [imported, line("import them again (nothing changes)", again, "s", 15.0, floor)]


def large_panel(folder: Path, symbols: int, sessions: int) -> list[Line]:
    """Store, publish and load the panel of the speed target."""
    size = f"{symbols:,} × {sessions:,}"
    frame = market(symbols, sessions)
    with DataStorage(DataStorage.path_in(folder)) as storage:
        stored = timed(lambda: storage.store_ohlc_data(frame))
        published = timed(storage.publish)
        query = timed(lambda: storage.view().panel())
        last = storage.view().as_of
    child = subprocess.run([sys.executable, "-c", LOAD, str(folder)], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    cold, read = map(float, child.stdout.split())
    with DataStorage.snapshot(folder) as snapshot:
        warm = min(timed(lambda: snapshot.view().panel()) for _ in range(3))
        cut = min(timed(lambda: snapshot.view(calendar.previous_session(last or date.max)).panel()) for _ in range(3))
        arrays = snapshot.path.with_suffix(".panel")
        floor = timed(lambda: [np.load(arrays / f"{name}.npy") for name in ("open", "high", "low", "close", "volume")])
    plain = ("reading the arrays from plain files", floor)
    return [
        line(f"store {size} bars", stored, "s", None, plain),
        line("publish them with their arrays", published, "s", None, plain),
        line("load the panel, new process", cold, "s", 1.0, plain),
        line("load it and read every cell, new process", read, "s", 1.0, plain),
        line("load the panel, warm", warm, "s", 0.25, plain),
        line("load it as of the session before", cut, "s", 1.0, plain),
        line("load it by query, without the arrays", query, "s", None, plain),
    ]


def measure(quick: bool) -> list[Line]:
    """Import, publication and loading."""
    symbols, sessions = (300, 1_000) if quick else (3_000, 2_520)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        return [*whole_history(Path(one)), *large_panel(Path(two), symbols, sessions)]


if __name__ == "__main__":
    sys.exit(main("Store", measure, __doc__))
