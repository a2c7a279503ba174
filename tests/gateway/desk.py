"""Orders as they arrive at the gateway, with the faults that strike them, and what is told of them afterwards."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.gateway import messages as say
from tests.gateway.account import Execution, Ticket
from tests.gateway.answers import Answers
from tests.gateway.exchange import Exchange, Refused
from tests.gateway.faults import CANCEL, PLACE, REFUSALS, REMARKS, SYSTEM, Fault
from tests.gateway.session import Session
from tests.gateway.wire import HUGE, Fields, frame


class Desk(Answers):
    """Takes orders and cancels; tells who placed them what becomes of them."""

    def __init__(self, exchange: Exchange, keep: Path | None) -> None:
        super().__init__(exchange)
        exchange.watcher = self
        self.sent: Counter[str] = Counter()
        self.placed: list[Fields] = []
        self.held: list[tuple[Session, Fields]] = []
        self.away = False
        self._keep = keep
        if keep is not None and keep.exists():
            self._restore(json.loads(keep.read_text()))

    # What happens to the connections

    def drop(self, *, reset: bool = True) -> None:
        """Cut every connection."""
        with self.exchange.lock:
            for one in self.sessions:
                one.close(reset=reset)
            self.sessions.clear()

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

    def release(self) -> None:
        """Say what was late, take what was held."""
        with self.exchange.lock:
            late, self.late = self.late, []
            for session, message in late:
                session.write(frame(message))
            held, self.held = self.held, []
            for session, fields in held:
                self.used.get(session.client_id, set()).discard(int(fields[1]))
                self._take(session, fields, None)

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
        elif kind == "held":
            self.held.append((session, fields))
            self.used.setdefault(session.client_id, set()).add(order_id)
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
