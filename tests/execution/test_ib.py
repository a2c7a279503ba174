"""The connection: guards before anything is sent, plain words for what goes wrong, the pace, and nothing of the account in a log."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from mech_exo.domain.errors import BrokerError
from mech_exo.execution.ib import IBBroker
from mech_exo.utils.broker_settings import GatewayRules, Program
from tests.execution.ib_desk import ACCOUNT, EVER, PATIENT, a_broker, an_order
from tests.gateway import FakeGateway


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as one:
        yield one


@pytest.fixture
def broker(gateway: FakeGateway) -> Iterator[IBBroker]:
    one = a_broker(gateway)
    one.connect()
    yield one
    one.close()


# Guards


@pytest.mark.parametrize(("account", "live", "said"), [
    ("DU1234567", True, "live session needs a live account"),
    ("U1234567", False, "paper session needs a paper account"),
    ("paper", False, "ib_account"), ("", False, "ib_account"), ("DU1234567\n", False, "ib_account"),
])  # fmt: skip
def test_the_kind_of_account_and_the_mode_must_agree(gateway: FakeGateway, account: str, live: bool, said: str) -> None:
    with pytest.raises(BrokerError, match=said):
        IBBroker(account, live, GatewayRules(), port=gateway.port).connect()
    assert gateway.received == {}, "refused before anything is said"


@pytest.mark.parametrize(("account", "live", "port"), [("DU1234567", False, 4001), ("DU1234567", False, 7496), ("U1234567", True, 4002), ("U1234567", True, 7497)])
def test_the_port_and_the_mode_must_agree(account: str, live: bool, port: int) -> None:
    with pytest.raises(BrokerError, match=f"{port} is for the other kind"):
        IBBroker(account, live, GatewayRules(), port=port).connect()


@pytest.mark.parametrize(("program", "live", "port"), [(Program.GATEWAY, False, 4002), (Program.GATEWAY, True, 4001), (Program.TWS, False, 7497), (Program.TWS, True, 7496)])
def test_ports_by_name(program: Program, live: bool, port: int) -> None:
    assert IBBroker("U1", live, GatewayRules(program=program))._port == port
    assert IBBroker("U1", live, GatewayRules(program=program, port=5555))._port == 5555


@pytest.mark.parametrize("found", ["DU7654321", "U1234567"])
def test_another_account_is_refused(found: str) -> None:
    with FakeGateway(account=found) as gateway:
        broker = a_broker(gateway)
        with pytest.raises(BrokerError, match="configured one, DU…567") as error:
            broker.connect()
        assert found not in str(error.value) and ACCOUNT not in str(error.value)
        with pytest.raises(BrokerError, match="must be connected"):
            broker.probe()
        gateway.wait(lambda g: not g.sessions)


# What goes wrong while connecting


def test_nobody_listens(gateway: FakeGateway) -> None:
    gateway.down()
    with pytest.raises(BrokerError, match="nothing does") as error:
        a_broker(gateway).connect()
    assert error.value.remedy is not None and "gateway.port" in error.value.remedy


def test_a_client_id_in_use_is_named(gateway: FakeGateway, broker: IBBroker) -> None:
    other = a_broker(gateway)
    began = time.monotonic()
    with pytest.raises(BrokerError, match=r"client_id 17 is in use"):
        other.connect()
    assert time.monotonic() - began < PATIENT["connect_seconds"], "told at once, not after the time-out that ib_async sees"
    broker.probe()


def test_a_port_that_speaks_another_language() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        rules = GatewayRules(connect_seconds=0.3)
        with pytest.raises(BrokerError, match="did not end"):
            IBBroker(ACCOUNT, False, rules, port=server.getsockname()[1]).connect()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x11100\x0020200101 10:00:00\0"])
def test_a_program_that_hangs_up_or_is_too_old(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            link, _ = server.accept()
            link.recv(64)
            link.sendall(answer)
            link.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(BrokerError):
            IBBroker(ACCOUNT, False, GatewayRules(connect_seconds=5.0), port=server.getsockname()[1]).connect()


def test_an_unknown_host_is_said() -> None:
    with pytest.raises(BrokerError, match="reachable at"):
        IBBroker(ACCOUNT, False, GatewayRules(host="nowhere.invalid", connect_seconds=20.0), port=5555).connect()


@pytest.mark.parametrize("message", [9, 15])
def test_a_login_that_does_not_end(gateway: FakeGateway, message: int) -> None:
    gateway.mute(message)
    with pytest.raises(BrokerError, match="did not end"):
        a_broker(gateway, connect_seconds=0.3).connect()


def test_a_read_only_interface_is_named(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.read_only = True
    for ask in (broker.open_orders, broker.completed_orders):
        with pytest.raises(BrokerError, match="read-only") as error:
            ask()
        assert error.value.remedy is not None and "untick" in error.value.remedy
    gateway.read_only = False
    broker.open_orders(), broker.completed_orders()
    gateway.read_only = True
    answer = broker.place(an_order())
    assert not answer.accepted and answer.reason.startswith("321")


# Its life


def test_it_connects_and_closes_again_and_again_and_leaves_nothing_behind(gateway: FakeGateway) -> None:
    before = threading.active_count()
    broker = a_broker(gateway)
    for _ in range(5):
        broker.connect()
        broker.probe()
    broker.close()
    broker.close()
    gateway.wait(lambda g: not g.sessions)
    assert not [one for one in threading.enumerate() if one.name == "ib"]
    assert threading.active_count() <= before + 1


def test_a_refused_connection_leaves_nothing_behind(gateway: FakeGateway) -> None:
    gateway.down()
    for _ in range(3):
        with pytest.raises(BrokerError):
            a_broker(gateway).connect()
    assert not [one for one in threading.enumerate() if one.name == "ib"]


def test_threads_may_share_it(gateway: FakeGateway, broker: IBBroker) -> None:
    """One question at a time: each hears its own answer."""
    gateway.exchange.manual_trade("AAPL", 10, 100.0)
    wrong: list[object] = []

    def ask(what: int) -> None:
        for _ in range(5):
            answer = broker.positions() if what % 2 else broker.open_orders()
            if len(answer) != what % 2:
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert wrong == []


def test_the_pace_is_kept_without_the_library_s_queue(gateway: FakeGateway) -> None:
    """The fake cuts whoever sends more than fifty in a second; half again as much at 45 a second takes at least the rest of one."""
    broker = a_broker(gateway)
    broker.connect()
    began = time.monotonic()
    for _ in range(70):
        broker.probe()
    assert time.monotonic() - began > 0.9 and gateway.peak <= 46
    assert broker._link is not None and not broker._link.client._msgQ
    broker.close()


def test_the_cash_of_an_account_without_dollars_is_unknown(gateway: FakeGateway, broker: IBBroker) -> None:
    import math

    gateway.mute(63)
    state = broker.account()
    assert math.isnan(state.cash) and math.isnan(state.nav)


def test_a_fraction_of_a_share_stops_the_night(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.exchange.manual_trade("AAPL", 10, 100.0)
    gateway.exchange.split("AAPL", 0.25)
    with pytest.raises(BrokerError, match="whole"):
        broker.positions()


def test_what_it_is_connected_to(gateway: FakeGateway, broker: IBBroker) -> None:
    found = broker.describe()
    assert (found.account, found.live, found.port, found.client_id, found.server_version) == ("DU…567", False, gateway.port, 17, 178)
    assert abs(found.clock_ahead) < 60.0


def test_nothing_of_the_account_is_logged(gateway: FakeGateway, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """The whole conversation at the lowest level, with a message that cannot be read and a cut."""
    caplog.set_level(logging.DEBUG)
    broker = a_broker(gateway, answer_seconds=0.3)
    broker.connect()
    broker.place(an_order())
    gateway.exchange.fill(an_order().id, price=100.0)
    broker.account(), broker.positions(), broker.executions(EVER)
    broker.place(an_order("IBM"))
    gateway.faults.add("garble", message=5)
    with pytest.raises(BrokerError):
        broker.open_orders()
    gateway.drop()
    with pytest.raises(BrokerError) as error:
        broker.positions()
    broker.close()
    out, err = capfd.readouterr()
    told = caplog.text + out + err + str(error.value)
    assert "ib_async" in caplog.text and ACCOUNT not in told
