"""One name's way through a night, from the journal alone: what ``exo why`` and the dashboard tell."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from mech_exo.decision.explanation import Body, Sectors, about, line_of, verdict
from mech_exo.domain.errors import InputError, cut

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId


def explain(symbol: str, body: Body, ledger: Ledger, book: BookId, sectors: Sectors) -> Body:
    """Everything a night decided about ``symbol``: score by factor, rank, target, limits, orders with their states and fills.

    ``sectors`` gives each name's sector as known that night; it is asked only where a name was passed over in spite of its rank.
    Raises InputError for a symbol the night did not know.
    """
    session = date.fromisoformat(body["as_of"])
    booked = ledger.session(book, session)
    held = next((line for line in booked.lines if line.symbol == symbol and line.shares), None) if booked is not None else None
    found = about(symbol, body, None if held is None else _held(held, body))
    if found["score"] is None and found["excluded"] is None and held is None:
        known = [line["symbol"] for line in body["scores"]] + list(body["excluded"])
        near = difflib.get_close_matches(symbol, known, 3, 0.5)
        raise InputError(
            f"{cut(symbol)!r} was not known on {session}",
            remedy=f"did you mean {', '.join(map(cut, near))}?" if near else "exo data status lists what is stored",
        )
    orders = [row for row in ledger.orders(book, session=date.fromisoformat(body["session"])) if row.order.symbol == symbol]
    fills = [row.fill for row in ledger.fills(book, symbol=symbol) if row.fill.session <= session]
    found["orders"] = [
        {
            "id": r.order.id,
            "shares": r.order.shares,
            "session": r.order.session,
            "reason": r.order.reason,
            "state": r.state,
            "note": r.note,
        }
        for r in orders
    ]
    found["fills"] = [
        {"session": f.session, "shares": f.shares, "price": f.price, "commission": f.commission, "reason": f.reason} for f in fills[-10:]
    ]
    found["verdict"] = verdict(found, body, sectors)
    return found


def _held(line: Any, body: Body) -> Body:
    fields = asdict(line)
    level = line_of(line.symbol, body["levels"]) or {}
    return {
        "shares": int(fields["shares"]),
        "entry": fields["entry"],
        "mark": fields["mark"],
        "sessions": fields["age"],
        "stop": level.get("stop"),
        "target": level.get("target"),
        "stop_reason": level.get("reason", "none"),
    }
