"""Every message through ib_async's own decoder, at each of the 22 server versions: each figure arrives, and no field is too many."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ib_async.decoder import Decoder

from tests.gateway import messages as say
from tests.gateway.account import Execution, Instrument, Ticket
from tests.gateway.client import decoder_errors
from tests.gateway.wire import fields_of, frame

VERSIONS = range(157, 179)
AAPL = Instrument.of("AAPL")
TICKET = Ticket(
    7, 17, 1_700_000_001, AAPL.con_id, "DU1", "SELL", 300, "LMT", 151.25, None, "GTC", "mx1-group", 1, "mx1-ref", 6, True, "20261201 14:35:00 UTC",
    True, "PreSubmitted", 100, 15_100.0, 151.0, "child", "beware", "20261201 14:40:00 UTC", "Filled Size: 100",
)  # fmt: skip
DONE = Execution(
    "6553f101.00000001.01.02", 1_700_000_001, 7, 17, AAPL.con_id, "DU1", -100, 151.0, 100, 151.0, "20261201 14:40:00 UTC", 1.25, "mx1-ref"
)


class Ear:
    """A wrapper that writes down what the decoder called."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, tuple[Any, ...]]] = []
        self.ib = SimpleNamespace(TimezoneTWS="")
        self.defaultTimezone = UTC

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.heard.append((name, args))


def decode(version: int, message: say.Message) -> list[tuple[str, tuple[Any, ...]]]:
    ear = Ear()
    with decoder_errors() as errors:
        Decoder(ear, version).interpret(fields_of(frame(message)[4:]))
    assert errors == []
    return ear.heard


def counted(version: int, message: say.Message) -> None:
    """Not one field can be missing, so none is superfluous either."""
    with decoder_errors() as errors:
        Decoder(Ear(), version).interpret(fields_of(frame(message[:-1])[4:]))
    assert errors


@pytest.mark.parametrize("version", VERSIONS)
def test_an_open_order(version: int) -> None:
    message = say.open_order(version, AAPL, TICKET)
    ((name, (order_id, contract, order, state)),) = decode(version, message)
    assert (name, order_id, contract.conId, contract.symbol, contract.exchange, contract.currency) == ("openOrder", 7, 265598, "AAPL", "SMART", "USD")
    assert (order.action, order.totalQuantity, order.orderType, order.lmtPrice, order.auxPrice, order.tif) == ("SELL", 300, "LMT", 151.25, 0.0, "GTC")
    assert (order.ocaGroup, order.ocaType, order.account, order.orderRef, order.permId) == ("mx1-group", 1, "DU1", "mx1-ref", 1_700_000_001)
    assert (order.clientId, order.parentId, order.outsideRth, order.goodAfterTime) == (17, 6, True, "20261201 14:35:00 UTC")
    assert (order.whatIf, order.conditions, order.algoStrategy, state.status, state.warningText) == (False, [], "", "PreSubmitted", "beware")
    counted(version, message)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_completed_order(version: int) -> None:
    message = say.completed_order(version, AAPL, TICKET)
    ((name, (contract, order, state)),) = decode(version, message)
    assert (name, contract.conId, order.action, order.totalQuantity, order.filledQuantity) == ("completedOrder", 265598, "SELL", 300, 100)
    assert (order.orderRef, order.permId, order.ocaGroup, order.ocaType, order.lmtPrice) == ("mx1-ref", 1_700_000_001, "mx1-group", 1, 151.25)
    assert (order.orderId, order.clientId) == (0, 0), "an order that ended has neither"
    assert (state.status, state.completedTime, state.completedStatus) == ("PreSubmitted", "20261201 14:40:00 UTC", "Filled Size: 100")
    counted(version, message)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_execution(version: int) -> None:
    message = say.execution(version, 9, AAPL, DONE)
    ((name, (request, contract, done)),) = decode(version, message)
    assert (name, request, contract.conId, done.execId, done.side, done.shares, done.price) == (
        "execDetails", 9, 265598, "6553f101.00000001.01.02", "SLD", 100, 151.0)  # fmt: skip
    assert (done.permId, done.orderId, done.clientId, done.orderRef, done.cumQty, done.avgPrice) == (1_700_000_001, 7, 17, "mx1-ref", 100, 151.0)
    assert done.time == datetime(2026, 12, 1, 14, 40, tzinfo=UTC) and done.acctNumber == "DU1"
    counted(version, message)


@pytest.mark.parametrize("version", VERSIONS)
def test_contract_details(version: int) -> None:
    message = say.contract_details(version, 9, AAPL)
    ((name, (request, details)),) = decode(version, message)
    assert (name, request, details.contract.conId, details.contract.symbol) == ("contractDetails", 9, 265598, "AAPL")
    assert (details.contract.primaryExchange, details.minTick, details.stockType, details.longName) == ("NASDAQ", 0.01, "COMMON", "AAPL INC")
    assert (details.priceMagnifier, details.marketRuleIds, details.aggGroup) == (1, "26", 1)
    counted(version, message)


@pytest.mark.parametrize("version", [157, 165, 166, 178])
def test_an_error(version: int) -> None:
    assert decode(version, say.error(version, 7, 201, "Order rejected")) == [("error", (7, 201, "Order rejected", ""))]


def test_the_short_messages() -> None:
    ((_, status),) = decode(178, say.order_status(TICKET))
    assert status == (7, "PreSubmitted", 100.0, 200.0, 151.0, 1_700_000_001, 6, 151.0, 17, "child", 0.0)
    ((_, (report,)),) = decode(178, say.commission(DONE))
    assert (report.execId, report.commission, report.currency) == (DONE.id, 1.25, "USD") and report.realizedPNL > 1e300
    ((_, (account, contract, shares, average)),) = decode(178, say.position("DU1", AAPL, -110, 201.8829709))
    assert (account, contract.conId, shares, average) == ("DU1", 265598, -110.0, 201.8829709)
    ((_, (contract, shares, mark, value, average, unreal, real, account)),) = decode(178, say.portfolio_value("DU1", AAPL, 10, 150.0, 140.0))
    assert (contract.conId, shares, mark, value, average, unreal, real, account) == (265598, 10.0, 150.0, 1500.0, 140.0, 100.0, 0.0, "DU1")
    (*bars, (name, _)) = decode(178, say.historical_data(5, [("20261201", 10.0, 12.0, 9.0, 11.0, 500.0)]))
    bar = bars[0][1][1]
    assert (name, bar.open, bar.high, bar.low, bar.close, bar.volume) == ("historicalDataEnd", 10.0, 12.0, 9.0, 11.0, 500.0)
    assert math.isclose(bar.average, 10.5)
    for message, expected in (
        (say.account_value("NetLiquidation", "5.00", "USD", "DU1"), ("updateAccountValue", ("NetLiquidation", "5.00", "USD", "DU1"))),
        (say.account_value_multi(3, "DU1", "K", "5.00", "USD"), ("accountUpdateMulti", (3, "DU1", "", "K", "5.00", "USD"))),
        (say.account_multi_end(3), ("accountUpdateMultiEnd", (3,))),
        (say.account_end("DU1"), ("accountDownloadEnd", ("DU1",))),
        (say.execution_end(3), ("execDetailsEnd", (3,))),
        (say.contract_details_end(3), ("contractDetailsEnd", (3,))),
        (say.open_order_end(), ("openOrderEnd", ())),
        (say.completed_orders_end(), ("completedOrdersEnd", ())),
        (say.position_end(), ("positionEnd", ())),
    ):
        assert decode(178, message) == [expected]
