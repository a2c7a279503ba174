"""The face of sizing for one name: :class:`PositionSizer`. The formulas are ``sizing/methods.py``, the limits ``risk/rules.py``."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.domain.verdict import BreachCode
from mech_exo.risk.rules import BREACH, PLAN, LimitParams, Rule, single_name
from mech_exo.risk.stops import StopParams, stop_level
from mech_exo.sizing import methods
from mech_exo.utils import log
from mech_exo.utils.settings import RiskLimits, SizingMethod, SizingRules

LOG = log.get(__name__)
LIMIT_KEYS = {BreachCode.POSITION: "max_position", BreachCode.TRADE_RISK: "max_single_trade_risk"}


class Size(int):
    """Signed whole shares that explain themselves: an ``int`` in every respect but :func:`repr`.

    Attributes
    ----------
    symbol, method
        What was sized and how.
    uncapped
        Unrounded shares the method asked for, signed.
    binding
        The limit that cut it; ``BreachCode.NONE`` when none did.
    headroom
        USD that the single-name limits would still allow in this name; 0 or more, inf where they are switched off.
    reason
        All of it in one sentence.
    """

    symbol: str
    method: SizingMethod
    uncapped: float
    binding: BreachCode
    headroom: float
    reason: str

    def __new__(
        cls,
        shares: int,
        symbol: str = "",
        method: SizingMethod = SizingMethod.ATR_BASED,
        uncapped: float = math.nan,
        binding: BreachCode = BreachCode.NONE,
        headroom: float = math.nan,
        reason: str = "",
    ) -> Size:
        """The whole number and its story."""
        size = super().__new__(cls, shares)
        size.__dict__.update(symbol=symbol, method=method, uncapped=uncapped, binding=binding, headroom=headroom, reason=reason)
        return size

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a size does not change; {name} cannot be set")

    def __str__(self) -> str:
        return int.__repr__(self)

    def __repr__(self) -> str:
        return f"Size({int(self)}: {self.reason})"


class _Request(NamedTuple):
    """One call's figures, checked: USD, fractions; NaN = not given."""

    symbol: str
    side: float
    price: float
    atr: float
    volatility: float
    stop: float
    win_rate: float
    payoff: float
    names: float


class PositionSizer:
    """Sizes one name at a time: the method's formula, then the position and trade-risk limits, rounded down to whole shares.

    Sector, gross, net, leverage and drawdown limits depend on the whole book: ask :meth:`mech_exo.risk.RiskChecker.approve`.

    Parameters
    ----------
    nav
        Net asset value in USD, above 0 and finite.
    limits
        None: the defaults of ``risk_limits.yml``.
    sizing
        None: the defaults of ``strategy.yml``'s ``sizing:`` (ATR multiple, Kelly fraction, gross exposure).

    Raises
    ------
    InputError
        ``nav`` is unknown, zero or negative.
    """

    def __init__(self, nav: float, limits: RiskLimits | None = None, sizing: SizingRules | None = None) -> None:
        self.nav = _above_zero("nav", nav, "give the account's net asset value in USD")
        self.limits = limits or RiskLimits()
        self.sizing = sizing or SizingRules()

    def calculate_size(
        self,
        symbol: str,
        price: float,
        method: SizingMethod | str = SizingMethod.ATR_BASED,
        *,
        atr: float | None = None,
        volatility: float | None = None,
        stop_price: float | None = None,
        win_rate: float | None = None,
        payoff: float | None = None,
        names: int | None = None,
        side: str = "long",
    ) -> Size:
        """Signed whole shares of ``symbol`` at ``price`` USD: negative for ``side="short"``, 0 when less than one share fits.

        Parameters
        ----------
        method
            A :class:`SizingMethod` or its name.
        atr
            Average True Range in USD; ATR_BASED needs it. A configured volatility stop is placed with it.
        volatility
            Annual, a fraction; VOLATILITY_BASED needs it.
        stop_price
            Where the stop will rest, USD. None: where the configured stops would put it. It is the distance of FIXED_PERCENT
            and of the trade-risk limit; with every stop off, the whole price is at risk.
        win_rate, payoff
            Measured on closed trades; KELLY needs both, here or in the sizing rules. payoff = average win / average loss.
        names
            How many names share the gross exposure; EQUAL_WEIGHT needs it.

        Raises
        ------
        InputError
            A figure the method needs is missing, not finite or not above 0; a stop lies on the wrong side of the price.
        """
        chosen = _method(method)
        request = self._checked(symbol, price, atr, volatility, stop_price, win_rate, payoff, names, side)
        uncapped = self._uncapped(chosen, request)
        if not math.isfinite(uncapped):
            message = f"a size must be finite; {chosen} gives {uncapped} shares of {symbol} at {price} USD"
            raise InputError(message, remedy="check the price, the distance and the volatility")
        return self._capped(chosen, request, uncapped)

    def _checked(
        self,
        symbol: str,
        price: float,
        atr: float | None,
        volatility: float | None,
        stop_price: float | None,
        win_rate: float | None,
        payoff: float | None,
        names: int | None,
        side: str,
    ) -> _Request:
        if side not in ("long", "short"):
            raise InputError(f"side must be 'long' or 'short'; got {side!r}")
        sign = 1.0 if side == "long" else -1.0
        known_price = _above_zero(f"price of {symbol}", price, "fetch or import a price first; a size is never made from a guess")
        stop = _given("stop_price", stop_price)
        if stop is not None and (known_price - stop) * sign <= 0.0:
            where = "below" if sign > 0 else "above"
            raise InputError(f"a {side} position's stop must lie {where} its price; {symbol} has price {known_price} and stop_price {stop}")
        won = self.sizing.win_rate if win_rate is None else win_rate
        if won is not None and not 0.0 <= won <= 1.0:
            raise InputError(f"win_rate must be a fraction from 0 to 1; got {won}")
        ratio = _given("payoff", self.sizing.payoff if payoff is None else payoff)
        figures = (_given("atr", atr), _given("volatility", volatility), stop, won, ratio, _count(names))
        return _Request(symbol, sign, known_price, *(math.nan if figure is None else float(figure) for figure in figures))

    def _uncapped(self, method: SizingMethod, r: _Request) -> float:
        """Unrounded shares by ``method``, ≥ 0."""
        sizing, risk = self.sizing, self.limits.position_sizing.max_single_trade_risk
        match method:
            case SizingMethod.EQUAL_WEIGHT:
                _needs(method, r, names=r.names)
                return methods.equal_weight(self.nav, sizing.gross_exposure, int(r.names), r.price)
            case SizingMethod.FIXED_PERCENT:
                return methods.fixed_percent(self.nav, risk, self._stop_distance(r))
            case SizingMethod.ATR_BASED:
                _needs(method, r, atr=r.atr)
                return methods.atr_based(self.nav, risk, sizing.atr_multiple, r.atr)
            case SizingMethod.VOLATILITY_BASED:
                _needs(method, r, volatility=r.volatility)
                return methods.volatility_based(self.nav, risk, r.volatility, r.price)
            case SizingMethod.KELLY:
                _needs(method, r, win_rate=r.win_rate, payoff=r.payoff)
                return methods.kelly(self.nav, methods.kelly_fraction(r.win_rate, r.payoff, sizing.kelly_fraction), r.price)

    def _stop_distance(self, r: _Request) -> float:
        """USD from price to the given stop, else to the hard stop, else the whole price: as ``decision.rows`` sizes."""
        if not math.isnan(r.stop):
            return abs(r.price - r.stop)
        hard = self.limits.stops.hard
        return r.price if hard is None else r.price * hard

    def _capped(self, method: SizingMethod, r: _Request, uncapped: float) -> Size:
        limits = LimitParams.of(self.limits)
        stop = r.stop if not math.isnan(r.stop) else stop_level(r.side, r.price, r.price, r.atr, StopParams.of(self.limits.stops))[0]
        plan = np.zeros(1, PLAN)
        plan["wanted"], plan["stop"] = r.side * methods.whole(uncapped), stop
        single_name(plan, 0, r.price, self.nav, limits, np.zeros(2, BREACH), 0)
        shares, binding = int(plan["target"][0]), BreachCode[Rule(int(plan["binding"][0])).name]
        at_risk = r.price if math.isnan(stop) else (r.price - stop) * r.side
        most = min(limits.position, limits.trade_risk * r.price / at_risk) * self.nav
        room = max(0.0, most - abs(shares) * r.price)
        size = Size(shares, r.symbol, method, r.side * uncapped, binding, room, self._reason(method, r, uncapped, shares, binding))
        LOG.info("%s: %s", r.symbol, size.reason)
        return size

    def _reason(self, method: SizingMethod, r: _Request, uncapped: float, shares: int, binding: BreachCode) -> str:
        side = "" if r.side > 0 else " short"
        asked = f"{method} asks for {_shares(uncapped)} shares{side} of {r.symbol} ({100 * uncapped * r.price / self.nav:.4g} % of NAV)"
        if binding is BreachCode.NONE:
            none = "" if shares else "; that is no whole share"
            return f"{asked}; no limit binds, {abs(shares)} shares{none}"
        limit = getattr(self.limits.position_sizing, LIMIT_KEYS[binding])
        return f"{asked}; {binding} ({100 * limit:.4g} % of NAV = {limit * self.nav:,.0f} USD) allows {abs(shares)}"


def _shares(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:,.2f}"


def _method(method: SizingMethod | str) -> SizingMethod:
    try:
        return SizingMethod(method)
    except ValueError:
        raise InputError(f"the sizing method must be one of {', '.join(SizingMethod)}; got {method!r}") from None


def _number(name: str, value: Any, remedy: str | None) -> float:
    """``value`` as a float; text, booleans and None are no numbers."""
    if isinstance(value, (bool, str)) or value is None:
        raise InputError(f"{name} must be a number above 0; got {value!r}", remedy=remedy)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number above 0; got {value!r}", remedy=remedy) from None


def _above_zero(name: str, value: Any, remedy: str | None) -> float:
    number = _number(name, value, remedy)
    if not (math.isfinite(number) and number > 0.0):
        raise InputError(f"{name} must be above 0 and finite; got {number}", remedy=remedy)
    return number


def _given(name: str, value: float | None) -> float | None:
    return None if value is None else _above_zero(name, value, "leave it out if it is not known")


def _count(names: Any) -> int | None:
    if names is None or (isinstance(names, (int, np.integer)) and not isinstance(names, bool) and names >= 1):
        return None if names is None else int(names)
    raise InputError(f"names must be a whole number of at least 1; got {names!r}")


NEEDS = {
    "atr": "the Average True Range in USD",
    "volatility": "the annual volatility as a fraction",
    "win_rate": "the share of winning trades, measured on closed trades",
    "payoff": "average win / average loss, measured on closed trades",
    "names": "how many names share the gross exposure",
}


def _needs(method: SizingMethod, r: _Request, **figures: float) -> None:
    """Raise InputError naming the figures of ``method`` that are NaN: without them there is no size."""
    missing = [name for name, figure in figures.items() if math.isnan(figure)]
    if missing:
        remedy = ", ".join(f"{name}=… ({NEEDS[name]})" for name in missing)
        raise InputError(f"{method} needs {' and '.join(missing)}; {r.symbol} has none, so there is no {method} size", remedy=remedy)
