"""The unmodified ib_async trades through the fake gateway, at each of the 22 server versions; and what it does when all goes well."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from ib_async import Contract, ExecutionFilter

from tests.gateway import FakeGateway
from tests.gateway.client import ACCOUNT, Client, decoder_errors


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as one:
        yield one


@pytest.mark.parametrize("version", range(157, 179))
def test_it_connects_trades_fills_and_reconciles(version: int) -> None:
    with FakeGateway(version) as gateway, decoder_errors() as unread, Client(gateway) as client:
        assert client.ib.client.serverVersion() == version
        (qualified,) = client.ib.qualifyContracts(Contract(conId=265598, exchange="SMART"))
        assert (qualified.symbol, qualified.primaryExchange) == ("AAPL", "NASDAQ")
        entry = client.order("mx1-a", 100)
        stop = client.order("mx1-b", -100, orderType="STP", tif="GTC", auxPrice=140.0, ocaGroup="g", ocaType=1)
        target = client.order("mx1-c", -100, orderType="LMT", tif="GTC", lmtPrice=170.0, ocaGroup="g", ocaType=1, goodAfterTime="20261201 14:35:00 UTC")
        client.until(lambda: all(one.orderStatus.permId for one in (entry, stop, target)))
        assert {one.status for one in (entry.orderStatus, stop.orderStatus, target.orderStatus)} == {"PreSubmitted"}
        assert [(one.oca_group, one.oca_type) for one in gateway.exchange.orders("mx1-c")] == [("g", 1)]
        assert gateway.exchange.orders("mx1-c")[0].good_after == "20261201 14:35:00 UTC"
        gateway.exchange.open_session({"AAPL": 150.0})
        client.until(lambda: entry.orderStatus.status == "Filled" and entry.fills and entry.fills[0].commissionReport.execId)
        (fill,) = entry.fills
        assert (fill.execution.price, fill.commissionReport.commission, fill.execution.orderRef) == (150.0, 1.0, "mx1-a")
        assert abs((datetime.now(UTC) - fill.execution.time).total_seconds()) < 60
        gateway.exchange.trade("AAPL", 139.5)
        client.until(lambda: target.orderStatus.status == "Cancelled")
        client.settle()
        assert {one.order.orderRef: one.orderStatus.status for one in client.ib.reqCompletedOrders(False)} == {
            "mx1-a": "Filled", "mx1-b": "Filled", "mx1-c": "Cancelled"}  # fmt: skip
        assert [one.execution.side for one in client.ib.reqExecutions(ExecutionFilter())] == ["BOT", "SLD"]
        assert client.ib.reqAllOpenOrders() == [] and client.ib.positions() == []
        values = {one.tag: one.value for one in client.ib.accountSummary(ACCOUNT)}
        assert float(values["TotalCashValue"]) == float(values["NetLiquidation"]) == 100_000.0 - 100 * 10.5 - 2.0
        assert unread == [] and gateway.accepted("mx1-a") == gateway.sends("mx1-a") == 1


def test_an_order_for_a_stock_has_114_fields_at_178(gateway: FakeGateway) -> None:
    with Client(gateway) as client:
        client.order("mx1-a", orderType="LMT", lmtPrice=100.0)
        gateway.wait(lambda g: g.sends("mx1-a") == 1)
    (fields,) = gateway.placed
    assert len(fields) == 114 and (fields[16], fields[17], fields[19], fields[26]) == ("BUY", "100", "100.0", "mx1-a")


def test_an_order_is_modified_under_its_id(gateway: FakeGateway) -> None:
    with Client(gateway) as client:
        trade = client.order("mx1-a", orderType="LMT", tif="GTC", lmtPrice=100.0)
        client.until(lambda: trade.orderStatus.permId)
        trade.order.lmtPrice, trade.order.totalQuantity = 101.0, 50
        client.ib.placeOrder(trade.contract, trade.order)
        client.settle()
        assert [(one.limit, one.quantity) for one in gateway.exchange.orders("mx1-a")] == [(101.0, 50)]
        assert (gateway.sends("mx1-a"), gateway.accepted("mx1-a")) == (2, 1)


def test_a_bracket(gateway: FakeGateway) -> None:
    with Client(gateway) as client:
        parent = client.order("mx1-a", transmit=False)
        legs = {"parentId": parent.order.orderId, "tif": "GTC", "ocaGroup": "g", "ocaType": 1}
        stop = client.order("mx1-b", -100, orderType="STP", auxPrice=140.0, transmit=False, **legs)
        client.settle()
        assert gateway.accepted("mx1-a") == 0 and client.ib.reqAllOpenOrders() == []
        target = client.order("mx1-c", -100, orderType="LMT", lmtPrice=170.0, **legs)
        client.until(lambda: target.orderStatus.permId)
        assert (stop.orderStatus.whyHeld, stop.orderStatus.parentId) == ("child", parent.order.orderId)
        gateway.exchange.open_session({"AAPL": 150.0})
        client.until(lambda: target.orderStatus.status == "Submitted")
        gateway.exchange.trade("AAPL", 171.0)
        client.until(lambda: stop.orderStatus.status == "Cancelled")
        assert gateway.exchange.positions == {}


def test_other_clients_orders_are_hidden_from_the_one_question_and_shown_by_the_other(gateway: FakeGateway) -> None:
    gateway.exchange.foreign_order("MSFT", 10)
    with Client(gateway) as client:
        assert client.ib.openTrades() == [] and client.ib.reqOpenOrders() == []
        (foreign,) = client.ib.reqAllOpenOrders()
        assert (foreign.order.orderRef, foreign.order.clientId, foreign.contract.symbol) == ("", 0, "MSFT")


def test_a_client_id_is_given_once(gateway: FakeGateway) -> None:
    """326 and the end of the connection: ib_async only sees a time-out or a cut."""
    with Client(gateway, 17), pytest.raises((TimeoutError, ConnectionError)):
        Client(gateway, 17, timeout=0.5)
    Client(gateway, 17).ib.disconnect()


def test_a_gateway_that_is_down_refuses(gateway: FakeGateway) -> None:
    """Error 502 of the client's own."""
    gateway.down()
    with pytest.raises(ConnectionRefusedError):
        Client(gateway)
    gateway.up()
    Client(gateway).ib.disconnect()


def test_midnight_forgets_and_a_reconnect_finds_what_rests(gateway: FakeGateway) -> None:
    with Client(gateway) as client:
        client.order("mx1-a")
        client.order("mx1-b", -100, orderType="STP", tif="GTC", auxPrice=100.0)
        client.settle()
        gateway.exchange.open_session({"AAPL": 150.0})
        gateway.exchange.new_day()
        gateway.restart()
        client.until(lambda: not client.ib.isConnected())
    with Client(gateway) as client:
        assert client.ib.fills() == [] and client.ib.reqCompletedOrders(False) == []
        assert [one.order.orderRef for one in client.ib.openTrades()] == ["mx1-b"]
        assert [(one.contract.conId, one.position) for one in client.ib.positions()] == [(265598, 100.0)]


def test_history_and_its_absence(gateway: FakeGateway) -> None:
    gateway.bars["AAPL"] = [("20261130", 150.0, 152.0, 149.0, 151.0, 1000.0)]
    words = {"endDateTime": "", "durationStr": "1 D", "barSizeSetting": "1 day", "whatToShow": "TRADES", "useRTH": True}
    with Client(gateway) as client:
        (bar,) = client.ib.reqHistoricalData(client.stock("AAPL"), **words)
        assert (bar.open, bar.close) == (150.0, 151.0)
        assert list(client.ib.reqHistoricalData(client.stock("MSFT"), **words)) == []
        assert client.codes == [162], "an error and an empty answer"


def test_who_sends_too_fast_is_cut(gateway: FakeGateway) -> None:
    """Without its own brake, after 50 messages in a second. The error 100 that says so may be lost with the connection."""
    with Client(gateway) as client:
        client.ib.client.MaxRequests = 0
        for _ in range(60):
            client.ib.client.reqCurrentTime()
        client.until(lambda: not client.ib.isConnected())
        assert gateway.peak == 51 and set(client.codes) <= {100}


def test_garbage_at_the_door_harms_nobody(gateway: FakeGateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port)) as stranger:
        stranger.sendall(b"\x00\x00\x00\x05hello")
    Client(gateway).ib.disconnect()
