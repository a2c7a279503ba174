"""A book, its router and a broker through days of faults, kills and restarts; what must hold is checked at the socket and after every pass.

Everything follows from one seed: a violation names it, and ``World(seed, folder).run()`` shows it again. The checks know nothing of the
router's own rules: they compare the journal with what is true at the broker.

Long because the world and its checks follow one seed: a part in another file could not be shown again by it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderState, OrderType
from mech_exo.execution.breaks import BreakKind, GateReport
from mech_exo.execution.broker import BrokerOrder, BrokerOrderState
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.ledger_tables import NAMES
from mech_exo.execution.protection import dress, plan_protection, resting_exits
from mech_exo.execution.reconcile import accept, expected
from mech_exo.execution.router import OrderRouter
from mech_exo.execution.rows import OPEN_STATES, Intent, SessionRow, StateChange
from mech_exo.execution.safety import HaltSwitch
from mech_exo.execution.sending import SendLimits, SendRules
from mech_exo.utils.calendar import next_session
from tests.execution.ledger_rows import BOOK, day, line
from tests.faults.router_model import NEW_YORK, PRICE, QUESTIONS, QUIET, ROUGH, Killed, ModelBroker

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")
FIRST = date(2024, 3, 4)
DAYS = 4
NAMED = (
    "probe", "place, before it leaves", "place, after it was taken", "cancel", *(f"ask {what}" for what in QUESTIONS),
    *(f"{where} the commit of {what}" for where in ("before", "after")
      for what in ("plan", "sending", "live", "unknown", "rejected", "new", "fill", "protection", "unseen", "abandoned", "halt", "filled")),
)  # fmt: skip
"""Where the process may end."""
OFTEN = (*NAMED[:9], *(name for name in NAMED[9:] if name.rpartition(" ")[2] in ("sending", "live", "unknown", "protection", "fill")))
"""Where it comes by in most passes."""
SETTLED = (BreakKind.MISSING_ORDER, BreakKind.FOREIGN_ORDER)
S = OrderState


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A decided level."""

    symbol: str
    stop: float | None
    target: float | None
    reason: OrderReason = OrderReason.HARD_STOP


class DyingLedger(Ledger):
    """A ledger whose process may end before and after each commit; not synced, as only the process dies here and never the machine."""

    world: World
    written: tuple[str, ...] = ()

    def append(self, row: object, key: str) -> None:
        what = row.state.value if isinstance(row, StateChange) else NAMES[type(row)]
        self.written = tuple(dict.fromkeys((*self.written, what)))
        super().append(row, key)

    def _commit(self) -> None:
        written, self.written = self.written, ()
        for what in written:
            self.world.point(f"before the commit of {what}")
        super()._commit()
        for what in written:
            self.world.point(f"after the commit of {what}")


class World:
    """One seed's days."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.chance, self.folder = seed, Random(seed), folder
        self.model = ModelBroker(self.chance, BOOK.account, datetime(2024, 3, 1, tzinfo=NEW_YORK), self.point, self.watch)
        self.limits = SendLimits(max_orders=self.chance.choice((4, 7, 500)))
        self.states: dict[str, OrderState] = {}
        self.kill: tuple[str, int] | None = None
        self.checked: object = None
        self.known: tuple[int, Mapping[str, int]] = (-1, {})
        self.day, self.session = FIRST, next_session(FIRST)
        self.tonight: tuple[Order, ...] = ()
        self.levels: tuple[Guard, ...] = ()
        self.ledger: DyingLedger | None = None
        self.restart()

    @property
    def faults(self) -> Counter[str]:
        """Every fault delivered."""
        return self.model.faults

    def run(self) -> Counter[str]:
        """Live through the days; Violation when something does not hold."""
        self._book()
        for _ in range(DAYS):
            self.model.evening_of(self.day)
            self._evening()
            self.day = self.session
            self.session = next_session(self.day)
            self._trade()
        verified = self.ledger.verify()
        self.demand(verified.sound, f"the ledger is unsound: {verified.faults}")
        self.ledger.close()
        return self.faults

    # --- the process

    def restart(self) -> None:
        """A new process: everything but ledger, HALT file and broker is forgotten."""
        if self.ledger is not None:
            self.ledger.close()
        self.ledger = DyingLedger.open(self.folder / "ledger.sqlite", clock=lambda: self.model.at)
        self.ledger.world = self
        self.ledger._connection.execute("PRAGMA synchronous = OFF")
        self.switch = HaltSwitch(self.folder)
        rules = SendRules(pause=self._pause)
        self.router = OrderRouter(self.ledger, self.model, BOOK, self.switch, self.limits, rules)
        self.model.answered.clear()
        if self.chance.random() < 0.3 and self.model.number > 3:
            self.model.number -= 3
            self.model.happens("ids rolled back")

    def _pause(self, seconds: float) -> None:
        self.model.at += timedelta(seconds=seconds)

    def point(self, name: str) -> None:
        """Where the process ends, if it was told to."""
        if self.kill is not None and self.kill[0] == name:
            left = self.kill[1] - 1
            self.kill = (name, left)
            if left <= 0:
                self.kill = None
                self.model.happens(f"killed: {name}")
                raise Killed(name)

    def safely(self, step: object) -> bool:
        """Do ``step``; True when it went through. A kill or a broker that does not answer ends the process."""
        try:
            step()
        except Killed:
            self.restart()
            return False
        except BrokerError:
            if self.chance.random() < 0.5:
                self.restart()
            return False
        finally:
            self.check()
        return True

    # --- an evening

    def _evening(self) -> None:
        self._decide()
        self.router.expire(self.session)
        for _ in range(self.chance.randint(6, 12)):
            self._arm()
            self.safely(self._pass)
            self._mischief()
            self.model.at += timedelta(seconds=self.chance.choice((1, 20, 61)))
        self._disarm()
        if self.chance.random() < 0.9:
            self._heal()
        else:  # nobody looks into it; the fills of the day are told for the last time
            self.model.at += timedelta(minutes=40)
            self.safely(self.router.open_gate)

    def _pass(self) -> None:
        report = self.router.open_gate()
        self._plan(report)
        rows = self.ledger.orders(BOOK, states=OPEN_STATES)
        held = {one.symbol: one.shares for one in report.positions}
        going = [row.order for row in self.ledger.orders(BOOK, session=self.session) if row.state in OPEN_STATES]
        used = self.ledger.used_ids(BOOK, self.session)
        resting = resting_exits(rows, report.orders)
        plan = plan_protection(BOOK, self.session, self.levels, held, going, resting, used)
        self.router.withdraw(plan)
        self.router.submit(self.session)
        self.router.protect(self.session, self.levels)

    def _plan(self, report: GateReport) -> None:
        if any(not row.order.rests for row in self.ledger.orders(BOOK, decided=self.day)):
            return
        held = {one.symbol: one.shares for one in report.positions}
        resting = resting_exits(self.ledger.orders(BOOK, states=OPEN_STATES), report.orders)
        orders = dress(BOOK, self.tonight, held, self.levels, resting)
        self.router.plan([Intent(order, PRICE) for order in orders], self.day)

    def _decide(self) -> None:
        """Tonight's orders and levels, from what the ledger accounts for."""
        shares = expected(self.ledger, BOOK).shares
        orders = []
        for symbol in SYMBOLS:
            wanted = self._wish(shares.get(symbol, 0))
            if wanted:
                side = "buy" if wanted > 0 else "sell"
                id_ = OrderKey(BOOK.account, BOOK.strategy, self.session, symbol, side, "rebalance").id()
                levels = (90.0, 130.0 if self.chance.random() < 0.5 else None) if wanted > 0 else (110.0, None)
                orders.append(Order(id_, symbol, wanted, self.session, OrderReason.REBALANCE, stop_level=levels[0], target_level=levels[1]))
        self.tonight = tuple(orders)
        before = {guard.symbol: guard for guard in self.levels}
        self.levels = tuple(self._level(symbol, count, before.get(symbol)) for symbol, count in sorted(shares.items()))

    def _wish(self, held: int) -> int:
        kind = self.chance.random()
        if not held:
            return self.chance.choice((6, 10, -8)) if kind < 0.7 else 0
        sign = 1 if held > 0 else -1
        if kind < 0.2:
            return -held
        if kind < 0.4:
            return -sign * max(1, abs(held) // 2)
        if kind < 0.55:
            return sign * 4
        return -held - sign * 3 if kind < 0.6 else 0

    def _level(self, symbol: str, held: int, before: Guard | None) -> Guard:
        stop = 90.0 if held > 0 else 110.0
        if before is not None and before.stop is not None and (before.stop < PRICE) == (held > 0) and self.chance.random() < 0.6:
            return before
        return Guard(symbol, stop + self.chance.choice((0.0, 0.5, 1.25)), self.chance.choice((None, 130.0 if held > 0 else 70.0)))

    def _arm(self) -> None:
        """What may go wrong in the next pass."""
        self._disarm()
        self.model.repeats = self.chance.choice((0, 3))
        self.model.odds = ROUGH if self.chance.random() < 0.8 else QUIET
        if self.chance.random() < 0.8:
            self.kill = (self.chance.choice(NAMED if self.chance.random() < 0.4 else OFTEN), self.chance.choice((1, 1, 2, 3)))
        for what, odds in (("probe", 0.05), ("moves", 0.1), ("corrections out of order", 0.7)):
            if self.chance.random() < odds:
                self.model.armed[what] = "armed"
        if self.chance.random() < 0.25:
            self.model.armed[self.chance.choice(QUESTIONS)] = "armed"
        if self.chance.random() < 0.1:
            self.model.deaf_cancels = self.chance.choice((1, 2))

    def _disarm(self) -> None:
        self.kill, self.model.odds, self.model.deaf_cancels, self.model.repeats = None, QUIET, 0, 0
        self.model.armed.clear()

    def _mischief(self) -> None:
        """What others do meanwhile."""
        kind, symbol = self.chance.random(), self.chance.choice(SYMBOLS)
        if kind < 0.04:
            self.model.happens("a trade by hand")
            self.model.trade_by_hand(symbol, self.chance.choice((-3, 5)))
        elif kind < 0.08:
            self.model.happens("a foreign order")
            self.model.foreign[symbol] = BrokerOrder("", f"f-{symbol}", symbol, 5, BrokerOrderState.OPEN)
        elif kind < 0.10:
            self.model.happens("an order of ours without a journal")
            self.model.foreign["lost"] = BrokerOrder("mx1-nobody-planned-this", "f-lost", symbol, 5, BrokerOrderState.OPEN)
        elif kind < 0.12 and self.model.held[symbol]:
            self.model.happens("a split")
            self.model.split(symbol, 2)
        elif kind < 0.14:
            self.switch.halt("by hand")
        elif kind < 0.20:
            filled = [told for told in self.model.told if told.fill.session == self.model.today and told.fill.order_id and told.former is None]
            if filled:
                self.model.happens("an execution corrected")
                told = self.chance.choice(filled)
                less = self.chance.random() < 0.5 and abs(told.fill.shares) > 1
                shares = told.fill.shares - (1 if told.fill.shares > 0 else -1) if less else told.fill.shares
                self.model.correct(told, shares=shares, price=told.fill.price + 0.25)

    # --- a session and the evening after it, before it is booked

    def _trade(self) -> None:
        self.tonight = ()
        self.model.trade_day(self.day)
        self.model.evening_of(self.day)
        for _ in range(self.chance.randint(1, 4)):
            self._arm()
            self.safely(self.router.open_gate)
            self._mischief()
        self._disarm()
        self.model.at += timedelta(minutes=40)
        self._heal()
        self._book()

    def _book(self) -> None:
        """Book the session as the ledger accounts for it."""
        wanted = expected(self.ledger, BOOK)
        cash = self.model.cash if math.isnan(wanted.cash) else wanted.cash
        lines = tuple(line(symbol, float(count)) for symbol, count in sorted(wanted.shares.items()))
        self.ledger.book_session(SessionRow(BOOK, self.day, day(cash + PRICE * sum(wanted.shares.values()), cash=cash), lines))

    # --- the operator, and what must hold once everything answers

    def _heal(self) -> None:
        """Nothing goes wrong any more: doubt ends or is settled, differences are accepted, and a second look changes nothing."""
        self.safely(self.router.open_gate)
        for _ in range(3):
            if self.ledger.orders(BOOK, states={S.UNKNOWN}):
                self.model.at += timedelta(seconds=61)
                self.safely(self.router.open_gate)
        self.model.at += timedelta(seconds=420)
        self._operate()
        report = self.router.open_gate()
        bad = [found for found in report.breaks if not found.harmless]
        self.demand(not bad, f"after the repair there still is {bad}")
        rows = self.ledger.verify().rows if self.chance.random() < 0.02 else self.ledger._head.seq
        self.router.open_gate()
        self.demand(rows == self.ledger._head.seq, "a second gate changed the journal")
        self.check()
        shares = expected(self.ledger, BOOK).shares
        self.demand(shares == {s: n for s, n in self.model.held.items() if n}, f"ledger {shares} and broker {self.model.held} differ")
        for id_, one in self.model.taken.items():
            self.demand(self.ledger.order(id_).filled == one.filled, f"{id_}: fills differ")
        if self.chance.random() < 0.7 and self.model.at.astimezone(NEW_YORK).date() == self.day and self.tonight:
            self._protected()

    def _operate(self) -> None:
        """What `exo reconcile`, `exo ledger settle` and `exo resume` are for."""
        self.model.foreign.clear()
        report = self.router.open_gate()
        self.check()
        for _ in range(3):
            for row in self.ledger.orders(BOOK, states={S.UNKNOWN}):
                self.demand(not self.model.accepted[row.order.id], f"{row.order.id} is at the broker and still in doubt")
                self.ledger.set_state(row.order.id, S.CANCELLED, "settled by hand")
            for found in report.breaks:
                if found.kind is BreakKind.MISSING_ORDER:
                    self._settle_missing(found.orders[0])
            report = self.router.open_gate()
            if not [found for found in report.breaks if not found.harmless]:
                break
            for symbol in sorted({found.symbol or "cash" for found in report.breaks if not found.harmless and found.kind not in SETTLED}):
                accept(self.ledger, self.router.open_gate(), symbol, "looked")
            report = self.router.open_gate()
        self.check()
        if self.ledger.is_halted:
            self.ledger.resume("looked")
        self.switch.resume()

    def _settle_missing(self, id_: str) -> None:
        one = self.model.taken.get(id_)
        self.demand(one is not None, f"{id_} is live in the ledger and was never taken")
        self.demand(one.state is not BrokerOrderState.OPEN, f"{id_} is open at the broker and not shown")
        self.ledger.set_state(id_, S.CANCELLED, "settled by hand")

    def _protected(self) -> None:
        """A pass in which nothing goes wrong leaves every position with exactly its stop, or an alarm."""
        self._pass()
        self.check()
        open_rows = [row for row in self.ledger.orders(BOOK, states=OPEN_STATES) if row.order.rests]
        for row in open_rows:
            if row.state is S.NEW and row.order.parent is None:
                others = [one for one in open_rows if one.order.symbol == row.order.symbol and one.state is not S.NEW]
                self.demand(any(one.order.group != row.order.group for one in others), f"{row.order.id} waits for nothing")
        alarms = {alert.id for alert in self.ledger.alerts()}
        levels = {guard.symbol for guard in self.levels}
        for symbol, held in self.model.held.items():
            stops = [one for one in self.model.resting(symbol) if one.order.type is OrderType.STOP and one.order.shares * held < 0]
            groups = {one.order.group for one in stops}
            leaving = [one for one in self.model.taken.values() if one.state is BrokerOrderState.OPEN and not one.order.rests
                       and one.order.symbol == symbol and one.order.shares * held < 0 and one.order.group not in groups]  # fmt: skip
            covered = sum(abs(one.order.shares - one.filled) for one in (*stops, *leaving))
            if held and symbol in levels and covered < abs(held):
                self.demand(f"unprotected-{self.session}-{symbol}" in alarms, f"{symbol}: {held} held, {covered} covered and no alarm")

    # --- what must hold

    def demand(self, holds: bool, what: str) -> None:
        """Violation unless it holds."""
        if not holds:
            raise Violation(f"seed {self.seed}, {self.day}: {what}")

    def watch(self, order: Order, legs: tuple[Order, ...]) -> None:
        """At the socket: may this leave?"""
        self.demand(self.model.answered >= set(QUESTIONS), f"{order.id} leaves before this process compared anything")
        self.demand(self.ledger._depth == 0, f"{order.id} leaves with its journal row not committed")
        planned = [row.order for row in self.ledger.orders(BOOK, session=order.session) if row.order.parent == order.id]
        self.demand(sorted(leg.id for leg in legs) == sorted(leg.id for leg in planned), f"{order.id} leaves without its legs")
        for one in (order, *legs):
            row = self.ledger.find_order(one.id)
            self.demand(row is not None and row.state is S.SENDING and row.order == one, f"{one.id} was not planned and journaled so")
            self.demand(not self.model.accepted[one.id], f"{one.id} leaves again though the broker took it")
        held = self.model.held[order.symbol]
        reduces = held * order.shares < 0 and abs(order.shares) <= abs(held)
        if order.rests:
            self._watch_protection(order, held, reduces)
        elif not reduces:
            self._watch_risk(order, held)

    def _watch_protection(self, order: Order, held: int, reduces: bool) -> None:
        self.demand(reduces, f"{order.symbol}: protection of {order.shares} for {held} held")
        ghosts = {row.order.id for row in self.ledger.orders(BOOK, states={S.ABANDONED})}  # given up: nobody can know
        others = [one for one in self.model.resting(order.symbol)
                  if one.order.group != order.group and one.order.shares * held < 0 and one.order.id not in ghosts]  # fmt: skip
        self.demand(not others, f"{order.symbol}: protection beside {[one.order.id for one in others]}")
        leaving = sum(abs(one.order.shares - one.filled) for one in self.model.taken.values() if one.state is BrokerOrderState.OPEN
                      and not one.order.rests and one.order.symbol == order.symbol and one.order.shares * held < 0
                      and one.order.group != order.group and one.order.id not in ghosts)  # fmt: skip
        self.demand(leaving + abs(order.shares) <= abs(held), f"{order.symbol}: {leaving} leave and {order.shares} protect {held}")

    def _accounted(self) -> Mapping[str, int]:
        """Shares the ledger accounts for, asked once for each of its states."""
        if self.known[0] != self.ledger._head.seq:
            self.known = (self.ledger._head.seq, expected(self.ledger, BOOK).shares)
        return self.known[1]

    def _watch_risk(self, order: Order, held: int) -> None:
        doubt = self.ledger.orders(BOOK, states={S.UNKNOWN})
        self.demand(not doubt, f"{order.symbol}: new risk while {len(doubt)} are in doubt")
        self.demand(not self.ledger.is_halted and not self.switch.state().halted, f"{order.symbol}: new risk while halted")
        ours = self._accounted().get(order.symbol, 0)
        self.demand(ours == held, f"{order.symbol}: new risk while the ledger has {ours} and the broker {held}")
        self.demand(order.symbol not in self.model.foreign, f"{order.symbol}: new risk beside a foreign order")
        sent = self.ledger.sent(BOOK, order.session).orders
        self.demand(sent <= self.limits.max_orders, f"{sent} orders sent, {self.limits.max_orders} allowed")

    def check(self) -> None:
        """After every step: at most once, nothing unplanned, nothing ended lives, doubt given up lawfully, legs with their entry."""
        twice = [id_ for id_, count in self.model.accepted.items() if count > 1]
        self.demand(not twice, f"taken twice: {twice}")
        if self.checked == self.ledger._head:
            return
        self.checked = self.ledger._head
        rows = {row.order.id: row for row in self.ledger.orders(BOOK)}
        for id_, one in self.model.taken.items():
            self.demand(id_ in rows and rows[id_].state is not S.DENIED, f"{id_} is at the broker and was never approved")
            state = rows[id_].state
            self.demand(state is not S.NEW, f"{id_} is at the broker and NEW in the journal")
            ended = state not in OPEN_STATES and state is not S.ABANDONED
            self.demand(not ended or one.state is not BrokerOrderState.OPEN, f"{id_} is {state} in the journal and open at the broker")
        for id_, row in rows.items():
            before, now = self.states.get(id_, S.NEW), row.state
            if before not in OPEN_STATES and now in OPEN_STATES:
                self.demand(before is S.ABANDONED and (self.ledger.is_halted or self.switch.state().halted), f"{id_}: {before} became {now}")
            if now is S.ABANDONED and before is not S.ABANDONED:
                self._check_given_up(id_)
            parent = rows.get(row.order.parent or "")
            if parent is not None and parent.state in (S.NEW, S.SENDING, S.UNKNOWN):
                self.demand(now is parent.state, f"{id_} is {now}, its entry {parent.state}")
            self.demand(abs(row.filled) <= abs(row.order.shares), f"{id_}: {row.filled} filled of {row.order.shares}")
            self.states[id_] = now

    def _check_given_up(self, id_: str) -> None:
        sent = self.ledger.sent_at(id_)
        looks = [at for at in self.model.looks if at >= sent]
        self.demand(len(looks) >= 3 and looks[-1] - looks[0] >= timedelta(minutes=2), f"{id_} given up after {len(looks)} looks")
        days = {at.astimezone(NEW_YORK).date() for at in (sent, self.model.at)}
        self.demand(len(days) == 1, f"{id_} given up across midnight")
