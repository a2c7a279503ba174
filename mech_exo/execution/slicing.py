"""Large orders in slices: equal children at equal times, so that no one of them is a large share of what trades.

Rule: an order above a share of the average daily volume is cut into as many children as fit between the open and ``minutes`` later, one
every ``every_minutes``; shares are whole, differ by at most one and sum to the order's. Source: the time-weighted average price (TWAP)
schedule, optimal for a risk-neutral trader under linear temporary impact (Bertsimas & Lo 1998, "Optimal control of execution costs",
*Journal of Financial Markets* 1; Almgren & Chriss 2000, "Optimal execution of portfolio transactions", *Journal of Risk* 3, for zero
risk aversion).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from mech_exo.domain.errors import InputError
from mech_exo.domain.orders import Order, OrderKey, OrderType
from mech_exo.execution.rows import BookId
from mech_exo.utils.broker_settings import Slicing


def children(order: Order, book: BookId, volume: float, opens: datetime, rules: Slicing) -> tuple[Order, ...]:
    """``order`` itself, or its children: the first at the open with the order's own id and type, the others market orders after it.

    ``volume``: the average daily volume in shares; NaN or 0 (unknown) cuts nothing, as does an order for the close, with a price or that
    rests. ``opens``: the session's open. Raises InputError for an ``opens`` without a time zone.
    """
    if opens.tzinfo is None:
        raise InputError(f"an instant has a time zone; the open of {order.session} has none")
    share = rules.above_volume_share
    if share is None or order.type is not OrderType.MARKET_ON_OPEN or order.rests:
        return (order,)
    if not abs(order.shares) > share * volume or not volume > 0.0:
        return (order,)
    count = min(rules.minutes // rules.every_minutes + 1, abs(order.shares))
    parts = split_evenly(order.shares, count)
    return (replace(order, shares=parts[0]), *(_child(order, book, parts[k], k, opens, rules) for k in range(1, count)))


def split_evenly(shares: int, count: int) -> tuple[int, ...]:
    """``shares`` (signed) in ``count`` whole parts that differ by at most one, the larger ones first.

    Raises InputError unless 1 ≤ count ≤ |shares|.
    """
    if not 1 <= count <= abs(shares):
        raise InputError(f"every part has at least one share; {shares} shares cannot be cut into {count} parts")
    each, more = divmod(abs(shares), count)
    side = 1 if shares > 0 else -1
    return tuple(side * (each + (k < more)) for k in range(count))


def _child(order: Order, book: BookId, shares: int, leg: int, opens: datetime, rules: Slicing) -> Order:
    key = OrderKey(book.account, book.strategy, order.session, order.symbol, order.side, order.reason.value, leg)
    after = opens + timedelta(minutes=leg * rules.every_minutes)
    return replace(order, id=key.id(), shares=shares, type=OrderType.MARKET, after=after)
