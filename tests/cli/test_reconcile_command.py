"""`exo reconcile` and `exo reconcile accept` from their outermost edge, against a broker that differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mech_exo.assembly import Workspace
from mech_exo.domain.orders import OrderState
from mech_exo.execution.broker import BrokerOrder, BrokerOrderState
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import SessionRow
from mech_exo.execution.safety import HaltSwitch
from tests.execution.fake_broker import FakeBroker
from tests.execution.ledger_rows import BOOK, DAY_ONE, day, intents, line, order

Exo = Callable[..., Any]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    made = FakeBroker()
    made.held = {"AAA": 10}
    monkeypatch.setattr(Workspace, "broker", lambda self, ledger: made)
    monkeypatch.setattr(Workspace, "book_id", lambda self: BOOK)
    return made


@pytest.fixture
def place(exo: Exo, tmp_path: Path) -> Path:
    home = tmp_path / "w"
    assert exo("init", home).code == 0
    with Ledger.open(default_path(home)) as ledger:
        ledger.book_session(SessionRow(BOOK, DAY_ONE, day(100_000.0, cash=100_000.0, index=1.0), (line("AAA", 10.0),)))
    return home


def test_equal_sides(exo: Exo, place: Path, broker: FakeBroker) -> None:
    ran = exo("reconcile", "--home", place)
    assert ran.code == 0 and "ledger and broker agree" in ran.out
    said = json.loads(exo("reconcile", "--home", place, "--json").out)
    assert (said["breaks"], said["positions"]) == ([], [{"symbol": "AAA", "ledger": 10, "broker": 10}])


def test_a_difference_is_shown_with_its_cause_and_repaired_by_its_own_command(exo: Exo, place: Path, broker: FakeBroker) -> None:
    broker.held["AAA"] = 20
    ran = exo("reconcile", "--home", place)
    assert ran.code == 2
    assert "ledger 10 shares, broker 20" in ran.out and "split 2:1" in ran.out and "exo reconcile accept AAA" in ran.out
    (found,) = json.loads(exo("reconcile", "--home", place, "--json").out)["breaks"]
    assert (found["kind"], found["cause"], found["locks"], found["halts"]) == ("position", "split", True, False)
    assert exo("reconcile", "accept", "aaa", "--reason", " ", "--home", place).code != 0
    ran = exo("reconcile", "accept", "aaa", "--reason", "2:1 on Friday", "--home", place)
    assert ran.code == 0 and "AAA, +10 shares" in ran.out
    ran = exo("reconcile", "accept", "aaa", "--reason", "2:1 on Friday", "--home", place)
    assert ran.code == 0 and "nothing was written" in ran.out
    assert exo("reconcile", "--home", place).code == 0
    assert exo("ledger", "verify", "--home", place).code == 0


def test_cash_is_accepted_by_its_name(exo: Exo, place: Path, broker: FakeBroker) -> None:
    broker.cash -= 5_000.0
    assert exo("reconcile", "--home", place).code == 2
    (row,) = json.loads(exo("reconcile", "accept", "cash", "--reason", "a withdrawal", "--home", place, "--json").out)
    assert (row["cash"], row["symbol"], row["reason"]) == (-5_000.0, None, "a withdrawal")
    assert exo("reconcile", "--home", place).code == 0


def test_an_order_without_a_journal_halts_and_names_what_to_do(exo: Exo, place: Path, broker: FakeBroker) -> None:
    broker.open["x"] = BrokerOrder("mx1-ghost", "5", "AAA", 5, BrokerOrderState.OPEN)
    ran = exo("reconcile", "--home", place)
    assert ran.code == 2 and "cancel that order at the broker" in ran.out and "exo resume" in ran.out
    assert HaltSwitch(place).state().halted
    assert exo("reconcile", "accept", "AAA", "--reason", "x", "--home", place).code == 2


def test_doubt_is_shown_with_the_command_that_settles_it_and_its_legs(exo: Exo, place: Path, broker: FakeBroker) -> None:
    with Ledger.open(default_path(place)) as ledger:
        ledger.plan(intents("BBB"), BOOK, DAY_ONE)
        ledger.set_state(order("BBB").id, OrderState.SENDING)
    ran = exo("reconcile", "--home", place)
    assert ran.code == 2 and f"exo ledger settle {order('BBB').id}" in ran.out
    assert exo("ledger", "settle", order("BBB").id, "--as", "cancelled", "--reason", "not there", "--home", place).code == 0
    assert exo("reconcile", "--home", place).code == 0


def test_an_order_gone_at_the_broker_is_settled_and_cannot_be_made_live_by_hand(exo: Exo, place: Path, broker: FakeBroker) -> None:
    with Ledger.open(default_path(place)) as ledger:
        ledger.plan(intents("BBB"), BOOK, DAY_ONE)
        for state in (OrderState.SENDING, OrderState.LIVE):
            ledger.set_state(order("BBB").id, state)
    id_ = order("BBB").id
    assert exo("ledger", "settle", id_, "--as", "live", "--reason", "x", "--home", place).code == 2
    assert exo("ledger", "settle", id_, "--as", "cancelled", "--reason", "statement", "--home", place).code == 0
    assert exo("reconcile", "--home", place).code == 0


def test_a_workspace_without_a_ledger_says_so(exo: Exo, tmp_path: Path) -> None:
    assert exo("init", tmp_path / "w").code == 0
    ran = exo("reconcile", "--home", tmp_path / "w")
    assert ran.code == 2 and "no ledger yet" in ran.err
