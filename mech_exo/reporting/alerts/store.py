"""``data/deliveries.sqlite``: what became of every alert on every channel. All SQL of it is here and in ``schema.sql``.

One process writes, the one that delivers; status and list only read. WAL, every commit synced, mode 0600. It holds copies of the ledger's
alerts, never their only record but for what the delivery process itself noticed. Instants are Unix seconds.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from mech_exo.domain.errors import DataError
from mech_exo.execution.ledger_tables import keep_private
from mech_exo.reporting.alerts.rows import Alarm, Asked, ChannelRow, DeliveryRow, Due, Posted

SCHEMA = Path(__file__).with_name("schema.sql")
VERSION = 1
LEAST_FREE = 100_000
KEPT_SECONDS = 90 * 86_400.0
"""How long the record of single messages is kept. What was delivered when is kept for ever."""


class DeliveryStateError(DataError):
    """The record of deliveries is locked, damaged, of another version, or on a full disk."""


def default_path(home: Path) -> Path:
    """The record of a workspace: ``<home>/data/deliveries.sqlite``."""
    return home / "data" / "deliveries.sqlite"


class DeliveryStore:
    """The record, open. Safe in many threads of its process."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            self._connection = _connect(path, read_only)
        except (sqlite3.Error, OSError) as error:
            raise _wrong(path, error) from error

    @classmethod
    def look(cls, home: Path) -> DeliveryStore | None:
        """The record of ``home`` to be read, None where nothing was ever delivered."""
        path = default_path(home)
        return cls(path, read_only=True) if path.exists() else None

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def fact(self, name: str) -> str | None:
        """A remembered text."""
        found = self._all("SELECT value FROM facts WHERE name = ?", name)
        return found[0][0] if found else None

    def remember(self, name: str, value: str) -> None:
        """Remember a text."""
        with self.transaction():
            self._run("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def post(self, alerts: Iterable[Posted], channels: Callable[[Posted], Sequence[str]], now: float) -> int:
        """Take alerts in, each once by its id, with a delivery for every channel; how many were new."""
        new = 0
        with self.transaction():
            for one in alerts:
                values = (one.id, one.severity, one.title, one.text, one.at, one.words, int(one.alone))
                columns = "(id, severity, title, text, at, words, alone)"
                done = self._run(f"INSERT OR IGNORE INTO alerts {columns} VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
                if done.rowcount:
                    new += 1
                    self._await(int(done.lastrowid or 0), channels(one), now)
        return new

    def reroute(self, channels: Callable[[Posted], Sequence[str]], known: Sequence[str], now: float) -> int:
        """Withdraw what waits for a channel that is configured no more, and let the present ones tell it; how many."""
        marks = ", ".join("?" * len(known))
        sql = (
            "SELECT DISTINCT alert, id, severity, title, text, at, alone FROM deliveries JOIN alerts ON seq = alert "
            f"WHERE state IN ('waiting', 'sending') AND channel NOT IN ({marks})"
        )
        with self.transaction():
            lost = self._all(sql, *known)
            for seq, *said in lost:
                self._await(seq, channels(_posted(said)), now)
            change = "UPDATE deliveries SET state = 'withdrawn', ended = ? WHERE state IN ('waiting', 'sending')"
            self._run(f"{change} AND channel NOT IN ({marks})", now, *known)
        return len(lost)

    def _await(self, seq: int, channels: Sequence[str], now: float) -> None:
        for channel in channels:
            columns = "(alert, channel, state, since, due)"
            self._run(f"INSERT OR IGNORE INTO deliveries {columns} VALUES (?, ?, 'waiting', ?, ?)", seq, channel, now, now)

    def recover(self, now: float) -> int:
        """What was being sent when the last process ended may have arrived: it waits again, in doubt. How many messages."""
        with self.transaction():
            self._run("UPDATE deliveries SET state = 'waiting', doubt = 1, due = ? WHERE state = 'sending'", now)
            ended = "UPDATE messages SET ended = ?, outcome = 'unknown', said = 'the process ended while it was sent' WHERE outcome IS NULL"
            found = self._run(ended, now).rowcount
            self._run("DELETE FROM messages WHERE began < ?", now - KEPT_SECONDS)
        return found

    def set_back(self, now: float) -> None:
        """The clock was set back to ``now``: nothing lies after it. What waits may go, channels rest no more."""
        with self.transaction():
            self._run("UPDATE deliveries SET due = ? WHERE state IN ('waiting', 'sending') AND due > ?", now, now)
            self._run("UPDATE deliveries SET since = min(since, ?), ended = min(ended, ?) WHERE since > ? OR ended > ?", now, now, now, now)
            self._run("UPDATE messages SET began = ? WHERE began > ?", now, now)
            change = "UPDATE channels SET rests_until = min(rests_until, ?), failing_since = min(failing_since, ?)"
            self._run(change, now, now)
            self._run("UPDATE alarms SET since = min(since, ?)", now)

    def hold_same(self, channel: str, now: float, window: float) -> None:
        """What a channel was told within ``window`` seconds waits until they are over."""
        if window <= 0.0:
            return
        told = (
            "(SELECT max(d.ended) FROM deliveries d JOIN alerts b ON b.seq = d.alert JOIN alerts a ON a.words = b.words "
            "WHERE a.seq = deliveries.alert AND d.channel = deliveries.channel AND d.state = 'delivered')"
        )
        which = "channel = ? AND state = 'waiting' AND due <= ? AND held = 0 AND attempts = 0"
        with self.transaction():
            self._run(f"UPDATE deliveries SET held = 1, due = {told} + ? WHERE {which} AND {told} > ?", window, channel, now, now - window)

    def due(self, channel: str, now: float) -> tuple[Due, ...]:
        """What waits for a channel and may go now: critical first, then warnings, then the oldest."""
        sql = (
            "SELECT seq, id, severity, title, text, at, alone, words, attempts, doubt FROM deliveries JOIN alerts ON seq = alert "
            "WHERE channel = ? AND state = 'waiting' AND due <= ? "
            "ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, seq"
        )
        rows = self._all(sql, channel, now)
        return tuple(Due(row[0], _posted(row[1:7]), row[7], row[8], bool(row[9])) for row in rows)

    def next_due(self, channel: str) -> float | None:
        """When the next alert of a channel is due, None when none waits."""
        ((found,),) = self._all("SELECT min(due) FROM deliveries WHERE channel = ? AND state = 'waiting'", channel)
        return found  # type: ignore[no-any-return]

    def begin(self, channel: str, rows: Sequence[Due], content: str, now: float) -> int:
        """Note, before it leaves, that a message with these alerts is being sent; its number."""
        digest = hashlib.sha256(content.encode()).hexdigest()
        with self.transaction():
            columns = "(channel, hash, alerts, began)"
            made = self._run(f"INSERT INTO messages {columns} VALUES (?, ?, ?, ?)", channel, digest, len(rows), now)
            message = int(made.lastrowid or 0)
            self._each(
                "UPDATE deliveries SET state = 'sending', attempts = attempts + 1, message = ? WHERE alert = ? AND channel = ?",
                ((message, row.seq, channel) for row in rows),
            )
        return message

    def acknowledged(self, message: int, channel: str, now: float) -> None:
        """A message arrived: nothing of it is sent again."""
        with self.transaction():
            self._run("UPDATE messages SET ended = ?, outcome = 'acknowledged', said = '' WHERE id = ?", now, message)
            done = "UPDATE deliveries SET state = 'delivered', ended = ?, doubt = 0 WHERE message = ? AND state = 'sending'"
            self._run(done, now, message)
            self._run("INSERT OR REPLACE INTO channels VALUES (?, 0, 0, NULL, ?, '')", channel, now)

    def failed(self, message: int, row: ChannelRow, said: str, *, doubt: bool, now: float) -> None:
        """A message failed: its alerts wait until the channel (``row``, as it is after the failure) rests no more."""
        with self.transaction():
            self._run("UPDATE messages SET ended = ?, outcome = 'failed', said = ? WHERE id = ?", now, said, message)
            change = "UPDATE deliveries SET state = 'waiting', due = ?, doubt = max(doubt, ?) WHERE message = ? AND state = 'sending'"
            self._run(change, row.rests_until, int(doubt), message)
            values = (row.name, row.failures, row.rests_until, row.failing_since, row.last_success, said)
            self._run("INSERT OR REPLACE INTO channels VALUES (?, ?, ?, ?, ?, ?)", *values)

    def channel(self, name: str) -> ChannelRow:
        """How a channel has fared."""
        found = self._all("SELECT * FROM channels WHERE name = ?", name)
        return ChannelRow(*found[0]) if found else ChannelRow(name)

    def sent_since(self, channel: str, since: float) -> tuple[float, ...]:
        """When messages of a channel were begun, the oldest first."""
        rows = self._all("SELECT began FROM messages WHERE channel = ? AND began > ? ORDER BY began", channel, since)
        return tuple(began for (began,) in rows)

    def give_up(self, severity: str, before: float, now: float) -> Mapping[str, Sequence[str]]:
        """End what has waited since ``before``: the titles given up, by channel."""
        which = "state = 'waiting' AND since < ? AND alert IN (SELECT seq FROM alerts WHERE severity = ?)"
        sql = f"SELECT channel, title FROM deliveries JOIN alerts ON seq = alert WHERE {which} ORDER BY seq"
        with self.transaction():
            rows = self._all(sql, before, severity)
            if rows:
                self._run(f"UPDATE deliveries SET state = 'gave_up', ended = ? WHERE {which}", now, before, severity)
        found: dict[str, list[str]] = {}
        for channel, title in rows:
            found.setdefault(channel, []).append(title)
        return found

    def alarms(self) -> tuple[Alarm, ...]:
        """What is not over."""
        return tuple(Alarm(*row) for row in self._all("SELECT name, id, since, text FROM alarms ORDER BY since"))

    def raise_alarm(self, alarm: Alarm) -> None:
        """Note that something is the matter."""
        with self.transaction():
            self._run("INSERT OR REPLACE INTO alarms VALUES (?, ?, ?, ?)", alarm.name, alarm.id, alarm.since, alarm.text)

    def clear_alarm(self, name: str) -> None:
        """Note that it is over."""
        with self.transaction():
            self._run("DELETE FROM alarms WHERE name = ?", name)

    def take_command(self, asked: Asked) -> bool:
        """Note a command before it is carried out; False when it was taken before."""
        with self.transaction():
            values = (asked.update_id, asked.chat, asked.text, asked.at)
            return self._run("INSERT OR IGNORE INTO commands VALUES (?, ?, ?, ?, NULL, NULL)", *values).rowcount == 1

    def answered(self, update_id: int, answer: str, now: float) -> None:
        """Note what a command was answered, or would have been."""
        with self.transaction():
            self._run("UPDATE commands SET answer = ?, answered = ? WHERE update_id = ?", answer, now, update_id)

    def unanswered(self) -> tuple[Asked, ...]:
        """Commands taken by a process that ended before it had carried them out."""
        sql = "SELECT update_id, chat, text, at FROM commands WHERE answered IS NULL ORDER BY update_id"
        return tuple(Asked(*row) for row in self._all(sql))

    def waiting(self) -> Mapping[str, Mapping[str, int]]:
        """How many deliveries wait, by channel and severity."""
        sql = "SELECT channel, severity, count(*) FROM deliveries JOIN alerts ON seq = alert "
        sql += "WHERE state IN ('waiting', 'sending') GROUP BY 1, 2"
        found: dict[str, dict[str, int]] = {}
        for channel, severity, count in self._all(sql):
            found.setdefault(channel, {})[severity] = count
        return found

    def alert(self, id_: str) -> Posted | None:
        """One alert with its whole text, None for an id that was never taken in."""
        found = self._all("SELECT id, severity, title, text, at, alone FROM alerts WHERE id = ?", id_)
        return _posted(found[0]) if found else None

    def listed(self, limit: int, *, waiting: bool = False) -> tuple[DeliveryRow, ...]:
        """The latest deliveries, the newest alert first."""
        where = "WHERE state IN ('waiting', 'sending')" if waiting else ""
        sql = (
            "SELECT id, severity, title, at, channel, state, attempts, due, ended, doubt FROM deliveries JOIN alerts ON seq = alert "
            f"{where} ORDER BY seq DESC, channel LIMIT ?"
        )
        return tuple(DeliveryRow(*row) for row in self._all(sql, limit))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One commit. Nests."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._run("BEGIN IMMEDIATE")
            try:
                yield
                self._run("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite has undone it itself where the disk is full
                    self._connection.execute("ROLLBACK")
                raise

    def _all(self, sql: str, *values: object) -> list[Any]:
        with self._lock:
            return self._run(sql, *values).fetchall()

    def _run(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise _wrong(self.path, error) from error

    def _each(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise _wrong(self.path, error) from error


def _posted(row: Sequence[Any]) -> Posted:
    """An alert from its columns id, severity, title, text, at, alone."""
    id_, severity, title, text, at, alone = row
    return Posted(id_, severity, title, text, at, bool(alone))


def _wrong(path: Path, error: Exception) -> DeliveryStateError:
    if "full" in str(error) or "No space" in str(error) or _is_full(path):
        return DeliveryStateError(f"deliveries must be written down before they are sent; {path}: {error}", remedy="free disk space")
    remedy = f"move {path} away: what the ledger's outbox holds is then told anew, in a digest"
    return DeliveryStateError(f"the record of deliveries must be readable and writable; {path}: {error}", remedy=remedy)


def _is_full(path: Path) -> bool:
    """SQLite calls it an I/O error where its shared memory cannot grow."""
    try:
        return shutil.disk_usage(path.parent).free < LEAST_FREE
    except OSError:
        return False


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
    if read_only:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        keep_private(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path, read_only)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    if not read_only:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0 and not read_only:
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA.read_text('utf-8')} PRAGMA user_version = {VERSION}; COMMIT;")
        version = VERSION
    if version != VERSION:
        said = f"the record of deliveries must be of version {VERSION}; {path} is of version {version}"
        raise DeliveryStateError(said, remedy="exo alert run makes it" if version == 0 else "use the release that wrote it")
