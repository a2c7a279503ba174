"""The figures of one call of :class:`mech_exo.sizing.sizer.PositionSizer`, checked: what is missing or no number is refused by name."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.utils.settings import SizingMethod, SizingRules

NEEDS = {
    "atr": "the Average True Range in USD",
    "volatility": "the annual volatility as a fraction",
    "win_rate": "the share of winning trades, measured on closed trades",
    "payoff": "average win / average loss, measured on closed trades",
    "names": "how many names share the gross exposure",
    "weight": "the share of the gross exposure that the whole book's weights give the name: mech_exo.sizing.optimised, or exo plan",
}


class Request(NamedTuple):
    """One call's figures: USD, fractions; NaN = not given."""

    symbol: str
    side: float
    price: float
    atr: float
    volatility: float
    stop: float
    win_rate: float
    payoff: float
    trades: float
    names: float
    weight: float
    gap: float


def checked(
    sizing: SizingRules, symbol: str, price: float, side: str, atr: float | None, volatility: float | None, stop_price: float | None,
    win_rate: float | None, payoff: float | None, trades: int | None, names: int | None, weight: float | None, gap: float | None,
) -> Request:
    """The figures of :meth:`PositionSizer.calculate_size`; those of ``sizing`` stand in for a win rate and a payoff not given."""
    if side not in ("long", "short"):
        raise InputError(f"side must be 'long' or 'short'; got {side!r}")
    sign = 1.0 if side == "long" else -1.0
    known_price = above_zero(f"price of {symbol}", price, "fetch or import a price first; a size is never made from a guess")
    stop = given("stop_price", stop_price)
    if stop is not None and (known_price - stop) * sign <= 0.0:
        where = "below" if sign > 0 else "above"
        raise InputError(f"a {side} position's stop must lie {where} its price; {symbol} has price {known_price} and stop_price {stop}")
    won, ratio = (sizing.win_rate if win_rate is None else win_rate), given("payoff", sizing.payoff if payoff is None else payoff)
    for name, value in (("win_rate", won), ("weight", weight)):
        if value is not None and not (isinstance(value, (int, float, np.number)) and 0.0 <= value <= 1.0):
            raise InputError(f"{name} must be a fraction from 0 to 1; got {value!r}", remedy=_percent(value))
    if gap is not None and not (isinstance(gap, (int, float, np.number)) and 0.0 <= gap < math.inf):
        raise InputError(f"gap must be a fraction of at least 0, the tail of the name's own overnight moves; got {gap!r}")
    if gap is not None and sign > 0.0 and gap > 1.0:
        raise InputError(f"gap must be a fraction: a price cannot fall by more than 1, all of it; got {gap!r}", remedy=_percent(gap))
    counts = (count("trades", trades), count("names", names))
    figures = (given("atr", atr), given("volatility", volatility), stop, won, ratio, *counts, weight, gap)
    return Request(symbol, sign, known_price, *(math.nan if figure is None else float(figure) for figure in figures))


def _percent(value: object) -> str | None:
    """What to write where a percentage was probably meant."""
    return f"fractions, not percent: {value / 100.0:g} is {value:g} %" if isinstance(value, (int, float)) and 1.0 < value <= 100.0 else None


def method_of(method: SizingMethod | str) -> SizingMethod:
    """The method named."""
    try:
        return SizingMethod(method)
    except ValueError:
        raise InputError(f"the sizing method must be one of {', '.join(SizingMethod)}; got {method!r}") from None


def number(name: str, value: Any, remedy: str | None) -> float:
    """``value`` as a float; text, booleans and None are no numbers."""
    if isinstance(value, (bool, str)) or value is None:
        raise InputError(f"{name} must be a number above 0; got {value!r}", remedy=remedy)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number above 0; got {value!r}", remedy=remedy) from None


def above_zero(name: str, value: Any, remedy: str | None) -> float:
    """``value`` as a finite float above 0."""
    known = number(name, value, remedy)
    if not (math.isfinite(known) and known > 0.0):
        raise InputError(f"{name} must be above 0 and finite; got {known}", remedy=remedy)
    return known


def given(name: str, value: float | None) -> float | None:
    """``value`` as a finite float above 0, or None where it is not given."""
    return None if value is None else above_zero(name, value, "leave it out if it is not known")


def count(name: str, value: Any) -> int | None:
    """``value`` where it is a whole number of at least 1 or not given."""
    if value is None or (isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1):
        return None if value is None else int(value)
    raise InputError(f"{name} must be a whole number of at least 1; got {value!r}")


def needs(method: SizingMethod, r: Request, **figures: float) -> None:
    """Raise InputError naming the figures of ``method`` that are NaN: without them there is no size."""
    missing = [name for name, figure in figures.items() if math.isnan(figure)]
    if missing:
        remedy = ", ".join(f"{name}=… ({NEEDS[name]})" for name in missing)
        raise InputError(f"{method} needs {' and '.join(missing)}; {r.symbol} has none, so there is no {method} size", remedy=remedy)
