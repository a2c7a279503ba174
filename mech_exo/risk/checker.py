"""The face of risk for one book: :class:`RiskChecker`. Every figure and verdict comes from ``risk/rules.py`` and ``risk/usage.py``."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.domain.history import History, read_only
from mech_exo.domain.portfolio import Portfolio, Position
from mech_exo.domain.targets import TargetPosition
from mech_exo.domain.verdict import BreachCode, DataVerdict, RiskDecision, RiskState
from mech_exo.kernels.account import new_book
from mech_exo.kernels.records import RiskState as StateCode
from mech_exo.risk.headroom import Tonight, with_rooms
from mech_exo.risk.model import Market, Terms, book_risk
from mech_exo.risk.own import LimitSight, caps
from mech_exo.risk.own_laws import lawful_limits
from mech_exo.risk.rules import BREACH, DRAWDOWN_WINDOW, PLAN, Falls, LimitParams, Sight, approve, drawdown, read_gaps, risk_state
from mech_exo.risk.sight import past_known
from mech_exo.risk.status import RiskStatus, measured, summary
from mech_exo.risk.stops import StopParams, stop_level, target_level
from mech_exo.risk.usage import LABELS, LimitUsage, Standing, breach_of, instances, known_nav, resting_stop, word_of
from mech_exo.utils.settings import RiskLimits


class RiskChecker:
    """Measures a portfolio against the limits and says how much of a wish they allow.

    Parameters
    ----------
    portfolio
        What is held. Its NAV is the NAV of every fraction.
    limits
        None: the defaults of ``risk_limits.yml``.
    peak_nav
        Highest NAV of the trailing 12 months in USD, deposits taken out.
    nav_history
        NAVs at the closes so far in USD, oldest first, deposits and withdrawals taken out; NaN = unknown. The current NAV follows it.
        Without a history or a peak the drawdown is unknown, and what is unknown only allows reductions.
    halted
        A HALT by command is in force.
    market
        Bars up to the close that positions are priced at: what a book risks is measured on them. Without them it is unknown, and so is
        every limit that needs it.
    missing
        Sessions since the last bar of those positions that have none tonight, by symbol.
    gaps
        Tails of overnight gaps by symbol, fractions of the price, instead of what the market's bars say.
    share
        What the drawdown governor leaves of the gross limit, a fraction.

    Raises
    ------
    InputError
        A gap that is below 0 or not finite; a peak or a history NAV that is not above 0 and finite (a history may hold NaN).
    """

    def __init__(
        self,
        portfolio: Portfolio,
        limits: RiskLimits | None = None,
        *,
        peak_nav: float | None = None,
        nav_history: Sequence[float] | np.ndarray | None = None,
        halted: bool = False,
        market: Market | None = None,
        missing: Mapping[str, int] | None = None,
        gaps: Mapping[str, float] | None = None,
        share: float = 1.0,
    ) -> None:
        self.portfolio = portfolio
        self.limits = limits or RiskLimits()
        self.halted = halted
        self.market = market
        self._params = LimitParams.of(self.limits)
        self._stops = StopParams.of(self.limits.stops)
        self._past = _past(peak_nav, nav_history)
        self._history = np.asarray([] if nav_history is None else nav_history, np.float64)
        if peak_nav is not None:
            self._history = np.append(self._history, float(peak_nav))
        self._nav_before = math.nan if nav_history is None or not len(nav_history) else float(nav_history[-1])
        self._missing, self._gaps, self._share = dict(missing or {}), dict(gaps or {}), share
        for symbol, gap in self._gaps.items():
            if not 0.0 <= gap < math.inf:
                raise InputError(f"an overnight gap must be a fraction of at least 0; {symbol} has {gap}", remedy="0.08 is 8%")

    @property
    def drawdown(self) -> float:
        """Fall of NAV from its trailing 12-month peak, a fraction; NaN = unknown."""
        return self._fall(self._past, DRAWDOWN_WINDOW)

    @property
    def state(self) -> RiskState:
        """HALTED by command or without a NAV; REDUCING beyond the drawdown limit or when it is unknown; else ACTIVE."""
        halted = self.halted or not known_nav(self.portfolio.nav)
        return RiskState[StateCode(risk_state(self._falls, halted, self._params)).name]

    @property
    def _falls(self) -> Falls:
        """What the limits on falls judge, NaN where it is not known."""
        nav = self.portfolio.nav
        return Falls(self.drawdown, self.all_time_drawdown, 1.0 - nav / self._nav_before if known_nav(nav) else math.nan)

    @property
    def all_time_drawdown(self) -> float:
        """Fall of NAV from the highest NAV given, a fraction; NaN = unknown."""
        return self._fall(self._history, len(self._history))

    def _fall(self, past: np.ndarray, window: int) -> float:
        """Fall of the current NAV from its peak since ``window`` closes of ``past`` ago, a fraction; NaN = unknown."""
        nav = self.portfolio.nav
        if not len(past) or np.isnan(past).any() or not known_nav(nav):
            return math.nan
        return float(drawdown(np.append(past, nav), len(past), window))

    @property
    def _standing(self) -> Standing:
        falls = self._falls
        return Standing(falls.year, falls.ever, falls.session, self._missing, gaps=self._gaps, share=self._share)

    def check(self) -> RiskStatus:
        """Measure every limit, what the book risks and what the stress scenarios would do to it."""
        return measured(self.portfolio, self.limits, self.market, self._standing, self.state, halted=self.halted)

    def lines(self) -> dict[tuple[BreachCode, str | None], LimitUsage]:
        """Every instance of every limit by code and symbol or sector (None: the whole book), where :meth:`check` keeps the most used."""
        standing = self._standing.with_risk(book_risk(self.portfolio, self.market, Terms.of(self.limits)))
        return {(line.code, line.who): line for code in LABELS for line in instances(code, self.portfolio, self.limits, standing)}

    def get_risk_status_summary(self) -> dict[str, Any]:
        """The status as plain values, for printing or JSON. None = unknown.

        Keys: ``nav``, ``cash``, ``gross_exposure``, ``net_exposure`` (USD) · ``state`` (active, reducing, halted) · ``leverage``
        (gross / NAV), ``drawdown``, ``all_time_drawdown``, ``session_return`` (fractions) · ``positions`` (each: symbol, shares,
        entry_price, price, value, unrealised_pnl, sector, stop_level, target_level, weight, resting_stop, at_risk in USD, and the fields
        of :class:`~mech_exo.risk.model.PositionRisk`) · ``limits`` (each: the fields of :class:`~mech_exo.risk.usage.LimitUsage`) ·
        ``orders`` (what is asked of orders alone: ``shorts`` and the keys of ``sending``) ·
        ``violations`` (each: code, who, limit, value) · ``risk`` (the fields of :class:`~mech_exo.risk.model.BookRisk`),
        ``market`` (what betas are to) · ``stress`` (each: the fields of :class:`~mech_exo.risk.stress.StressLine`) · ``notes`` (sentences).
        """
        return summary(self.portfolio, self.limits, self.market, self.check())

    def approve(
        self,
        targets: Mapping[str, int],
        *,
        prices: Mapping[str, float] | None = None,
        sectors: Mapping[str, str | None] | None = None,
        doubtful: Collection[str] = (),
    ) -> RiskDecision:
        """How much of the wished holdings the limits allow, by the very rule of the nightly decision.

        A target is never larger than asked; what is unknown denies an increase and lets a reduction pass.

        Parameters
        ----------
        targets
            Signed whole shares to end with, by symbol. What is not named stays as it is held; as in the night, portfolio-wide limits
            cut every position pro rata.
        prices
            USD for names that are not held, or instead of a held one's price; a missing or impossible price is unknown.
        sectors
            Sectors of names that are not held; missing or None = unknown.
        doubtful
            Symbols whose data are blocked (:meth:`StoreView.doubts`): they may be reduced, not increased.

        Raises
        ------
        InputError
            A target that is not a whole number.
        """
        held = self.portfolio.positions
        symbols = sorted({*held, *targets})
        prices, sectors = prices or {}, sectors or {}
        close = np.array([_price(prices.get(s, held[s].current_price if s in held else math.nan)) for s in symbols], np.float64)
        named = [held[s].sector if s in held and held[s].sector is not None else sectors.get(s) for s in symbols]
        names = sorted({sector for sector in named if sector is not None})
        codes = np.array([-1 if sector is None else names.index(sector) for sector in named], np.int16)
        book, plan = new_book(len(symbols)), np.zeros(len(symbols), PLAN)
        book["shares"] = [self.portfolio.shares(s) for s in symbols]
        book["mark"] = [held[s].current_price if s in held else math.nan for s in symbols]
        plan["wanted"] = [_whole(s, targets[s]) if s in targets else self.portfolio.shares(s) for s in symbols]
        self._levels(plan, symbols, close)
        verdict = np.array([DataVerdict.BLOCK if s in doubtful else DataVerdict.OK for s in symbols], np.int8)
        breaches, state = np.zeros((4 + len(self.limits.limits_of_plugins)) * len(symbols) + 64, BREACH), self.state
        panel, returns = (None, None) if self.market is None else (self.market.panel, self.market.returns)
        past = past_known(symbols, close, self.limits.portfolio.shortable, panel, returns)
        unread = np.empty((len(symbols), self._params.gap_window)), np.full(len(symbols), -1)
        read_gaps(past.row, plan, past.bars, *unread, self._params.gap_share)
        for i, symbol in enumerate(symbols):
            if symbol in self._gaps and self._params.gap_share > 0.0:
                plan["gap"][i] = self._gaps[symbol]
        own = lawful_limits(self.limits)
        wanted, held_now, stop = (read_only(values.copy()) for values in (plan["wanted"], book["shares"], plan["stop"]))
        history = History.upto(past.bars, past.row)
        seen = LimitSight(tuple(symbols), wanted, held_now, read_only(close), stop, tuple(named), self.portfolio.nav, history)
        sight = Sight(close, codes, verdict, None if self._params.rare is None else past, caps(own, seen))
        count = approve(
            plan, np.arange(len(symbols)), len(symbols), book, sight, self.portfolio.nav, int(StateCode[state.name]), self._falls,
            self._share, self._params, breaches,
        )  # fmt: skip
        names_of = tuple(one.part.what.name for one in own)
        approved = tuple(self._target(s, line, price, names_of) for s, line, price in zip(symbols, plan, close, strict=True))
        decision = RiskDecision(approved, tuple(breach_of(line, symbols, names, names_of) for line in breaches[:count]), state)
        at, where, gaps = (dict(zip(symbols, values, strict=True)) for values in (close.tolist(), named, plan["gap"].tolist()))
        return with_rooms(decision, Tonight(at, where, gaps, self.market, self._share), self.portfolio.nav, self.limits)

    def what_if(
        self,
        orders: Mapping[str, int],
        *,
        prices: Mapping[str, float] | None = None,
        sectors: Mapping[str, str | None] | None = None,
        doubtful: Collection[str] = (),
    ) -> RiskDecision:
        """:meth:`approve` of what is held plus ``orders`` (signed whole shares by symbol)."""
        targets = {symbol: _whole(symbol, self.portfolio.shares(symbol)) + _whole(symbol, change) for symbol, change in orders.items()}
        return self.approve(targets, prices=prices, sectors=sectors, doubtful=doubtful)

    def after(
        self, verdict: RiskDecision, *, prices: Mapping[str, float] | None = None, sectors: Mapping[str, str | None] | None = None
    ) -> RiskChecker:
        """The same account holding the targets of ``verdict``, traded at ``prices`` (else the current ones), costs left out."""
        held, prices, sectors = self.portfolio.positions, prices or {}, sectors or {}
        positions, cash = dict(held), self.portfolio.cash
        for target in verdict.approved:
            before = held.get(target.symbol)
            price = _price(prices.get(target.symbol, before.current_price if before is not None else math.nan))
            change = target.shares - self.portfolio.shares(target.symbol)
            if not change or math.isnan(price):
                continue
            cash -= change * price
            positions.pop(target.symbol, None)
            if target.shares:
                sector = before.sector if before is not None and before.sector is not None else sectors.get(target.symbol)
                entry = (price, datetime.now(UTC)) if before is None else (before.entry_price, before.entry_date)
                positions[target.symbol] = Position(target.symbol, target.shares, entry[0], price, entry[1], sector, target.stop_level)
        there = copy.copy(self)
        there.portfolio = Portfolio(cash, positions)
        return there

    def _levels(self, plan: np.ndarray, symbols: Sequence[str], close: np.ndarray) -> None:
        """Stops and targets: of a position that is kept, its own; of an entry, what the configured stops would attach."""
        for line, symbol, price in zip(plan, symbols, close, strict=True):
            side = math.copysign(1.0, line["wanted"])
            if self.portfolio.shares(symbol) * side > 0:
                line["stop"] = resting_stop(self.portfolio.positions[symbol], self._stops)
            else:
                line["stop"] = stop_level(side, price, price, math.nan, self._stops)[0]
            line["profit"] = target_level(side, price, self._stops)

    def _target(self, symbol: str, line: np.void, price: float, own: Sequence[str]) -> TargetPosition:
        shares, nav = int(line["target"]), self.portfolio.nav
        weight = shares * float(price) / nav if known_nav(nav) else math.nan
        binding = word_of(int(line["binding"]), own) if line["binding"] else ""
        levels = (_known(float(line["stop"])), _known(float(line["profit"])))
        return TargetPosition(symbol, shares, weight, "given", int(line["wanted"]), binding, *levels)


def _past(peak: float | None, history: Sequence[float] | np.ndarray | None) -> np.ndarray:
    """The peak (as if it were the oldest close inside the window) and the history as one array ``(H,)``."""
    navs = np.asarray([] if history is None else history, np.float64)
    if navs.ndim != 1 or ((navs <= 0.0) | np.isinf(navs)).any():
        raise InputError("nav_history must be one row of NAVs above 0 (NaN = unknown), oldest first")
    if peak is None:
        return navs[-(DRAWDOWN_WINDOW - 1) :]
    if not (math.isfinite(peak) and peak > 0.0):
        raise InputError(f"peak_nav must be above 0 and finite; got {peak}", remedy="leave it out if it is not known")
    return np.append(float(peak), navs[-(DRAWDOWN_WINDOW - 2) :])


def _price(value: float) -> float:
    """A price above 0 and finite, else NaN: unknown."""
    return float(value) if math.isfinite(value) and value > 0.0 else math.nan


def _whole(symbol: str, shares: float) -> int:
    if isinstance(shares, (bool, str)) or not math.isfinite(shares) or int(shares) != shares:
        raise InputError(f"shares must be a whole number; {symbol} has {shares!r}")
    return int(shares)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
