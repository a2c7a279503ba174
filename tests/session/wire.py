"""Nights of a workspace through Interactive Brokers' protocol over TCP: a gateway whose market trades the workspace's own bars."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from mech_exo.assembly import NEVER, Workspace
from mech_exo.decision.strategy import cost_params
from mech_exo.domain.panel import BarPanel
from mech_exo.execution.broker_books import BrokerBooks
from mech_exo.execution.ib import IBBroker
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId
from mech_exo.execution.safety import HaltSwitch
from mech_exo.execution.sending import SendRules
from mech_exo.execution.valve import SafetyValve
from mech_exo.session import Desks
from mech_exo.utils.broker_settings import BrokerConfig, GatewayRules
from mech_exo.utils.calendar import session_close
from tests.gateway import FakeGateway
from tests.gateway.exchange import Exchange

NEW_YORK = ZoneInfo("America/New_York")
ACCOUNT = "DU1234567"
RULES = GatewayRules(connect_seconds=20.0, answer_seconds=3.0, probe_seconds=1.5, acknowledge_seconds=1.5, messages_per_second=45)


class Clock:
    """Everybody's time."""

    def __init__(self) -> None:
        self.at = datetime(2000, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def new_york(self, day: date, hour: int, minute: int = 0) -> None:
        self.at = datetime.combine(day, time(hour, minute), NEW_YORK).astimezone(UTC)


class WireMarket:
    """The gateway's market on the bars of ``panel``: actions, the opening auction, prints at every resting level reached, the close."""

    def __init__(self, exchange: Exchange, panel: BarPanel, clock: Clock) -> None:
        self.exchange, self.panel, self.clock = exchange, panel, clock
        for symbol in panel.symbols:
            exchange.enlist(symbol)
        exchange.clock = clock

    def session(self, t: int) -> None:
        """Play row ``t``."""
        day: date = self.panel.sessions[t].astype(object)
        self.clock.new_york(day, 0, 5)
        self.exchange.new_day()
        for s, symbol in enumerate(self.panel.symbols):
            self._actions(t, s, symbol)
        self.clock.new_york(day, 9, 30)
        self.exchange.open_session(self._prices("open", t))
        self.clock.new_york(day, 11)
        for s, symbol in enumerate(self.panel.symbols):
            low, high = self.panel.low[t, s], self.panel.high[t, s]
            if not math.isnan(low) and self._resting(symbol):
                for price in (*(level for level in self._resting(symbol) if low <= level <= high), low, high):
                    self.exchange.trade(symbol, float(price))
        self.clock.at = session_close(day)
        self.exchange.close_session(self._prices("close", t))

    def _prices(self, which: str, t: int) -> dict[str, float]:
        row = getattr(self.panel, which)[t]
        return {symbol: float(price) for symbol, price in zip(self.panel.symbols, row, strict=True) if not math.isnan(price)}

    def _resting(self, symbol: str) -> list[float]:
        """Levels at which something of ``symbol`` rests: stops first, since a bar that touches both touches the stop."""
        key = self.exchange.instrument(symbol).con_id
        live = [one for one in self.exchange.orders(live=True) if one.con_id == key]
        return [*(one.aux for one in live if one.aux), *(one.limit for one in live if one.limit)]

    def _actions(self, t: int, s: int, symbol: str) -> None:
        key = self.exchange.instrument(symbol).con_id
        last = self.exchange.marks.get(key, math.nan)
        ratio, dividend = float(self.panel.split_ratio[t, s]), float(self.panel.dividend[t, s])
        if ratio != 1.0:
            self.exchange.split(symbol, ratio)
            self._in_lieu(symbol, key, last / ratio)
        if dividend:
            self.exchange.dividend(symbol, dividend)
        held = self.exchange.positions.get(symbol, 0.0)
        if t >= self.panel.delisted[s] and held:
            value = float(self.panel.delisting_value[s])
            for one in self.exchange.orders(live=True):
                if one.con_id == key:
                    self.exchange.cancel(one)
            self.exchange._book(key, -held, last if math.isnan(value) else value, 0.0)

    def _in_lieu(self, symbol: str, key: int, price: float) -> None:
        held = self.exchange.positions.get(symbol, 0.0)
        rest = held - math.trunc(held)
        if rest:
            self.exchange._book(key, -rest, price, 0.0)


class Wire:
    """A workspace's nights at the gateway, each in a process of its own as far as brokers and books are concerned."""

    def __init__(self, home: Path, gateway: FakeGateway, ledger: Ledger, clock: Clock) -> None:
        self.workspace, self.gateway, self.ledger, self.clock = Workspace.open(home), gateway, ledger, clock
        self.book = BookId(ACCOUNT, self.workspace.strategy.name)
        self.switch = HaltSwitch(home)
        self.switch.arm()

    def desks(self) -> Desks:
        """Everything a night works with, made anew."""
        broker = IBBroker(ACCOUNT, False, RULES, port=self.gateway.port, clock=self.clock)
        strategy = self.workspace.strategy
        costs, terms = cost_params(self.workspace.config.strategy.costs), strategy.terms._replace(max_missing=NEVER)
        books = BrokerBooks(self.ledger, self.book, broker, costs, terms)
        valve = SafetyValve(BrokerConfig().times, latest=self.ledger.latest_instant())
        rules = SendRules(valve, pause=lambda _: None)
        return Desks(self.ledger, broker, books, self.book, strategy, self.switch, self.workspace.known, self.clock, rules)
