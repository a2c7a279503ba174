"""What a write, or a look at the store, has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What became of a frame or file of bars.

    ``quarantined`` counts rows by reason. ``attention`` holds what a person should look at, each a rule, a value and a remedy;
    ``notices`` what is merely worth knowing. ``first`` and ``last`` are the
    sessions spanned by the good rows.
    """

    source: str
    file: str
    rows: int
    new: int
    restated: int
    unchanged: int
    duplicates: int
    quarantined: Mapping[str, int]
    actions: int
    sectors: int
    symbols: int
    first: date | None
    last: date | None
    seconds: float
    attention: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the store's facts changed."""
        return bool(self.new or self.restated or self.actions or self.sectors)


@dataclass(frozen=True, slots=True)
class FactSummary:
    """What became of a frame of other facts (sectors, universe, benchmark, fundamentals, news)."""

    kind: str
    rows: int
    new: int
    restated: int
    unchanged: int
    notices: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the store's facts changed."""
        return bool(self.new or self.restated)


@dataclass(frozen=True, slots=True)
class Status:
    """The store at a glance. ``bars_by_year`` counts bars and symbols; ``stale_sessions`` closed sessions after the last bar."""

    path: str
    schema_version: int
    bars: int
    symbols: int
    first: date | None
    last: date | None
    stale_sessions: int | None
    restated: int
    bars_by_year: Mapping[int, tuple[int, int]]
    sources: Mapping[str, str]
    actions: Mapping[str, int]
    sectors: int
    sectors_backfilled: bool
    universes: Mapping[str, int]
    benchmarks: Mapping[str, tuple[date, date]]
    fundamentals: int
    news: int
    flagged: Mapping[str, int]
    quarantined: Mapping[str, int]
    snapshot: str | None
    last_recorded: datetime | None
    warnings: tuple[str, ...] = field(default=())
