"""The books behind a wire, fed what the paper broker filled, are the paper broker's own books to the last bit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.decision.orders import order_anew
from mech_exo.domain.errors import BrokerError, DataError
from mech_exo.domain.orders import Fill, Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.domain.panel import BarPanel
from mech_exo.execution import booking, codec
from mech_exo.execution.booking import reason_of
from mech_exo.execution.books import Desk, PlayedSession
from mech_exo.execution.broker_books import BrokerBooks
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.paper import PaperBroker
from mech_exo.execution.rows import Adjustment, BookId, EventLine, Intent, SessionRow
from mech_exo.kernels.records import OrderKind, Outcome, Reason, Terms
from mech_exo.utils.calendar import NEW_YORK
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


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), participation=st.sampled_from([math.inf, 0.01]))
def test_the_paper_brokers_fills_give_the_paper_brokers_books(
    tmp_path_factory: pytest.TempPathFactory, seed: int, participation: float
) -> None:
    for paper, wire in two_books(tmp_path_factory.mktemp("books"), seed, participation=participation):
        same(paper, wire)


@settings(max_examples=5)
@given(seed=st.integers(0, 10_000), parts=st.sampled_from([2, 3]))
def test_an_order_filled_in_pieces_is_the_same_but_for_rounding(tmp_path_factory: pytest.TempPathFactory, seed: int, parts: int) -> None:
    """Wherever a fill divides into equal executions; what came after the open may be measured from another reference.

    The one commission belongs to the first of them, so a turn divides it otherwise between the two positions.
    """
    for paper, wire in two_books(tmp_path_factory.mktemp("pieces"), seed, parts=parts):
        for name in ("nav", "cash", "commission", "traded", "dividends"):
            assert getattr(wire.day, name) == pytest.approx(getattr(paper.day, name), rel=1e-9, abs=1e-6), (paper.session, name)
        figures = [[(line.symbol, line.shares, line.rest, line.order, line.age, line.stop) for line in one.lines] for one in (paper, wire)]
        assert repr(figures[0]) == repr(figures[1])


QUIET = market(3, 6, actions=False)
DAYS = [day.astype(object) for day in QUIET.sessions]


class Wired:
    """A ledger whose clock the test sets, a broker behind an imaginary wire, and its books."""

    def __init__(self, ledger: Ledger, at: list[datetime]) -> None:
        self.ledger, self.at = ledger, at
        self.broker = FakeBroker(cash=CASH)
        self.books = BrokerBooks(ledger, WIRE, self.broker, costs(), TERMS)

    def order(self, row: int, shares: int = 100, symbol: str = "AAA") -> Order:
        key = OrderKey("U1", "default", DAYS[row], symbol, "buy", "decision").id()
        order = Order(key, symbol, shares, DAYS[row], OrderReason.REBALANCE)
        send(self.ledger, WIRE, [order], DAYS[row - 1])
        return order

    def fill(self, order: Order, commission: float = 1.0, shares: int | None = None) -> Fill:
        price = float(QUIET.open[DAYS.index(order.session), SYMBOLS.index(order.symbol)]) + 0.01
        time = datetime.combine(order.session, booking.OPEN, NEW_YORK)
        terms = (order.symbol, order.shares if shares is None else shares, price, commission, order.session, time)
        return Fill(f"ib-{order.symbol}", order.id, *terms, OrderReason.NONE, math.nan)


@pytest.fixture
def wired(tmp_path: Path) -> Iterator[Wired]:
    at = [datetime(2024, 1, 2, 22, tzinfo=UTC)]
    with Ledger.open(tmp_path / "l.sqlite", clock=lambda: at[0]) as ledger:
        yield Wired(ledger, at)


def test_a_new_book_begins_with_the_brokers_cash(wired: Wired) -> None:
    wired.books.begin()
    assert wired.books.nav == CASH
    wired.broker.held = {"XYZ": 7}
    with pytest.raises(BrokerError, match=r"holds nothing; U1 holds XYZ \+7"):
        wired.books.begin()
    wired.broker.held, wired.broker.cash = {}, math.nan
    with pytest.raises(BrokerError, match="cash, above 0"):
        wired.books.begin()


def test_a_commission_not_reported_yet_is_waited_for_until_tomorrow(wired: Wired) -> None:
    wired.books.begin()
    order = wired.order(1)
    wired.ledger.record_fill(WIRE, wired.fill(order, math.nan))
    wired.at[0] = datetime(2024, 1, 4, 4, 59, tzinfo=UTC)  # 3 January in New York still
    with pytest.raises(BrokerError, match="commissions are known; that of AAA on 2024-01-03") as waits:
        wired.books.trade_session(QUIET, 1)
    assert "again in some minutes" in str(waits.value)
    wired.books.begin()
    wired.at[0] = datetime(2024, 1, 4, 5, 0, tzinfo=UTC)
    played = wired.books.trade_session(QUIET, 1)
    assert played.events[0].commission == 1.0 and math.isnan(played.fills[0].commission), "the ledger goes on not knowing it"


def test_what_the_broker_added_since_the_gate_is_booked(wired: Wired) -> None:
    wired.books.begin()
    order = wired.order(1)
    wired.ledger.record_fill(WIRE, wired.fill(order, math.nan))
    wired.broker.fills = [wired.fill(order, 1.25), dataclasses.replace(wired.fill(order), id="ib-theirs", order_id="")]
    played = wired.books.trade_session(QUIET, 1)
    (fill,) = played.fills
    assert fill.commission == 1.25 and fill.reference == QUIET.open[1, 0] and played.events[0].reason is OrderReason.REBALANCE


def test_what_is_in_doubt_is_neither_filled_nor_ordered_anew(wired: Wired) -> None:
    wired.books.begin()
    known, doubt = wired.order(1, 100, "AAA"), dataclasses.replace(wired.order(2, 50, "BBB"))
    part = wired.fill(known, shares=40)
    wired.ledger.record_fill(WIRE, part)
    wired.ledger.set_state(known.id, OrderState.EXPIRED, "")
    wired.books.trade_session(QUIET, 1)
    book = wired.books.desk(QUIET).book
    assert book["rest"][0] == 60.0, "a rest that the broker ended is ordered anew, as in a backtest"
    wired.ledger.set_state(doubt.id, OrderState.UNKNOWN, "")
    wired.books.trade_session(QUIET, 2)
    book = wired.books.desk(QUIET).book
    assert (book["shares"][1], book["rest"][1]) == (0.0, 0.0)


def test_what_the_operator_accepted_is_booked_with_the_next_session_once(wired: Wired) -> None:
    wired.books.begin()
    at = wired.at[0]
    wired.ledger.append(Adjustment("adj-1", WIRE, "AAA", 100, 51.0, -5_100.0, "bought by hand", at), "adj-1")
    wired.ledger.append(Adjustment("adj-2", WIRE, "BBB", -10, math.nan, 0.0, "sold, who knows at what", at), "adj-2")
    wired.ledger.append(Adjustment("adj-3", WIRE, None, 0, math.nan, -12.5, "a fee", at), "adj-3")
    played = wired.books.trade_session(QUIET, 1)
    desk = wired.books.desk(QUIET)
    close = QUIET.close[1]
    assert (desk.book["shares"][0], desk.book["shares"][1], desk.book["cost"][0]) == (100.0, -10.0, 51.0)
    before = (CASH - 5_112.5) * (1.0 + 0.01 / 252)
    assert desk.account["cash"][0] == pytest.approx(before) and played.fills == ()
    assert wired.books.nav == pytest.approx(before + 100 * close[0] - 10 * close[1])
    day = desk.days[1]
    explained = day["price_pnl"] + day["dividends"] + day["interest"] - day["borrow"] - day["commission"] - day["slippage"]
    assert wired.books.nav - CASH == pytest.approx(explained)
    wired.ledger.book_session(wired.books.row(desk.book, day, played))
    wired.books.take_levels(desk.book)
    wired.books.trade_session(QUIET, 2)
    assert wired.books.desk(QUIET).book["shares"][0] == 100.0


def test_an_accepted_name_without_bars_is_refused_until_it_is_traded_away(wired: Wired) -> None:
    wired.books.begin()
    at = wired.at[0]
    wired.ledger.append(Adjustment("adj-1", WIRE, "XYZ", 10, 20.0, -200.0, "bought by hand", at), "adj-1")
    with pytest.raises(DataError, match=r"\+10 XYZ were accepted and the store has no bars of it") as caught:
        wired.books.trade_session(QUIET, 1)
    assert "exo reconcile accept XYZ" in str(caught.value.remedy)
    wired.ledger.append(Adjustment("adj-2", WIRE, "XYZ", -10, 21.0, 210.0, "sold again", at), "adj-2")
    wired.books.begin()
    wired.books.trade_session(QUIET, 1)
    assert wired.books.desk(QUIET).account["cash"][0] == pytest.approx((CASH + 10.0) * (1.0 + 0.01 / 252))


def test_an_orphan_of_protection_that_fills_is_a_position(wired: Wired) -> None:
    """A stop nobody took away opens a short: the book says so, as the broker does."""
    wired.books.begin()
    stop = Order("mx1-orphan", "CCC", -30, DAYS[1], OrderReason.HARD_STOP, OrderType.STOP, level=40.0, rests=True)
    send(wired.ledger, WIRE, [stop], DAYS[0])
    wired.ledger.record_fill(WIRE, wired.fill(stop))
    played = wired.books.trade_session(QUIET, 1)
    assert [(line.kind, line.shares) for line in played.events] == [("stop", -30.0)]
    assert wired.books.desk(QUIET).book["shares"][2] == -30.0
