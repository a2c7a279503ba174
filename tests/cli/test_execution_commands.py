"""`exo orders | fills | positions | ledger | halt | resume` from their outermost edge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mech_exo.domain.orders import OrderState
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.safety import HaltSwitch
from tests.execution.ledger_rows import order, write_everything

Exo = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace with a ledger of every kind of row."""
    (tmp_path / "config").mkdir()
    with Ledger.open(default_path(tmp_path)) as ledger:
        write_everything(ledger)
    return tmp_path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A workspace in which nothing was run."""
    (tmp_path / "config").mkdir()
    return tmp_path


@pytest.mark.parametrize("command", ["orders", "fills", "positions"])
def test_an_empty_workspace_says_what_to_do(exo: Exo, empty: Path, command: str) -> None:
    ran = exo(command, "--home", empty)
    assert ran.code == 0 and "exo run --mode paper" in ran.out
    ran = exo(command, "--home", empty, "--json")
    assert (ran.code, json.loads(ran.out)) == (0, [])
    assert not default_path(empty).exists(), "looking makes nothing"


def test_orders(exo: Exo, place: Path) -> None:
    rows = json.loads(exo("orders", "--home", place, "--json").out)
    assert [(row["symbol"], row["shares"], row["state"], row["session"]) for row in rows] == [
        ("AAA", 10, "filled", "2024-01-03"), ("BBB", 10, "rejected", "2024-01-03"), ("AAA", -10, "new", "2024-01-03")]  # fmt: skip
    stop = rows[2]
    assert (stop["type"], stop["level"], stop["rests"], stop["group"], stop["decision_price"]) == ("stop", 9.5, True, "mx1-g", None)
    shown = exo("orders", "--home", place).out
    assert "9.50" in shown and "BBB rejected: because" in shown
    assert "paper/default" in shown and "because" in shown and "10.10" in shown
    assert json.loads(exo("orders", "--date", "2024-01-05", "--home", place, "--json").out) == []
    assert "No orders for 2024-01-05" in exo("orders", "--date", "2024-01-05", "--home", place).out
    assert exo("orders", "--date", "yesterday", "--home", place).code == 2


def test_fills(exo: Exo, place: Path) -> None:
    (row,) = json.loads(exo("fills", "--home", place, "--json").out)
    assert (row["symbol"], row["price"], row["commission"], row["slippage"]) == ("AAA", 10.2, 1.0, pytest.approx(0.5))
    assert "1 fills, 102.00 USD traded, slippage 0.50 USD" in exo("fills", "--home", place).out
    assert json.loads(exo("fills", "--since", "2024-01-04", "--home", place, "--json").out) == []
    assert len(json.loads(exo("fills", "--since", "2024-01-03", "--home", place, "--json").out)) == 1


def test_positions(exo: Exo, place: Path) -> None:
    (book,) = json.loads(exo("positions", "--home", place, "--json").out)
    (held,) = book["positions"]
    assert (book["session"], book["nav"], held["symbol"], held["shares"], held["target"]) == ("2024-01-02", 100_000.0, "AAA", 10, None)
    shown = exo("positions", "--home", place).out
    assert "NAV 100,000.00 USD" in shown and "–" in shown


def test_everything_reads_while_a_run_is_writing(exo: Exo, place: Path) -> None:
    with Ledger.open(default_path(place)) as ledger, ledger.transaction():
        ledger.halt("in the middle")
        for command in (("orders",), ("fills",), ("positions",), ("ledger", "verify")):
            assert exo(*command, "--home", place).code == 0, command


def test_ledger_verify_and_backup_and_restore(exo: Exo, place: Path, tmp_path: Path) -> None:
    ran = exo("ledger", "verify", "--home", place, "--json")
    assert (ran.code, json.loads(ran.out)["sound"]) == (0, True)
    saved = json.loads(exo("ledger", "backup", "--home", place, "--json").out)["path"]
    assert Path(saved).parent == place / "data" / "backups"
    raw = bytearray(default_path(place).read_bytes())
    raw[raw.index(b"because")] ^= 1
    default_path(place).write_bytes(raw)
    ran = exo("ledger", "verify", "--home", place)
    assert ran.code == 4 and "must be sound" in ran.err and "exo ledger restore" in ran.err
    assert exo("ledger", "restore", tmp_path / "nothing.sqlite", "--home", place).code == 4
    assert exo("ledger", "restore", saved, "--home", place).code == 0
    assert exo("ledger", "verify", "--home", place).code == 0
    with Ledger.open(default_path(place), read_only=True) as ledger:
        assert ledger.is_halted


@pytest.mark.parametrize("command", [("verify",), ("backup",), ("settle", "x", "--as", "live", "--reason", "r")])
def test_ledger_commands_need_a_ledger(exo: Exo, empty: Path, command: tuple[str, ...]) -> None:
    ran = exo("ledger", *command, "--home", empty)
    assert ran.code == 2 and "no ledger yet" in ran.err


def test_settle_only_what_is_in_doubt(exo: Exo, place: Path) -> None:
    words = ("ledger", "settle", order("AAA").id, "--as", "cancelled", "--reason", "TWS shows nothing", "--home", place)
    assert exo(*words).code == 2
    with Ledger.open(default_path(place)) as ledger:
        from tests.execution.ledger_rows import BOOK, DAY_ONE, intents

        later = DAY_ONE.replace(day=9)
        ledger.plan(intents("CCC", decided=later), BOOK, later)
        doubtful = order("CCC", decided=later).id
        ledger.set_state(doubtful, OrderState.SENDING)
        ledger.set_state(doubtful, OrderState.UNKNOWN, "no answer")
    assert "1 in doubt" in exo("orders", "--home", place).out
    assert exo("ledger", "settle", doubtful, *words[3:]).code == 0
    with Ledger.open(default_path(place), read_only=True) as ledger:
        assert (ledger.order(doubtful).state, ledger.order(doubtful).note) == (OrderState.CANCELLED, "settled by hand: TWS shows nothing")


def test_halt_and_resume(exo: Exo, place: Path) -> None:
    said = json.loads(exo("halt", "--reason", "odd prices", "--home", place, "--json").out)
    assert said["journaled"] and said["state"]["reason"] == "odd prices"
    assert HaltSwitch(place).state().halted
    again = exo("halt", "--reason", "another", "--home", place)
    assert again.code == 0 and "odd prices" in again.out
    assert exo("resume", "--reason", "vendor corrected", "--home", place).code == 0
    assert not HaltSwitch(place).state().halted
    with Ledger.open(default_path(place), read_only=True) as ledger:
        assert [(row.halted, row.reason) for row in ledger.halts()][-2:] == [(True, "odd prices"), (False, "vendor corrected")]


def test_halt_works_while_a_run_is_writing(exo: Exo, place: Path) -> None:
    with Ledger.open(default_path(place)) as ledger:
        ran = exo("halt", "--reason", "stop [now]", "--home", place)
        assert ran.code == 0 and "not in the ledger: one process writes" in ran.out and "stop [now]" in ran.out
        assert HaltSwitch(place).state().halted and not ledger.is_halted
        ran = exo("resume", "--reason", "x", "--home", place)
        assert ran.code == 4 and HaltSwitch(place).state().halted, "a resume must be journaled"
    assert exo("resume", "--reason", "x", "--home", place).code == 0


def test_halt_needs_a_workspace_and_a_reason(exo: Exo, tmp_path: Path) -> None:
    assert exo("halt", "--reason", "x", "--home", tmp_path).code == 2
    assert not (tmp_path / "data").exists()
    (tmp_path / "config").mkdir()
    assert exo("halt", "--home", tmp_path).code == 2
