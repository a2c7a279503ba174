"""Evenings of a real router, ledger and broker against a gateway, in processes that die at a named point.

``python gateway_child.py`` reads one evening a line (JSON) and forks a process for each, so that nothing has to be imported again. Its
answer is a line too: the signal or code the process ended with, and what it said.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ib_async.client import Client

from mech_exo.domain.errors import BrokerError, MechExoError
from mech_exo.domain.orders import Order, OrderReason, OrderState, OrderType
from mech_exo.execution import guard, ib, router, rows, sending
from mech_exo.execution.ib import IBBroker
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.protection import dress, plan_protection, resting_exits
from mech_exo.execution.rows import BookId, Intent
from mech_exo.execution.safety import HaltSwitch
from mech_exo.utils.broker_settings import GatewayRules

BOOK = BookId("DU1234567", "default")
RULES = GatewayRules(connect_seconds=3.0, answer_seconds=0.7, probe_seconds=0.4, acknowledge_seconds=0.3)
RULES = RULES.model_copy(update={"messages_per_second": 10_000})  # the pace is not what is tested here, and would be most of the time
ib.COMMISSION_SECONDS = 0.2
NOT_NOW = 3
IN_DOUBT = {OrderState.SENDING, OrderState.UNKNOWN}

POINTS: dict[str, tuple[type, str, str, Callable[..., bool]]] = {
    "connected": (IBBroker, "connect", "after", lambda *_: True),
    "looking": (IBBroker, "executions", "before", lambda *_: True),
    "looked": (IBBroker, "positions", "after", lambda *_: True),
    "gate passed": (router.OrderRouter, "open_gate", "after", lambda *_: True),
    "recording a fill": (Ledger, "record_fill", "before", lambda *_: True),
    "fill recorded": (Ledger, "record_fill", "after", lambda *_: True),
    "planned": (Ledger, "plan", "after", lambda *_: True),
    "protection planned": (Ledger, "protect", "after", lambda *_: True),
    "before SENDING": (router.OrderRouter, "_mark", "before", lambda self, family, state, *_: state is OrderState.SENDING),
    "SENDING committed": (router.OrderRouter, "_mark", "after", lambda self, family, state, *_: state is OrderState.SENDING),
    "probed": (router.OrderRouter, "_probe", "after", lambda *_: True),
    "before the wire": (Client, "placeOrder", "before", lambda *_: True),
    "on the wire": (Client, "placeOrder", "after", lambda *_: True),
    "acknowledged": (IBBroker, "place", "after", lambda *_: True),
    "LIVE committed": (router.OrderRouter, "_mark", "after", lambda self, family, state, *_: state is OrderState.LIVE),
    "before a cancel": (Client, "cancelOrder", "before", lambda *_: True),
    "cancel on the wire": (Client, "cancelOrder", "after", lambda *_: True),
    "before COMMIT": (Ledger, "_commit", "before", lambda *_: True),
    "committed but not marked": (guard.MarkFile, "write", "before", lambda *_: True),
    "committed and marked": (Ledger, "_commit", "after", lambda *_: True),
}
"""Where a process dies: before or after a call of a method, when its arguments are so."""


def arm(point: str, count: int) -> None:
    """Die at the ``count``-th pass of ``point``."""
    owner, name, when, wanted = POINTS[point]
    method = getattr(owner, name)
    left = [count]

    def dying(*args: Any, **named: Any) -> Any:
        strikes = wanted(*args, *named.values())
        left[0] -= strikes
        if strikes and not left[0] and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        value = method(*args, **named)
        if strikes and not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    setattr(owner, name, dying)


class Clock:
    """Stands, until it is told to go on."""

    def __init__(self, iso: str) -> None:
        self.now = datetime.fromisoformat(iso)

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Level:
    """A decided level of something held."""

    symbol: str
    stop: float | None
    target: float | None
    reason: OrderReason = OrderReason.HARD_STOP


def order(told: dict[str, Any]) -> Order:
    """A decided order of the task."""
    key = rows_key(told["symbol"], told["shares"], date.fromisoformat(told["session"]))
    return Order(
        key, told["symbol"], told["shares"], date.fromisoformat(told["session"]), OrderReason.REBALANCE, OrderType(told["type"]),
        told["stop"], told["target"], told["level"],
    )  # fmt: skip


def rows_key(symbol: str, shares: int, session: date) -> str:
    from mech_exo.domain.orders import OrderKey

    return OrderKey(BOOK.account, BOOK.strategy, session, symbol, "buy" if shares > 0 else "sell", "rebalance").id()


def evening(task: dict[str, Any]) -> dict[str, Any]:
    """Gate, plan, cancel what is replaced, send, protect; and look again until no order is in doubt."""
    home, clock = Path(task["home"]), Clock(task["now"])
    session, decided = date.fromisoformat(task["session"]), date.fromisoformat(task["decided"])
    switch = HaltSwitch(home, clock=clock)
    switch.arm()
    with Ledger.open(home / "ledger.sqlite", clock=clock) as ledger:
        broker = IBBroker(BOOK.account, False, RULES, port=task["port"], clock=clock)
        broker.connect()
        try:
            rules = sending.SendRules(pause=lambda seconds: time.sleep(seconds / 10))
            sender = router.OrderRouter(ledger, broker, BOOK, switch, rules=rules)
            report = settled(sender, ledger, clock)
            levels = [Level(**one) for one in task["levels"]]
            if not ledger.orders(BOOK, decided=decided):
                resting = resting_exits(ledger.orders(BOOK, states=rows.OPEN_STATES), report.orders)
                held = {one.symbol: one.shares for one in report.positions}
                dressed = dress(BOOK, [order(one) for one in task["orders"]], held, levels, resting)
                sender.plan([Intent(one, task["prices"][one.symbol]) for one in dressed], decided)
            notes = protect(sender, ledger, session, levels, report)
            report = settled(sender, ledger, clock)
            return {
                "now": clock.now.isoformat(), "breaks": [str(one) for one in report.breaks], "halted": ledger.is_halted or switch.state().halted,
                "states": {one.order.id: one.state.value for one in ledger.orders(BOOK, session=session)},
                "doubt": [one.order.id for one in ledger.orders(BOOK, states=IN_DOUBT)],
                "notes": notes,
            }  # fmt: skip
        finally:
            broker.close()


def settled(sender: router.OrderRouter, ledger: Ledger, clock: Clock) -> router.GateReport:
    """Pass the gate, and again a minute later while an order is in doubt."""
    report = sender.open_gate()
    for _ in range(4):
        if not ledger.orders(BOOK, states=IN_DOUBT):
            break
        clock.now += timedelta(seconds=61)
        report = sender.open_gate()
    return report


def protect(sender: router.OrderRouter, ledger: Ledger, session: date, levels: list[Level], report: router.GateReport) -> list[str]:
    """What rests is brought in step with what will be held, around the sending of tonight's orders."""
    tonight = ledger.orders(BOOK, session=session)
    orders = [one.order for one in tonight if one.state in rows.OPEN_STATES]
    resting = resting_exits(ledger.orders(BOOK, states=rows.OPEN_STATES), report.orders)
    held = {one.symbol: one.shares for one in report.positions}
    wanted = plan_protection(BOOK, session, levels, held, orders, resting, {one.order.id for one in tonight})
    if wanted:
        sender.withdraw(wanted)
    sent = (*sender.submit(session), *sender.protect(session, levels))
    return [f"{one.order_id} {one.symbol} {one.shares:+d} {one.outcome.value}: {one.note}" for one in sent]


def one_process(task: dict[str, Any], out: int) -> None:
    """The forked process: it ends with 0, :data:`NOT_NOW` when the broker did not answer, or not at all."""
    code = 0
    try:
        if task["point"]:
            arm(task["point"], task["count"])
        said: dict[str, Any] = evening(task)
    except BrokerError as error:
        code, said = NOT_NOW, {"error": error.message}
    except MechExoError as error:
        code, said = 1, {"error": f"{type(error).__name__}: {error.message}"}
    os.write(out, json.dumps(said).encode())
    os.close(out)
    os._exit(code)


def serve() -> None:
    """Fork a process for each line; answer when it has ended."""
    import traceback

    print("ready", flush=True)
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            try:
                one_process(json.loads(line), writing)
            except BaseException:  # noqa: BLE001  (whatever it was, the campaign shows it)
                os.write(writing, json.dumps({"error": traceback.format_exc()}).encode())
                os._exit(2)
        os.close(writing)
        said = b""
        while part := os.read(reading, 65536):
            said += part
        os.close(reading)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), "said": json.loads(said or b"{}")}), flush=True)


if __name__ == "__main__":
    serve()
