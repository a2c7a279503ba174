"""The paper broker is the backtest's `step` and nothing else: bit for bit, through every restart."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.domain.errors import BrokerError, DataError
from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.domain.panel import BarPanel
from mech_exo.execution import booking
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.paper import PaperBroker, PlayedSession
from mech_exo.execution.rows import BookLine, DayFigures, Intent
from mech_exo.kernels.account import new_account, new_book, new_days
from mech_exo.kernels.records import BOOK as BOOK_DTYPE
from mech_exo.kernels.records import DAY, EVENT, Bars, Reason, Terms
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL, step
from tests.execution.paper_market import BOOK, CASH, SYMBOLS, costs, market, paper_broker


def test_the_ledger_speaks_of_the_very_fields_of_the_kernels() -> None:
    assert tuple(field.name for field in dataclasses.fields(BookLine))[1:] == BOOK_DTYPE.names
    assert tuple(field.name for field in dataclasses.fields(DayFigures)) == DAY.names
    assert [booking.reason_of(code) for code in Reason] == [OrderReason[code.name] for code in Reason]
    assert all(booking.code_of(booking.reason_of(code)) == code for code in Reason)


def an_order(symbol: str, shares: int, session: date, leg: int = 0, *, levels: bool = False) -> Order:
    side = "buy" if shares > 0 else "sell"
    id_ = OrderKey(BOOK.account, BOOK.strategy, session, symbol, side, "decision", leg).id()
    stop, target = (45.0, 60.0) if levels else (None, None)
    return Order(id_, symbol, shares, session, OrderReason.REBALANCE, OrderType.MARKET_ON_OPEN, stop, target)


def reason_codes(wishes: dict[int, dict[str, int]], book: np.ndarray, row: int) -> None:
    """Write wishes decided at the close of ``row`` to a book, as the decision does."""
    for symbol, target in wishes.get(row, {}).items():
        s = SYMBOLS.index(symbol)
        change = target - book["shares"][s]
        if change:
            book["order"][s], book["order_reason"][s] = change, int(Reason.REBALANCE)
            book["order_stop"][s], book["order_target"][s] = 46.0, 58.0
            book["order_stop_reason"][s], book["order_atr"][s] = int(Reason.HARD_STOP), 1.25
    held = book["shares"] != 0
    book["stop"][held] = np.where(book["shares"][held] > 0, book["best"][held] * 0.93, book["best"][held] * 1.07)
    book["stop_reason"][held] = int(Reason.TRAILING_STOP)


def by_hand(panel: BarPanel, wishes: dict[int, dict[str, int]], flows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days, events and the final book of a plain loop over ``step``."""
    sessions, count = panel.shape
    book, account, days = new_book(count), new_account(CASH), new_days(sessions)
    events = np.zeros(EVENTS_PER_SYMBOL * count * sessions, EVENT)
    live = np.zeros(count, np.int64)
    bars = Bars.of(panel)
    for t in range(sessions):
        found = np.flatnonzero((book["shares"] != 0) | (book["order"] != 0))
        live[: len(found)], account["live"] = found, len(found)
        step(t, flows[t], bars, book, live, account, days, events, costs(), Terms(max_missing=3, lot=1.0, initial_margin=math.nan))
        reason_codes(wishes, book, t)
    return days, events[: int(account["events"][0])], book


def by_nights(folder: Path, panel: BarPanel, wishes: dict[int, dict[str, int]], flows: np.ndarray, *, restart: bool) -> list[PlayedSession]:
    """The same through ledger and broker, restarted before every session where ``restart``."""
    played: list[PlayedSession] = []
    ledger = Ledger.open(folder / "ledger.sqlite")
    broker = paper_broker(ledger)
    broker.connect()
    for t in range(panel.shape[0]):
        if restart:
            ledger.close()
            ledger = Ledger.open(folder / "ledger.sqlite")
            broker = paper_broker(ledger)
            broker.connect()
        played.append(a_night(ledger, broker, panel.upto(t), t, wishes, float(flows[t])))
    ledger.close()
    return played


def a_night(ledger: Ledger, broker: PaperBroker, panel: BarPanel, t: int, wishes: dict[int, dict[str, int]], flow: float) -> PlayedSession:
    played = broker.trade_session(panel, t, flow)
    desk = broker.desk(panel)
    reason_codes(wishes, desk.book, t)
    broker.take_levels(desk.book)
    following: date = np.busday_offset(panel.sessions[t], 1).astype(object)
    orders = [
        dataclasses.replace(an_order(SYMBOLS[s], int(desk.book["order"][s]), following), stop_level=46.0, target_level=58.0)
        for s in np.flatnonzero(desk.book["order"]).tolist()
    ]
    with ledger.transaction():
        for change in played.ended:
            ledger.set_state(change.order_id, change.state, change.note, change.broker_id)
        for fill in played.fills:
            ledger.record_fill(BOOK, fill)
        ledger.book_session(broker.row(desk.book, desk.days[t], played))
        ledger.plan([Intent(order, 50.0) for order in orders], BOOK, played.session)
        for order in orders:
            ledger.set_state(order.id, OrderState.SENDING)
    for order in orders:
        assert broker.place(order).accepted
        ledger.set_state(order.id, OrderState.LIVE, "", order.id)
    return played


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), restart=st.booleans())
def test_nights_equal_the_backtest_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, seed: int, restart: bool) -> None:
    panel = market(seed)
    chance = np.random.default_rng(seed)
    wishes = {t: {symbol: int(chance.integers(-300, 600)) for symbol in SYMBOLS} for t in range(0, 38, 4)}
    flows = np.where(chance.random(panel.shape[0]) < 0.1, 1_000.5, 0.0)
    days, events, book = by_hand(panel, wishes, flows)
    folder = tmp_path_factory.mktemp("nights")
    played = by_nights(folder, panel, wishes, flows, restart=restart)
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        booked = ledger.day_history(BOOK)
        for name in DAY.names:
            if name != "state":
                assert [getattr(one.day, name) for one in booked] == days[name].tolist(), name
        lines = [line for one in played for line in one.events]
        for name in ("shares", "price", "reference", "commission", "cash"):
            assert np.array_equal([getattr(line, name) for line in lines], events[name], equal_nan=True), name
        assert str(booking.lines_of(SYMBOLS, book)) == str(ledger.last_session(BOOK).lines)
        assert ledger.verify().sound
        assert not {row.state for row in ledger.orders(BOOK)} - {OrderState.FILLED, OrderState.EXPIRED, OrderState.LIVE}
        assert len({row.fill.id for row in ledger.fills(BOOK)}) == sum(len(one.fills) for one in played)


@pytest.fixture
def broker(tmp_path: Path) -> PaperBroker:
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    made = paper_broker(ledger)
    made.connect()
    return made


QUIET = market(3, 6, actions=False)
DAYS = [day.astype(object) for day in QUIET.sessions]


def buy(broker: PaperBroker, row: int, symbol: str = "AAA", shares: int = 100) -> None:
    assert broker.place(an_order(symbol, shares, DAYS[row])).accepted


def test_an_order_fills_at_the_next_open_with_costs(broker: PaperBroker) -> None:
    buy(broker, 1)
    (fill,) = broker.trade_session(QUIET, 1).fills
    open_ = float(QUIET.open[1, 0])
    assert (fill.symbol, fill.shares, fill.order_id, fill.session) == ("AAA", 100, an_order("AAA", 100, DAYS[1]).id, DAYS[1])
    assert fill.price == pytest.approx(open_ * 1.0005, rel=1e-15) and fill.reference == open_ and fill.commission == 1.0
    assert fill.time.isoformat() == f"{DAYS[1]}T14:30:00+00:00"
    assert broker.account().cash == pytest.approx((CASH - 100 * fill.price - 1.0) * (1 + 0.01 / 252))
    assert [(held.symbol, held.shares) for held in broker.positions()] == [("AAA", 100)]
    assert broker.open_orders() == () and broker.executions(DAYS[1]) == (fill,) and broker.executions(DAYS[2]) == ()


def test_replaying_a_session_gives_the_same_fill_ids(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        ids = []
        for _ in range(2):
            again = paper_broker(ledger)
            again.connect()
            buy(again, 1)
            ids.append([fill.id for fill in again.trade_session(QUIET, 1).fills])
        assert ids[0] == ids[1] != []


def test_no_bar_no_fill(broker: PaperBroker) -> None:
    silent = {name: getattr(QUIET, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in silent.values():
        values[1, 0] = np.nan
    buy(broker, 1)
    played = broker.trade_session(BarPanel.from_arrays(QUIET.sessions, SYMBOLS, silent), 1)
    assert played.fills == () and broker.positions() == ()
    assert [(change.state, change.note) for change in played.ended] == [(OrderState.EXPIRED, "no bar in the session: nothing to fill at")]


def test_columns_are_found_by_name(broker: PaperBroker) -> None:
    buy(broker, 1, "CCC")
    broker.trade_session(QUIET, 1)
    broker.trade_session(QUIET.select(["BBB", "CCC"]), 2)
    assert [(held.symbol, held.shares) for held in broker.positions()] == [("CCC", 100)]
    assert broker.account().nav == pytest.approx(broker.account().cash + 100 * QUIET.close[2, 2])


@pytest.mark.parametrize("held", [True, False])
def test_a_held_or_ordered_symbol_must_be_in_the_panel(broker: PaperBroker, held: bool) -> None:
    buy(broker, 1, "CCC")
    if held:
        broker.trade_session(QUIET, 1)
    with pytest.raises(DataError, match="missing: CCC"):
        broker.trade_session(QUIET.select(["AAA", "BBB"]), 1 + held)


def test_a_session_is_played_once_and_orders_wait_for_theirs(broker: PaperBroker) -> None:
    broker.trade_session(QUIET, 1)
    for row in (0, 1):
        with pytest.raises(BrokerError, match="played once"):
            broker.trade_session(QUIET, row)
    buy(broker, 3)
    with pytest.raises(BrokerError, match="in the session they are for"):
        broker.trade_session(QUIET, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"after": datetime(2024, 1, 3, 15, tzinfo=UTC)}, "no time inside a session"),
        ({"rests": True}, "only stop and limit orders rest"),
        ({"rests": True, "type": OrderType.STOP, "level": 9.0}, "protects the whole holding of BBB: 0 shares"),
        ({"session": DAYS[1]}, "still to come"),
        ({"id": "mx1-other"}, "one order per session"),
    ],
)
def test_refusals_are_answers(broker: PaperBroker, changes: dict[str, object], said: str) -> None:
    broker.trade_session(QUIET, 1)
    buy(broker, 2, "BBB")
    answer = broker.place(dataclasses.replace(an_order("BBB", 100, DAYS[2], leg=1), **changes))  # type: ignore[arg-type]
    assert not answer.accepted and said in answer.reason


def test_attached_and_later_levels_protect(broker: PaperBroker) -> None:
    order = dataclasses.replace(an_order("AAA", 100, DAYS[1]), stop_level=1.0, target_level=float(QUIET.low[1, 0]))
    broker.place(order)
    entry, exit_ = broker.trade_session(QUIET, 1).fills
    assert (entry.shares, exit_.shares, exit_.reason) == (100, -100, OrderReason.PROFIT_TARGET)
    assert exit_.order_id != order.id and exit_.time.isoformat() == f"{DAYS[1]}T21:00:00+00:00"
    buy(broker, 2)
    broker.trade_session(QUIET, 2)
    desk = broker.desk(QUIET)
    desk.book["stop"][0], desk.book["target"][0] = QUIET.high[3, 0], np.nan
    broker.take_levels(desk.book)
    (stopped,) = broker.trade_session(QUIET, 3).fills
    assert stopped.shares == -100 and stopped.reference == QUIET.open[3, 0]


def test_a_decision_on_the_desk_reaches_the_broker_only_by_orders(broker: PaperBroker) -> None:
    broker.trade_session(QUIET, 1)
    desk = broker.desk(QUIET)
    desk.book["order"][0], desk.book["order_stop"][0], desk.account["cash"] = 50, 1.0, 0.0
    broker.take_levels(desk.book)
    assert broker.open_orders() == () and broker.account().cash > 0
    assert broker.trade_session(QUIET, 2).fills == ()
