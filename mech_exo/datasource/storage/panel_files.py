"""The memory-mapped copy of the panel's arrays that lies beside a snapshot: a base, written once, and the cells that changed since.

The base is shared by the snapshots that follow (hard links), so a night costs what the night changed. A grid is the base mapped
copy-on-write with the patch laid over it.

Which store a base belongs to is seen from a token: publishing puts it into the store before the base is made of it. Rows are only ever
added and ``recorded_at`` never runs backwards, so a store with the token holds every row of the base, and what was recorded later is
all that is missing in it. The number of rows shows one added at the very instant of the last.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import mmap
import os
import shutil
import uuid
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mech_exo.datasource.storage.arrays import THREADS, Grid, by_symbol, turned_blocks
from mech_exo.datasource.storage.connection import Connection, run, table
from mech_exo.datasource.storage.facts import BARS, Cut, visible
from mech_exo.domain.panel import BAR_FIELDS
from mech_exo.utils import calendar, log

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 3
FACTS = "grid.json"
META_KEY = "arrays"  # of the token
SPARE = 64
"""Sessions without a bar at a base's end: as many nights need no new base."""
SHARE = 30
"""A patch holds at most one in so many cells: each touched page is copied when a grid is loaded."""
CELL = np.dtype([("row", np.int64), ("column", np.int64), *((name, np.float64) for name in BAR_FIELDS)])
BASE = tuple(f"{name}.npy" for name in ("sessions", *BAR_FIELDS))
PATCH = "patch.npy"

_crc32: dict[tuple[int, int, int, int], int] = {}


@dataclass(frozen=True, eq=False)
class Growth:
    """What a base lacks: its folder and facts, the cells ``(K,)`` of ``CELL``, and the number of sessions up to the last bar."""

    folder: Path
    facts: dict[str, Any]
    cells: NDArray[np.void]
    sessions: int


def continued(con: Connection, folder: Path) -> Growth | None:
    """What the base in ``folder`` lacks of the store; None where a new base must be made.

    That is where it is damaged or another store's, where a symbol or a session has no place in it, and where too much has changed.
    """
    if not intact(folder):
        return None
    saved = _saved(folder)
    if not run(con, "select 1 from meta where key = $key and value = $token", {"key": META_KEY, "token": saved["token"]}):
        return None
    since = {"since": datetime.fromisoformat(saved["recorded"])}
    if run(con, "select count(*) from bars where recorded_at > $since", since)[0][0] + saved["rows"] != _count(con):
        return None
    # Of a fact with rows since, the last one is among them.
    columns = ", ".join(("symbol", "session", *BAR_FIELDS))
    fresh = table(con, f"select {columns} from ({visible(BARS, 'recorded_at > $since')})", {**Cut().params(), **since})
    days, symbols = np.load(folder / "sessions.npy"), pl.Series(saved["symbols"], dtype=pl.String)
    first, last = days[[0, -1]].tolist()
    if (
        fresh.height > len(days) * len(symbols) // SHARE
        or not fresh["session"].is_between(first, last).all()
        or not fresh["symbol"].unique().is_in(symbols.implode()).all()
        or not np.array_equal(days, calendar.sessions(first, last))
    ):
        return None
    grid = Grid(days, tuple(symbols), {})
    cells = np.empty(fresh.height, CELL)
    cells["row"], cells["column"] = grid.row_of(fresh["session"].to_numpy()), grid.columns_of(fresh["symbol"])
    for name in BAR_FIELDS:
        cells[name] = fresh[name].to_numpy()
    return Growth(folder, saved, cells, max(saved["base"], int(cells["row"].max(initial=-1)) + 1))


def note_token(con: Connection) -> str:
    """A token of the store as it is: one that is in it and was put there after its last bar."""
    rows = _count(con)
    held = run(con, "select value from meta where key = $key and ends_with(value, $rows) limit 1", {"key": META_KEY, "rows": f"-{rows}"})
    if held:
        return str(held[0][0])
    token = f"{uuid.uuid4().hex}-{rows}"
    run(con, "insert into meta values ($key, $token, now())", {"key": META_KEY, "token": token})
    return token


def save_grown(growth: Growth, folder: Path) -> None:
    """The base of ``growth`` and what it lacks, in the new ``folder``."""
    _emptied(folder)
    for name in BASE:
        try:
            os.link(growth.folder / name, folder / name)
        except OSError:  # a file system without hard links
            shutil.copyfile(growth.folder / name, folder / name)
    checksums = {name: growth.facts["crc32"][name] for name in BASE}
    _finish(folder, {**growth.facts, "sessions": growth.sessions, "crc32": checksums}, growth.cells)


def save_grid(con: Connection, folder: Path, token: str) -> None:
    """Write a base of the newest answer of a store with bars, which holds ``token``, to the new ``folder``.

    The files are not pushed to the disk: what a power cut takes of them fails its checksum, and the database answers instead.
    """
    grid = by_symbol(con, Cut())
    assert grid is not None, "a base needs bars"
    _emptied(folder)
    rows = len(grid.sessions)
    first: date = grid.sessions[0].item()
    days = calendar.sessions(first, calendar.LAST_DAY)[: rows + SPARE]
    with ThreadPoolExecutor(THREADS) as pool:
        work = [pool.submit(_write, folder / f"{name}.npy", grid.bars.pop(name), len(days)) for name in BAR_FIELDS]
        checksums = {f"{name}.npy": done.result() for name, done in zip(BAR_FIELDS, work, strict=True)}
    np.save(folder / "sessions.npy", days)
    checksums["sessions.npy"] = _checksum(folder / "sessions.npy")
    recorded = run(con, "select max(recorded_at) from bars")[0][0]
    facts = {
        "format": FORMAT,
        "token": token,
        "recorded": recorded.astimezone(UTC).isoformat(),
        "rows": _count(con),
        "base": rows,
        "sessions": rows,
        "symbols": grid.symbols,
        "crc32": checksums,
    }
    _finish(folder, facts, np.empty(0, CELL))


def load_grid(folder: Path) -> Grid | None:
    """The grid of ``folder``, memory-mapped and read-only; None when there is none of this format, or a damaged one (which is logged)."""
    if not intact(folder):
        return None
    saved = _saved(folder)
    rows, cells = saved["sessions"], np.load(folder / PATCH)
    bars = {}
    for name in BAR_FIELDS:
        array = np.load(folder / f"{name}.npy", mmap_mode="c").view(np.ndarray)  # copy-on-write: the file stays as it is
        array[cells["row"], cells["column"]] = cells[name]
        array.flags.writeable = False
        bars[name] = array[:rows]
    return Grid(np.load(folder / "sessions.npy")[:rows], tuple(saved["symbols"]), bars)


def intact(folder: Path) -> bool:
    """Whether ``folder`` holds a grid of this format that is as it was written."""
    if not (folder / FACTS).exists():
        return False
    return _intact(folder, tuple(_stamp(path) for path in sorted(folder.iterdir())))


@functools.lru_cache(maxsize=8)
def _intact(folder: Path, _: tuple[tuple[int, int, int, int], ...]) -> bool:
    """Every byte is read once per process, and again when a file has been touched."""
    try:
        saved = _saved(folder)
        with ThreadPoolExecutor(THREADS) as pool:
            files = (*BASE, PATCH)
            found = dict(zip(files, pool.map(lambda name: _checksum(folder / name), files), strict=True))
        good = bool(saved["format"] == FORMAT and saved["crc32"] == found)
    except (OSError, ValueError, KeyError, TypeError):
        good = False
    if not good:
        said = "the arrays of a snapshot must be as they were written; %s are not, the database answers instead → exo data publish"
        log.get(__name__).warning(said, folder)
    return good


def _finish(folder: Path, facts: dict[str, Any], cells: NDArray[np.void]) -> None:
    """Write the patch and, last, the facts with a checksum of everything."""
    np.save(folder / PATCH, cells)
    facts["crc32"][PATCH] = _checksum(folder / PATCH)
    text = json.dumps(facts)
    (folder / FACTS).write_text(json.dumps({"crc32": zlib.crc32(text.encode()), "facts": text}), encoding="utf-8")


def _saved(folder: Path) -> dict[str, Any]:
    """The facts of ``folder``. Raises ValueError, KeyError or TypeError when they are not as they were written."""
    content = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    if content["crc32"] != zlib.crc32(content["facts"].encode()):
        raise ValueError(f"{folder / FACTS} is damaged")
    saved: dict[str, Any] = json.loads(content["facts"])
    return saved


def _write(path: Path, array: NDArray[np.float64], rows: int) -> int:
    """Write the ``(N, T)`` ``array`` as the file of a ``(rows, N)`` one, NaN below its own; the CRC-32 of the file.

    By plain writes, not through a mapping: on a full disk they fail, where a mapping kills the process.
    """
    header = io.BytesIO()
    shape = (rows, len(array))
    np.lib.format.write_array_header_1_0(header, {"descr": array.dtype.str, "fortran_order": False, "shape": shape})
    checksum = 0
    with path.open("wb") as file:
        parts: Iterable[Any] = ([header.getvalue()], turned_blocks(array), [np.full((rows - array.shape[1], len(array)), np.nan)])
        for part in itertools.chain.from_iterable(parts):
            checksum = zlib.crc32(part, checksum)
            file.write(part)
    _crc32[_stamp(path)] = checksum
    return checksum


def _checksum(path: Path) -> int:
    """CRC-32 of a file, which finds any change within one byte, whatever its place. Read once per process until it is touched."""
    stamp = _stamp(path)
    if stamp not in _crc32:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            _crc32[stamp] = zlib.crc32(content)
    return _crc32[stamp]


def _stamp(path: Path) -> tuple[int, int, int, int]:
    """What changes when a file is written to; links to one file have the same."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _count(con: Connection) -> int:
    return int(run(con, "select count(*) from bars")[0][0])
