"""The store: import of a whole history, publication, and loading the panel. Prints a table; ``--json`` a list of figures.

Every figure stands beside its bar; the loads also beside the floor of the same run: reading the five arrays from plain files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mech_exo.datasource.storage import DataStorage  # noqa: E402
from mech_exo.utils import calendar  # noqa: E402

REAL = ROOT.parent / "shared" / "data" / "prices" / "us_sp500_members_2003_2016.parquet"
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


def figure(name: str, value: float, bar: float | None, **beside: float) -> dict[str, object]:
    return {"name": name, "value": round(value, 4), "unit": "s", "bar": bar, "holds": None if bar is None else value <= bar, **beside}


def whole_history(folder: Path) -> list[dict[str, object]]:
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
    return [figure(f"import and publish {rows:,} bars", first, 15.0), figure("import them again (nothing changes)", again, 15.0)]


def large_panel(folder: Path, symbols: int, sessions: int) -> list[dict[str, object]]:
    """Store, publish and load the panel of the speed target."""
    size = f"{symbols:,} × {sessions:,}"
    with DataStorage(DataStorage.path_in(folder)) as storage:
        stored = timed(lambda: storage.store_ohlc_data(market(symbols, sessions)))
        published = timed(storage.publish)
        query = timed(lambda: storage.view().panel())
        last = storage.view().as_of
    child = subprocess.run([sys.executable, "-c", LOAD, str(folder)], capture_output=True, text=True, check=True, cwd=ROOT)
    cold, read = map(float, child.stdout.split())
    with DataStorage.snapshot(folder) as snapshot:
        warm = min(timed(lambda: snapshot.view().panel()) for _ in range(3))
        cut = min(timed(lambda: snapshot.view(calendar.previous_session(last or date.max)).panel()) for _ in range(3))
        arrays = snapshot.path.with_suffix(".panel")
        floor = timed(lambda: [np.load(arrays / f"{name}.npy") for name in ("open", "high", "low", "close", "volume")])
    return [
        figure(f"store {size} bars", stored, None),
        figure("publish them with their arrays", published, None),
        figure("load the panel, new process", cold, 1.0, floor=round(floor, 4)),
        figure("load it and read every cell, new process", read, 1.0, floor=round(floor, 4)),
        figure("load the panel, warm", warm, 0.25, floor=round(floor, 4)),
        figure("load it as of the session before", cut, 1.0, floor=round(floor, 4)),
        figure("load it by query, without the arrays", query, None, floor=round(floor, 4)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--symbols", type=int, default=3_000)
    parser.add_argument("--sessions", type=int, default=2_520)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        figures = whole_history(Path(one)) + large_panel(Path(two), options.symbols, options.sessions)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{'':44}{'seconds':>9}{'bar':>8}{'floor':>8}")
    for line in figures:
        mark = {True: "", False: "  MISSED", None: ""}[line["holds"]]  # type: ignore[index]
        print(f"{line['name']:44}{line['value']:9.3f}{line['bar'] or '':>8}{line.get('floor', ''):>8}{mark}")


if __name__ == "__main__":
    main()
