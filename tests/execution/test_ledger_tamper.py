"""Nobody changes the ledger unnoticed: any byte of any row, a row gone, a file cut, the mark moved."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.domain.errors import LedgerError
from mech_exo.domain.orders import OrderState
from mech_exo.execution import ledger_care
from mech_exo.execution.guard import Mark
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import Flow
from mech_exo.execution.trial_rows import Trial
from tests.execution.ledger_rows import BOOK, DAY_ONE, fill, intents, session, write_everything


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        write_everything(ledger)
    return path


def copy_of(sound: Path, folder: Path) -> Path:
    for entry in sound.parent.iterdir():
        shutil.copy(entry, folder / entry.name)
    return folder / sound.name


def faults(path: Path) -> tuple[str, ...]:
    try:
        with Ledger.open(path) as ledger:
            return ledger.verify().faults
    except LedgerError as error:
        return (error.message,)


def cells(path: Path) -> list[tuple[str, str, str, object]]:
    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("SELECT lower(name) FROM sqlite_schema WHERE lower(type) = 'table'")]
    found: list[tuple[str, str, str, object]] = []
    for table in tables:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        keys = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
        for row in connection.execute(f"SELECT * FROM {table}").fetchall():
            named = dict(zip(columns, row, strict=True))
            where = " AND ".join(f'"{key}" = {named[key]!r}' for key in keys)
            found += [(table, column, where, value) for column, value in named.items()]
    connection.close()
    return found


def changed(value: object, place: int) -> object:
    if value is None:
        return 1
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 1.0 if value + 1.0 != value else value * 2
    text = str(value)
    place = place % max(1, len(text))
    return text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :] if text else "x"


def test_the_sound_ledger_has_every_kind_of_row(sound: Path) -> None:
    assert {table for table, *_ in cells(sound)} == {
        "journal", "decisions", "plans", "orders", "fills", "sessions", "flows", "trials", "halts", "alerts", "deliveries",
        "unseen", "adjustments", "instruments",
    }  # fmt: skip
    assert faults(sound) == ()


def test_every_cell_of_every_table_is_watched(sound: Path, tmp_path: Path) -> None:
    path = copy_of(sound, tmp_path)
    original = path.read_bytes()
    unnoticed = []
    for number, (table, column, where, value) in enumerate(cells(sound)):
        path.write_bytes(original)
        connection = sqlite3.connect(path)
        connection.execute("DROP TRIGGER journal_keeps_text")
        connection.execute("DROP TRIGGER journal_keeps_rows")
        connection.execute("PRAGMA synchronous = OFF")
        try:
            cursor = connection.execute(f'UPDATE {table} SET "{column}" = ? WHERE {where}', (changed(value, number * 7),))
            assert cursor.rowcount == 1, (table, column, where)
            connection.commit()
        except sqlite3.IntegrityError:
            continue  # the database itself refuses the change
        finally:
            connection.close()
        if not _verify_quietly(path):
            unnoticed.append((table, column, where))
    assert unnoticed == []


def _verify_quietly(path: Path) -> bool:
    """True when something is found. Reads with the module's own functions: opening would sync to the disk each time."""
    connection = sqlite3.connect(path)
    try:
        return bool(ledger_care.verify(connection, ledger_care.mark_of(path).read()).faults)
    except LedgerError:
        return True
    finally:
        connection.close()


@settings(max_examples=120)
@given(data=st.data())
def test_a_flipped_byte_is_found_or_harmless(sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = copy_of(sound, tmp_path_factory.mktemp("flip"))
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    if not faults(path):
        assert _contents(path) == _contents(sound)


def _contents(path: Path) -> list[list[tuple[object, ...]]]:
    connection = sqlite3.connect(path)
    names = sorted({table for table, *_ in cells(path)})
    found = [connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3").fetchall() for name in names]
    connection.close()
    return found


def test_the_journal_refuses_updates_and_deletes(sound: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(copy_of(sound, tmp_path))
    for sql in ("UPDATE journal SET body = '{}' WHERE seq = 1", "DELETE FROM journal WHERE seq = 1"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(sql)
    connection.close()


@pytest.mark.parametrize("keep", [0, 1, 7, 14])
def test_lost_rows_at_the_end_are_missed(sound: Path, tmp_path: Path, keep: int) -> None:
    path = copy_of(sound, tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER journal_keeps_rows")
    connection.execute("DELETE FROM journal WHERE seq > ?", (keep,))
    connection.commit()
    connection.close()
    for read_only in (False, True):
        with pytest.raises(LedgerError, match="must hold row 21 as it was committed") as caught:
            Ledger.open(path, read_only=read_only)
        assert "exo ledger restore" in str(caught.value)


def test_a_rewritten_chain_does_not_fit_the_mark(sound: Path, tmp_path: Path) -> None:
    path = copy_of(sound, tmp_path)
    path.unlink()
    mark = ledger_care.mark_of(path).path
    saved = mark.read_bytes()
    mark.unlink()
    with Ledger.open(path) as forged:
        for _ in range(20):
            forged.halt("forged")
    mark.write_bytes(saved)
    with pytest.raises(LedgerError, match="differs there"):
        Ledger.open(path)


def test_a_missing_database_is_not_a_new_one(sound: Path, tmp_path: Path) -> None:
    path = copy_of(sound, tmp_path)
    path.unlink()
    with pytest.raises(LedgerError, match="held 21 rows"):
        Ledger.open(path)


def test_a_missing_or_damaged_mark_is_noticed(sound: Path, tmp_path: Path) -> None:
    path = copy_of(sound, tmp_path)
    mark = ledger_care.mark_of(path)
    raw = bytearray(mark.path.read_bytes())
    for place in range(len(raw)):
        broken = bytearray(raw)
        broken[place] ^= 1
        mark.path.write_bytes(broken)
        with pytest.raises(LedgerError, match="high-water mark"):
            Ledger.open(path)
    mark.path.unlink()
    with pytest.raises(LedgerError, match="is gone"):
        Ledger.open(path)


def test_a_ledger_ahead_of_its_mark_catches_up(sound: Path, tmp_path: Path) -> None:
    path = copy_of(sound, tmp_path)
    connection = sqlite3.connect(path)
    (digest,) = connection.execute("SELECT hash FROM journal WHERE seq = 10").fetchone()
    connection.close()
    mark = ledger_care.mark_of(path)
    mark.write(Mark(10, digest))
    mark.close()
    with Ledger.open(path) as ledger:
        assert ledger.verify().sound
    assert ledger_care.mark_of(path).read().seq == 21


def test_a_cut_file_is_refused(sound: Path, tmp_path: Path) -> None:
    raw = sound.read_bytes()
    path = copy_of(sound, tmp_path)
    for share in (0, 10, 500, len(raw) // 2, len(raw) - 4096):
        path.write_bytes(raw[:share])
        assert faults(path), share


def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("this is no database, but it is long enough to be looked at as one" * 100)
    with pytest.raises(LedgerError, match="sound SQLite file"):
        Ledger.open(path)


STEPS = st.lists(st.sampled_from(["session", "plan", "send", "live", "cancel", "fill", "halt", "resume", "flow", "trial"]), max_size=25)


@settings(max_examples=25)
@given(STEPS)
def test_replaying_the_journal_rebuilds_every_table(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    path = tmp_path_factory.mktemp("replay") / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        for number, step in enumerate(steps):
            _do(ledger, step, number)
    connection = sqlite3.connect(path)
    _, rebuilt, faults = ledger_care._replay(connection)
    assert faults == []
    names = [name for (name,) in rebuilt.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'journal'")]
    for name in names:
        sql = f"SELECT * FROM {name} ORDER BY 1, 2, 3"
        assert connection.execute(sql).fetchall() == rebuilt.execute(sql).fetchall(), name
    connection.close()


def _do(ledger: Ledger, step: str, number: int) -> None:
    on = DAY_ONE + timedelta(number)
    wanted = {"send": OrderState.NEW, "live": OrderState.SENDING, "cancel": OrderState.LIVE, "fill": OrderState.LIVE}
    found = ledger.orders(BOOK, states={wanted[step]}) if step in wanted else ()
    if step == "session":
        ledger.book_session(session(on))
    elif step == "plan":
        ledger.plan(intents("AAA", "BBB", decided=on), BOOK, on)
    elif step == "halt":
        ledger.halt(str(number))
    elif step == "resume":
        ledger.resume(str(number))
    elif step == "flow":
        ledger.record_flow(Flow(str(number), BOOK, on, float(number)))
    elif step == "trial":
        ledger.record_trial(Trial(str(number % 3), "sweep", "c", ()))
    elif found and step == "fill":
        ledger.record_fill(BOOK, fill(found[0].order, shares=5, id_=f"f{number}"))
    elif found:
        after = {"send": OrderState.SENDING, "live": OrderState.LIVE, "cancel": OrderState.CANCELLED}[step]
        ledger.set_state(found[0].order.id, after)
