"""Orders with what their fills cost, what limits withheld at a close, and the whole way of one order from raw factor to fill.

USD; shares signed and whole; bps of the value at the decision's price; None = unknown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import MechExoError, MissingDataError
from mech_exo.execution.tracker import BPS, CostSummary, ExecutionTracker, FillCost, summed
from mech_exo.reporting.text import words

if TYPE_CHECKING:
    from mech_exo.domain.orders import Fill
    from mech_exo.domain.panel import BarPanel
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId, OrderRow
    from mech_exo.performance.trading import Costs
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.reader import Reader

Row = dict[str, Any]
PARTS = ("delay", "impact", "fees", "shortfall")
NOTHING: Row = dict.fromkeys(("fill_price", *PARTS, "slippage_bps", "shortfall_bps"), "")
"""What stands in the columns of an order that has not filled: it cost nothing yet, and nothing about that is unknown."""
UNDECIDED: Row = dict.fromkeys(("price", "delay", "shortfall", "shortfall_bps"), "")
"""What a resting level has not: no decision named its price, so there is none to measure from."""


@dataclass(frozen=True, slots=True, eq=False)
class Executions:
    """Every order of a book as the rows of its table, the costs of every fill by order, and whether bars were at hand to measure them."""

    rows: tuple[Row, ...]
    costs: Mapping[str, tuple[FillCost, ...]]
    bars: bool

    def summary(self, since: date | None, until: date | None) -> CostSummary:
        """The costs of the fills of these sessions (both included, None: open)."""
        every = (cost for costs in self.costs.values() for cost in costs)
        return summed(cost for cost in every if (since is None or cost.session >= since) and (until is None or cost.session <= until))


@dataclass(frozen=True, slots=True)
class Step:
    """What one factor gave a score: ``raw`` → ``normalised`` × its ``weight`` → ``contribution``; None = it has no value for the name."""

    factor: str
    raw: float | None
    normalised: float | None
    weight: float | None
    contribution: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One name's way through a night: the verdict in a sentence, its score by factor, the rest of the story a line each.

    ``score`` None where it had none. ``order_id`` is the order that was asked about, None where a name was; ``costs`` those of its fills.
    """

    symbol: str
    session: date
    order_id: str | None
    verdict: str
    score: float | None
    rank: int | None
    scored: int
    coverage: float | None
    steps: tuple[Step, ...]
    story: tuple[str, ...]
    costs: tuple[FillCost, ...]


def executions(reader: Reader, book: BookId) -> Executions:
    """Every order of ``book``, resting legs included, the newest session first."""
    return reader.once(("executions", book), lambda house, ledger: _executions(house, ledger, book))


def _executions(house: House, ledger: Ledger, book: BookId) -> Executions:
    orders = ledger.orders(book)
    panel = _panel(house, {row.order.symbol for row in orders if row.filled}, orders)
    costs: dict[str, list[FillCost]] = {}
    for cost in ExecutionTracker(ledger, book, panel).costs():
        costs.setdefault(cost.order_id, []).append(cost)
    planned = [_row(order, tuple(costs.get(order.order.id, ()))) for order in orders]
    ids = {order.order.id for order in orders}
    others = {row.fill.order_id: row.fill for row in ledger.fills(book) if row.fill.order_id not in ids}
    rows = sorted((*planned, *(_resting(fill, tuple(costs[id_])) for id_, fill in others.items())), key=lambda row: row["symbol"])
    rows.sort(key=lambda row: row["session"], reverse=True)
    return Executions(tuple(rows), {id_: tuple(each) for id_, each in costs.items()}, panel is not None)


def _panel(house: House, symbols: set[str], orders: Sequence[OrderRow]) -> BarPanel | None:
    """Bars since the first order; None where nothing is published. Mapped, not read: cutting columns out of it would copy it."""
    if not symbols or not orders:
        return None
    try:
        return house.storage.view().panel(start=min(row.decided for row in orders))
    except MechExoError:
        return None


def _row(row: OrderRow, costs: tuple[FillCost, ...]) -> Row:
    order = row.order
    said = row.note if row.note not in ("", str(row.state)) else ""
    return {
        "key": order.id, "session": order.session.isoformat(), "decided": row.decided.isoformat(), "symbol": order.symbol,
        "shares": order.shares, "filled": row.filled, "price": known(row.price), "type": words(order.type.value),
        "reason": words(order.reason.value), "state": words(row.state.value), "note": said, "stop": order.stop_level,
        "target": order.target_level, "level": order.level, "leg": order.rests, **_costs(costs),
    }  # fmt: skip


def _resting(fill: Fill, costs: tuple[FillCost, ...]) -> Row:
    """A stop or target that filled and was never an order by itself: the paper broker keeps levels, not orders."""
    shares = sum(cost.shares for cost in costs)
    return {
        "key": fill.order_id, "session": fill.session.isoformat(), "decided": "", "symbol": fill.symbol, "shares": shares,
        "filled": shares, "type": "resting level", "reason": words(fill.reason.value), "state": "filled", "note": "",
        "stop": None, "target": None, "level": None, "leg": False, **_costs(costs), **UNDECIDED,
    }  # fmt: skip


def _costs(costs: tuple[FillCost, ...]) -> Row:
    """What the fills of one order cost; a part that is unknown of one fill is unknown of all."""
    if not costs:
        return NOTHING
    parts = {name: known(math.fsum(getattr(cost, name) for cost in costs)) for name in PARTS}
    arrived, decided = (_worth(costs, of) for of in ("arrival", "decision"))
    bps = {"slippage_bps": _bps(parts["impact"], arrived), "shortfall_bps": _bps(parts["shortfall"], decided)}
    return {"fill_price": _average(costs), **parts, **bps}


def _worth(costs: tuple[FillCost, ...], price: str) -> float:
    return math.fsum(abs(cost.shares) * getattr(cost, price) for cost in costs)


def _bps(usd: float | None, of: float) -> float | None:
    return usd / of * BPS if usd is not None and of > 0.0 else None


def _average(costs: tuple[FillCost, ...]) -> float | None:
    shares = sum(cost.shares for cost in costs)
    return known(math.fsum(cost.shares * cost.price for cost in costs) / shares) if shares else None


def known(value: float | None) -> float | None:
    """NaN is None."""
    return None if value is None or not math.isfinite(value) else float(value)


def of_gross(reader: Reader, book: BookId, since: date | None = None, until: date | None = None) -> Costs:
    """Costs beside the gross P&L of the booked sessions of a span: the KPI's own definition and function."""

    def make(_house: House, ledger: Ledger) -> Costs:
        from mech_exo.execution.booking import history_of
        from mech_exo.performance.trading import costs

        days = [day for day in ledger.day_history(book) if since is None or day.session >= since]
        return costs(history_of([day for day in days if until is None or day.session <= until])[1])

    return reader.once(("of gross", book, since, until), make)


def chosen(rows: Sequence[Row], query: Mapping[str, str]) -> tuple[Row, ...]:
    """The rows that an address asks for: ``since`` and ``until`` (sessions), ``state``, ``symbol``, ``legs`` (1: with resting ones)."""
    since, until = query.get("since", ""), query.get("until", "") or "9999"
    state, symbol, legs = query.get("state", ""), query.get("symbol", ""), query.get("legs") == "1"
    return tuple(
        row
        for row in rows
        if since <= row["session"] <= until
        and (not state or row["state"] == state)
        and (not symbol or row["symbol"] == symbol)
        and (legs or not row["leg"] or row["filled"] or row["state"] == "unknown")
    )


def explained(reader: Reader, book: BookId, asked: str, session: date) -> Way:
    """The way of the order, or of the symbol at the close of ``session``, that ``asked`` names.

    Raises
    ------
    MissingDataError
        There is no such order, or nothing was decided at that close.
    InputError
        A symbol the night did not know.
    """
    return reader.once(("explained", book, asked, session), lambda house, ledger: _explained(house, ledger, book, asked, session))


def _explained(house: House, ledger: Ledger, book: BookId, asked: str, session: date) -> Way:
    from mech_exo.decision.explanation import story
    from mech_exo.execution.undecided import undecided
    from mech_exo.reporting.why import explain

    order = ledger.find_order(asked)
    if order is not None and order.book != book:
        raise MissingDataError(f"the order {asked} is of another book", remedy="exo orders lists them")
    symbol, close = (asked, session) if order is None else (order.order.symbol, order.decided)
    decision = ledger.decision(book, close)
    if decision is None:
        raise undecided(ledger, book, close)
    body = json.loads(decision.body)
    found = explain(symbol, body, ledger, book, lambda: house.sectors(close))
    ids = {one["id"] for one in found["orders"]}
    panel = _panel(house, {symbol}, ledger.orders(book, symbol=symbol))
    costs = tuple(cost for cost in ExecutionTracker(ledger, book, panel).costs(since=close) if cost.order_id in ids)
    score = found["score"]
    return Way(
        symbol=symbol,
        session=close,
        order_id=None if order is None else order.order.id,
        verdict=found["verdict"],
        score=None if score is None else score["score"],
        rank=None if score is None else score["rank"],
        scored=found["scored"],
        coverage=None if score is None else score["coverage"],
        steps=() if score is None else tuple(_step(name, line, found["weights"]) for name, line in score["factors"].items()),
        story=story(found),
        costs=costs,
    )


def _step(name: str, line: Mapping[str, Any], weights: Mapping[str, float]) -> Step:
    normalised = line["normalised"]
    return Step(name, line["raw"], normalised, weights.get(name), None if normalised is None else line["contribution"])
