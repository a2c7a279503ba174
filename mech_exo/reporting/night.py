"""One night as a value: what was held, earned, thought, ordered and withheld. Everything a daily report says, and nothing else.

USD; shares signed and whole; fractions, never percent. None is unknown: it is shown as "unknown" and never as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mech_exo.reporting.night_parts import Age, Causes, DayCosts, KpiContract, Quality, Stress, Upcoming


@dataclass(frozen=True, slots=True)
class Holding:
    """A position at the close. ``at_risk`` is the share of NAV lost if the stop fills at its level, None without a stop."""

    symbol: str
    shares: int
    entry: float | None
    price: float | None
    value: float | None
    weight: float | None
    unrealised: float | None
    sessions_held: int
    stop: float | None
    stop_reason: str
    target: float | None
    at_risk: float | None
    missing_sessions: int


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one factor adds to a score; None = the factor has no value for the name."""

    factor: str
    raw: float | None
    value: float | None


@dataclass(frozen=True, slots=True)
class Idea:
    """A ranked name and the contributions that sum to its score."""

    rank: int
    symbol: str
    score: float
    percentile: float
    coverage: float
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """An order handed over for ``session``, why, and what became of it so far."""

    id: str
    session: date
    symbol: str
    shares: int
    reason: str
    decided_at: float | None
    stop: float | None
    target: float | None
    state: str
    note: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """A limit that cut or denied: ``value`` was asked where ``limit`` is allowed. ``who`` None = the whole portfolio."""

    code: str
    who: str | None
    limit: float | None
    value: float | None


@dataclass(frozen=True, slots=True)
class Cut:
    """A target that a limit made smaller: wanted and allowed shares."""

    symbol: str
    wanted: int
    shares: int
    by: str


@dataclass(frozen=True, slots=True)
class Executed:
    """A fill of the session, or an order that met no bar (``price`` None)."""

    symbol: str
    shares: int
    price: float | None
    commission: float | None
    slippage: float | None
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Headroom:
    """A limit, what it measures now, and what is left: a ``risk.usage.LimitUsage``. None = unknown, which denies.

    ``who`` is the symbol or sector that uses most of it; None = the whole portfolio, or nobody. ``unit`` is nav (a fraction of NAV, or of
    the peak), days or number; ``status`` ok, warning (80 % of the limit or more), unknown or breach.
    """

    name: str
    who: str | None
    limit: float
    value: float | None
    unit: str
    status: str

    @property
    def left(self) -> float | None:
        """Limit less value."""
        return None if self.value is None else self.limit - self.value


@dataclass(frozen=True, slots=True)
class Money:
    """The session's account: NAV change = flow + price P&L + dividends + interest - borrow - commission - slippage."""

    nav: float | None
    previous_nav: float | None
    cash: float | None
    flow: float | None
    price_pnl: float | None
    dividends: float | None
    interest: float | None
    borrow: float | None
    commission: float | None
    slippage: float | None

    @property
    def pnl(self) -> float | None:
        """Change of NAV net of flows."""
        if self.nav is None or self.previous_nav is None or self.flow is None:
            return None
        return self.nav - self.flow - self.previous_nav

    @property
    def day_return(self) -> float | None:
        """P&L / NAV of the close before; None without one above 0."""
        if self.pnl is None or self.previous_nav is None or not self.previous_nav > 0.0:
            return None
        return self.pnl / self.previous_nav


@dataclass(frozen=True, slots=True)
class NavPoint:
    """NAV and time-weighted growth of 1 at a close."""

    session: date
    nav: float | None
    index: float | None


@dataclass(frozen=True, slots=True)
class NightReport:
    """Everything said about one night of one book.

    ``decided`` is False for a session that was booked without a decision (its ideas and orders are then unknown, not empty);
    ``scheduled`` tells whether the book was decided anew. ``governor`` is the share of full exposure that the drawdown governor leaves,
    1 = all. ``book`` is shown with its account masked.
    """

    session: date
    book: str
    money: Money
    state: str
    halted: bool
    drawdown: float | None
    governor: float
    decided: bool
    scheduled: bool
    orders_for: date | None
    holdings: tuple[Holding, ...]
    ideas: tuple[Idea, ...]
    scored: int | None
    excluded: tuple[tuple[str, int], ...]
    missing_factors: tuple[tuple[str, str], ...]
    planned: tuple[Planned, ...]
    withheld: tuple[Withheld, ...]
    cuts: tuple[Cut, ...]
    executed: tuple[Executed, ...]
    limits: tuple[Headroom, ...]
    warnings: tuple[str, ...]
    config_hash: str
    code_version: str
    data_hash: str
    history: tuple[NavPoint, ...]
    causes: Causes
    kpi: KpiContract
    stress: Stress
    quality: Quality
    upcoming: Upcoming
    costs: DayCosts
    ages: tuple[Age, ...]
