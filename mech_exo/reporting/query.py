"""Questions asked of the ledger, read-only, for reports. The SQL stays in the ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.reporting.causes import Session, day_causes, explain
from mech_exo.reporting.contract import contract, day_costs
from mech_exo.reporting.evening import Evening, ages, quality
from mech_exo.reporting.night import (
    Contribution,
    Cut,
    Executed,
    Holding,
    Idea,
    Money,
    NavPoint,
    NightReport,
    Planned,
    Withheld,
)
from mech_exo.reporting.night_parts import Causes
from mech_exo.reporting.standing import closing_status, headroom, stress
from mech_exo.reporting.text import known
from mech_exo.reporting.upcoming import upcoming
from mech_exo.utils.log import mask_accounts

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookedDay, BookId, BookLine, DecisionRow, SessionRow
    from mech_exo.reporting.account import Course
    from mech_exo.reporting.dashboard.house import House

SHOWN_IDEAS = 20
HISTORY = 252


@dataclass(frozen=True, slots=True)
class Journaled:
    """What of a decision's journaled body a report shows."""

    scheduled: bool
    session: date
    ideas: tuple[Idea, ...]
    scored: int
    excluded: tuple[tuple[str, int], ...]
    missing: tuple[tuple[str, str], ...]
    withheld: tuple[Withheld, ...]
    cuts: tuple[Cut, ...]
    warnings: tuple[str, ...]


def choose_book(ledger: Ledger, wanted: str | None) -> BookId:
    """The book named ``wanted`` ("account/strategy", the account as it is or as it is shown), or the only one.

    Raises
    ------
    MissingDataError
        The ledger holds no book yet.
    InputError
        There are several and none, or an unknown one, was named.
    """
    books = ledger.books()
    if not books:
        raise MissingDataError("a report needs a book; the ledger holds none yet", remedy="exo run --mode paper --date YYYY-MM-DD")
    named = [book for book in books if str(book) == wanted] or [book for book in books if mask_accounts(str(book)) == wanted]
    if len(named) == 1:
        return named[0]
    if wanted is None and len(books) == 1:
        return books[0]
    names = ", ".join(str(book) for book in books)
    raise InputError(f"the book must be one of {names}; got {wanted or 'none'}", remedy=f"--book {books[0]}")


def night_report(ledger: Ledger, book: BookId, session: date | None, house: House, course: Course | None = None) -> NightReport:
    """The night of ``session`` (None: the last one booked): the ledger's word, and what ``house`` has stored to measure it with.

    ``course``: everything booked, where it is at hand (a reader of many nights keeps it); None: it is read.
    What needs market data that are not at hand is unknown and says why. Levels, states and resting orders are as the ledger knows them now.

    Raises
    ------
    MissingDataError
        That session was not booked.
    """
    row = ledger.last_session(book) if session is None else ledger.session(book, session)
    if row is None:
        when = "no session is booked" if session is None else f"{session} is not booked"
        remedy = "exo run --mode paper --date YYYY-MM-DD" if session is None else f"exo run --mode paper --date {session}"
        raise MissingDataError(f"a daily report needs a booked session; {when} in {book}", remedy=remedy)
    every = ledger.day_history(book)
    history = tuple(day for day in every if day.session <= row.session)
    decision = ledger.decision(book, row.session)
    said = None if decision is None else journaled(decision)
    evening = Evening.of(house, row.session)
    halted = _halted(ledger, house) if len(history) == len(every) else row.day.state.value == "halted"
    status = closing_status(row, history, house.config.risk, evening.sectors(), evening.market, halted=halted)
    funds, nav = _money(row, history), known(row.day.nav)
    causes = _causes(ledger, row, history, funds.pnl, evening)
    return NightReport(
        session=row.session,
        book=mask_accounts(str(book)),
        money=funds,
        state=row.day.state.value,
        halted=halted,
        drawdown=_drawdown(history),
        governor=row.day.scale,
        decided=said is not None,
        scheduled=said is not None and said.scheduled,
        orders_for=None if said is None else said.session,
        holdings=tuple(_holding(line, nav) for line in row.lines if line.shares),
        ideas=() if said is None else said.ideas[:SHOWN_IDEAS],
        scored=None if said is None else said.scored,
        excluded=() if said is None else said.excluded,
        missing_factors=() if said is None else said.missing,
        planned=_planned(ledger, book, row.session),
        withheld=() if said is None else said.withheld,
        cuts=() if said is None else said.cuts,
        executed=_executed(row),
        limits=headroom(status),
        warnings=("no decision was journaled for this session",) if said is None else said.warnings,
        config_hash="" if decision is None else decision.config_hash,
        code_version="" if decision is None else decision.code_version,
        data_hash="" if decision is None else decision.data_hash,
        history=tuple(NavPoint(day.session, known(day.day.nav), known(day.day.index)) for day in history[-HISTORY:]),
        causes=causes,
        kpi=contract(ledger, book, house.config, evening.panel, row.session, evening.why, course),
        stress=stress(status, evening.why),
        quality=quality(evening, {line.symbol for line in row.lines if line.shares}),
        upcoming=upcoming(row, ledger, house.strategy, evening.panel, history[0].session),
        costs=day_costs(ledger, book, evening.recent, history),
        ages=ages(evening, causes.exposures, said is not None, house.strategy.facts),
    )


def _halted(ledger: Ledger, house: House) -> bool:
    from mech_exo.execution.safety import HaltSwitch

    return ledger.is_halted or HaltSwitch(house.home).state().halted


def _causes(ledger: Ledger, row: SessionRow, history: tuple[BookedDay, ...], pnl: float | None, evening: Evening) -> Causes:
    """Attribution needs the book of the close before, the scores of the last decision before, and the session's bars."""
    earlier = [day.session for day in history[:-1]]
    before = ledger.session(row.book, earlier[-1]) if earlier else None
    if not evening.has_session or evening.recent is None:
        why = evening.why or f"the store has no bars of {row.session}"
        return day_causes(row, before, pnl, Session({}, None, why))
    found = (ledger.decision(row.book, day) for day in reversed(earlier))
    return day_causes(row, before, pnl, explain(evening.recent, next((one for one in found if one is not None), None)))


def journaled(decision: DecisionRow) -> Journaled:
    """Read a decision's canonical JSON back into what a report shows."""
    body: Mapping[str, Any] = json.loads(decision.body)
    reasons = Counter(str(reason) for reason in body["excluded"].values())
    return Journaled(
        scheduled=bool(body["scheduled"]),
        session=date.fromisoformat(body["session"]),
        ideas=tuple(_idea(line) for line in body["scores"][:SHOWN_IDEAS]),
        scored=len(body["scores"]),
        excluded=tuple(sorted(reasons.items())),
        missing=tuple((str(name), str(reason)) for name, reason in body["missing_factors"]),
        withheld=tuple(Withheld(b["code"], b["symbol"], b["limit"], b["value"]) for b in body["breaches"]),
        cuts=tuple(Cut(t["symbol"], t["wanted"], t["shares"], t["binding"]) for t in body["targets"] if t["binding"]),
        warnings=tuple(str(warning) for warning in body["warnings"]),
    )


def _money(row: SessionRow, history: tuple[BookedDay, ...]) -> Money:
    day = row.day
    before = history[-2].day.nav if len(history) > 1 else day.nav - day.flow - _pnl(row)
    names = ("cash", "flow", "price_pnl", "dividends", "interest", "borrow", "commission", "slippage")
    return Money(known(day.nav), known(before), *(known(getattr(day, name)) for name in names))


def _pnl(row: SessionRow) -> float:
    day = row.day
    return day.price_pnl + day.dividends + day.interest - day.borrow - day.commission - day.slippage


def _drawdown(history: tuple[BookedDay, ...]) -> float | None:
    """The fall that the drawdown limit sees: the very rule."""
    from mech_exo.risk.rules import drawdown

    index = np.array([booked.day.index for booked in history])
    return known(float(drawdown(index, len(index) - 1)))


def _holding(line: BookLine, nav: float | None) -> Holding:
    price, stop = known(line.mark), known(line.stop)
    value = None if price is None else line.shares * price
    weight = None if value is None or nav is None or not nav > 0.0 else value / nav
    entry = known(line.cost)
    risk = None
    if stop is not None and price is not None and nav is not None and nav > 0.0:
        risk = max(0.0, (price - stop) * line.shares / nav)
    return Holding(
        symbol=line.symbol,
        shares=int(line.shares),
        entry=entry,
        price=price,
        value=value,
        weight=weight,
        unrealised=None if price is None or entry is None else (price - entry) * line.shares,
        sessions_held=line.age,
        stop=stop,
        stop_reason=line.stop_reason.value if stop is not None else "",
        target=known(line.target),
        at_risk=risk,
        missing_sessions=line.missing,
    )


def _planned(ledger: Ledger, book: BookId, session: date) -> tuple[Planned, ...]:
    """Without stops and targets: they are in the line of their entry, and in the holdings."""
    rows = [row for row in ledger.orders(book, decided=session) if not row.order.rests and row.order.parent is None]
    return tuple(
        Planned(
            id=row.order.id,
            session=row.order.session,
            symbol=row.order.symbol,
            shares=row.order.shares,
            reason=row.order.reason.value,
            decided_at=known(row.price),
            stop=row.order.stop_level,
            target=row.order.target_level,
            state=row.state.value,
            note=row.note,
        )
        for row in rows
    )


def _executed(row: SessionRow) -> tuple[Executed, ...]:
    lines = []
    for event in row.events:
        filled = event.outcome == "filled"
        price = known(event.price) if filled else None
        slip = None if price is None else known((price - event.reference) * event.shares)
        what = event.kind if filled else event.outcome
        lines.append(Executed(event.symbol, int(event.shares), price, known(event.commission), slip, what, event.reason.value))
    return tuple(lines)


def _idea(line: Mapping[str, Any]) -> Idea:
    """A factor without a value adds nothing to the score; its contribution is unknown, not 0."""
    parts = tuple(
        Contribution(name, factor["raw"], None if factor["normalised"] is None else factor["contribution"])
        for name, factor in line["factors"].items()
    )
    return Idea(int(line["rank"]), str(line["symbol"]), float(line["score"]), float(line["percentile"]), float(line["coverage"]), parts)
