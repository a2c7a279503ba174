"""The journal itself, a page at a time, for those who read it. Part of :class:`Ledger`."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from mech_exo.execution import codec
from mech_exo.execution import ledger_tables as tables
from mech_exo.execution.rows import BookId, BookLine, EventLine

BULKY = ("decision", "session")
"""Kinds whose bodies hold whole markets: their text is not searched."""
EVENTS = (
    "SELECT session, json_extract(body, '$.events') FROM journal JOIN sessions USING (seq) "
    "WHERE account = ? AND strategy = ? ORDER BY session"
)
HELD = (
    "SELECT session, json_extract(value, '$.symbol'), json_extract(value, '$.shares') FROM journal JOIN sessions USING (seq), "
    "json_each(body, '$.lines') WHERE account = ? AND strategy = ? AND session BETWEEN ? AND ? AND json_extract(value, '$.shares') != 0"
)
NIGHTS = (
    "SELECT session, json_extract(body, '$.recorded_at'), json_extract(body, '$.stored_until'), json_extract(body, '$.config_hash'), "
    "json_extract(body, '$.code_version'), json_extract(body, '$.data_hash') "
    "FROM journal JOIN decisions USING (seq) WHERE account = ? AND strategy = ? ORDER BY session"
)
LINES = (
    "SELECT session, line.value FROM journal JOIN sessions USING (seq), json_each(body, '$.lines') AS line "
    "WHERE account = ? AND strategy = ? AND session >= ? AND instr(body, ?) AND json_extract(line.value, '$.symbol') = ? ORDER BY session"
)
"""The text of a symbol is looked for first: most sessions do not hold it, and need not be taken apart."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the journal; ``at`` is when it was written (UTC), ``body`` its canonical JSON."""

    seq: int
    at: datetime
    kind: str
    key: str
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A decided session without what was decided: when (UTC), on what data, by which configuration and code."""

    session: date
    recorded_at: datetime
    stored_until: datetime | None
    config_hash: str
    code_version: str
    data_hash: str


@dataclass(frozen=True, slots=True)
class Sought:
    """Which rows: of ``kinds`` (none: all), written from ``since`` to ``until`` (UTC days, both included), holding ``text``.

    ``text`` is looked for in the key and in the body, whatever the case of its Latin letters; of :data:`BULKY` kinds in the key alone.
    """

    kinds: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    text: str = ""


class LedgerJournal(ABC):
    """Questions about the journal's rows."""

    @abstractmethod
    def _run(self, sql: str, values: Sequence[object] = ()) -> list[Any]: ...

    def entries(self, sought: Sought = Sought(), first: int = 0, count: int = 100) -> tuple[Entry, ...]:
        """Rows ``first`` to ``first + count`` of those that are ``sought``, the newest first."""
        condition, values = tables.where(_clauses(sought))
        sql = f"SELECT seq, at, kind, key, body, hash FROM journal {condition} ORDER BY seq DESC LIMIT ? OFFSET ?"
        return tuple(_entry(row) for row in self._run(sql, (*values, count, first)))

    def count_entries(self, sought: Sought = Sought()) -> int:
        """How many rows are ``sought``."""
        condition, values = tables.where(_clauses(sought))
        ((count,),) = self._run(f"SELECT count(*) FROM journal {condition}", values)
        return int(count)

    def entry(self, seq: int) -> Entry | None:
        """One row, None for a number the journal has not reached."""
        found = self._run("SELECT seq, at, kind, key, body, hash FROM journal WHERE seq = ?", (seq,))
        return _entry(found[0]) if found else None

    def events(self, book: BookId) -> tuple[tuple[date, tuple[EventLine, ...]], ...]:
        """What happened in every booked session, in order; nothing else of the sessions is decoded."""
        rows = self._run(EVENTS, tables.book_columns(book))
        kind: Any = tuple[EventLine, ...]
        return tuple((date.fromisoformat(session), codec.decode(kind, body) if body else ()) for session, body in rows)

    def lines_of(self, book: BookId, symbol: str, since: date) -> tuple[tuple[date, BookLine], ...]:
        """The line of ``symbol`` after each close from ``since`` on at which there was one, in order."""
        text = f'"symbol":{json.dumps(symbol, ensure_ascii=False)}'
        rows = self._run(LINES, (*tables.book_columns(book), str(since), text, symbol))
        return tuple((date.fromisoformat(session), codec.decode(BookLine, line)) for session, line in rows)

    def holdings(self, book: BookId, first: date, last: date) -> dict[date, dict[str, int]]:
        """Shares by symbol at the booked closes from ``first`` to ``last`` at which something was held."""
        found: dict[date, dict[str, int]] = {}
        for session, symbol, shares in self._run(HELD, (*tables.book_columns(book), str(first), str(last))):
            found.setdefault(date.fromisoformat(session), {})[symbol] = int(shares)
        return found

    def nights(self, book: BookId) -> tuple[Decided, ...]:
        """Every decided session, in order; the bodies, which hold whole markets, are not decoded."""
        rows = self._run(NIGHTS, tables.book_columns(book))
        return tuple(
            Decided(date.fromisoformat(day), datetime.fromisoformat(at), None if until is None else datetime.fromisoformat(until), *hashes)
            for day, at, until, *hashes in rows
        )

    def booked_at(self, book: BookId, session: date) -> Entry | None:
        """The row that booked a session, without its body; None where it is not booked."""
        sql = "SELECT seq, at, kind, key, '', hash FROM journal WHERE kind = 'session' AND key = ? ORDER BY seq DESC LIMIT 1"
        found = self._run(sql, (f"{book}/{session}",))
        return _entry(found[0]) if found else None

    def latest_instant(self) -> datetime | None:
        """When the latest row was written, None in an empty ledger: no clock may be before it."""
        ((at,),) = self._run("SELECT max(at) FROM journal")
        return None if at is None else datetime.fromisoformat(at)

    def row_hash(self, seq: int) -> str:
        """The hash of a journal row, empty where there is none: another one than before means that a backup was restored."""
        found = self._run("SELECT hash FROM journal WHERE seq = ?", (seq,))
        return str(found[0][0]) if found else ""


def _clauses(sought: Sought) -> list[tables.Clause]:
    clauses: list[tables.Clause] = []
    if sought.kinds:
        clauses.append((f"kind IN ({', '.join('?' * len(sought.kinds))})", sought.kinds))
    if sought.since is not None:
        clauses.append(("at >= ?", (str(sought.since),)))
    if sought.until is not None:
        clauses.append(("at < ?", (str(sought.until + timedelta(1)),)))
    if sought.text:
        bulky = ", ".join(f"'{kind}'" for kind in BULKY)
        said = rf"(key LIKE ? ESCAPE '\' OR (kind NOT IN ({bulky}) AND body LIKE ? ESCAPE '\'))"
        literal = re.sub(r"([%_\\])", r"\\\1", sought.text)
        clauses.append((said, (f"%{literal}%", f"%{literal}%")))
    return clauses


def _entry(row: Sequence[Any]) -> Entry:
    seq, at, kind, key, body, digest = row
    return Entry(seq, datetime.fromisoformat(at), kind, key, body, digest)
