"""The face of sizing for one name: :class:`PositionSizer`. The formulas are ``sizing/methods.py``, the limits ``risk/rules.py``."""

from __future__ import annotations

import math

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.domain.verdict import BreachCode
from mech_exo.risk.rules import BREACH, PLAN, LimitParams, Rule, loss_per_share, single_name
from mech_exo.risk.stops import StopParams, stop_level
from mech_exo.sizing import figures, methods
from mech_exo.sizing.figures import Request
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


class PositionSizer:
    """Sizes one name at a time: the method's formula, then the position and trade-risk limits, rounded down to whole lots.

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
        self.nav = figures.above_zero("nav", nav, "give the account's net asset value in USD")
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
        trades: int | None = None,
        names: int | None = None,
        weight: float | None = None,
        gap: float | None = None,
        side: str = "long",
    ) -> Size:
        """Signed whole shares of ``symbol`` at ``price`` USD: negative for ``side="short"``, 0 when less than one lot fits.

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
            KELLY needs both, here or in the sizing rules. payoff = average win / average loss.
        trades
            On how many closed trades the two were measured: the bet is shrunk by the doubt that leaves. None: they are taken as certain.
        names
            How many names share the gross exposure; EQUAL_WEIGHT needs it.
        weight
            The name's share of the gross exposure, from 0 to 1. SCORE_WEIGHTED, RISK_PARITY and MINIMUM_VARIANCE need it: they weigh
            a whole book, not one name.
        gap
            Tail of the name's own overnight moves against the position, a fraction (0.08: it may open 8 % beyond the stop): the trade-risk
            limit counts the loss to there. None: the plain distance to the stop, and the reason says that no gap was considered.

        Raises
        ------
        InputError
            A figure the method needs is missing, not finite or not above 0; a stop lies on the wrong side of the price; fewer ``trades``
            than ``kelly_min_trades``.
        """
        chosen = figures.method_of(method)
        request = figures.checked(
            self.sizing, symbol, price, side, atr, volatility, stop_price, win_rate, payoff, trades, names, weight, gap
        )
        uncapped = self._uncapped(chosen, request)
        if not math.isfinite(uncapped):
            message = f"a size must be finite; {chosen} gives {uncapped} shares of {symbol} at {price} USD"
            raise InputError(message, remedy="check the price, the distance and the volatility")
        return self._capped(chosen, request, uncapped)

    def _uncapped(self, method: SizingMethod, r: Request) -> float:
        """Unrounded shares by ``method``, ≥ 0."""
        sizing, risk = self.sizing, self.limits.position_sizing.max_single_trade_risk
        match method:
            case SizingMethod.EQUAL_WEIGHT:
                figures.needs(method, r, names=r.names)
                return methods.equal_weight(self.nav, sizing.gross_exposure, int(r.names), r.price)
            case SizingMethod.FIXED_PERCENT:
                return methods.fixed_percent(self.nav, risk, self._stop_distance(r))
            case SizingMethod.ATR_BASED:
                figures.needs(method, r, atr=r.atr)
                return methods.atr_based(self.nav, risk, sizing.atr_multiple, r.atr)
            case SizingMethod.VOLATILITY_BASED:
                figures.needs(method, r, volatility=r.volatility)
                return methods.volatility_based(self.nav, risk, r.volatility, r.price)
            case SizingMethod.KELLY:
                return methods.kelly(self.nav, self._bet(r), r.price)
            case SizingMethod.SCORE_WEIGHTED | SizingMethod.RISK_PARITY | SizingMethod.MINIMUM_VARIANCE:
                figures.needs(method, r, weight=r.weight)
                return methods.weighted(self.nav, sizing.gross_exposure, r.weight, r.price)

    def _bet(self, r: Request) -> float:
        """Kelly's share of NAV."""
        sizing = self.sizing
        figures.needs(SizingMethod.KELLY, r, win_rate=r.win_rate, payoff=r.payoff)
        bet = methods.kelly_fraction(r.win_rate, r.payoff, sizing.kelly_fraction)
        if math.isnan(r.trades) or bet == 0.0:
            return bet
        if r.trades < sizing.kelly_min_trades:
            raise InputError(
                f"kelly needs at least {sizing.kelly_min_trades} closed trades behind its win rate; {r.symbol} has {r.trades:.0f}",
                remedy="size by another method until there are (sizing.kelly_min_trades)",
            )
        return bet * methods.kelly_shrinkage(r.win_rate, r.payoff, r.trades)

    def _stop_distance(self, r: Request) -> float:
        """USD from price to the given stop, else to the hard stop, else the whole price: as ``decision.sizing_rows`` sizes."""
        if not math.isnan(r.stop):
            return abs(r.price - r.stop)
        hard = self.limits.stops.hard
        return r.price if hard is None else r.price * hard

    def _capped(self, method: SizingMethod, r: Request, uncapped: float) -> Size:
        lot = float(self.sizing.lot_size)
        limits = LimitParams.of(self.limits, lot)
        stop = r.stop if not math.isnan(r.stop) else stop_level(r.side, r.price, r.price, r.atr, StopParams.of(self.limits.stops))[0]
        plan = np.zeros(1, PLAN)
        plan["wanted"], plan["stop"], plan["gap"] = r.side * methods.whole(uncapped, lot), stop, r.gap
        single_name(plan, 0, r.price, self.nav, limits, np.zeros(2, BREACH), 0)
        shares, binding = int(plan["target"][0]), BreachCode[Rule(int(plan["binding"][0])).name]
        if shares and methods.too_small(float(shares), r.price, self.sizing.min_position_value):
            shares, binding = 0, BreachCode.MINIMUM_VALUE
        at_risk = loss_per_share(r.price, stop, r.side, 0.0 if math.isnan(r.gap) else r.gap)
        by_risk = limits.trade_risk * r.price / at_risk if at_risk > 0.0 else math.inf
        room = max(0.0, min(limits.position, by_risk) * self.nav - abs(shares) * r.price)
        nearest = BreachCode.TRADE_RISK if by_risk < limits.position else BreachCode.POSITION
        reason = self._reason(method, r, uncapped, shares, binding, room, nearest)
        if math.isnan(r.gap) and not math.isnan(stop) and limits.trade_risk < math.inf:
            reason += "; no overnight gap beyond the stop was considered (gap=…)"
        size = Size(shares, r.symbol, method, r.side * uncapped, binding, room, reason)
        LOG.info("%s: %s", r.symbol, size.reason)
        return size

    def _reason(
        self, method: SizingMethod, r: Request, uncapped: float, shares: int, binding: BreachCode, room: float, nearest: BreachCode
    ) -> str:
        side = "" if r.side > 0 else " short"
        asked = f"{method} asks for {_shares(uncapped)} shares{side} of {r.symbol} ({100 * uncapped * r.price / self.nav:.4g} % of NAV)"
        if binding is BreachCode.MINIMUM_VALUE:
            return f"{asked}; a position below {self.sizing.min_position_value:,.0f} USD is not opened ({binding})"
        if binding is BreachCode.NONE:
            lot = "" if self.sizing.lot_size == 1 else f" in lots of {self.sizing.lot_size}"
            none = "" if shares else f"; that is no whole {'share' if not lot else 'lot'}"
            more = f"; {room:,.0f} USD more before {nearest} binds" if math.isfinite(room) else ""
            return f"{asked}; no limit binds, {abs(shares)} shares{lot}{none}{more}"
        limit = getattr(self.limits.position_sizing, LIMIT_KEYS[binding])
        return f"{asked}; {binding} ({100 * limit:.4g} % of NAV = {limit * self.nav:,.0f} USD) allows {abs(shares)}"


def _shares(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:,.2f}"
