"""The face of risk for one book: :class:`RiskChecker`. Every figure and verdict comes from ``risk/rules.py`` and ``risk/usage.py``."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mech_exo.domain.errors import InputError
from mech_exo.domain.portfolio import Portfolio
from mech_exo.domain.targets import TargetPosition
from mech_exo.domain.verdict import Breach, BreachCode, DataVerdict, RiskDecision, RiskState
from mech_exo.kernels.account import new_book
from mech_exo.kernels.records import RiskState as StateCode
from mech_exo.risk.rules import BREACH, PLAN, Falls, LimitParams, Rule, Sight, approve, drawdown, read_gaps, risk_state
from mech_exo.risk.sight import past_known
from mech_exo.risk.stops import StopParams, stop_level, target_level
from mech_exo.risk.usage import LimitStatus, LimitUsage, at_risk, breach_of, known_nav, resting_stop, usages
from mech_exo.utils.settings import RiskLimits


@dataclass(frozen=True, slots=True)
class RiskStatus:
    """The state, the most used instance of every limit, every limit that is broken, and what is not known.

    ``notes`` are sentences for a person: what is unknown, why the state is what it is, what to do.
    """

    state: RiskState
    limits: tuple[LimitUsage, ...]
    violations: tuple[Breach, ...]
    notes: tuple[str, ...]

    def usage(self, code: BreachCode) -> LimitUsage:
        """The line of one limit."""
        return next(line for line in self.limits if line.code is code)


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

    Raises
    ------
    InputError
        A peak or a history NAV that is not above 0 and finite (a history may hold NaN).
    """

    def __init__(
        self,
        portfolio: Portfolio,
        limits: RiskLimits | None = None,
        *,
        peak_nav: float | None = None,
        nav_history: Sequence[float] | np.ndarray | None = None,
        halted: bool = False,
    ) -> None:
        self.portfolio = portfolio
        self.limits = limits or RiskLimits()
        self.halted = halted
        self._params = LimitParams.of(self.limits)
        self._stops = StopParams.of(self.limits.stops)
        self._past = _past(peak_nav, nav_history)

    @property
    def drawdown(self) -> float:
        """Fall of NAV from its trailing 12-month peak, a fraction; NaN = unknown."""
        nav = self.portfolio.nav
        if not len(self._past) or np.isnan(self._past).any() or not known_nav(nav):
            return math.nan
        return float(drawdown(np.append(self._past, nav), len(self._past)))

    @property
    def state(self) -> RiskState:
        """HALTED by command or without a NAV; REDUCING beyond the drawdown limit or when it is unknown; else ACTIVE."""
        halted = self.halted or not known_nav(self.portfolio.nav)
        return RiskState[StateCode(risk_state(self._falls, halted, self._params)).name]

    @property
    def _falls(self) -> Falls:
        """What the limits on falls judge, NaN where it is not known."""
        nav, past = self.portfolio.nav, self._past
        known = known_nav(nav) and not np.isnan(past).any() and len(past) > 0
        ever = max(0.0, 1.0 - nav / past.max()) if known else math.nan
        return Falls(self.drawdown, ever, 1.0 - nav / past[-1] if known else math.nan)

    def check(self) -> RiskStatus:
        """Measure every limit."""
        lines, broken = usages(self.portfolio, self._params, self._stops, self.drawdown)
        return RiskStatus(self.state, lines, broken, self._notes(lines))

    def get_risk_status_summary(self) -> dict[str, Any]:
        """The status as plain values, for printing or JSON. None = unknown.

        Keys: ``nav``, ``cash``, ``gross_exposure``, ``net_exposure`` (USD) · ``state`` (active, reducing, halted) · ``leverage``
        (gross / NAV), ``drawdown`` (fractions) · ``positions`` (each: symbol, shares, entry_price, price, value, unrealised_pnl,
        sector, stop_level, target_level, weight, resting_stop, at_risk in USD) · ``limits`` (each: the fields of
        :class:`~mech_exo.risk.usage.LimitUsage`) · ``violations`` (each: code, who, limit, value) · ``notes`` (sentences).
        """
        book, status = self.portfolio, self.check()
        nav = book.nav
        return {
            "nav": nav,
            "cash": book.cash,
            "state": status.state.value,
            "gross_exposure": book.gross_exposure,
            "net_exposure": book.net_exposure,
            "leverage": book.gross_exposure / nav if known_nav(nav) else None,
            "drawdown": _known(self.drawdown),
            "positions": self._positions(),
            "limits": [
                {"code": u.code.value, "label": u.label, "limit": u.limit, "value": u.value, "usage": u.usage, "headroom": u.headroom,
                 "status": u.status.value, "who": u.who}
                for u in status.limits
            ],
            "violations": [{"code": b.code.value, "who": b.symbol, "limit": b.limit, "value": b.value} for b in status.violations],
            "notes": list(status.notes),
        }  # fmt: skip

    def approve(
        self,
        targets: Mapping[str, int],
        *,
        prices: Mapping[str, float] | None = None,
        sectors: Mapping[str, str | None] | None = None,
        doubtful: Collection[str] = (),
    ) -> RiskDecision:
        """How much of the wished holdings the limits allow, by the very rule of the nightly decision.

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

        A target is never larger than asked; what is unknown denies an increase and lets a reduction pass.

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
        breaches, state = np.zeros(4 * len(symbols) + 64, BREACH), self.state
        past = past_known(symbols, close, self.limits.portfolio.shortable)
        read_gaps(past.row, plan, past.bars, self._params.gap_window, self._params.gap_share)
        sight = Sight(close, codes, verdict, None if self._params.rare is None else past)
        count = approve(
            plan, np.arange(len(symbols)), len(symbols), book, sight, self.portfolio.nav, int(StateCode[state.name]), self._falls, 1.0,
            self._params, breaches,
        )  # fmt: skip
        approved = tuple(self._target(s, line, price) for s, line, price in zip(symbols, plan, close, strict=True))
        return RiskDecision(approved, tuple(breach_of(line, symbols, names) for line in breaches[:count]), state)

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

    def _levels(self, plan: np.ndarray, symbols: Sequence[str], close: np.ndarray) -> None:
        """Stops and targets: of a position that is kept, its own; of an entry, what the configured stops would attach."""
        for line, symbol, price in zip(plan, symbols, close, strict=True):
            side = math.copysign(1.0, line["wanted"])
            if self.portfolio.shares(symbol) * side > 0:
                line["stop"] = resting_stop(self.portfolio.positions[symbol], self._stops)
            else:
                line["stop"] = stop_level(side, price, price, math.nan, self._stops)[0]
            line["profit"] = target_level(side, price, self._stops)

    def _target(self, symbol: str, line: np.void, price: float) -> TargetPosition:
        shares, nav = int(line["target"]), self.portfolio.nav
        weight = shares * float(price) / nav if known_nav(nav) else math.nan
        binding = BreachCode[Rule(int(line["binding"])).name].value if line["binding"] else ""
        levels = (_known(float(line["stop"])), _known(float(line["profit"])))
        return TargetPosition(symbol, shares, weight, "given", int(line["wanted"]), binding, *levels)

    def _positions(self) -> list[dict[str, Any]]:
        nav, rows = self.portfolio.nav, self.portfolio.as_dict()["positions"]
        for row, p in zip(rows, self.portfolio.positions.values(), strict=True):
            row["weight"] = p.market_value / nav if known_nav(nav) else None
            row["resting_stop"] = _known(resting_stop(p, self._stops))
            row["at_risk"] = at_risk(p, self._stops)
        return rows  # type: ignore[no-any-return]

    def _notes(self, lines: Sequence[LimitUsage]) -> tuple[str, ...]:
        nav = self.portfolio.nav
        if not known_nav(nav):
            return (f"every limit is a fraction of NAV and NAV is {nav:,.2f} USD: nothing can be measured, only reductions pass",)
        notes = []
        if self.halted:
            notes.append("a HALT is in force: only reductions pass")
        for line in lines:
            if line.status is LimitStatus.UNKNOWN and line.code is BreachCode.DRAWDOWN:
                notes.append("the drawdown is unknown without a NAV history: until it is known only reductions pass")
            elif line.status is LimitStatus.UNKNOWN:
                notes.append(f"the sector of {line.who} is unknown: it may be reduced, not increased")
            elif line.status is LimitStatus.BREACH and line.code is BreachCode.DRAWDOWN:
                notes.append("the drawdown is beyond its limit: only reductions pass until NAV recovers")
        return tuple(notes)


def _past(peak: float | None, history: Sequence[float] | np.ndarray | None) -> np.ndarray:
    """The peak (as if it were the oldest close inside the window) and the history as one array ``(H,)``."""
    from mech_exo.risk.rules import DRAWDOWN_WINDOW

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
