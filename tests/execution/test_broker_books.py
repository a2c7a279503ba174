"""The books behind a wire, fed what the paper broker filled, are the paper broker's own books to the last bit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.decision.orders import order_anew
from mech_exo.domain.orders import Fill, Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.domain.panel import BarPanel
from mech_exo.execution import codec
from mech_exo.execution.booking import reason_of
from mech_exo.execution.books import Desk, PlayedSession
from mech_exo.execution.broker_books import BrokerBooks
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.paper import PaperBroker
from mech_exo.execution.rows import BookId, EventLine, Intent, SessionRow
from mech_exo.kernels.records import OrderKind, Outcome, Reason, Terms
from tests.execution.fake_broker import FakeBroker
from tests.execution.paper_market import BOOK, CASH, SYMBOLS, costs, market

TERMS = Terms(3, 1.0, math.nan, True)
WIRE = BookId("U1", "default")
EXITS = ("stop", "target")


def decide(desk: Desk, panel: BarPanel, chance: np.random.Generator) -> None:
    """Something of everything a decision writes to a book: what is left is ordered anew, some names anew, levels on what is held."""
    t, book = len(panel.sessions) - 1, desk.book
    order_anew(book, desk.live, int(desk.account["live"][0]))
    for s in range(len(book)):
        close = panel.close[t, s]
        if chance.random() < 0.4 and not math.isnan(close):
            line = book[s]
            target = int(chance.integers(-300, 600)) if chance.random() < 0.8 else 0
            line["order"] = target - line["shares"]
            kind = OrderKind(int(chance.integers(0, 5)))
            line["order_reason"], line["order_kind"] = int(chance.choice([Reason.REBALANCE, Reason.GOVERNOR])), int(kind)
            priced = kind not in (OrderKind.MARKET_ON_OPEN, OrderKind.MARKET_ON_CLOSE)
            line["order_level"] = close * chance.uniform(0.98, 1.02) if priced else math.nan
            line["order_keep"] = int(priced and chance.random() < 0.5)
            side = 1.0 if target > 0 else -1.0
            line["order_stop"], line["order_target"] = close * (1.0 - 0.03 * side), close * (1.0 + 0.03 * side)
            line["order_stop_reason"], line["order_atr"] = int(Reason.HARD_STOP), 1.25
    held = book["shares"] != 0
    side = np.sign(book["shares"][held])
    book["stop"][held] = np.where(chance.random(held.sum()) < 0.8, book["mark"][held] * (1.0 - 0.015 * side), np.nan)
    book["target"][held] = np.where(chance.random(held.sum()) < 0.6, book["mark"][held] * (1.0 + 0.02 * side), np.nan)
    book["stop_reason"][held] = int(Reason.TRAILING_STOP)


def orders_of(desk: Desk, session: date, account: str) -> list[Order]:
    found = []
    for s in np.flatnonzero(desk.book["order"]).tolist():
        line, symbol = desk.book[s], SYMBOLS[s]
        key = OrderKey(account, "default", session, symbol, "buy" if line["order"] > 0 else "sell", "decision")
        type_ = OrderType[OrderKind(int(line["order_kind"])).name]
        levels = (float(line[name]) for name in ("order_stop", "order_target", "order_level"))
        levels = (None if math.isnan(level) else level for level in levels)
        found.append(Order(key.id(), symbol, int(line["order"]), session, reason_of(line["order_reason"]), type_, *levels))
    return found


def send(ledger: Ledger, book: BookId, orders: Sequence[Order], decided: date) -> None:
    ledger.plan([Intent(order, 50.0) for order in orders], book, decided)
    for order in orders:
        ledger.set_state(order.id, OrderState.SENDING)
        ledger.set_state(order.id, OrderState.LIVE, "", order.id)


def over_the_wire(ledger: Ledger, played: PlayedSession, panel: BarPanel, decided: date, parts: int) -> None:
    """Record what the paper broker did as a broker behind a wire reports it: exits are fills of resting orders, in pieces where they divide."""
    kinds = [line.kind for line in in_effect(played.events) if line.kind not in ("split", "dividend")]
    resting = {}
    for fill, kind in zip(played.fills, kinds, strict=True):
        if kind in EXITS:
            key = OrderKey(WIRE.account, "default", played.session, fill.symbol, "exit", kind, len(resting)).id()
            type_ = OrderType.STOP if kind == "stop" else OrderType.LIMIT
            level = fill.reference * float(panel.split_ratio[-1, panel.column_of(fill.symbol)])  # as it was placed
            resting[fill.id] = Order(key, fill.symbol, fill.shares, decided, fill.reason, type_, level=level, rests=True)
    send(ledger, WIRE, list(resting.values()), decided - timedelta(days=500))
    for fill in played.fills:
        if fill.reason in (OrderReason.DELISTED, OrderReason.NO_BARS):
            continue  # no executions: the end of a listing
        order = resting[fill.id].id if fill.id in resting else _own(fill, ledger, played.session)
        for piece in pieces(dataclasses.replace(fill, order_id=order), parts):
            ledger.record_fill(WIRE, piece)


def pieces(fill: Fill, parts: int) -> Iterator[Fill]:
    """``fill`` in executions of equal size, the commission on the first; unlike the paper broker's it has no reference yet."""
    blank = dataclasses.replace(fill, reference=math.nan)
    if parts == 1 or fill.shares % parts or fill.shares == 0:
        yield blank
        return
    for part in range(parts):
        commission = fill.commission if part == 0 else 0.0
        stamp = fill.time + timedelta(seconds=part)
        yield dataclasses.replace(blank, id=f"{fill.id}-{part}", shares=fill.shares // parts, commission=commission, time=stamp)


def _own(fill: Fill, ledger: Ledger, session: date) -> str:
    (row,) = [row for row in ledger.orders(WIRE, session=session) if row.order.symbol == fill.symbol and not row.order.rests]
    return row.order.id


def end(ledger: Ledger, played: PlayedSession) -> None:
    """The states in which the orders of the session ended, as the gate records them."""
    by_symbol = {row.order.symbol: row for row in ledger.orders(WIRE, session=played.session) if not row.order.rests}
    for row in by_symbol.values():
        if ledger.order(row.order.id).state is OrderState.LIVE:
            ledger.set_state(row.order.id, OrderState.EXPIRED, "expired")


def in_effect(lines: Sequence[EventLine]) -> list[EventLine]:
    return [line for line in lines if line.outcome == Outcome.FILLED.name.lower()]


def words(lines: Sequence[EventLine]) -> list[str]:
    return sorted(codec.encode(line) for line in lines)


def two_books(folder: Path, seed: int, *, parts: int = 1, participation: float = math.inf) -> list[tuple[SessionRow, SessionRow]]:
    panel, rows = market(seed), []
    if participation != math.inf:
        panel = BarPanel.from_arrays(panel.sessions, panel.symbols, {**fields(panel), "volume": np.where(np.isnan(panel.close), np.nan, 1e4)})
    with Ledger.open(folder / "paper.sqlite") as ours, Ledger.open(folder / "wire.sqlite") as theirs:
        price = costs()._replace(participation=participation)
        paper = PaperBroker(ours, BOOK, costs=price, initial_cash=CASH, terms=TERMS)
        paper.connect()
        books = BrokerBooks(theirs, WIRE, FakeBroker(cash=CASH), price, TERMS)
        books.begin()
        for t in range(panel.shape[0]):
            flow = 1_000.5 if t % 9 == 4 else 0.0
            known, session = panel.upto(t), panel.sessions[t].astype(object)
            played = paper.trade_session(known, t, flow)
            over_the_wire(theirs, played, known, session, parts)
            end(theirs, played)
            booked = books.trade_session(known, t, flow)
            following = np.busday_offset(panel.sessions[t], 1).astype(object)
            both = []
            for account, book, one, told in ((paper, BOOK, ours, played), (books, WIRE, theirs, booked)):
                desk = account.desk(known)
                decide(desk, known, np.random.default_rng((seed, t)))
                row = account.row(desk.book, desk.days[t], told)
                orders = orders_of(desk, following, book.account)
                for change in told.ended:
                    one.set_state(change.order_id, change.state, change.note, change.broker_id)
                for fill in told.fills:
                    one.record_fill(book, fill)
                one.book_session(row)
                send(one, book, orders, session)
                account.take_levels(desk.book)
                both.append(row)
            for order in orders_of(paper_desk(paper, known, ours), following, BOOK.account):
                assert paper.place(order).accepted
            rows.append((both[0], both[1]))
            if t % 5 == 4:
                books = BrokerBooks(theirs, WIRE, FakeBroker(cash=CASH), price, TERMS)  # restarted
                books.begin()
                paper = PaperBroker(ours, BOOK, costs=price, initial_cash=CASH, terms=TERMS)
                paper.connect()
        assert theirs.verify().sound
    return rows


def paper_desk(paper: PaperBroker, known: BarPanel, ledger: Ledger) -> Desk:
    """The paper desk with the decided orders, as the ledger has them."""
    desk = paper.desk(known)
    lines = {line.symbol: line for line in ledger.last_session(BOOK).lines}
    for s, symbol in enumerate(SYMBOLS):
        if symbol in lines:
            desk.book["order"][s], desk.book["order_reason"][s] = lines[symbol].order, int(Reason[lines[symbol].order_reason.name])
    return desk


def fields(panel: BarPanel) -> dict[str, np.ndarray]:
    names = ("open", "high", "low", "close", "volume", "split_ratio", "dividend", "delisted")
    return {name: getattr(panel, name) for name in names}


def same(paper: SessionRow, wire: SessionRow) -> None:
    assert codec.encode(paper.day) == codec.encode(wire.day), paper.session
    assert codec.encode(dataclasses.replace(paper, events=(), book=WIRE)) == codec.encode(dataclasses.replace(wire, events=())), paper.session
    assert [codec.encode(line) for line in in_effect(paper.events)] == [codec.encode(line) for line in in_effect(wire.events)]
    assert words(paper.events) == words(wire.events), paper.session


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), participation=st.sampled_from([math.inf, 0.01]))
def test_the_paper_brokers_fills_give_the_paper_brokers_books(
    tmp_path_factory: pytest.TempPathFactory, seed: int, participation: float
) -> None:
    for paper, wire in two_books(tmp_path_factory.mktemp("books"), seed, participation=participation):
        same(paper, wire)
