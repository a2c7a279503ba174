"""Why the journal holds no decision of a session."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from mech_exo.domain.errors import MissingDataError
from mech_exo.utils.calendar import is_session, next_session, previous_session

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId


def undecided(ledger: Ledger, book: BookId, session: date) -> MissingDataError:
    """The error that says why there is no decision of ``session`` in the journal, and what to do."""
    if not is_session(session):
        said, remedy = "it is no trading session", f"the session before is {previous_session(session)}, the next {next_session(session)}"
    elif ledger.session(book, session) is not None:
        said, remedy = "it was not run in time, and booked later without deciding", "name a night that was run"
    else:
        last = ledger.last_session(book)
        following = session if last is None else next_session(last.session)
        said, remedy = "it was not run", f"exo run --date {following}" + ("" if following == session else " is the next night")
    return MissingDataError(f"a decision must be in the journal of {book}; there is none for {session}: {said}", remedy=remedy)
