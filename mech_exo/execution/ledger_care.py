"""Keeping the ledger: verify the chain, back it up, restore a backup. Part of the ledger's store, like ``ledger.py``."""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime
from pathlib import Path

from mech_exo.domain.errors import LedgerError
from mech_exo.execution import codec
from mech_exo.execution.guard import Mark, MarkFile
from mech_exo.execution.ledger_tables import DAMAGE, KINDS, RESTORE, keep_private, lock, project, schema
from mech_exo.execution.rows import VerifyReport

COLUMNS = "seq, at, kind, key, body, prev_hash, hash"


def verify(connection: sqlite3.Connection, marked: Mark | None) -> VerifyReport:
    """Recompute the chain, rebuild every derived table from it and compare. ``marked`` is the high-water mark."""
    try:
        faults = [f"database: {text}" for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]
        last, rebuilt, broken = _replay(connection)
        faults += broken or _differences(connection, rebuilt)
        rebuilt.close()
        faults += _against_mark(connection, marked)
    except DAMAGE as error:
        return VerifyReport(0, "", (f"database: {error}",))
    return VerifyReport(last.seq, last.hash, tuple(faults))


def look(path: Path) -> VerifyReport:
    """:func:`verify` of a ledger that nobody writes, leaving no trace: neither beside it nor on a disk that cannot be written.

    LedgerError when something stands in its write-ahead log, which only opening it takes in, or when its mark is damaged.
    """
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise LedgerError(f"a ledger that is only looked at has an empty write-ahead log; {log} is not", remedy="exo ledger verify")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return verify(connection, mark_of(path).read())
    finally:
        connection.close()


def _replay(connection: sqlite3.Connection) -> tuple[Mark, sqlite3.Connection, list[str]]:
    last = Mark(0, codec.GENESIS)
    rebuilt = schema(sqlite3.connect(":memory:", isolation_level=None))
    rebuilt.execute("BEGIN")
    for seq, at, kind, key, body, before, digest in connection.execute(f"SELECT {COLUMNS} FROM journal ORDER BY seq"):
        if seq != last.seq + 1:
            return last, rebuilt, [f"journal row {last.seq + 1} is missing"]
        if before != last.hash or digest != codec.link(last.hash, seq, at, kind, key, body):
            return last, rebuilt, [f"journal row {seq} ({kind} {key}) does not fit its hash"]
        if kind not in KINDS:
            return last, rebuilt, [f"journal row {seq} is of the unknown kind {kind!r}"]
        project(rebuilt, seq, codec.decode(KINDS[kind], body))
        last = Mark(seq, digest)
    rebuilt.execute("COMMIT")
    return last, rebuilt, []


def _differences(connection: sqlite3.Connection, rebuilt: sqlite3.Connection) -> list[str]:
    names = rebuilt.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'journal' ORDER BY name").fetchall()
    faults = []
    for (table,) in names:
        sql = f"SELECT * FROM {table} ORDER BY 1, 2, 3"
        if connection.execute(sql).fetchall() != rebuilt.execute(sql).fetchall():
            faults.append(f"table {table} is not what the journal says")
    return faults


def _against_mark(connection: sqlite3.Connection, marked: Mark | None) -> list[str]:
    if marked is None:
        return ["the high-water mark is gone"]
    found = connection.execute("SELECT hash FROM journal WHERE seq = ?", (marked.seq,)).fetchone()
    there = codec.GENESIS if marked.seq == 0 else found and found[0]
    return [] if there == marked.hash else [f"row {marked.seq} is not the one that was committed"]


def check_mark(connection: sqlite3.Connection, path: Path, marked: Mark | None) -> Mark:
    """The last row of a ledger just opened. LedgerError when it is shorter than its mark, differs there, or has lost it.

    Rows after the mark (a process died between commit and mark) must fit the chain.
    """
    try:
        last = last_row(connection)
        if marked is None and last.seq:
            raise LedgerError(f"the ledger's high-water mark must stand beside it; {mark_of(path).path} is gone", remedy=RESTORE)
        marked = marked or last
        if _against_mark(connection, marked):
            fault = f"{path} ends at {last.seq} or differs there"
            raise LedgerError(f"the ledger must hold row {marked.seq} as it was committed; {fault}", remedy=RESTORE)
        previous = marked.hash
        rows = connection.execute("SELECT seq, at, kind, key, body, hash FROM journal WHERE seq > ? ORDER BY seq", (marked.seq,))
        for *fields, digest in rows:
            if digest != codec.link(previous, *fields):
                raise LedgerError(f"every journal row must fit its hash; row {fields[0]} of {path} does not", remedy=RESTORE)
            previous = digest
    except DAMAGE as error:
        raise LedgerError(f"the ledger at {path} must be readable; {error}", remedy=RESTORE) from error
    return last


def last_row(connection: sqlite3.Connection) -> Mark:
    """Seq and hash of the last journal row; zero and the genesis hash of an empty one."""
    found = connection.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    return Mark(*found) if found else Mark(0, codec.GENESIS)


def backup(connection: sqlite3.Connection, dest: Path) -> VerifyReport:
    """Copy the open ledger to ``dest`` (with its mark) and verify the copy, which is removed again if it is unsound."""
    if dest.exists():
        raise LedgerError(f"a backup never overwrites a file; {dest} exists", remedy="choose another name")
    dest.parent.mkdir(parents=True, exist_ok=True)
    try:
        report = _copy(connection, dest)
    except LedgerError:
        dest.unlink(missing_ok=True)
        raise
    if not report.sound:
        dest.unlink()
        mark_of(dest).path.unlink(missing_ok=True)
        raise LedgerError(f"a backup must be sound; the copy has: {'; '.join(report.faults)}", remedy=RESTORE)
    return report


def restore(path: Path, source: Path, at: datetime) -> VerifyReport:
    """Put the backup ``source`` in the place of the ledger at ``path``, whose files are kept beside it, and halt.

    What was sent after the backup was made is not in it: the restored ledger is halted until the operator has compared
    it with the broker and resumes. LedgerError when the backup is unsound; then nothing is changed.
    """
    if not source.exists():
        raise LedgerError(f"the backup must exist; {source} does not", remedy="list the backups in data/backups")
    held = lock(path, 0.0)
    try:
        staged = path.with_name(path.name + ".restoring")
        for leftover in (staged, mark_of(staged).path):
            leftover.unlink(missing_ok=True)
        origin = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        report = _copy(origin, staged)
        origin.close()
        if not report.sound:
            staged.unlink()
            raise LedgerError(f"a backup must be sound; {source}: {'; '.join(report.faults)}", remedy="restore an older one")
        _set_aside(path, at)
        mark_of(staged).path.replace(mark_of(path).path)
        staged.replace(path)
        _sync_folder(path.parent)
    finally:
        held.release()
    _halt_restored(path, source, at)
    return report


def _halt_restored(path: Path, source: Path, at: datetime) -> None:
    from mech_exo.execution.ledger import Ledger

    with Ledger.open(path, clock=lambda: at) as ledger:
        ledger.halt(f"restored from {source.name}: compare orders and positions with the broker, then `exo resume`")


def _set_aside(path: Path, at: datetime) -> None:
    stamp = at.strftime("%Y%m%dT%H%M%S")
    for suffix in ("", "-wal", "-shm", ".mark"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.replace(path.with_name(f"{path.name}.before-restore-{stamp}{suffix}"))


def _copy(connection: sqlite3.Connection, dest: Path) -> VerifyReport:
    keep_private(dest)
    copy = sqlite3.connect(dest)
    try:
        connection.backup(copy)
        # A file that stands alone: no write-ahead log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        marked = last_row(copy)
        report = verify(copy, marked)
    except DAMAGE as error:
        raise LedgerError(f"the ledger must be readable to be copied; {error}", remedy=RESTORE) from error
    finally:
        copy.close()
    mark = mark_of(dest)
    mark.write(marked)
    mark.close()
    return report


def mark_of(path: Path) -> MarkFile:
    """The mark file that belongs to the ledger at ``path``."""
    return MarkFile(path.with_name(path.name + ".mark"))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
