"""The steps of a night. Each opens what it needs and leaves it closed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mech_exo.nightly.reports import keep_drift, study_factors, tried, write_reports
from mech_exo.nightly.telling import alarms, alerts_of, known_alerts
from mech_exo.nightly.values import Done, Evening, Step, handed_over, withheld, workspace_of

if TYPE_CHECKING:
    from mech_exo.assembly import Workspace
    from mech_exo.datasource.quality import QualityReport
    from mech_exo.datasource.update import UpdateReport
    from mech_exo.execution.ledger import Ledger
    from mech_exo.session import Desks, NightResult

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Tell nobody."""


def download(evening: Evening, progress: Progress = silent) -> Done[UpdateReport | None]:
    """Fetch what the store lacks from the sources of ``data.yml``. What fails leaves what was stored as it was and wants attention."""
    began = time.perf_counter()
    workspace = workspace_of(evening)
    sources = workspace.config.data.sources
    if evening.past:
        return Done(Step.DOWNLOAD, "skipped: a past session is decided from what is published", None)
    if not evening.download:
        return Done(Step.DOWNLOAD, "skipped: not wanted", None)
    if sources.bars is None and not sources.fundamentals and not sources.news:
        return Done(Step.DOWNLOAD, "skipped: data.yml names no source, data come by exo data import", None)
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.datasource.update import update

    with DataStorage(DataStorage.path_in(evening.home)) as storage:
        found = update(storage, workspace.config, now=evening.now, held=workspace.held(), progress=progress)
    new, restated = sum(one.new for one in found.downloads), sum(one.restated for one in found.downloads)
    said = f"up to {found.session}: {len(found.symbols):,} symbols, {new:,} new facts, {restated:,} restated"
    return Done(Step.DOWNLOAD, said, found, found.attention, time.perf_counter() - began)


def failed_sources(found: UpdateReport | None) -> tuple[str, ...]:
    """The sources that as a whole gave nothing: worth asking again later the same night."""
    return () if found is None else tuple(f"{one.kind} from {one.source}: {one.trouble}" for one in found.downloads if one.trouble)


def assess(evening: Evening, progress: Progress = silent) -> Done[QualityReport | None]:
    """Let the quality gate look at what is new in the store."""
    from mech_exo.datasource.quality import assess as look
    from mech_exo.datasource.storage import DataStorage

    began = time.perf_counter()
    database = DataStorage.path_in(evening.home)
    if evening.past or not database.exists():
        return Done(Step.QUALITY, f"skipped: {'the verdicts of its day hold' if evening.past else 'no data are stored yet'}", None)
    workspace = workspace_of(evening)
    with DataStorage(database) as storage:
        found = look(storage, workspace.config, now=evening.now, progress=progress)
    held = set(workspace.held())
    said = f"{len(found.blocked)} of {found.names} names blocked, {len(found.warned)} with a warning" + (
        "" if found.fresh else ", as before"
    )
    doubts = tuple(
        f"{one.symbol} is held and its data are blocked ({one.check}): {one.evidence}" for one in found.blocked if one.symbol in held
    )
    return Done(Step.QUALITY, said, found, doubts, time.perf_counter() - began)


def publish(evening: Evening) -> Done[str | None]:
    """Put the store's present state where decisions, dashboards and notebooks read it; its hash."""
    from mech_exo.datasource.storage import DataStorage

    began = time.perf_counter()
    database = DataStorage.path_in(evening.home)
    if evening.past or not database.exists():
        return Done(Step.PUBLISH, f"skipped: {'the published snapshot is read' if evening.past else 'no data are stored yet'}", None)
    with DataStorage(database) as storage:
        found = storage.publish()
    return Done(
        Step.PUBLISH, f"snapshot {found.hash} {'published' if found.fresh else 'as before'}", found.hash, (), time.perf_counter() - began
    )


def decide(evening: Evening) -> Done[NightResult]:
    """Recover, reconcile, book the session, decide at its close, journal the orders. Nothing is sent."""
    from mech_exo.session import decide_night
    from mech_exo.utils.calendar import latest_session

    began = time.perf_counter()
    workspace = workspace_of(evening)
    session = evening.session if evening.session is not None else workspace.known().as_of
    with workspace.ledger() as ledger, _at_desks(workspace, ledger) as desks:
        known = known_alerts(ledger)
        result = decide_night(desks, session)
        raised = alarms(ledger, known)
    orders = 0 if result.decision is None else len(result.decision.orders)
    said = f"{session} was booked already" if result.repeated else f"{session}: NAV {result.day.nav:,.2f} USD, {orders} orders planned"
    closed = latest_session(evening.now)
    expected = evening.download and evening.session is None and workspace.config.data.sources.bars is not None
    stale = (
        (f"the last session stored is {session}, the last one closed {closed}: its bars did not come",)
        if expected and session < closed
        else ()
    )
    return Done(Step.DECIDE, said, result, (*stale, *raised), time.perf_counter() - began)


def submit(evening: Evening, decided: NightResult) -> Done[NightResult]:
    """Hand the planned orders to the broker, each once. Never to be retried: running the night again sends what was not sent."""
    from mech_exo.session import submit_night

    began = time.perf_counter()
    workspace = workspace_of(evening)
    with workspace.ledger() as ledger, _at_desks(workspace, ledger) as desks:
        known = known_alerts(ledger)
        result = submit_night(desks, decided)
        raised = alarms(ledger, known)
    said = handed_over(result) if result.sent else "no orders to hand over"
    return Done(Step.SUBMIT, said, result, (*withheld(result.sent), *raised), time.perf_counter() - began)


def report(evening: Evening, result: NightResult) -> Done[tuple[Path, ...]]:
    """Write the night's HTML, JSON and Markdown, and what the account earned beside its replay.

    The orders have left and the alarms are still to be posted: what fails here is told with them, and ends nothing.
    """
    began = time.perf_counter()
    workspace = workspace_of(evening)
    nothing: tuple[Path, ...] = ()
    paths, lost = tried("the daily report could not be written", lambda: _reported(workspace, result), nothing)
    said = f"{len(paths)} files" if paths else "not written" if lost else "written before"
    study = tried("the factors could not be studied", lambda: "" if evening.past else study_factors(workspace, result, evening.now), "")
    attention = (*lost, *study[1], *(keep_drift(workspace) if paths else ()))
    return Done(Step.REPORT, f"{said}{'; ' if study[0] else ''}{study[0]}", paths, attention, time.perf_counter() - began)


def _reported(workspace: Workspace, result: NightResult) -> tuple[Path, ...]:
    with workspace.ledger() as ledger:
        return write_reports(workspace, ledger, result)


def alert(evening: Evening, result: NightResult, steps: Sequence[Done[Any]]) -> Done[int]:
    """Put what must be told into the ledger's outbox, each once however often the night is performed; how many were new."""
    began = time.perf_counter()
    with workspace_of(evening).ledger() as ledger:
        known = known_alerts(ledger)  # of the same night performed before, in other words perhaps
        new = sum(ledger.post_alert(row) for row in alerts_of(result, steps) if row.id not in known)
    return Done(Step.ALERT, f"{new} in the outbox" if new else "nothing new to tell", new, (), time.perf_counter() - began)


@contextmanager
def _at_desks(workspace: Workspace, ledger: Ledger) -> Iterator[Desks]:
    """The desks of a night; the broker's connection ends with it."""
    desks = workspace.desks(ledger)
    try:
        yield desks
    finally:
        desks.broker.close()
