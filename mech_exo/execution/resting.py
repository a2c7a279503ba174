"""Resting stops and targets as the paper broker has them: orders that are levels of a position, or of the entry that opens it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mech_exo.domain.orders import Fill, Order, OrderState, OrderType
from mech_exo.execution.booking import code_of
from mech_exo.execution.rows import StateChange

KINDS = {OrderType.STOP: "stop", OrderType.LIMIT: "target"}


@dataclass(slots=True)
class Resting:
    """Stop and limit orders that rest until one of them fills; they cancel each other, and end with what they protect."""

    _orders: dict[str, Order] = field(default_factory=dict)

    def orders(self) -> tuple[Order, ...]:
        """All of them, in the order they came."""
        return tuple(self._orders.values())

    def order(self, order_id: str) -> Order | None:
        """One of them."""
        return self._orders.get(order_id)

    def by_kind(self) -> dict[tuple[str, str], str]:
        """Ids by symbol and kind of exit."""
        return {(order.symbol, KINDS[order.type]): order.id for order in self.orders()}

    def refusal(self, order: Order, held: int) -> str:
        """Why ``order`` cannot rest on a position of ``held`` shares; "" where it can."""
        if order.type not in KINDS:
            return f"only stop and limit orders rest; {order.symbol} has a {order.type} order"
        if order.shares != -held:
            whole = f"what rests on the paper broker protects the whole holding of {order.symbol}: {held} shares"
            return f"{whole}; the order has {order.shares}"
        if (order.symbol, KINDS[order.type]) in self.by_kind():
            return f"a position has one {KINDS[order.type]}; {order.symbol} has one already: cancel it first"
        return ""

    def put(self, order: Order, position: np.void, *, anew: bool) -> None:
        """Set the level of ``order`` on ``position``; one that was restored from the ledger only where the booked line has none."""
        self._orders[order.id] = order
        name = self._field(order, position)
        if anew or math.isnan(position[name]):
            position[name] = math.nan if order.level is None else order.level
            if order.type is OrderType.STOP:
                position["stop_reason" if name == "stop" else "order_stop_reason"] = code_of(order.reason)

    def level(self, order: Order, position: np.void) -> float:
        """Where it rests now, after splits, in USD."""
        return float(position[self._field(order, position)])

    def lift(self, order: Order, position: np.void) -> None:
        """Take the level off again."""
        position[self._field(order, position)] = math.nan
        del self._orders[order.id]

    def ending(self, order: Order, fill: Fill | None, held: bool) -> StateChange | None:
        """What a session made of ``order``; None: it goes on resting."""
        if fill is not None and (fill.shares == order.shares or not held):
            note = "filled" if fill.shares == order.shares else f"filled as {fill.shares} shares after a split"
            change = StateChange(order.id, OrderState.FILLED, note, order.id)
        elif not held:
            change = StateChange(order.id, OrderState.CANCELLED, "nothing is left to protect", order.id)
        else:
            return None
        del self._orders[order.id]
        return change

    def _field(self, order: Order, position: np.void) -> str:
        """A leg is on its entry's levels until that has filled."""
        waits = order.parent is not None and position["shares"] * order.shares >= 0.0
        return ("order_" if waits else "") + KINDS[order.type]
