"""Every break has a cause with its evidence, and a repair that is journaled once and mends it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.domain.errors import UserError
from mech_exo.domain.orders import OrderReason, OrderState, OrderType
from mech_exo.execution.breaks import Break, BreakKind, Cause
from mech_exo.execution.broker import AccountState, BrokerOrder, BrokerOrderState
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.reconcile import accept, expected, gate
from mech_exo.execution.rows import Instrument, Intent, Protection, SessionRow
from tests.execution.fake_broker import FakeBroker
from tests.execution.ledger_rows import BOOK, DAY_ONE, day, fill, intents, line, order

NEXT = DAY_ONE + timedelta(1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", clock=lambda: datetime(2024, 1, 3, 23, tzinfo=UTC)) as opened:
        yield opened


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


def booked(ledger: Ledger, cash: float = 100_000.0, figures: dict[str, float] | None = None, **shares: int) -> None:
    lines = tuple(line(symbol, float(count)) for symbol, count in shares.items())
    ledger.book_session(SessionRow(BOOK, DAY_ONE, day(cash, cash=cash, index=1.0, **(figures or {})), lines))


def by_hand(symbol: str, shares: int, price: float, id_: str = "ib-9") -> object:
    return dataclasses.replace(fill(order(symbol, shares), price=price, id_=id_), order_id="", reason=OrderReason.NONE)


def only(ledger: Ledger, broker: FakeBroker, kind: BreakKind) -> Break:
    (found,) = [one for one in gate(ledger, broker, BOOK).breaks if one.kind is kind]
    return found


def mended(ledger: Ledger, broker: FakeBroker, *whats: str) -> None:
    """Accepting ``whats`` leaves nothing open, and accepting again writes nothing."""
    for what in whats:
        assert accept(ledger, gate(ledger, broker, BOOK), what, "looked at the statement")
    assert not [one for one in gate(ledger, broker, BOOK).breaks if not one.harmless]
    rows = ledger.verify().rows
    for what in whats:
        assert accept(ledger, gate(ledger, broker, BOOK), what, "again") == ()
    assert ledger.verify().rows == rows and ledger.verify().sound


def test_a_manual_trade_is_known_by_its_execution_and_repaired_with_its_cash(ledger: Ledger, broker: FakeBroker) -> None:
    booked(ledger, AAA=10)
    broker.held, broker.cash = {"AAA": 4}, 100_000.0 + 6 * 50.0 - 1.0
    broker.fills = [by_hand("AAA", -6, 50.0)]
    found = only(ledger, broker, BreakKind.POSITION)
    assert (found.cause, found.price, found.cash) == (Cause.MANUAL_TRADE, 50.0, 299.0)
    assert only(ledger, broker, BreakKind.CASH).cause is Cause.MANUAL_TRADE
    mended(ledger, broker, "AAA")
    assert (expected(ledger, BOOK).shares, expected(ledger, BOOK).cash) == ({"AAA": 4}, 100_299.0)


@pytest.mark.parametrize("whats", [("AAA",), ("cash", "AAA")])
def test_a_trade_by_hand_on_a_day_that_is_booked_is_known_until_it_is_accepted(ledger: Ledger, broker: FakeBroker, whats: tuple[str, ...]) -> None:
    """In the evening after the night was booked, or at the second gate of the same evening; and then another one."""
    booked(ledger, AAA=10)
    first, second = (dataclasses.replace(by_hand("AAA", shares, 50.0, id_), session=DAY_ONE) for shares, id_ in ((-6, "ib-1"), (-1, "ib-2")))
    broker.held, broker.cash, broker.fills = {"AAA": 4}, 100_000.0 + 6 * 50.0 - 1.0, [first]
    for kind in (BreakKind.POSITION, BreakKind.CASH, BreakKind.POSITION):
        assert only(ledger, broker, kind).cause is Cause.MANUAL_TRADE
    mended(ledger, broker, *whats)
    broker.held, broker.cash = {"AAA": 3}, broker.cash + 50.0 - 1.0
    broker.fills.append(dataclasses.replace(second, time=ledger.now() + timedelta(seconds=1)))
    found = only(ledger, broker, BreakKind.POSITION)
    assert (found.cause, found.cash) == (Cause.MANUAL_TRADE, 49.0)
    assert "ib-2" in found.evidence and "ib-1" not in found.evidence
    assert only(ledger, broker, BreakKind.CASH).cause is Cause.MANUAL_TRADE


@pytest.mark.parametrize(("ours", "theirs", "cause"), [(10, 20, Cause.SPLIT), (100, 10, Cause.SPLIT), (-10, -30, Cause.SPLIT), (10, 15, Cause.SPLIT),
                                                       (10, 13, Cause.UNKNOWN), (10, -10, Cause.UNKNOWN), (10, 0, Cause.UNKNOWN)])  # fmt: skip
def test_shares_of_a_split_look_like_one(ledger: Ledger, broker: FakeBroker, ours: int, theirs: int, cause: Cause) -> None:
    booked(ledger, AAA=ours)
    broker.held = {"AAA": theirs}
    found = only(ledger, broker, BreakKind.POSITION)
    assert found.cause is cause and found.repair == "exo reconcile accept AAA --reason '…'"
    assert gate(ledger, broker, BOOK).blocks("AAA") is not None and gate(ledger, broker, BOOK).blocks("BBB") is None
    mended(ledger, broker, "AAA")


def test_a_fill_that_the_broker_counts_and_does_not_tell(ledger: Ledger, broker: FakeBroker) -> None:
    booked(ledger)
    ledger.plan(intents("AAA"), BOOK, DAY_ONE)
    for state in (OrderState.SENDING, OrderState.LIVE):
        ledger.set_state(order("AAA").id, state)
    broker.open[order("AAA").id] = BrokerOrder(order("AAA").id, "1", "AAA", 10, BrokerOrderState.OPEN, filled=4)
    broker.held = {"AAA": 4}
    found = only(ledger, broker, BreakKind.POSITION)
    assert found.cause is Cause.MISSED_FILL and order("AAA").id in found.evidence


def sent(ledger: Ledger) -> None:
    ledger.plan(intents("AAA", decided=DAY_ONE - timedelta(1)), BOOK, DAY_ONE - timedelta(1))
    for state in (OrderState.SENDING, OrderState.LIVE):
        ledger.set_state(order("AAA", decided=DAY_ONE - timedelta(1)).id, state)


def test_a_fill_corrected_after_its_session_was_booked(ledger: Ledger, broker: FakeBroker) -> None:
    sent(ledger)
    first = fill(order("AAA", decided=DAY_ONE - timedelta(1)), price=10.0)
    ledger.record_fill(BOOK, first)
    booked(ledger, AAA=10)
    corrected = dataclasses.replace(first, shares=9, price=11.0, revision=1)
    broker.fills, broker.held = [corrected], {"AAA": 9}
    broker.cash = 100_000.0 + 10 * 10.0 - 9 * 11.0
    found = only(ledger, broker, BreakKind.POSITION)
    assert (found.cause, found.cash) == (Cause.CORRECTED_FILL, pytest.approx(1.0))
    row = ledger.order(first.order_id)
    assert (row.state, row.filled, row.note) == (OrderState.FILLED, 9, "corrected: 9 of 10 shares filled")
    mended(ledger, broker, "AAA")


def test_a_correction_told_before_what_it_corrects_stays(ledger: Ledger) -> None:
    sent(ledger)
    first = fill(order("AAA", decided=DAY_ONE - timedelta(1)), price=10.0)
    corrected = dataclasses.replace(first, shares=9, price=11.0, revision=2)
    assert ledger.record_fill(BOOK, corrected)
    for earlier in (first, dataclasses.replace(first, revision=1), corrected):
        assert not ledger.record_fill(BOOK, earlier)
    assert [row.fill for row in ledger.fills(BOOK)] == [corrected] and ledger.order(first.order_id).filled == 9


def test_a_stop_that_filled_on_a_day_nobody_tells_of_any_more(ledger: Ledger, broker: FakeBroker) -> None:
    booked(ledger, AAA=10)
    exits = [dataclasses.replace(order("AAA", -10, leg=k), rests=True, group="g", type=OrderType.STOP, level=9.0) for k in range(2)]
    ledger.protect(Protection(BOOK, DAY_ONE, tuple(Intent(one, math.nan) for one in exits), ()))
    for one in exits:
        ledger.set_state(one.id, OrderState.SENDING)
        ledger.set_state(one.id, OrderState.LIVE)
    found = only(ledger, broker, BreakKind.POSITION)
    assert (found.cause, "live here and gone there" in found.evidence) == (Cause.MISSED_FILL, True)


@pytest.mark.parametrize("state", [OrderState.REJECTED, OrderState.DENIED])
def test_a_refused_order_that_filled_halts_until_it_is_accepted(ledger: Ledger, broker: FakeBroker, state: OrderState) -> None:
    booked(ledger)
    ledger.plan(intents("AAA"), BOOK, DAY_ONE)
    for step in [OrderState.SENDING, state] if state is OrderState.REJECTED else [state]:
        ledger.set_state(order("AAA").id, step)
    broker.fills, broker.held, broker.cash = [fill(order("AAA"), price=10.0)], {"AAA": 10}, 100_000.0 - 101.0
    report = gate(ledger, broker, BOOK)
    assert [one.kind for one in report.halting] == [BreakKind.REVIVED_ORDER] and ledger.is_halted
    assert expected(ledger, BOOK).shares == {"AAA": 10}, "the fill counts all the same"
    mended(ledger, broker, "AAA")


def test_a_fill_told_after_its_session_was_booked(ledger: Ledger, broker: FakeBroker) -> None:
    sent(ledger)
    booked(ledger)
    broker.fills, broker.held, broker.cash = [fill(order("AAA", decided=DAY_ONE - timedelta(1)), price=10.0)], {"AAA": 10}, 100_000.0 - 101.0
    assert only(ledger, broker, BreakKind.POSITION).cause is Cause.MISSED_FILL
    mended(ledger, broker, "AAA")
    assert expected(ledger, BOOK).cash == 100_000.0 - 101.0


def test_a_commission_told_late_is_harmless(ledger: Ledger, broker: FakeBroker) -> None:
    sent(ledger)
    first = dataclasses.replace(fill(order("AAA", decided=DAY_ONE - timedelta(1)), price=10.0), commission=math.nan)
    ledger.record_fill(BOOK, first)
    booked(ledger, AAA=10)
    broker.held, broker.fills, broker.cash = {"AAA": 10}, [dataclasses.replace(first, commission=25.0)], 100_000.0 - 25.0
    found = only(ledger, broker, BreakKind.CASH)
    assert (found.cause, found.harmless) == (Cause.COMMISSION, True)
    assert gate(ledger, broker, BOOK).blocks("AAA") is None


@pytest.mark.parametrize(("spent", "clean"), [(0.0, True), (1.0, True), (15.0, True), (200.0, False), (-15.0, False)])
def test_a_commission_not_told_yet_may_be_up_to_its_most(ledger: Ledger, broker: FakeBroker, spent: float, clean: bool) -> None:
    booked(ledger)
    ledger.plan(intents("AAA"), BOOK, DAY_ONE)
    for state in (OrderState.SENDING, OrderState.LIVE):
        ledger.set_state(order("AAA").id, state)
    broker.fills = [dataclasses.replace(fill(order("AAA"), price=100.0), commission=math.nan)]
    broker.held, broker.cash = {"AAA": 10}, 100_000.0 - 1_000.0 - spent
    assert gate(ledger, broker, BOOK).clean is clean


@pytest.mark.parametrize(
    ("figures", "differs", "cause", "harmless"),
    [
        ({"dividends": 500.0}, -500.0, Cause.DIVIDEND, True),  # booked at the ex-date, not paid yet
        ({"dividends": 500.0}, -300.0, Cause.DIVIDEND, True),  # paid in part
        ({"dividends": 500.0}, -700.0, Cause.UNKNOWN, False),
        ({"dividends": 500.0}, 500.0, Cause.UNKNOWN, False),
        ({"dividends": -500.0}, 500.0, Cause.DIVIDEND, True),  # owed on a short
        ({"interest": 400.0}, -400.0, Cause.INTEREST, True),
        ({"borrow": 400.0}, 400.0, Cause.INTEREST, True),
        ({}, -30.0, Cause.FEE, True),
        ({}, 90.0, Cause.FEE, True),
        ({}, -150.0, Cause.UNKNOWN, False),
        ({}, math.nan, Cause.UNKNOWN, False),
    ],
)
def test_cash(ledger: Ledger, broker: FakeBroker, figures: dict[str, float], differs: float, cause: Cause, harmless: bool) -> None:
    booked(ledger, figures=figures)
    broker.cash += differs
    broker.account = lambda: AccountState(BOOK.account, broker.cash, 100_000.0)  # type: ignore[method-assign]
    found = only(ledger, broker, BreakKind.CASH)
    assert (found.cause, found.harmless) == (cause, harmless)
    assert (gate(ledger, broker, BOOK).blocks("AAA") is None) == harmless
    if math.isnan(differs):
        with pytest.raises(UserError, match="the broker reports"):
            accept(ledger, gate(ledger, broker, BOOK), "cash", "x")
    else:
        mended(ledger, broker, "cash")
        assert gate(ledger, broker, BOOK).clean


def test_a_small_amount_beside_another_difference_is_no_fee(ledger: Ledger, broker: FakeBroker) -> None:
    booked(ledger, AAA=10)
    broker.held, broker.cash = {"AAA": 13}, 100_000.0 - 30.0
    assert only(ledger, broker, BreakKind.CASH).cause is Cause.UNKNOWN


def test_a_symbol_that_means_another_company_is_locked_until_accepted(ledger: Ledger, broker: FakeBroker) -> None:
    booked(ledger, AAA=10)
    broker.held, broker.instrument = {"AAA": 10}, "265598"
    assert gate(ledger, broker, BOOK).clean and ledger.instruments(BOOK) == {"AAA": "265598"}
    broker.instrument = "999"
    found = only(ledger, broker, BreakKind.INSTRUMENT)
    assert found.cause is Cause.RENAMED and gate(ledger, broker, BOOK).blocks("AAA") is not None
    mended(ledger, broker, "AAA")
    assert ledger.rows(Instrument)[-1].key == "999"


def test_an_overfill_halts_until_accepted(ledger: Ledger, broker: FakeBroker) -> None:
    booked(ledger)
    ledger.plan(intents("AAA"), BOOK, DAY_ONE)
    for state in (OrderState.SENDING, OrderState.LIVE):
        ledger.set_state(order("AAA").id, state)
    broker.fills = [fill(order("AAA"), shares=10, id_="f1"), fill(order("AAA"), shares=3, id_="f2")]
    broker.held, broker.cash = {"AAA": 13}, 100_000.0 - 13 * 10.2 - 2.0
    report = gate(ledger, broker, BOOK)
    assert [one.kind for one in report.halting] == [BreakKind.OVERFILL]
    mended(ledger, broker, "AAA")


@pytest.mark.parametrize("where", ["open", "ended", "fills"])
def test_an_order_of_ours_without_a_journal_halts_until_it_is_gone_and_accepted(ledger: Ledger, broker: FakeBroker, where: str) -> None:
    booked(ledger)
    ghost = BrokerOrder("mx1-ghost", "5", "AAA", 5, BrokerOrderState.OPEN)
    if where == "open":
        broker.open["x"] = ghost
        with pytest.raises(UserError, match="orders that ended") as refused:
            accept(ledger, gate(ledger, broker, BOOK), "AAA", "x")
        assert "cancel that order" in str(refused.value.remedy)
        broker.open.clear()
    if where == "fills":
        broker.fills = [dataclasses.replace(fill(order("AAA")), order_id="mx1-ghost", shares=5)]
        broker.held = {"AAA": 5}
    else:
        broker.ended.append(dataclasses.replace(ghost, state=BrokerOrderState.CANCELLED))
    assert BreakKind.LOST_JOURNAL in {one.kind for one in gate(ledger, broker, BOOK).halting}
    mended(ledger, broker, "AAA")


def test_what_is_accepted_is_part_of_what_is_expected_until_a_session_is_booked_with_it(ledger: Ledger, broker: FakeBroker) -> None:
    booked(ledger, AAA=10)
    broker.held = {"AAA": 13}
    accept(ledger, gate(ledger, broker, BOOK), "AAA", "a gift")
    assert [row.shares for row in ledger.adjustments(BOOK)] == [3]
    lines = (line("AAA", 13.0),)
    ledger.book_session(SessionRow(BOOK, NEXT, day(100_000.0, cash=100_000.0, index=1.0), lines))
    assert ledger.adjustments(BOOK) == () and expected(ledger, BOOK).shares == {"AAA": 13}


SMALL = st.integers(-9, 9)


@settings(max_examples=40)
@given(ours=st.dictionaries(st.sampled_from("ABC"), SMALL), theirs=st.dictionaries(st.sampled_from("ABC"), SMALL), cash=st.floats(-5e4, 5e4))
def test_whatever_differs_accepting_everything_mends_it(tmp_path_factory: pytest.TempPathFactory, ours, theirs, cash) -> None:
    with Ledger.open(tmp_path_factory.mktemp("any") / "l.sqlite") as ledger:
        broker = FakeBroker(cash=100_000.0 + cash)
        booked(ledger, **ours)
        broker.held = dict(theirs)
        report = gate(ledger, broker, BOOK)
        wrong = {symbol for symbol in "ABC" if ours.get(symbol, 0) != theirs.get(symbol, 0)}
        assert report.locked == wrong
        for what in (*sorted(wrong), "cash"):
            accept(ledger, gate(ledger, broker, BOOK), what, "everything")
        assert gate(ledger, broker, BOOK).clean and ledger.verify().sound
