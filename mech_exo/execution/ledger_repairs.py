"""What the ledger knows for recovery and repair: orders in doubt, protection, accepted differences, late fills. Part of :class:`Ledger`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from mech_exo.execution import codec
from mech_exo.execution import ledger_tables as tables
from mech_exo.execution.rows import OPEN_STATES, Adjustment, BookId, FillRow, Instrument, LateFill, OrderRow, Protection, Unseen

MOST_BOUND = 500  # values in one statement; SQLite takes at least 999
SENT_AT = """SELECT at FROM journal WHERE kind = 'state' AND key = ? AND instr(body, '"state":"sending"') ORDER BY seq DESC LIMIT 1"""
BOOKED_AT = "(SELECT coalesce(max(seq), 0) FROM sessions WHERE account = ? AND strategy = ?)"
LATE = (
    "SELECT id, body FROM journal JOIN fills USING (seq) WHERE account = ? AND strategy = ? AND session <= ? "
    f"AND seq > {BOOKED_AT} ORDER BY seq"
)
BEFORE = f"SELECT body FROM journal WHERE kind = 'fill' AND key = ? AND seq <= {BOOKED_AT} ORDER BY seq DESC LIMIT 1"
PENDING = f"SELECT body FROM journal JOIN adjustments USING (seq) WHERE account = ? AND strategy = ? AND seq > {BOOKED_AT} ORDER BY seq"


class LedgerRepairs(ABC):
    """The questions and entries of recovery, protection and repair."""

    @abstractmethod
    def _run(self, sql: str, values: Sequence[object] = ()) -> list[Any]: ...

    @abstractmethod
    def append(self, row: object, key: str) -> None:
        """Chain ``row`` to the journal and to its tables, in the running transaction or one of its own."""

    @abstractmethod
    def _orders(self, condition: str, values: Sequence[object]) -> tuple[OrderRow, ...]: ...

    def find_orders(self, ids: Iterable[str]) -> dict[str, OrderRow]:
        """The planned ones of ``ids``, of whatever book."""
        wanted, found = sorted(set(ids)), {}
        for start in range(0, len(wanted), MOST_BOUND):
            part = wanted[start : start + MOST_BOUND]
            found.update({row.order.id: row for row in self._orders(f"WHERE id IN ({', '.join('?' * len(part))})", part)})
        return found

    def oldest_open(self, book: BookId) -> date | None:
        """The earliest close at which an order that may still trade and does not rest was decided, None when there is none."""
        condition, values = tables.where([*tables.filters(book), *tables.in_states(OPEN_STATES)])
        ((day,),) = self._run(f"SELECT min(decided) FROM orders {condition} AND rests = 0", values)
        return None if day is None else date.fromisoformat(day)

    def overfilled(self, book: BookId) -> tuple[OrderRow, ...]:
        """Orders whose fills exceed their shares, or went the other way."""
        condition = "WHERE account = ? AND strategy = ? AND filled != 0 AND (abs(filled) > abs(shares) OR (filled > 0) != (shares > 0))"
        return self._orders(condition, tables.book_columns(book))

    def group_filled(self, group: str) -> bool:
        """True when an order of ``group`` filled wholly."""
        return bool(self._run("SELECT 1 FROM orders WHERE oca = ? AND state = 'filled' LIMIT 1", (group,)))

    def used_ids(self, book: BookId, session: date) -> frozenset[str]:
        """Ids of every order ever planned for ``session``."""
        sql = "SELECT id FROM orders WHERE account = ? AND strategy = ? AND session = ?"
        return frozenset(id_ for (id_,) in self._run(sql, (*tables.book_columns(book), str(session))))

    def sent_at(self, order_id: str) -> datetime | None:
        """When an order last went to SENDING, None if it never did."""
        found = self._run(SENT_AT, (order_id,))
        return datetime.fromisoformat(found[0][0]) if found else None

    def protect(self, row: Protection) -> bool:
        """Journal planned protection, its orders as NEW; False, and nothing written, when there is nothing to change."""
        if not row.intents and not row.cancels:
            return False
        self.append(row, f"{row.book}/{row.session}")
        return True

    def note_unseen(self, row: Unseen) -> None:
        """Journal that a clean comparison did not show an order in doubt."""
        self.append(row, row.order_id)

    def unseen(self, order_id: str) -> tuple[Unseen, ...]:
        """Clean comparisons that did not show the order, oldest first."""
        rows = self._run("SELECT order_id, at, held FROM unseen WHERE order_id = ? ORDER BY seq", (order_id,))
        return tuple(Unseen(id_, datetime.fromisoformat(at), held) for id_, at, held in rows)

    def adjustments(self, book: BookId) -> tuple[Adjustment, ...]:
        """What the operator accepted since the last booked session, oldest first: the next session is booked with it."""
        rows = self._run(PENDING, (*tables.book_columns(book), *tables.book_columns(book)))
        return tuple(codec.decode(Adjustment, body) for (body,) in rows)

    def accepted(self, book: BookId) -> tuple[Adjustment, ...]:
        """What the operator accepted, ever, oldest first."""
        sql = "SELECT body FROM journal JOIN adjustments USING (seq) WHERE account = ? AND strategy = ? ORDER BY seq"
        return tuple(codec.decode(Adjustment, body) for (body,) in self._run(sql, tables.book_columns(book)))

    def accepted_orders(self, book: BookId) -> frozenset[str]:
        """Ids of orders whose break the operator accepted, ever."""
        return frozenset(id_ for row in self.accepted(book) for id_ in row.orders)

    def instruments(self, book: BookId) -> dict[str, str]:
        """The broker's key of every symbol of the book that had one."""
        sql = "SELECT symbol, key FROM instruments WHERE account = ? AND strategy = ?"
        return dict(self._run(sql, tables.book_columns(book)))

    def record_instrument(self, row: Instrument) -> bool:
        """Journal what a symbol means at the broker; False when that is known."""
        sql = "SELECT key FROM instruments WHERE account = ? AND strategy = ? AND symbol = ?"
        if self._run(sql, (*tables.book_columns(row.book), row.symbol)) == [(row.key,)]:
            return False
        self.append(row, f"{row.book}/{row.symbol}")
        return True

    def late_fills(self, book: BookId, last: date) -> tuple[LateFill, ...]:
        """Fills of sessions up to ``last``, the last booked one, that were recorded or corrected after it was booked."""
        who = tables.book_columns(book)
        late = []
        for id_, body in self._run(LATE, (*who, str(last), *who)):
            former = self._run(BEFORE, (id_, *who))
            before = codec.decode(FillRow, former[0][0]).fill if former else None
            late.append(LateFill(before, codec.decode(FillRow, body).fill))
        return tuple(late)
