"""What a night leaves to be read: its report, the factors studied anew, and what the account earned beside its replay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mech_exo.domain.errors import MechExoError
from mech_exo.utils import log

if TYPE_CHECKING:
    from mech_exo.assembly import Workspace
    from mech_exo.execution.ledger import Ledger
    from mech_exo.session import NightResult

LOG = log.get(__name__)
WEEK = 5
"""Sessions after which the factors are studied anew."""
DRIFT_SESSIONS, DRIFT_PATIENCE = 63, 120.0
"""Sessions, the last ones, that a night compares with their replay, and the seconds it takes for that at most."""
Made = TypeVar("Made")


def tried(what: str, make: Callable[[], Made], otherwise: Made) -> tuple[Made, tuple[str, ...]]:
    """What ``make`` gives; where it fails, ``otherwise`` and what to say of it. A page that cannot be made must not hide a halt."""
    try:
        return make(), ()
    except MechExoError as error:
        return otherwise, (f"{what}: {error.message}",)
    except Exception as error:  # a fault of the program, in what only tells: it is logged whole
        LOG.exception(what)
        return otherwise, (f"{what}: {type(error).__name__}: {error}",)


def study_factors(workspace: Workspace, result: NightResult, now: datetime) -> str:
    """Study the factors anew for the dashboard where that is due; what was done, "" where nothing was.

    Due when the book was decided anew, when what was kept is a week old or of another configuration, and when there is none. That it
    cannot be done is no trouble of the night.
    """
    from mech_exo.scoring.research import bulletin

    if result.portfolio is None or not (_scheduled(result) or _outdated(workspace, result.session)):
        return ""
    try:
        known = workspace.known(result.session)
        rules = workspace.config.strategy.universe
        sample = bulletin.sample_for(known.panel, known.universe, rules)
        made = bulletin.bulletin(
            sample, workspace.config.factors, snapshot=workspace.storage.path.stem, made_at=now, warnings=known.warnings
        )
    except MechExoError as error:
        return f"the factors could not be studied: {error.message}"
    bulletin.write(made, workspace.home / "data")
    return f"{len(made.factors)} factors studied"


def _scheduled(result: NightResult) -> bool:
    return result.decision is not None and result.decision.scheduled


def _outdated(workspace: Workspace, session: date) -> bool:
    """Whether what was kept of the factors is of another configuration, or a week of sessions old by ``session``."""
    from mech_exo.scoring.research import bulletin
    from mech_exo.utils.calendar import sessions

    try:
        kept = bulletin.read(workspace.home / "data")
    except MechExoError:
        return True
    config = workspace.config
    if kept is None or kept.recipe != bulletin.recipe_of(config.factors, config.strategy.universe):
        return True
    return kept.as_of < session and len(sessions(kept.as_of + timedelta(days=1), session)) >= WEEK


def keep_drift(workspace: Workspace) -> tuple[str, ...]:
    """Keep the account's drift over the last :data:`DRIFT_SESSIONS` in its file; what stands in the way is said, and stops nothing.

    The time is bounded: the whole of a long book, or a store that came from elsewhere, takes many minutes (``exo report drift``).
    """
    _, lost = tried("the drift from the replay is not known", lambda: _drifted(workspace), None)
    return lost


def _drifted(workspace: Workspace) -> None:
    from mech_exo.reporting.drift import drift
    from mech_exo.reporting.drift.values import save

    book = workspace.book_id()
    with workspace.ledger(read_only=True) as ledger:
        days = ledger.day_history(book)[-DRIFT_SESSIONS:]
        first = days[0].session if days else None
        save(drift(workspace, ledger, book, first, patience=DRIFT_PATIENCE), workspace.reports)


def write_reports(workspace: Workspace, ledger: Ledger, result: NightResult) -> tuple[Path, ...]:
    """The night's HTML, JSON and Markdown; of a repeated night only if it was stopped before they were written."""
    last_written = workspace.reports / "daily" / f"{result.session}.md"
    if result.portfolio is None and last_written.exists():
        return ()
    from mech_exo.reporting.query import night_report
    from mech_exo.reporting.snapshot import DailySnapshot

    found = night_report(ledger, workspace.book_id(), result.session, workspace)
    paths = DailySnapshot(found).write(workspace.reports)
    return (paths.html, paths.json, paths.markdown)
