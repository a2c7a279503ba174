"""Where the day's P&L came from, by cause and by position: :func:`day_causes`.

What a symbol earned is taken from the books of two closes and the cash of what happened between, so it is known without any market data::

    pnl    value at this close - value at the close before + cash of its fills, dividends and fractions
    price  pnl - dividends + commission + slippage

The price part is explained by the regression that the tear sheet's attribution makes of a whole history
(:mod:`mech_exo.performance.factor_attribution`: Fama & MacBeth 1973; Grinold & Kahn 2000, ch. 17), here for the one session: the returns of
all scored names on the scores journaled by the last decision before it, r_i = a + Σ_f x_if b_f + u_i. With V_i USD at the close before::

    market     a V_i                     what holding any of the scored names brought: unit exposure, no beta
    factor f   b_f x_if V_i              selection by that factor
    trading    Σ shares × (close - reference price) of the session's fills: their timing against the close
    specific   the rest of the price part

On an ex-date the price falls by the dividend; the fall is in market and specific, the dividend is a line of its own. Interest and borrow
are the account's. The residual is what of the change of NAV no line explains: rounding, unless the books are wrong.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.reporting.night_parts import Cause, Causes, PositionPnl
from mech_exo.reporting.text import known

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel
    from mech_exo.execution.rows import BookLine, DecisionRow, SessionRow

    Floats = NDArray[np.float64]

MARKET_ORDERS = ("order", "stop", "target")
"""Kinds of events with a slippage; a delisting or a close without bars is a settlement."""
FILLS = (*MARKET_ORDERS, "delisting", "stale_close")
UNDECIDED = "no decision was journaled before this session: nobody knows the factor scores"
FEW = "too few scored names have a return of this session to be explained by their factors"


@dataclass(frozen=True, slots=True)
class Explained:
    """The session's cross-section: ``market`` (a), each factor's return (b, ``(F,)``) and the scores ``(F,)`` by symbol.

    ``decided`` is the session at whose close the scores were known.
    """

    decided: date
    factors: tuple[str, ...]
    market: float
    returns: Floats
    scores: Mapping[str, Floats]

    def parts(self, symbol: str, value: float) -> tuple[float, Floats]:
        """Market and factor P&L ``(F,)`` in USD of ``value`` USD of ``symbol``; nothing of a name without scores."""
        scores = self.scores.get(symbol)
        if scores is None:
            return 0.0, np.zeros(len(self.factors))
        return self.market * value, self.returns * scores * value


@dataclass(frozen=True, slots=True)
class Session:
    """What the market did: closes by symbol (USD, NaN without a bar), and its cross-section, or why there is none."""

    closes: Mapping[str, float]
    explained: Explained | None
    why: str


def explain(panel: BarPanel, decision: DecisionRow | None) -> Session:
    """The last session of ``panel`` by the scores of ``decision``, the last one journaled before it."""
    closes = dict(zip(panel.symbols, panel.close[-1].tolist(), strict=True))
    if decision is None:
        return Session(closes, None, UNDECIDED)
    from mech_exo.performance.factor_attribution import cross_section

    factors, scores = journaled_scores(decision)
    table = np.array([scores.get(symbol, np.full(len(factors), np.nan)) for symbol in panel.symbols]).reshape(-1, len(factors))
    solution = cross_section(last_returns(panel), table) if factors else None
    if solution is None:
        return Session(closes, None, FEW)
    return Session(closes, Explained(decision.session, factors, float(solution[0]), solution[1:], scores), "")


def journaled_scores(decision: DecisionRow) -> tuple[tuple[str, ...], dict[str, Floats]]:
    """The factors of a journaled decision, and of every scored name the normalised scores ``(F,)``; one it lacks is 0, the others' mean."""
    lines = json.loads(decision.body)["scores"]
    factors = tuple(lines[0]["factors"]) if lines else ()
    scores = {}
    for line in lines:
        values = (line["factors"][name]["normalised"] for name in factors)
        scores[str(line["symbol"])] = np.array([0.0 if value is None else float(value) for value in values])
    return factors, scores


def last_returns(panel: BarPanel) -> Floats:
    """``(N,)`` total return of each name from its last close before the last session to this one; NaN where it did not trade."""
    from mech_exo.scoring.inputs import FactorInputs

    value = FactorInputs(panel).total_return
    out = np.full(value.shape[1], np.nan)
    traded = np.flatnonzero(~np.isnan(value[-1]))
    before = value[:-1, traded]
    seen = (~np.isnan(before)).any(axis=0)
    last = len(before) - 1 - np.argmax(~np.isnan(before[::-1]), axis=0) if len(before) else np.zeros(len(traded), np.int64)
    names, place = traded[seen], np.flatnonzero(seen)
    out[names] = value[-1, names] / before[last[seen], place] - 1.0
    return out


def day_causes(row: SessionRow, before: SessionRow | None, pnl: float | None, session: Session) -> Causes:
    """The P&L of ``row`` by cause and position; ``before`` is the session booked before it, ``pnl`` the change of NAV net of flows."""
    first = {line.symbol: line for line in (before.lines if before is not None else ())}
    last = {line.symbol: line for line in row.lines}
    happened = {event.symbol for event in row.events if event.outcome == "filled"}
    held = {symbol for lines in (first, last) for symbol, line in lines.items() if line.shares}
    found = [_Earned.of(symbol, row, first.get(symbol), last.get(symbol), session) for symbol in sorted(held | happened)]
    explained = session.explained
    if explained is None and not any(one.value for one in found):
        explained = Explained(row.session, (), 0.0, np.empty(0), {})  # nothing was held: nothing is to be explained
    lines = [one.line(explained) for one in found]
    parts = [*_explained(found, lines, explained), *_booked(row, lines)]
    earned = _sum([line.pnl for line in lines])
    accounted = None if earned is None else known(earned + row.day.interest - row.day.borrow)
    parts.append(Cause("residual", "residual", None if pnl is None or accounted is None else pnl - accounted))
    positions = tuple(sorted(lines, key=lambda line: (-(line.pnl or 0.0), line.symbol)))
    decided = session.explained.decided if session.explained is not None else None
    whole = explained is not None and all(line.trading is not None for line in lines)
    return Causes(pnl, _sum([line.price for line in lines]), tuple(parts), positions, decided, "" if whole else session.why)


@dataclass(frozen=True, slots=True)
class _Earned:
    """One symbol's session in USD; NaN unknown. ``value`` at the close before, ``trading`` of the fills up to the close."""

    symbol: str
    before: float
    shares: float
    value: float
    pnl: float
    dividends: float
    commission: float
    slippage: float
    trading: float

    @classmethod
    def of(cls, symbol: str, row: SessionRow, first: BookLine | None, last: BookLine | None, session: Session) -> _Earned:
        events = [event for event in row.events if event.symbol == symbol and event.outcome == "filled"]
        fills = [event for event in events if event.kind in FILLS]
        value, end = _value(first), _value(last)
        return cls(
            symbol=symbol,
            before=0.0 if first is None else first.shares,
            shares=0.0 if last is None else last.shares,
            value=value,
            pnl=end - value + math.fsum(event.cash for event in events),
            dividends=math.fsum(event.cash for event in events if event.kind == "dividend"),
            commission=math.fsum(event.commission for event in fills),
            slippage=math.fsum((event.price - event.reference) * event.shares for event in fills if event.kind in MARKET_ORDERS),
            trading=math.fsum(_timing(event.shares, event.reference, session.closes.get(symbol)) for event in fills),
        )

    @property
    def price(self) -> float:
        return self.pnl - self.dividends + self.commission + self.slippage

    def line(self, explained: Explained | None) -> PositionPnl:
        market, factors = (math.nan, np.full(1, np.nan)) if explained is None else explained.parts(self.symbol, self.value)
        selection = float(factors.sum())
        return PositionPnl(
            symbol=self.symbol,
            before=int(self.before),
            shares=int(self.shares),
            pnl=known(self.pnl),
            price=known(self.price),
            market=known(market),
            selection=known(selection),
            specific=known(self.price - self.trading - market - selection),
            trading=known(self.trading),
            dividends=self.dividends,
            commission=known(self.commission),
            slippage=known(self.slippage),
        )


def _value(line: BookLine | None) -> float:
    return 0.0 if line is None or not line.shares else line.shares * line.mark


def _timing(shares: float, reference: float, close: float | None) -> float:
    """USD from the reference price to the close; nothing where there was no close, unknown where nobody knows whether there was one."""
    if close is None:
        return math.nan
    return 0.0 if math.isnan(close) else shares * (close - reference)


def _explained(found: Sequence[_Earned], lines: Sequence[PositionPnl], explained: Explained | None) -> list[Cause]:
    trading, specific = (Cause(name, name, _sum([getattr(line, name) for line in lines])) for name in ("trading", "specific"))
    if explained is None:
        return [Cause("market", "market", None), Cause("factors", "factor", None), specific, trading]
    split = [explained.parts(one.symbol, one.value) for one in found]
    market = known(math.fsum(part for part, _ in split))
    each = np.sum([factors for _, factors in split], axis=0) if split else np.zeros(len(explained.factors))
    factors = [Cause(name, "factor", known(float(value))) for name, value in zip(explained.factors, each, strict=True)]
    return [Cause("market", "market", market), *factors, specific, trading]


def _booked(row: SessionRow, lines: Sequence[PositionPnl]) -> list[Cause]:
    """What the books say themselves."""
    commission, slippage = (_sum([getattr(line, name) for line in lines]) for name in ("commission", "slippage"))
    return [
        Cause("dividends", "income", math.fsum(line.dividends for line in lines)),
        Cause("interest", "income", known(row.day.interest)),
        Cause("commission", "cost", _less(commission)),
        Cause("slippage", "cost", _less(slippage)),
        Cause("borrow", "cost", _less(known(row.day.borrow))),
    ]


def _less(value: float | None) -> float | None:
    return None if value is None else 0.0 - value


def _sum(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return math.fsum(found) if len(found) == len(values) else None
