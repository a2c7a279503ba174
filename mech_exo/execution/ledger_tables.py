"""The ledger's tables: opening the file, and deriving every table from a journal row. Used by ``ledger.py`` alone."""

from __future__ import annotations

import functools
import math
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import LedgerError
from mech_exo.domain.orders import Fill, Order, OrderReason, OrderState, OrderType
from mech_exo.domain.verdict import RiskState
from mech_exo.execution import codec
from mech_exo.execution.guard import Mark, writer_lock
from mech_exo.execution.rows import (
    OPEN_STATES,
    Adjustment,
    Alert,
    BookedDay,
    BookId,
    DayFigures,
    DecisionRow,
    Delivered,
    FillRow,
    Flow,
    HaltRow,
    Instrument,
    Intent,
    OrderRow,
    Plan,
    Protection,
    SessionRow,
    StateChange,
    Unseen,
)
from mech_exo.execution.trial_rows import Metric, Promotion, Sweep, Trial, TrialFigure
from mech_exo.utils.lock import ProcessLock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    NavArrays = tuple[NDArray[np.datetime64], NDArray[np.float64], NDArray[np.float64]]

SCHEMA = Path(__file__).with_name("ledger_schema.sql")
VERSION = 3
MIGRATIONS = {
    1: """
ALTER TABLE sessions ADD COLUMN scale REAL DEFAULT 1.0;
ALTER TABLE sessions ADD COLUMN wins REAL DEFAULT 0.0;
ALTER TABLE sessions ADD COLUMN losses REAL DEFAULT 0.0;
ALTER TABLE sessions ADD COLUMN gains REAL DEFAULT 0.0;
ALTER TABLE sessions ADD COLUMN forfeits REAL DEFAULT 0.0;
""",
    2: """
ALTER TABLE orders ADD COLUMN level REAL;
ALTER TABLE orders ADD COLUMN rests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN oca TEXT;
ALTER TABLE orders ADD COLUMN parent TEXT;
ALTER TABLE orders ADD COLUMN after TEXT;
ALTER TABLE fills ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE TABLE unseen (
    seq INTEGER PRIMARY KEY, order_id TEXT NOT NULL, at TEXT NOT NULL, held INTEGER NOT NULL
) STRICT;
CREATE INDEX unseen_by_order ON unseen (order_id);
CREATE TABLE adjustments (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, strategy TEXT NOT NULL, symbol TEXT,
    shares INTEGER NOT NULL, price REAL, cash REAL NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL, seq INTEGER NOT NULL
) STRICT;
CREATE TABLE instruments (
    account TEXT, strategy TEXT, symbol TEXT, key TEXT NOT NULL,
    PRIMARY KEY (account, strategy, symbol)
) STRICT, WITHOUT ROWID;
""",
}
"""From a version to the next."""
RESTORE = "restore the last backup with `exo ledger restore BACKUP`, then reconcile with the broker"
KINDS: dict[str, type[Any]] = {
    "decision": DecisionRow, "plan": Plan, "state": StateChange, "fill": FillRow, "session": SessionRow, "flow": Flow,
    "trial": Trial, "halt": HaltRow, "alert": Alert, "delivered": Delivered,
    "promotion": Promotion, "sweep": Sweep, "protection": Protection, "unseen": Unseen, "adjustment": Adjustment,
    "instrument": Instrument,
}  # fmt: skip
NAMES = {kind: name for name, kind in KINDS.items()}
PRIVATE, OTHERS_BITS = 0o600, 0o077
DAMAGE = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises when a file is damaged: its own errors, or text that is no text any more."""
Clause = tuple[str, tuple[object, ...]]


def lock(path: Path, wait: float) -> ProcessLock:
    """The writer's lock of the ledger at ``path``, waiting up to ``wait`` seconds for its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait
    while True:
        try:
            return writer_lock(path.with_name(path.name + ".lock"))
        except LedgerError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)


def connect(path: Path, marked: Mark | None, read_only: bool) -> sqlite3.Connection:
    """Open the database; a writer creates it, unless its mark says that it held rows."""
    if not path.exists() and (read_only or (marked is not None and marked.seq > 0)):
        rows = f" and held {marked.seq} rows" if marked is not None else ""
        remedy = RESTORE if rows else "the first `exo run` makes it"
        raise LedgerError(f"the ledger must be where it was{rows}; {path} is not there", remedy=remedy)
    if read_only:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    else:
        keep_private(path)
        connection = sqlite3.connect(path, isolation_level=None)
    try:
        prepare(connection, path, read_only)
    except DAMAGE as error:
        connection.close()
        raise LedgerError(f"the ledger must be a sound SQLite file; {path}: {error}", remedy=RESTORE) from error
    except LedgerError:
        connection.close()
        raise
    return connection


def keep_private(path: Path) -> None:
    """Only the owner may read ``path`` and what SQLite lays beside it: it holds account numbers. Makes the file where there is none."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
    for name in ("", "-wal", "-shm"):
        file = path.with_name(path.name + name)
        if file.exists() and file.stat().st_mode & OTHERS_BITS:
            file.chmod(PRIVATE)


def prepare(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    """Set durability and, for a new file, create the tables in one commit. LedgerError for another version."""
    if not read_only:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0 and not read_only:
        schema(connection)
        version = VERSION
    while version in MIGRATIONS and not read_only:
        version = migrate(connection, version)
    if version == 0:
        message = f"a ledger must be made before it is read; {path} was begun and holds nothing"
        raise LedgerError(message, remedy="the first `exo run` makes it")
    if version != VERSION:
        message = f"the ledger must be of version {VERSION}; {path} is of version {version}"
        raise LedgerError(message, remedy="the next `exo run` brings it up" if version in MIGRATIONS else "use the release that wrote it")


def schema(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Create every table in one commit."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in statements(SCHEMA.read_text("utf-8")):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    return connection


def migrate(connection: sqlite3.Connection, version: int) -> int:
    """Bring the derived tables from ``version`` to the next, in one commit; the journal stays as it was written. Returns the next."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in statements(MIGRATIONS[version]):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.execute("COMMIT")
    return version + 1


def statements(script: str) -> list[str]:
    """A script's single statements (``executescript`` would commit each on its own)."""
    found, pending = [], ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def project(connection: sqlite3.Connection, seq: int, row: object) -> None:
    """Write what journal row ``seq`` means to the derived tables."""
    run = connection.execute
    match row:
        case DecisionRow():
            run("INSERT INTO decisions VALUES (?, ?, ?, ?)", (*book_columns(row.book), str(row.session), seq))
        case Plan():
            run("INSERT INTO plans VALUES (?, ?, ?, ?)", (*book_columns(row.book), str(row.session), seq))
            connection.executemany(_INSERT_ORDER, _order_values(row.book, row.session, row.intents))
        case Protection():
            connection.executemany(_INSERT_ORDER, _order_values(row.book, row.session, row.intents))
        case StateChange():
            sends = int(row.state is OrderState.SENDING)
            run("UPDATE orders SET state = ?, note = ?, broker_id = coalesce(?, broker_id), sends = sends + ? WHERE id = ?",
                (row.state, row.note, row.broker_id, sends, row.order_id))  # fmt: skip
        case FillRow():
            f = row.fill
            values = (f.id, *book_columns(row.book), f.order_id, f.symbol, f.shares, f.price, f.commission, str(f.session),
                      f.time.isoformat(), f.reason, f.reference, seq, f.revision)  # fmt: skip
            before = run("SELECT shares FROM fills WHERE id = ?", (f.id,)).fetchone()
            run("INSERT OR REPLACE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            run("UPDATE orders SET filled = filled + ? WHERE id = ?", (f.shares - (before[0] if before else 0), f.order_id))
        case SessionRow():
            figures = astuple(row.day)
            run(f"INSERT INTO sessions VALUES (?, ?, ?, ?{', ?' * len(figures)})",
                (*book_columns(row.book), str(row.session), seq, *figures))  # fmt: skip
        case Flow():
            run("INSERT INTO flows VALUES (?, ?, ?, ?, ?, ?)", (row.id, *book_columns(row.book), str(row.session), row.amount, row.note))
        case _:
            _project_rest(connection, seq, row)


def _project_rest(connection: sqlite3.Connection, seq: int, row: object) -> None:
    run = connection.execute
    match row:
        case Trial():
            run("INSERT INTO trials VALUES (?, ?, ?, ?)", (row.run_id, row.kind, row.config_hash, seq))
        case HaltRow():
            run("INSERT INTO halts VALUES (?, ?, ?, ?)", (seq, row.halted, row.reason, row.at.isoformat()))
        case Alert():
            run("INSERT INTO alerts VALUES (?, ?, ?, ?, ?)", (row.id, row.severity, row.title, row.text, seq))
        case Delivered():
            run("INSERT INTO deliveries VALUES (?, ?, ?)", (row.id, row.channel, seq))
        case Unseen():
            run("INSERT INTO unseen VALUES (?, ?, ?, ?)", (seq, row.order_id, row.at.isoformat(), row.held))
        case Adjustment():
            values = (row.symbol, row.shares, row.price, row.cash, row.reason, row.at.isoformat(), seq)
            run("INSERT INTO adjustments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (row.id, *book_columns(row.book), *values))
        case Instrument():
            run("INSERT OR REPLACE INTO instruments VALUES (?, ?, ?, ?)", (*book_columns(row.book), row.symbol, row.key))
        case Promotion() | Sweep():
            pass  # few: read from the journal itself
        case _:
            raise LedgerError(f"the ledger has no table for a {type(row).__name__}")


_INSERT_ORDER = (
    "INSERT INTO orders (id, account, strategy, decided, session, symbol, shares, price, reason, type, stop_level, target_level, "
    "level, rests, oca, parent, after, state, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'new', '')"
)


def _order_values(book: BookId, decided: date, intents: Sequence[Intent]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for intent in intents:
        o = intent.order
        who = (o.id, *book_columns(book), str(decided), str(o.session))
        after = None if o.after is None else o.after.isoformat()
        terms = (o.level, int(o.rests), o.group, o.parent, after)
        rows.append((*who, o.symbol, o.shares, intent.price, o.reason, o.type, o.stop_level, o.target_level, *terms))
    return rows


DAY_NAMES = tuple(field.name for field in fields(DayFigures))
DAY_COLUMNS = ", ".join(f'"{name}"' for name in DAY_NAMES)
ORDER_COLUMNS = (
    "id, symbol, shares, session, reason, type, stop_level, target_level, level, rests, oca, parent, after, account, strategy, decided, "
    "price, state, note, broker_id, sends, filled"
)


_STATES = {one.value: one for one in OrderState}
_REASONS = {one.value: one for one in OrderReason}
_TYPES = {one.value: one for one in OrderType}
_date = functools.lru_cache(maxsize=4096)(date.fromisoformat)
_book = functools.lru_cache(maxsize=64)(BookId)
"""Ten thousand open orders are read at every gate: what repeats in them is made once."""


def order_row(values: Sequence[Any]) -> OrderRow:
    """An order row from its :data:`ORDER_COLUMNS`."""
    id_, symbol, shares, session, reason, type_, stop, target, level, rests, group, parent, after = values[:13]
    account, strategy, decided, price, state, note, broker_id, sends, filled = values[13:]
    when = None if after is None else datetime.fromisoformat(after)
    terms = (stop, target, level, bool(rests), group, parent, when)
    order = Order(id_, symbol, shares, _date(session), _REASONS[reason], _TYPES[type_], *terms)
    known = math.nan if price is None else price
    return OrderRow(_book(account, strategy), _date(decided), order, known, _STATES[state], note, broker_id, sends, filled)


FILL_COLUMNS = "account, strategy, id, order_id, symbol, shares, price, commission, session, time, reason, reference, revision"


def fill_row(account: str, strategy: str, id_: str, order_id: str, symbol: str, shares: int, price: float, *rest: Any) -> FillRow:
    """A fill row from its :data:`FILL_COLUMNS`."""
    commission, session, time, reason, reference, revision = rest
    fee, met = (math.nan if value is None else value for value in (commission, reference))
    fill = Fill(id_, order_id, symbol, shares, price, fee, _date(session), datetime.fromisoformat(time), _REASONS[reason], met, revision)
    return FillRow(_book(account, strategy), fill)


def booked_day(session: str, *figures: Any) -> BookedDay:
    """A booked day from its session and :data:`DAY_COLUMNS`."""
    known: dict[str, Any] = {name: math.nan if value is None else value for name, value in zip(DAY_NAMES, figures, strict=True)}
    known["state"] = RiskState(known["state"])
    return BookedDay(date.fromisoformat(session), DayFigures(**known))


SENT = (
    "SELECT sum(sends), sum(sends * abs(shares) * price), sum(sends > 0 AND price IS NULL) FROM orders "
    "WHERE account = ? AND strategy = ? AND session = ? AND rests = 0"
)
"""Resting orders protect what the others make: they are no risk of their own."""
NTH_SEND = (
    "SELECT journal.at FROM journal JOIN orders ON orders.id = journal.key WHERE +journal.kind = ? AND account = ? AND strategy = ? "
    """AND rests = 0 AND instr(journal.body, '"state":"sending"') ORDER BY journal.seq DESC LIMIT 1 OFFSET ?"""
)
LAST_SESSION = "SELECT seq, body FROM journal JOIN sessions USING (seq) WHERE account = ? AND strategy = ? ORDER BY session DESC LIMIT 1"
TRIAL_FIGURES = (
    "SELECT run_id, trials.kind, config_hash, "
    "CASE instr(body, ?1) WHEN 0 THEN 'null' ELSE substr(body, instr(body, ?1) + length(?1), 32) END "
    "FROM journal JOIN trials USING (seq) ORDER BY seq"
)
"""Cuts one figure out of the canonical JSON, where its name can stand but once: five times as fast as parsing 10,000 rows of it."""


def metric_text(name: str) -> tuple[str]:
    """What stands before the figure ``name`` in the body of a trial."""
    head, _, _ = codec.encode(Metric(name, 0.0)).rpartition("0.0")
    return (head,)


def trial_figure(run_id: str, kind: str, config_hash: str, text: str) -> TrialFigure:
    """A line of :data:`TRIAL_FIGURES`."""
    number = text.partition("}")[0]
    return TrialFigure(run_id, kind, config_hash, math.nan if number == "null" else float(number))


def nav_arrays(days: Sequence[BookedDay]) -> NavArrays:
    """Sessions, NAVs and flows ``(T,)`` each."""
    import numpy as np

    navs, flows = (np.array([getattr(booked.day, name) for booked in days], np.float64) for name in ("nav", "flow"))
    return np.array([booked.session for booked in days], "datetime64[D]"), navs, flows


def book_columns(book: BookId) -> tuple[str, str]:
    """The two columns that name a book."""
    return book.account, book.strategy


def filters(book: BookId | None, **equal: date | str | None) -> list[Clause]:
    """SQL conditions for a book and for columns that must equal a value; None filters nothing."""
    clauses: list[Clause] = [] if book is None else [("account = ? AND strategy = ?", book_columns(book))]
    return clauses + [(f"{column} = ?", (str(value),)) for column, value in equal.items() if value is not None]


def where(clauses: Sequence[Clause]) -> Clause:
    """One WHERE clause and its values."""
    text = " AND ".join(condition for condition, _ in clauses)
    return (f"WHERE {text}" if text else ""), tuple(value for _, values in clauses for value in values)


def in_states(states: Iterable[OrderState] | None) -> list[Clause]:
    """SQL conditions for orders in one of ``states``; None filters nothing."""
    if states is None:
        return []
    names = tuple(sorted(states))
    # The open ones by the very words of their partial index, so that it is used.
    among = [("state IN ('new', 'sending', 'live', 'unknown')", ())] if set(names) <= OPEN_STATES else []
    return [*among, (f"state IN ({', '.join('?' * len(names))})", names)]
