"""Before real money moves: every condition by itself, sessions that count, the first caps, and the sentinel at the fake gateway."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mech_exo.domain.errors import BrokerError, UserError
from mech_exo.domain.orders import Order, OrderReason, OrderState, OrderType
from mech_exo.execution.broker import LOOK_SECONDS, LOOKS
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.live import LiveCheck, first_caps, is_paper, practised, sentinel
from mech_exo.execution.rows import BookId, Intent
from mech_exo.utils import calendar
from mech_exo.utils.broker_settings import GatewayRules, LiveRules, Program
from tests.execution.fake_broker import FakeBroker
from tests.execution.ledger_rows import decision, line, session

ACCOUNT = "U7654321"
LIVE, PAPER = BookId(ACCOUNT, "default"), BookId("paper", "default")
DAYS = [day.astype(object) for day in calendar.sessions(date(2024, 1, 2), date(2024, 3, 1))]
RULES = LiveRules(enabled=True, min_paper_sessions=3)
CHECK = LiveCheck(RULES, GatewayRules(), ACCOUNT, "default")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "l.sqlite") as made:
        yield made


def night(ledger: Ledger, day: date, book: BookId = PAPER, *, late: bool = False) -> None:
    """A booked session, decided an hour after its close or a month later."""
    at = calendar.session_close(day) + (timedelta(days=30) if late else timedelta(hours=1))
    ledger.book_session(dataclasses.replace(session(day), book=book))
    ledger.record_decision(dataclasses.replace(decision(day), book=book, recorded_at=at))


@pytest.fixture
def practised_ledger(ledger: Ledger) -> Ledger:
    for day in DAYS[:3]:
        night(ledger, day)
    return ledger


def test_when_all_holds_nothing_is_refused(practised_ledger: Ledger) -> None:
    assert CHECK.refusals(practised_ledger, f" {ACCOUNT} ") == ()
    CHECK.require(practised_ledger, ACCOUNT)


@pytest.mark.parametrize(
    ("change", "typed", "said"),
    [
        ({"rules": LiveRules(min_paper_sessions=3)}, ACCOUNT, "enabled: true"),
        ({}, "", "must be typed as configured"),
        ({}, "U7654322", "must be typed as configured"),
        ({}, "U…321", "must be typed as configured"),
        ({}, "u7654321", "must be typed as configured"),
        ({"account": ""}, "", "it is not set"),
        ({"account": "DU7654321"}, "DU7654321", "is a paper account"),
        ({"gateway": GatewayRules(port=4002)}, ACCOUNT, "gateway.port 4002 is a paper one"),
        ({"gateway": GatewayRules(port=7497, program=Program.TWS)}, ACCOUNT, "gateway.port 7497 is a paper one"),
        ({"rules": LiveRules(enabled=True, min_paper_sessions=4)}, ACCOUNT, "4 paper sessions .* the ledger has 3"),
        ({"strategy": "other"}, ACCOUNT, "the ledger has 0"),
    ],
)
def test_each_condition_refuses_by_itself(practised_ledger: Ledger, change: dict[str, object], typed: str, said: str) -> None:
    check = dataclasses.replace(CHECK, **change)
    (reason,) = check.refusals(practised_ledger, typed)
    with pytest.raises(UserError, match=said) as refused:
        check.require(practised_ledger, typed)
    assert reason in refused.value.message and ACCOUNT not in refused.value.message and "DU7654321" not in refused.value.message


def test_every_refusal_is_told_at_once(ledger: Ledger) -> None:
    worst = LiveCheck(LiveRules(), GatewayRules(port=4002), "DU7654321", "default")
    assert len(worst.refusals(ledger, "x")) == 5


def test_nights_run_over_the_past_and_live_ones_are_no_practice(ledger: Ledger) -> None:
    for day in DAYS[:5]:
        night(ledger, day, late=True)
    for day in DAYS[:5]:
        night(ledger, day, LIVE)
    night(ledger, DAYS[5])
    night(ledger, DAYS[6], BookId("DU1234567", "default"))
    night(ledger, DAYS[7], BookId("paper", "other"))
    assert practised(ledger, "default", 10) == 2
    assert practised(ledger, "default", 1) == 1, "no more is read than is asked"


@pytest.mark.parametrize(("account", "paper"), [("paper", True), ("DU1234567", True), ("DF1234567", True), ("U1234567", False), ("F1234567", False)])
def test_the_kind_of_an_account(account: str, paper: bool) -> None:
    assert is_paper(account) is paper


def order(symbol: str, shares: int, number: int = 0, **changes: object) -> Order:
    return dataclasses.replace(Order(f"mx1-{symbol}{shares}{number}", symbol, shares, DAYS[3], OrderReason.REBALANCE), **changes)


def plan(ledger: Ledger, orders: list[Order], price: float = 100.0, day: int = 2) -> None:
    ledger.plan([Intent(one, price) for one in orders], LIVE, DAYS[day])


def sent(ledger: Ledger, one: Order) -> None:
    ledger.set_state(one.id, OrderState.SENDING)
    ledger.set_state(one.id, OrderState.LIVE)


def test_the_first_sessions_are_capped_by_orders_and_by_value(ledger: Ledger) -> None:
    rules = LiveRules(first_sessions=2, first_max_orders=3, first_max_notional=10_000.0)
    ledger.book_session(dataclasses.replace(session(DAYS[2]), book=LIVE, lines=(dataclasses.replace(line("HELD"), shares=50.0),)))
    caps = first_caps(ledger, LIVE, rules)
    buys = [order(symbol, 20) for symbol in ("AAA", "BBB", "CCC", "DDD")]
    exits = [order("HELD", -50), order("AAA", -20, 1, parent=buys[0].id, rests=True, type=OrderType.STOP, level=90.0)]
    large = order("EEE", 61)
    plan(ledger, [*buys, *exits, large])
    assert [caps(one) for one in (*buys, *exits)] == [None] * 6
    sent(ledger, buys[0])
    sent(ledger, buys[1])
    for one in exits:
        sent(ledger, one)
    assert "10,000 USD" in str(caps(large)) and "4,000 were sent for 2024-01-05 and this one goes beyond" in str(caps(large))
    assert caps(buys[2]) is None
    sent(ledger, buys[2])
    said = str(caps(buys[3]))
    assert "at most 3 orders that add risk (live.first_max_orders); 3 were sent" in said and "this is live session 1, the caps end after 2" in said
    assert caps(buys[2]) is None, "an order is not counted against itself"
    assert [caps(one) for one in exits] == [None, None], "exits and protection always pass"
    ledger.book_session(dataclasses.replace(session(DAYS[3]), book=LIVE, lines=(dataclasses.replace(line("DDD"), shares=-20.0),)))
    assert caps(buys[3]) is None, "what was booked since counts: this covers a short now"
    assert caps(large) is not None
    ledger.book_session(dataclasses.replace(session(DAYS[4]), book=LIVE))
    assert caps(large) is None, "the caps have ended"


def test_an_order_of_unknown_value_is_over_the_cap(ledger: Ledger) -> None:
    caps = first_caps(ledger, LIVE, LiveRules())
    plan(ledger, [order("AAA", 1)], float("nan"))
    assert "the value of AAA is unknown" in str(caps(order("AAA", 1)))


class Prompt(FakeBroker):
    """Cancels what it is asked to, unless ``stubborn``; forgets what it accepted if ``blind``."""

    stubborn = blind = False

    def cancel(self, order_id: str) -> None:
        super().cancel(order_id)
        if not self.stubborn:
            self.open.pop(order_id, None)

    def open_orders(self) -> tuple:  # type: ignore[type-arg]
        return () if self.blind else super().open_orders()


def fly(ledger: Ledger, broker: FakeBroker) -> str:
    return sentinel(ledger, broker, LIVE, "AAA", 101.37, DAYS[3], pause=lambda _: None)


def test_the_sentinel_goes_out_is_seen_and_is_gone_once_a_session(ledger: Ledger) -> None:
    broker = Prompt()
    id_ = fly(ledger, broker)
    (placed,) = broker.arrived
    assert (placed.id, placed.shares, placed.type, placed.level) == (id_, 1, OrderType.LIMIT, 81.1)
    assert broker.open == {} and ledger.order(id_).state is OrderState.CANCELLED
    assert fly(ledger, broker) == id_ and len(broker.arrived) == 1
    assert sentinel(ledger, broker, LIVE, "BBB", 50.0, DAYS[3]) == id_ and len(broker.arrived) == 1, "whichever order is first now"
    caps = first_caps(ledger, LIVE, LiveRules(first_sessions=2, first_max_orders=1))
    ledger.plan([Intent(one := Order("mx1-first", "CCC", 10, DAYS[3], OrderReason.REBALANCE), 10.0)], LIVE, DAYS[2])
    assert caps(one) is None, "it takes no place of the first orders"
    assert ledger.verify().sound


@pytest.mark.parametrize("fault", ["rejects", "lost", "dead", "blind", "stubborn"])
def test_a_sentinel_that_fails_anywhere_stops_everything_and_is_not_sent_again(ledger: Ledger, fault: str) -> None:
    broker = Prompt()
    broker.alive = fault != "dead"
    broker.blind, broker.stubborn = fault == "blind", fault == "stubborn"
    if fault in ("rejects", "lost"):
        broker.faults["AAA"] = fault
    with pytest.raises(BrokerError, match="sentinel"):
        fly(ledger, broker)
    broker.alive, broker.blind, broker.stubborn = True, False, False
    broker.faults.clear()
    with pytest.raises(BrokerError, match="of an earlier try is"):
        fly(ledger, broker)
    assert len(broker.arrived) <= 1
    assert LOOKS * LOOK_SECONDS < 10.0


def test_the_sentinel_at_the_fake_gateway(ledger: Ledger) -> None:
    from mech_exo.execution.ib import IBBroker
    from tests.gateway import FakeGateway

    with FakeGateway(account="DU1234567") as gateway:
        gateway.exchange.open_session({"AAPL": 100.0})
        broker = IBBroker("DU1234567", False, GatewayRules(acknowledge_seconds=20.0, probe_seconds=20.0, connect_seconds=20.0), port=gateway.port)
        broker.connect()
        day = calendar.next_session(calendar.latest_session(datetime.now(UTC)))
        id_ = sentinel(ledger, broker, BookId("DU1234567", "default"), "AAPL", 100.0, day)
        assert gateway.sends(id_) == 1 and broker.open_orders() == ()
        assert [ticket.status for ticket in gateway.exchange.orders(id_)] == ["Cancelled"]
        broker.close()
    assert ledger.order(id_).state is OrderState.CANCELLED
