"""What risk is measured on: the paper book of a workspace with its market, or an all-cash account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from mech_exo.cli import home
from mech_exo.domain.errors import InputError, MissingDataError

if TYPE_CHECKING:
    from mech_exo.assembly import Workspace
    from mech_exo.execution.rows import BookedDay, SessionRow
    from mech_exo.risk.checker import RiskChecker
    from mech_exo.risk.model import Market


@dataclass(frozen=True)
class Quote:
    """What the store knows of a symbol tonight: close in USD (NaN = unknown), sector, why its data are blocked (empty: they are not)."""

    price: float
    sector: str | None
    doubt: str = ""


@dataclass(frozen=True)
class Stored:
    """The store at one close: quotes by symbol, the market that risk may see (None: no bars), and what must be said of it."""

    quotes: dict[str, Quote]
    market: Market | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """What risk is measured on: a checker, the store beside it, where its book came from, the governor's share, what must be said."""

    checker: RiskChecker
    stored: Stored
    source: str
    as_of: date | None
    share: float
    notes: tuple[str, ...]

    def status(self) -> dict[str, Any]:
        """The status as plain values, with where it is from."""
        summary = self.checker.get_risk_status_summary()
        summary["notes"] = [*self.notes, *summary["notes"]]
        return {"source": self.source, "as_of": self.as_of, **summary, "governor_share": self.share}


def here() -> Workspace:
    """The workspace; one without a config folder has the built-in defaults."""
    from mech_exo.assembly import Workspace
    from mech_exo.utils.settings import Config

    place = home()
    return Workspace.open(place) if (place / "config").is_dir() else Workspace(place, Config())


def account_of(
    workspace: Workspace, nav: float | None = None, peak: float | None = None, beside: tuple[str, ...] = (),
    gaps: Mapping[str, float] | None = None,
) -> Account:  # fmt: skip
    """The paper book of the workspace, or an all-cash account of ``nav``; ``beside`` names symbols to be quoted that are not held.

    ``gaps`` are tails of overnight gaps that are known otherwise.
    """
    from mech_exo.domain.portfolio import Portfolio
    from mech_exo.execution.booking import position_of
    from mech_exo.execution.safety import HaltSwitch
    from mech_exo.risk.checker import RiskChecker

    if nav is not None and not 0.0 < nav < float("inf"):
        raise InputError(f"--nav must be above 0 and finite; got {nav}", remedy="for example --nav 100000")
    limits = workspace.config.risk
    notes = [] if (workspace.home / "config").is_dir() else [f"{workspace.home} has no config folder: the built-in default limits apply"]
    halt = HaltSwitch(workspace.home).state()
    last, days, halted = _booked(workspace)
    halted = halted or halt.halted
    notes += [str(halt)] if halt.halted else []
    if last is None:
        if nav is None:
            remedy = "give --nav 100000, or book a session with exo run (kind in broker.yml says which book is read)"
            raise InputError(f"risk needs a NAV; {workspace.book_id()} in {workspace.home} has no booked session", remedy=remedy)
        stored = store_at(workspace, None, beside) if beside else Stored({}, None, ())
        checker = RiskChecker(
            Portfolio(nav), limits, peak_nav=peak, nav_history=[nav], halted=halted, market=stored.market, gaps=gaps
        )  # it begins here: nothing has fallen
        source = f"an all-cash account of {nav:,.0f} USD (no session is booked here)"
        return Account(checker, stored, source, None, 1.0, (*notes, *stored.notes))
    held = [line for line in last.lines if line.shares != 0.0]
    stored = store_at(workspace, last.session, (*(line.symbol for line in held), *beside))
    sectors = {symbol: quote.sector for symbol, quote in stored.quotes.items()}
    portfolio = Portfolio(last.day.cash, {x.symbol: position_of(x, last.session, sectors.get(x.symbol)) for x in held})
    scale = last.day.nav / last.day.index
    history = [scale, *(booked.day.index * scale for booked in days[:-1])]
    if nav is not None:
        own = portfolio.nav
        notes.append(f"NAV as given; the book's own is {own:,.2f} USD")
        portfolio.cash += nav - own
        history = [before * nav / own for before in history] if own > 0.0 else []  # no gain, no loss: the book's own drawdown
    checker = RiskChecker(
        portfolio, limits, peak_nav=peak, nav_history=history, halted=halted, market=stored.market,
        missing={line.symbol: line.missing for line in held if line.missing}, gaps=gaps, share=last.day.scale,
    )  # fmt: skip
    said = stored.notes if held or beside else ()
    return Account(checker, stored, f"book {last.book} at the close of {last.session}", last.session, last.day.scale, (*notes, *said))


def store_at(workspace: Workspace, as_of: date | None, symbols: tuple[str, ...]) -> Stored:
    """The published store at ``as_of`` (None: the latest); without a store nothing is known, and that is said."""
    try:
        known = workspace.seen(as_of)
    except MissingDataError as error:
        return Stored({}, None, (f"prices and sectors are unknown: {error.message}",))
    quotes = {}
    for symbol in set(symbols) & set(known.panel.symbols):
        column = known.panel.column_of(symbol)
        sector, doubt = known.universe.sector_name(known.row, column), known.doubts.get(symbol, "")
        quotes[symbol] = Quote(float(known.panel.close[known.row, column]), sector, doubt)
    return Stored(quotes, workspace.market(known), tuple(f"note: {warning}" for warning in known.warnings))


def _booked(workspace: Workspace) -> tuple[SessionRow | None, tuple[BookedDay, ...], bool]:
    """The last booked session, every session's figures, and whether the book is halted."""
    if not workspace.ledger_path.exists():
        return None, (), False
    with workspace.ledger(read_only=True) as ledger:
        book = workspace.book_id()
        return ledger.last_session(book), ledger.day_history(book), ledger.is_halted
