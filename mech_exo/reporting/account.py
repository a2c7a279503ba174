"""The record of a paper or live account, read from the ledger, in the shape a tear sheet reads: the same metrics as a backtest."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.backtest.tables import sectors, words
from mech_exo.decision.market import market_until
from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.domain.panel import Universe
from mech_exo.kernels.records import DAY, EVENT, Bars, EventKind, Outcome, Reason, RiskState
from mech_exo.performance.attribution import round_trips, trades_frame
from mech_exo.performance.holdings import holdings
from mech_exo.performance.kpi import KpiReport, kpi_contract
from mech_exo.performance.large_losses import LargeLoss, large_losses
from mech_exo.performance.metrics import Summary, summary
from mech_exo.reporting.text import once

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookedDay, BookId, EventLine
    from mech_exo.risk.model import Market
    from mech_exo.utils.settings import Config

ORDERS = (EventKind.ORDER, EventKind.STOP, EventKind.TARGET)
KINDS = {one.name.lower(): int(one) for one in EventKind}
OUTCOMES = {one.name.lower(): int(one) for one in Outcome}
REASONS = {one.name: int(one) for one in Reason}
"""The ledger's words as the codes of an event."""


@dataclass(frozen=True, eq=False)
class AccountRecord:
    """Booked sessions ``(T,)``, their figures and events, the bars they met and the sectors ``(T, N)`` known then."""

    name: str
    run_id: str
    config: Config
    config_hash: str
    code_version: str
    data_hash: str
    sessions: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    days: NDArray[np.void]
    events: NDArray[np.void]
    bars: Bars
    universe: Universe
    benchmark: NDArray[np.float64] | None
    warnings: tuple[str, ...]
    seen: tuple[BarPanel, Universe, int]

    @functools.cached_property
    def market(self) -> Market:
        """The bars up to the last session as risk sees them."""
        panel, universe, row = self.seen
        return market_until(panel, universe, row)

    @functools.cached_property
    def round_trips(self) -> NDArray[np.void]:
        """``(R,)`` of TRADE."""
        return round_trips(self.events, self.days, self.bars)

    @functools.cached_property
    def large_losses(self) -> tuple[LargeLoss, ...]:
        """Closed trades that lost more of NAV than one may."""
        return large_losses(self.round_trips, self.events, self.bars)

    @functools.cached_property
    def trades(self) -> pl.DataFrame:
        """Round trips as a table, with the sector known when they were decided."""
        trips = self.round_trips
        sector = sectors(self.universe, np.maximum(trips["entry_row"] - 1, 0), trips["symbol"])
        return trades_frame(trips, self.sessions, self.symbols).with_columns(sector.alias("sector"))

    @functools.cached_property
    def holdings(self) -> pl.DataFrame:
        """What was held at each close: date, symbol, sector (null unknown) and weight (signed fraction of NAV)."""
        import polars as pl

        held = holdings(self.events, self.bars)
        nav = self.days["nav"][held["row"]]
        columns = {
            "date": self.sessions[held["row"]],
            "symbol": words(self.symbols, held["symbol"]),
            "sector": sectors(self.universe, held["row"], held["symbol"]),
            "weight": held["shares"] * held["price"] / np.where(nav > 0.0, nav, np.nan),
        }
        return pl.DataFrame(columns)

    @property
    def by_factor(self) -> pl.DataFrame:
        """Raises InputError: the journal of an account does not hold what its positions owed to each factor."""
        raise InputError("an account's P&L is not attributed to factors; a backtest of the same strategy over the same sessions is")

    @functools.cached_property
    def orders(self) -> pl.DataFrame:
        """Orders that came to the market, filled or not."""
        import polars as pl

        rows = self.events[np.isin(self.events["kind"], ORDERS)]
        schema = {"date": pl.Date, "symbol": pl.String, "shares": pl.Int64, "outcome": pl.String, "reason": pl.String}
        columns = {
            "date": self.sessions[rows["row"]],
            "symbol": [self.symbols[i] for i in rows["symbol"]],
            "shares": rows["shares"].astype(np.int64),
            "outcome": [Outcome(code).name.lower() for code in rows["outcome"]],
            "reason": [Reason(code).name.lower() for code in rows["reason"]],
        }
        return pl.DataFrame(columns, schema=schema)

    @functools.cached_property
    def metrics(self) -> Summary:
        """Every figure; None = unknown."""
        return summary(self.sessions, self.days, self.round_trips, self.benchmark, events=self.events, bars=self.bars)

    @functools.cached_property
    def kpi(self) -> KpiReport:
        """The KPI contract."""
        return kpi_contract(self.sessions, self.days, self.round_trips)


@dataclass(frozen=True, eq=False)
class Course:
    """Everything booked of a book as arrays, on whatever bars it will be measured: ``sessions`` and ``days`` (DAY) ``(T,)``, and the
    ``events`` (EVENT) ``(M,)`` in their order, whose ``symbol`` counts in ``symbols``.
    """

    sessions: NDArray[np.datetime64]
    days: NDArray[np.void]
    events: NDArray[np.void]
    symbols: tuple[str, ...]

    @classmethod
    def of(cls, ledger: Ledger, book: BookId) -> Course:
        """All of it up to the last booked session."""
        history = ledger.day_history(book)
        lines = [(row, event) for row, (_, events) in enumerate(ledger.events(book)) for event in events]
        symbols = tuple(sorted({event.symbol for _, event in lines}))
        place = {symbol: i for i, symbol in enumerate(symbols)}
        return cls(
            np.array([booked.session for booked in history], "datetime64[D]"),
            np.array([day_record(booked) for booked in history], DAY),
            np.array([_event(row, place, event) for row, event in lines], EVENT),
            symbols,
        )

    def until(self, last: date | None) -> Course:
        """The same up to the session ``last``; all of it for None."""
        if last is None:
            return self
        rows = int(np.searchsorted(self.sessions, np.datetime64(last, "D"), side="right"))
        count = int(np.searchsorted(self.events["row"], rows))
        return Course(self.sessions[:rows], self.days[:rows], self.events[:count], self.symbols)


def account_record(
    ledger: Ledger,
    book: BookId,
    panel: BarPanel,
    config: Config,
    *,
    universe: Universe | None = None,
    benchmark: NDArray[np.float64] | None = None,
    warnings: tuple[str, ...] = (),
    until: date | None = None,
    course: Course | None = None,
) -> AccountRecord:
    """The account of ``book`` since its first booked session, up to ``until`` (None: the last one booked).

    ``course``: what is booked, where it is at hand; None: it is read.
    ``panel`` must hold the booked sessions and traded symbols; ``universe`` ``(T, N)`` and ``benchmark`` ``(T,)`` are aligned with it;
    without a universe no sector is known.
    To ``warnings`` come those of the last decision in the journal.

    Raises
    ------
    MissingDataError
        Nothing is booked yet, or the store lacks a booked session or a traded symbol.
    """
    told = (course or Course.of(ledger, book)).until(until)
    if not len(told.sessions):
        raise MissingDataError(f"performance needs booked sessions; {book} has none", remedy="exo run --mode paper --date YYYY-MM-DD")
    rows = _rows(panel, told.sessions)
    everywhere, cut = universe or Universe.everyone(panel), _cut(rows)
    decided = ledger.decision(book, told.sessions[-1].item())
    return AccountRecord(
        name=book.strategy,
        run_id=str(book),
        config=config,
        config_hash=decided.config_hash if decided else "unknown",
        code_version=decided.code_version if decided else "unknown",
        data_hash=decided.data_hash if decided else "unknown",
        sessions=told.sessions,
        symbols=panel.symbols,
        days=told.days,
        events=_in_columns(told, panel),
        bars=_bars(panel, cut),
        universe=everywhere.at(cut),
        benchmark=None if benchmark is None else benchmark[cut],
        warnings=once((*warnings, *_said(ledger, book, told.sessions))),
        seen=(panel, everywhere, int(rows[-1])),
    )


def _said(ledger: Ledger, book: BookId, sessions: NDArray[np.datetime64]) -> tuple[str, ...]:
    """The warnings of the last night that decided: what its page shows, e.g. which factors were left out of the score."""
    for session in reversed(sessions.tolist()):
        decision = ledger.decision(book, session)
        if decision is not None:
            return tuple(str(warning) for warning in json.loads(decision.body)["warnings"])
    return ()


def _rows(panel: BarPanel, sessions: NDArray[np.datetime64]) -> NDArray[np.int64]:
    found = np.searchsorted(panel.sessions, sessions)
    inside = found < len(panel.sessions)
    held = np.zeros(len(sessions), np.bool_)
    held[inside] = panel.sessions[found[inside]] == sessions[inside]
    if not held.all():
        raise MissingDataError(
            f"trades are measured on the bars of every booked session; the store lacks {sessions[~held][0]}",
            remedy="exo data import FILE   (the bars of that session)",
        )
    return found.astype(np.int64)


def _cut(rows: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """``rows`` as a slice where none is left out: a slice of ten years is a view, an array of rows a copy."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _in_columns(course: Course, panel: BarPanel) -> NDArray[np.void]:
    """The events of ``course`` with the columns of ``panel`` for their symbols."""
    used = np.unique(course.events["symbol"])
    place = {symbol: i for i, symbol in enumerate(panel.symbols)}
    missing = sorted(course.symbols[i] for i in used if course.symbols[i] not in place)
    if missing:
        raise MissingDataError(
            f"trades are measured on the bars of every traded symbol; the store lacks {', '.join(missing)}", remedy="exo data import FILE"
        )
    columns = np.full(len(course.symbols), -1)
    columns[used] = [place[course.symbols[i]] for i in used]
    events = course.events.copy()
    events["symbol"] = columns[events["symbol"]]
    return events


def _bars(panel: BarPanel, rows: slice | NDArray[np.int64]) -> Bars:
    cut = [getattr(panel, name)[rows] for name in ("open", "high", "low", "close", "volume", "split_ratio", "dividend")]
    return Bars._make([*cut, panel.delisted, panel.delisting_value, panel.calendar_day[rows]])


def day_record(booked: BookedDay) -> tuple[float | int, ...]:
    """A booked session as a row of DAY."""
    names = DAY.names or ()
    return tuple(RiskState[booked.day.state.name] if name == "state" else getattr(booked.day, name) for name in names)


def _event(row: int, column: dict[str, int], line: EventLine) -> tuple[float | int, ...]:
    codes = KINDS[line.kind], OUTCOMES[line.outcome], REASONS[line.reason.name]
    return (row, column[line.symbol], *codes, line.shares, line.price, line.reference, line.commission, line.cash)
