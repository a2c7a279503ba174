"""The night's download: 500 symbols through yfinance from a replay server, 3,000 from files. Prints a table; ``--json`` a list of figures.

Each runs in a process of its own, whose largest memory is shown. Beside the download stands yfinance alone, asked for as many histories in
the same run; beside the files, reading them with Polars alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _common import REPOSITORY, Line, line, main

SETUP = """
import json, resource, sys, threading, time
from datetime import UTC, date, datetime
from pathlib import Path
import numpy as np, polars as pl
from mech_exo.datasource.storage import DataStorage
from mech_exo.datasource.update import update
from mech_exo.utils import calendar
from mech_exo.utils.settings import Config, DataConfig
from mech_exo.utils.source_settings import SourcesConfig
count, home = int(sys.argv[1]), Path(sys.argv[2])
names = tuple(f"S{n:04d}" for n in range(count))
NOW = datetime(2024, 3, 6, 22, tzinfo=UTC)
days = calendar.sessions(date(2014, 3, 3), date(2024, 3, 6))
def told(**figures):
    print(json.dumps({**figures, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
def history(until, since):
    inside = days[(days >= np.datetime64(since)) & (days <= np.datetime64(until))]
    close = 50.0 + np.arange(len(inside)) % 7
    prices = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": np.full(len(inside), 1e6)}
    part = pl.DataFrame({"date": inside, **prices})
    return pl.concat([part.select(pl.lit(name).alias("symbol"), pl.all()) for name in names])
def night(sources, now=NOW):
    began = time.perf_counter()
    report = update(storage, Config(data=DataConfig(symbols=names, sources=sources)), now=now)
    assert report.attention == (), report.attention[:3]
    return time.perf_counter() - began
"""
YAHOO = (
    SETUP
    + """
import os, tempfile
import yfinance
yfinance.set_tz_cache_location(str(home / "yfinance"))
from mech_exo.datasource.yahoo import connected, ticker
from mech_exo.datasource.fetching import FetchSettings
sources = SourcesConfig(bars="yahoo", requests_per_second=100, history_start=date(2024, 1, 2))
with DataStorage(DataStorage.path_in(home)) as storage:
    storage.store_ohlc_data(history("2024-03-05", "2014-03-03").with_columns(pl.col("symbol")), source="yahoo")
    if sys.argv[3] == "known":
        for name in names:
            yfinance.cache.get_tz_cache().store(name, "America/New_York")
    took = night(sources)
    latest = storage.reach().last
    assert set(latest.values()) == {date(2024, 3, 6)} and len(latest) == count
began = time.perf_counter()
with connected(FetchSettings(rate=1000.0)) as session:
    for name in names[: count // 5]:
        ticker(name, session).history(start="2024-02-20", auto_adjust=False, actions=True)
told(seconds=took, beside=(time.perf_counter() - began) * 5)
"""
)
LAID_OUT = (
    SETUP
    + """
folder = home / "files"; folder.mkdir(parents=True)
whole = history("2024-03-06", "2014-03-03")
for (name,), rows in whole.partition_by("symbol", as_dict=True).items():
    rows.drop("symbol").write_csv(folder / f"{name}.csv")
with DataStorage(DataStorage.path_in(home)) as storage:
    storage.store_ohlc_data(whole.filter(pl.col("date") <= date(2024, 3, 5)), source="csv")
told()
"""
)
FILES = (
    SETUP
    + """
with DataStorage(DataStorage.path_in(home)) as storage:
    took = night(SourcesConfig(bars="csv", folder=Path("files")))
    assert set(storage.reach().last.values()) == {date(2024, 3, 6)}
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
began = time.perf_counter()
pl.scan_csv(sorted((home / "files").glob("*.csv"))).collect()
print(json.dumps({"seconds": took, "memory": memory, "beside": time.perf_counter() - began}))
"""
)
SERVER = """
import sys, time
from datetime import UTC, date, datetime
from pathlib import Path
import json
from mech_exo.datasource.replay.sample import meta
from mech_exo.datasource.replay.server import Answer, data, environment, page, replaying
from mech_exo.datasource.replay.when import day_of, opening
from mech_exo.utils import calendar
days = calendar.sessions(date(2014, 3, 3), date(2024, 3, 6)).tolist()
def chart(asked):
    since = day_of(int(asked.query["period1"])) if "period1" in asked.query else days[-1]
    inside = [(at, day) for at, day in enumerate(days) if day >= since]
    first = len(days)
    close = [50.0 + at % 7 for at, _ in inside]
    quote = {"open": close, "high": [c + 1 for c in close], "low": [c - 1 for c in close], "close": close}
    quote["volume"] = [1_000_000] * len(close)
    result = {"meta": meta(asked.path.rpartition("/")[2]), "timestamp": [opening(day) for _, day in inside],
              "indicators": {"quote": [quote], "adjclose": [{"adjclose": close}]}}
    return data({"chart": {"result": [result], "error": None}})
with replaying(Path(sys.argv[1])) as server:
    server.on("fc.yahoo.com", page("gone", 404))
    server.on("getcrumb", Answer(200, b"crumb", "text/plain"))
    server.serve("v8/finance/chart/", chart)
    print(json.dumps({name: value for name, value in environment(server).items() if value}), flush=True)
    sys.stdin.read()
"""


def child(code: str, *words: object, env: dict[str, str] | None = None) -> dict[str, float]:
    """The figures a process of its own prints."""
    command, variables = [sys.executable, "-c", code, *map(str, words)], {**os.environ, **(env or {})}
    ran = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env=variables, check=False)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def through_yfinance(symbols: int) -> list[Line]:
    """A night of one new session and ten looked at again, the server in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SERVER, folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as server:
            assert server.stdout is not None and server.stdin is not None
            led = json.loads(server.stdout.readline())
            lines = []
            for known, said in (("known", ""), ("new", ", time zones still to be asked")):
                found = child(YAHOO, symbols, Path(folder) / known, known, env=led)
                plain = ("yfinance alone, one after another", found["beside"])
                bar = 30.0 if known == "known" else None
                lines.append(line(f"a night of {symbols} symbols through yfinance{said}", found["seconds"], "s", bar, plain))
                lines.append(line(f"its memory{said}", found["memory"], "GB", 2.0))
            server.stdin.close()
    return lines


def from_files(symbols: int) -> list[Line]:
    """A night from a folder with ten years of each symbol in a CSV of its own."""
    with tempfile.TemporaryDirectory() as folder:
        child(LAID_OUT, symbols, Path(folder))
        found = child(FILES, symbols, Path(folder))
    plain = ("Polars reading the same files", found["beside"])
    return [
        line(f"a night of {symbols:,} symbols from one CSV each", found["seconds"], "s", 15.0, plain),
        line("its memory, from files", found["memory"], "GB", 2.0),
    ]


def measure(quick: bool) -> list[Line]:
    """Both."""
    return [*through_yfinance(20 if quick else 500), *from_files(60 if quick else 3_000)]


if __name__ == "__main__":
    sys.exit(main("Ingest", measure, __doc__))
