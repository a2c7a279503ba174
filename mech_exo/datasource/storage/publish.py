"""Snapshots, backups and their return: whole files, checked, named by their content, put in place by a rename."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb

from mech_exo.datasource.storage.connection import SETTINGS, SNAPSHOTS, Connection, WriterLock, connect, descriptor, run, trouble
from mech_exo.datasource.storage.panel_files import continued, intact, note_token, save_grid, save_grown
from mech_exo.domain.errors import InputError, MissingDataError, StoreError
from mech_exo.utils import durable

FOLDER = SNAPSHOTS
POINTER = "CURRENT"
KEEP = 3
HEAD = 3 * 4096
"""Bytes of DuckDB's headers, which every checkpoint with something to write changes."""


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A published snapshot: the first 16 hex digits of its SHA-256, its file, and whether this call made it."""

    hash: str
    path: Path
    fresh: bool


def snapshot_folder(database: Path) -> Path:
    """Where the snapshots of ``database`` lie."""
    return database.parent / FOLDER


def grid_folder(snapshot: Path) -> Path:
    """Where the arrays of ``snapshot`` lie."""
    return snapshot.with_suffix(".panel")


def current(database: Path) -> Path | None:
    """The snapshot the pointer names; None when nothing was published.

    Raises StoreError when the pointer names a file that is not there.
    """
    pointer = snapshot_folder(database) / POINTER
    if not pointer.exists():
        return None
    path = pointer.parent / pointer.read_text(encoding="utf-8").strip()
    if not path.is_file():
        raise StoreError(f"{pointer} must name a snapshot; {path.name} is missing", remedy="exo data publish")
    return path


def holds_bars(database: Path) -> bool:
    """Whether a bar is stored: an import that broke off leaves tables without rows, or no tables yet.

    True too where that cannot be seen (another process is writing, the file is damaged): publishing then says which.
    """
    try:
        con = duckdb.connect(str(database), read_only=True, config=SETTINGS)
    except duckdb.Error:
        return True
    try:
        made = run(con, "select count(*) from information_schema.tables where table_name = 'bars'")[0][0]
        return bool(made) and bool(run(con, "select 1 from bars limit 1"))
    finally:
        con.close()


def publish(con: Connection, database: Path) -> SnapshotRef:
    """Checkpoint ``database``, copy it under the hash of its content with its arrays, and point CURRENT at it.

    Readers see the old snapshot or the new one. Same content, same name: then nothing is written. The last three are kept.
    """
    folder = snapshot_folder(database)
    folder.mkdir(parents=True, exist_ok=True)
    before = _pointed(folder) if (folder / POINTER).exists() else None
    bars = bool(run(con, "select 1 from bars limit 1"))
    if bars and before is None:
        note_token(con)
    _checkpoint(con, database)
    source = descriptor(database)
    if before is not None and same(source, before) and (intact(grid_folder(before)) or not bars):
        return SnapshotRef(before.stem, before, False)
    partial = folder / f"publishing-{os.getpid()}.partial"
    panel = folder / f"publishing-{os.getpid()}.panel.partial"
    head = os.pread(source, HEAD, 0)
    try:
        with ThreadPoolExecutor(1) as disk:  # which works beside the processor
            copied = disk.submit(durable.copy_open, source, partial)
            growth = continued(con, grid_folder(before)) if bars and before is not None else None
            if growth is not None:
                save_grown(growth, panel)
            elif bars:
                token = note_token(con)
                _checkpoint(con, database)
                if os.pread(source, HEAD, 0) != head:  # a new token: it must be in the copy
                    head = os.pread(source, HEAD, 0)
                    copied = disk.submit(durable.copy_open, source, partial)
                save_grid(con, panel, token)
        target = folder / f"{copied.result()[:16]}.duckdb"
        if os.pread(source, HEAD, 0) != head:
            raise StoreError(f"the database must not change while it is published; {database} did", remedy="exo data publish")
        if bars:
            shutil.rmtree(grid_folder(target), ignore_errors=True)
            panel.rename(grid_folder(target))
        partial.replace(target)
        durable.flush_folder(folder)
        durable.write_text(folder / POINTER, target.name + "\n")
    finally:
        shutil.rmtree(panel, ignore_errors=True)
        partial.unlink(missing_ok=True)
    _forget(folder, target)
    return SnapshotRef(target.stem, target, True)


def same(source: int, target: Path) -> bool:
    """Whether the snapshot ``target`` is undamaged and what the open database ``source`` is. The heads tell most apart at a glance."""
    if not target.is_file():
        return False
    with target.open("rb") as file:
        if file.read(HEAD) != os.pread(source, HEAD, 0):
            return False
    name = durable.digest(target)
    return name.startswith(target.stem) and durable.digest_open(source) == name


def backup(con: Connection, database: Path, destination: Path) -> Path:
    """Copy the store to ``destination`` (a new file, or a folder to hold ``mech_exo.duckdb``) with its SHA-256 beside it.

    Raises InputError when the file exists already.
    """
    target = destination / database.name if destination.is_dir() else destination
    if target.exists():
        raise InputError(f"a backup never overwrites; {target} exists", remedy="name another file")
    target.parent.mkdir(parents=True, exist_ok=True)
    _checkpoint(con, database)
    partial = target.with_name(target.name + ".partial")
    try:
        digest = durable.copy_open(descriptor(database), partial)
        durable.write_text(_digest_file(target), f"{digest}  {target.name}\n")
        partial.replace(target)
        durable.flush_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)
    return target


def verify(source: Path) -> dict[str, int]:
    """Read every table of the backup ``source`` to its end: rows by table.

    Raises MissingDataError when it does not exist, StoreError when its hash differs or a block cannot be read.
    """
    if not source.is_file():
        raise MissingDataError(f"a backup must be a file; {source} is none")
    noted = _digest_file(source)
    if noted.exists() and noted.read_text(encoding="utf-8").split()[0] != durable.digest(source):
        raise StoreError(f"a backup must have the hash noted in {noted.name}; {source} differs", remedy="use another backup")
    con = connect(source, read_only=True, older=True)  # who opens it for writing brings it up to date
    try:
        tables = [row[0] for row in run(con, "select table_name from information_schema.tables where table_type = 'BASE TABLE' order by 1")]
        return {name: int(run(con, f"select count(*), bit_xor(hash(t)) from {name} t")[0][0]) for name in tables}
    except duckdb.Error as error:
        raise StoreError(f"{source} is damaged: {str(error).splitlines()[0]}", remedy="use another backup") from error
    finally:
        con.close()


def restore(source: Path, database: Path, *, overwrite: bool = False) -> dict[str, int]:
    """Put the verified backup ``source`` in the place of ``database``; the old store stays beside it as ``.replaced``. Rows by table.

    Raises InputError when ``database`` exists and ``overwrite`` is false.
    """
    rows = verify(source)
    if database.exists() and not overwrite:
        raise InputError(f"restoring never overwrites unasked; {database} exists", remedy=f"exo data restore {source} --yes")
    lock = WriterLock(database)
    lock.take()
    partial = database.with_name(database.name + ".partial")
    try:
        durable.copy(source, partial)
        wal = database.with_name(database.name + ".wal")
        for old in (wal, database):
            if old.exists():
                old.replace(old.with_name(old.name + ".replaced"))
        partial.replace(database)
        durable.flush_folder(database.parent)
    except OSError as error:
        raise trouble(database, error) from error
    finally:
        partial.unlink(missing_ok=True)
        lock.release()
    return rows


def _checkpoint(con: Connection, database: Path) -> None:
    run(con, "checkpoint")
    wal = database.with_name(database.name + ".wal")
    if wal.exists() and wal.stat().st_size:
        raise StoreError(
            f"the write-ahead log must be empty after a checkpoint; {wal} is not",
            remedy="close other readers of this process and publish again",
        )


def _pointed(folder: Path) -> Path:
    return folder / (folder / POINTER).read_text(encoding="utf-8").strip()


def _digest_file(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _forget(folder: Path, newest: Path) -> None:
    """Keep the last snapshots; remove older ones, arrays without a snapshot and what a killed publisher left behind."""
    snapshots = sorted(folder.glob("*.duckdb"), key=lambda path: (path == newest, path.stat().st_mtime_ns), reverse=True)
    for old in snapshots[KEEP:]:
        old.unlink()
    kept = {grid_folder(path) for path in snapshots[:KEEP]}
    for left in folder.glob("*.panel"):
        if left not in kept:
            shutil.rmtree(left)
    for left in folder.glob("*.partial"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
