"""The book as risk sees it at its last close: limits, sectors, correlations, falls. Every figure is that of ``exo risk status``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain.errors import MissingDataError
from mech_exo.reporting.standing import closing_book, closing_status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mech_exo.domain.portfolio import Portfolio
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookedDay, BookId, SessionRow
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.risk.model import Market
    from mech_exo.risk.status import RiskStatus
    from mech_exo.utils.settings import RiskLimits

Floats = Any
SLACK = 5
"""Sessions beside the window that the market's returns are made of: the first one has no return."""


@dataclass(frozen=True, slots=True, eq=False)
class Falls:
    """The account's sessions ``(T,)``: fall from the trailing 12-month peak, the governor's share, the state's word. NaN unknown."""

    sessions: NDArray[np.datetime64]
    fall: NDArray[np.float64]
    share: NDArray[np.float64]
    state: tuple[str, ...]

    @property
    def changes(self) -> tuple[tuple[date, str], ...]:
        """Each session from which on the state was another one, the newest first."""
        found = [
            (self.sessions[t].item(), word) for t, word in enumerate(self.state) if t == 0 or word != self.state[t - 1]
        ]
        return tuple(reversed(found))


@dataclass(frozen=True, slots=True)
class Margin:
    """What the broker's rules ask of the book, USD; None = unknown, or no margin rules are configured.

    ``required`` is the maintenance margin, ``excess`` NAV less it.
    """

    required: float | None
    excess: float | None


@dataclass(frozen=True, slots=True, eq=False)
class BookRiskView:
    """Everything the page on risk shows.

    ``correlation`` ``(C, C)`` is of what the ``held`` positions earn (a short of what moves with a long is a hedge); None where a history
    is too short. ``sectors`` are (sector or None = unknown, longs, shorts) as fractions of NAV, the largest first. ``why`` says what of the
    market could not be read, "" where nothing.
    """

    session: date
    book: str
    nav: float | None
    cash: float | None
    status: RiskStatus
    positions: tuple[dict[str, Any], ...]
    market: str | None
    sectors: tuple[tuple[str | None, float, float], ...]
    held: tuple[str, ...]
    correlation: NDArray[np.float64] | None
    falls: Falls
    margin: Margin
    soft: float | None
    hard: float | None
    warnings: tuple[str, ...]
    why: str


def book_risk_view(house: House, ledger: Ledger, book: BookId) -> BookRiskView:
    """The last booked session of ``book``, measured. Raises MissingDataError where none is booked."""
    from mech_exo.risk.status import summary

    row = ledger.last_session(book)
    if row is None:
        raise MissingDataError(f"risk is measured on a booked session; {book} has none", remedy="exo run")
    days, limits = ledger.day_history(book), house.config.risk
    market, sectors, warnings, why = _stored(house, row, limits)
    from mech_exo.execution.safety import HaltSwitch

    halted = ledger.is_halted or HaltSwitch(house.home).state().halted
    status = closing_status(row, days, limits, sectors, market, halted=halted)
    portfolio = closing_book(row, sectors)
    held, correlation = _correlation(portfolio, market, limits)
    said = summary(portfolio, limits, market, status)
    return BookRiskView(
        row.session, str(book), known(row.day.nav), known(row.day.cash), status, tuple(said["positions"]), said["market"],
        _by_sector(portfolio), held, correlation, falls_of(days), margin_of(row, limits), limits.soft_drawdown,
        limits.portfolio.max_drawdown, warnings, why,
    )  # fmt: skip


def market_at(house: House, session: date, window: int) -> tuple[Market, Mapping[str, str | None], tuple[str, ...]]:
    """The market that risk measures on, every name's sector and what must be said: those of :meth:`House.seen` and :meth:`House.market`.

    The whole history stays on disk, to be read where a scenario asks for a name's past; the members' returns are made of the last
    ``window`` sessions alone, which is all that betas look at. Raises MissingDataError where nothing is stored up to then.
    """
    from mech_exo.decision.market import market_until
    from mech_exo.risk.model import Market

    view, name = house.storage.view(session), house.config.strategy.universe.name
    panel = view.panel()
    tail = panel.rows(max(0, len(panel.sessions) - window - SLACK), len(panel.sessions))
    universe = view.universe(tail, name)
    row = len(tail.sessions) - 1
    near = market_until(tail, universe, row, "all names" if name is None else f"the members of {name}")
    sectors = {symbol: universe.sector_name(row, column) for column, symbol in enumerate(tail.symbols)}
    return Market(panel, near.returns, near.name), sectors, tuple(view.warnings())


def _stored(
    house: House, row: SessionRow, limits: RiskLimits
) -> tuple[Market | None, Mapping[str, str | None], tuple[str, ...], str]:
    try:
        market, sectors, warnings = market_at(house, row.session, limits.risk_model.window)
    except MissingDataError as error:
        return None, {}, (), f"prices and sectors are unknown: {error.message}"
    return market, sectors, warnings, ""


def _correlation(portfolio: Portfolio, market: Market | None, limits: RiskLimits) -> tuple[tuple[str, ...], NDArray[np.float64] | None]:
    from mech_exo.kernels import risk_model as kernel
    from mech_exo.risk.model import Lookback, Terms

    past = Lookback.of(portfolio, market, Terms.of(limits))
    held = tuple(position.symbol for position in past.held)
    if len(held) < 2 or past.short:
        return held, None
    matrix: NDArray[np.float64] = kernel.correlation(kernel.covariance(past.returns * np.sign(past.values)))
    return held, matrix


def _by_sector(portfolio: Portfolio) -> tuple[tuple[str | None, float, float], ...]:
    nav, found = portfolio.nav, dict[str | None, list[float]]()
    if not nav > 0.0:
        return ()
    for position in portfolio.positions.values():
        found.setdefault(position.sector, [0.0, 0.0])[position.market_value < 0.0] += position.market_value / nav
    return tuple(sorted(((name, longs, shorts) for name, (longs, shorts) in found.items()), key=lambda line: line[2] - line[1]))


def falls_of(days: Sequence[BookedDay]) -> Falls:
    """Falls, shares and states of the booked ``days``."""
    from mech_exo.performance.drawdowns import trailing_drawdown

    index = np.array([1.0, *(booked.day.index for booked in days)])
    sessions = np.array([booked.session for booked in days], "datetime64[D]")
    share = np.array([booked.day.scale for booked in days], np.float64)
    return Falls(sessions, trailing_drawdown(index)[1:], share, tuple(booked.day.state.value for booked in days))


def margin_of(row: SessionRow, limits: RiskLimits) -> Margin:
    """The maintenance margin of the close; see ``margin`` in ``risk_limits.yml``."""
    day, rules = row.day, limits.margin
    if rules is None:
        return Margin(None, None)
    required = rules.maintenance_long * day.long_value + rules.maintenance_short * abs(day.short_value)
    return Margin(known(required), known(day.nav - required))


def known(value: float) -> float | None:
    """``value``, or None where it is not finite."""
    return float(value) if math.isfinite(value) else None
