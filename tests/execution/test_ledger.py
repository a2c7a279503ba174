"""The ledger: idempotent writes, states, fills, one writer, exact figures, backup and restore.

Long because the promises of one journal are read beside each other: they share its rows and clock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.domain.errors import LedgerError
from mech_exo.domain.orders import OrderState
from mech_exo.execution import codec, ledger_care
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import OPEN_STATES, TRANSITIONS, Alert, BookId, DecisionRow, Flow
from mech_exo.execution.trial_rows import Promotion, Trial
from mech_exo.utils import log
from tests.execution.ledger_rows import BOOK, DAY_ONE, day, decision, fill, intents, line, order, promotion, session, write_everything


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.sqlite"


def test_every_row_reads_back_and_the_chain_holds(path: Path) -> None:
    with Ledger.open(path) as ledger:
        write_everything(ledger)
        assert ledger.verify().sound
    with Ledger.open(path, read_only=True) as ledger:
        report = ledger.verify()
        assert (report.sound, report.rows) == (True, 21)
        assert codec.encode(ledger.session(BOOK, DAY_ONE)) == codec.encode(session())
        assert ledger.decision(BOOK, DAY_ONE).body.decode().startswith('{"name":"Ünïcode')
        assert [(row.order.symbol, row.state, row.broker_id) for row in ledger.orders(BOOK)] == [
            ("AAA", OrderState.FILLED, "b-AAA"), ("BBB", OrderState.REJECTED, "b-BBB"), ("AAA", OrderState.NEW, None)]  # fmt: skip
        assert [(row.shares, row.cash, row.orders) for row in ledger.adjustments(BOOK)] == [(3, -12.5, ("mx1-before",))]
        assert [(row.held, row.order_id) for row in ledger.unseen(order("BBB").id)] == [(7, order("BBB").id)]
        assert ledger.instruments(BOOK) == {"AAA": "265598"}
        assert ledger.order(order("AAA").id).order == order("AAA")
        assert [row.fill for row in ledger.fills(BOOK)] == [fill(order("AAA"))]
        assert ledger.flows(BOOK)[0].amount == 5_000.25
        assert ledger.trials()[0].metrics[1].value is None
        assert codec.encode(ledger.rows(Promotion)[0]) == codec.encode(promotion())
        assert [halt.halted for halt in ledger.halts()] == [True, False]
        assert [(one.alert, one.at) for one in ledger.outbox()] == [(ledger.alerts()[0], ledger.outbox()[0].at)]
        assert ledger.outbox(ledger.outbox()[0].seq) == () and ledger.row_hash(report.rows) == report.last_hash and not ledger.row_hash(99)
        assert ledger.books() == (BOOK,)


def test_a_decision_is_made_once(path: Path) -> None:
    with Ledger.open(path) as ledger:
        assert ledger.record_decision(decision())
        later = dataclasses.replace(decision(), recorded_at=datetime(2030, 1, 1, tzinfo=UTC))
        assert not ledger.record_decision(later)
        with pytest.raises(LedgerError, match="decided once"):
            ledger.record_decision(decision(body=b'{"orders":[1]}'))
        with pytest.raises(LedgerError, match="decided once"):
            ledger.record_decision(dataclasses.replace(decision(), code_version="other"))
        assert ledger.verify().rows == 1


def test_a_plan_is_the_identical_set_or_refused(path: Path) -> None:
    with Ledger.open(path) as ledger:
        assert ledger.plan(intents("AAA", "BBB"), BOOK, DAY_ONE)
        assert not ledger.plan(intents("AAA", "BBB"), BOOK, DAY_ONE)
        for other in (intents("AAA"), intents("AAA", "CCC"), intents("AAA", "BBB", price=10.2), []):
            with pytest.raises(LedgerError, match="planned once"):
                ledger.plan(other, BOOK, DAY_ONE)
        assert len(ledger.orders(BOOK)) == 2
        assert ledger.plan(intents("AAA", price=math.nan, decided=date(2024, 1, 3)), BOOK, date(2024, 1, 3))
        assert not ledger.plan(intents("AAA", price=math.nan, decided=date(2024, 1, 3)), BOOK, date(2024, 1, 3))
        assert math.isnan(ledger.orders(BOOK, decided=date(2024, 1, 3))[0].price)


def test_an_order_id_belongs_to_one_plan(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.plan(intents("AAA"), BOOK, DAY_ONE)
        with pytest.raises(LedgerError, match="refused a plan"):
            ledger.plan(intents("AAA"), BOOK, date(2024, 1, 3))
        assert ledger.verify().rows == 1, "the refused plan left nothing behind"
        ledger.plan([], BOOK, date(2024, 1, 3))
        assert ledger.verify().sound


@pytest.mark.parametrize("before", OrderState)
@pytest.mark.parametrize("after", OrderState)
def test_states_follow_the_table(path: Path, before: OrderState, after: OrderState) -> None:
    with Ledger.open(path) as ledger:
        ledger.plan(intents("AAA"), BOOK, DAY_ONE)
        for state in _way_to(before):
            ledger.set_state(order("AAA").id, state)
        rows = ledger.verify().rows
        if after is before:
            ledger.set_state(order("AAA").id, after)
            assert ledger.verify().rows == rows
        elif after in TRANSITIONS[before]:
            ledger.set_state(order("AAA").id, after, "n")
            assert ledger.order(order("AAA").id).state is after
        else:
            with pytest.raises(LedgerError, match="cannot become"):
                ledger.set_state(order("AAA").id, after)
            assert ledger.order(order("AAA").id).state is before


def _way_to(state: OrderState) -> list[OrderState]:
    ways = {
        OrderState.NEW: [], OrderState.DENIED: [OrderState.DENIED], OrderState.SENDING: [OrderState.SENDING],
        OrderState.CANCELLED: [OrderState.CANCELLED], OrderState.EXPIRED: [OrderState.EXPIRED],
        OrderState.ABANDONED: [OrderState.SENDING, OrderState.UNKNOWN, OrderState.ABANDONED],
    }  # fmt: skip
    return ways.get(state, [OrderState.SENDING, state])


def test_an_ended_order_never_lives_again() -> None:
    ended = set(OrderState) - OPEN_STATES - {OrderState.ABANDONED}  # that one may turn up at the broker after all
    assert all(not (TRANSITIONS[state] & OPEN_STATES) for state in ended)
    assert OrderState.NEW not in TRANSITIONS[OrderState.UNKNOWN], "doubt is never resolved by sending again"
    assert not TRANSITIONS[OrderState.ABANDONED] & {OrderState.NEW, OrderState.SENDING, OrderState.UNKNOWN}
    assert OrderState.SENDING not in TRANSITIONS[OrderState.UNKNOWN]


def test_an_unplanned_order_has_no_state(path: Path) -> None:
    with Ledger.open(path) as ledger, pytest.raises(LedgerError, match="must be planned"):
        ledger.set_state("mx1-nobody", OrderState.SENDING)


def test_a_fill_counts_once_and_never_changes(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.plan(intents("AAA"), BOOK, DAY_ONE)
        ledger.set_state(order("AAA").id, OrderState.SENDING)
        ledger.set_state(order("AAA").id, OrderState.LIVE)
        half = fill(order("AAA"), shares=4, id_="f1")
        assert ledger.record_fill(BOOK, half)
        assert not ledger.record_fill(BOOK, half)
        assert (ledger.order(order("AAA").id).filled, ledger.order(order("AAA").id).state) == (4, OrderState.LIVE)
        with pytest.raises(LedgerError, match="never changes"):
            ledger.record_fill(BOOK, dataclasses.replace(half, price=10.3))
        ledger.record_fill(BOOK, fill(order("AAA"), shares=6, id_="f2"))
        assert ledger.order(order("AAA").id).state is OrderState.FILLED
        assert sum(row.fill.shares for row in ledger.fills(order_id=order("AAA").id)) == 10


def test_the_highest_revision_of_a_fill_stands_in_whatever_order_they_are_told(path: Path) -> None:
    first = dataclasses.replace(fill(order("AAA")), commission=math.nan)
    told = dataclasses.replace(first, commission=1.25)
    corrected = dataclasses.replace(first, shares=9, price=10.5, revision=1, commission=1.5)
    with Ledger.open(path) as ledger:
        ledger.plan(intents("AAA"), BOOK, DAY_ONE)
        for state in (OrderState.SENDING, OrderState.LIVE):
            ledger.set_state(order("AAA").id, state)
        assert [ledger.record_fill(BOOK, one) for one in (first, told, first, corrected, told, first, corrected)] == [
            True, True, False, True, False, False, False]  # fmt: skip
        (row,) = ledger.fills(BOOK)
        assert (row.fill.shares, row.fill.price, row.fill.commission, row.fill.revision) == (9, 10.5, 1.5, 1)
        known = ledger.order(order("AAA").id)
        assert (known.filled, known.state, known.note) == (9, OrderState.FILLED, "corrected: 9 of 10 shares filled")
        assert ledger.verify().sound


def test_sessions_are_booked_once_and_in_order(path: Path) -> None:
    days = [DAY_ONE + timedelta(k) for k in range(3)]
    with Ledger.open(path) as ledger:
        assert ledger.last_session(BOOK) is None
        for k, on in enumerate(days):
            assert ledger.book_session(session(on, 100.0 + k))
        assert not ledger.book_session(session(days[1], 101.0))
        with pytest.raises(LedgerError, match="booked once"):
            ledger.book_session(session(days[1], 101.5))
        with pytest.raises(LedgerError, match="in order"):
            ledger.book_session(session(DAY_ONE - timedelta(1)))
        assert ledger.last_session(BOOK).session == days[-1]
        sessions, navs, flows = ledger.nav_history(BOOK)
        assert (sessions.astype(object).tolist(), navs.tolist(), flows.tolist()) == (days, [100.0, 101.0, 102.0], [0.0] * 3)
        assert [len(part) for part in ledger.nav_history(BookId("paper", "other"))] == [0, 0, 0]


@settings(max_examples=25)
@given(st.floats(allow_nan=True, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_figures_come_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, mark: float, nav: float) -> None:
    row = dataclasses.replace(session(), lines=(line("AAA", mark=mark),), day=day(nav))
    with Ledger.open(tmp_path_factory.mktemp("exact") / "l.sqlite") as ledger:
        ledger.book_session(row)
        back = ledger.session(BOOK, DAY_ONE)
        assert (math.isnan(mark) and math.isnan(back.lines[0].mark)) or back.lines[0].mark.hex() == mark.hex()
        assert ledger.day_history(BOOK)[0].day.nav == nav
        assert ledger.verify().sound


def test_an_infinite_figure_is_refused(path: Path) -> None:
    with Ledger.open(path) as ledger:
        with pytest.raises(LedgerError, match="finite or unknown"):
            ledger.book_session(session(DAY_ONE, math.inf))
        assert ledger.verify().rows == 0


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    def two_writes_and_a_failure(ledger: Ledger) -> None:
        with ledger.transaction():
            ledger.book_session(session())
            ledger.plan(intents("AAA"), BOOK, DAY_ONE)
            raise RuntimeError("power")

    with Ledger.open(path) as ledger:
        with pytest.raises(RuntimeError):
            two_writes_and_a_failure(ledger)
        assert (ledger.last_session(BOOK), ledger.orders(BOOK)) == (None, ())
        ledger.book_session(session())
        assert ledger.verify().rows == 1


def test_a_refusal_before_anything_was_written_leaves_the_transaction_whole(path: Path) -> None:
    with Ledger.open(path) as ledger:
        with ledger.transaction():
            ledger.book_session(session())
            with contextlib.suppress(LedgerError):
                ledger.set_state("mx1-nobody", OrderState.LIVE)
        assert ledger.verify().rows == 1


def test_a_failed_write_cannot_be_passed_over(path: Path) -> None:
    def passing_over(ledger: Ledger) -> None:
        with ledger.transaction():
            ledger.plan(intents("AAA"), BOOK, DAY_ONE)
            with contextlib.suppress(LedgerError):
                ledger.plan(intents("AAA"), BOOK, date(2024, 1, 3))  # half written, then refused

    with Ledger.open(path) as ledger:
        with pytest.raises(LedgerError, match="was undone"):
            passing_over(ledger)
        assert ledger.orders(BOOK) == ()
        assert ledger.verify().sound


def test_flows_trials_and_alerts_count_once(path: Path) -> None:
    with Ledger.open(path) as ledger:
        flow = Flow("d1", BOOK, DAY_ONE, 100.0)
        assert [ledger.record_flow(flow), ledger.record_flow(flow)] == [True, False]
        with pytest.raises(LedgerError, match="never changes"):
            ledger.record_flow(dataclasses.replace(flow, amount=101.0))
        assert [ledger.record_trial(Trial("r", "sweep", c, ())) for c in ("x", "x")] == [True, False]
        assert [ledger.post_alert(Alert("a", "info", "t", "x")) for _ in range(2)] == [True, False]


def test_sends_are_counted_from_the_journal(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.plan(intents("AAA", "BBB"), BOOK, DAY_ONE)
        ledger.set_state(order("AAA").id, OrderState.SENDING)
        ledger.set_state(order("AAA").id, OrderState.NEW)
        ledger.set_state(order("AAA").id, OrderState.SENDING)
    with Ledger.open(path) as ledger:
        totals = ledger.sent(BOOK, DAY_ONE + timedelta(1))
        assert (totals.orders, totals.notional) == (2, pytest.approx(2 * 10 * 10.1))
        assert ledger.sent(BOOK, DAY_ONE).orders == 0


def test_a_second_writer_fails_at_once_naming_the_first(path: Path) -> None:
    with Ledger.open(path) as ledger:
        write_everything(ledger)
        code = f"from mech_exo.execution.ledger import Ledger; Ledger.open({str(path)!r})"
        begun = time.monotonic()
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert ran.returncode != 0 and f"process {os.getpid()} holds" in ran.stderr
        assert time.monotonic() - begun < 5.0
        with Ledger.open(path, read_only=True) as reader:
            assert reader.verify().sound
            with pytest.raises(LedgerError, match="opened to read"):
                reader.halt("no")


def test_a_writer_may_wait_for_its_turn(path: Path) -> None:
    holder = Ledger.open(path)
    with pytest.raises(LedgerError, match="one process writes"):
        Ledger.open(path, wait=0.1)
    holder.close()
    with Ledger.open(path, wait=0.1) as ledger:
        assert ledger.verify().sound


def test_a_reader_needs_a_ledger(path: Path) -> None:
    with pytest.raises(LedgerError, match="not there"):
        Ledger.open(path, read_only=True)


def test_backup_and_restore(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "b" / "copy.sqlite"
    with Ledger.open(path) as ledger:
        write_everything(ledger)
        assert ledger.backup(copy).rows == 21
        with pytest.raises(LedgerError, match="never overwrites"):
            ledger.backup(copy)
        ledger.halt("after the backup")
        with pytest.raises(LedgerError, match="one process writes"):
            ledger_care.restore(path, copy, datetime(2024, 2, 1, tzinfo=UTC))
    report = ledger_care.restore(path, copy, datetime(2024, 2, 1, tzinfo=UTC))
    assert report.rows == 21
    with Ledger.open(path) as ledger:
        assert ledger.verify().sound
        assert ledger.is_halted and "compare orders" in ledger.halts()[-1].reason
    kept = sorted(entry.name for entry in path.parent.glob("*before-restore*"))
    assert "ledger.sqlite.before-restore-20240201T000000" in kept


def test_an_unsound_backup_is_not_restored(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    with Ledger.open(path) as ledger:
        write_everything(ledger)
        ledger.backup(copy)
    data = bytearray(copy.read_bytes())
    place = data.index(b"because")
    data[place] ^= 1
    copy.write_bytes(data)
    with pytest.raises(LedgerError, match="must be sound"):
        ledger_care.restore(path, copy, datetime(2024, 2, 1, tzinfo=UTC))
    with Ledger.open(path) as ledger:
        assert ledger.verify().sound and not ledger.is_halted


def test_a_row_written_before_a_field_existed_reads_with_its_default() -> None:
    row = DecisionRow(BOOK, DAY_ONE, datetime(2024, 1, 2, 22, tzinfo=UTC), "c", "k", "d", b"{}")
    old = json.loads(codec.encode(row))
    del old["stored_until"]
    assert codec.decode(DecisionRow, json.dumps(old)) == row
    del old["data_hash"]
    with pytest.raises(LedgerError, match=r"lacks 'data_hash': another version .* wrote it(?s:.*)another strategy"):
        codec.decode(DecisionRow, json.dumps(old))
    with pytest.raises(LedgerError, match="must read as DecisionRow"):
        codec.decode(DecisionRow, json.dumps(old | {"data_hash": 7}))


def test_a_row_of_another_version_leaves_no_unverified_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = codec.encode
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        with monkeypatch.context() as other:
            other.setattr(codec, "encode", lambda row: whole(row).replace('"data_hash":"d",', ""))
            ledger.record_decision(DecisionRow(BOOK, DAY_ONE, datetime(2024, 1, 2, 22, tzinfo=UTC), "c", "k", "d", b"{}"))
        for read in (lambda: ledger.decision(BOOK, DAY_ONE), ledger.verify, lambda: ledger.backup(tmp_path / "copy.sqlite")):
            with pytest.raises(LedgerError, match="another version"):
                read()
    assert not (tmp_path / "copy.sqlite").exists()


def test_a_ledger_of_the_version_before_is_brought_up_and_stays_sound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = ("scale", "wins", "losses", "gains", "forfeits")
    with monkeypatch.context() as patch:  # a journal as it was written before the figures existed
        names = codec._names
        patch.setattr(codec, "_names", lambda kind: tuple(name for name in names(kind) if name not in later))
        with Ledger.open(path) as ledger:
            ledger.book_session(session())
    with contextlib.closing(sqlite3.connect(path)) as old:
        for name in later:
            old.execute(f"ALTER TABLE sessions DROP COLUMN {name}")
        for table, names in (("orders", ("level", "rests", "oca", "parent", "after")), ("fills", ("revision",))):
            for name in names:
                old.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        for name in ("unseen", "adjustments", "instruments"):
            old.execute(f"DROP TABLE {name}")
        old.execute("PRAGMA user_version = 1")
        old.commit()
    with pytest.raises(LedgerError, match="exo run"):
        Ledger.open(path, read_only=True)
    with Ledger.open(path) as ledger:
        booked = ledger.day_history(BOOK)
        assert [getattr(booked[0].day, name) for name in later] == [1.0, 0.0, 0.0, 0.0, 0.0]
        assert ledger.verify().faults == ()


def test_only_its_owner_reads_the_ledger_and_its_backups(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ledger.sqlite"
    path.parent.mkdir()
    path.touch(0o644)
    path.chmod(0o644)
    before = os.umask(0o022)
    try:
        with Ledger.open(path) as ledger:
            write_everything(ledger)
            ledger.backup(tmp_path / "backups" / "copy.sqlite")
            modes = {file.name: file.stat().st_mode & 0o777 for folder in ("data", "backups") for file in (tmp_path / folder).iterdir()}
    finally:
        os.umask(before)
    assert set(modes) >= {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite.mark", "copy.sqlite", "copy.sqlite.mark"}
    assert set(modes.values()) == {0o600}, modes


def test_the_latest_instant_is_the_latest_even_after_the_clock_stepped_back(tmp_path: Path) -> None:
    instants = [datetime(2024, 1, 2, 12, tzinfo=UTC), datetime(2024, 1, 2, 12, 0, 0, 500, tzinfo=UTC), datetime(2024, 1, 2, 11, tzinfo=UTC)]
    clock = iter([at for at in instants for _ in range(2)])
    with Ledger.open(tmp_path / "l.sqlite", clock=lambda: next(clock)) as ledger:
        assert ledger.latest_instant() is None
        for _ in instants:
            ledger.halt("x")
        assert ledger.latest_instant() == instants[1]


def test_an_opened_ledger_makes_the_accounts_of_its_books_known_to_the_log(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        ledger.book_session(dataclasses.replace(session(), book=BookId("DU5550123", "default")))
    with Ledger.open(tmp_path / "l.sqlite", read_only=True):
        assert log.mask("DU5550123/default") == "DU…123/default"
