"""The seam of the room: what a source of bars must do, and the columns in which every source hands over its facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import polars as pl

from mech_exo.utils.kinds import Kind as Kind  # noqa: PLC0414 - the name is this seam's too

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

    from mech_exo.datasource.fetching import Outcome
    from mech_exo.domain.panel import PriceBasis

BARS = {
    "symbol": pl.String,
    "date": pl.Date,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,
}
"""One row per symbol and session. USD per share; shares; NaN or null is refused, a day without trading is simply absent."""

BAR_EXTRAS = {"split_ratio": pl.Float64, "dividend": pl.Float64, "adj_close": pl.Float64, "sector": pl.String}
"""Optional beside BARS: new shares per old (1, 0 or null: none), USD per share on the ex-date (0 or null: none), a check, a sector."""

ACTIONS = {"symbol": pl.String, "date": pl.Date, "kind": pl.String, "value": pl.Float64}
"""Corporate actions: kind is split, dividend or delisting; value NaN for a delisting paid at the last close."""

SECTORS = {"symbol": pl.String, "sector": pl.String}
"""Optional ``valid_from``, the date from which the sector holds; without it the sector is taken as known always, "backfilled"."""

UNIVERSE = {"symbol": pl.String}
"""Optional ``start`` and ``end``: a member from start until the session *before* end; null end: still a member."""

BENCHMARK = {"date": pl.Date, "return": pl.Float64}
"""Daily returns as fractions; a ``close`` instead of ``return`` is turned into returns."""

FUNDAMENTALS = {
    "symbol": pl.String,
    "metric": pl.String,
    "period_end": pl.Date,
    "fiscal_period": pl.String,
    "value": pl.Float64,
    "unit": pl.String,
    "filed": pl.Date,
}
"""One reported figure; metrics, units and ``fiscal_period`` as in ``accounts/metrics.py``. Optional ``source`` and ``known_at`` (instant of
acceptance); with ``filed`` alone it is usable from the next session's close."""

NEWS: dict[str, PolarsDataType] = {"symbol": pl.String, "published": pl.Datetime("us", "UTC"), "headline": pl.String, "source": pl.String}
"""One headline about one symbol. Optional ``id``, ``url``, ``sentiment`` in [-1, 1] and ``sentiment_version``."""


@runtime_checkable
class Source(Protocol):
    """Anything that hands over facts about symbols. Every source passes one contract suite."""

    @property
    def name(self) -> str:
        """Stored beside every row, e.g. ``"yahoo"``."""

    @property
    def kind(self) -> Kind:
        """Which columns :meth:`fetch` hands over: :data:`BARS` (and :data:`BAR_EXTRAS`), :data:`FUNDAMENTALS` or :data:`NEWS`."""

    @property
    def report(self) -> tuple[Outcome, ...]:
        """One outcome per symbol of the last :meth:`fetch`, in the order asked: an empty answer is never taken for "nothing changed"."""

    def fetch(self, symbols: Sequence[str], *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """Facts of ``symbols`` dated from ``start`` to ``end``, both included (None: as far as the source reaches by default), sorted.

        Raises
        ------
        InputError
            A symbol could not be one, or the dates are in disorder.
        DataError
            Not one symbol was answered, or the source cannot be reached or read.
        """


@runtime_checkable
class BarSource(Source, Protocol):
    """A source of daily bars."""

    @property
    def batch(self) -> int:
        """How many symbols are best asked for, and stored, at once."""

    @property
    def price_basis(self) -> PriceBasis:
        """Whether prices are handed over as traded or split-adjusted."""
