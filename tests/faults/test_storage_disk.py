"""A full disk, a flipped byte and a torn log: refused with the command that mends it, or answered as before; never another number."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from mech_exo.datasource.storage import DataStorage
from mech_exo.datasource.storage.publish import restore
from mech_exo.domain.errors import MechExoError, StoreError
from tests.conftest import Ran
from tests.datasource.market import bars, days
from tests.faults.small_disk import disk_of

FLIPS = max(12, int(os.environ.get("EXO_TEST_KILLS", "8")) // 2)
SMALL = bars(("AAA", "BBB"), days(count=50), seed=1)
LARGE = pl.concat([bars(tuple(f"S{n:03d}" for n in range(60)), days(count=250), seed=2).with_columns(symbol=pl.col("symbol") + f".{n}") for n in range(16)])
TAIL = """
import os, signal, sys
from mech_exo.datasource.storage import DataStorage, bars
import polars as pl
storage = DataStorage(sys.argv[1])
for number in range(6):
    storage.store_ohlc_data(pl.read_parquet(sys.argv[2]).with_columns(symbol=pl.lit(f"T{number}")), source="more")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(24, tmp_path / "disk") as disk:
        yield disk


def panel_hash(home: Path) -> tuple[str, str]:
    """Hash of the published panel and of the store's own."""
    with DataStorage.snapshot(home) as snapshot:
        published = snapshot.view().panel().data_hash()
    with DataStorage(DataStorage.path_in(home)) as storage:
        return published, storage.view().panel().data_hash()


def said(work: Callable[[], object]) -> MechExoError | None:
    """What ``work`` was refused with; None when it was done."""
    try:
        work()
    except MechExoError as error:
        return error
    return None


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves ``leave`` bytes of the disk."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"\0" * (shutil.disk_usage(disk).free - leave))
    return ballast


@pytest.mark.parametrize("leave", [0, 100_000, 1_000_000, 6_000_000])
def test_a_full_disk_stops_an_import_a_publication_and_a_backup_with_a_remedy(small_disk: Path, leave: int) -> None:
    home = small_disk / "w"
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(SMALL)
        storage.publish()
    before = panel_hash(home)
    ballast = fill(small_disk, leave)
    failed = 0
    tasks: tuple[Callable[[DataStorage], object], ...] = (
        lambda storage: storage.store_ohlc_data(LARGE),
        lambda storage: storage.publish(),
        lambda storage: storage.backup(small_disk / "backup.duckdb"),
    )
    for task in tasks:
        with DataStorage(DataStorage.path_in(home)) as storage:
            error = said(lambda task=task, storage=storage: task(storage))  # type: ignore[misc]
        if error is not None:
            assert "disk must have room" in error.message and "free some space" in str(error.remedy)
            failed += 1
        assert panel_hash(home)[0] in before
    if leave < 1_000_000:
        assert panel_hash(home) == before and failed >= 2
        assert not list(home.rglob("*.partial")) and not list(small_disk.glob("*.partial"))
    ballast.unlink()
    shutil.rmtree(small_disk / "backup.duckdb", ignore_errors=True)
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(SMALL.with_columns(symbol=pl.col("symbol") + "X"))
        storage.publish()
        whole = storage.view().panel().data_hash()
    assert panel_hash(home) == (whole, whole)


def flipped(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ (1 << bit)]))


def test_a_flipped_bit_is_refused_with_the_command_that_mends_it_or_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "w"
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(LARGE.head(60_000))
        snapshot = storage.publish().path
    database, panel = DataStorage.path_in(home), snapshot.with_suffix(".panel")
    expected, whole = panel_hash(home), database.read_bytes()
    chance, refused = random.Random(5), 0
    for turn in range(FLIPS):
        path = (database, snapshot, *sorted(panel.iterdir()))[turn % (2 + len(list(panel.iterdir())))]
        content = path.read_bytes()
        flipped(path, chance.randrange(len(content)), chance.randrange(8))
        found: list[tuple[str, str]] = []
        error = said(lambda found=found: found.append(panel_hash(home)))  # type: ignore[misc]
        if error is None:
            assert found == [expected], (path.name, turn)
        else:
            assert "exo data restore" in str(error.remedy) or "exo data publish" in str(error.remedy)
            refused += 1
        path.write_bytes(content)
    assert refused, "some flips must have been noticed"
    assert database.read_bytes() == whole and panel_hash(home) == expected


def test_a_damaged_block_is_said_by_the_command_line(tmp_path: Path, exo: object) -> None:
    home = tmp_path / "w"
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(LARGE.head(60_000))
        snapshot = storage.publish().path
    content = bytearray(snapshot.read_bytes())
    for place in range(20_000, len(content), 5_000):
        content[place] ^= 0xFF
    snapshot.write_bytes(content)
    ran: Ran = exo("--home", home, "data", "status")  # type: ignore[operator]
    assert ran.code != 0 and "exo data publish" in ran.err and "Traceback" not in ran.err
    ran = exo("--home", home, "data", "publish")  # type: ignore[operator]
    assert ran.code == 0, ran.err
    assert exo("--home", home, "data", "status").code == 0  # type: ignore[operator]


def test_a_torn_log_gives_a_prefix_of_whole_imports(tmp_path: Path) -> None:
    """The write-ahead log is cut at any byte: what was committed before the cut is there, in whole transactions."""
    home = tmp_path / "w"
    database = DataStorage.path_in(home)
    with DataStorage(database) as storage:
        storage.store_ohlc_data(SMALL)
    one = SMALL.head(50)
    one.write_parquet(tmp_path / "one.parquet")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", TAIL, str(database), str(tmp_path / "one.parquet")], env=environment, check=False)
    log = database.with_name(database.name + ".wal")
    content, base = log.read_bytes(), database.read_bytes()
    assert len(content) > 10_000
    seen = set()
    for turn in range(FLIPS):
        database.write_bytes(base)
        log.write_bytes(content[: len(content) * turn // FLIPS + turn])
        names: tuple[str, ...] = ()
        if error := said(lambda: DataStorage(database).close()):
            assert "exo data restore" in str(error.remedy)
            continue
        with DataStorage(database) as storage:
            names = storage.view().panel().symbols
            assert not any(storage.view().bars(name).height != 50 for name in names), "a transaction is whole or not there"
        assert names == ("AAA", "BBB", *(f"T{number}" for number in range(len(names) - 2)))
        seen.add(len(names))
    assert len(seen) > 2


def test_restoring_goes_on_after_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    home = small_disk / "w"
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(SMALL)
        storage.publish()
        backup = storage.backup(tmp_path / "backup.duckdb")
    before = panel_hash(home)
    ballast = fill(small_disk, 4_096)
    with pytest.raises(StoreError, match="disk"):
        restore(backup, DataStorage.path_in(home), overwrite=True)
    assert panel_hash(home) == before
    ballast.unlink()
    restore(backup, DataStorage.path_in(home), overwrite=True)
    assert panel_hash(home) == before
