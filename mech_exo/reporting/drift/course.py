"""An account played over booked sessions with some of what really happened taken over: the paths whose differences are the causes.

Every session is played by ``simulate.step``, decided by the functions of a night, and, where what happened was something else than the
model's fills, booked by ``executions.book_session``, which books the account behind a wire. There is no formula of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mech_exo.decision import weighing
from mech_exo.decision.asked import Asked
from mech_exo.domain.errors import DataError
from mech_exo.execution.booking import book_of, days_on, history_of, lines_of
from mech_exo.kernels.account import new_account, new_book
from mech_exo.kernels.executions import EVENTS_PER_LINE, HAPPENED, book_session
from mech_exo.kernels.records import EVENT, Bars
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL, step
from mech_exo.reporting.drift.facts import BookedNight
from mech_exo.reporting.drift.lines import Lines, happened
from mech_exo.reporting.drift.market import Market, Model, Then
from mech_exo.reporting.drift.values import Cause, DriftEvent
from mech_exo.risk.governor import share_before
from mech_exo.risk.rules import falls_of, risk_state


@dataclass(frozen=True, slots=True)
class Course:
    """What came of a course: P&L of each session ``(K,)`` in USD, and what is held after it by symbol."""

    pnl: np.ndarray
    held: tuple[dict[str, int], ...]
    events: tuple[DriftEvent, ...]


def play(market: Market, causes: Sequence[Cause]) -> Course:
    """The account over every night of ``market`` with ``causes`` taken over from what happened; the last of them is told in events."""
    player = _Player(market, causes)
    return player.play()


class _Player:
    """An account on its way. Columns are those of the model of the session last played."""

    def __init__(self, market: Market, causes: Sequence[Cause]) -> None:
        self.market, self.causes = market, frozenset(causes)
        self.newest = causes[-1] if causes else None
        self.events: list[DriftEvent] = []
        account, before = market.account, market.account.before
        model = market.model(0)
        self.model = model
        self.book = book_of(model.symbols, () if before is None else before.lines)
        self.state = new_account(account.opening)
        if before is not None:
            day = before.day
            for name, value in (("cash", day.cash), ("nav", day.nav), ("index", day.index), ("value", day.long_value + day.short_value)):
                self.state[name] = value
        self.days = days_on(model.known.panel.sessions, *history_of(account.earlier))

    def play(self) -> Course:
        pnl, held = np.empty(len(self.market.account.nights)), []
        for k, night in enumerate(self.market.account.nights):
            self._lay(self.market.model(k))
            before = float(self.state["nav"][0])
            t = self.model.row(night.session)
            self._trade(k, t, night)
            pnl[k] = float(self.state["nav"][0]) - before - night.day.flow
            self._decide(k, t, night)
            held.append({self.model.symbols[s]: int(self.book["shares"][s]) for s in np.flatnonzero(self.book["shares"]).tolist()})
        return Course(pnl, tuple(held), tuple(self.events))

    def _lay(self, model: Model) -> None:
        """The account on the columns of ``model``."""
        if model is self.model:
            return
        former = self.model.known.panel.sessions
        self.book = book_of(model.symbols, lines_of(self.model.symbols, self.book))
        played = ~np.isnan(self.days["nav"])
        self.days = days_on(model.known.panel.sessions, former[played], self.days[played])
        self.model = model

    def _trade(self, k: int, t: int, night: BookedNight) -> None:
        """The session as the model plays it, or, where the causes taken over say otherwise, as it happened."""
        bars = self.market.bars(k, Cause.LATE_DATA in self.causes, Cause.CORPORATE_ACTION in self.causes)
        self._forget_unplaced()
        live, count = self._live(())
        book, state = self.book.copy(), self.state.copy()
        state["live"], state["events"] = count, 0
        events = np.zeros(EVENTS_PER_SYMBOL * count, EVENT)
        step(t, night.day.flow, bars, book, live, state, self.days, events, self.model.costs, self.model.terms)
        if self.causes - {Cause.LATE_DATA}:
            found = happened(
                t, night, events[: int(state["events"][0])], self.book, bars, self.model, self.causes, self._told_by_actions(night)
            )
            self._tell(night, found)
            if found.altered or found.received:
                self._book(t, night, bars, found)
                return
        self.book, self.state = book, state

    def _book(self, t: int, night: BookedNight, bars: Bars, found: Lines) -> None:
        lines = np.array(found.lines, HAPPENED)
        live, count = self._live(lines["symbol"])
        self.state["live"], self.state["events"] = count, 0
        events = np.zeros(EVENTS_PER_SYMBOL * count + EVENTS_PER_LINE * len(lines), EVENT)
        book_session(
            t, night.day.flow, found.received, lines, bars, self.book, live, self.state, self.days, events, self.model.costs,
            self.model.terms,
        )  # fmt: skip

    def _told_by_actions(self, night: BookedNight) -> frozenset[str]:
        """Symbols whose accepted shares and cash make good an action that was booked too late, or not at all."""
        return frozenset(symbol for symbol, since in self.market.differing.items() if since <= night.session)

    def _tell(self, night: BookedNight, found: Lines) -> None:
        self.events += [
            DriftEvent(night.session, one.symbol, one.cause, one.said, one.usd) for one in found.told if one.cause is self.newest
        ]

    def _decide(self, k: int, t: int, night: BookedNight) -> None:
        if night.decided is None and Cause.MISSED in self.causes:
            self._watch(t, night.halted and Cause.MANUAL in self.causes)
            if self.newest is Cause.MISSED:
                self.events.append(DriftEvent(night.session, "", Cause.MISSED, "the night was not run: nothing was decided", None))
            return
        halted = night.halted and Cause.MANUAL in self.causes
        if halted and self.newest is Cause.MANUAL:
            self.events.append(DriftEvent(night.session, "", Cause.MANUAL, "halted: no new risk was decided", None))
        then = self.market.then(k) if Cause.LATE_DATA in self.causes else None
        unseen = then is not None or night.session in self.market.late_bars - self.market.forgotten
        if self.newest is Cause.LATE_DATA and unseen:
            did = "decided" if then is not None else "booked"
            said = f"{did} without what was recorded later ({', '.join(self.market.late[night.session])})"
            self.events.append(DriftEvent(night.session, "", Cause.LATE_DATA, said, None))
        if then is not None and self._decide_then(t, then, halted=halted):
            return
        model = self.model
        live, count = self._live(())
        self.state["live"] = count
        weighing.decide(
            t, int(model.decision_at[t]), halted, model.bars, model.features, self.book, live, self.state, self.days, model.night,
            model.strategy.rules, model.asked,
        )  # fmt: skip

    def _decide_then(self, t: int, then: Then, *, halted: bool) -> bool:
        """Decide on what the night had in hand. False where that lacks a name this course holds, so that now's must do."""
        panel, model = then.known.panel, self.model
        try:
            book = book_of(panel.symbols, lines_of(model.symbols, self.book))
        except DataError:
            return False
        played = ~np.isnan(self.days["nav"])
        days = days_on(panel.sessions, model.known.panel.sessions[played], self.days[played])
        live, count = _live_of(book, ())
        self.state["live"] = count
        row = then.known.row
        asked, rules = Asked.of(model.strategy, panel.symbols, then.known.universe), model.strategy.rules
        weighing.decide(row, 0, halted, Bars.of(panel), then.features, book, live, self.state, days, then.night, rules, asked)
        lines = [line for line in lines_of(panel.symbols, book) if line.symbol in model.column]
        self.book, self.days[t] = book_of(model.symbols, lines), days[row]
        return True

    def _watch(self, t: int, halted: bool) -> None:
        """A close at which nobody decided: as :func:`mech_exo.decision.night.watch`."""
        limits = self.model.strategy.rules.limits
        self.days["state"][t] = risk_state(falls_of(self.days["index"], t, limits), halted, limits)
        self.days["scale"][t] = share_before(t, self.days["scale"])

    def _live(self, more: np.ndarray | tuple[()]) -> tuple[np.ndarray, int]:
        return _live_of(self.book, more)

    def _forget_unplaced(self) -> None:
        """Terms of orders that are none: as the books of a night begin a session."""
        idle = self.book["order"] == 0.0
        blank = new_book(1)
        for name in (field for field in self.book.dtype.names or () if field.startswith("order_")):
            self.book[name][idle] = blank[name][0]


def _live_of(book: np.ndarray, more: np.ndarray | tuple[()]) -> tuple[np.ndarray, int]:
    """Columns held or ordered, and ``more``, ascending, and how many."""
    wanted = (book["shares"] != 0.0) | (book["order"] != 0.0) | (book["rest"] != 0.0)
    wanted[np.asarray(more, np.int64)] = True
    found = np.flatnonzero(wanted)
    live = np.zeros(len(book), np.int64)
    live[: len(found)] = found
    return live, len(found)
