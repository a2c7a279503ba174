"""What named bad days would do to the book as it is, in dollars: :func:`stress`. One line of :data:`SCENARIOS` is one scenario.

No scenario counts a resting stop: in a gap it fills at the open, wherever that is, so a stop limits nothing that happens overnight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.risk.model import Lookback, Market, Terms

if TYPE_CHECKING:
    from mech_exo.domain.portfolio import Portfolio
    from mech_exo.kernels.records import Floats


@dataclass(frozen=True, slots=True)
class StressLine:
    """What one scenario does to the book.

    Parameters
    ----------
    scenario, story, detail
        Its name, what happens in it, and to whom where that depends on the book.
    pnl
        USD, a loss below 0; None where not one position could be measured.
    fraction
        ``pnl`` / NAV; None without a NAV above 0.
    basis
        What the figure rests on.
    worst
        The position that loses most and its USD; None where none loses.
    unmeasured
        Symbols that are not in the figure.
    """

    scenario: str
    story: str
    detail: str
    pnl: float | None
    fraction: float | None
    basis: str
    worst: tuple[str, float] | None
    unmeasured: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stressed:
    """The book under one scenario: USD per position ``(C,)``, NaN not measured; what it rests on; what more to say of the story."""

    pnl: Floats
    basis: str
    detail: str = ""


Shock = Callable[[Lookback], Stressed]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name, what happens, and the function that does it to a book."""

    name: str
    story: str
    shock: Shock


def market_fall(move: float, first: date | None = None, last: date | None = None) -> Shock:
    """The market moves by ``move``, each name beta times as much; whose own bars span ``first`` to ``last`` moves as it did then.

    ``first`` is the close it falls from, ``last`` the close it falls to.
    """

    def shock(past: Lookback) -> Stressed:
        moves, own = past.betas * move, np.zeros(len(past.held), np.bool_)
        if past.market is not None and first is not None and last is not None:
            replayed = _replayed(past, past.market, first, last)
            own = np.isfinite(replayed)
            moves = np.where(own, replayed, moves)
        by_beta = int((np.isfinite(moves) & ~own).sum())
        said = [f"own returns then ({own.sum()})"] * bool(own.any()) + [f"beta × {_percent(move, 1)} ({by_beta})"] * bool(by_beta)
        return Stressed(past.values * moves, ", ".join(said))

    return shock


def sector_fall(move: float) -> Shock:
    """Every name of one sector moves by ``move``: the sector that loses the book most."""

    def shock(past: Lookback) -> Stressed:
        sectors = [p.sector for p in past.held]
        pnl = np.array([np.nan if s is None else 0.0 for s in sectors], np.float64)
        members = {name: np.array([s == name for s in sectors], np.bool_) for name in sorted({s for s in sectors if s is not None})}
        losses = {name: move * float(past.values[inside].sum()) for name, inside in members.items()}
        worst = min(losses, key=lambda name: losses[name], default="")
        if not losses.get(worst, 0.0) < 0.0:
            return Stressed(pnl, "net value of each sector", "no sector loses" if losses else "")
        pnl[members[worst]] = move * past.values[members[worst]]
        return Stressed(pnl, "net value of each sector", worst)

    return shock


def correlation_one(past: Lookback) -> Stressed:
    """Every position has its bad sessions on the same day: the expected shortfalls add up (it is additive for what moves as one)."""
    from mech_exo.kernels.risk_model import tail_loss

    losses = [-tail_loss(np.ascontiguousarray(r) * v, past.terms.level)[1] for r, v in zip(past.returns.T, past.values, strict=True)]
    return Stressed(np.array(losses, np.float64), f"own worst {_percent(1.0 - past.terms.level)} of sessions, each")


def volatility_times(factor: float) -> Shock:
    """Every return ``factor`` times as large: the book's mean loss in its worst sessions, each position's part in it."""

    def shock(past: Lookback) -> Stressed:
        from mech_exo.kernels.risk_model import book_pnl, tail_loss

        seen = [i for i, p in enumerate(past.held) if p.symbol not in past.short]
        pnl = np.full(len(past.held), np.nan)
        returns, values = np.ascontiguousarray(past.returns[:, seen]), past.values[seen]
        book = book_pnl(returns, values)
        shortfall = tail_loss(book, past.terms.level)[1]
        worst = np.argsort(book, kind="stable")[: max(1, round(len(book) * (1.0 - past.terms.level)))]
        parts = (returns[worst] * values).mean(axis=0) if len(book) else values
        total = parts.sum()
        pnl[seen] = parts * (-factor * shortfall / total) if total != 0.0 else 0.0
        return Stressed(pnl, f"the book's worst {_percent(1.0 - past.terms.level)} of sessions × {factor:g}")

    return shock


SCENARIOS = (
    Scenario("2008, peak to trough", "S&P 500 from 1,565.15 on 2007-10-09 to 676.53 on 2009-03-09",
             market_fall(676.53 / 1565.15 - 1.0, date(2007, 10, 9), date(2009, 3, 9))),
    Scenario("2008, after Lehman", "S&P 500 from 1,255.08 on 2008-09-19 to 752.44 on 2008-11-20",
             market_fall(752.44 / 1255.08 - 1.0, date(2008, 9, 19), date(2008, 11, 20))),
    Scenario("2020-03", "S&P 500 from 3,386.15 on 2020-02-19 to 2,237.40 on 2020-03-23",
             market_fall(2237.40 / 3386.15 - 1.0, date(2020, 2, 19), date(2020, 3, 23))),
    Scenario("1987-like gap", "the market opens 20 % lower (S&P 500 on 1987-10-19: 282.70 to 224.84)", market_fall(-0.20)),
    Scenario("sector -30 %", "every name of one sector falls by 30 %", sector_fall(-0.30)),
    Scenario("correlation 1", "every position has its worst sessions on one day", correlation_one),
    Scenario("volatility × 3", "one of the worst sessions, every move three times as large", volatility_times(3.0)),
)  # fmt: skip
"""Closing levels of the index as published by S&P Dow Jones Indices; those after 1990 are tested against a stored index history."""


def stress(portfolio: Portfolio, market: Market | None, terms: Terms = Terms()) -> tuple[StressLine, ...]:  # noqa: B008 - frozen
    """Every scenario applied to ``portfolio``, in the order of :data:`SCENARIOS`; an empty book loses nothing in any.

    A position of which a scenario needs what is unknown (its beta, its sector, its history) is left out of that figure and named.
    """
    past = Lookback.of(portfolio, market, terms)
    return tuple(_line(scenario, past, portfolio.nav) for scenario in SCENARIOS)


def _line(scenario: Scenario, past: Lookback, nav: float) -> StressLine:
    hit = scenario.shock(past)
    measured = np.isfinite(hit.pnl)
    unmeasured = tuple(p.symbol for p, seen in zip(past.held, measured, strict=True) if not seen)
    said = (scenario.name, scenario.story, hit.detail if past.held else "")
    if past.held and not measured.any():
        return StressLine(*said, None, None, "not measured", None, unmeasured)
    pnl = float(hit.pnl[measured].sum())
    worst = min(((p.symbol, float(x)) for p, x in zip(past.held, hit.pnl, strict=True) if x < 0.0), key=lambda pair: pair[1], default=None)
    return StressLine(*said, pnl, pnl / nav if nav > 0.0 else None, hit.basis if past.held else "", worst, unmeasured)


def _percent(fraction: float, places: int = 0) -> str:
    """As reports show it: −56.8 %, with a typographic minus and a space that does not break."""
    return f"{100.0 * fraction:.{places}f}\u00a0%".replace("-", "−")


def _replayed(past: Lookback, market: Market, first: date, last: date) -> Floats:
    """``(C,)`` total return of each name from the close of ``first`` to that of ``last``; NaN without a bar of both."""
    from mech_exo.kernels.records import Bars
    from mech_exo.kernels.risk_model import window_returns

    panel, out = market.panel, np.full(len(past.held), np.nan)
    begin, end = (int(np.searchsorted(panel.sessions, np.datetime64(day, "D"))) for day in (first, last))
    if end >= len(panel.sessions) or panel.sessions[begin] != np.datetime64(first, "D") or panel.sessions[end] != np.datetime64(last, "D"):
        return out
    seen = [i for i, p in enumerate(past.held) if p.symbol in panel.symbols]
    places = np.array([panel.column_of(past.held[i].symbol) for i in seen], np.int64)
    returns, _ = window_returns(end, places, Bars.of(panel), end - begin)
    both = np.isfinite(panel.close[begin, places]) & np.isfinite(panel.close[end, places])
    out[seen] = np.where(both, np.prod(1.0 + returns, axis=0) - 1.0, np.nan)
    return out
