"""At most once: every fault of sending, every restart, and never a second send of an order in doubt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import OrderState
from mech_exo.execution.ledger import Ledger, utc_now
from mech_exo.execution.router import OrderRouter
from mech_exo.execution.rows import Intent, StateChange
from mech_exo.execution.safety import HaltSwitch
from mech_exo.execution.sending import SendLimits, SendOutcome
from tests.execution.fake_broker import FakeBroker
from tests.execution.ledger_rows import BOOK, DAY_ONE, day, intents, line, order, session

TRADES = DAY_ONE + timedelta(1)
LIVE, DENIED, REJECTED = SendOutcome.LIVE, SendOutcome.DENIED, SendOutcome.REJECTED
UNKNOWN, NOT_SENT, BLOCKED = SendOutcome.UNKNOWN, SendOutcome.NOT_SENT, SendOutcome.BLOCKED


class Desk:
    """A ledger, a broker and a router over one workspace; ``restart`` forgets everything but the ledger and the broker."""

    def __init__(
        self, home: Path, *, proof: bool = False, limits: SendLimits | None = None, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.home, self.broker, self.limits, self.clock = home, FakeBroker(proof=proof), limits, clock
        self.ledger = Ledger.open(home / "ledger.sqlite", clock=clock)
        self.restart()

    def restart(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.home / "ledger.sqlite", clock=self.clock)
        self.switch = HaltSwitch(self.home)
        self.router = OrderRouter(self.ledger, self.broker, BOOK, self.switch, self.limits)

    def send(self, *symbols: str) -> dict[str, SendOutcome]:
        """Plan (once), pass the gate, submit."""
        if symbols:
            self.router.plan(intents(*symbols), DAY_ONE)
        self.router.open_gate()
        return {result.symbol: result.outcome for result in self.router.submit(TRADES)}

    def states(self) -> dict[str, OrderState]:
        return {row.order.symbol: row.state for row in self.ledger.orders(BOOK)}

    def sent(self) -> list[str]:
        return [one.symbol for one in self.broker.arrived]


@pytest.fixture(params=[False, True], ids=["wire", "inside"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    return Desk(tmp_path, proof=request.param)


@pytest.fixture
def wire(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_orders_become_live_and_a_second_pass_sends_nothing(desk: Desk) -> None:
    assert desk.send("AAA", "BBB") == {"AAA": LIVE, "BBB": LIVE}
    assert desk.send() == {}
    desk.restart()
    assert desk.send("AAA", "BBB") == {}
    assert desk.sent() == ["AAA", "BBB"]
    assert desk.ledger.order(order("AAA").id).broker_id == "b-1"


def test_no_gate_no_send(desk: Desk) -> None:
    desk.router.plan(intents("AAA"), DAY_ONE)
    with pytest.raises(BrokerError, match="compared"):
        desk.router.submit(TRADES)
    assert desk.sent() == []


def test_a_time_out_after_acceptance_is_unknown_and_never_resent(wire: Desk) -> None:
    wire.broker.faults["AAA"] = "times_out_after_accepting"
    assert wire.send("AAA", "BBB") == {"AAA": UNKNOWN, "BBB": BLOCKED}
    assert wire.states() == {"AAA": OrderState.UNKNOWN, "BBB": OrderState.NEW}
    (held_back,) = wire.router.submit(TRADES)
    assert held_back.outcome is BLOCKED, "the gate has not been passed again"
    (row,) = wire.ledger.orders(symbol="BBB")
    assert row.note == f"not sent: {held_back.note}" and "in doubt" in row.note, "whoever looks at the order sees why it is new still"
    assert len([change for change in wire.ledger.rows(StateChange) if change.order_id == row.order.id]) == 1, "said once"
    wire.broker.faults.clear()
    assert wire.send() == {"BBB": LIVE}, "the broker shows the order: it is live, and the doubt is over"
    assert wire.states() == {"AAA": OrderState.LIVE, "BBB": OrderState.LIVE}
    assert wire.sent() == ["AAA", "BBB"]


def test_a_lost_order_stays_unknown_whatever_happens(wire: Desk) -> None:
    wire.broker.faults["AAA"] = "lost"
    wire.send("AAA", "BBB")
    wire.broker.faults.clear()
    for _ in range(3):
        wire.restart()
        assert wire.send() == {"BBB": BLOCKED}
    assert wire.sent() == []
    assert wire.states()["AAA"] is OrderState.UNKNOWN


def test_a_rejection_is_an_answer(desk: Desk) -> None:
    desk.broker.faults["AAA"] = "rejects"
    assert desk.send("AAA", "BBB") == {"AAA": REJECTED, "BBB": LIVE}
    assert desk.ledger.order(order("AAA").id).note == "margin"
    desk.restart()
    assert desk.send() == {}


def test_what_never_left_is_sent_later(wire: Desk) -> None:
    wire.broker.faults["AAA"] = "not_sent"
    assert wire.send("AAA", "BBB") == {"AAA": NOT_SENT, "BBB": NOT_SENT}
    assert set(wire.states().values()) == {OrderState.NEW}
    wire.broker.faults.clear()
    assert wire.send() == {"AAA": LIVE, "BBB": LIVE}
    assert wire.sent() == ["AAA", "BBB"]


def test_a_dead_connection_is_found_before_anything_is_sent(wire: Desk) -> None:
    wire.router.plan(intents("AAA", "BBB"), DAY_ONE)
    wire.router.open_gate()
    wire.broker.alive = False
    assert [result.outcome for result in wire.router.submit(TRADES)] == [NOT_SENT, NOT_SENT]
    assert wire.sent() == [] and set(wire.states().values()) == {OrderState.NEW}


@pytest.mark.parametrize(("proof", "after", "arrives"), [(False, OrderState.UNKNOWN, []), (True, OrderState.LIVE, ["AAA"])])
def test_a_death_while_sending(tmp_path: Path, proof: bool, after: OrderState, arrives: list[str]) -> None:
    desk = Desk(tmp_path, proof=proof)
    desk.router.plan(intents("AAA"), DAY_ONE)
    desk.ledger.set_state(order("AAA").id, OrderState.SENDING)
    desk.restart()
    desk.send()
    assert (desk.states()["AAA"], desk.sent()) == (after, arrives)


def test_a_death_after_acceptance_is_recovered(wire: Desk) -> None:
    wire.router.plan(intents("AAA"), DAY_ONE)
    wire.ledger.set_state(order("AAA").id, OrderState.SENDING)
    wire.broker.place(order("AAA"))
    wire.restart()
    assert wire.send() == {}
    assert (wire.states()["AAA"], wire.sent()) == (OrderState.LIVE, ["AAA"])


def holding(desk: Desk, **shares: int) -> None:
    """The ledger and the broker both hold ``shares``."""
    lines = tuple(line(symbol, float(count)) for symbol, count in shares.items())
    row = session()
    desk.ledger.book_session(type(row)(BOOK, DAY_ONE, day(100_000.0, cash=desk.broker.cash, index=1.0), lines))
    desk.broker.held = dict(shares)


def test_halt_stops_new_risk_and_lets_reductions_pass(desk: Desk) -> None:
    holding(desk, AAA=10, BBB=-10, CCC=10)
    wanted = {"AAA": -10, "BBB": 10, "CCC": -11, "DDD": 5}
    desk.router.plan([Intent(order(symbol, shares), 10.0) for symbol, shares in wanted.items()], DAY_ONE)
    desk.switch.halt("testing the brake")
    assert desk.send() == {"AAA": LIVE, "BBB": LIVE, "CCC": DENIED, "DDD": DENIED}
    assert "testing the brake" in desk.ledger.order(order("DDD", 5).id).note
    assert "exo resume" in desk.ledger.order(order("DDD", 5).id).note


def test_a_halt_in_the_ledger_is_a_halt(desk: Desk) -> None:
    desk.ledger.halt("journaled")
    assert desk.send("AAA") == {"AAA": DENIED}


def test_a_halt_between_two_orders_stops_the_second(wire: Desk) -> None:
    place = wire.broker.place

    def halting(one: object, legs: object) -> object:
        wire.switch.halt("now")
        return place(one)  # type: ignore[arg-type]

    wire.broker.place = halting  # type: ignore[method-assign, assignment]
    assert wire.send("AAA", "BBB") == {"AAA": LIVE, "BBB": DENIED}


def test_reductions_pass_in_doubt_and_go_first(wire: Desk) -> None:
    holding(wire, ZZZ=10)
    wire.broker.faults["AAA"] = "lost"
    wire.router.plan([Intent(order("AAA"), 10.0), Intent(order("ZZZ", -10), math.nan)], DAY_ONE)
    assert list(wire.send().items()) == [("ZZZ", LIVE), ("AAA", UNKNOWN)]


def test_two_reductions_together_may_not_turn_the_position(desk: Desk) -> None:
    holding(desk, AAA=10)
    desk.switch.halt("only reductions")
    desk.router.plan([Intent(order("AAA", -10), 10.0), Intent(order("AAA", -10, leg=1), 10.0)], DAY_ONE)
    desk.router.open_gate()
    assert sorted(result.outcome for result in desk.router.submit(TRADES)) == [DENIED, LIVE]


def test_an_unknown_price_denies(desk: Desk) -> None:
    desk.router.plan(intents("AAA", price=math.nan), DAY_ONE)
    assert desk.send() == {"AAA": DENIED}
    assert "unknown" in desk.ledger.order(order("AAA").id).note


def test_an_unknown_amount_sent_is_above_any_limit(tmp_path: Path) -> None:
    desk = Desk(tmp_path, limits=SendLimits(max_notional=1e9))
    holding(desk, ZZZ=10)
    desk.router.plan([Intent(order("AAA"), 10.0), Intent(order("ZZZ", -10), math.nan)], DAY_ONE)
    assert desk.send() == {"ZZZ": LIVE, "AAA": DENIED}


@pytest.mark.parametrize("limits", [SendLimits(max_orders=2), SendLimits(max_notional=202.0)])
@pytest.mark.parametrize("proof", [False, True])
def test_daily_limits_survive_a_restart(tmp_path: Path, limits: SendLimits, proof: bool) -> None:
    desk = Desk(tmp_path, limits=limits, proof=proof)
    assert desk.send("AAA", "BBB") == {"AAA": LIVE, "BBB": LIVE}  # 2 × 10 × 10.1 USD: exactly the limit
    desk.restart()
    desk.router.plan([Intent(order("CCC", decided=DAY_ONE), 10.1)], DAY_ONE - timedelta(1))
    assert desk.send() == {"CCC": DENIED}
    assert "at most" in desk.ledger.order(order("CCC").id).note


@pytest.mark.parametrize("proof", [False, True])
def test_orders_of_a_minute_are_counted_from_the_journal_and_the_rest_waits(tmp_path: Path, proof: bool) -> None:
    at = datetime(2024, 5, 6, 20, 0, 30, tzinfo=UTC)
    desk = Desk(tmp_path, limits=SendLimits(per_minute=2), proof=proof, clock=lambda: at)
    holding(desk, YYY=10, ZZZ=10)
    desk.router.plan([Intent(order(name), 10.1) for name in ("AAA", "BBB", "CCC")], DAY_ONE)
    assert desk.send() == {"AAA": LIVE, "BBB": LIVE, "CCC": NOT_SENT}
    desk.restart()
    at += timedelta(seconds=59.9)
    desk.router.plan([Intent(order("YYY", -10, decided=DAY_ONE), 10.1)], DAY_ONE - timedelta(1))
    assert desk.send() == {"YYY": LIVE, "CCC": NOT_SENT}, "a reduction passes, and counts"
    assert desk.states()["CCC"] is OrderState.NEW
    (result,) = desk.router.submit(TRADES)
    assert result.note == "at most 2 orders per minute (sending.max_orders_per_minute); run again after 20:01:30 UTC"
    at += timedelta(seconds=0.1)
    assert desk.send() == {"CCC": LIVE}
    assert desk.sent().count("CCC") == 1


def test_a_break_locks_its_symbol(desk: Desk) -> None:
    holding(desk, AAA=10)
    desk.broker.held["BBB"] = 7
    assert desk.send("AAA", "BBB", "CCC") == {"AAA": LIVE, "BBB": DENIED, "CCC": LIVE}
    assert "ledger 0 shares, broker 7" in desk.ledger.order(order("BBB").id).note


def test_orders_of_a_session_that_passed_expire(desk: Desk) -> None:
    desk.router.plan(intents("AAA"), DAY_ONE)
    assert desk.router.expire(TRADES) == ()
    assert desk.router.expire(TRADES + timedelta(1)) == (order("AAA").id,)
    assert desk.send() == {}


def test_cancels_always_pass(wire: Desk) -> None:
    wire.send("AAA")
    wire.router.plan([Intent(order("BBB"), 1.0)], DAY_ONE - timedelta(1))
    wire.switch.halt("brake")
    wire.router.cancel(order("AAA").id)
    wire.router.cancel(order("BBB").id)
    assert wire.broker.cancels == [order("AAA").id]
    assert wire.states() == {"AAA": OrderState.LIVE, "BBB": OrderState.CANCELLED}, "a cancel is a wish until the broker says so"


FAULTS = st.sampled_from(["", "lost", "rejects", "not_sent", "times_out_after_accepting", "dies_before", "dies_after"])


class Dies(BaseException):
    """The process ends here."""


class AtMostOnce(RuleBasedStateMachine):
    """Plans, sends, deaths and restarts in any order."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.desk = Desk(Path(self.folder.name))
        self.planned = 0
        self.place = self.desk.broker.place

    @rule(faults=st.lists(FAULTS, min_size=1, max_size=3))
    def plan(self, faults: list[str]) -> None:
        decided = DAY_ONE - timedelta(self.planned)
        symbols = [f"S{self.planned}X{k}" for k in range(len(faults))]
        self.desk.broker.faults.update(zip(symbols, faults, strict=True))
        self.desk.router.plan([Intent(order(symbol), 10.0) for symbol in symbols], decided)
        self.planned += 1

    @rule()
    def submit(self) -> None:
        self.desk.broker.place = self._place  # type: ignore[method-assign]
        try:
            self.desk.send()
        except Dies:
            self.desk.restart()

    def _place(self, one: object, legs: object) -> object:
        fault = self.desk.broker.faults.get(one.symbol, "")  # type: ignore[attr-defined]
        if fault == "dies_before":
            self.desk.broker.faults[one.symbol] = ""  # type: ignore[attr-defined]
            raise Dies
        answer = self.place(one)  # type: ignore[arg-type]
        if fault == "dies_after":
            raise Dies
        return answer

    @precondition(lambda self: self.planned)
    @rule()
    def restart(self) -> None:
        self.desk.restart()

    @invariant()
    def never_twice(self) -> None:
        counts = Counter(one.id for one in self.desk.broker.arrived)
        assert all(count == 1 for count in counts.values())

    @invariant()
    def planned_before_sent(self) -> None:
        for one in self.desk.broker.arrived:
            row = self.desk.ledger.order(one.id)
            assert row.sends >= 1 and row.state is not OrderState.NEW

    @invariant()
    def no_new_risk_in_doubt(self) -> None:
        assert sum(state is OrderState.UNKNOWN for state in self.desk.states().values()) <= 1

    def teardown(self) -> None:
        assert self.desk.ledger.verify().sound
        self.desk.ledger.close()
        self.folder.cleanup()


TestAtMostOnce = AtMostOnce.TestCase
TestAtMostOnce.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
