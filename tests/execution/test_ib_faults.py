"""Every fault of the catalogue, at the broker: what the adapter says is never more than what is true at the gateway.

Long because the catalogue is one list: a fault that is missing is seen only where all of them stand.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Order, OrderType
from mech_exo.execution.broker import Acknowledgement, BrokerOrderState, NotSentError
from mech_exo.execution.ib import IBBroker
from tests.execution.ib_desk import EVER, a_broker, a_stop, an_order
from tests.gateway import FakeGateway, random_plan
from tests.gateway.account import LIVE
from tests.gateway.faults import POINTS

SHORT = {"acknowledge_seconds": 0.2, "answer_seconds": 0.3, "probe_seconds": 0.2}
RUNS = int(os.environ.get("EXO_TEST_IB_RUNS", "10"))


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as one:
        yield one


@pytest.fixture
def broker(gateway: FakeGateway) -> Iterator[IBBroker]:
    one = a_broker(gateway)
    one.connect()
    yield one
    one.close()


@contextmanager
def impatient(broker: IBBroker) -> Iterator[None]:
    """For what does not come: elsewhere a busy machine has all the time it needs."""
    patient = broker._rules
    broker._rules = patient.model_copy(update=SHORT)
    try:
        yield
    finally:
        broker._rules = patient


def gate(broker: IBBroker) -> None:
    """Everything the reconcile gate asks."""
    broker.account(), broker.positions(), broker.open_orders(), broker.completed_orders(), broker.executions(EVER)


# An order and its acknowledgement


@pytest.mark.parametrize(("kind", "taken"), [("cut_before_accept", 0), ("cut_after_accept", 1), ("throttle", 0)])
def test_a_cut_while_placing_is_doubt_and_the_broker_ends_it(gateway: FakeGateway, broker: IBBroker, kind: str, taken: int) -> None:
    gateway.faults.add(kind)
    with pytest.raises(BrokerError) as error:
        broker.place(an_order())
    assert not isinstance(error.value, NotSentError), "it was written: whether it arrived nobody knows here"
    assert "do not send it again" in str(error.value)
    with pytest.raises(BrokerError):
        broker.open_orders()
    broker.connect()
    assert [order.order_id for order in broker.open_orders()] == [an_order().id] * taken
    assert (gateway.sends(an_order().id), gateway.accepted(an_order().id)) == (1, taken)
    if taken:
        assert broker.place(an_order()).accepted and gateway.sends(an_order().id) == 1


@pytest.mark.parametrize(("kind", "taken"), [("lost_order", 0), ("lost_ack", 1), ("half_open", 0), ("huge_frame", 1)])
def test_silence_is_doubt_and_never_sent_again(gateway: FakeGateway, broker: IBBroker, kind: str, taken: int) -> None:
    broker.place(an_order("IBM"))
    gateway.faults.add(kind)
    for _ in range(2):
        with pytest.raises(BrokerError, match=an_order().id) as error, impatient(broker):
            broker.place(an_order())
        assert not isinstance(error.value, NotSentError)
    assert (gateway.sends(an_order().id), gateway.accepted(an_order().id)) == (1, taken)


def test_a_lost_acknowledgement_is_found_by_asking(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.faults.add("lost_ack")
    with pytest.raises(BrokerError), impatient(broker):
        broker.place(an_order())
    (found,) = broker.open_orders()
    again = broker.place(an_order())
    assert again.accepted and again.broker_id == found.broker_id and gateway.sends(an_order().id) == 1


@pytest.mark.parametrize("kind", ["half_open", "huge_frame", "freeze"])
def test_a_deaf_connection_is_found_by_the_probe(gateway: FakeGateway, broker: IBBroker, kind: str) -> None:
    if kind == "freeze":
        gateway.freeze()
    else:
        gateway.faults.add(kind)
        with pytest.raises(BrokerError), impatient(broker):
            broker.place(an_order("IBM"))
    with pytest.raises(BrokerError, match="frozen"), impatient(broker):
        broker.probe()


def test_an_order_the_program_keeps_inactive_is_open_and_does_not_work(gateway: FakeGateway, broker: IBBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    broker.place(a_stop())
    (ticket,) = gateway.exchange.orders(a_stop().id)
    assert [one.works for one in broker.open_orders()] == [True]
    monkeypatch.setattr("tests.gateway.account.LIVE", frozenset({*LIVE, "Inactive"}))
    ticket.status = "Inactive"
    broker.connect()
    assert [(one.order_id, one.works) for one in broker.open_orders()] == [(a_stop().id, False)]


def test_a_target_that_fills_in_part_leaves_the_stop_for_the_rest(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.exchange.manual_trade("AAPL", 10, 100.0)
    stop, target = a_stop(shares=-10, group="mx1-g"), replace(a_stop(shares=-10, group="mx1-g", leg=1), type=OrderType.LIMIT, level=120.0)
    assert broker.place(stop).accepted and broker.place(target).accepted
    gateway.exchange.fill(target.id, price=120.0, shares=6)
    assert {one.order_id: one.shares - one.filled for one in broker.open_orders()} == {stop.id: -4, target.id: -4}
    gateway.exchange.fill(stop.id, price=90.0)
    assert gateway.exchange.positions == {} and broker.open_orders() == ()


def test_one_lost_answer_leaves_the_connection_usable(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.mute(49, times=1)
    with pytest.raises(BrokerError), impatient(broker):
        broker.probe()
    broker.probe()
    assert broker.place(an_order()).accepted


def test_a_late_answer_is_not_taken_for_the_next_one(gateway: FakeGateway, broker: IBBroker) -> None:
    """The first list came too late, and from before a trade: what the second question hears first must not be it."""
    gateway.faults.add("late", message=62)
    with pytest.raises(BrokerError), impatient(broker):
        broker.positions()
    gateway.exchange.manual_trade("AAPL", 10, 100.0)
    gateway.release()
    assert [position.shares for position in broker.positions()] == [10]


@pytest.mark.parametrize("code", [103, 110, 200, 201, 321, 460])
def test_a_proven_refusal_is_an_answer(gateway: FakeGateway, broker: IBBroker, code: int) -> None:
    gateway.faults.add("error", code=code)
    answer = broker.place(an_order())
    assert not answer.accepted and answer.reason.startswith(str(code))
    assert broker.place(an_order()) == answer and gateway.sends(an_order().id) == 1, "nor is it tried again"
    assert broker.open_orders() == ()


@pytest.mark.parametrize("code", [135, 504])
def test_words_that_prove_nothing_leave_doubt(gateway: FakeGateway, broker: IBBroker, code: int) -> None:
    gateway.faults.add("error", code=code)
    with pytest.raises(BrokerError) as error, impatient(broker):
        broker.place(an_order())
    assert not isinstance(error.value, NotSentError)


@pytest.mark.parametrize("code", [104, 161, 162, 354, 399, 10147, 10148])
def test_words_about_an_order_that_lives(gateway: FakeGateway, broker: IBBroker, code: int) -> None:
    """ib_async calls most of these cancelled."""
    gateway.faults.add("error", code=code)
    assert broker.place(an_order()).accepted
    broker.probe()
    (found,) = broker.open_orders()
    assert found.order_id == an_order().id and found.note.startswith(str(code))
    assert broker.completed_orders() == ()
    gateway.exchange.open_session({"AAPL": 100.0})
    assert [fill.shares for fill in broker.executions(EVER)] == [10]


def test_202_is_an_end(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.faults.add("error", code=202)
    broker.place(an_order())
    assert broker.open_orders() == ()
    (ended,) = broker.completed_orders()
    assert (ended.order_id, ended.state) == (an_order().id, BrokerOrderState.CANCELLED)


def test_a_rejection_after_the_acknowledgement_is_told_as_the_order_s_end(gateway: FakeGateway, broker: IBBroker) -> None:
    assert broker.place(an_order()).accepted
    number = int(gateway.placed[-1][1])
    from tests.gateway import messages as say
    from tests.gateway.wire import frame

    (session,) = gateway.sessions
    session.write(frame(say.error(178, number, 201, "Order rejected - reason:Margin")))
    (ticket,) = gateway.exchange.orders(an_order().id)
    ticket.end("Inactive", "Rejected", gateway.exchange.clock())
    broker.probe()
    assert broker.open_orders() == ()
    (ended,) = broker.completed_orders()
    assert (ended.order_id, ended.state) == (an_order().id, BrokerOrderState.REJECTED)


def test_an_order_in_doubt_is_not_called_unsent_when_the_connection_is_gone(gateway: FakeGateway, broker: IBBroker) -> None:
    """Asked a second time, over a dead, a new and a half-blind connection: it was written, and stays in doubt until it is shown."""
    gateway.faults.add("cut_before_accept")
    for _ in range(2):
        with pytest.raises(BrokerError, match="in doubt") as error:
            broker.place(an_order())
        assert not isinstance(error.value, NotSentError)
    broker.connect()
    gateway.faults.add("garble", message=102)
    for _ in range(2):
        with pytest.raises(BrokerError, match="in doubt") as error:
            broker.place(an_order())
        assert not isinstance(error.value, NotSentError)
    assert gateway.sends(an_order().id) == 1


def test_what_was_refused_stays_refused_after_a_reconnection(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.faults.add("error", code=201)
    answer = broker.place(an_order())
    broker.connect()
    assert not answer.accepted and broker.place(an_order()) == answer and gateway.sends(an_order().id) == 1


@pytest.mark.parametrize("kind", ["cut", "mute"])
def test_a_leg_refused_while_the_connection_breaks_is_doubt(gateway: FakeGateway, broker: IBBroker, kind: str) -> None:
    """The entry was written: whatever stops the withdrawal, it is not called unsent."""
    entry, leg = an_order(), a_stop(parent=an_order().id)
    gateway.faults.add("error", code=110, ref=leg.id)
    gate(broker)
    gateway.faults.add(kind, message=53)
    with pytest.raises(BrokerError, match="in doubt") as error, impatient(broker):
        broker.place(entry, [leg])
    assert not isinstance(error.value, NotSentError)


def test_a_leg_that_is_there_without_its_entry_is_not_sent_again(gateway: FakeGateway, broker: IBBroker) -> None:
    assert broker.place(a_stop()).accepted
    broker.connect()
    answer = broker.place(an_order(), [a_stop(parent=an_order().id)])
    assert not answer.accepted and a_stop().id in answer.reason and gateway.sends(an_order().id) == 0


@pytest.mark.parametrize("end", ["cancelled", "filled", "rejected"])
def test_what_ended_under_an_earlier_connection_is_not_sent_again(gateway: FakeGateway, broker: IBBroker, end: str) -> None:
    first = broker.place(an_order())
    if end == "filled":
        gateway.exchange.fill(an_order().id, price=100.0)
    elif end == "cancelled":
        broker.cancel(an_order().id)
    else:
        (ticket,) = gateway.exchange.orders(an_order().id)
        ticket.end("Inactive", "Rejected: margin", gateway.exchange.clock())
    gateway.exchange.executions.clear()  # as if they were yesterday's: the list of completed orders alone knows it
    broker.connect()
    again = broker.place(an_order())
    assert (again.accepted, again.broker_id) == (end != "rejected", first.broker_id)
    broker.cancel(an_order().id)
    assert gateway.sends(an_order().id) == 1 and gateway.received[4] == (1 if end == "cancelled" else 0)
    assert len(broker.completed_orders()) == 1


def test_nonsense_never_reaches_the_wire(gateway: FakeGateway, broker: IBBroker) -> None:
    good = an_order()
    for shares in (math.nan, math.inf, -math.inf, 0.5, 10.0, True, "10"):
        bad = an_order()
        object.__setattr__(bad, "shares", shares)
        answer = broker.place(bad)
        assert not answer.accepted and "whole shares" in answer.reason
    for symbol in ("AA\0PL", "AAPL\n", "aapl", "", "ABCDEFGHIJKLM", "AAPL;"):
        bad = an_order()
        object.__setattr__(bad, "symbol", symbol)
        assert not broker.place(bad).accepted
    for level in (math.nan, math.inf, -5.0, 0.0):
        bad = a_stop()
        object.__setattr__(bad, "level", level)
        assert not broker.place(bad).accepted
    for reference in ("mx1-\0", "x" * 41, "mx1-é", ""):
        bad = an_order()
        object.__setattr__(bad, "id", reference)
        assert not broker.place(bad).accepted
    assert gateway.placed == [] and broker.place(good).accepted


# An order and its legs


@pytest.mark.parametrize("leg", [0, 1])
def test_a_refused_leg_takes_the_whole_back(gateway: FakeGateway, broker: IBBroker, leg: int) -> None:
    entry = an_order()
    legs = [a_stop(parent=entry.id), a_stop(parent=entry.id, leg=8, level=80.0)]
    gateway.faults.add("error", code=110, ref=legs[leg].id)
    answer = broker.place(entry, legs)
    assert not answer.accepted and "110" in answer.reason
    assert broker.open_orders() == ()
    gateway.exchange.open_session({"AAPL": 100.0})
    assert gateway.exchange.positions == {}


def test_a_refused_entry_takes_its_legs_along(gateway: FakeGateway, broker: IBBroker) -> None:
    entry = an_order()
    gateway.faults.add("error", code=201, ref=entry.id)
    assert not broker.place(entry, [a_stop(parent=entry.id)]).accepted
    assert broker.open_orders() == ()


def test_a_silent_leg_is_doubt(gateway: FakeGateway, broker: IBBroker) -> None:
    entry = an_order()
    gateway.faults.add("lost_ack", ref=a_stop().id)
    with pytest.raises(BrokerError, match=a_stop().id), impatient(broker):
        broker.place(entry, [a_stop(parent=entry.id)])
    assert {order.order_id for order in broker.open_orders()} == {entry.id, a_stop().id}


def test_a_leg_of_another_order_is_refused(broker: IBBroker) -> None:
    assert not broker.place(an_order(), [a_stop(parent="mx1-other")]).accepted
    assert not broker.place(an_order(), [a_stop("IBM", parent=an_order().id)]).accepted
    assert not broker.place(a_stop(parent=an_order().id)).accepted, "its entry is nowhere"
    broker.place(an_order())
    assert broker.place(a_stop(parent=an_order().id)).accepted


# Cancels


@pytest.mark.parametrize("code", [135, 161, 10147, 10148])
def test_a_cancel_that_failed_ends_nothing(gateway: FakeGateway, broker: IBBroker, code: int) -> None:
    broker.place(an_order())
    gateway.faults.add("cancel_error", code=code)
    broker.cancel(an_order().id)
    assert [order.state for order in broker.open_orders()] == [BrokerOrderState.OPEN]


def test_a_lost_cancel_ends_nothing(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.place(an_order())
    gateway.faults.add("lost_cancel")
    with impatient(broker):
        broker.cancel(an_order().id)
    assert len(broker.open_orders()) == 1
    broker.cancel(an_order().id)
    assert broker.open_orders() == ()


def test_an_order_of_an_earlier_connection_is_cancelled_by_its_own_client_only(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.place(an_order())
    broker.connect()
    other = a_broker(gateway, client_id=18)
    other.connect()
    with pytest.raises(BrokerError, match="client_id: 17"):
        other.cancel(an_order().id)
    other.close()
    broker.cancel(an_order().id)
    assert broker.open_orders() == ()


# Answers


@pytest.mark.parametrize(("message", "ask"), [
    (62, "positions"), (53, "open_orders"), (102, "completed_orders"), (55, "executions"), (64, "account"), (49, "probe"),
])  # fmt: skip
def test_an_answer_without_its_end_is_none(gateway: FakeGateway, broker: IBBroker, message: int, ask: str) -> None:
    gateway.exchange.manual_trade("AAPL", 10, 100.0)
    questions = {"executions": lambda: broker.executions(EVER)}
    question = questions.get(ask, getattr(broker, ask))
    gateway.mute(message)
    with impatient(broker):
        with pytest.raises(BrokerError):
            question()
        if message in (53, 102, 55):
            with pytest.raises(NotSentError):
                broker.place(an_order())
    gateway.faults.clear()
    broker.connect()
    question()


@pytest.mark.parametrize("message", [3, 5])
def test_half_of_an_open_order_is_no_answer(gateway: FakeGateway, broker: IBBroker, message: int) -> None:
    gateway.exchange.foreign_order("AAPL", 10, client_id=5)
    gateway.mute(message)
    with pytest.raises(BrokerError, match="status"):
        broker.open_orders()
    with pytest.raises(NotSentError, match="status"):
        broker.place(an_order())
    gateway.faults.clear()
    assert len(broker.open_orders()) == 1


def test_a_commission_without_its_fill_is_no_answer(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.exchange.manual_trade("AAPL", 10, 100.0)
    gateway.mute(11)
    with pytest.raises(BrokerError, match="fill"):
        broker.executions(EVER)


@pytest.mark.parametrize(("message", "ask"), [(5, "open_orders"), (101, "completed_orders"), (11, "executions"), (61, "positions")])
def test_a_message_that_cannot_be_read_is_no_answer(gateway: FakeGateway, broker: IBBroker, message: int, ask: str) -> None:
    gateway.exchange.foreign_order("IBM", 10, client_id=5)
    broker.place(an_order())
    gateway.exchange.open_session({"AAPL": 100.0})
    question = (lambda: broker.executions(EVER)) if ask == "executions" else getattr(broker, ask)
    gate(broker)
    gateway.faults.add("garble", message=message)
    with pytest.raises(BrokerError, match="could not be read"):
        question()
    with pytest.raises(NotSentError, match="asked again"):
        broker.place(an_order("IBM"))
    gate(broker)
    assert broker.place(an_order("IBM")).accepted, "everything was asked again"


def test_a_garbled_acknowledgement_is_doubt_and_needs_a_gate(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.open_orders()
    gateway.faults.add("garble", message=5)
    gateway.faults.add("mute", message=3, times=1)
    with pytest.raises(BrokerError), impatient(broker):
        broker.place(an_order())
    with pytest.raises(NotSentError):
        broker.place(an_order("IBM"))
    gate(broker)
    assert [order.order_id for order in broker.open_orders()] == [an_order().id]


def test_a_reordered_list_is_the_same_list(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.exchange.foreign_order("AAPL", 10, client_id=5, ref="a")
    gateway.exchange.fill("a", 1.0, shares=4)
    gateway.faults.add("reorder", message=5)
    (order,) = broker.open_orders()
    assert (order.shares, order.filled) == (10, 4)


def test_an_order_that_moves_while_it_is_asked_for_is_asked_again(gateway: FakeGateway, broker: IBBroker) -> None:
    """The fill arrives between the list and its end: the first answer is thrown away."""
    broker.place(an_order())
    gateway.faults.add("late", message=53)
    from threading import Thread

    answers: list[object] = []
    asking = Thread(target=lambda: answers.append(broker.open_orders()))
    asking.start()
    gateway.wait(lambda g: bool(g.late))
    gateway.exchange.open_session({"AAPL": 100.0})
    gateway.release()
    asking.join(20)
    assert answers == [()] and gateway.received[16] >= 3


def test_a_cut_in_the_middle_of_an_answer(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.exchange.manual_trade("AAPL", 10, 100.0)
    gateway.faults.add("cut", message=62)
    with pytest.raises(BrokerError, match="ended"):
        broker.positions()
    broker.connect()
    assert [position.shares for position in broker.positions()] == [10]


# Fills


def test_a_correction_takes_the_place_of_the_fill(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.place(an_order())
    done = gateway.exchange.fill(an_order().id, price=100.0)
    (before,) = broker.executions(EVER)
    gateway.exchange.correct(done.id, price=99.5)
    for _ in range(2):  # told live, then asked on a new connection
        (after,) = broker.executions(EVER)
        assert (after.id, after.shares, after.price) == (before.id, 10, 99.5) and after.revision > before.revision
        broker.connect()


def test_the_highest_correction_counts_whatever_comes_first(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.place(an_order())
    done = gateway.exchange.fill(an_order().id, price=100.0)
    gateway.exchange.correct(done.id, price=99.5, shares=8)
    items = list(gateway.exchange.executions.items())
    gateway.exchange.executions = dict(reversed(items))
    broker.connect()
    (fill,) = broker.executions(EVER)
    assert (fill.shares, fill.price) == (8, 99.5)


def test_a_late_commission_is_unknown_until_it_comes(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.place(an_order())
    gateway.faults.add("late", message=59, times=None)
    gateway.exchange.fill(an_order().id, price=100.0)
    (fill,) = broker.executions(EVER)
    assert math.isnan(fill.commission) and math.isnan(fill.reference)
    gateway.release()
    broker.probe()
    gateway.faults.clear()
    (again,) = broker.executions(EVER)
    assert (again.id, again.commission) == (fill.id, 1.0)


def test_a_commission_before_its_fill(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.place(an_order())
    gateway.faults.add("reorder", message=11)
    gateway.exchange.fill(an_order().id, price=100.0)
    broker.probe()
    assert [fill.commission for fill in broker.executions(EVER)] == [1.0]


def test_partial_fills_add_up(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.place(an_order(shares=-10))
    for shares, price in ((3, 100.0), (2, 99.0)):
        gateway.exchange.fill(an_order(shares=-10).id, price=price, shares=shares)
    assert [(fill.shares, fill.price) for fill in broker.executions(EVER)] == [(-3, 100.0), (-2, 99.0)]
    (order,) = broker.open_orders()
    assert (order.shares, order.filled) == (-10, -5)


def test_fills_are_heard_while_the_servers_are_away(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.place(an_order())
    gateway.announce(1100)
    gateway.exchange.fill(an_order().id, price=100.0)
    broker.probe()
    assert [one.shares for one in broker._listener.traded.values()] == [10.0]


# The connection


@pytest.mark.parametrize("code", [1100, 2110, 1300])
def test_nothing_is_sent_while_the_servers_are_away(gateway: FakeGateway, broker: IBBroker, code: int) -> None:
    gate(broker)
    gateway.announce(code)
    broker.probe()
    with pytest.raises(NotSentError, match=str(code)):
        broker.place(an_order())
    with pytest.raises(BrokerError, match="may be old"):
        broker.positions()
    assert gateway.placed == []


@pytest.mark.parametrize("kept", [True, False])
def test_after_they_are_back_everything_is_asked_before_anything_is_sent(gateway: FakeGateway, broker: IBBroker, kept: bool) -> None:
    gate(broker)
    gateway.lose_server()
    gateway.regain_server(kept=kept)
    broker.probe()
    with pytest.raises(NotSentError, match="asked again"):
        broker.place(an_order())
    broker.open_orders(), broker.completed_orders(), broker.executions(EVER)
    with pytest.raises(NotSentError):
        broker.place(an_order())
    broker.positions()
    assert broker.place(an_order()).accepted


def test_an_answer_across_a_loss_of_the_servers_is_none(gateway: FakeGateway, broker: IBBroker) -> None:
    gateway.exchange.manual_trade("AAPL", 10, 100.0)
    gateway.faults.add("late", message=62)
    from threading import Thread

    raised: list[BaseException] = []

    def ask() -> None:
        try:
            broker.positions()
        except BrokerError as error:
            raised.append(error)

    asking = Thread(target=ask)
    asking.start()
    gateway.wait(lambda g: bool(g.late))
    gateway.announce(1100)
    gateway.release()
    asking.join(20)
    assert len(raised) == 1


def test_the_nightly_restart_rolls_ids_back_and_no_order_takes_another_s_place(gateway: FakeGateway, broker: IBBroker) -> None:
    """LEAN-IB #242: an old id given to a new order would change the old order."""
    resting = a_stop()
    for order in (an_order("IBM"), resting):
        assert broker.place(order).accepted
    before = {order.order_id: order.broker_id for order in broker.open_orders()}
    gateway.restart()
    with pytest.raises(BrokerError):
        broker.probe()
    broker.connect()
    assert broker.place(an_order("MSFT")).accepted
    after = {order.order_id: order.broker_id for order in broker.open_orders()}
    assert before.items() <= after.items() and len(after) == 3
    assert all(gateway.accepted(id_) == 1 for id_ in after)


def test_ids_begin_beyond_what_was_executed_today(gateway: FakeGateway, broker: IBBroker) -> None:
    broker.place(an_order())
    gateway.exchange.fill(an_order().id, price=100.0)
    used = int(gateway.placed[0][1])
    gateway.restart()
    broker.connect()
    assert broker.place(an_order("IBM")).accepted and int(gateway.placed[1][1]) > used


def test_a_dropped_connection_sends_nothing(gateway: FakeGateway, broker: IBBroker) -> None:
    gate(broker)
    gateway.drop()
    broker._listener.wait(lambda: False, 20.0)  # returns when the connection is gone
    with pytest.raises(NotSentError):
        broker.place(an_order())
    assert gateway.sends(an_order().id) == 0


def test_what_cannot_leave_this_machine_is_not_sent(gateway: FakeGateway, broker: IBBroker) -> None:
    """Half-open with a full buffer: bytes of earlier messages wait here, so nothing of an order is put behind them."""
    gate(broker)
    link = broker._link
    assert link is not None
    transport = link.client.conn.transport
    with gateway.exchange.lock:  # the gateway reads nothing while this is held
        padding = b"\0\0\0\4" + b"0\0\0\0"
        link.write(lambda client: client.conn.sendMsg(padding * 4_000_000))
        assert transport.get_write_buffer_size() > 0
        with pytest.raises(NotSentError, match="left this machine"):
            link.write(lambda client: client.reqCurrentTime(), alone=True)
        transport.abort()
    assert gateway.placed == []


# Many at once


@pytest.mark.parametrize("seed", range(RUNS))
def test_random_faults_never_send_twice_and_never_say_more_than_is_true(seed: int) -> None:
    """Orders with and without legs under a random plan of faults, with reconnections and restarts.

    What was not sent is tried again, and so is, against the rules, what is in doubt.
    """
    chance = random.Random(seed)
    with FakeGateway(version=chance.choice((157, 163, 164, 170, 177, 178))) as gateway:
        gateway.faults.add(*random_plan(seed, 25, tuple(sorted(POINTS))))
        broker = a_broker(gateway, connect_seconds=0.5, **SHORT)
        entries = [an_order(symbol, 10, leg) for leg in range(3) for symbol in ("AAPL", "IBM")]
        wanted = {one.id: (one, [a_stop(one.symbol, leg=70 + k, parent=one.id)] if chance.random() < 0.3 else []) for k, one in enumerate(entries)}
        said: dict[str, Acknowledgement | BrokerError] = {}
        for _ in range(4):
            with suppress(BrokerError):
                broker.connect()
                gate(broker)
                for id_, (order, legs) in wanted.items():
                    if not isinstance(said.get(id_), Acknowledgement):
                        broker.probe()
                        before, said[id_] = said.get(id_), placed(broker, order, legs)
                        doubt = isinstance(before, BrokerError) and not isinstance(before, NotSentError)
                        assert not (doubt and isinstance(said[id_], NotSentError)), "what was in doubt is not called unsent"
            if chance.random() < 0.3:
                gateway.restart()
            if chance.random() < 0.3:
                gateway.release()
        assert gateway.faults.fired, "nothing went wrong"
        gateway.faults.clear()
        broker.close()
        truth = a_broker(gateway)
        truth.connect()
        gate(truth)
        there = {order.order_id for order in (*truth.open_orders(), *truth.completed_orders())}
        truth.close()
        for id_, (_, legs) in wanted.items():
            answer = said.get(id_)
            assert all(gateway.sends(one) <= 1 and gateway.accepted(one) <= 1 for one in (id_, *(leg.id for leg in legs)))
            if isinstance(answer, Acknowledgement) and answer.accepted:
                assert gateway.accepted(id_) == 1 and id_ in there
            elif isinstance(answer, Acknowledgement):
                assert not [one for one in gateway.exchange.orders(id_) if one.live]
            elif answer is None or isinstance(answer, NotSentError):
                assert gateway.sends(id_) == 0, "what is called not sent was not sent"


def placed(broker: IBBroker, order: Order, legs: list[Order]) -> Acknowledgement | BrokerError:
    """What the broker says of it."""
    try:
        return broker.place(order, legs)
    except BrokerError as error:
        return error
