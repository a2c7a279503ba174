"""How the stored data stand: who has a usable bar, what was found and of whom, what was refused, who told what when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain.verdict import DataVerdict

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from mech_exo.datasource.quality import QualityReport
    from mech_exo.datasource.storage import Status
    from mech_exo.domain.panel import BarPanel
    from mech_exo.execution.ledger import Ledger
    from mech_exo.reporting.dashboard.house import House

MOST_REFUSED = 5000
"""Quarantined rows shown, the newest; all are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A standing verdict on a name's data tonight. ``left`` sessions it lasts yet (None: no end); ``clear`` is the command that ends it."""

    symbol: str
    check: str
    verdict: str
    session: date
    left: int | None
    value: float | None
    limit: float | None
    evidence: str
    clear: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A quarantined row: foreign text."""

    reason: str
    symbol: str
    day: str
    file: str
    row: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that a person accepted, why, and since when that is known."""

    symbol: str
    session: date
    check: str
    because: str
    said_at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """A source of one kind of facts and its newest row (UTC)."""

    kind: str
    source: str
    rows: int
    known_at: datetime | None
    recorded_at: datetime | None


@dataclass(frozen=True, slots=True, eq=False)
class DataState:
    """Everything the page on data quality shows.

    ``usable`` ``(T,)`` is the share of members with a usable bar on ``sessions`` (:func:`mech_exo.datasource.quality.presence.usable`),
    NaN without a member. ``assessed`` whether the quality gate has seen everything that is stored.
    """

    sessions: NDArray[np.datetime64]
    usable: NDArray[np.float64]
    report: QualityReport
    findings: tuple[Finding, ...]
    refused: tuple[Refused, ...]
    accepted: tuple[Accepted, ...]
    sources: tuple[Told, ...]
    status: Status
    assessed: bool
    warnings: tuple[str, ...]


def data_state(house: House) -> DataState:
    """The published snapshot as it stands. Raises MissingDataError where there is none, or no bar in it."""
    from mech_exo.datasource.quality import report
    from mech_exo.datasource.quality.presence import usable

    storage = house.storage
    view = storage.view()
    panel, found = view.panel(), view.findings()
    universe = view.universe(panel, house.config.strategy.universe.name)
    share = usable(panel, universe.member, universe.verdict)
    del universe
    return DataState(
        panel.sessions, share, report(panel, found), standing(panel, found), _refused(storage.quarantine(MOST_REFUSED)),
        tuple(Accepted(*row) for row in storage.quality().notes().select("symbol", "session", "check", "because", "said_at").iter_rows()),
        tuple(Told(*row) for row in storage.sources().select("kind", "source", "rows", "known_at", "recorded_at").iter_rows()),
        storage.status(), view.assessed(), tuple(view.warnings()),
    )  # fmt: skip


def standing(panel: BarPanel, findings: pl.DataFrame) -> tuple[Finding, ...]:
    """What warns or blocks at the last session of ``panel``, of names with a bar in the month before; blocks first."""
    import polars as pl

    from mech_exo.datasource.quality.presence import MONTH
    from mech_exo.datasource.quality.report import clearing
    from mech_exo.datasource.storage.verdicts import spans

    last = len(panel.sessions) - 1
    living = np.asarray((~np.isnan(panel.close[max(0, last - MONTH) :])).any(axis=0))
    rows = spans(panel, findings).filter(
        (pl.col("begin") <= last) & (pl.col("stop") > last) & (pl.col("code") >= int(DataVerdict.WARN))
    ).sort(pl.col("code"), "symbol", "session", descending=[True, False, False])  # fmt: skip
    return tuple(
        Finding(
            row["symbol"], row["check"], row["verdict"], row["session"],
            None if row["lasts"] is None else row["first"] + row["lasts"] - last, row["value"], row["limit"], row["evidence"],
            clearing(row["symbol"], row["session"], row["check"]),
        )
        for row in rows.iter_rows(named=True)
        if living[panel.column_of(row["symbol"])]
    )  # fmt: skip


def _refused(rows: pl.DataFrame) -> tuple[Refused, ...]:
    return tuple(_row(*row) for row in rows.select("reason", "file", "row", "recorded_at").iter_rows())


def _row(reason: str, file: str | None, text: str, at: datetime) -> Refused:
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    named: dict[str, Any] = {str(key).lower(): value for key, value in said.items()} if isinstance(said, dict) else {}
    symbol = next((str(named[key]) for key in ("symbol", "ticker", "name") if named.get(key) is not None), "")
    day = next((str(named[key])[:10] for key in ("date", "session", "day") if named.get(key) is not None), "")
    return Refused(reason, symbol, day, file or "", text, at)


def held_now(ledger: Ledger) -> frozenset[str]:
    """Names in any book at its last close."""
    rows = [ledger.last_session(book) for book in ledger.books()]
    return frozenset(line.symbol for row in rows if row is not None for line in row.lines if line.shares)
