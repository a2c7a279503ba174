"""Membership intervals and sector histories as ``(T, N)`` arrays: each row shows only what was known at its close."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.storage.facts import ALWAYS, LAST_DATE
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel


def members(panel: BarPanel, versions: pl.DataFrame) -> tuple[NDArray[np.bool_], bool]:
    """Membership ``(T, N)`` and whether some members had no start date.

    ``versions`` are rows of the table universe, every version, sorted by key and version. A member from ``start`` until the session
    before ``end``; a later version of the same interval replaces it from the row at whose close it was known.
    """
    member = np.zeros(panel.shape, np.bool_)
    rows = placed(panel, versions).with_columns(
        first=pl.Series(_rows_of(panel, versions["start"])),
        last=pl.Series(_rows_of(panel, versions["end"])),
        until=pl.col("known").shift(-1).over("symbol", "start").fill_null(panel.shape[0]),
    )
    for place, first, last, known, until in rows.drop_nulls("place").select("place", "first", "last", "known", "until").iter_rows():
        member[max(first, known) : min(last, until), place] = True
    return member, bool((versions["start"] == ALWAYS).any())


def sectors(panel: BarPanel, versions: pl.DataFrame) -> tuple[NDArray[np.int16], tuple[str, ...], bool]:
    """Sector codes ``(T, N)`` (-1 unknown), the sectors' names, and whether some of the panel's sectors are backfilled.

    ``versions`` are rows of the table sectors, every version, sorted by symbol, valid_from and version: a later row of this order
    overrules an earlier one from the row on where it holds and is known.
    """
    sector = np.full(panel.shape, -1, np.int16)
    rows = placed(panel, versions).with_columns(first=pl.Series(_rows_of(panel, versions["valid_from"])))
    rows = rows.drop_nulls("place").filter(pl.max_horizontal("first", "known") < panel.shape[0])
    names = tuple(rows["sector"].unique().sort())
    code = {name: index for index, name in enumerate(names)}
    for place, first, known, name in rows.select("place", "first", "known", "sector").iter_rows():
        sector[max(first, known) :, place] = code[name]
    return sector, names, bool(rows["backfilled"].any())


def placed(panel: BarPanel, versions: pl.DataFrame) -> pl.DataFrame:
    """``versions`` with ``place``, the symbol's column (null: none), and ``known``, the first row at whose close it was known."""
    places = pl.DataFrame({"symbol": panel.symbols, "place": range(len(panel.symbols))}, schema={"symbol": pl.String, "place": pl.Int64})
    known = np.searchsorted(calendar.closes(panel.sessions), versions["known_at"].dt.replace_time_zone(None).to_numpy())
    return versions.with_columns(known=pl.Series(known, dtype=pl.Int64)).join(places, on="symbol", how="left", maintain_order="left")


def _rows_of(panel: BarPanel, days: pl.Series) -> NDArray[np.int64]:
    """First row on or after each day; ``T`` for none."""
    found = np.searchsorted(panel.sessions, days.fill_null(LAST_DATE).to_numpy())
    return found.astype(np.int64)
