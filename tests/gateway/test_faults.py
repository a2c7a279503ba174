"""What ib_async sees of each fault, and what is true at the broker meanwhile: the reasons for every rule of ``execution/ib.py``.

Long because the catalogue is one list: a fault that is missing is seen only where all of them stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.gateway import FakeGateway, Fault, random_plan
from tests.gateway.client import Client, decoder_errors
from tests.gateway.faults import CANCEL, PLACE, POINTS, REFUSALS, SYSTEM


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as one:
        yield one


@pytest.fixture
def client(gateway: FakeGateway) -> Iterator[Client]:
    with Client(gateway) as one:
        yield one


def live(gateway: FakeGateway, ref: str = "mx1-a") -> bool:
    return bool([one for one in gateway.exchange.orders(ref) if one.live])


@pytest.mark.parametrize(("kind", "taken"), [("cut_before_accept", 0), ("cut_after_accept", 1)])
def test_a_cut_while_placing_leaves_a_doubt_only_the_broker_can_end(gateway: FakeGateway, client: Client, kind: str, taken: int) -> None:
    """Both look the same from here: the connection went, the order froze as it was, and all orders are forgotten."""
    gateway.faults.add(kind)
    trade = client.order()
    client.until(lambda: not client.ib.isConnected())
    assert (trade.orderStatus.status, client.ib.trades()) == ("PendingSubmit", [])
    assert (gateway.sends("mx1-a"), gateway.accepted("mx1-a")) == (1, taken)
    with Client(gateway) as again:
        assert [one.order.orderRef for one in again.ib.openTrades()] == ["mx1-a"] * taken


@pytest.mark.parametrize(("kind", "taken"), [("lost_order", 0), ("lost_ack", 1)])
def test_silence_after_an_order_means_either(gateway: FakeGateway, client: Client, kind: str, taken: int) -> None:
    gateway.faults.add(kind)
    trade = client.order()
    client.settle()
    assert (trade.orderStatus.status, trade.orderStatus.permId, gateway.accepted("mx1-a")) == ("PendingSubmit", 0, taken)
    assert len(client.ib.reqAllOpenOrders()) == taken, "asked, the broker tells"


@pytest.mark.parametrize("kind", ["half_open", "huge_frame"])
def test_a_deaf_connection_looks_healthy_and_only_a_question_finds_it(gateway: FakeGateway, client: Client, kind: str) -> None:
    gateway.faults.add(kind)
    client.order()
    gateway.wait(lambda g: g.sends("mx1-a") == 1)
    client.ib.RequestTimeout = 0.2
    with pytest.raises(TimeoutError):
        client.ib.reqCurrentTime()
    assert client.ib.isConnected() and gateway.accepted("mx1-a") == (kind == "huge_frame")


def test_a_frozen_gateway_still_holds_the_client_id(gateway: FakeGateway, client: Client) -> None:
    gateway.freeze()
    with pytest.raises((TimeoutError, ConnectionError)):
        Client(gateway, timeout=0.3)
    client.ib.disconnect()
    Client(gateway).ib.disconnect()


@pytest.mark.parametrize("message", [53, 62, 102, 55])
def test_a_list_without_its_end_is_no_answer(gateway: FakeGateway, message: int) -> None:
    """Only with raiseSyncErrors; without it the client is connected and knows nothing."""
    gateway.exchange.foreign_order("AAPL", 10, client_id=17)
    gateway.mute(message)
    with pytest.raises(ConnectionError):
        Client(gateway, timeout=0.3)
    with Client(gateway, timeout=0.3, raiseSyncErrors=False) as client:
        assert client.ib.isConnected()


@pytest.mark.parametrize("message", [5, 3, 11, 59, 61, 101, 49])
def test_a_muted_message_is_not_missed_by_its_reader(gateway: FakeGateway, message: int) -> None:
    """What lacks one line ends as if it were whole: that is why three comparisons must agree before an order is given up."""
    with Client(gateway) as client:
        client.order()
        client.order("mx1-b", orderType="LMT", tif="GTC", lmtPrice=1.0)
        client.settle()
        gateway.exchange.open_session({"AAPL": 150.0})
    gateway.mute(message)
    with Client(gateway) as client:
        told = {5: client.ib.openTrades(), 11: client.ib.fills(), 61: client.ib.positions(), 101: client.ib.reqCompletedOrders(False)}
        assert not told.get(message)
        if message == 3:
            assert [one.orderStatus.permId for one in client.ib.openTrades()] == [0], "an order whose state nobody told"
        if message == 59:
            assert [one.commissionReport.execId for one in client.ib.fills()] == [""], "a fill whose cost nobody told"
        if message == 49:
            client.ib.RequestTimeout = 0.2
            with pytest.raises(TimeoutError):
                client.settle()


def test_a_malformed_open_order_is_swallowed(gateway: FakeGateway) -> None:
    """Connected, no open orders, and only a line in the decoder's log."""
    gateway.exchange.foreign_order("AAPL", 10, client_id=17)
    gateway.faults.add("garble", message=5)
    with decoder_errors() as unread, Client(gateway) as client:
        assert client.ib.isConnected() and client.ib.openTrades() == []
        assert len(unread) == 1


def test_duplicates_are_one(gateway: FakeGateway, client: Client) -> None:
    gateway.faults.add(Fault("duplicate", message=11), Fault("duplicate", message=59), Fault("duplicate", message=3, times=None))
    trade = client.order()
    client.until(lambda: trade.orderStatus.permId)
    gateway.exchange.open_session({"AAPL": 150.0})
    client.until(lambda: trade.orderStatus.status == "Filled")
    client.settle()
    assert len(trade.fills) == len(client.ib.fills()) == 1
    assert gateway.faults.fired["duplicate"] >= 4


def test_a_status_before_its_order_is_dropped(gateway: FakeGateway) -> None:
    """What was filled of an order that rests is then told as nothing."""
    gateway.exchange.foreign_order("AAPL", 10, client_id=17)
    gateway.exchange.fill("", 1.0, shares=4)
    gateway.faults.add("reorder", message=5)
    with Client(gateway) as client:
        (trade,) = client.ib.openTrades()
        assert (trade.orderStatus.filled, trade.order.totalQuantity) == (0.0, 10.0)


def test_a_status_before_its_execution(gateway: FakeGateway, client: Client) -> None:
    trade = client.order()
    client.until(lambda: trade.orderStatus.permId)
    gateway.faults.add("reorder", message=11)
    gateway.exchange.open_session({"AAPL": 150.0})
    client.until(lambda: trade.fills)
    client.settle()
    assert trade.fills[0].commissionReport.execId == "", "the commission came first, and had no fill to belong to"
    (answer,) = client.ib.reqExecutions()
    assert trade.fills[0].commissionReport.commission == 1.0, "asked again, it is told"
    assert answer.commissionReport.execId == "", "but not in the answer: that is another object, which no commission reaches"


def test_a_late_commission(gateway: FakeGateway, client: Client) -> None:
    gateway.faults.add("late", message=59)
    trade = client.order()
    client.until(lambda: trade.orderStatus.permId)
    gateway.exchange.open_session({"AAPL": 150.0})
    client.until(lambda: trade.fills)
    client.settle()
    assert trade.fills[0].commissionReport.execId == ""
    gateway.release()
    client.settle()
    assert trade.fills[0].commissionReport.commission == 1.0


def test_an_absent_commission(gateway: FakeGateway, client: Client) -> None:
    """A fill without its commission reads as a commission of 0."""
    gateway.mute(59)
    client.order()
    client.settle()
    gateway.exchange.open_session({"AAPL": 150.0})
    (fill,) = client.ib.reqExecutions()
    assert (fill.commissionReport.execId, fill.commissionReport.commission) == ("", 0.0)


def test_a_corrected_execution_is_counted_twice(gateway: FakeGateway, client: Client) -> None:
    trade = client.order(shares=10)
    client.until(lambda: trade.orderStatus.permId)
    done = gateway.exchange.fill("mx1-a", 150.0)
    gateway.exchange.correct(done.id, price=149.0, shares=5)
    client.until(lambda: len(trade.fills) == 2)
    assert trade.filled() == 15.0 and gateway.exchange.positions == {"AAPL": 5}
    assert [one.execution.execId.rpartition(".")[2] for one in trade.fills] == ["01", "02"]
    client.settle()
    assert [one.position for one in client.ib.positions()] == [5.0]


def test_partial_fills(gateway: FakeGateway, client: Client) -> None:
    trade = client.order(shares=100, tif="GTC", orderType="LMT", lmtPrice=150.0)
    client.until(lambda: trade.orderStatus.permId)
    gateway.exchange.takes = lambda ticket: min(40, ticket.remaining)
    for _ in range(3):
        gateway.exchange.trade("AAPL", 150.0)
    client.until(lambda: trade.orderStatus.status == "Filled")
    client.settle()
    assert [one.execution.shares for one in trade.fills] == [40.0, 40.0, 20.0]
    assert [one.execution.cumQty for one in trade.fills] == [40.0, 80.0, 100.0]


def test_the_restart_rolls_ids_back_and_an_old_one_goes_out_again(gateway: FakeGateway) -> None:
    """Why orders are known by their reference: the id of an order of yesterday belongs to another today."""
    with Client(gateway) as client:
        first = client.order("mx1-a")
        client.settle()
        gateway.exchange.open_session({"AAPL": 150.0})
        gateway.exchange.new_day()
        gateway.restart()
        client.until(lambda: not client.ib.isConnected())
    with Client(gateway) as client:
        second = client.order("mx1-b")
        client.settle()
        assert second.order.orderId <= first.order.orderId and gateway.accepted("mx1-b") == 1


def test_a_rolled_back_id_while_its_order_rests_would_modify_it(gateway: FakeGateway) -> None:
    """ib_async counts past the open orders it is told of; one it is not told of it overwrites."""
    with Client(gateway) as client:
        client.order("mx1-a", orderType="LMT", tif="GTC", lmtPrice=1.0)
        client.settle()
        (resting,) = gateway.exchange.orders("mx1-a")
    gateway.restart()
    with Client(gateway) as client:
        assert client.ib.client.getReqId() > resting.order_id
    gateway.mute(5)
    with Client(gateway) as client:
        while client.ib.client._reqIdSeq < resting.order_id:
            client.ib.client.getReqId()
        client.ib.client._reqIdSeq = resting.order_id
        client.order("mx1-b", shares=7, orderType="LMT", tif="GTC", lmtPrice=2.0)
        gateway.wait(lambda g: g.sends("mx1-b") == 1)
    assert (resting.quantity, resting.limit, gateway.accepted("mx1-b")) == (7, 2.0, 0)


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_a_refusal(gateway: FakeGateway, client: Client, code: int) -> None:
    """Nothing was taken. ib_async calls it cancelled, but 321: that one stays active for good."""
    gateway.faults.add("error", code=code)
    trade = client.order()
    client.settle()
    assert (client.codes, gateway.accepted("mx1-a"), trade.orderStatus.permId) == ([code], 0, 0)
    assert trade.orderStatus.status == ("ValidationError" if code == 321 else "Cancelled")
    assert trade.isActive() == (code == 321) and client.ib.reqAllOpenOrders() == []


@pytest.mark.parametrize("code", [104, 161, 162, 354, 10147, 10148])
def test_words_about_a_live_order_that_ib_async_takes_for_its_end(gateway: FakeGateway, client: Client, code: int) -> None:
    gateway.faults.add("error", code=code)
    trade = client.order()
    client.settle()
    assert trade.orderStatus.status == "Cancelled" and trade.isDone() and live(gateway), "it lives, and fills"
    gateway.exchange.open_session({"AAPL": 150.0})
    assert gateway.exchange.positions == {"AAPL": 100}


def test_a_warning_leaves_it_alive(gateway: FakeGateway, client: Client) -> None:
    """399: "will not be placed at the exchange until …" is how every order of the evening is greeted."""
    gateway.faults.add("error", code=399)
    trade = client.order()
    client.settle()
    assert (trade.orderStatus.status, trade.isDone(), live(gateway)) == ("ValidationError", False, True)


def test_202_is_the_end(gateway: FakeGateway, client: Client) -> None:
    gateway.faults.add("error", code=202)
    trade = client.order()
    client.settle()
    assert (trade.orderStatus.status, live(gateway), gateway.accepted("mx1-a")) == ("Cancelled", False, 1)


@pytest.mark.parametrize("code", [135, 161, 10147, 10148])
def test_a_cancel_that_failed_looks_granted(gateway: FakeGateway, client: Client, code: int) -> None:
    trade = client.order()
    client.until(lambda: trade.orderStatus.permId)
    gateway.faults.add("cancel_error", code=code)
    client.ib.cancelOrder(trade.order)
    client.settle()
    assert trade.orderStatus.status == "Cancelled" and live(gateway)
    assert [one.order.orderRef for one in client.ib.reqAllOpenOrders()] == ["mx1-a"]


def test_a_lost_cancel(gateway: FakeGateway, client: Client) -> None:
    trade = client.order()
    client.until(lambda: trade.orderStatus.permId)
    gateway.faults.add("lost_cancel")
    client.ib.cancelOrder(trade.order)
    client.settle()
    assert (trade.orderStatus.status, live(gateway)) == ("PendingCancel", True)


def test_cancels_the_broker_cannot_grant(gateway: FakeGateway, client: Client) -> None:
    """10148 once it filled, 10147 once it is forgotten."""
    trade = client.order()
    client.until(lambda: trade.orderStatus.permId)
    gateway.exchange.open_session({"AAPL": 150.0})
    client.settle()
    client.ib.client.cancelOrder(trade.order.orderId)
    gateway.exchange.new_day()
    client.ib.client.cancelOrder(trade.order.orderId)
    client.settle()
    assert client.codes in ([10148, 10147], [10147, 10147])


def test_what_the_broker_refuses_by_itself(gateway: FakeGateway, client: Client) -> None:
    """The price's step, the account, the instrument, the size, an id that was used, and an interface that only reads."""
    first = client.order("mx1-a")
    client.until(lambda: first.orderStatus.permId)
    gateway.exchange.open_session({"AAPL": 150.0})
    client.settle()
    client.order("mx1-b", orderType="LMT", lmtPrice=100.005)
    client.order("mx1-c", account="U999")
    client.order("mx1-d", shares=1)
    client.ib.client.placeOrder(first.order.orderId, first.contract, first.order)
    unknown = client.stock()
    unknown.conId, unknown.symbol = 1, "NOPE"
    client.ib.placeOrder(unknown, first.order.__class__(action="BUY", totalQuantity=1, orderType="MKT", orderRef="mx1-e"))
    client.settle()
    gateway.read_only = True
    client.order("mx1-g")
    client.settle()
    assert Counter(client.codes) == Counter([110, 321, 103, 200, 321])
    assert [ref for ref in "bcdefg" if gateway.accepted(f"mx1-{ref}")] == ["d"]


@pytest.mark.parametrize("size", [float("nan"), float("inf"), -5.0, 0.5])
def test_nonsense_goes_out_as_it_is(gateway: FakeGateway, client: Client, size: float) -> None:
    """ib_async sends whatever it is given; here the broker refuses, but nobody should rely on it."""
    trade = client.order()
    client.until(lambda: trade.orderStatus.permId)
    trade.order.totalQuantity = size
    client.ib.client.placeOrder(client.ib.client.getReqId(), trade.contract, trade.order)
    client.settle()
    assert 321 in client.codes and gateway.accepted("mx1-a") == 1


def test_a_read_only_gateway_has_no_client_for_orders(gateway: FakeGateway, client: Client) -> None:
    gateway.read_only = True
    trade = client.order()
    client.settle()
    assert (client.codes, gateway.accepted("mx1-a"), trade.isActive()) == ([321], 0, True)


def test_what_is_throttled_here_is_lost_with_the_connection(gateway: FakeGateway, client: Client) -> None:
    """``placeOrder`` returned for all of them; those in ib_async's own queue never left."""
    trades = [client.order(f"mx1-{k}") for k in range(100)]
    gateway.wait(lambda g: sum(g.sent.values()) >= 30)
    gateway.drop()
    client.until(lambda: not client.ib.isConnected())
    assert 30 <= sum(gateway.sent.values()) <= 45 and {one.orderStatus.status for one in trades[45:]} == {"PendingSubmit"}
    assert client.ib.trades() == []


def test_the_broker_cuts_who_is_too_fast(gateway: FakeGateway, client: Client) -> None:
    gateway.faults.add("throttle")
    client.order()
    client.until(lambda: not client.ib.isConnected())
    assert 100 in client.codes and gateway.accepted("mx1-a") == 0


@pytest.mark.parametrize("code", sorted(SYSTEM))
def test_a_word_of_the_system_leaves_the_client_connected(gateway: FakeGateway, client: Client, code: int) -> None:
    gateway.announce(code)
    client.settle()
    assert client.codes == [code] and client.errors[-1][0] == -1 and client.ib.isConnected()


@pytest.mark.parametrize("kept", [True, False])
def test_behind_a_lost_server_fills_happen_that_nobody_tells(gateway: FakeGateway, client: Client, kept: bool) -> None:
    """1100 … 1101 or 1102: connected all the time; only who asks for executions hears of the fill."""
    trade = client.order()
    client.until(lambda: trade.orderStatus.permId)
    gateway.lose_server()
    gateway.exchange.open_session({"AAPL": 150.0})
    late = client.order("mx1-b")
    client.settle()
    assert client.ib.isConnected() and (trade.fills, late.orderStatus.status) == ([], "PendingSubmit")
    gateway.regain_server(kept=kept)
    client.settle()
    assert client.codes == [1100, 1102 if kept else 1101] and trade.fills == []
    assert [one.execution.orderRef for one in client.ib.reqExecutions()] == ["mx1-a"]
    assert gateway.accepted("mx1-b") == 0


def test_a_socket_that_is_moved(gateway: FakeGateway, client: Client) -> None:
    gateway.announce(1300)
    gateway.drop()
    client.until(lambda: not client.ib.isConnected())
    assert 1300 in client.codes


def test_an_order_that_was_held_comes_late_and_under_another_connection(gateway: FakeGateway) -> None:
    gateway.faults.add("held")
    with Client(gateway) as client:
        client.order()
        client.settle()
        assert client.ib.reqAllOpenOrders() == [] and gateway.accepted("mx1-a") == 0
    with Client(gateway) as again:
        gateway.release()
        again.settle()
        assert [one.order.orderRef for one in again.ib.reqAllOpenOrders()] == ["mx1-a"] and gateway.accepted("mx1-a") == 1


def test_the_server_goes_as_an_order_arrives(gateway: FakeGateway, client: Client) -> None:
    gateway.faults.add("server_lost")
    trade = client.order()
    client.settle()
    assert (client.codes, trade.orderStatus.status, gateway.accepted("mx1-a")) == ([1100], "PendingSubmit", 0)
    gateway.regain_server()
    client.order("mx1-b")
    client.settle()
    assert gateway.accepted("mx1-b") == 1


def test_the_restart_comes_as_an_order_arrives(gateway: FakeGateway, client: Client) -> None:
    first = client.order("mx1-a")
    client.until(lambda: first.orderStatus.permId)
    gateway.faults.add("restart")
    client.order("mx1-b")
    client.until(lambda: not client.ib.isConnected())
    with Client(gateway) as again:
        assert [one.order.orderRef for one in again.ib.openTrades()] == ["mx1-a"] and gateway.accepted("mx1-b") == 0


def test_a_cut_in_the_middle_of_a_list(gateway: FakeGateway) -> None:
    gateway.exchange.manual_trade("AAPL", 5, 100.0)
    gateway.faults.add("cut", message=62)
    with pytest.raises(ConnectionError):
        Client(gateway)
    with Client(gateway) as client:
        assert [one.position for one in client.ib.positions()] == [5.0]


def test_a_random_plan_is_the_same_for_the_same_seed_and_is_counted(gateway: FakeGateway) -> None:
    assert random_plan(3, 20) == random_plan(3, 20) != random_plan(4, 20)
    assert {one.kind for one in random_plan(3, 400)} == set(POINTS) - {"held"}
    plan = random_plan(5, 12, kinds=("duplicate", "late", "lost_cancel", "lost_ack"))
    gateway.faults.add(*plan)
    with Client(gateway) as client:
        for k in range(8):
            client.order(f"mx1-{k}")
        for trade in client.ib.openTrades():
            client.ib.cancelOrder(trade.order)
        client.settle()
    assert sum(gateway.faults.fired.values()) == 12 - len(gateway.faults.armed) > 0
    gateway.faults.clear()
    assert gateway.faults.armed == () and gateway.faults.strikes(PLACE) is gateway.faults.strikes(CANCEL) is None


def test_an_unknown_fault_is_an_error() -> None:
    with pytest.raises(ValueError, match="cut_before_accept"):
        Fault("cut_befor_accept")
