"""One session's executions: those of the model, with what the ledger tells put in their place, cause by cause."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from mech_exo.execution.booking import code_of
from mech_exo.kernels.costs import commission
from mech_exo.kernels.records import Bars, EventKind, Outcome, Reason
from mech_exo.reporting.drift.facts import BookedNight, Told, Traded
from mech_exo.reporting.drift.market import Model
from mech_exo.reporting.drift.values import Cause

ORDER, STOP, TARGET = int(EventKind.ORDER), int(EventKind.STOP), int(EventKind.TARGET)
FILLED, ENDED, CARRIED = int(Outcome.FILLED), int(Outcome.ENDED), int(Outcome.CARRIED)
GIVEN = int(Reason.CORPORATE_ACTION)
EXITS = {"stop": STOP, "target": TARGET}
Line = tuple[int, int, int, int, float, float, float, float, bool]
"""One of ``kernels.executions.HAPPENED``."""
CENT = 0.005


@dataclass(frozen=True, slots=True)
class Said:
    """A difference in words; ``usd`` is what it came to by itself, None where only a replay can tell."""

    symbol: str
    cause: Cause
    said: str
    usd: float | None


@dataclass(slots=True)
class Lines:
    """What happened in a session: ``lines``, USD ``received``, whether anything of it is ``altered``, and the differences in words."""

    lines: list[Line] = field(default_factory=list)
    received: float = 0.0
    altered: bool = False
    told: list[Said] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Session:
    """What every name of a session needs."""

    t: int
    bars: Bars
    model: Model
    causes: Collection[Cause]


def happened(
    t: int, night: BookedNight, events: np.ndarray, book: np.ndarray, bars: Bars, model: Model, causes: Collection[Cause],
    by_actions: Collection[str],
) -> Lines:  # fmt: skip
    """The session of ``night`` at row ``t``: the model's ``events`` EVENT from ``book`` (as it was before), ``causes`` taken over.

    ``by_actions`` are symbols whose accepted shares make good a corporate action; all others' are the operator's doing.
    """
    session, found = _Session(t, bars, model, causes), Lines()
    own: dict[int, list[np.void]] = defaultdict(list)
    for event in events:
        if event["kind"] in (ORDER, STOP, TARGET):
            own[int(event["symbol"])].append(event)
    for symbol, usd in night.received.items():
        if _cause_of(symbol, by_actions) in causes:
            found.received += usd
    for symbol, told in night.told.items():
        if told.given is not None and _cause_of(symbol, by_actions) in causes and symbol in model.column:
            given = told.given
            found.lines.append((model.column[symbol], ORDER, FILLED, GIVEN, given.shares, given.price, given.price, 0.0, True))
            found.altered = True
            said = f"{given.shares:+,.0f} shares accepted at {given.price:,.4f}"
            found.told.append(Said(symbol, _cause_of(symbol, by_actions), said, None))
    for s in sorted(own.keys() | {model.column[symbol] for symbol in night.told if symbol in model.column}):
        symbol = model.symbols[s]
        _name(session, symbol, s, own.get(s, []), book[s], night.told.get(symbol, Told()), found)
    return found


def _cause_of(symbol: str | None, by_actions: Collection[str]) -> Cause:
    return Cause.CORPORATE_ACTION if symbol in by_actions else Cause.MANUAL


def _name(session: _Session, symbol: str, s: int, events: list[np.void], before: np.void, told: Told, found: Lines) -> None:
    """One symbol: its order and how it ended, the operator's own, then a stop or target."""
    orders = [event for event in events if event["kind"] == ORDER]
    exits = [event for event in events if event["kind"] != ORDER]
    ratio = float(session.bars.split_ratio[session.t, s])
    filled = _order(session, symbol, s, orders, told, found) if orders else 0.0
    held = float(before["shares"]) * ratio + filled
    if told.flattened is not None and Cause.MANUAL in session.causes:
        held += _flatten(symbol, s, told, told.flattened, held, found)
    _exit(session, symbol, s, exits, told, held, found)


def _order(session: _Session, symbol: str, s: int, events: list[np.void], told: Told, found: Lines) -> float:
    """The decided order; returns the shares of it that filled."""
    fill = next((event for event in events if event["outcome"] == FILLED), None)
    left = next((event for event in events if event["outcome"] != FILLED), None)
    whole = float(sum(event["shares"] for event in events))
    model = 0.0 if fill is None else float(fill["shares"])
    shares = _filled(session, symbol, whole, model, told, found)
    traded = told.traded if told.traded is not None and told.traded.shares * whole > 0.0 else None
    reason = int(events[0]["reason"])
    if shares:
        open_ = float(session.bars.open[session.t, s])
        source = None if fill is None else (float(fill["price"]), float(fill["reference"]), float(fill["commission"]))
        price, reference, fee, altered = _priced(session, symbol, shares, source, model, traded, found)
        found.altered |= altered
        found.lines.append((s, ORDER, FILLED, reason, shares, price, reference, fee, reference != open_))
    if shares != whole:
        outcome = int(left["outcome"]) if left is not None and shares == model else int(Outcome[(told.ending or "ended").upper()])
        found.lines.append((s, ORDER, outcome, 0, shares, math.nan, math.nan, 0.0, False))
    found.altered |= shares != model
    return shares


def _filled(session: _Session, symbol: str, whole: float, model: float, told: Told, found: Lines) -> float:
    """How many of ``whole`` ordered shares filled: in the model ``model``, in the account the share of its own order that did."""
    shares, ordered = model, told.ordered * told.split
    if ordered * whole <= 0.0:
        return shares
    if Cause.MANUAL in session.causes and told.withdrawn:
        most = abs(np.rint(whole * (1.0 - told.withdrawn / told.ordered)))
        if abs(shares) > most:
            shares = math.copysign(most, whole) if most else 0.0
            found.told.append(Said(symbol, Cause.MANUAL, f"{whole:+,.0f} ordered, not sent: {told.note or 'withdrawn'}", None))
    if Cause.MISSED in session.causes:
        done = told.traded.shares if told.traded is not None and told.traded.shares * ordered > 0.0 else 0.0
        now = float(np.rint(whole * done / ordered))
        if now != shares:
            why = f": {told.note}" if told.note else ""
            found.told.append(
                Said(symbol, Cause.MISSED, f"{now:+,.0f} of {whole:+,.0f} shares filled, {shares:+,.0f} in the model{why}", None)
            )
        shares = now
    return shares


def _priced(
    session: _Session, symbol: str, shares: float, source: tuple[float, float, float] | None, model: float, traded: Traded | None,
    found: Lines,
) -> tuple[float, float, float, bool]:  # fmt: skip
    """Price, reference and commission of ``shares``, and whether they are other than the model's (``source``, of ``model`` shares)."""
    if source is None:
        assert traded is not None, "what neither the model nor the account filled is no execution"
        price = traded.reference if math.isfinite(traded.reference) else traded.price
        reference = price
    else:
        price, reference, _ = source
    if traded is not None and Cause.PRICE in session.causes and traded.price != price:
        usd = (price - traded.price) * shares
        if abs(usd) >= CENT:
            found.told.append(Said(symbol, Cause.PRICE, f"{shares:+,.0f} at {traded.price:,.4f}, {price:,.4f} in the model", usd))
        price, reference = traded.price, traded.reference
    same = source is not None and price == source[0] and shares == model
    fee = source[2] if same and source is not None else float(commission(abs(shares), price, session.model.costs))
    if traded is not None and Cause.COSTS in session.causes:
        paid = traded.commission if shares == traded.shares else traded.commission * abs(shares / traded.shares)
        if abs(fee - paid) >= CENT:
            found.told.append(Said(symbol, Cause.COSTS, f"commission {paid:,.2f}, {fee:,.2f} in the model", fee - paid))
        fee = paid
    altered = source is None or (price, fee) != (source[0], source[2])
    return price, reference, fee, altered


def _flatten(symbol: str, s: int, told: Told, traded: Traded, held: float, found: Lines) -> float:
    """The operator's own order, of the share of the position that he closed."""
    there = told.held * told.split
    shares = traded.shares if not there else float(np.rint(traded.shares * held / there))
    if not shares:
        return 0.0
    fee = traded.commission * abs(shares / traded.shares)
    reference = traded.reference if math.isfinite(traded.reference) else traded.price
    found.lines.append((s, ORDER, FILLED, code_of(traded.reason), shares, traded.price, reference, fee, True))
    found.altered = True
    found.told.append(Said(symbol, Cause.MANUAL, f"{shares:+,.0f} at {traded.price:,.4f} by the operator", None))
    return shares


def _exit(session: _Session, symbol: str, s: int, events: list[np.void], told: Told, held: float, found: Lines) -> None:
    """The stop or target of the position: the model's ``events``, or the account's where it was another."""
    fill = next((event for event in events if event["outcome"] == FILLED), None)
    whole = float(sum(event["shares"] for event in events))
    model = 0.0 if fill is None else float(fill["shares"])
    shares, kind, reason = model, int(events[0]["kind"]) if events else STOP, int(events[0]["reason"]) if events else 0
    there = told.held * told.split + (0.0 if told.traded is None else told.traded.shares)
    closed = told.exit if told.exit is not None and told.exit.shares * there < 0.0 else None
    if Cause.MISSED in session.causes and there and (events or closed is not None):
        share = 0.0 if closed is None else min(1.0, abs(closed.shares / there))
        now = float(np.rint(-held * share)) if held * there > 0.0 else model
        if closed is not None and not model:
            kind, reason = EXITS[closed.kind], code_of(closed.reason)
        if now != model:
            did, would = (f"{value:+,.0f} shares" if value else "nothing" for value in (now, model))
            found.told.append(Said(symbol, Cause.MISSED, f"stop or target: {did} closed, {would} in the model", None))
        shares, whole = now, (-held if now or whole else 0.0)
    if shares:
        traded = closed if closed is not None and closed.shares * shares > 0.0 else None
        source = None if fill is None else (float(fill["price"]), float(fill["reference"]), float(fill["commission"]))
        price, reference, fee, altered = _priced(session, symbol, shares, source, model, traded, found)
        found.altered |= altered
        found.lines.append((s, kind, FILLED, reason, shares, price, reference, fee, False))
        if shares != whole:
            found.lines.append((s, kind, CARRIED, reason, shares, math.nan, math.nan, 0.0, False))
    elif events and shares == model:  # reached, and nothing of it filled
        found.lines.append((s, kind, CARRIED, reason, shares, math.nan, math.nan, 0.0, False))
    found.altered |= shares != model
