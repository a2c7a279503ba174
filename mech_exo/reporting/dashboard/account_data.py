"""Which book the pages speak of, its booked sessions, and its record since the first one: what several pages share."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from mech_exo.domain.errors import MechExoError, MissingDataError
from mech_exo.reporting.query import choose_book
from mech_exo.utils.log import mask_accounts

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId
    from mech_exo.reporting.account import Course
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.reporting.night import NightReport

START = "exo run --mode paper --date YYYY-MM-DD"


@dataclass(frozen=True, slots=True)
class Booked:
    """A book and its booked sessions, oldest first; ``books`` are the names of all of them as they may be shown."""

    book: BookId
    sessions: tuple[date, ...]
    books: tuple[str, ...]

    @property
    def name(self) -> str:
        """The book's name as it may be shown."""
        return mask_accounts(str(self.book))

    def session(self, query: Mapping[str, str]) -> date:
        """The booked session that ``query`` names, or the last one before that day; without a day the last of all."""
        try:
            asked = date.fromisoformat(query.get("session", ""))
        except ValueError:
            return self.sessions[-1]
        return self.sessions[max(0, bisect_right(self.sessions, asked) - 1)]

    def beside(self, session: date) -> tuple[date | None, date | None]:
        """The booked sessions before and after ``session``."""
        place = self.sessions.index(session)
        following = self.sessions[place + 1] if place + 1 < len(self.sessions) else None
        return (self.sessions[place - 1] if place else None), following


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """What the pages show of a book's record: ``trades`` as of :attr:`AccountRecord.trades` and the ``benchmark``'s returns ``(T,)``, None
    where it is not stored; or the error that says why there is no record. The record itself, ten years of a market, is let go of.
    """

    trades: pl.DataFrame | None
    benchmark: NDArray[np.float64] | None = None
    error: MechExoError | None = None


def booked(reader: Reader, query: Mapping[str, str]) -> Booked:
    """The book that ``query`` names, else the one of ``broker.yml``, else the only one. Raises MissingDataError before the first night."""
    wanted = query.get("book")

    def make(house: House, ledger: Ledger) -> Booked:
        found = _book(house, ledger, wanted)
        sessions = tuple(day.session for day in ledger.day_history(found))
        if not sessions:
            raise MissingDataError(f"no session of {mask_accounts(str(found))} is booked yet", remedy=START)
        return Booked(found, sessions, tuple(mask_accounts(str(one)) for one in ledger.books()))

    return reader.once(("booked", wanted), make)


def _book(house: House, ledger: Ledger, wanted: str | None) -> BookId:
    books = ledger.books()
    named = [book for book in books if wanted in (str(book), mask_accounts(str(book)))]
    if named:
        return named[0]
    try:
        own = house.book_id()
    except MechExoError:  # an account that is not configured has nothing to show; what was booked has
        own = None
    return own if own in books and own is not None else choose_book(ledger, None if len(books) < 2 else str(books[0]))


def night(reader: Reader, book: BookId, session: date) -> NightReport:
    """Everything said about one night."""
    from mech_exo.reporting.query import night_report

    return reader.once(("night", book, session), lambda house, ledger: night_report(ledger, book, session, house, course(reader, book)))


def course(reader: Reader, book: BookId) -> Course:
    """Everything booked of ``book``."""
    from mech_exo.reporting.account import Course

    return reader.once(("course", book), lambda _, ledger: Course.of(ledger, book))


def account(reader: Reader, book: BookId) -> Account:
    """The record of ``book`` on the bars of what it traded; without those bars, why."""
    return reader.once(("account", book), lambda house, ledger: _account(house, ledger, book, course(reader, book)))


def _account(house: House, ledger: Ledger, book: BookId, told: Course) -> Account:
    from mech_exo.reporting.account import account_record

    try:
        view = house.storage.view()
        panel = view.panel(start=told.sessions[0].item())
        universe = view.universe(panel, house.config.strategy.universe.name)
        benchmark = house.benchmark(panel)
        record = account_record(ledger, book, panel, house.config, universe=universe, benchmark=benchmark, course=told)
        return Account(record.trades, record.benchmark if record.benchmark is None else record.benchmark.copy())
    except MechExoError as error:
        return Account(None, error=error)
