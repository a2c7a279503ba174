"""HALT works when little else does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mech_exo.domain.errors import LedgerError
from mech_exo.execution import safety
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.safety import SIZE, HaltSwitch
from tests.faults.small_disk import disk_of

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)


def test_halt_and_resume(tmp_path: Path) -> None:
    switch = HaltSwitch(tmp_path, clock=lambda: NOON)
    switch.arm()
    assert not switch.state().halted
    state = switch.halt("odd prices")
    assert (state.halted, state.reason, state.since) == (True, "odd prices", NOON)
    assert switch.halt("another").reason == "odd prices"
    assert HaltSwitch(tmp_path).state() == state, "another process sees it"
    assert switch.resume() == state
    assert not switch.state().halted
    switch.arm()
    assert switch.halt("again").reason == "again", "nothing of the first reason is left"


def test_a_halt_without_preparation_works_too(tmp_path: Path) -> None:
    assert HaltSwitch(tmp_path).halt("x").halted


@pytest.mark.parametrize("text", ["", "garbage", "{}", '{"reason": 1}', "\x00" * 100])
def test_any_halt_file_is_a_halt(tmp_path: Path, text: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "HALT").write_text(text)
    assert HaltSwitch(tmp_path).state().halted


def test_an_unreadable_halt_file_is_a_halt(tmp_path: Path) -> None:
    (tmp_path / "data" / "HALT").mkdir(parents=True)
    assert HaltSwitch(tmp_path).state().halted


@pytest.mark.parametrize("reason", ["x" * 5000, "ü€😀" * 500, 'quote " and \\ back'])
def test_a_long_reason_is_cut_to_the_prepared_size(tmp_path: Path, reason: str) -> None:
    switch = HaltSwitch(tmp_path)
    switch.arm()
    said = switch.halt(reason).reason
    assert said and reason.startswith(said)
    assert switch.path.stat().st_size == SIZE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(1, tmp_path / "disk") as disk:
        yield disk


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(os.urandom(4096))
    with pytest.raises(OSError, match="No space left"):
        path.with_name("one more").write_bytes(os.urandom(4096))
    path.with_name("one more").unlink(missing_ok=True)


def endless_halts(ledger: Ledger) -> None:
    while True:
        ledger.halt("x" * 4000)


def test_halt_on_a_full_disk(small_disk: Path) -> None:
    with Ledger.open(default_path(small_disk)):
        pass
    HaltSwitch(small_disk).arm()
    fill_up(small_disk / "filler")
    said = safety.halt(small_disk, "the disk is full")
    assert said.state.halted and said.state.reason == "the disk is full"
    assert not said.journaled and said.note
    assert HaltSwitch(small_disk).state().halted
    (small_disk / "filler").unlink()
    assert safety.resume(small_disk, "made room").journaled
    with Ledger.open(default_path(small_disk)) as ledger:
        assert ledger.verify().sound and not ledger.is_halted


def test_a_full_disk_loses_nothing_committed(small_disk: Path) -> None:
    path = default_path(small_disk)
    with Ledger.open(path) as ledger:
        with pytest.raises(LedgerError, match="free disk space"):
            endless_halts(ledger)
        count = len(ledger.halts())
        assert count > 10
    with Ledger.open(path, read_only=True) as ledger:
        assert ledger.verify().faults == () and len(ledger.halts()) == count


def test_halt_is_journaled_once_and_resume_ends_both(tmp_path: Path) -> None:
    with Ledger.open(default_path(tmp_path)):
        pass
    assert safety.halt(tmp_path, "a").journaled
    assert safety.halt(tmp_path, "b").journaled
    with Ledger.open(default_path(tmp_path)) as ledger:
        assert [row.reason for row in ledger.halts()] == ["a"]
        assert safety.halt_reason(ledger, HaltSwitch(tmp_path)) == "a"
    HaltSwitch(tmp_path).resume()
    with Ledger.open(default_path(tmp_path)) as ledger:
        assert safety.halt_reason(ledger, HaltSwitch(tmp_path)) == "a", "taking the file away is not a resume"
    safety.resume(tmp_path, "over")
    with Ledger.open(default_path(tmp_path)) as ledger:
        assert safety.halt_reason(ledger, HaltSwitch(tmp_path)) is None
