"""One night: recover → reconcile → book the session → decide → journal → hand the orders to the broker.

Start-up is recovery, so a night that was killed anywhere is simply run again: what was booked stays booked, what was sent
is never sent again, and what was planned but not sent goes out. The session after the decided one is never read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import numpy as np

from mech_exo.decision.night import Known, decide, watch
from mech_exo.decision.record import Decision, Level, levels_in, portfolio_of
from mech_exo.decision.strategy import Strategy
from mech_exo.domain.errors import InputError
from mech_exo.domain.orders import OrderState
from mech_exo.domain.portfolio import Portfolio
from mech_exo.domain.verdict import RiskState
from mech_exo.execution.booking import book_of, days_on, history_of
from mech_exo.execution.books import Books, Desk, PlayedSession
from mech_exo.execution.breaks import Break, BreakKind, Cause, GateReport
from mech_exo.execution.broker import BrokerInterface
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.protection import Cut, dress, plan_protection, resting_exits
from mech_exo.execution.router import OrderRouter
from mech_exo.execution.rows import OPEN_STATES, BookId, DayFigures, DecisionRow, Intent, OrderRow, SessionRow
from mech_exo.execution.safety import HaltSwitch, halt_reason
from mech_exo.execution.sending import SendLimits, SendResult, SendRules
from mech_exo.execution.undecided import undecided
from mech_exo.kernels.account import drop_order, new_account
from mech_exo.utils.calendar import is_session, next_session, previous_session, sessions
from mech_exo.utils.settings import Config


def utc_now() -> datetime:
    """The wall clock; only stamps records, never a decision."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Desks:
    """What a night works with; made by ``assembly``.

    ``books`` is the account as the nights keep it; the paper broker is both. ``known`` gives what was known at a session's close; ``clock``
    stamps the journal. ``rules`` are asked of every order; ``cut`` slices a large one (None: none is); ``first`` happens once the gate is
    passed and before anything is sent.
    """

    ledger: Ledger
    broker: BrokerInterface
    books: Books
    book: BookId
    strategy: Strategy
    switch: HaltSwitch
    known: Callable[[date], Known]
    clock: Callable[[], datetime] = utc_now
    rules: SendRules = field(default_factory=SendRules)
    cut: Callable[[Known], Cut | None] = lambda _: None
    first: Callable[[date], None] = lambda _: None


@dataclass(frozen=True, slots=True, eq=False)
class NightResult:
    """What a night did. ``repeated`` = the session was booked before, and nothing but unsent orders was touched.

    ``decision`` is None only when repeated: the journal has it. ``nav_before`` is the NAV at the previous booked close.
    ``late``: breaks that only the market's own records show, to be told to the gate before anything is sent.
    """

    session: date
    next_session: date
    repeated: bool
    missed: tuple[date, ...]
    gate: GateReport
    played: PlayedSession | None
    decision: Decision | None
    day: DayFigures
    nav_before: float
    portfolio: Portfolio | None
    sent: tuple[SendResult, ...] = ()
    late: tuple[Break, ...] = ()


def run_night(night: Desks, session: date) -> NightResult:
    """Perform the night of ``session``: :func:`decide_night`, then :func:`submit_night`; raises what these raise."""
    return submit_night(night, decide_night(night, session))


def decide_night(night: Desks, session: date) -> NightResult:
    """Recover, reconcile, book the session, decide at its close and journal the orders; nothing is sent.

    Raises
    ------
    InputError
        ``session`` is no trading session, or a later one is booked already.
    MissingDataError
        The store has no bars of the session (or of a missed one before it).
    """
    _check_session(session)
    router = _router(night)
    gate = router.open_gate()
    last = night.ledger.last_session(night.book)
    if last is not None and last.session >= session:
        return _repeated(gate, last, session)
    known = night.known(session)  # before anything is booked: a date without bars must not turn the nights before it into missed ones
    router.expire(next_session(session))
    missed = _missed(last, session)
    for earlier in missed:
        _book_missed(night, earlier)
    return _book_and_decide(night, router, gate, known, missed)


def submit_night(night: Desks, decided: NightResult) -> NightResult:
    """Hand what is planned and was never sent to the broker, after comparing ledger and broker once more. What was sent stays sent.

    Behind a wire, what protects the positions is brought into step with the decision: cancelled before the orders leave, placed after.
    """
    router = _router(night)
    gate = router.open_gate(decided.late)
    following = decided.next_session
    if night.broker.capabilities.keeps_levels:
        return replace(decided, gate=gate, sent=router.submit(following))
    night.first(following)
    levels = _levels(night, decided)
    held = {position.symbol: position.shares for position in gate.positions}
    rows = night.ledger.orders(night.book, states=OPEN_STATES)
    orders = [row.order for row in rows if row.order.session == following and not row.order.rests and _may_leave(night, row)]
    taken = night.ledger.used_ids(night.book, following)
    apart = _left_alone(gate, levels, held)
    decided_on = [level for level in levels if level.symbol not in apart]
    resting = [one for one in resting_exits(rows, gate.orders) if one.symbol not in apart]
    plan = plan_protection(night.book, following, decided_on, held, orders, resting, taken)
    if all(_may_leave(night, intent) for intent in plan.places):  # what protects now is never taken away for what may not go out
        router.withdraw(plan)
    sent = (*router.submit(following), *router.protect(following, levels))
    return replace(decided, gate=gate, sent=sent)


def _left_alone(gate: GateReport, levels: tuple[Level, ...], held: Mapping[str, int]) -> set[str]:
    """Symbols whose protection the decision cannot speak for, so that it stays as it rests.

    Held and not decided on: opened since, as when last night is performed again after the open. Split at the broker and not here yet: a
    level of before the split would sell at once.
    """
    split = {found.symbol for found in gate.breaks if found.cause is Cause.SPLIT and found.symbol is not None}
    return split | (held.keys() - {level.symbol for level in levels})


def _may_leave(night: Desks, one: OrderRow | Intent) -> bool:
    """Whether an order is at the broker already, or the valve lets it leave now."""
    sent = isinstance(one, OrderRow) and one.state is not OrderState.NEW
    valve = night.rules.valve
    return sent or valve is None or valve.refusal(one.order.session, night.ledger.now(), one.order) is None


def _levels(night: Desks, decided: NightResult) -> tuple[Level, ...]:
    """The decision's levels; of a night that was performed before, as the journal has them."""
    if decided.decision is not None:
        return decided.decision.levels
    row = night.ledger.decision(night.book, decided.session)
    return () if row is None else levels_in(json.loads(row.body))


def _router(night: Desks) -> OrderRouter:
    night.broker.connect()
    night.books.begin()
    sending = night.strategy.limits.sending
    ceiling = math.inf if sending.max_notional_per_session is None else sending.max_notional_per_session
    limits = SendLimits(sending.max_orders_per_session, ceiling, sending.max_orders_per_minute)
    return OrderRouter(night.ledger, night.broker, night.book, night.switch, limits, night.rules)


def plan_night(night: Desks, session: date) -> Decision:
    """What :func:`run_night` would decide at ``session``, on a copy: nothing is journaled, nothing is sent."""
    _check_session(session)
    night.broker.connect()
    night.books.begin()
    last = night.ledger.last_session(night.book)
    if last is not None and last.session >= session:
        raise InputError(
            f"a plan is for a night that is not booked yet; {session} is not after the last booked one, {last.session}",
            remedy=f"exo plan --date {next_session(last.session)} is the next night",
        )
    known = night.known(session)
    for earlier in _missed(last, session):
        _play(night, night.known(earlier))
    _, desk = _play(night, known)
    return decide(known, desk, night.strategy, night.book.account, next_session(session), halted=_halted(night))


def _check_session(session: date) -> None:
    if not is_session(session):
        raise InputError(
            f"a night belongs to a trading session; {session} is none",
            remedy=f"the session before is {previous_session(session)}, the next {next_session(session)}",
        )


def _missed(last: SessionRow | None, session: date) -> tuple[date, ...]:
    """Sessions between the last booked one and ``session``."""
    if last is None:
        return ()
    between = sessions(last.session, session)
    return tuple(day.astype(object) for day in between if np.datetime64(last.session) < day < np.datetime64(session))


def _repeated(gate: GateReport, last: SessionRow, session: date) -> NightResult:
    if last.session > session:
        raise InputError(
            f"sessions are booked in order; the last is {last.session}, asked for {session}",
            remedy=f"exo run --date {next_session(last.session)} is the next night",
        )
    return NightResult(session, next_session(session), True, (), gate, None, None, last.day, last.day.nav, None)


def _play(night: Desks, known: Known) -> tuple[PlayedSession, Desk]:
    """Let the broker trade the session that ``known`` ends with, and lay its account out for the decision."""
    before = previous_session(known.as_of)  # money that came on a weekend counts at the next open
    flows = (row for row in night.ledger.flows(night.book) if before < row.session <= known.as_of)
    played = night.books.trade_session(known.panel, known.row, sum(row.amount for row in flows))
    return played, night.books.desk(known.panel)


def _book_missed(night: Desks, session: date) -> None:
    """A session nobody decided at: its orders and resting levels traded, nothing new is ordered, levels stay where they rested.

    Behind a wire it is booked from the fills the ledger has. One that the broker tells no more is not made up: it is a break in a position.
    """
    known = night.known(session)
    played, desk = _play(night, known)
    watch(known, desk, night.strategy, halted=_halted(night))
    with night.ledger.transaction():
        _journal_played(night, played, night.books.row(desk.book, desk.days[known.row], played))


def _book_and_decide(night: Desks, router: OrderRouter, gate: GateReport, known: Known, missed: tuple[date, ...]) -> NightResult:
    session, nav_before = known.as_of, night.books.nav
    played, desk = _play(night, known)
    following = next_session(session)
    decision = decide(known, desk, night.strategy, night.book.account, following, halted=_halted(night))
    row = night.books.row(desk.book, desk.days[known.row], played)
    with night.ledger.transaction():
        _journal_played(night, played, row)
        night.ledger.record_decision(
            DecisionRow(
                night.book,
                session,
                night.clock(),
                decision.config_hash,
                decision.code_version,
                decision.data_hash,
                decision.body(),
                known.stored_until,
            )
        )
        router.plan(_intents(night, decision, known, desk, gate), session)
    night.books.take_levels(desk.book)
    late = late_actions(night.ledger, night.book, known, desk)
    portfolio = portfolio_of(known.row, float(desk.account["cash"][0]), desk.book, known.panel, known.universe)
    return NightResult(session, following, False, missed, gate, played, decision, row.day, nav_before, portfolio, late=late)


def late_actions(ledger: Ledger, book: BookId, known: Known, desk: Desk) -> tuple[Break, ...]:
    """Splits and dividends of held names that the store learnt of only after the session they belong to was booked.

    Shares, levels or cash are then wrong until the book is put right; meanwhile the name takes no new risk.
    """
    found = []
    panel = known.panel
    for s in np.flatnonzero(desk.book["shares"]):
        since = known.row - int(desk.book["age"][s]) + 1
        ratio, dividend = panel.split_ratio[since : known.row, s], panel.dividend[since : known.row, s]
        for row in since + np.flatnonzero((ratio != 1.0) | (dividend != 0.0)):
            session: date = panel.sessions[row].astype(object)
            booked = ledger.session(book, session)
            kinds = {line.kind for line in booked.events if line.symbol == panel.symbols[s]} if booked is not None else set()
            for kind, value, nothing in (("split", panel.split_ratio[row, s], 1.0), ("dividend", panel.dividend[row, s], 0.0)):
                if value != nothing and kind not in kinds:
                    note = f"the {kind} of {session} ({value:g}) became known after that session was booked"
                    found.append(Break(BreakKind.LATE_ACTION, panel.symbols[s], math.nan, float(value), note))
    return tuple(found)


def _journal_played(night: Desks, played: PlayedSession, row: SessionRow) -> None:
    for fill in played.fills:
        night.ledger.record_fill(night.book, fill)
    for change in played.ended:
        if night.ledger.order(change.order_id).state is not change.state:
            night.ledger.set_state(change.order_id, change.state, change.note, change.broker_id)
    night.ledger.book_session(row)


def _intents(night: Desks, decision: Decision, known: Known, desk: Desk, gate: GateReport) -> tuple[Intent, ...]:
    """The orders with the close they were decided at; a held name without a bar tonight with its last close.

    Behind a wire they go out with what protects what they add, and a full exit in the group of what protects the position.
    """
    close = known.panel.close[known.row]
    price = np.where(np.isnan(close), desk.book["mark"], close)
    orders = decision.orders
    if not night.broker.capabilities.keeps_levels:
        rows = night.ledger.orders(night.book, states=OPEN_STATES)
        held = {symbol: int(shares) for symbol, shares in zip(known.panel.symbols, desk.book["shares"], strict=True) if shares}
        orders = dress(night.book, orders, held, decision.levels, resting_exits(rows, gate.orders), night.cut(known))
    return tuple(Intent(order, float(price[known.panel.column_of(order.symbol)])) for order in orders)


def _halted(night: Desks) -> bool:
    return halt_reason(night.ledger, night.switch) is not None


@dataclass(frozen=True, slots=True)
class Replay:
    """A past night decided again: ``decision``. ``differences`` names what differs; empty = byte for byte the same."""

    session: date
    recorded_at: datetime
    decision: Decision
    differences: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """True when the decision came out byte for byte as journaled."""
        return not self.differences


def replay_night(ledger: Ledger, book: BookId, known: Callable[[Config, date, datetime], Known], session: date) -> Replay:
    """Decide ``session`` again from what was in hand then, and compare with the journal.

    The configuration is the journaled one; ``known`` gives the data as of the session that was stored when the night read the store.
    Raises MissingDataError when the session was never decided.
    """
    recorded, booked = ledger.decision(book, session), ledger.session(book, session)
    if recorded is None or booked is None:
        raise undecided(ledger, book, session)
    body = json.loads(recorded.body)
    strategy = Strategy(Config.model_validate(body["config"]))
    then = known(strategy.config, session, recorded.stored_until or recorded.recorded_at)
    desk = _desk_then(ledger, book, booked, then)
    halted = body["state"] == RiskState.HALTED.value
    again = decide(then, desk, strategy, book.account, date.fromisoformat(body["session"]), halted=halted)
    differences = () if again.body() == recorded.body else tuple(_differences(body, json.loads(again.body())))
    return Replay(session, recorded.recorded_at, again, differences)


def _desk_then(ledger: Ledger, book: BookId, booked: SessionRow, known: Known) -> Desk:
    """The account as it stood when ``booked`` was decided, on the columns of what was known."""
    lines = book_of(known.panel.symbols, booked.lines)
    for line in lines:
        if line["rest"] == 0.0:
            drop_order(line)
        else:  # its terms are those of what was ordered anew
            line["order"] = 0.0
    history = history_of([row for row in ledger.day_history(book) if row.session <= booked.session])
    account = new_account(booked.day.cash)
    account["nav"], account["index"] = booked.day.nav, booked.day.index
    held = np.flatnonzero((lines["shares"] != 0.0) | (lines["rest"] != 0.0))
    account["live"] = len(held)
    live = np.zeros(len(lines), np.int64)
    live[: len(held)] = held
    return Desk(lines, live, account, days_on(known.panel.sessions, *history))


def _differences(before: object, after: object, path: str = "") -> Iterator[str]:
    """Where two JSON values differ, as ``path: before → after``."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (left, right) in enumerate(zip(before, after, strict=True)):
            yield from _differences(left, right, f"{path}[{place}]")
    elif before != after:
        yield f"{path}: {json.dumps(before)[:80]} → {json.dumps(after)[:80]}"
