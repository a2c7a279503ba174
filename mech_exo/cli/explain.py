"""``exo why``: one name's way through a night, from the journal alone."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from mech_exo.cli.tables import number
from mech_exo.decision.strategy import missing_warnings
from mech_exo.domain.errors import InputError, cut

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId

Body = dict[str, Any]
Sectors = Callable[[], Mapping[str, str | None] | None]


def explain(symbol: str, body: Body, ledger: Ledger, book: BookId, sectors: Sectors) -> Body:
    """Everything a night decided about ``symbol``: score by factor, rank, target, limits, orders with their states and fills.

    ``sectors`` gives each name's sector as known that night; it is asked only where a name was passed over in spite of its rank.
    Raises InputError for a symbol the night did not know.
    """
    session = date.fromisoformat(body["as_of"])
    booked = ledger.session(book, session)
    held = next((line for line in booked.lines if line.symbol == symbol and line.shares), None) if booked is not None else None
    score = _of(symbol, body["scores"])
    excluded = body["excluded"].get(symbol)
    if score is None and excluded is None and held is None:
        known = [line["symbol"] for line in body["scores"]] + list(body["excluded"])
        near = difflib.get_close_matches(symbol, known, 3, 0.5)
        raise InputError(
            f"{cut(symbol)!r} was not known on {session}",
            remedy=f"did you mean {', '.join(map(cut, near))}?" if near else "exo data status lists what is stored",
        )
    orders = [row for row in ledger.orders(book, session=date.fromisoformat(body["session"])) if row.order.symbol == symbol]
    fills = [row.fill for row in ledger.fills(book) if row.fill.symbol == symbol and row.fill.session <= session]
    found: Body = {
        "symbol": symbol,
        "as_of": body["as_of"],
        "scheduled": body["scheduled"],
        "state": body["state"],
        "scored": len(body["scores"]),
        "held": None if held is None else _held(held, body),
        "score": score,
        "weights": _weights(body),
        "excluded": excluded,
        "target": _of(symbol, body["targets"]),
        "breaches": [line for line in body["breaches"] if line["symbol"] in (symbol, None)],
        "orders": [
            {
                "id": r.order.id,
                "shares": r.order.shares,
                "session": r.order.session,
                "reason": r.order.reason,
                "state": r.state,
                "note": r.note,
            }
            for r in orders
        ],
        "fills": [
            {"session": f.session, "shares": f.shares, "price": f.price, "commission": f.commission, "reason": f.reason}
            for f in fills[-10:]
        ],
        "missing_factors": body["missing_factors"],
    }
    found["verdict"] = verdict(found, body, sectors)
    return found


def verdict(found: Body, body: Body, sectors: Sectors) -> str:
    """The answer in one sentence."""
    symbol, target, score = found["symbol"], found["target"], found["score"]
    if found["orders"]:
        order = found["orders"][0]
        side = "bought" if order["shares"] > 0 else "sold"
        return (
            f"{symbol} is to be {side}: {abs(order['shares']):,} shares, {order['reason'].value.replace('_', ' ')}, {order['state'].value}."
        )
    if target is not None and target["wanted"] and not target["shares"]:
        return f"{symbol} was wanted ({target['wanted']:,} shares) and denied by {target['binding'].replace('_', ' ')}."
    if found["held"] is not None:
        kept = (
            "its size is as wanted"
            if target is not None
            else "the book was not decided this night"
            if not found["scheduled"]
            else "it stays as it is"
        )
        return f"{symbol} is held ({found['held']['shares']:,} shares): {kept}."
    if found["excluded"]:
        return f"{symbol} is not bought: {found['excluded']}."
    if not found["scheduled"]:
        return f"{symbol} is not held, and the book was not decided this night."
    if score is not None:
        bought = [line["symbol"] for line in body["targets"] if line["wanted"] > 0]
        worst = max((line["rank"] for line in body["scores"] if line["symbol"] in bought), default=None)
        if worst is not None and score["rank"] < worst:
            return f"{symbol} is not bought: rank {score['rank']} would do, but {_passed_over(symbol, bought, body, sectors())}."
        return f"{symbol} is not bought: rank {score['rank']} of {found['scored']}, the last one bought has rank {worst}."
    return f"{symbol} is not bought."


def _passed_over(symbol: str, bought: list[str], body: Body, sectors: Mapping[str, str | None] | None) -> str:
    """Why a name whose rank would do was not among the selected ones."""
    if sectors is None:
        return "its sector is full or unknown, or its size is unknown (the store no longer holds that session)"
    own, limits, chosen = sectors.get(symbol), body["config"]["risk"]["position_sizing"], body["config"]["strategy"]["selection"]
    ruled = limits["max_sector_exposure"] is not None or chosen["max_sector_share"] < 1.0
    if own is None and ruled:
        return "its sector is unknown, and the sector limit denies what it cannot judge (exo data import --sectors FILE)"
    same = sum(sectors.get(name) == own for name in bought)
    most = max(1, math.floor(chosen["max_sector_share"] * max(chosen["top"], chosen["bottom"]) + 1e-9))
    if ruled and same >= most:
        return f"{own} is full: {same} names are chosen, {most} are allowed (selection.max_sector_share)"
    return "no size could be found: its volatility or ATR is unknown, or not one share fits"


def render_explanation(to: Console, found: Body) -> None:
    """The way of one name, step by step."""
    from rich.table import Table

    to.print(f"\n[bold]{found['symbol']}[/] at the close of {found['as_of']} · risk {found['state'].upper()}")
    to.print(f"[bold]{found['verdict']}[/]")
    score = found["score"]
    if score is not None:
        table = Table(
            "Factor",
            "Raw",
            "Normalised",
            "Weight",
            "Contribution",
            title_justify="left",
            title=f"Score {score['score']:.4f} · rank {score['rank']} of {found['scored']} · coverage {score['coverage']:.0%}",
        )
        for column in table.columns[1:]:
            column.justify = "right"
        for name, line in score["factors"].items():
            table.add_row(
                name,
                number(line["raw"], 4),
                number(line["normalised"], 4),
                number(found["weights"].get(name), 1),
                number(None if line["normalised"] is None else line["contribution"], 4),
            )
        to.print(table)
    for line in missing_warnings(found["missing_factors"]):
        to.print(f"[dim]{line}[/]")
    target = found["target"]
    if target is not None:
        bound = f", cut by {target['binding'].replace('_', ' ')}" if target["binding"] else ""
        to.print(
            f"Size by {target['method']}: {target['wanted']:,} shares wanted → "
            f"{target['shares']:,} approved{bound} ({_percent(target['weight'])} of NAV)"
        )
        to.print(f"  stop {number(target['stop'])}, profit target {number(target['target'])}")
    for line in found["breaches"]:
        to.print(
            f"  limit {line['code']} on {line['symbol'] or 'the portfolio'}: "
            f"{number(line['value'], 4)} wanted, {number(line['limit'], 4)} allowed"
        )
    held = found["held"]
    if held is not None:
        to.print(
            f"Held {held['shares']:,} shares, sessions since entry: {held['sessions']}, "
            f"entry {number(held['entry'])}, mark {number(held['mark'])}, "
            f"stop {number(held['stop'])} ({held['stop_reason']}), target {number(held['target'])}"
        )
    for order in found["orders"]:
        to.print(
            f"Order {order['id']}: {order['shares']:+,} for {order['session']} "
            f"({order['reason'].value.replace('_', ' ')}) → {order['state'].value}{_note(order)}"
        )
    for fill in found["fills"]:
        to.print(
            f"Fill {fill['session']}: {fill['shares']:+,} at {fill['price']:,.4f}, "
            f"commission {fill['commission']:.2f} ({fill['reason'].value})"
        )


def _of(symbol: str, lines: list[Body]) -> Body | None:
    return next((line for line in lines if line["symbol"] == symbol), None)


def _held(line: Any, body: Body) -> Body:
    fields = asdict(line)
    level = _of(line.symbol, body["levels"]) or {}
    return {
        "shares": int(fields["shares"]),
        "entry": fields["entry"],
        "mark": fields["mark"],
        "sessions": fields["age"],
        "stop": level.get("stop"),
        "target": level.get("target"),
        "stop_reason": level.get("reason", "none"),
    }


def _note(order: Body) -> str:
    """What else is known of an order; nothing where that only repeats its state."""
    return "" if order["note"] in ("", order["state"].value) else f": {order['note']}"


def _weights(body: Body) -> dict[str, float]:
    factors = body["config"]["factors"]
    return {
        name: line["weight"] for family in ("fundamental", "technical", "sentiment", "quality") for name, line in factors[family].items()
    }


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"
