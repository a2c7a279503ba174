"""From rows of the store to dense ``(T, N)`` arrays, and the memory-mapped copy of them that lies beside a snapshot.

The copy holds the arrays of the newest answer. An older cut is the same arrays, cut, with the few cells patched whose newest row
was not yet known or recorded then; so a cut costs what changed, and equals the query in every bit (tested against it).
"""

from __future__ import annotations

import functools
import json
import mmap
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mech_exo.datasource.storage.connection import Connection, run, table
from mech_exo.datasource.storage.facts import BARS, STAGED, Cut, last_versions, visible, within
from mech_exo.domain.panel import BAR_FIELDS
from mech_exo.utils import calendar, log

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORMAT = 2
FACTS = "grid.json"
THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, eq=False)
class Grid:
    """Bars laid on the calendar: ``sessions`` ``(T,)``, ``symbols`` ``(N,)`` sorted, ``bars`` five ``(T, N)`` arrays, NaN = no bar."""

    sessions: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    bars: dict[str, Floats]

    def row_of(self, days: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """Rows of ``days``, each of which must be one of the sessions."""
        return np.searchsorted(self.sessions, days)

    def columns_of(self, symbols: pl.Series) -> NDArray[np.int64]:
        """Columns of ``symbols``, each of which must be one of the grid's."""
        return pl.Series(self.symbols, dtype=pl.String).search_sorted(symbols).to_numpy().astype(np.int64)


def query_grid(con: Connection, cut: Cut, folder: Path | None = None) -> Grid | None:
    """The grid of the bars visible at ``cut``, straight from the store; None when there is none. ``folder``: its arrays are files there."""
    span = run(con, f"select min(session), max(session) from bars where {within(BARS)}", cut.params())[0]
    if span[0] is None:
        return None
    symbols = table(con, f"select distinct symbol from bars where {within(BARS)} order by symbol", cut.params())["symbol"]
    grid = _empty(span[0], span[1], tuple(symbols), folder)
    _fill(con, grid, cut, f"select * from ({visible(BARS)})")
    return grid


def cut_grid(con: Connection, newest: Grid, cut: Cut) -> Grid | None:
    """``newest`` as it stood at ``cut``: rows beyond it gone, cells not yet known or recorded taken back."""
    rows = int(np.searchsorted(newest.sessions, np.datetime64(cut.session, "D"), "right"))
    if rows == 0:
        return None
    grid = Grid(newest.sessions[:rows], newest.symbols, {name: array[:rows] for name, array in newest.bars.items()})
    late = table(
        con,
        "select distinct symbol, session from bars where session <= $session and (known_at > $known or recorded_at > $recorded)",
        cut.params(),
    )
    if late.is_empty():
        return grid
    grid = Grid(grid.sessions, grid.symbols, {name: np.array(array) for name, array in grid.bars.items()})
    cells = np.ravel_multi_index((grid.row_of(late["session"].to_numpy()), grid.columns_of(late["symbol"])), (rows, len(grid.symbols)))
    for array in grid.bars.values():
        array.reshape(-1)[cells] = np.nan
    con.register(STAGED, late.to_arrow())
    _fill(con, grid, cut, f"select v.* from ({visible(BARS)}) v semi join {STAGED} using (symbol, session)")
    con.unregister(STAGED)
    return grid


def trimmed(grid: Grid, start: date | None, end: date) -> Grid | None:
    """Rows from ``start``, or from the first session with a bar if that is later, to ``end``; only symbols with a bar in them."""
    grid = _extended(grid, end)
    first = 0 if start is None else int(np.searchsorted(grid.sessions, np.datetime64(start, "D")))
    traded = ~np.isnan(grid.bars["close"][first:])
    held = np.flatnonzero(traded.any(axis=1))
    if not len(held):
        return None
    first += int(held[0])
    columns = np.flatnonzero(traded.any(axis=0))
    bars = {name: array[first:] for name, array in grid.bars.items()}
    symbols = grid.symbols
    if len(columns) < len(symbols):
        bars = {name: np.take(array, columns, axis=1) for name, array in bars.items()}
        for array in bars.values():
            array.flags.writeable = False  # a panel takes read-only arrays over without another copy
        symbols = tuple(symbols[column] for column in columns)
    return Grid(grid.sessions[first:], symbols, bars)


def save_grid(con: Connection, folder: Path, before: Path | None = None) -> bool:
    """Write the grid of the newest answer to the new ``folder``, with a checksum of each file; False when no bar is stored.

    ``before``: the folder of an earlier grid of this store, which is taken over where only bars stored since are missing in it.
    The files are not pushed to the disk: what a power cut takes of them fails its checksum, and the database answers instead.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    grid = (_grown(con, before, folder) if before is not None else None) or query_grid(con, Cut(), folder)
    if grid is None:
        folder.rmdir()
        return False
    np.save(folder / "sessions.npy", grid.sessions)
    checksums = {**_checksums(folder), "symbols": _names_checksum(grid.symbols)}
    recorded = run(con, "select max(recorded_at) from bars")[0][0].astimezone(UTC)
    origin = {"recorded": recorded.isoformat(), "rows": _rows_print(con, recorded)}
    saved = {"format": FORMAT, "symbols": grid.symbols, "crc32": checksums, **origin}
    (folder / FACTS).write_text(json.dumps(saved), encoding="utf-8")
    return True


def _grown(con: Connection, before: Path, folder: Path) -> Grid | None:
    """The grid of ``before`` and what was stored since, in files of ``folder``; None where it must be made anew.

    That it is this store's grid is seen from the rows recorded up to its making: their number and their hash are still the same.
    """
    old = load_grid(before)
    if old is None:
        return None
    saved = _saved(before)
    recorded = datetime.fromisoformat(saved["recorded"])
    if saved["rows"] != _rows_print(con, recorded):
        return None
    columns = f"symbol, session, {', '.join(BAR_FIELDS)}, version"
    fresh = last_versions(BARS, table(con, f"select {columns} from bars where recorded_at > $recorded", {"recorded": recorded}))
    if fresh.height > old.bars["close"].size // 8:
        return None
    days = (*old.sessions[[0, -1]].tolist(), *fresh["session"])
    grid = _empty(min(days), max(days), tuple(sorted({*old.symbols, *fresh["symbol"]})), folder)
    place = int(np.searchsorted(grid.sessions, old.sessions[0]))
    span = slice(place, place + len(old.sessions))
    if not np.array_equal(grid.sessions[span], old.sessions):
        return None
    taken = slice(None) if grid.symbols == old.symbols else grid.columns_of(pl.Series(old.symbols))
    row, column = grid.row_of(fresh["session"].to_numpy()), grid.columns_of(fresh["symbol"])
    for name, array in grid.bars.items():
        array[span, taken] = old.bars[name]
        array[row, column] = fresh[name].to_numpy()
    return grid


def _rows_print(con: Connection, recorded: datetime) -> list[int]:
    """Number and hash of all bars recorded up to ``recorded``."""
    hashed = f"bit_xor(hash(symbol, session, {', '.join(BAR_FIELDS)}, version))"
    return list(run(con, f"select count(*), {hashed} from bars where recorded_at <= $recorded", {"recorded": recorded})[0])


def load_grid(folder: Path) -> Grid | None:
    """The grid of ``folder``, memory-mapped and read-only; None when there is none of this format, or a damaged one (which is logged)."""
    if not intact(folder):
        return None
    bars = {name: np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in BAR_FIELDS}
    return Grid(np.load(folder / "sessions.npy"), tuple(_saved(folder)["symbols"]), bars)


def intact(folder: Path) -> bool:
    """Whether ``folder`` holds a grid of this format that is as it was written."""
    if not (folder / FACTS).exists():
        return False
    stamps = [(path.stat().st_mtime_ns, path.stat().st_size, path.stat().st_ino) for path in sorted(folder.iterdir())]
    return _intact(folder, tuple(stamps))


@functools.lru_cache(maxsize=8)
def _intact(folder: Path, _: tuple[tuple[int, int, int], ...]) -> bool:
    """Every byte is read once per process, and again when a file has been touched."""
    try:
        saved = _saved(folder)
        good = saved["format"] == FORMAT and isinstance(saved["symbols"], list)
        good = good and saved["crc32"] == {**_checksums(folder), "symbols": _names_checksum(saved["symbols"])}
    except (OSError, ValueError, KeyError, TypeError):
        good = False
    if not good:
        said = "the arrays of a snapshot must be as they were written; %s are not, the database answers instead → exo data publish"
        log.get(__name__).warning(said, folder)
    return good


def _saved(folder: Path) -> dict[str, Any]:
    saved: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return saved


def _checksums(folder: Path) -> dict[str, int]:
    """CRC-32 of each array's file: any change within one byte is found, whatever its place."""
    with ThreadPoolExecutor(THREADS) as pool:
        files = [f"{name}.npy" for name in ("sessions", *BAR_FIELDS)]
        return dict(zip(files, pool.map(lambda name: _checksum(folder / name), files), strict=True))


def _checksum(path: Path) -> int:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return zlib.crc32(content)


def _names_checksum(symbols: Sequence[str]) -> int:
    return zlib.crc32("\n".join(symbols).encode())


def _empty(first: date, last: date, symbols: tuple[str, ...], folder: Path | None) -> Grid:
    sessions = calendar.sessions(first, last)
    shape = (len(sessions), len(symbols))
    if folder is None:
        return Grid(sessions, symbols, {name: np.full(shape, np.nan) for name in BAR_FIELDS})
    return Grid(sessions, symbols, {name: _file_array(folder / f"{name}.npy", shape) for name in BAR_FIELDS})


def _file_array(path: Path, shape: tuple[int, int]) -> Floats:
    """An array of NaN that is the new file ``path``. Its room is taken at once: writing to a mapped file kills where the disk is full."""
    array = np.lib.format.open_memmap(path, "w+", np.float64, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    array[:] = np.nan
    return array


def _extended(grid: Grid, end: date) -> Grid:
    """Rows without bars up to ``end``: a store that is behind shows it."""
    last: date = grid.sessions[-1].item()
    missing = calendar.sessions(last + timedelta(days=1), end) if end > last else grid.sessions[:0]
    if not len(missing):
        return grid
    blank = np.full((len(missing), len(grid.symbols)), np.nan)
    return Grid(
        np.concatenate([grid.sessions, missing]), grid.symbols, {name: np.concatenate([array, blank]) for name, array in grid.bars.items()}
    )


def _fill(con: Connection, grid: Grid, cut: Cut, rows: str) -> None:
    """Write the bars ``rows`` selects into their cells, batch by batch, the fields side by side."""
    places = pl.DataFrame({"symbol": grid.symbols, "place": np.arange(len(grid.symbols))}, schema_overrides={"symbol": pl.String})
    con.register("grid_symbols", places.to_arrow())
    days = (grid.sessions - grid.sessions[0]).astype(np.int64)
    row_of_day = np.full(days[-1] + 1, -1, np.int64)
    row_of_day[days] = np.arange(len(days))
    sql = f"select place, session - $zero as day, {', '.join(BAR_FIELDS)} from ({rows}) join grid_symbols using (symbol)"
    relation = con.sql(sql, params={**cut.params(), "zero": grid.sessions[0].item()})
    with ThreadPoolExecutor(THREADS) as pool:
        for place, day, *columns in _batches(relation.to_arrow_reader(1 << 19)):
            lay = _columns if _by_symbol(place, len(days)) else _cells
            write = lay(row_of_day[day], place, len(days))
            list(pool.map(lambda name, values, write=write: write(grid.bars[name], values), BAR_FIELDS, columns))
    con.unregister("grid_symbols")


def _by_symbol(place: NDArray[np.int64], sessions: int) -> bool:
    """Whether a batch stands symbol by symbol and fills most of their columns, as a history stored at once does."""
    return bool((np.diff(place) >= 0).all()) and (int(place[-1]) - int(place[0]) + 1) * sessions <= 4 * len(place)


def _columns(row: NDArray[np.int64], place: NDArray[np.int64], sessions: int) -> Callable[[Floats, Floats], None]:
    """What lays whole columns: symbol by symbol first and then turned, which touches memory in order."""
    first, last = int(place[0]), int(place[-1]) + 1
    cell = (place - first) * sessions + row

    def lay(array: Floats, values: Floats) -> None:
        block = np.full((last - first, sessions), np.nan)
        block.reshape(-1)[cell] = values
        target = array[:, first:last]
        np.fmax(target, block.T, out=target)  # a cell has one bar: where this batch has none, what is there stays

    return lay


def _cells(row: NDArray[np.int64], place: NDArray[np.int64], _: int) -> Callable[[Floats, Floats], None]:
    """What lays cells anywhere."""

    def lay(array: Floats, values: Floats) -> None:
        array[row, place] = values

    return lay


def _batches(reader: Iterable[Any]) -> Iterator[list[NDArray[Any]]]:
    """Record batches of Arrow as lists of arrays."""
    for batch in reader:
        yield [column.to_numpy(zero_copy_only=False) for column in batch.columns]
