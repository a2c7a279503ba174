"""``exo run`` and ``plan`` with Interactive Brokers: which account, which mode, a gateway that is down, a night over the wire."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mech_exo.assembly import Workspace
from mech_exo.domain.orders import OrderState
from mech_exo.execution.rows import BookId
from tests.cli.test_run import FIRST, SECOND, Exo, only_json
from tests.gateway import FakeGateway
from tests.session.stage import set_line

BOOK = BookId("DU1234567", "default")


@pytest.fixture
def place(market_copy: Path) -> Path:
    keys = market_copy / "config" / "api_keys_local.yml"
    keys.write_text("ib_account: DU1234567\n")
    keys.chmod(0o600)
    return market_copy


def test_without_an_account_nothing_goes_to_interactive_brokers(exo: Exo, market_copy: Path) -> None:
    for word in ("run", "plan"):
        ran = exo(word, "--broker", "ib", "--date", FIRST, "--home", market_copy)
        assert ran.code == 2 and "ib_account is not set" in ran.err and "config/api_keys_local.yml" in ran.err
    ran = exo("run", "--broker", "xy", "--home", market_copy)
    assert ran.code == 2 and "--broker must be paper or ib; got 'xy'" in ran.err


def test_mode_and_account_must_agree_and_the_number_is_masked(exo: Exo, place: Path) -> None:
    ran = exo("run", "--broker", "ib", "--mode", "live", "--account", "DU1234567", "--home", place)
    assert ran.code == 2 and "needs a live account" in ran.err and "DU1234567" not in ran.err
    (place / "config" / "api_keys_local.yml").write_text("ib_account: U7654321\n")
    ran = exo("run", "--broker", "ib", "--mode", "paper", "--home", place)
    assert ran.code == 2 and "needs a paper account" in ran.err and "U7654321" not in ran.err
    for typed in ((), ("--account", "U7654322")):
        ran = exo("run", "--broker", "ib", "--mode", "live", *typed, "--date", FIRST, "--home", place)
        assert ran.code == 2 and "live trading is refused" in ran.err and "what was typed differs" in ran.err and "U765432" not in ran.err
        assert "live: {enabled: true}" in ran.err and "20 paper sessions" in ran.err


def test_a_gateway_that_is_down_leaves_nothing_but_an_alert(exo: Exo, place: Path) -> None:
    with FakeGateway(account=BOOK.account) as gateway:
        port = gateway.port
    set_line(place / "config" / "broker.yml", "  port: null", f"  port: {port}")
    ran = exo("run", "--broker", "ib", "--date", FIRST, "--no-download", "--home", place)
    assert ran.code == 5 and "nothing does" in ran.err and "→ start Gateway or TWS" in ran.err and "Traceback" not in ran.err
    with Workspace.open(place).ledger() as ledger:
        assert ledger.books() == () and ledger.orders() == ()


def test_nights_over_the_wire_and_everything_that_reads_their_book(exo: Exo, place: Path) -> None:
    """A night of the past is decided and journaled; its orders are too late for their session, and stay."""
    set_line(place / "config" / "broker.yml", "kind: paper", "kind: ib")
    with FakeGateway(account=BOOK.account, cash=54_321.0) as gateway:
        set_line(place / "config" / "broker.yml", "  port: null", f"  port: {gateway.port}")
        for symbol in Workspace.open(place).known().panel.symbols:
            gateway.exchange.enlist(symbol)
        planned = only_json(exo("plan", "--date", FIRST, "--home", place, "--json"))
        ran = exo("run", "--date", FIRST, "--home", place, "--json")
        done = json.loads(ran.out)
        assert ran.code == 1, "orders were to leave and none did"
        assert planned == done["decision"] and planned["nav"] == 54_321.0 and planned["orders"]
        assert {one["outcome"] for one in done["sent"]} == {"blocked"} and "the last orders for the open of" in done["sent"][0]["note"]
        assert not gateway.exchange.orders()
        again = only_json(exo("run", "--date", SECOND, "--home", place, "--json"))
        assert again["nav"] == 54_321.0 and again["fills"] == []
    workspace = Workspace.open(place)
    assert workspace.book_id() == BOOK
    with workspace.ledger(read_only=True) as ledger:
        assert ledger.books() == (BOOK,) and ledger.last_session(BOOK).session == SECOND
        assert {row.state for row in ledger.orders(BOOK, session=SECOND)} == {OrderState.EXPIRED}
        legs = [row.order for row in ledger.orders(BOOK) if row.order.parent]
        assert legs and all(leg.rests for leg in legs)
    told = only_json(exo("replay", FIRST, "--home", place, "--json"))
    assert told["identical"]
    why = exo("why", planned["orders"][0]["symbol"], "--date", FIRST, "--home", place)
    assert why.code == 0, why.err
    status = exo("risk", "status", "--home", place)
    assert status.code == 0 and "54,321" in status.out, status.err


def test_orders_that_are_all_refused_are_said_once_and_in_the_exit_code(exo: Exo, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mech_exo.execution.valve.time_refusal", lambda *_: None)
    set_line(place / "config" / "broker.yml", "kind: paper", "kind: ib")
    with FakeGateway(account=BOOK.account, cash=54_321.0) as gateway:  # none of its symbols is listed there
        set_line(place / "config" / "broker.yml", "  port: null", f"  port: {gateway.port}")
        ran = exo("run", "--date", FIRST, "--home", place)
        assert ran.code == 1 and "0 of " in ran.out and "orders handed to the broker" in ran.out
        assert ran.out.count("rejected: Interactive Brokers knows no US stock of that symbol") == 1
        again = exo("run", "--date", FIRST, "--home", place)
        assert again.code == 0 and "booked already: nothing to do" in again.out
