"""What an export reads of the ledger: many rows at once, a few figures of each, decoded by SQLite. Part of :class:`Ledger`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from mech_exo.execution import ledger_tables as tables
from mech_exo.execution.rows import BookId

LINE = ("symbol", "shares", "cost", "mark", "stop", "stop_reason", "target", "age", "missing")
LINES = (
    f"SELECT session, {', '.join(f'json_extract(value, {chr(39)}$.{name}{chr(39)})' for name in LINE)} "
    "FROM journal JOIN sessions USING (seq), json_each(body, '$.lines') "
    "WHERE account = ? AND strategy = ? AND session BETWEEN ? AND ? AND json_extract(value, '$.shares') != 0 ORDER BY session"
)
BODIES = (
    "SELECT json_extract(body, '$.body') FROM journal JOIN decisions USING (seq) "
    "WHERE account = ? AND strategy = ? AND session BETWEEN ? AND ? ORDER BY session LIMIT ? OFFSET ?"
)


class LedgerExport(ABC):
    """Questions of an export."""

    @abstractmethod
    def _run(self, sql: str, values: Sequence[object] = ()) -> list[Any]: ...

    def held_lines(self, book: BookId, first: date, last: date) -> list[tuple[Any, ...]]:
        """Session (ISO text) and :data:`LINE` of what was held at the closes from ``first`` to ``last``, in order; None unknown."""
        return self._run(LINES, (*tables.book_columns(book), str(first), str(last)))

    def decision_bodies(self, book: BookId, first: date, last: date, count: int) -> Iterator[list[str]]:
        """Canonical JSON of the decisions from ``first`` to ``last``, in order, ``count`` at a time."""
        place = 0
        while rows := self._run(BODIES, (*tables.book_columns(book), str(first), str(last), count, place)):
            yield [body for (body,) in rows]
            place += len(rows)
