"""The unmodified ib_async as a client of a fake gateway, with what it logged and which errors it heard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from ib_async import IB, Contract, Order, Stock, Trade

from tests.gateway.server import FakeGateway

ACCOUNT = "DU1234567"


class Client:
    """A connected ``IB`` whose loop runs until something is so."""

    def __init__(self, gateway: FakeGateway, client_id: int = 17, **terms: Any) -> None:
        self.gateway, self.ib = gateway, IB()
        self.ib.RequestTimeout = 20.0
        self.errors: list[tuple[int, int]] = []
        self.ib.errorEvent += lambda request, code, words, contract: self.errors.append((request, code))
        settings = {"timeout": 20.0, "raiseSyncErrors": True} | terms
        self.ib.connect("127.0.0.1", gateway.port, clientId=client_id, **settings)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.ib.disconnect()

    @property
    def codes(self) -> list[int]:
        """Errors heard, without the farms' greetings."""
        return [code for _, code in self.errors if code not in {2104, 2106, 2158}]

    def stock(self, symbol: str = "AAPL") -> Contract:
        one = self.gateway.exchange.instrument(symbol)
        return Stock(symbol, "SMART", "USD", conId=one.con_id)

    def order(self, ref: str = "mx1-a", shares: int = 100, symbol: str = "AAPL", **terms: Any) -> Trade:
        """Send an order: at the open unless told otherwise."""
        settings = {"orderType": "MKT", "tif": "OPG", "account": ACCOUNT} | terms
        order = Order(action="BUY" if shares > 0 else "SELL", totalQuantity=abs(shares), orderRef=ref, **settings)
        return self.ib.placeOrder(self.stock(symbol), order)

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        """Let the loop run until the condition holds. AssertionError when it never does."""
        for _ in range(int(seconds * 500)):
            if condition():
                return
            with suppress(ConnectionError):  # ib_async's way to say that the socket went, whatever was waited for
                self.ib.sleep(0.002)
        raise AssertionError("it never came to that")

    def settle(self) -> None:
        """Until everything the gateway said so far was heard: it answers in order."""
        self.ib.reqCurrentTime()


@contextmanager
def decoder_errors() -> Iterator[list[str]]:
    """What ib_async's decoder could not read, meanwhile."""
    heard: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("ib_async.Decoder")
    logger.addHandler(handler)
    try:
        yield heard
    finally:
        logger.removeHandler(handler)
