"""A process that imports and publishes, and kills itself at its n-th write: before the statement, sync, rename, removal or opening.

``store_child.py HOME FILE N``; N = -1 counts the writes and prints each; N = "any" says when it starts and is killed from outside.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import polars as pl

from mech_exo.datasource.storage import DataStorage, bars, connection, facts, publish
from mech_exo.utils import durable

FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")
passed = itertools.count()


def write(what: str) -> None:
    """One more write is about to happen."""
    if LIMIT < 0:
        print(what, flush=True)
    elif next(passed) == LIMIT:
        os.kill(os.getpid(), signal.SIGKILL)


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    path = str(arguments[0]) if arguments else ""
    if HOME in path and (event in FILE_EVENTS or (event == "open" and set(str(arguments[1])) & set("wa+"))):
        write(f"{event} {Path(path).name}")


def run(con: connection.Connection, sql: str, params: connection.Params | None = None) -> list[tuple[Any, ...]]:
    words = " ".join(sql.split())
    if not words.startswith("select"):
        write(words[:60])
    return honest(con, sql, params)


HOME, FILE, AT = sys.argv[1:]
LIMIT = 10**9 if AT == "any" else int(AT)
honest, sync = connection.run, os.fsync
connection.run = facts.run = bars.run = publish.run = run
durable.os.fsync = lambda handle: (write("fsync"), sync(handle))[1]  # type: ignore[assignment,func-returns-value]
storage = DataStorage(DataStorage.path_in(Path(HOME)))
sys.addaudithook(watch)
if AT == "any":
    print("now", flush=True)
storage.store_ohlc_data(pl.read_parquet(FILE), source="new")
write("between import and publication")
storage.publish()
print("done", flush=True)
