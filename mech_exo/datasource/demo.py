"""The sample market: invented companies, so that everything can be tried without a network or a licence.

Everything made from it carries the label "synthetic sample". It is a plausible market, not a flattering one: factors
have a little to find, costs and luck can eat it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.demo_facts import Reports, draw_reports, fundamentals, headlines, surprises
from mech_exo.datasource.demo_prices import YEAR, Cast, Prices, draw_cast, draw_prices, stream
from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.datasource.storage import DataStorage

    Floats = NDArray[np.float64]
    Days = NDArray[np.datetime64]

LABEL = "synthetic sample"
UNIVERSE = "sample"
BENCHMARK = "SAMPLE"
SECTOR_NAMES = (
    "Communication Services", "Consumer Discretionary", "Consumer Staples", "Energy", "Financials", "Health Care",
    "Industrials", "Information Technology", "Materials", "Real Estate", "Utilities",
)
MEMBER_SHARE = 0.75
SECTOR_MOVES = 0.02


@dataclass(frozen=True, eq=False)
class SampleMarket:
    """A whole invented market.

    Parameters
    ----------
    panel
        Bars as traded with splits, dividends and delistings; label "synthetic sample".
    sectors
        symbol, sector, valid_from: a name's sector from that session on; a few names move to another one.
    universe
        symbol, start, end: membership of the larger three quarters by value, drawn up anew each quarter; ``end`` is the first
        session without it, null = still in.
    benchmark
        date, return: total return of all listed names, weighted by the previous close's capitalisation (fraction).
    fundamentals
        symbol, metric, period_end, fiscal_period, value, unit, filed, known_at (UTC, that evening): single quarters in USD; a
        restatement is a second row of the same period with a later ``filed``.
    news
        symbol, published (UTC), headline, source.
    """

    panel: BarPanel
    sectors: pl.DataFrame
    universe: pl.DataFrame
    benchmark: pl.DataFrame
    fundamentals: pl.DataFrame
    news: pl.DataFrame

    def delistings(self) -> pl.DataFrame:
        """symbol, date (the session from which the name is gone), kind "delisting", value in USD per share."""
        gone = np.flatnonzero(self.panel.delisted < self.panel.shape[0])
        return pl.DataFrame(
            {
                "symbol": [self.panel.symbols[column] for column in gone],
                "date": self.panel.sessions[self.panel.delisted[gone]],
                "kind": ["delisting"] * gone.size,
                "value": self.panel.delisting_value[gone],
            }
        )

    def store(self, storage: DataStorage) -> None:
        """Put the whole market into ``storage``, which says "synthetic sample" from then on; publishing it is left to the caller."""
        storage.set_label(LABEL)
        storage.store_ohlc_data(self.panel.to_frame(), source=LABEL)
        storage.store_corporate_actions(self.delistings(), source=LABEL)
        storage.store_sectors(self.sectors)
        storage.store_universe(self.universe, name=UNIVERSE)
        storage.store_benchmark(self.benchmark, name=BENCHMARK)
        storage.store_fundamentals(self.fundamentals, source=LABEL)
        storage.store_news(self.news)


def sample_market(seed: int = 7, symbols: int = 200, years: int = 12, end: date = date(2024, 12, 31)) -> SampleMarket:
    """Invent a market of ``symbols`` companies over the ``years`` up to ``end``. Equal arguments give equal bits.

    Raises
    ------
    InputError
        Fewer than 11 symbols (one per sector) or fewer than 3 years.
    """
    if symbols < len(SECTOR_NAMES) or years < 3:
        raise InputError(f"a sample market needs at least {len(SECTOR_NAMES)} symbols and 3 years; got {symbols} and {years}")
    begin = end - timedelta(days=round(365.25 * years) - 1)
    sessions = calendar.sessions(begin, end)
    names = tuple(f"SYN{number:0{max(3, len(str(symbols)))}d}" for number in range(1, symbols + 1))
    cast = draw_cast(seed, len(sessions), symbols)
    reports = draw_reports(seed, cast, sessions, calendar.sessions(begin - timedelta(days=640), begin - timedelta(days=1)))
    prices = draw_prices(seed, cast, surprises(reports, sessions, (len(sessions), symbols)))
    return _assemble(seed, cast, prices, reports, sessions, names)


def _assemble(seed: int, cast: Cast, prices: Prices, reports: Reports, sessions: Days, names: tuple[str, ...]) -> SampleMarket:
    panel = BarPanel.from_arrays(sessions, names, prices.bars, label=LABEL)
    return SampleMarket(
        panel=panel,
        sectors=_sectors(seed, cast, sessions, names),
        universe=_universe(cast, prices.cap, sessions, names),
        benchmark=_benchmark(panel, prices.cap),
        fundamentals=fundamentals(seed, cast, prices, reports, sessions, names),
        news=headlines(seed, cast, prices, reports, sessions, names),
    )


def _sectors(seed: int, cast: Cast, sessions: Days, names: tuple[str, ...]) -> pl.DataFrame:
    """Known from the listing on; two names in a hundred are classified anew halfway through their listing."""
    rng = stream(seed, "sectors")
    moved = np.sort(rng.permutation(len(names))[: max(1, round(SECTOR_MOVES * len(names)))])
    halfway = (cast.first[moved] + cast.last[moved]) // 2
    code = np.concatenate([cast.sector, (cast.sector[moved] + rng.integers(1, len(SECTOR_NAMES), moved.size)) % len(SECTOR_NAMES)])
    column = np.concatenate([np.arange(len(names)), moved])
    known = np.concatenate([sessions[cast.first], sessions[halfway]])
    frame = pl.DataFrame({"symbol": np.array(names)[column], "sector": np.array(SECTOR_NAMES)[code], "valid_from": known})
    return frame.sort("symbol", "valid_from")


def _universe(cast: Cast, cap: Floats, sessions: Days, names: tuple[str, ...]) -> pl.DataFrame:
    """Intervals of membership. The list of a session rests on the previous session's closes, so it could be known then."""
    size = np.nan_to_num(_carried(cap), nan=-1.0)
    rows = np.arange(0, len(sessions), YEAR // 4)
    member = np.zeros((len(rows), len(names)), np.bool_)
    for at, row in enumerate(rows.tolist()):
        before = max(row - 1, 0)
        listed = (cast.first <= before) & (cast.last > row)
        order = np.argsort(-np.where(listed, size[before], -1.0), kind="stable")
        member[at, order[: round(MEMBER_SHARE * int(listed.sum()))]] = True
    intervals = []
    for column, name in enumerate(names):
        edges = np.diff(np.concatenate([[0], member[:, column].astype(np.int64), [0]]))
        for start, stop in zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True):
            intervals.append((name, sessions[rows[start]].astype(object), _left(cast, sessions, rows, column, stop)))
    return pl.DataFrame(intervals, schema={"symbol": pl.String, "start": pl.Date, "end": pl.Date}, orient="row")


def _left(cast: Cast, sessions: Days, rows: NDArray[np.int64], column: int, stop: int) -> date | None:
    """First session without a membership that list ``stop`` does not renew; None while it lasts."""
    renewed = int(rows[stop]) if stop < len(rows) else len(sessions)
    row = min(renewed, int(cast.last[column]))
    if row >= len(sessions):
        return None
    gone: date = sessions[row].astype(object)
    return gone


def _benchmark(panel: BarPanel, cap: Floats) -> pl.DataFrame:
    """The first session has no return. A name that leaves pays its delisting value on the row it is gone."""
    close, size = _carried(panel.close), _carried(cap)
    rows = np.arange(panel.shape[0])[:, None]
    with np.errstate(invalid="ignore"):
        change = (close[1:] + panel.dividend[1:]) * panel.split_ratio[1:] / close[:-1] - 1.0
        paid = panel.delisting_value / close[:-1] - 1.0
    change = np.where(rows[1:] == panel.delisted, paid, change)
    held = ~np.isnan(size[:-1]) & ~np.isnan(change) & (rows[1:] <= panel.delisted)
    weight = np.where(held, size[:-1], 0.0)
    value = np.sum(weight * np.where(held, change, 0.0), axis=1) / np.sum(weight, axis=1)
    return pl.DataFrame({"date": panel.sessions[1:], "return": value})


def _carried(values: Floats) -> Floats:
    """Last value seen in each column ``(T, N)``; NaN before the first."""
    seen = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))[:, None]), axis=0)
    return np.where(seen >= 0, values[np.maximum(seen, 0), np.arange(values.shape[1])], np.nan)
