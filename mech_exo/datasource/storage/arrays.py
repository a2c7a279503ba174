"""From rows of the store to dense ``(T, N)`` arrays, and the memory-mapped copy of them that lies beside a snapshot.

The copy holds the arrays of the newest answer. An older cut is the same arrays, cut, with the few cells patched whose newest row
was not yet known or recorded then; so a cut costs what changed, and equals the query in every bit (tested against it).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mech_exo.datasource.storage.connection import Connection, run, table
from mech_exo.datasource.storage.facts import BARS, STAGED, Cut, visible, within
from mech_exo.domain.panel import BAR_FIELDS
from mech_exo.utils import calendar
from mech_exo.utils.durable import flush_file, flush_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORMAT = 1


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


def query_grid(con: Connection, cut: Cut) -> Grid | None:
    """The grid of the bars visible at ``cut``, straight from the store; None when there is none."""
    span = run(con, f"select min(session), max(session) from bars where {within(BARS)}", cut.params())[0]
    if span[0] is None:
        return None
    grid = _empty(
        span[0],
        span[1],
        tuple(table(con, f"select distinct symbol from bars where {within(BARS)} order by symbol", cut.params())["symbol"]),
    )
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


def save_grid(grid: Grid, folder: Path) -> None:
    """Write ``grid`` to ``folder``, durably and all at once."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, array in (("sessions", grid.sessions), *grid.bars.items()):
        with (partial / f"{name}.npy").open("wb") as file:
            np.save(file, array)
            flush_file(file)
    (partial / "grid.json").write_text(json.dumps({"format": FORMAT, "symbols": grid.symbols}), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    flush_folder(folder.parent)


def load_grid(folder: Path) -> Grid | None:
    """The grid of ``folder``, memory-mapped and read-only; None when there is none of this format."""
    facts = folder / "grid.json"
    if not facts.exists():
        return None
    saved = json.loads(facts.read_text(encoding="utf-8"))
    if saved["format"] != FORMAT:
        return None
    bars = {name: np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in BAR_FIELDS}
    return Grid(np.load(folder / "sessions.npy"), tuple(saved["symbols"]), bars)


def _empty(first: date, last: date, symbols: tuple[str, ...]) -> Grid:
    sessions = calendar.sessions(first, last)
    return Grid(sessions, symbols, {name: np.full((len(sessions), len(symbols)), np.nan) for name in BAR_FIELDS})


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
    """Write the bars ``rows`` selects into their cells, batch by batch."""
    con.register(
        "grid_symbols",
        pl.DataFrame({"symbol": grid.symbols, "place": np.arange(len(grid.symbols))}, schema_overrides={"symbol": pl.String}).to_arrow(),
    )
    fields = ", ".join(BAR_FIELDS)
    relation = con.sql(f"select place, session, {fields} from ({rows}) join grid_symbols using (symbol)", params=cut.params())
    days = grid.sessions.astype(np.int64)
    row_of_day = np.full(days[-1] - days[0] + 1, -1, np.int64)
    row_of_day[days - days[0]] = np.arange(len(days))
    for place, session, *values in _batches(relation.to_arrow_reader(1 << 20)):
        cell = row_of_day[session.astype("datetime64[D]").astype(np.int64) - days[0]] * len(grid.symbols) + place
        for name, column in zip(BAR_FIELDS, values, strict=True):
            grid.bars[name].reshape(-1)[cell] = column
    con.unregister("grid_symbols")


def _batches(reader: Iterable[Any]) -> Iterator[list[NDArray[Any]]]:
    """Record batches of Arrow as lists of arrays."""
    for batch in reader:
        yield [column.to_numpy(zero_copy_only=False) for column in batch.columns]
