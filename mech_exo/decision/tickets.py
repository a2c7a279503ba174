"""What a callable strategy answers: targets as weights or shares, and for each how the order that gets there may fill."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mech_exo.decision.params import TICKET
from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.panel import MarketView
from mech_exo.domain.portfolio import Portfolio
from mech_exo.kernels.account import WHOLE
from mech_exo.kernels.records import Floats, Ints, OrderKind
from mech_exo.utils.settings import OrderType

MOST_WEIGHT = 10.0
"""Weights together, of NAV: more than ten times the account is a percent written where a fraction is meant."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A target (weight or shares) and the order that gets there; made by :func:`limit`, :func:`stop` and :func:`on_close`.

    ``price`` in USD, None for market orders. ``keep`` = what was not reached is ordered anew every session until it fills or the
    strategy answers again.
    """

    target: float
    type: OrderType = OrderType.MARKET_ON_OPEN
    price: float | None = None
    keep: bool = False


Target = float | Ticket
Answer = Mapping[str, Target] | None
StrategyFunction = Callable[[MarketView, Portfolio], Answer]
"""``(view, portfolio) -> {symbol: weight of NAV}``, ``shares({...})`` or None = leave everything; an absent symbol is sold."""


class Shares(dict[str, Target]):
    """Targets in signed shares; see :func:`shares`."""


def shares(targets: Mapping[str, Target]) -> Shares:
    """A callable's answer in shares instead of weights: return the result for ``{"AAPL": 100}``."""
    return Shares(targets)


def limit(target: float, price: float, *, keep: bool = False) -> Ticket:
    """Get to ``target`` by an order that never pays more (never gets less) than ``price`` USD."""
    return Ticket(target, OrderType.LIMIT, price, keep)


def stop(target: float, price: float, *, keep: bool = False) -> Ticket:
    """Get to ``target`` by an order that becomes a market order when the price reaches ``price`` USD: above it to buy, below it to sell."""
    return Ticket(target, OrderType.STOP, price, keep)


def on_close(target: float) -> Ticket:
    """Get to ``target`` at the close of the next session."""
    return Ticket(target, OrderType.MARKET_ON_CLOSE)


def wanted_shares(answer: Mapping[str, Target], view: MarketView, nav: float, lot: float = 1.0) -> tuple[Ints, Floats, np.ndarray]:
    """A callable's answer as columns ``(M,)`` ascending, signed shares ``(M,)`` in lots, and TICKET ``(M,)``.

    Weights become floor(|weight| × NAV / close) shares, in lots. Raises InputError for an unknown symbol, a target that is not a finite
    number, weights that add up to more than :data:`MOST_WEIGHT`, shares that are no lots, a weight on a name without a bar today, or an
    order price that is not above 0.
    """
    if not isinstance(answer, Mapping):
        raise InputError(
            f"a strategy answers with a mapping from symbol to weight, shares({{...}}) or None; got {type(answer).__name__} on {view.as_of}"
        )
    in_shares = isinstance(answer, Shares)
    lines = sorted((view.column_of(symbol), symbol, _number(symbol, target, view)) for symbol, target in answer.items())
    if not in_shares and (total := sum(abs(number) for _, _, number in lines)) > MOST_WEIGHT * (1.0 + WHOLE):
        raise InputError(
            f"weights are fractions of NAV, together at most {MOST_WEIGHT:g}; they add up to {total:g} on {view.as_of}",
            remedy="write 0.25 for 25 %, or answer shares({...}) for numbers of shares",
        )
    if in_shares:
        wanted = [_checked_lots(symbol, number, view, lot) for _, symbol, number in lines]
    else:
        wanted = [_shares_of_weight(symbol, number, view, nav, lot) for _, symbol, number in lines]
    terms = np.array([_terms(symbol, answer[symbol], view) for _, symbol, _ in lines], TICKET)
    return np.array([column for column, _, _ in lines], np.int64), np.array(wanted, np.float64), terms


def _number(symbol: str, target: Target, view: MarketView) -> float:
    value = target.target if isinstance(target, Ticket) else target
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise InputError(f"a strategy's targets must be numbers; {cut(symbol)} has {value!r} on {view.as_of}")
    if not np.isfinite(value):
        raise InputError(f"a strategy's targets must be finite; {cut(symbol)} has {value} on {view.as_of}")
    return float(value)


def _checked_lots(symbol: str, number: float, view: MarketView, lot: float) -> float:
    held = round(number / lot) * lot
    if abs(held - number) > WHOLE:
        rule = "shares must be whole" if lot == 1.0 else f"shares must be multiples of {lot:g}"
        raise InputError(f"{rule}; {cut(symbol)} has {number:g} on {view.as_of}")
    return held


def _shares_of_weight(symbol: str, weight: float, view: MarketView, nav: float, lot: float) -> float:
    if weight == 0.0:
        return 0.0
    price = float(view.price[view.column_of(symbol)])
    if not price > 0.0:
        remedy = "leave it out or use shares({...})"
        raise InputError(f"a weight needs a price; {cut(symbol)} did not trade on {view.as_of}", remedy=remedy)
    return float(np.copysign(np.floor(abs(weight) * nav / price / lot) * lot, weight))


def _terms(symbol: str, target: Target, view: MarketView) -> tuple[int, float, int]:
    if not isinstance(target, Ticket):
        return int(OrderKind.MARKET_ON_OPEN), math.nan, 0
    priced = target.type in (OrderType.LIMIT, OrderType.STOP)
    price = math.nan if target.price is None else float(target.price)
    if priced and not (math.isfinite(price) and price > 0.0):
        raise InputError(f"a {target.type} order needs a price above 0; {cut(symbol)} has {target.price} on {view.as_of}")
    return int(OrderKind[target.type.name]), price if priced else math.nan, int(target.keep and priced)
