"""The account that a night keeps, on columns by symbol: what the paper broker and the books behind a wire have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.panel import BarPanel
from mech_exo.execution.booking import book_of, days_on, figures_of, history_of, lines_of
from mech_exo.execution.books import Desk, PlayedSession
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId, SessionRow
from mech_exo.kernels.account import new_account, new_book, new_days
from mech_exo.kernels.records import BOOK


class AccountBook:
    """Holdings, levels, cash and figures since the last booked session; what trades in a session is the heir's business.

    Everything comes back from the ledger.
    """

    def __init__(self, ledger: Ledger, book: BookId) -> None:
        self._ledger, self._id = ledger, book
        self._symbols: tuple[str, ...] = ()
        self._book = new_book(0)
        self._account = new_account(0.0)
        self._booked, self._days = history_of(())
        self._last: date | None = None

    @property
    def nav(self) -> float:
        """Net asset value in USD at the last booked close."""
        return float(self._account["nav"][0])

    def desk(self, panel: BarPanel) -> Desk:
        """The account as a decision takes it, copied: whatever is written there reaches the broker only by the router."""
        self._lay(panel)
        live, count = self._live()
        account = self._account.copy()
        account["live"] = count
        return Desk(self._book.copy(), live, account, days_on(panel.sessions, self._booked, self._days))

    def row(self, decided: np.ndarray, day: np.void, played: PlayedSession) -> SessionRow:
        """The session as it is to be booked: its figures (with the risk state after deciding) and the decided book."""
        self._remember(played.session, day)
        return SessionRow(self._id, played.session, figures_of(day), lines_of(self._symbols, decided), played.events)

    def _restore(self, cash: float, ordered: Iterable[str]) -> None:
        """The account after the last booked session (a new one holds ``cash`` USD), with columns for the symbols ``ordered`` too."""
        row = self._ledger.last_session(self._id)
        self._booked, self._days = history_of(self._ledger.day_history(self._id))
        self._account = new_account(cash)
        if row is not None:
            day = row.day
            for name, value in (("cash", day.cash), ("nav", day.nav), ("index", day.index), ("value", day.long_value + day.short_value)):
                self._account[name] = value
        lines = row.lines if row is not None else ()
        self._last = row.session if row is not None else None
        self._symbols = tuple(sorted({line.symbol for line in lines} | set(ordered)))
        self._book = book_of(self._symbols, lines)

    def _check_order(self, session: date) -> None:
        if self._last is not None and session <= self._last:
            raise BrokerError(f"a session is played once, in order; {session} is not after {self._last}")

    def _remember(self, session: date, day: np.void) -> None:
        stamp = np.datetime64(session, "D")
        if not len(self._booked) or self._booked[-1] < stamp:
            self._booked = np.append(self._booked, stamp)
            self._days = np.append(self._days, new_days(1))
        self._days[-1] = day

    def _forget_unplaced(self) -> None:
        """Levels decided for an order that was never placed (denied, cancelled) go with it."""
        idle = self._book["order"] == 0.0
        blank = new_book(1)
        for name in (field for field in BOOK.names or () if field.startswith("order_")):
            self._book[name][idle] = blank[name][0]

    def _live(self, more: Sequence[int] | np.ndarray = ()) -> tuple[np.ndarray, int]:
        """Columns held or ordered, and ``more``, ascending, and how many."""
        wanted = (self._book["shares"] != 0.0) | (self._book["order"] != 0.0) | (self._book["rest"] != 0.0)
        wanted[np.asarray(more, np.int64)] = True
        found = np.flatnonzero(wanted)
        live = np.zeros(len(self._book), np.int64)
        live[: len(found)] = found
        return live, len(found)

    def _take(self, decided: np.ndarray) -> None:
        """Go on with ``decided``, as after a restart: of a symbol that is neither held nor ordered nothing is remembered."""
        self._book = book_of(self._symbols, lines_of(self._symbols, decided))

    def _column(self, symbol: str) -> np.void:
        """The line of ``symbol``, made when there is none."""
        if symbol not in self._symbols:
            self._relay(tuple(sorted((*self._symbols, symbol))))
        line: np.void = self._book[self._symbols.index(symbol)]
        return line

    def _lay(self, panel: BarPanel) -> None:
        if panel.symbols != self._symbols:
            self._relay(panel.symbols)

    def _relay(self, symbols: tuple[str, ...]) -> None:
        self._book = book_of(symbols, lines_of(self._symbols, self._book))
        self._symbols = symbols
