"""Files as a source of bars, so that one lives well without a vendor: CSV, Stooq's ASCII, Parquet, another program's DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.base import BAR_EXTRAS, BARS, Kind
from mech_exo.datasource.columns import UNREADABLE, typed
from mech_exo.datasource.fetching import Outcome, Status, refuse_nothing, symbols_of, utc_now
from mech_exo.datasource.file_forms import read_form
from mech_exo.datasource.spans import bars_outcome, closed_by, days_of, refuse_disorder, within
from mech_exo.domain.errors import DataError, InputError
from mech_exo.domain.panel import PriceBasis
from mech_exo.utils.source_settings import BarsFrom

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = {**BARS, **BAR_EXTRAS}
NO_DAYS = np.array([], "datetime64[D]")


class FileBars:
    """Bars from a folder or file that somebody else keeps up to date.

    Parameters
    ----------
    path
        A folder of CSV or Parquet files (in long form, or one per symbol and named after it), Stooq's .txt tree or .zip, one file of
        these, or a DuckDB file.
    form
        What lies there.
    table
        Of a DuckDB file; None: the only one that holds bars.
    price_basis
        What the prices are. Stooq's are split-adjusted, whatever is said here.
    clock
        The present instant (tz-aware): a session that has not closed by then is left out.

    Attributes
    ----------
    report
        One :class:`~mech_exo.datasource.fetching.Outcome` per symbol of the last :meth:`fetch`.
    """

    kind = Kind.BARS
    batch = 10_000

    def __init__(
        self,
        path: Path,
        form: BarsFrom,
        *,
        table: str | None = None,
        price_basis: PriceBasis = PriceBasis.AS_TRADED,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.name = form.value
        self.price_basis = PriceBasis.SPLIT_ADJUSTED if form is BarsFrom.STOOQ else price_basis
        self.report: tuple[Outcome, ...] = ()
        self._path, self._form, self._table, self._clock = path, form, table, clock

    def fetch(self, symbols: Sequence[str] | str, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """Bars of ``symbols`` from ``start`` to ``end``, both included: BARS and those BAR_EXTRAS the files have, by symbol and date.

        Cells that cannot be read are null, which the store refuses with a reason.

        Raises
        ------
        InputError
            A symbol could not be one, or the dates are in disorder.
        DataError
            The place cannot be read, or not one symbol has a bar in it.
        """
        self.report = ()
        wanted = symbols_of(symbols)
        refuse_disorder(start, end)
        until = closed_by(self._clock(), end)
        try:
            raw = read_form(self._form, self._path, frozenset(wanted), start, self._table)
        except InputError as error:
            raise DataError(f"bars cannot be taken from {self._path}: {error.message}", remedy=error.remedy) from error
        rows = typed(raw, COLUMNS).with_columns(pl.col("symbol").str.to_uppercase())
        there = set(rows["symbol"])
        undated = dict(rows.filter(pl.col("date").is_null()).group_by("symbol").len().iter_rows())
        kept = within(rows, start, until).drop(UNREADABLE).sort("symbol", "date")
        days = days_of(kept)
        self.report = tuple(_outcome(name, days.get(name, NO_DAYS), name in there, undated.get(name, 0), until) for name in wanted)
        refuse_nothing(self.report, "bars")
        return kept


def _outcome(symbol: str, days: NDArray[np.datetime64], known: bool, undated: int, until: date) -> Outcome:
    if not known:
        return Outcome(symbol, Status.UNKNOWN, detail="not in the files")
    return bars_outcome(symbol, days, until, f"rows without a readable date: {undated}" if undated else "")
