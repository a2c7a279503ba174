"""kill -9 in the middle of an import or a publication leaves the old state or the new one, whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from mech_exo.datasource.storage import DataStorage
from tests.datasource.market import bars, days

OLD, NEW = bars(("AAA", "BBB"), days(count=50), seed=1), bars(tuple(f"S{n:03d}" for n in range(60)), days(count=250), seed=2)

# The child stops itself at a named line of work, so that the kill always falls into the middle of something.
CHILD = """
import os, signal, sys, time
import polars as pl
from mech_exo.datasource.storage import DataStorage, arrays, bars, facts, publish
from mech_exo.utils import durable

def die(*_, **__):
    print("now", flush=True)
    time.sleep(60)

home, file, point = sys.argv[1:]
places = {
    "before the bars": (facts, "add"),
    "after the bars, before the commit": (bars, "_add_quarantine"),
    "copying the snapshot": (durable, "flush_file"),
    "before the arrays": (publish, "save_grid"),
    "in the arrays": (arrays, "flush_file"),
    "before the pointer": (durable, "write_text"),
    "before forgetting": (publish, "_forget"),
}
storage = DataStorage(DataStorage.path_in(__import__("pathlib").Path(home)))
if point in places:
    setattr(*places[point], die)
if point == "any":
    print("open", flush=True)
storage.store_ohlc_data(pl.read_parquet(file), source="new")
storage.publish()
print("now", flush=True)
time.sleep(60)
"""
STORED = {"before the bars": False, "after the bars, before the commit": False}
PUBLISHED = {"before forgetting", "all done"}
POINTS = (
    "before the bars",
    "after the bars, before the commit",
    "copying the snapshot",
    "before the arrays",
    "in the arrays",
    "before the pointer",
    "before forgetting",
    "all done",
)


def child(home: Path, file: Path, point: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", CHILD, str(home), str(file), point], stdout=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with DataStorage(DataStorage.path_in(tmp_path)) as storage:
        storage.store_ohlc_data(OLD, source="old")
        storage.publish()
    return tmp_path


def hashes(home: Path) -> tuple[str, str]:
    """Hash of the published panel and of the store's own, after the writer's death."""
    with DataStorage.snapshot(home) as snapshot:
        published = snapshot.view().panel().data_hash()
    with DataStorage(DataStorage.path_in(home)) as storage:
        return published, storage.view().panel().data_hash()


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point(home: Path, tmp_path: Path, point: str) -> None:
    NEW.write_parquet(tmp_path / "new.parquet")
    old, _ = hashes(home)
    with child(home, tmp_path / "new.parquet", point) as process:
        assert process.stdout is not None and process.stdout.readline() == "now\n"
        os.kill(process.pid, signal.SIGKILL)
    published, stored = hashes(home)
    assert (stored != old) is STORED.get(point, True)
    assert published == (stored if point in PUBLISHED else old)
    with DataStorage(DataStorage.path_in(home)) as storage:  # doing it again completes it
        storage.store_ohlc_data(NEW, source="new")
        reference = storage.publish()
        whole = storage.view().panel()
    assert whole.shape[1] == 62 and storage.path.parent.joinpath("snapshots", reference.path.name).exists()
    assert hashes(home) == (whole.data_hash(), whole.data_hash())
    assert not list((home / "data" / "snapshots").glob("*.partial"))


@pytest.mark.parametrize("after", [0.02, 0.15, 0.4])
def test_killed_at_any_moment(home: Path, tmp_path: Path, after: float) -> None:
    big = pl.concat([NEW.with_columns(symbol=pl.col("symbol") + f".{n}") for n in range(8)])
    big.write_parquet(tmp_path / "new.parquet")
    old, _ = hashes(home)
    with child(home, tmp_path / "new.parquet", "any") as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        time.sleep(after)
        os.kill(process.pid, signal.SIGKILL)
    published, stored = hashes(home)
    with DataStorage(DataStorage.path_in(home)) as storage:
        columns = storage.view().panel().shape[1]
    assert columns in (2, 482)
    assert published in (old, stored)
