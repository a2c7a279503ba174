"""Quality findings as a ``(T, N)`` array of verdicts: each row shows only what was known at its close."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.storage.membership import placed
from mech_exo.domain.verdict import DataVerdict
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel

CODES = {verdict.name.lower(): int(verdict) for verdict in DataVerdict}


def spans(panel: BarPanel, findings: pl.DataFrame) -> pl.DataFrame:
    """``findings`` that are not taken back, with ``place`` (column), ``begin`` and ``stop`` (half-open rows) in the panel, and ``code``.

    ``findings`` are visible rows of the table data_quality, sorted by key. A verdict begins at its session, or at the first close at which
    it was known, and ends after ``lasts`` sessions or where the next one of the same check begins, if that one is a state (no ``lasts``).
    One that lasts so many sessions does not end the one before it: a small doubt must not lift a large one; the worse counts.
    """
    rows = placed(panel, findings.filter(pl.col("verdict").is_not_null())).drop_nulls("place")
    rows = rows.with_columns(first=pl.Series(_places(panel, rows["session"]), dtype=pl.Int64))
    code = pl.col("verdict").replace_strict(CODES, return_dtype=pl.Int8)
    rows = rows.with_columns(begin=pl.max_horizontal("first", "known", 0), code=code)
    following = pl.when(pl.col("lasts").is_null()).then("begin").shift(-1).over("symbol", "check")
    ends = pl.min_horizontal(pl.col("first") + pl.col("lasts"), following, pl.lit(len(panel.sessions)))
    return rows.with_columns(stop=ends).filter(pl.col("begin") < pl.col("stop"))


def _places(panel: BarPanel, days: pl.Series) -> NDArray[np.int64]:
    """Rows of sessions counted from the panel's first one: negative before it."""
    if not days.len():
        return np.empty(0, np.int64)
    first, last = panel.sessions[0], panel.sessions[-1]
    wanted = days.to_numpy()
    known = calendar.sessions(min(wanted.min(), first).item(), last.item())
    places: NDArray[np.int64] = np.searchsorted(known, wanted) - np.searchsorted(known, first)
    return places


def verdicts(panel: BarPanel, findings: pl.DataFrame) -> NDArray[np.int8] | None:
    """The worst verdict on each cell, ``(T, N)``; None where nothing was found."""
    rows = spans(panel, findings).filter(pl.col("code") > 0).sort("code")
    if rows.is_empty():
        return None
    out = np.zeros(panel.shape, np.int8)
    for place, begin, stop, code in rows.select("place", "begin", "stop", "code").iter_rows():
        out[begin:stop, place] = code  # by code: the worst one stays
    out.flags.writeable = False
    return out


def doubts(panel: BarPanel, findings: pl.DataFrame) -> dict[str, str]:
    """Why, in words, each symbol that is blocked at the last row of ``panel`` is."""
    last = len(panel.sessions) - 1
    tonight = spans(panel, findings).filter((pl.col("code") >= DataVerdict.BLOCK) & (pl.col("begin") <= last) & (pl.col("stop") > last))
    said: dict[str, str] = {}
    for symbol, check, session, evidence in tonight.select("symbol", "check", "session", "evidence").iter_rows():
        text = f"{check} at {session}: {evidence}"
        said[symbol] = f"{said[symbol]}; {text}" if symbol in said else text
    return said
