"""The ledger: SQLite in WAL mode, every commit synced, every row chained to the one before by its hash.

The table ``journal`` is the truth; the other tables are derived from it in the same transaction, so that questions are
cheap. :meth:`Ledger.verify` recomputes the chain and rebuilds every derived table. All SQL of the ledger is in this file, its
``ledger_tables.py``, ``ledger_journal.py``, ``ledger_notes.py``, ``ledger_export.py``, ``ledger_repairs.py``, ``ledger_care.py`` and
``ledger_schema.sql``.
One process writes (a lock names it), any number read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from mech_exo.domain.errors import LedgerError
from mech_exo.domain.orders import Fill, OrderState
from mech_exo.execution import codec, ledger_care
from mech_exo.execution import ledger_tables as tables
from mech_exo.execution.guard import Mark
from mech_exo.execution.ledger_export import LedgerExport
from mech_exo.execution.ledger_journal import LedgerJournal
from mech_exo.execution.ledger_notes import LedgerNotes
from mech_exo.execution.ledger_repairs import LedgerRepairs
from mech_exo.execution.rows import (
    TRANSITIONS,
    Adjustment,
    Alert,
    BookedDay,
    BookId,
    DecisionRow,
    FillRow,
    Flow,
    Intent,
    OrderRow,
    Plan,
    SentTotals,
    SessionRow,
    StateChange,
    VerifyReport,
)
from mech_exo.execution.trial_rows import Promotion, Sweep
from mech_exo.utils.log import redact_account

Row = TypeVar("Row")


def default_path(home: Path) -> Path:
    """The ledger of a workspace: ``<home>/data/ledger.sqlite``."""
    return home / "data" / "ledger.sqlite"


def utc_now() -> datetime:
    """The wall clock in UTC."""
    return datetime.now(UTC)


class Ledger(LedgerExport, LedgerJournal, LedgerNotes, LedgerRepairs):
    """The money journal. Open it with :meth:`open`, as a context manager.

    Raises
    ------
    LedgerError
        Another process writes it, it is damaged, of another version, or shorter than its high-water mark.
    """

    def __init__(self, path: Path, *, read_only: bool, wait: float, clock: Callable[[], datetime]) -> None:
        self.path = path
        self.read_only = read_only
        self._clock = clock
        self._depth = 0
        self._broken = False
        self._latest: tuple[int, SessionRow] | None = None
        self._mark = ledger_care.mark_of(path)
        self._lock = None if read_only else tables.lock(path, wait)
        try:
            marked = self._mark.read()
            self._connection = tables.connect(path, marked, read_only)
            self._head = ledger_care.check_mark(self._connection, path, marked)
            if not read_only:
                self._mark.write(self._head)
            with suppress(LedgerError):  # what is damaged is for others to say
                for book in self.books():
                    redact_account(book.account)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path | str, *, read_only: bool = False, wait: float = 0.0, clock: Callable[[], datetime] = utc_now) -> Ledger:
        """Open the ledger at ``path``; a writer creates it, and waits up to ``wait`` seconds for another writer to end."""
        return cls(Path(path), read_only=read_only, wait=wait, clock=clock)

    def now(self) -> datetime:
        """The clock that stamps the journal, UTC."""
        return self._clock()

    def close(self) -> None:
        """Let go of the file and the lock."""
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()
        self._mark.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Everything read in the block is the journal as it is now, whatever another process commits meanwhile.

        Keep it short: what is committed meanwhile stays in the log beside the file until the block ends.
        """
        self._run("BEGIN")
        try:
            self._run("SELECT seq FROM journal LIMIT 1")  # the first read takes the snapshot
            yield
        finally:
            self._rollback()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group writes into one atomic commit. Nests; only the outermost commits, and only if nothing inside failed."""
        if self.read_only:
            raise LedgerError("this ledger was opened to read; nothing can be written to it")
        if self._depth == 0:
            self._run("BEGIN IMMEDIATE")
            self._broken = False
        self._depth += 1
        try:
            yield
        except BaseException:
            self._broken = True
            self._depth -= 1
            if self._depth == 0:
                self._rollback()
            raise
        self._depth -= 1
        if self._depth == 0:
            self._commit()

    def _commit(self) -> None:
        if self._broken:
            self._rollback()
            raise LedgerError("a transaction is all or nothing; a write in it failed and was passed over, so all of it was undone")
        try:
            self._run("COMMIT")
        except LedgerError:
            self._rollback()
            raise
        self._mark.write(self._head)

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._run("ROLLBACK")
        self._head = ledger_care.last_row(self._connection)

    def record_decision(self, row: DecisionRow) -> bool:
        """Journal the decision of a session; False when the same one is there already, LedgerError when another is."""
        known = self.decision(row.book, row.session)
        if known is None:
            self.append(row, f"{row.book}/{row.session}")
            return True
        before = (known.config_hash, known.code_version, known.data_hash)
        now = (row.config_hash, row.code_version, row.data_hash)
        if (before, known.body) != (now, row.body):
            raise LedgerError(
                f"a session is decided once; {row.book} {row.session} was decided with configuration, code and data {before} "
                f"and now differs, with {now}",
                remedy=f"compare them with `exo replay {row.session}`",
            )
        return False

    def decision(self, book: BookId, session: date) -> DecisionRow | None:
        """The decision of a session, None when there is none."""
        return self._body(DecisionRow, "decisions", book, session)

    def plan(self, intents: Sequence[Intent], book: BookId, session: date) -> bool:
        """Journal every intent decided at ``session`` in one commit, as NEW.

        A second call with the identical set does nothing and returns False; with any other set it is a LedgerError.
        """
        row = Plan(book, session, tuple(intents))
        known = self._body(Plan, "plans", book, session)
        if known is None:
            self.append(row, f"{book}/{session}")
            return True
        if known != row and codec.encode(known) != codec.encode(row):
            raise LedgerError(
                f"a session is planned once; {book} {session} was planned with {len(known.intents)} orders and now has {len(row.intents)} "
                "that are not the same",
                remedy=f"compare them with `exo replay {session}`; the journaled plan stands",
            )
        return False

    def set_state(self, order_id: str, state: OrderState, note: str = "", broker_id: str | None = None) -> None:
        """Move an order to ``state``. The same state again is no change; a step :data:`TRANSITIONS` lacks is a LedgerError."""
        known = self.order(order_id)
        if known.state is state and (broker_id is None or broker_id == known.broker_id):
            return
        if known.state is not state and state not in TRANSITIONS[known.state]:
            raise LedgerError(f"an order that is {known.state} cannot become {state}; {order_id} ({known.order.symbol})")
        self.append(StateChange(order_id, state, note, broker_id), order_id)

    def order(self, order_id: str) -> OrderRow:
        """One order. Raises LedgerError for an id that was never planned."""
        found = self.find_order(order_id)
        if found is None:
            raise LedgerError(f"an order must be planned before anything happens to it; {order_id} is not in the ledger")
        return found

    def find_order(self, order_id: str) -> OrderRow | None:
        """One order, None for an id that was never planned."""
        found = self._orders("WHERE id = ?", (order_id,))
        return found[0] if found else None

    def orders(
        self, book: BookId | None = None, *, session: date | None = None, decided: date | None = None,
        states: Iterable[OrderState] | None = None, symbol: str | None = None,
    ) -> tuple[OrderRow, ...]:  # fmt: skip
        """Orders by the session they are to trade in, the session they were decided at, state, or symbol; oldest first."""
        wanted = tables.filters(book, session=session, decided=decided, symbol=symbol) + tables.in_states(states)
        return self._orders(*tables.where(wanted))

    def sent(self, book: BookId, session: date) -> SentTotals:
        """How often an order for ``session`` went to SENDING, and for how much: survives every restart."""
        ((count, notional, unknown),) = self._run(tables.SENT, (*tables.book_columns(book), str(session)))
        return SentTotals(count or 0, math.nan if unknown else float(notional or 0.0))

    def rests_until(self, book: BookId, per_minute: int) -> datetime | None:
        """When the next order may go to SENDING, if at most ``per_minute`` do in any minute; None: at once. Survives every restart."""
        found = self._run(tables.NTH_SEND, (tables.NAMES[StateChange], *tables.book_columns(book), per_minute - 1))
        again = datetime.fromisoformat(found[0][0]) + timedelta(minutes=1) if found else None
        return again if again is not None and self._clock() < again else None

    def record_fill(self, book: BookId, fill: Fill) -> bool:
        """Journal a fill; False when the identical one is known, LedgerError when its id is known with other figures.

        What the broker adds or corrects later takes its place: a commission or reference where it was unknown, a higher revision.
        A fill that completes a planned order makes it FILLED in the same commit, where that may follow its state: a fill
        is the broker's fact and is recorded even for an order that was never sent, which the reconcile gate then finds.
        An order that a correction leaves short of its shares stays FILLED, as it ended; its note says how much it is now.
        """
        known = self._run("SELECT body FROM journal JOIN fills USING (seq) WHERE id = ?", (fill.id,))
        if known and known[0][0] == codec.encode(FillRow(book, fill)):
            return False
        before = codec.decode(FillRow, known[0][0]).fill if known else None
        row = FillRow(book, fill if before is None else _with_known(before, fill))
        fill = row.fill
        if before is not None:
            if codec.encode(FillRow(book, before)) == codec.encode(row) or fill.revision < before.revision:
                return False
            if fill.revision == before.revision and not _completes(before, fill):
                raise LedgerError(f"a fill never changes; {fill.id} ({fill.symbol}, {fill.session}) is in the ledger with other figures")
        with self.transaction():
            self.append(row, fill.id)
            for order in self._orders("WHERE id = ?", (fill.order_id,)):
                if order.filled == order.order.shares and OrderState.FILLED in TRANSITIONS[order.state]:
                    self.set_state(fill.order_id, OrderState.FILLED, "filled")
                elif known and order.state is OrderState.FILLED and order.filled != order.order.shares:
                    said = f"corrected: {order.filled} of {order.order.shares} shares filled"
                    self.append(StateChange(fill.order_id, OrderState.FILLED, said), fill.order_id)
        return True

    def fills(
        self, book: BookId | None = None, *, session: date | None = None, order_id: str | None = None, symbol: str | None = None,
        since: date | None = None,
    ) -> tuple[FillRow, ...]:  # fmt: skip
        """Fills in the order they were recorded."""
        wanted = tables.filters(book, session=session, order_id=order_id, symbol=symbol)
        if since is not None:
            wanted.append(("session >= ?", (str(since),)))
        condition, values = tables.where(wanted)
        rows = self._run(f"SELECT {tables.FILL_COLUMNS} FROM fills {condition} ORDER BY seq", values)
        return tuple(tables.fill_row(*row) for row in rows)

    def book_session(self, row: SessionRow) -> bool:
        """Journal a booked session; False when the identical one is known, LedgerError when another is or a later one is."""
        known = self.session(row.book, row.session)
        if known is not None:
            if codec.encode(known) != codec.encode(row):
                raise LedgerError(f"a session is booked once; {row.book} {row.session} is in the ledger with other figures")
            return False
        last = self.last_booked(row.book)
        if last is not None and last > row.session:
            raise LedgerError(f"sessions are booked in order; {row.book} has {last} and was given {row.session}")
        self.append(row, f"{row.book}/{row.session}")
        return True

    def session(self, book: BookId, session: date) -> SessionRow | None:
        """A booked session, None when it is not booked."""
        return self._body(SessionRow, "sessions", book, session)

    def last_session(self, book: BookId) -> SessionRow | None:
        """The latest booked session, None for a new book."""
        found = self._run(tables.LAST_SESSION, tables.book_columns(book))
        if not found:
            return None
        if self._latest is None or self._latest[0] != found[0][0]:
            self._latest = (found[0][0], codec.decode(SessionRow, found[0][1]))
        return self._latest[1]

    def last_booked(self, book: BookId) -> date | None:
        """The latest booked session's date, None for a new book."""
        ((last,),) = self._run("SELECT max(session) FROM sessions WHERE account = ? AND strategy = ?", tables.book_columns(book))
        return None if last is None else date.fromisoformat(last)

    def day_history(self, book: BookId) -> tuple[BookedDay, ...]:
        """The figures of every booked session, in order."""
        sql = f"SELECT session, {tables.DAY_COLUMNS} FROM sessions WHERE account = ? AND strategy = ? ORDER BY session"
        return tuple(tables.booked_day(*row) for row in self._run(sql, tables.book_columns(book)))

    def nav_history(self, book: BookId) -> tables.NavArrays:
        """Sessions ``(T,)``, NAV at their closes ``(T,)`` and flows at their opens ``(T,)``, in order; NaN = unknown."""
        return tables.nav_arrays(self.day_history(book))

    def books(self) -> tuple[BookId, ...]:
        """Every book that has a decision, a plan or a session."""
        sql = " UNION ".join(f"SELECT account, strategy FROM {table}" for table in ("decisions", "plans", "sessions"))
        return tuple(BookId(*row) for row in self._run(f"{sql} ORDER BY 1, 2"))

    def verify(self) -> VerifyReport:
        """Recompute the chain, rebuild every derived table from it and compare, with the mark and SQLite's own check."""
        return ledger_care.verify(self._connection, self._mark.read())

    def backup(self, dest: Path) -> VerifyReport:
        """Copy the ledger as of now to ``dest`` and verify the copy. LedgerError when ``dest`` exists or the copy is unsound."""
        return ledger_care.backup(self._connection, dest)

    def rows(self, kind: type[Row]) -> tuple[Row, ...]:
        """Every row of one kind, oldest first."""
        bodies = self._run("SELECT body FROM journal WHERE kind = ? ORDER BY seq", (tables.NAMES[kind],))
        return tuple(codec.decode(kind, body) for (body,) in bodies)

    def append(self, row: object, key: str) -> None:
        """Chain ``row`` to the journal and to its tables, in the running transaction or one of its own."""
        kind, at, body = tables.NAMES[type(row)], self._clock().isoformat(), codec.encode(row)
        with self.transaction():
            head = self._head
            seq = head.seq + 1
            digest = codec.link(head.hash, seq, at, kind, key, body)
            self._run("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", (seq, at, kind, key, body, head.hash, digest))
            try:
                tables.project(self._connection, seq, row)
            except tables.DAMAGE as error:
                raise LedgerError(f"the ledger refused a {kind} row ({key}): {error}") from error
            self._head = Mark(seq, digest)

    def once(self, row: Flow | Alert | Sweep | Promotion | Adjustment) -> bool:
        """Journal a row by its id; False when it is known, LedgerError when its id is known with other contents."""
        known = self._run("SELECT body FROM journal WHERE kind = ? AND key = ?", (tables.NAMES[type(row)], row.id))
        if known and known[0][0] != codec.encode(row):
            raise LedgerError(f"an entry never changes; {tables.NAMES[type(row)]} {row.id} is in the ledger with other contents")
        if not known:
            self.append(row, row.id)
        return not known

    def _body(self, kind: type[Row], table: str, book: BookId, session: date) -> Row | None:
        sql = f"SELECT body FROM journal JOIN {table} USING (seq) WHERE account = ? AND strategy = ? AND session = ?"
        found = self._run(sql, (*tables.book_columns(book), str(session)))
        return codec.decode(kind, found[0][0]) if found else None

    def _orders(self, condition: str, values: Sequence[object]) -> tuple[OrderRow, ...]:
        rows = self._run(f"SELECT {tables.ORDER_COLUMNS} FROM orders {condition} ORDER BY session, rowid", values)
        return tuple(tables.order_row(row) for row in rows)

    def _run(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except tables.DAMAGE as error:
            remedy = "free disk space, then run the command again" if "full" in str(error) else tables.RESTORE
            raise LedgerError(f"the ledger at {self.path} must be readable and writable; {error}", remedy=remedy) from error


def _with_known(before: Fill, now: Fill) -> Fill:
    """``now`` with what is known of the fill and the broker does not say (again): its reference, and of the same revision its fee."""
    reference = before.reference if math.isnan(now.reference) else now.reference
    unsaid = math.isnan(now.commission) and now.revision == before.revision
    return replace(now, reference=reference, commission=before.commission if unsaid else now.commission)


def _completes(before: Fill, now: Fill) -> bool:
    """Whether ``now`` says no more than ``before`` but what was unknown then."""
    said = {name: getattr(now, name) for name in ("commission", "reference") if math.isnan(getattr(before, name))}
    return bool(said) and replace(before, **said) == now
