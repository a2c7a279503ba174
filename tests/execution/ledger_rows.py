"""Rows for the ledger's tests."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, date, datetime, timedelta

from mech_exo.domain.orders import Fill, Order, OrderKey, OrderReason, OrderType
from mech_exo.domain.verdict import RiskState
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import (
    Adjustment,
    Alert,
    BookId,
    BookLine,
    DayFigures,
    DecisionRow,
    Delivered,
    EventLine,
    Flow,
    Instrument,
    Intent,
    OrderState,
    Protection,
    SessionRow,
    Unseen,
)
from mech_exo.execution.trial_rows import Metric, Promotion, Replaced, Sweep, Trial

BOOK = BookId("paper", "default")
DAY_ONE = date(2024, 1, 2)
NAN = math.nan


def order(symbol: str = "AAA", shares: int = 10, decided: date = DAY_ONE, *, leg: int = 0) -> Order:
    """An order decided at ``decided`` for the next day."""
    side = "buy" if shares > 0 else "sell"
    id_ = OrderKey(BOOK.account, BOOK.strategy, decided, symbol, side, "decision", leg).id()
    return Order(id_, symbol, shares, decided + timedelta(1), OrderReason.REBALANCE, stop_level=8.5)


def intents(*symbols: str, decided: date = DAY_ONE, price: float = 10.1) -> list[Intent]:
    """One buy of 10 shares per symbol."""
    return [Intent(order(symbol, decided=decided), price) for symbol in symbols]


def fill(of: Order, *, price: float = 10.2, shares: int | None = None, id_: str | None = None) -> Fill:
    """A fill of ``of``."""
    time = datetime.combine(of.session, datetime.min.time(), UTC)
    count = of.shares if shares is None else shares
    return Fill(id_ or f"fx1-{of.id}", of.id, of.symbol, count, price, 1.0, of.session, time, of.reason, 10.15)


def line(symbol: str, shares: float = 10.0, **changes: float) -> BookLine:
    """A held line."""
    values = {"mark": 0.1 + 0.2, "entry": 10.2, "best": 10.9, "atr": NAN, "stop": 1 / 3, "target": NAN, **changes}
    none = OrderReason.NONE
    return BookLine(
        symbol, shares, values["mark"], 0, values["entry"], values["best"], 3, values["atr"], values["stop"], values["target"],
        OrderReason.HARD_STOP, 0.0, none, NAN, NAN, none, NAN, values["entry"],
    )  # fmt: skip


def day(nav: float = 100_000.0, **changes: float) -> DayFigures:
    """The figures of a quiet session."""
    names = [field.name for field in dataclasses.fields(DayFigures) if field.name not in ("nav", "state") and field.default is dataclasses.MISSING]
    return DayFigures(nav=nav, **{name: changes.get(name, 0.0) for name in names}, state=RiskState.ACTIVE)


def session(on: date = DAY_ONE, nav: float = 100_000.0, *symbols: str) -> SessionRow:
    """A booked session holding ``symbols``."""
    event = EventLine("AAA", "order", "no_bar", OrderReason.REBALANCE, 10.0, NAN, NAN, 0.0, 0.0)
    return SessionRow(BOOK, on, day(nav, cash=nav, index=1.0), tuple(line(symbol) for symbol in symbols or ("AAA",)), (event,))


def decision(on: date = DAY_ONE, body: bytes = b'{"orders":[]}') -> DecisionRow:
    """A decision."""
    return DecisionRow(BOOK, on, datetime(2024, 1, 2, 22, tzinfo=UTC), "c0ffee", "c0de", "da7a", body, datetime(2024, 1, 2, 21, tzinfo=UTC))


def promotion() -> Promotion:
    """A promotion."""
    at = datetime(2024, 1, 2, 23, tzinfo=UTC)
    files = (Replaced("strategy.yml", "aa", "bb"), Replaced("factors.yml", "cc", "dd"))
    figures = (Metric("deflated_sharpe", 0.97), Metric("pbo", None))
    return Promotion("20240102T230000Z-run-1", "run-1", "someone", at, "better", "c0ffee", "cafe", files, figures, ("code",))


def write_everything(ledger: Ledger) -> None:
    """At least one row of every kind."""
    with ledger.transaction():
        ledger.book_session(session())
        ledger.record_decision(decision(body='{"name":"Ünïcode \\" \\\\"}'.encode()))
        ledger.plan(intents("AAA", "BBB"), BOOK, DAY_ONE)
    for symbol, state in (("AAA", OrderState.LIVE), ("BBB", OrderState.REJECTED)):
        ledger.set_state(order(symbol).id, OrderState.SENDING)
        ledger.set_state(order(symbol).id, state, "because", f"b-{symbol}")
    ledger.record_fill(BOOK, fill(order("AAA")))
    ledger.record_flow(Flow("deposit-1", BOOK, DAY_ONE, 5_000.25, "bank"))
    ledger.record_trial(Trial("run-1", "backtest", "c0ffee", (Metric("sharpe", 0.7), Metric("cagr", None))))
    ledger.once(Sweep("s1", ("run-1", "run-2"), (Metric("pbo", 0.3), Metric("spa", None))))
    ledger.once(promotion())
    ledger.halt("test")
    ledger.resume("over")
    ledger.post_alert(Alert("a1", "critical", "Title", "Text"))
    ledger.append(Delivered("a1", "slack"), "a1")  # as releases wrote that kept deliveries here
    at = datetime(2024, 1, 3, 23, tzinfo=UTC)
    stop = Order("mx1-stop", "AAA", -10, DAY_ONE + timedelta(1), OrderReason.HARD_STOP, OrderType.STOP, level=9.5, rests=True, group="mx1-g")
    ledger.protect(Protection(BOOK, DAY_ONE, (Intent(stop, NAN),), ("mx1-before",)))
    ledger.note_unseen(Unseen(order("BBB").id, at, 7))
    ledger.once(Adjustment("adj-1", BOOK, "AAA", 3, NAN, -12.5, "a gift", at, ("mx1-before",)))
    ledger.record_instrument(Instrument(BOOK, "AAA", "265598"))
