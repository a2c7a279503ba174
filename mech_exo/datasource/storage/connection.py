"""Opening the store: one writer, hardened DuckDB settings, numbered migrations."""

from __future__ import annotations

import errno
import fcntl
import functools
import inspect
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import duckdb
import polars as pl

from mech_exo.domain.errors import MissingDataError, StoreError

SCHEMA_FILE = Path(__file__).parent.parent / "schema.sql"
SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "lock_configuration": "true",
    "python_enable_replacements": "false",
}

SNAPSHOTS = "snapshots"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
T = TypeVar("T")

Connection = duckdb.DuckDBPyConnection
Params = Mapping[str, Any]


def run(con: Connection, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
    """Execute one statement and drain it: DuckDB 2 may leave an undrained statement unfinished."""
    rows: list[tuple[Any, ...]] = con.execute(sql, dict(params) if params else None).fetchall()
    return rows


def table(con: Connection, sql: str, params: Params | None = None) -> pl.DataFrame:
    """The result of one query as a Polars frame; instants in UTC."""
    relation = con.sql(sql, params=dict(params)) if params else con.sql(sql)
    frame = pl.from_arrow(relation.to_arrow_table())
    assert isinstance(frame, pl.DataFrame)
    instants = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    return frame.with_columns(pl.col(instants).dt.convert_time_zone("UTC")) if instants else frame


@contextmanager
def transaction(con: Connection) -> Iterator[None]:
    """All of it or nothing."""
    run(con, "begin")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # a commit that failed has ended the transaction, a full disk perhaps the connection
            run(con, "rollback")
        raise
    run(con, "commit")


def connect(path: Path, *, read_only: bool, older: bool = False) -> Connection:
    """A connection to ``path`` of this program's schema version (``older``: or of an earlier one); a writer creates and migrates it.

    Raises
    ------
    MissingDataError
        Read-only and the file does not exist.
    StoreError
        Another process has it open, the file is damaged, or a newer program wrote it.
    """
    if read_only and not path.exists():
        raise MissingDataError(f"the store must exist to be read; {path} does not", remedy="exo data import FILE…")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        con = duckdb.connect(str(path), read_only=read_only, config=SETTINGS)
        _migrate(con, path, read_only=read_only, older=older)
    except (duckdb.Error, OSError) as error:
        raise trouble(path, error) from error
    return con


def trouble(path: Path, error: Exception) -> StoreError:
    """What DuckDB or the operating system said about the database ``path``, as this program says it: no room, or held, or damaged."""
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    if getattr(error, "errno", None) in NO_ROOM or any(os.strerror(number) in str(error) for number in NO_ROOM):
        left = shutil.disk_usage(path.parent).free / 1e6
        return StoreError(
            f"the disk must have room for what is written; {path.parent} has {left:,.1f} MB left",
            remedy="free some space and run it again; what was stored and published before is as it was",
        )
    if isinstance(error, OSError):
        return StoreError(f"{path} cannot be read or written: {said}", remedy="look at its rights and at the disk, then run it again")
    cure = "exo data publish" if path.parent.name == SNAPSHOTS else "exo data restore BACKUP"
    return StoreError(f"{path} cannot be read: {said}", remedy=f"another program may hold it; if it is damaged: {cure}")


def speaking(kind: type[T]) -> type[T]:
    """A class whose public methods turn what DuckDB and the disk say into StoreErrors; ``self.path`` is the database."""

    def told(method: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> object:
            try:
                return method(self, *args, **kwargs)
            except (duckdb.Error, OSError) as error:
                raise trouble(self.path, error) from error

        return call

    for name, member in list(vars(kind).items()):
        if inspect.isfunction(member) and (not name.startswith("_") or name == "__init__"):
            setattr(kind, name, told(member))
    return kind


def descriptor(path: Path) -> int:
    """The descriptor under which this process has the database ``path`` open: read it through this one, and leave it open.

    Opening and closing the file once more would drop every lock the process holds on it (POSIX, ``fcntl``), DuckDB's own with them, and
    let a foreign program write into an open database. Raises StoreError when the file is not open.
    """
    wanted = path.stat()
    for open_file in Path("/dev/fd").iterdir():
        try:
            found = os.fstat(int(open_file.name))
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return int(open_file.name)
    raise StoreError(f"the open database must be the file at its path; {path} was replaced or removed meanwhile", remedy="start again")


def migrations() -> list[str]:
    """The numbered migrations of schema.sql, in order; entry 0 is migration 1."""
    parts = re.split(r"^-- migration (\d+)$", SCHEMA_FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    numbers = [int(number) for number in parts[::2]]
    assert numbers == list(range(1, len(numbers) + 1)), f"migrations must be numbered 1, 2, …; got {numbers}"
    return parts[1::2]


def schema_version(con: Connection) -> int:
    """The number of migrations the store has been through; 0 for a new file."""
    exists = run(con, "select count(*) from information_schema.tables where table_name = 'meta'")[0][0]
    if not exists:
        return 0
    return int(run(con, "select coalesce(max(value::integer), 0) from meta where key = 'schema_version'")[0][0])


def _migrate(con: Connection, path: Path, *, read_only: bool, older: bool) -> None:
    scripts = migrations()
    have = schema_version(con)
    if have > len(scripts):
        raise StoreError(
            f"the store's schema version must be at most {len(scripts)}; {path} has {have}",
            remedy="update this program: a newer one wrote the store",
        )
    if read_only:
        if have < len(scripts) and not older:
            raise StoreError(f"the store's schema version must be {len(scripts)}; {path} has {have}", remedy="exo data publish")
        return
    for number, script in enumerate(scripts[have:], have + 1):
        run(con, "begin")
        for statement in con.extract_statements(script):
            con.execute(statement).fetchall()
        run(con, "insert into meta select 'schema_version', $n::varchar, now()", {"n": number})
        run(con, "commit")


class WriterLock:
    """The right to write: a file beside the database, locked by the operating system and holding the writer's process id.

    The kernel drops the lock when the process dies, however it dies; a left-over file therefore blocks nobody.
    """

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Take the lock at once or raise StoreError naming the process that holds it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+", encoding="ascii")
        except OSError as error:
            raise StoreError(
                f"the store's folder must be writable; {self.path.parent}: {error.strerror}",
                remedy="free it for writing, or choose another workspace with --home or EXO_HOME",
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            whose = "this very process" if holder == str(os.getpid()) else f"process {holder}"
            raise StoreError(
                f"the store has one writer at a time; {whose} holds {self.path}",
                remedy=f"wait until it ends, or look at it: ps -p {holder}",
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back; harmless when not held."""
        if self._file is not None:
            self._file.close()
            self._file = None
