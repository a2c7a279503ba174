"""Whether the workspace is in order: what the head and the banner of every page, ``/healthz`` and ``/metrics`` say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mech_exo.domain.errors import DataError, LedgerError, MechExoError
from mech_exo.execution.ledger import default_path
from mech_exo.execution.safety import HaltState, HaltSwitch
from mech_exo.utils.calendar import latest_session, ordinal
from mech_exo.utils.log import mask_accounts

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.reader import Reader


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that needs the operator: what, the command that mends it ("" where none does), "bad" or "warn"."""

    said: str
    command: str = ""
    tone: str = "bad"


@dataclass(frozen=True, slots=True)
class Look:
    """What ledger and snapshot say. ``booked``: the last booked session of ``book``, ``bars``: the last session with bars; None: none.

    ``label``: what the data are if not real ones ("synthetic sample").
    """

    book: str
    booked: date | None
    halted: bool
    bars: date | None
    trouble: Problem | None
    late: timedelta
    label: str


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of things. ``expected``: the session that should be booked by now; ``behind``: sessions missing, None where unknown."""

    book: str
    booked: date | None
    expected: date
    behind: int | None
    bars: date | None
    halt: HaltState
    readable: bool
    problems: tuple[Problem, ...]
    label: str = ""

    @property
    def well(self) -> bool:
        """Whether the ledger can be read and is not behind."""
        return self.readable and self.behind == 0


def condition(reader: Reader) -> Condition:
    """The condition now. Never raises what the operator can mend: that is a problem in it."""
    halt = HaltSwitch(reader.home).state()
    try:
        look = reader.once(("condition",), _look)
    except MechExoError as error:
        what, look_at = ("The ledger", "exo ledger verify") if isinstance(error, LedgerError) else ("The workspace", "exo config check")
        problem = Problem(f"{what} cannot be read: {error.message}", error.remedy or look_at)
        return Condition("", None, _expected(reader, timedelta()), None, None, halt, False, (problem, *_halted(halt)))
    expected = _expected(reader, look.late)
    behind = None if look.booked is None else max(0, ordinal(expected) - ordinal(look.booked))
    halted = halt if halt.halted or not look.halted else HaltState(True, "halted in the ledger; the HALT file is gone")
    problems = (*_halted(halted), *_late(look, expected, behind, default_path(reader.home).exists()))
    problems += () if look.trouble is None else (look.trouble,)
    return Condition(look.book, look.booked, expected, behind, look.bars, halted, True, problems, look.label)


def _look(house: House, ledger: Ledger) -> Look:
    data, settings = house.config.data, house.config.dashboard
    late = timedelta(minutes=data.night_after_close + settings.night_minutes)
    book = _book(house, ledger)
    bars, trouble, label = None, None, ""
    try:
        view = house.storage.view()
        bars, label = view.as_of, view.label()
    except DataError as error:
        trouble = Problem(error.message[:1].upper() + error.message[1:], error.remedy or "")
    booked = None if book is None else ledger.last_booked(book)
    return Look("" if book is None else mask_accounts(str(book)), booked, ledger.is_halted, bars, trouble, late, label)


def _book(house: House, ledger: Ledger) -> BookId | None:
    """The configured book where the ledger has it, else its only one."""
    books = ledger.books()
    try:
        configured = house.book_id()
    except MechExoError:
        configured = None
    return configured if configured in books else books[0] if len(books) == 1 else None


def _expected(reader: Reader, late: timedelta) -> date:
    return latest_session(reader.clock() - late)


def _halted(halt: HaltState) -> tuple[Problem, ...]:
    if not halt.halted:
        return ()
    since = "" if halt.since is None else f" since {halt.since:%Y-%m-%d %H:%M} UTC"
    said = f"Halted{since}: {halt.reason or 'no reason given'}. Nothing that adds risk is sent."
    return (Problem(said, "exo resume --reason 'what was found'"),)


def _late(look: Look, expected: date, behind: int | None, begun: bool) -> tuple[Problem, ...]:
    if behind == 0:
        return ()
    if behind is None:
        said = "No session is booked yet." if begun else "No night has been run in this workspace yet."
        return (Problem(said, "exo run --mode paper --date YYYY-MM-DD", "warn"),)
    missing = "1 session is" if behind == 1 else f"{behind:,} sessions are"
    mode = " --mode paper" if look.book.startswith("paper/") else ""
    said = f"Old figures: the last booked session is {look.booked}; {missing} missing up to {expected}."
    return (Problem(said, f"exo run{mode}", "warn"),)
