"""From rows of the store to dense ``(T, N)`` arrays, and from the newest arrays to those of an older cut.

An older cut is the same arrays, cut, with the few cells taken back whose newest row was not yet known or recorded then; so a cut costs
what changed, and equals the query in every bit (tested against it).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mech_exo.datasource.storage.connection import Connection, run, table
from mech_exo.datasource.storage.facts import BARS, STAGED, Cut, visible, within
from mech_exo.domain.panel import BAR_FIELDS
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

THREADS = min(4, os.cpu_count() or 1)
BLOCK = 64
"""Sessions turned at a time: what is read and what is written both fit the processor's cache."""


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
    laid = by_symbol(con, cut)
    if laid is None:
        return None
    with ThreadPoolExecutor(THREADS) as pool:
        turned = pool.map(lambda name: np.concatenate(list(turned_blocks(laid.bars.pop(name)))), BAR_FIELDS)
        return Grid(laid.sessions, laid.symbols, dict(zip(BAR_FIELDS, turned, strict=True)))


def by_symbol(con: Connection, cut: Cut) -> Grid | None:
    """As :func:`query_grid`, with the arrays still ``(N, T)``: as the store holds a history, so they are filled in order."""
    span = run(con, f"select min(session), max(session) from bars where {within(BARS)}", cut.params())[0]
    if span[0] is None:
        return None
    symbols = tuple(table(con, f"select distinct symbol from bars where {within(BARS)} order by symbol", cut.params())["symbol"])
    sessions = calendar.sessions(*span)
    grid = Grid(sessions, symbols, {name: np.full((len(symbols), len(sessions)), np.nan) for name in BAR_FIELDS})
    restated = run(con, "select 1 from bars where version > 0 limit 1")
    _fill(con, grid, cut, visible(BARS) if restated else f"select * from bars where {within(BARS)}", (len(sessions), 1))
    return grid


def turned_blocks(array: Floats) -> Iterator[Floats]:
    """The ``(N, T)`` ``array`` as ``(T, N)``, a few rows at a time."""
    for first in range(0, array.shape[1], BLOCK):
        yield np.ascontiguousarray(array[:, first : first + BLOCK].T)


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
    _fill(con, grid, cut, f"select v.* from ({visible(BARS)}) v semi join {STAGED} using (symbol, session)", (1, len(grid.symbols)))
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


def _fill(con: Connection, grid: Grid, cut: Cut, rows: str, steps: tuple[int, int]) -> None:
    """Write the bars ``rows`` selects into their cells, batch by batch, the fields side by side.

    ``steps``: how many cells the next symbol and the next session are away in the arrays.
    """
    places = pl.DataFrame({"symbol": grid.symbols, "place": np.arange(len(grid.symbols))}, schema_overrides={"symbol": pl.String})
    con.register("grid_symbols", places.to_arrow())
    days = (grid.sessions - grid.sessions[0]).astype(np.int64)
    row_of_day = np.full(days[-1] + 1, -1, np.int64)
    row_of_day[days] = np.arange(len(days))
    sql = f"select place, session - $zero as day, {', '.join(BAR_FIELDS)} from ({rows}) join grid_symbols using (symbol)"
    relation = con.sql(sql, params={**cut.params(), "zero": grid.sessions[0].item()})
    with ThreadPoolExecutor(THREADS) as pool:
        for place, day, *columns in _batches(relation.to_arrow_reader(1 << 19)):
            cell = place * steps[0] + row_of_day[day] * steps[1]
            list(pool.map(lambda name, values, cell=cell: grid.bars[name].reshape(-1).__setitem__(cell, values), BAR_FIELDS, columns))
    con.unregister("grid_symbols")


def _batches(reader: Iterable[Any]) -> Iterator[list[NDArray[Any]]]:
    """Record batches of Arrow as lists of arrays; through Polars, for pyarrow's own way imports pandas (64 MB, and half a second)."""
    for batch in reader:
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        yield [column.to_numpy() for column in frame.iter_columns()]
