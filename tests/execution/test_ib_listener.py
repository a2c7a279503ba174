"""The receiving end without a socket: recorded frames of a real gateway, and messages in every order."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async.decoder import Decoder

from mech_exo.execution import ib_answers as answers
from mech_exo.execution.ib_instruments import Instruments
from mech_exo.execution.ib_link import UnreadMessages
from mech_exo.execution.ib_listener import Listener
from tests.execution.ib_desk import ACCOUNT
from tests.gateway import messages as say
from tests.gateway.account import Execution, Instrument, Ticket, stamp
from tests.gateway.wire import fields_of, frame

NOON = datetime(2024, 1, 3, 17, tzinfo=UTC)


class Ear:
    """A listener behind the library's own decoder."""

    def __init__(self, account: str = ACCOUNT, version: int = 178) -> None:
        self.listener = Listener(account, 17)
        self.version = version
        self._decoder = Decoder(self.listener, version)  # type: ignore[arg-type]
        self._decoder.logger = UnreadMessages(self.listener)  # type: ignore[assignment]

    def hear(self, *messages: Sequence[object]) -> None:
        """As it comes from the wire."""
        for message in messages:
            self._decoder.interpret(fields_of(frame(list(message))[4:]))


def recorded(path: Path) -> dict[str, list[list[str]]]:
    """The answers in a recording of rust-ibapi, by the name of the question."""
    found: dict[str, list[list[str]]] = {}
    name, answering = "", False
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("- name: "):
            name, answering = line.removeprefix("- name: "), False
            found[name] = []
        elif line.strip() == "responses:":
            answering = True
        elif answering and (raw := re.match(r'  - raw: (".*")', line)):
            text = json.loads(re.sub(r"\\0", r"\\u0000", raw[1]))
            found[name].append(text.split("\0")[:-1])
    return found


@pytest.fixture
def frames(shared: Callable[[str], Path]) -> dict[str, list[list[str]]]:
    return recorded(shared("data/api/ib/rust-ibapi_tws_interactions_v173.yaml"))


def test_the_clock_of_a_recorded_gateway(frames: dict[str, list[list[str]]]) -> None:
    ear = Ear("ACCOUNT_ID", 173)
    ask = ear.listener.begin("the time")
    ear.hear(*frames["server_time"])
    assert (ask.items, ask.ended) == ([1752606307], True)


def test_the_positions_of_a_recorded_gateway(frames: dict[str, list[list[str]]]) -> None:
    ear = Ear("ACCOUNT_ID", 173)
    ask = ear.listener.begin("positions")
    ear.hear(*frames["positions"][:-1])
    assert not ask.ended, "the end marker is the last message"
    ear.hear(frames["positions"][-1])
    assert ask.ended and ask.failure is None
    stock, future = (answers.position(Instruments(), *item) for item in ask.items)
    assert (stock.symbol, stock.shares, stock.average_cost, stock.instrument) == ("AAPL", -110, 201.8829709, "265598")
    assert (future.symbol, future.shares) == ("ES:FUT:637533641", 1), "no stock: under nobody's symbol"


def test_the_account_of_a_recorded_gateway(frames: dict[str, list[list[str]]]) -> None:
    ear = Ear("ACCOUNT_ID", 173)
    ask = ear.listener.begin("the account", 9000)
    ear.hear(*frames["account_summary"])
    values = {tag: answers.figure(value) for tag, value, currency in ask.items if currency == "USD"}
    assert ask.ended and (values["TotalCashValue"], values["NetLiquidation"]) == (269339.33, 246447.83)
    stranger = Ear("U7654321", 173)
    other = stranger.listener.begin("the account", 9000)
    stranger.hear(*frames["account_summary"])
    assert other.items == [], "figures of another account are not ours"


def an_execution(**terms: object) -> Execution:
    given = {"id": "0001.01.01", "perm_id": 5, "order_id": 3, "client_id": 17, "con_id": 265598, "account": ACCOUNT, "shares": 10, "price": 100.0,
             "cumulative": 10, "average": 100.0, "time": stamp(NOON), "commission": 1.0, "ref": "mx1-a"}  # fmt: skip
    return Execution(**(given | terms))  # type: ignore[arg-type]


def a_ticket(**terms: object) -> Ticket:
    given = {"order_id": 3, "client_id": 17, "perm_id": 5, "con_id": 265598, "account": ACCOUNT, "action": "BUY", "quantity": 10, "type": "MKT",
             "tif": "OPG", "ref": "mx1-a"}  # fmt: skip
    return Ticket(**(given | terms))  # type: ignore[arg-type]


AAPL = Instrument.of("AAPL")


@pytest.mark.parametrize(("told", "zone", "instant"), [
    ("20240103 17:00:00 UTC", None, NOON),
    ("20240103 12:00:00 US/Eastern", None, NOON),
    ("20240103  12:00:00", ZoneInfo("America/New_York"), NOON),
    ("20240103  12:00:00", None, None),
])  # fmt: skip
def test_a_time_is_read_by_its_zone_or_the_gateway_s_and_never_by_this_machine_s(
    told: str, zone: ZoneInfo | None, instant: datetime | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        ear = Ear()
        ear.listener.zone = zone
        ear.hear(say.execution(178, -1, AAPL, an_execution(time=told)))
        (traded,) = ear.listener.traded.values()
        assert traded.time == instant
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_fill_without_a_zone_is_no_answer() -> None:
    ear = Ear()
    ear.hear(say.execution(178, -1, AAPL, an_execution(time="20240103  12:00:00")))
    (traded,) = ear.listener.traded.values()
    with pytest.raises(answers.BrokerError, match="zone"):
        answers.fill(Instruments(), traded, 1.0)


@pytest.mark.parametrize(("instant", "session"), [
    ("20240103 23:30:00 UTC", "2024-01-03"), ("20240104 03:30:00 UTC", "2024-01-03"), ("20240104 05:30:00 UTC", "2024-01-04"),
    ("20240310 04:59:59 UTC", "2024-03-09"), ("20240310 05:00:00 UTC", "2024-03-10"), ("20240311 03:59:59 UTC", "2024-03-10"),
    ("20240311 04:00:00 UTC", "2024-03-11"), ("20241104 04:59:59 UTC", "2024-11-03"), ("20241104 05:00:00 UTC", "2024-11-04"),
])  # fmt: skip
def test_a_fill_belongs_to_the_new_york_day_it_was_made_on(instant: str, session: str) -> None:
    """Both changes of the clocks included."""
    ear = Ear()
    ear.hear(say.execution(178, -1, AAPL, an_execution(time=instant)))
    (traded,) = ear.listener.traded.values()
    assert str(answers.fill(Instruments(), traded, 1.0).session) == session


@given(st.permutations(range(7)), st.lists(st.integers(0, 6), max_size=6))
def test_messages_of_a_filled_order_in_any_order_and_number_say_the_same(order: list[int], again: list[int]) -> None:
    """Status before order, fill before status, anything twice: ten shares, once, and over."""
    waiting, filled = a_ticket(status="PreSubmitted"), a_ticket(status="Filled", filled=10, spent=1000.0)
    half = an_execution(id="0001.01.01", shares=4, cumulative=4)
    rest = an_execution(id="0002.01.01", shares=6)
    messages = [
        say.open_order(178, AAPL, waiting), say.order_status(waiting), say.open_order(178, AAPL, filled), say.order_status(filled),
        say.execution(178, -1, AAPL, half), say.execution(178, -1, AAPL, rest), say.commission(rest),
    ]  # fmt: skip
    ear = Ear()
    sent = ear.listener.sending("mx1-a", 3)
    ear.hear(*(messages[k] for k in (*order, *again)))
    assert sum(one.shares for one in ear.listener.traded.values()) == 10.0
    assert not ear.listener.needs_gate, "every message could be read"
    told = ear.listener.by_ref["mx1-a"]
    assert told.ended and told.status == "Filled" and (told.filled, told.perm_id) == (10.0, 5)
    assert sent.accepted and sent.perm_id == 5
    assert ear.listener.commissions == {"0002.01.01": 1.0}


def test_a_status_of_another_order_under_the_same_number_is_no_acknowledgement() -> None:
    """After a roll-back of ids an older order may carry a number that looks new; its lasting number is known to be another's."""
    ear = Ear()
    old = a_ticket(ref="mx1-old", perm_id=4, status="Submitted")
    ear.hear(say.open_order(178, AAPL, old))
    sent = ear.listener.sending("mx1-a", 3)
    ear.hear(say.order_status(old))
    assert sent.perm_id == 0 and not sent.decided


def test_the_same_number_of_another_client_is_another_order() -> None:
    ear = Ear()
    sent = ear.listener.sending("mx1-a", 3)
    ear.hear(say.order_status(a_ticket(client_id=5)))
    assert sent.perm_id == 0


def test_an_order_without_a_lasting_number_is_not_acknowledged() -> None:
    ear = Ear()
    sent = ear.listener.sending("mx1-a", 3)
    ear.hear(say.open_order(178, AAPL, a_ticket(perm_id=0)), say.order_status(a_ticket(perm_id=0, status="PendingSubmit")))
    assert not sent.decided


def test_inactive_waits_for_its_reason() -> None:
    ear = Ear()
    sent = ear.listener.sending("mx1-a", 3)
    ear.hear(say.open_order(178, AAPL, a_ticket(status="Inactive")), say.order_status(a_ticket(status="Inactive")))
    assert sent.perm_id == 5 and not sent.decided
    ear.hear(say.error(178, 3, 201, "Order rejected - reason: margin"))
    assert sent.refusal.startswith("201") and ear.listener.by_ref["mx1-a"].ended


def test_orders_and_fills_of_other_accounts_of_the_login_are_not_ours() -> None:
    ear = Ear()
    other = a_ticket(account="DU7654321", perm_id=9)
    ask = ear.listener.begin("open orders")
    ear.hear(say.open_order(178, AAPL, other), say.order_status(other), say.open_order_end())
    assert ear.listener.shown_open(ask) == [] and ear.listener.orders == {}
    ask = ear.listener.begin("executions", 7)
    foreign = an_execution(account="DU7654321")
    ear.hear(say.execution(178, 7, AAPL, foreign), say.commission(foreign), say.execution_end(7))
    ear.listener.check_commissions(ask)
    assert ask.ended and ear.listener.traded == {}


def test_a_commission_in_another_currency_is_unknown() -> None:
    ear = Ear()
    ear.hear(say.execution(178, -1, AAPL, an_execution()), [59, 1, "0001.01.01", "1.0", "EUR", "", "", ""])
    assert ear.listener.commissions == {}
    ear.hear([59, 1, "0001.01.01", "1.7976931348623157E308", "USD", "", "", ""])
    assert math.isnan(ear.listener.commissions["0001.01.01"])


def test_an_unreadable_message_is_told_without_its_content() -> None:
    ear = Ear()
    ask = ear.listener.begin("open orders")
    ear.hear(["5", ACCOUNT, "garbage"])
    assert ask.failure == (0, "a message of the gateway could not be read: 5") and ear.listener.needs_gate
