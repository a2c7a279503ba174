"""What the steps of an update share: the job, its batches, and what became of one source."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from mech_exo.datasource.base import Kind
from mech_exo.datasource.fetching import SYMBOL, Outcome, Status
from mech_exo.datasource.spans import said_missing
from mech_exo.domain.errors import cut
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.utils.settings import Config

SILENT = "not asked: the source failed for every symbol asked before it"
LOST_AFTER = 5


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What one source gave: ``current`` symbols needed nothing; facts ``new``, ``restated`` and ``unchanged``; one outcome per symbol
    asked, its missing sessions among them; ``trouble``: why the source as a whole gave nothing.
    """

    kind: Kind
    source: str
    current: int
    new: int
    restated: int
    unchanged: int
    outcomes: tuple[Outcome, ...]
    notices: tuple[str, ...]
    trouble: str
    seconds: float

    @property
    def missing(self) -> int:
        """Sessions without a bar, over all symbols."""
        return sum(len(one.missing) for one in self.outcomes)

    def count(self, status: Status) -> int:
        """How many symbols ended so."""
        return sum(one.status is status for one in self.outcomes)

    @property
    def attention(self) -> tuple[str, ...]:
        """What a person should look at: every symbol whose last good data are now stale, and why."""
        quiet = (Status.OK,) if self.kind is Kind.BARS else (Status.OK, Status.EMPTY)
        said = [f"{self.kind} from {self.source}: {self.trouble}"] if self.trouble else []
        for one in self.outcomes:
            parts = [] if one.status in quiet else [f"{one.status} ({one.detail})" if one.detail else str(one.status)]
            parts += [one.detail] if one.status is Status.OK and one.detail else []
            parts += [said_missing(one.missing)] if one.missing else []
            if parts:
                said.append(f"{one.symbol}, {self.kind} from {self.source}: {'; '.join(parts)}")
        return (*said, *self.notices)


def sessions_before(session: date, count: int) -> date:
    """The session ``count`` sessions before ``session``, or the calendar's first."""
    earliest = calendar.ordinal(session)
    for _ in range(min(count, earliest)):
        session = calendar.previous_session(session)
    return session


@dataclass(frozen=True, slots=True)
class Job:
    """What the steps of an update share."""

    storage: DataStorage
    config: Config
    symbols: tuple[str, ...]
    session: date
    now: datetime
    progress: Callable[[str], None]

    def askable(self) -> tuple[list[str], list[Outcome]]:
        """The symbols a source can be asked for, and an outcome for each that cannot be written as a ticker."""
        good = [name for name in self.symbols if SYMBOL.fullmatch(name)]
        why = "a symbol has 1 to 20 letters, digits or . ^ = -"
        return good, [Outcome(cut(name), Status.REFUSED, detail=why) for name in self.symbols if not SYMBOL.fullmatch(name)]


def batches(symbols: Sequence[str], size: int) -> Iterator[list[str]]:
    """``symbols`` in lists of at most ``size``."""
    for at in range(0, len(symbols), size):
        yield list(symbols[at : at + size])


class Patience:
    """Whether asking on makes sense: a source that fails for everybody would only take hours, one symbol that never comes must not
    cost the others theirs. It is lost when batches failed whole, one after another, that hold :data:`LOST_AFTER` symbols (all of them
    where fewer are asked for, one batch where it is smaller).
    """

    def __init__(self, asked: int, batch: int) -> None:
        self._needed = min(asked, batch, LOST_AFTER)
        self._failed: list[Outcome] = []

    def trouble_after(self, outcomes: Collection[Outcome]) -> str:
        """Why the source is not asked any further after a batch with these outcomes; empty: it is."""
        lost = bool(outcomes) and all(one.status is Status.FAILED for one in outcomes)
        self._failed = [*self._failed, *outcomes] if lost else []
        if not lost or len(self._failed) < self._needed:
            return ""
        return f"it failed for all {len(self._failed)} symbols asked in a row; {self._failed[-1].detail}"
