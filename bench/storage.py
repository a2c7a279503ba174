"""The store: import of a whole history, publication, and loading the panel. Prints a table; ``--json`` a list of figures.

Every figure stands beside its bar and, in the same run, beside a peer on the same rows (where ``../shared/peers`` is there) or a floor:
DuckDB appending without a key, copying the file, reading the five arrays from plain files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from _common import REPOSITORY, SHARED, Line, line, main

from mech_exo.datasource.storage import DataStorage
from mech_exo.utils import calendar
from mech_exo.utils.durable import copy

REAL = SHARED / "data" / "prices" / "us_sp500_members_2003_2016.parquet"
LOAD = """
import sys, time
from datetime import date
from pathlib import Path
import pyarrow as _
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


NIGHT = """
import resource, sys, time
from pathlib import Path
from mech_exo.datasource.importer import ImportRequest, run_import
from mech_exo.datasource.storage import DataStorage
began = time.perf_counter()
with DataStorage(DataStorage.path_in(Path(sys.argv[1]))) as storage:
    run_import(storage, ImportRequest(bars=(Path(sys.argv[2]),), source="night"))
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
PEERS = SHARED / "peers" / "w5_storage.py"
PEERS_SIZE = (3_000, 2_520)
WORDS = {
    "append": "append 7 columns, no key, no check",
    "upsert 30d MERGE INTO": "MERGE 30 days",
    "whole panel -> numpy sorted": "whole panel to NumPy, sorted",
}


def market(symbols: int, sessions: int, seed: int = 3) -> pl.DataFrame:
    """An invented long frame, sorted by symbol and date; prices in cents and whole shares, as they are traded."""
    rng = np.random.default_rng(seed)
    days = calendar.sessions(date(2005, 1, 3), date(2021, 1, 1))[:sessions]
    close = 1.0 + 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.015, (symbols, sessions)), axis=1))
    opening = close * np.exp(rng.normal(0.0, 0.004, close.shape))
    data = {
        "symbol": np.repeat([f"S{number:04d}" for number in range(symbols)], sessions),
        "date": np.tile(days, symbols),
        "open": opening.ravel().round(2),
        "high": (np.maximum(opening, close) * 1.003 + 0.005).ravel().round(2),
        "low": (np.minimum(opening, close) * 0.997 - 0.005).ravel().round(2),
        "close": close.ravel().round(2),
        "volume": rng.integers(100_000, 9_000_000, close.size).astype(float),
    }
    return pl.DataFrame(data).with_columns(pl.col("date").cast(pl.Date))


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
    """Store, correct, publish and load the panel of the speed targets, beside the peers on the same rows."""
    size = f"{symbols:,} × {sessions:,}"
    frame = market(symbols, sessions)
    beside = peers(frame, folder / "peers") if (symbols, sessions) == PEERS_SIZE and PEERS.exists() else {}
    stored, home = bulk_load(frame, folder)
    tail = frame.filter(pl.col("date") >= frame["date"].unique().sort()[-30])
    with DataStorage(DataStorage.path_in(home)) as storage:
        published = timed(storage.publish)
        copied = min(timed(lambda: copy(storage.path, folder / "copy")) for _ in range(2))
        upserts, nightly = [], []
        for number in range(3):
            corrected = tail.with_columns(pl.col("close") * (1.0 + 1e-5 * (number + 1)))
            upserts.append(timed(lambda corrected=corrected: storage.store_ohlc_data(corrected)))
            nightly.append(timed(storage.publish))
        assert storage.status().restated == 3 * tail.height
        view = storage.view()
        one = min(timed(lambda name=name: view.bars(name)) for name in frame["symbol"].unique().sort()[symbols // 2 : symbols // 2 + 9])
        query = timed(lambda: storage.view().panel())
        last = storage.view().as_of
    child = subprocess.run([sys.executable, "-c", LOAD, str(home)], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    cold, read = map(float, child.stdout.split())
    with DataStorage.snapshot(home) as snapshot:
        warm = min(timed(lambda: snapshot.view().panel()) for _ in range(3))
        cut = min(timed(lambda: snapshot.view(calendar.previous_session(last or date.max)).panel()) for _ in range(3))
        arrays = snapshot.path.with_suffix(".panel")
        floor = timed(lambda: [np.load(arrays / f"{name}.npy") for name in ("open", "high", "low", "close", "volume")])
    plain, copying = ("reading the arrays from plain files", floor), ("copying the database and fsync", copied)
    append = "DuckDB: append 7 columns, no key, no check"
    merge, symbol, whole = "DuckDB: MERGE 30 days", "DuckDB: one symbol", "DuckDB: whole panel to NumPy, sorted"
    return [
        line(f"store {size} bars, all checks", stored, "s", 1.5, near(beside, append) or ("DuckDB: append", append_alone(frame, folder))),
        line(f"correct 30 days × {symbols:,} symbols, versions kept", min(upserts), "s", 0.1, near(beside, merge)),
        line("publish the whole with its arrays", published, "s", 0.5, copying),
        line("publish after a night", min(nightly), "s", 0.5, copying),
        line("bars of one symbol", one, "s", 0.005, near(beside, symbol)),
        line("load the panel, new process, arrays verified", cold, "s", 0.25, near(beside, whole) or plain),
        line("load it and read every cell, new process", read, "s", 1.0, plain),
        line("load the panel, warm", warm, "s", 0.25, plain),
        line("load it as of the session before", cut, "s", 1.0, plain),
        line("load it by query, without the arrays", query, "s", None, plain),
        *(line(f"peer: {name}", seconds, "s") for name, seconds in beside.items()),
    ]


def bulk_load(frame: pl.DataFrame, folder: Path) -> tuple[float, Path]:
    """Seconds of the quickest of three loads into a new store, and the last one's workspace."""
    times = []
    for number in range(3):
        home = folder / f"w{number}"
        with DataStorage(DataStorage.path_in(home)) as storage:
            times.append(timed(lambda storage=storage: storage.store_ohlc_data(frame)))
    return min(times), home


def append_alone(frame: pl.DataFrame, folder: Path) -> float:
    """DuckDB appending the same seven columns to a table without a key: what no store of ours can beat."""
    table = frame.to_arrow()
    con = duckdb.connect(str(folder / "append.duckdb"))
    con.register("rows", table)
    con.execute("create table bars as select * from rows limit 0").fetchall()
    seconds = timed(lambda: con.execute("insert into bars select * from rows").fetchall())
    con.close()
    return seconds


def peers(frame: pl.DataFrame, folder: Path) -> dict[str, float]:
    """Seconds by workload of the peers that need no package of their own, run on the rows of ``frame``."""
    (folder / "data").mkdir(parents=True)
    frame.with_columns(pl.col("symbol").cast(pl.Categorical)).write_parquet(folder / "data" / "panel_3000x2520.parquet")
    environment = {**os.environ, "PEERS_HOME": str(folder), "PEER_RESULTS": str(folder / "results.jsonl")}
    found = {}
    for which, name in (("duckdb", "DuckDB"), ("parquet", "Parquet, npy")):
        words = [sys.executable, str(PEERS), which]
        done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment, cwd=PEERS.parent)
        rows = [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]
        if done.returncode:
            print(f"the peer {which} stopped: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        found |= {f"{name}: {WORDS.get(what, what)}": row["seconds"] for row in rows if (what := row["workload"][3:]) and row["seconds"]}
    return found


def near(beside: dict[str, float], name: str) -> tuple[str, float] | None:
    """The peer's figure, where it was measured."""
    return (name, beside[name]) if name in beside else None


def night(folder: Path, symbols: int) -> list[Line]:
    """A night of file sources in a process of its own: 30 days of every symbol read from CSV, checked, stored, published."""
    home, file = folder / "w", folder / "night.csv"
    frame = market(symbols, 300)
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(frame.head(frame.height), source="night")
        storage.publish()
    days = frame["date"].unique().sort()[-30]
    frame.filter(pl.col("date") >= days).with_columns(pl.col("close") * 1.00001).write_csv(file)
    child = subprocess.run([sys.executable, "-c", NIGHT, str(home), str(file)], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    seconds, megabytes = map(float, child.stdout.split())
    return [
        line(f"a night of {symbols:,} symbols from a file: import and publish", seconds, "s", 15.0),
        line("its memory at most", megabytes, "MB", 2000.0),
    ]


def measure(quick: bool) -> list[Line]:
    """Import, publication and loading."""
    symbols, sessions = (300, 1_000) if quick else PEERS_SIZE
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two, tempfile.TemporaryDirectory() as three:
        return [*whole_history(Path(one)), *large_panel(Path(two), symbols, sessions), *night(Path(three), symbols)]


if __name__ == "__main__":
    sys.exit(main("Store", measure, __doc__))
