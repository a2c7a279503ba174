"""kill -9 at every write of an import and a publication leaves the old state or the new one, whole, and the next run completes it.

``EXO_TEST_KILLS=200 pytest tests/faults/test_storage_kill.py`` makes the long campaign (``make faults``).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from mech_exo.datasource.storage import DataStorage
from mech_exo.datasource.storage.panel_files import intact
from tests.datasource.market import bars, days

CHILD = Path(__file__).with_name("store_child.py")
KILLS = int(os.environ.get("EXO_TEST_KILLS", "6"))
OLD = bars(("AAA", "BBB"), days(count=50), seed=1)
NEW = pl.concat([bars(tuple(f"S{n:03d}" for n in range(62)), days(count=250), seed=2).with_columns(symbol=pl.col("symbol") + f".{n}") for n in range(8)])


@dataclass(frozen=True)
class World:
    """The hash of the panel before and after, the file to import, and the writes a whole run makes."""

    old: str
    new: str
    file: Path
    writes: tuple[str, ...]


def start(home: Path, file: Path, at: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [sys.executable, str(CHILD), str(home), str(file), str(at)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def workspace(folder: Path) -> Path:
    with DataStorage(DataStorage.path_in(folder)) as storage:
        storage.store_ohlc_data(OLD, source="old")
        storage.publish()
    return folder


def hashes(home: Path) -> tuple[str, str]:
    """Hash of the published panel and of the store's own, after the writer's death."""
    with DataStorage.snapshot(home) as snapshot:
        assert intact(snapshot.path.with_suffix(".panel")), "a published snapshot has its arrays"
        published = snapshot.view().panel().data_hash()
    with DataStorage(DataStorage.path_in(home)) as storage:
        return published, storage.view().panel().data_hash()


def heal(home: Path, world: World) -> None:
    """Doing it again completes it and leaves nothing behind."""
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(NEW, source="new")
        storage.publish()
    assert hashes(home) == (world.new, world.new)
    assert not list((home / "data").rglob("*.partial"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("whole")
    NEW.write_parquet(folder / "new.parquet")
    old, _ = hashes(workspace(folder))
    child = start(folder, folder / "new.parquet", -1)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    published, stored = hashes(folder)
    assert published == stored != old
    *writes, done = out.splitlines()
    assert done == "done" and len(writes) > 20
    return World(old, stored, folder / "new.parquet", tuple(writes))


def chosen(count: int, kills: int) -> list[int]:
    """``kills`` of the writes 0 … count - 1, all of them as often as it takes."""
    return [(place * count // kills if kills < count else place) % count for place in range(kills)]


def test_killed_at_every_write(world: World, tmp_path: Path) -> None:
    committed, pointed = world.writes.index("commit"), next(n for n, what in enumerate(world.writes) if what.startswith("os.rename .CURRENT"))
    for turn, at in enumerate(chosen(len(world.writes), max(KILLS, 6))):
        home = workspace(tmp_path / str(turn))
        with start(home, world.file, at) as child:
            _, err = child.communicate(timeout=120)
        assert child.returncode == -signal.SIGKILL, err
        found, what = hashes(home), (at, world.writes[at])
        assert found[1] == (world.new if at > committed else world.old), what
        assert found[0] == (world.new if at > pointed else world.old), what
        heal(home, world)


def test_killed_at_any_moment(world: World, tmp_path: Path) -> None:
    chance = random.Random(4)
    for turn in range(max(KILLS // 4, 3)):
        home = workspace(tmp_path / str(turn))
        with start(home, world.file, "any") as child:
            assert child.stdout is not None and child.stdout.readline() == "now\n"
            time.sleep(chance.uniform(0.0, 0.6))
            os.kill(child.pid, signal.SIGKILL)
        published, stored = hashes(home)
        assert stored in (world.old, world.new)
        assert published in (world.old, stored)
        heal(home, world)
