"""The gateway as a process of its own: commanded from outside, stopped, killed, and back with what it had."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from ib_async import IB, Order, Stock

from tests.gateway.account import Instrument
from tests.gateway.control import RemoteGateway, gateway_process

AAPL = Stock("AAPL", "SMART", "USD", conId=Instrument.of("AAPL").con_id)


def connected(remote: RemoteGateway) -> IB:
    ib = IB()
    ib.connect("127.0.0.1", remote.port, clientId=17, raiseSyncErrors=True)
    return ib


def test_what_it_accepted_survives_its_death(tmp_path: Path) -> None:
    state = str(tmp_path / "state.json")
    with gateway_process("--state", state) as (remote, process):
        ib = connected(remote)
        for ref, terms in (("mx1-a", {"orderType": "MKT", "tif": "OPG"}), ("mx1-b", {"orderType": "LMT", "tif": "GTC", "lmtPrice": 90.0})):
            ib.placeOrder(AAPL, Order(action="BUY", totalQuantity=10, orderRef=ref, account="DU1234567", **terms))
        ib.reqCurrentTime()
        remote("exchange.open_session", {"AAPL": 100.0})
        process.send_signal(signal.SIGKILL)
        process.wait()
        ib.disconnect()
    with gateway_process("--state", state) as (remote, _):
        assert remote("exchange.positions") == {"AAPL": 10} and remote("exchange.cash") == 100_000.0 - 1_000.0 - 1.0
        assert [remote("sends", "mx1-a"), remote("accepted", "mx1-a"), remote("accepted", "mx1-c")] == [1, 1, 0]
        ib = connected(remote)
        assert [one.order.orderRef for one in ib.openTrades()] == ["mx1-b"]
        assert [one.execution.orderRef for one in ib.fills()] == ["mx1-a"]
        assert ib.client.getReqId() > 2, "its ids go on"
        ib.disconnect()


def test_a_stopped_process_is_half_open() -> None:
    """SIGSTOP: the kernel keeps the connection, nobody answers."""
    with gateway_process() as (remote, process):
        ib = connected(remote)
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # it stands
        ib.RequestTimeout = 0.2
        with pytest.raises(TimeoutError):
            ib.reqCurrentTime()
        assert ib.isConnected()
        os.kill(process.pid, signal.SIGCONT)
        ib.RequestTimeout = 5.0
        ib.reqCurrentTime()
        ib.disconnect()


def test_faults_by_command() -> None:
    with gateway_process("--version", "163", "--account", "DU7", "--cash", "5000") as (remote, _):
        remote("faults.add", "cut_after_accept", times=2)
        assert remote("faults.armed") == [{"kind": "cut_after_accept", "times": 2, "skip": 0, "ref": None, "code": 201, "message": None}]
        assert (remote("exchange.account"), remote("exchange.nav"), remote("version")) == ("DU7", 5000.0, 163)
        with pytest.raises(RuntimeError, match="Refused: No security definition"):
            remote("exchange.trade", "NOPE", 5.0)
