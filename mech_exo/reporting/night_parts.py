"""The parts of a night's report that need more than the ledger: where the P&L came from, the KPI contract, stress, data, what comes next.

USD; shares signed and whole; fractions, never percent. None is unknown. A part that could not be measured is there all the same: its
``why`` says what was missing, "" where nothing was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of the day's P&L in USD, costs negative.

    ``kind``: market, factor (one line each, by the factor's ``name``), specific, trading, income (dividends, interest), cost (commission,
    slippage, borrow) or residual. A single cause "factors" without a figure stands for factors nobody knows.
    """

    name: str
    kind: str
    pnl: float | None


@dataclass(frozen=True, slots=True)
class PositionPnl:
    """What one symbol earned in the session, net: ``pnl`` = ``price`` + dividends - commission - slippage.

    ``price`` = market + ``selection`` (the sum over the factors) + specific + trading; ``before`` and ``shares`` are what was held at the
    close before and at this one.
    """

    symbol: str
    before: int
    shares: int
    pnl: float | None
    price: float | None
    market: float | None
    selection: float | None
    specific: float | None
    trading: float | None
    dividends: float
    commission: float | None
    slippage: float | None


@dataclass(frozen=True, slots=True)
class Causes:
    """The day's P&L by cause and by position; :mod:`mech_exo.reporting.causes` defines each.

    The parts sum to ``pnl``, the change of NAV net of flows, wherever all of them are known; ``positions`` and the account's interest,
    borrow and residual do, too, best first. ``price`` is what changes of price brought before costs: market, factors, specific and
    trading, known even where these are not. ``exposures`` is the session at whose close the factor scores were known.
    """

    pnl: float | None
    price: float | None
    parts: tuple[Cause, ...]
    positions: tuple[PositionPnl, ...]
    exposures: date | None
    why: str


@dataclass(frozen=True, slots=True)
class KpiFigure:
    """What was measured of a demand, its 95 % interval where one exists, and the verdict on it (``performance.kpi.Verdict``)."""

    value: float | None
    low: float | None
    high: float | None
    verdict: str
    note: str


@dataclass(frozen=True, slots=True)
class KpiDemand:
    """One line of the KPI contract: ``bound`` ("at most", "above") ``threshold``, over the trailing 12 months and the whole period."""

    name: str
    label: str
    bound: str
    threshold: float
    trailing: KpiFigure
    whole: KpiFigure


@dataclass(frozen=True, slots=True)
class KpiContract:
    """The contract at the close: ``sessions`` of record so far, the verdict on each period ("unknown" where ``why`` says so)."""

    sessions: int
    trailing: str
    whole: str
    demands: tuple[KpiDemand, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a named bad day would do to the book: a ``risk.stress.StressLine``.

    ``pnl`` USD, a loss below 0, None not measured; ``fraction`` of NAV; ``unmeasured`` symbols are not in it.
    """

    name: str
    story: str
    detail: str
    pnl: float | None
    fraction: float | None
    basis: str
    worst: str | None
    worst_pnl: float | None
    unmeasured: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stress:
    """Every scenario, in the order of ``risk.stress.SCENARIOS``."""

    scenarios: tuple[Scenario, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """A name whose data the quality gate blocks or warns of: which check, found at which session, the evidence, what clears it."""

    symbol: str
    held: bool
    verdict: str
    check: str
    since: date | None
    evidence: str
    clear: str


@dataclass(frozen=True, slots=True)
class Quality:
    """How the data of the session stand: ``coverage`` of ``names`` living symbols have a bar; doubts, held names first.

    ``assessed`` False: the gate has not looked at the newest facts, so that no doubt means nothing; None unknown.
    """

    as_of: date | None
    names: int | None
    coverage: float | None
    assessed: bool | None
    doubts: tuple[Doubt, ...]
    why: str


@dataclass(frozen=True, slots=True)
class NearExit:
    """A resting level near the close: ``distance`` is how far the price is from it, a fraction of the price; below 0 it is passed."""

    symbol: str
    kind: str
    reason: str
    level: float
    price: float
    distance: float


@dataclass(frozen=True, slots=True)
class TimeExit:
    """A position that its time stop ends at the open of ``session``, ``sessions`` after the night's (1: the next one)."""

    symbol: str
    session: date
    sessions: int


@dataclass(frozen=True, slots=True)
class NextSession:
    """The session the orders are for, its bells in UTC; ``early`` = it closes before the usual hour."""

    session: date
    opens: datetime
    closes: datetime
    early: bool


@dataclass(frozen=True, slots=True)
class Earnings:
    """An announcement of results that the store knows of, and whose word it is."""

    symbol: str
    day: date
    source: str


@dataclass(frozen=True, slots=True)
class Resting:
    """An order that may still trade. ``level`` USD, None without one; ``state`` as the ledger knows it."""

    id: str
    symbol: str
    shares: int
    type: str
    level: float | None
    protects: bool
    state: str


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What comes: exits within ``near`` of the price, time exits within ``ahead`` sessions, the next decision of the whole book.

    ``rebalance`` None: not known, ``rebalance_note`` says why. ``earnings_note`` says what is known of the dates of results.
    """

    near: float
    ahead: int
    session: NextSession
    rebalance: date | None
    rebalance_note: str
    exits: tuple[NearExit, ...]
    time_exits: tuple[TimeExit, ...]
    resting: tuple[Resting, ...]
    earnings: tuple[Earnings, ...]
    earnings_note: str


@dataclass(frozen=True, slots=True)
class Age:
    """Of when a part's data are: the session they belong to, or the instant they were known; None = unknown, ``note`` says more.

    ``sessions`` counts the sessions from then to the report's: 0 = of this very session.
    """

    part: str
    session: date | None
    at: datetime | None
    sessions: int | None
    note: str


@dataclass(frozen=True, slots=True)
class DayCosts:
    """What trading cost in the session, beside the demand on it: costs of at most ``allowed`` of gross P/L over the record.

    ``slippage`` is measured from the price that could be had (open, close or level), ``shortfall`` from the decision's price, fees
    included (Perold 1988); both positive where the account paid. ``unmeasured`` fills lack one of the prices. ``share`` of the gross P/L
    of the record so far, None while it is not meaningful.
    """

    fills: int
    traded: float
    commission: float | None
    slippage: float | None
    slippage_bps: float | None
    shortfall: float | None
    shortfall_bps: float | None
    unmeasured: int
    share: float | None
    allowed: float
    share_note: str
