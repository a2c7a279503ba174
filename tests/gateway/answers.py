"""What the gateway answers to each question, and how a message is said: wholly, or as a fault will have it."""

from __future__ import annotations

from tests.gateway import messages as say
from tests.gateway.account import Execution, Ticket
from tests.gateway.exchange import Exchange, Refused
from tests.gateway.faults import REFUSALS, REMARKS, SAY, Faults
from tests.gateway.session import Session
from tests.gateway.wire import Fields, frame

Bar = tuple[str, float, float, float, float, float]


class Answers:
    """Questions about one account."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.faults = exchange, Faults()
        self.read_only = False
        self.bars: dict[str, list[Bar]] = {}
        self.sessions: list[Session] = []
        self.used: dict[int, set[int]] = {}
        self.late: list[tuple[Session, say.Message]] = []

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
