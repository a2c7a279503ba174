"""The gateway: listens, greets, answers each request, and passes on what happens at the exchange."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.gateway import messages as say
from tests.gateway.account import Execution, Ticket
from tests.gateway.exchange import SYMBOLS, Exchange, Refused
from tests.gateway.faults import CANCEL, PLACE, REFUSALS, REMARKS, SAY, SYSTEM, Fault, Faults
from tests.gateway.wire import HUGE, Fields, Frames, fields_of, frame

RATE = 50
"""Messages a second a client may send; one that exceeds it hears error 100 and is cut."""


class Session:
    """One connected client."""

    def __init__(self, link: socket.socket) -> None:
        self.link, self.client_id = link, -1
        self.version = 0
        self.closed = self.deaf = False
        self.portfolio = self.holdings = False
        self.times: deque[float] = deque()
        self.silenced: set[int] = set()
        """Orders whose acknowledgement is lost: nothing is said of them on this connection."""
        self.back: list[say.Message] = []
        """Messages held back, to be said after the next."""

    @property
    def alive(self) -> bool:
        """Whether its end of the connection still stands, even if the thread that reads it has not noticed."""
        if self.closed:
            return False
        try:
            return self.link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def write(self, data: bytes) -> None:
        """Bytes to the client; one that does not take them is gone."""
        if self.closed or self.deaf:
            return
        try:
            self.link.sendall(data)
        except OSError:
            self.close()

    def close(self, *, reset: bool = False) -> None:
        """End the connection, with a reset or a clean end."""
        self.closed = True
        with contextlib.suppress(OSError):
            if reset:
                self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.link.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)  # wakes the thread that reads
        if reset:
            self.link.close()


class FakeGateway:
    """A TWS gateway for one account, in a thread of this process.

    Parameters
    ----------
    version
        Server version it speaks, 157 to 178.
    account, cash
        Id and USD of the account.
    port
        0: any that is free.
    keep
        File that holds the state, written before anything is told of it; read when it is there.
    """

    def __init__(
        self, version: int = 178, account: str = "DU1234567", cash: float = 100_000.0, port: int = 0,
        symbols: tuple[str, ...] = SYMBOLS, keep: Path | None = None,
    ) -> None:  # fmt: skip
        self.version, self.port = version, port
        self.exchange = Exchange(account, cash, symbols)
        self.exchange.watcher = self
        self.faults = Faults()
        self.received: Counter[int] = Counter()
        self.placed: list[Fields] = []
        self.peak = 0
        self.rate = RATE
        self.read_only = False
        self.away = False
        self.bars: dict[str, list[tuple[str, float, float, float, float, float]]] = {}
        self.sessions: list[Session] = []
        self.sent: Counter[str] = Counter()
        self.used: dict[int, set[int]] = {}
        self.late: list[tuple[Session, say.Message]] = []
        self._keep = keep
        if keep is not None and keep.exists():
            self._restore(json.loads(keep.read_text()))
        self._heard = threading.Condition(self.exchange.lock)
        self._listener: socket.socket | None = None
        self._answers: dict[int, Callable[[Session, Fields], None]] = {
            1: self._market_data, 3: self._place, 4: self._cancel, 5: self._open_orders, 6: self._account, 7: self._executions,
            8: self._ids, 9: self._details, 16: self._open_orders, 17: self._accounts, 20: self._history, 49: self._time, 58: self._global_cancel,
            61: self._positions, 62: self._summary, 64: self._no_positions, 71: self._start, 76: self._account_multi, 99: self._completed,
        }  # fmt: skip

    # Its life

    def __enter__(self) -> FakeGateway:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()

    def up(self) -> None:
        """Listen, at the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True, name="gateway").start()

    def down(self) -> None:
        """Nobody listens: a client is refused (its own error 502). Connections end."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.drop(reset=False)

    def drop(self, *, reset: bool = True) -> None:
        """Cut every connection."""
        with self.exchange.lock:
            for one in self.sessions:
                one.close(reset=reset)
            self.sessions.clear()
            self._heard.notify_all()

    def freeze(self) -> None:
        """Every connection stands, and nobody is behind it."""
        with self.exchange.lock:
            for one in self.sessions:
                one.deaf = True

    def restart(self) -> None:
        """The nightly restart: connections end, order ids begin anew, what was never transmitted is gone."""
        with self.exchange.lock:
            self.drop(reset=False)
            self.roll_back_ids()
            self.exchange.drop_untransmitted()
            self.away = False

    def roll_back_ids(self) -> None:
        """Order ids begin at 1 again: nextValidId says so, and an old id is as good as new."""
        with self.exchange.lock:
            self.used.clear()

    def lose_server(self, code: int = 1100) -> None:
        """The gateway lives, what is behind it does not answer: nothing is told, no order gets through."""
        with self.exchange.lock:
            self.announce(code)
            self.away = True

    def regain_server(self, *, kept: bool = True) -> None:
        """Back, with what was subscribed (1102) or without (1101). What happened meanwhile is not told by itself."""
        with self.exchange.lock:
            self.away = False
            self.announce(1102 if kept else 1101)

    def announce(self, code: int, words: str | None = None) -> None:
        """A message of the system to every client."""
        with self.exchange.lock:
            for one in list(self.sessions):
                self._say(one, say.error(one.version, -1, code, words or SYSTEM[code]))

    def pace(self, rate: int) -> None:
        """So many messages a second before a client is cut."""
        self.rate = rate

    def mute(self, message_id: int, times: int | None = None) -> None:
        """That message is not said, ``times`` or for good (until ``faults.clear()``)."""
        self.faults.add("mute", message=message_id, times=times)

    def release(self) -> None:
        """Say what was late."""
        with self.exchange.lock:
            held, self.late = self.late, []
            for session, message in held:
                session.write(frame(message))

    # What a test asks

    def sends(self, ref: str) -> int:
        """How often an order of that reference arrived, whatever became of it."""
        return self.sent[ref]

    def accepted(self, ref: str) -> int:
        """How often one was taken."""
        return self.exchange.accepted[ref]

    def wait(self, condition: Callable[[FakeGateway], bool], seconds: float = 20.0) -> None:
        """Until the condition holds; it is looked at after each request. TimeoutError if it never does."""
        with self._heard:
            if not self._heard.wait_for(lambda: condition(self), seconds):
                raise TimeoutError(f"the gateway was not as awaited within {seconds} s")

    # Connections

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 5, 0))
            session = Session(link)
            with self.exchange.lock:
                self.sessions.append(session)
            threading.Thread(target=self._serve, args=(session,), daemon=True, name="gateway client").start()

    def _serve(self, session: Session) -> None:
        frames = Frames()
        greeted = False
        with contextlib.suppress(OSError):
            while data := session.link.recv(65536):
                for body in frames.feed(data if greeted else data.removeprefix(b"API\0")):
                    with self._heard:
                        if session.deaf or session.closed:
                            continue
                        if greeted:
                            self._handle(session, fields_of(body))
                        else:
                            greeted = self._greet(session, body)
                        self._heard.notify_all()
        with self._heard:
            session.closed = True
            if session in self.sessions:
                self.sessions.remove(session)
            self._heard.notify_all()
        session.link.close()

    def _greet(self, session: Session, body: bytes) -> bool:
        """Agree on a version; a stranger is shown the door."""
        offered = re.match(rb"v\d+\.\.(\d+)", body)
        if offered is None:
            session.close()
            return False
        session.version = min(self.version, int(offered[1]))
        session.write(frame([session.version, f"{self.exchange.clock():%Y%m%d %H:%M:%S} UTC"]))
        return True

    def _handle(self, session: Session, fields: Fields) -> None:
        number = int(fields[0])
        self.received[number] += 1
        if self._too_fast(session):
            session.write(frame(say.error(session.version, -1, 100, "Max rate of messages per second has been exceeded:max=50 rec=51 (1)")))
            session.close()
            return
        answer = self._answers.get(number)
        if answer is not None:
            answer(session, fields)

    def _too_fast(self, session: Session) -> bool:
        now = time.monotonic()
        session.times.append(now)
        while now - session.times[0] >= 1.0:
            session.times.popleft()
        self.peak = max(self.peak, len(session.times))
        return len(session.times) > self.rate

    def _say(self, session: Session, *told: say.Message) -> None:
        for message in told:
            number = int(str(message[0]))
            fault = self.faults.strikes(SAY, message=number)
            kind = fault.kind if fault else ""
            if kind == "cut":
                session.close(reset=True)
            elif kind == "late":
                self.late.append((session, message))
            elif kind == "reorder":
                session.back.append(message)
            elif kind != "mute":
                for _ in range(2 if kind == "duplicate" else 1):
                    session.write(frame(message[: len(message) // 2] if kind == "garble" else message))
                held, session.back = session.back, []
                for one in held:
                    session.write(frame(one))

    # Answers

    def _start(self, session: Session, fields: Fields) -> None:
        wanted = int(fields[2])
        if any(one.client_id == wanted and one.alive for one in self.sessions):
            session.write(frame(say.error(session.version, -1, 326, "Unable to connect as the client id is already in use.")))
            session.close()
            return
        session.client_id = wanted
        self._accounts(session, fields)
        self._ids(session, fields)
        for code, farm in ((2104, "Market data farm connection is OK:usfarm"), (2106, "HMDS data farm connection is OK:ushmds"),
                           (2158, "Sec-def data farm connection is OK:secdefil")):  # fmt: skip
            self._say(session, say.error(session.version, -1, code, farm))

    def _accounts(self, session: Session, fields: Fields) -> None:
        self._say(session, say.managed_accounts(self.exchange.account))

    def _ids(self, session: Session, fields: Fields) -> None:
        self._say(session, say.next_valid_id(max(self.used.get(session.client_id, {0})) + 1))

    def _time(self, session: Session, fields: Fields) -> None:
        self._say(session, say.current_time(int(self.exchange.clock().timestamp())))

    def _positions(self, session: Session, fields: Fields) -> None:
        session.holdings = True
        for con_id in self.exchange.holdings:
            self._say_position(session, con_id)
        self._say(session, say.position_end())

    def _say_position(self, session: Session, con_id: int) -> None:
        held = self.exchange.holdings[con_id]
        self._say(session, say.position(self.exchange.account, self.exchange.instruments[con_id], held.shares, held.average))

    def _no_positions(self, session: Session, fields: Fields) -> None:
        session.holdings = False

    def _values(self) -> dict[str, str]:
        nav, cash = self.exchange.nav, self.exchange.cash
        gross = sum(abs(one.shares) * self.exchange.mark(con_id) for con_id, one in self.exchange.holdings.items())
        return {"NetLiquidation": f"{nav:.2f}", "TotalCashValue": f"{cash:.2f}", "TotalCashBalance": f"{cash:.2f}",
                "AvailableFunds": f"{cash:.2f}", "GrossPositionValue": f"{gross:.2f}"}  # fmt: skip

    def _account(self, session: Session, fields: Fields) -> None:
        session.portfolio = fields[2] == "1"
        account = self.exchange.account
        if not session.portfolio:
            return
        self._say(session, say.account_value("AccountReady", "true", "", account))
        for key, value in self._values().items():
            self._say(session, say.account_value(key, value, "USD", account))
        for con_id in self.exchange.holdings:
            self._say_portfolio(session, con_id)
        self._say(session, say.account_time(self.exchange.clock()), say.account_end(account))

    def _say_portfolio(self, session: Session, con_id: int) -> None:
        held, one = self.exchange.holdings[con_id], self.exchange.instruments[con_id]
        self._say(session, say.portfolio_value(self.exchange.account, one, held.shares, self.exchange.mark(con_id), held.average))

    def _account_multi(self, session: Session, fields: Fields) -> None:
        request = int(fields[2])
        for key, value in self._values().items():
            self._say(session, say.account_value_multi(request, self.exchange.account, key, value, "USD"))
        self._say(session, say.account_multi_end(request))

    def _summary(self, session: Session, fields: Fields) -> None:
        request, wanted = int(fields[2]), fields[4].split(",")
        for key, value in sorted(self._values().items()):
            if key in wanted:
                self._say(session, say.account_summary(request, self.exchange.account, key, value, "USD"))
        self._say(session, say.account_summary_end(request))

    def _open_orders(self, session: Session, fields: Fields) -> None:
        if self._only_reads(session):
            return
        own = fields[0] == "5"
        for ticket in self.exchange.orders(live=True):
            if not own or ticket.client_id == session.client_id:
                self._say_order(session, ticket)
        self._say(session, say.open_order_end())

    def _say_order(self, session: Session, ticket: Ticket) -> None:
        one = self.exchange.instruments[ticket.con_id]
        self._say(session, say.open_order(session.version, one, ticket), say.order_status(ticket))

    def _only_reads(self, session: Session) -> bool:
        """Whether the interface is read-only: orders are not even listed then, and their lists never end."""
        if self.read_only:
            self._say(session, say.error(session.version, -1, 321, REFUSALS[321]))
        return self.read_only

    def _completed(self, session: Session, fields: Fields) -> None:
        if self._only_reads(session):
            return
        for ticket in self.exchange.orders():
            if not ticket.live:
                self._say(session, say.completed_order(session.version, self.exchange.instruments[ticket.con_id], ticket))
        self._say(session, say.completed_orders_end())

    def _executions(self, session: Session, fields: Fields) -> None:
        request = int(fields[2])
        for done in self.exchange.executions.values():
            self._say_execution(session, request, done)
        self._say(session, say.execution_end(request))

    def _say_execution(self, session: Session, request: int, done: Execution) -> None:
        self._say(session, say.execution(session.version, request, self.exchange.instruments[done.con_id], done))
        if done.commission is not None:
            self._say(session, say.commission(done))

    def _details(self, session: Session, fields: Fields) -> None:
        request, con_id, symbol = int(fields[2]), int(fields[3] or 0), fields[4]
        try:
            one = self.exchange.instrument(con_id or symbol)
        except Refused as no:
            self._say(session, say.error(session.version, request, no.code, no.words))
            return
        self._say(session, say.contract_details(session.version, request, one), say.contract_details_end(request))

    def _market_data(self, session: Session, fields: Fields) -> None:
        self._say(session, say.error(session.version, int(fields[2]), 354, REMARKS[354]))

    def _history(self, session: Session, fields: Fields) -> None:
        request = int(fields[1])
        bars = self.bars.get(self.exchange.instrument(int(fields[2] or 0) or fields[3]).symbol)
        if not bars:
            words = "Historical Market Data Service error message:HMDS query returned no data"
            self._say(session, say.error(session.version, request, 162, words))
            return
        self._say(session, say.historical_data(request, bars))

    # Orders

    def _place(self, session: Session, fields: Fields) -> None:
        ref, order_id = fields[26], int(fields[1])
        self.sent[ref] += 1
        self.placed.append(fields)
        fault = self.faults.strikes(PLACE, ref=ref)
        kind = fault.kind if fault else ""
        if kind == "cut_before_accept":
            session.close(reset=True)
        elif kind == "half_open":
            session.deaf = True
        elif kind == "throttle":
            session.write(frame(say.error(session.version, -1, 100, "Max rate of messages per second has been exceeded:max=50 rec=51 (1)")))
            session.close()
        elif kind == "server_lost":
            self.lose_server()
        elif kind == "restart":
            self.restart()
        elif fault and kind == "error" and fault.code in REFUSALS:
            self._say(session, say.error(session.version, order_id, fault.code, REFUSALS[fault.code].format(id=order_id)))
        elif kind != "lost_order" and not self.away:
            self._take(session, fields, fault)

    def _take(self, session: Session, fields: Fields, fault: Fault | None) -> None:
        order_id = int(fields[1])
        kind = fault.kind if fault else ""
        if kind == "cut_after_accept":
            session.deaf = True
        if kind == "lost_ack":
            session.silenced.add(order_id)
        if kind == "huge_frame":
            session.write(HUGE)
        try:
            ticket = self._ordered(session, fields)
        except Refused as no:
            self._say(session, say.error(session.version, order_id, no.code, no.words))
            return
        if kind == "cut_after_accept":
            session.close(reset=True)
        elif fault and kind == "error":
            words = REMARKS[fault.code].format(id=order_id, perm=ticket.perm_id)
            if fault.code == 202:
                self.exchange.cancel(ticket)
            self._say(session, say.error(session.version, order_id, fault.code, words))

    def _ordered(self, session: Session, fields: Fields) -> Ticket:
        """Read an order: a new one, or new terms of a live one with the same id."""
        order_id, later = int(fields[1]), session.version < 177
        if self.read_only:
            raise Refused(321, REFUSALS[321])
        quantity = float(fields[17].replace("Infinite", "inf"))
        if not (quantity > 0 and quantity.is_integer()):
            raise Refused(321, f"Error validating request.-'bN' : cause - Invalid order size {fields[17]}")
        prices = {"LMT": ("limit",), "STP": ("aux",), "STP LMT": ("limit", "aux")}.get(fields[18], ())
        limit = float(fields[19]) if "limit" in prices else None
        aux = float(fields[20]) if "aux" in prices else None
        live = self._live(session.client_id, order_id)
        if live is not None:
            self.exchange.modify(live, int(quantity), limit, aux)
            return live
        if order_id in self.used.setdefault(session.client_id, set()):
            raise Refused(103, REFUSALS[103])
        one = self.exchange.instrument(int(fields[2] or 0) or fields[3])
        self.used[session.client_id].add(order_id)
        return self.exchange.place(Ticket(
            order_id, session.client_id, 0, one.con_id, fields[23] or self.exchange.account, fields[16], int(quantity), fields[18], limit, aux,
            fields[21] or "DAY", fields[22], int(fields[46 + later] or 0), fields[26], int(fields[28] or 0), fields[27] == "1", fields[37],
            fields[33] == "1",
        ))  # fmt: skip

    def _live(self, client_id: int, order_id: int) -> Ticket | None:
        own = (one for one in self.exchange.tickets.values() if (one.client_id, one.order_id) == (client_id, order_id))
        return next((one for one in own if one.live or not one.transmit), None)

    def _cancel(self, session: Session, fields: Fields) -> None:
        order_id = int(fields[2])
        own = [one for one in self.exchange.tickets.values() if (one.client_id, one.order_id) == (session.client_id, order_id)]
        ticket = next((one for one in own if one.live), own[-1] if own else None)
        fault = self.faults.strikes(CANCEL, ref=ticket.ref if ticket else None)
        if fault and fault.kind == "lost_cancel":
            return
        if fault:
            words = (REMARKS | REFUSALS)[fault.code].format(id=order_id, perm=ticket.perm_id if ticket else 0)
            self._say(session, say.error(session.version, order_id, fault.code, words))
            return
        if self.away:
            return
        if ticket is None:
            self._say(session, say.error(session.version, order_id, 10147, REMARKS[10147].format(id=order_id)))
            return
        try:
            self.exchange.cancel(ticket)
        except Refused as no:
            self._say(session, say.error(session.version, order_id, no.code, no.words))

    def _global_cancel(self, session: Session, fields: Fields) -> None:
        for ticket in self.exchange.orders(live=True):
            if ticket.live:
                self.exchange.cancel(ticket)

    # What happens at the exchange

    def _owners(self, client_id: int) -> list[Session]:
        return [] if self.away else [one for one in self.sessions if one.client_id in (client_id, 0)]

    def order_changed(self, ticket: Ticket) -> None:
        """Its owner hears of an order; of a cancel as an error too."""
        self.save()
        for session in self._owners(ticket.client_id):
            if ticket.order_id in session.silenced and ticket.client_id == session.client_id:
                continue
            if ticket.status == "Cancelled":
                self._say(session, say.order_status(ticket), say.error(session.version, ticket.order_id, 202, ticket.ended_as))
            else:
                self._say_order(session, ticket)

    def executed(self, done: Execution) -> None:
        """Its owner hears of a fill; whoever follows the account sees the new position."""
        self.save()
        for session in self._owners(done.client_id):
            self._say_execution(session, -1, done)
        for session in [] if self.away else list(self.sessions):
            if session.holdings:
                self._say_position(session, done.con_id)
            if session.portfolio:
                self._say_portfolio(session, done.con_id)

    # A process of its own keeps this in a file

    def save(self) -> None:
        """Write the state, whole or not at all; nothing without a file to keep it in."""
        if self._keep is None:
            return
        with self.exchange.lock:
            used = {str(key): sorted(one) for key, one in self.used.items()}
            words = json.dumps({"exchange": self.exchange.state(), "sent": dict(self.sent), "used": used})
        fresh = self._keep.with_suffix(".new")
        fresh.write_text(words)
        fresh.replace(self._keep)

    def _restore(self, state: dict[str, Any]) -> None:
        self.exchange.restore(state["exchange"])
        self.sent = Counter(state["sent"])
        self.used = {int(key): set(one) for key, one in state["used"].items()}
