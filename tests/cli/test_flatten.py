"""`exo flatten`: against the fake gateway, in the paper book, and when the gateway, the ledger or the disk is not to be had."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from mech_exo.assembly import Workspace
from mech_exo.domain.orders import OrderReason, OrderState
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import BookId
from mech_exo.execution.safety import HaltSwitch
from mech_exo.execution.sending import SendOutcome
from mech_exo.session import run_night
from mech_exo.utils.calendar import next_session
from tests.cli.conftest import NIGHTS
from tests.conftest import Ran
from tests.execution.ledger_rows import line, session
from tests.execution.test_safety import fill_up
from tests.gateway import FakeGateway
from tests.session.stage import held, set_line

Exo = Callable[..., Ran]
ACCOUNT = "DU1234567"
BOOK = BookId(ACCOUNT, "default")
HOLDER = """
import sys, time
from pathlib import Path
from mech_exo.execution.ledger import Ledger
with Ledger.open(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway(account=ACCOUNT, cash=100_000.0) as running:
        running.exchange.open_session({"AAPL": 100.0, "IBM": 50.0})
        running.exchange.manual_trade("AAPL", 30, 100.0)
        running.exchange.manual_trade("IBM", -20, 50.0)
        yield running


def configured(home: Path, port: int) -> Path:
    """``home`` with a book of the account that holds what the broker holds."""
    set_line(home / "config" / "broker.yml", "port: null ", f"port: {port} ")
    set_line(home / "config" / "broker.yml", "quiet_minutes: 5 ", "quiet_minutes: 0 ")
    set_line(home / "config" / "broker.yml", "connect_seconds: 15.0", "connect_seconds: 20.0")
    (home / "config" / "api_keys_local.yml").write_text(f"ib_account: {ACCOUNT}\n")
    booked(home)
    return home


def booked(home: Path) -> None:
    row = session(date(2024, 1, 2), 98_000.0)
    lines = tuple(dataclasses.replace(line(symbol), shares=shares, order=0.0) for symbol, shares in (("AAPL", 30.0), ("IBM", -20.0)))
    with Ledger.open(default_path(home)) as ledger:
        ledger.book_session(dataclasses.replace(row, book=BOOK, lines=lines))


@pytest.fixture
def place(workspace: Path, gateway: FakeGateway) -> Path:
    return configured(workspace, gateway.port)


def halted(home: Path) -> bool:
    return HaltSwitch(home).state().halted


def test_everything_is_closed_at_the_gateway_once(exo: Exo, place: Path, gateway: FakeGateway) -> None:
    ran = exo("flatten", "--broker", "ib", "--yes", "--json", "--reason", "enough", "--home", place)
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert [(one["symbol"], one["shares"], one["outcome"]) for one in said["closing"]] == [("AAPL", -30, "live"), ("IBM", 20, "live")]
    assert said["left"] == [] and halted(place)
    assert [(ticket.action, ticket.quantity) for ticket in gateway.exchange.orders(live=True)] == [("SELL", 30), ("BUY", 20)]
    for one in said["closing"]:
        gateway.exchange.fill(one["order_id"], price=99.0)
    again = exo("flatten", "--broker", "ib", "--yes", "--json", "--home", place)
    assert again.code == 0 and json.loads(again.out)["closing"] == []
    assert not any(gateway.exchange.positions.values()) and all(gateway.accepted(one["order_id"]) == 1 for one in said["closing"])
    with Ledger.open(default_path(place), read_only=True) as ledger:
        rows = ledger.orders(BOOK)
        assert {(row.order.reason, row.state) for row in rows} == {(OrderReason.FLATTEN, OrderState.FILLED)}
        assert ledger.is_halted and ledger.halts()[-1].reason == "enough" and ledger.verify().sound


def test_one_symbol_and_what_is_not_the_books(exo: Exo, place: Path, gateway: FakeGateway) -> None:
    gateway.exchange.manual_trade("AAPL", 5, 100.0)
    ran = exo("flatten", "--broker", "ib", "--yes", "--symbol", "AAPL", "--home", place)
    assert ran.code == 5 and "AAPL: -30 shares" in ran.out and "+5 shares at the broker are not this book's" in ran.out and "IBM" not in ran.out
    assert ACCOUNT not in ran.out + ran.err


def test_with_the_gateway_down_it_halts_and_says_what_is_open_and_how_to_close_it(exo: Exo, place: Path, gateway: FakeGateway) -> None:
    gateway.down()
    ran = exo("flatten", "--broker", "ib", "--yes", "--home", place)
    assert ran.code == 5 and halted(place) and "Traceback" not in ran.err
    assert "halted, but not flattened" in ran.err and "AAPL: +30 shares are held" in ran.err and "IBM: -20 shares are held" in ran.err
    assert "IBKR Mobile as DU…567" in ran.err and ACCOUNT not in ran.err + ran.out


def test_while_another_process_holds_the_ledger(exo: Exo, place: Path, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mech_exo.cli.halt.PATIENCE", 0.2)
    command = [sys.executable, "-c", HOLDER, str(default_path(place))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert exo("halt", "--reason", "odd", "--home", place).code == 0 and halted(place)
        ran = exo("flatten", "--broker", "ib", "--yes", "--home", place)
        assert ran.code == 4 and f"process {holder.pid} holds" in ran.err
        assert "AAPL: +30 shares are held" in ran.err and "cancel every open order" in ran.err
        assert exo("resume", "--reason", "over", "--home", place).code == 4 and halted(place), "a resume is journaled or it is none"
        holder.communicate()
    assert gateway.placed == []
    assert exo("flatten", "--broker", "ib", "--yes", "--home", place).code == 0


@pytest.fixture
def small_home(tmp_path: Path) -> Iterator[Path]:
    """A workspace on a file system of 2 MB."""
    from mech_exo.utils.workspace import create

    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("needs the right to mount a small file system")
    create(disk / "w")
    yield disk / "w"
    subprocess.run(["umount", str(disk)], check=True)


def test_on_a_full_disk(exo: Exo, small_home: Path, gateway: FakeGateway) -> None:
    configured(small_home, gateway.port)
    HaltSwitch(small_home).arm()
    fill_up(small_home / "filler")
    ran = exo("flatten", "--broker", "ib", "--yes", "--home", small_home)
    assert ran.code in (4, 5) and halted(small_home) and "Traceback" not in ran.err
    assert "halted, but not flattened" in ran.err and "cancel every open order" in ran.err
    assert gateway.placed == [], "what cannot be journaled is not sent"
    (small_home / "filler").unlink()
    assert exo("flatten", "--broker", "ib", "--yes", "--home", small_home).code == 0
    assert len(gateway.exchange.orders(live=True)) == 2


class Terminal(io.StringIO):
    """A keyboard."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [(ACCOUNT, 0), ("DU…567", 2), ("", 2), ("yes", 2)])
def test_the_account_is_typed_by_hand(exo: Exo, place: Path, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, typed: str, code: int) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed + "\n" + ("x\n" if not typed else "")))
    ran = exo("flatten", "--broker", "ib", "--home", place)
    assert ran.code == code and halted(place), ran.err
    assert (gateway.placed == []) is (code != 0)


def test_without_a_terminal_or_with_a_broken_configuration_it_halts_all_the_same(exo: Exo, place: Path, gateway: FakeGateway) -> None:
    ran = exo("flatten", "--broker", "ib", "--home", place)
    assert ran.code == 2 and halted(place) and "--yes" in ran.err
    assert exo("resume", "--reason", "over", "--home", place).code == 0
    (place / "config" / "risk_limits.yml").write_text("nonsense: 1\n")
    ran = exo("flatten", "--broker", "ib", "--yes", "--home", place)
    assert ran.code == 2 and halted(place) and "nonsense" in ran.err and "by hand" in ran.err
    assert gateway.placed == []


def test_the_paper_book_is_flat_after_the_next_night(exo: Exo, played_home: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(played_home, tmp_path / "w"))
    following, before = next_session(NIGHTS[-1]), held(home)
    assert len(before) > 5
    first = exo("flatten", "--yes", "--json", "--home", home)
    assert first.code == 0, first.err
    closing = json.loads(first.out)["closing"]
    assert {one["symbol"]: -one["shares"] for one in closing} == before and json.loads(first.out)["session"] == str(following)
    assert len(json.loads(exo("flatten", "--yes", "--json", "--home", home).out)["closing"]) == len(closing), "the same, not twice"
    workspace = Workspace.open(home)
    with workspace.ledger() as ledger:
        result = run_night(workspace.desks(ledger), following)
        assert ledger.verify().sound
        fills = [row.fill for row in ledger.fills(session=following)]
    assert all(one.outcome is SendOutcome.DENIED for one in result.sent)
    assert held(home) == {} and {fill.reason for fill in fills} == {OrderReason.FLATTEN} and len(fills) == len(closing)
    assert "Nothing is held." in exo("flatten", "--yes", "--home", home).out


def test_an_empty_paper_book(exo: Exo, workspace: Path) -> None:
    ran = exo("flatten", "--yes", "--home", workspace)
    assert ran.code == 0 and "Nothing is held." in ran.out and halted(workspace)
