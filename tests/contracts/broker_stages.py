"""Where brokers are shown: each stage has a broker, an account and a market whose sessions the test plays.

A session is played by its bars. What the paper broker does with a bar, the market of the fake gateway does with four prints: open,
low, high, close. One session after the other, from :data:`DAYS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np

from mech_exo.decision.strategy import cost_params
from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.domain.panel import BarPanel
from mech_exo.execution.broker import Acknowledgement, BrokerInterface
from mech_exo.execution.ib import IBBroker
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.paper import PaperBroker
from mech_exo.execution.rows import BookId, Intent
from mech_exo.kernels.records import Terms
from mech_exo.utils.broker_settings import GatewayRules
from mech_exo.utils.settings import CostModel
from tests.gateway import FakeGateway

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
CASH = 100_000.0
QUIET = 20.0
DAYS = [date(2024, 1, 2) + timedelta(k) for k in range(4)]
ACCOUNT = "DU1234567"
Bar = tuple[float, float, float, float]


class Stage(Protocol):
    """A broker on its stage. ``day`` is the session that comes next."""

    broker: BrokerInterface
    account: str
    day: date

    def place(self, order: Order, *legs: Order) -> Acknowledgement:
        """As the router does it: journaled, then handed to the broker."""
        ...

    def session(self, bars: dict[str, Bar], volume: float = 1e6) -> None:
        """Play the session that comes next; of a symbol at most a tenth of the volume trades in one order."""
        ...

    def refuse(self, order: Order) -> Order:
        """``order``, or one like it, such that the broker refuses it."""
        ...

    def reconnect(self) -> None:
        """The connection ends and is made anew."""
        ...


class PaperStage:
    """The paper broker and bars."""

    account = "paper"

    def __init__(self, folder: Path, keep: ExitStack) -> None:
        self.ledger = keep.enter_context(Ledger.open(folder / "ledger.sqlite"))
        self.book = BookId("paper", "default")
        self.costs = cost_params(CostModel(slippage_bps=0.0, participation=0.1))
        self.broker = PaperBroker(self.ledger, self.book, costs=self.costs, initial_cash=CASH, terms=Terms(3, 1.0, float("nan")))
        self.day = DAYS[0]
        self._bars: list[dict[str, Bar]] = []
        self._volumes: list[float] = []

    def place(self, order: Order, *legs: Order) -> Acknowledgement:
        answer = self.broker.place(order, legs)
        for one in (order, *legs) if answer.accepted and not self.ledger.find_orders([order.id]) else ():
            self.ledger.plan([Intent(one, QUIET)], self.book, DAYS[0] - timedelta(len(self._plans())))
            self.ledger.set_state(one.id, OrderState.SENDING, "")
            self.ledger.set_state(one.id, OrderState.LIVE, "", one.id)
        return answer

    def _plans(self) -> list[str]:
        return [row.order.id for row in self.ledger.orders(self.book)]

    def session(self, bars: dict[str, Bar], volume: float = 1e6) -> None:
        self._bars.append(bars)
        self._volumes.append(volume)
        shape = (len(self._bars), len(SYMBOLS))
        table = np.full((4, *shape), QUIET)
        for row, played in enumerate(self._bars):
            for symbol, bar in played.items():
                table[:, row, SYMBOLS.index(symbol)] = bar
        values = dict(zip(("open", "high", "low", "close"), table, strict=True))
        values["volume"] = np.repeat(np.array(self._volumes)[:, None], shape[1], axis=1)
        panel = BarPanel.from_arrays(np.array(DAYS[: shape[0]], "datetime64[D]"), SYMBOLS, values)
        self.broker.trade_session(panel, shape[0] - 1)
        self.day = DAYS[shape[0]]

    def refuse(self, order: Order) -> Order:
        return replace(order, after=datetime(2024, 1, 2, 15, tzinfo=UTC))

    def reconnect(self) -> None:
        self.broker.close()
        self.broker.connect()


class IBStage:
    """Interactive Brokers and the fake gateway at ``version`` of the protocol."""

    account = ACCOUNT

    def __init__(self, version: int, keep: ExitStack) -> None:
        self.gateway = keep.enter_context(FakeGateway(version=version, account=ACCOUNT, cash=CASH))
        self.rules = GatewayRules(acknowledge_seconds=5.0, messages_per_second=45)
        self.broker = IBBroker(ACCOUNT, False, self.rules, port=self.gateway.port)
        keep.callback(self.broker.close)
        self.day = DAYS[0]
        self._number = 0
        self.gateway.exchange.clock = lambda: datetime.combine(self.day, time(14, 30), UTC)

    def place(self, order: Order, *legs: Order) -> Acknowledgement:
        return self.broker.place(order, legs)

    def session(self, bars: dict[str, Bar], volume: float = 1e6) -> None:
        market = self.gateway.exchange
        market.takes = lambda ticket: min(ticket.remaining, int(volume / 10))
        whole = {symbol: bars.get(symbol, (QUIET,) * 4) for symbol in SYMBOLS}
        market.open_session({symbol: bar[0] for symbol, bar in whole.items()})
        for symbol, (_, high, low, _) in bars.items():
            market.trade(symbol, low)
            market.trade(symbol, high)
        market.close_session({symbol: bar[3] for symbol, bar in whole.items()})
        self._number += 1
        self.day = DAYS[self._number]

    def refuse(self, order: Order) -> Order:
        self.gateway.faults.add("error", code=201, ref=order.id)
        return order

    def reconnect(self) -> None:
        self.gateway.restart()
        self.broker.connect()


@contextmanager
def staged(name: str, folder: Path) -> Iterator[Stage]:
    """The stage of a broker: ``paper`` or ``ib-VERSION``."""
    with ExitStack() as keep:
        yield PaperStage(folder, keep) if name == "paper" else IBStage(int(name.removeprefix("ib-")), keep)


def an_order(stage: Stage, symbol: str, shares: int, leg: int = 0, purpose: str = "decision") -> Order:
    """An order for the session that comes next."""
    side = "buy" if shares > 0 else "sell"
    id_ = OrderKey(stage.account, "default", stage.day, symbol, side, purpose, leg).id()
    return Order(id_, symbol, shares, stage.day, OrderReason.REBALANCE)


def an_exit(stage: Stage, symbol: str, shares: int, stop: float | None = None, target: float | None = None, **terms: str) -> Order:
    """A resting stop or target, in a group of its symbol."""
    kind, level = (OrderType.STOP, stop) if stop is not None else (OrderType.LIMIT, target)
    reason = OrderReason.HARD_STOP if stop is not None else OrderReason.PROFIT_TARGET
    order = an_order(stage, symbol, shares, purpose=kind.value)
    parent = terms.get("parent")
    return replace(order, type=kind, level=level, rests=True, reason=reason, group=f"mx1-{symbol}", parent=parent)
