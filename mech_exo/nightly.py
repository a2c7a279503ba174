"""The night as named steps: download → quality → publish → decide → submit → report → alert.

``exo run`` calls them in turn (:func:`perform`), the Prefect flow in ``dags/nightly.py`` each as a task. Every step opens what it needs
and leaves it closed, so that a night killed anywhere is simply performed again. Only one runs at a time: :func:`guarded`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mech_exo.domain.errors import InputError, LedgerError, MechExoError, cut
from mech_exo.execution.route import CONFIGURED, Route
from mech_exo.utils import log
from mech_exo.utils.lock import HeldError, ProcessLock

if TYPE_CHECKING:
    from mech_exo.assembly import Workspace
    from mech_exo.datasource.quality import QualityReport
    from mech_exo.datasource.update import UpdateReport
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.router import SendResult
    from mech_exo.execution.rows import Alert
    from mech_exo.session import Desks, NightResult

LOG = log.get(__name__)
LOCK = Path("data") / "night.lock"
SHOWN = 20
WEEK = 5
"""Sessions after which the factors are studied anew."""
DRIFT_SESSIONS, DRIFT_PATIENCE = 63, 120.0
"""Sessions, the last ones, that a night compares with their replay, and the seconds it takes for that at most."""
PATIENCE = 5.0
"""Seconds a failed night waits for another process that writes the ledger, to tell that it failed."""
Made = TypeVar("Made")
Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Tell nobody."""


class Step(StrEnum):
    """The steps of a night, in their order."""

    DOWNLOAD = "download"
    QUALITY = "quality"
    PUBLISH = "publish"
    DECIDE = "decide"
    SUBMIT = "submit"
    REPORT = "report"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Evening:
    """What a night is asked for: the workspace, the session (None: the last one stored), the present instant, whether to download, and
    where the orders go.

    Only the evening of the session closed last touches the store: a past session is decided from what is published.
    """

    home: Path
    now: datetime
    session: date | None = None
    download: bool = True
    route: Route = CONFIGURED

    @property
    def past(self) -> bool:
        """Whether an earlier session than the one closed last was asked for."""
        from mech_exo.utils.calendar import latest_session

        return self.session is not None and self.session != latest_session(self.now)


@dataclass(frozen=True, slots=True, eq=False)
class Done(Generic[Made]):
    """What a step did: ``value`` is what it made (None: it was skipped), ``attention`` what a person should look at."""

    step: Step
    said: str
    value: Made
    attention: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def skipped(self) -> bool:
        """Whether there was nothing to do."""
        return self.value is None

    def as_dict(self) -> dict[str, Any]:
        """For JSON and logs, without the value."""
        return {"step": self.step, "skipped": self.skipped, "said": self.said, "seconds": self.seconds, "attention": self.attention}


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """A night that was performed: every step, what it decided and sent, its reports."""

    steps: tuple[Done[Any], ...]
    result: NightResult
    reports: tuple[Path, ...]

    @property
    def stale(self) -> bool:
        """Whether deciding wants a look: the bars of the session closed last were wanted and did not come, or an alarm was raised."""
        return any(done.step is Step.DECIDE and done.attention for done in self.steps)

    @property
    def troubled(self) -> bool:
        """Whether an alarm was raised in sending, the broker refused an order, one is in doubt or not sent, or none left of all."""
        outcomes = {sent.outcome for sent in self.result.sent}
        unsent = bool(outcomes & {"rejected", "unknown", "not_sent"}) or bool(outcomes and "live" not in outcomes)
        told = set(withheld(self.result.sent))
        return unsent or any(done.step is Step.SUBMIT and set(done.attention) - told for done in self.steps)


def perform(evening: Evening, progress: Progress = silent) -> Night:
    """The whole night, step by step, under the lock. ``progress`` is told what happens next.

    Raises
    ------
    LedgerError
        Another night is running.
    MechExoError
        A step failed; the alert is in the outbox.
    """
    with guarded(evening):
        steps: list[Done[Any]] = [download(evening, progress), assess(evening, progress), publish(evening)]
        progress("deciding")
        decided = decide(evening)
        progress("handing over the orders")
        sent = submit(evening, decided.value)
        progress("writing the report")
        told = report(evening, sent.value)
        steps += [decided, sent, told]
        return Night((*steps, alert(evening, sent.value, steps)), sent.value, told.value)


@contextmanager
def guarded(evening: Evening) -> Iterator[None]:
    """One night at a time, and whatever ends an evening early is put in the outbox. Raises LedgerError at once while another night runs.

    What was asked in vain leaves nothing behind: a workspace without data, or a session named by a person who reads the answer.
    """
    path = evening.home / LOCK
    if not path.parent.exists() or not any(path.parent.iterdir()):
        _worth_beginning(evening)
    try:
        lock = ProcessLock(path)
    except HeldError as error:
        raise LedgerError(
            f"one night runs at a time; process {error.holder} holds {path}",
            remedy=f"wait until it ends, or look at it: ps -p {error.holder}",
        ) from None
    try:
        yield
    except Exception as error:  # a fault of the program, too: it is told, and goes on up
        _post_failure(evening, error)
        raise
    finally:
        lock.release()


def download(evening: Evening, progress: Progress = silent) -> Done[UpdateReport | None]:
    """Fetch what the store lacks from the sources of ``data.yml``. What fails leaves what was stored as it was and wants attention."""
    began = time.perf_counter()
    workspace = _workspace(evening)
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
    workspace = _workspace(evening)
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
    workspace = _workspace(evening)
    session = evening.session if evening.session is not None else workspace.known().as_of
    with workspace.ledger() as ledger, _at_desks(workspace, ledger) as desks:
        known = _known_alerts(ledger)
        result = decide_night(desks, session)
        alarms = _alarms(ledger, known)
    orders = 0 if result.decision is None else len(result.decision.orders)
    said = f"{session} was booked already" if result.repeated else f"{session}: NAV {result.day.nav:,.2f} USD, {orders} orders planned"
    closed = latest_session(evening.now)
    expected = evening.download and evening.session is None and workspace.config.data.sources.bars is not None
    stale = (
        (f"the last session stored is {session}, the last one closed {closed}: its bars did not come",)
        if expected and session < closed
        else ()
    )
    return Done(Step.DECIDE, said, result, (*stale, *alarms), time.perf_counter() - began)


def submit(evening: Evening, decided: NightResult) -> Done[NightResult]:
    """Hand the planned orders to the broker, each once. Never to be retried: running the night again sends what was not sent."""
    from mech_exo.session import submit_night

    began = time.perf_counter()
    workspace = _workspace(evening)
    with workspace.ledger() as ledger, _at_desks(workspace, ledger) as desks:
        known = _known_alerts(ledger)
        result = submit_night(desks, decided)
        alarms = _alarms(ledger, known)
    said = handed_over(result) if result.sent else "no orders to hand over"
    return Done(Step.SUBMIT, said, result, (*withheld(result.sent), *alarms), time.perf_counter() - began)


def _known_alerts(ledger: Ledger) -> set[str]:
    return {row.id for row in ledger.alerts()}


def _alarms(ledger: Ledger, known: set[str]) -> tuple[str, ...]:
    """What comparing and sending put in the outbox as critical: a position without its stop, an order given up."""
    return tuple(f"{row.title}: {row.text}" for row in ledger.alerts() if row.severity == "critical" and row.id not in known)


def handed_over(result: NightResult) -> str:
    """How many orders the broker has taken now, of those that were to leave."""
    taken = sum(sent.outcome == "live" for sent in result.sent)
    return f"{taken} of {len(result.sent)} orders handed to the broker for {result.next_session}"


def withheld(sent: Sequence[SendResult]) -> tuple[str, ...]:
    """What the broker has not taken, a sentence for each reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in sent:
        if one.outcome != "live":
            found.setdefault((one.outcome.value.replace("_", " "), one.note), []).append(f"{one.symbol} {one.shares:+d}")
    return tuple(f"{', '.join(orders)} {outcome}: {note}" for (outcome, note), orders in found.items())


def report(evening: Evening, result: NightResult) -> Done[tuple[Path, ...]]:
    """Write the night's HTML, JSON and Markdown, and what the account earned beside its replay.

    The orders have left and the alarms are still to be posted: what fails here is told with them, and ends nothing.
    """
    began = time.perf_counter()
    workspace = _workspace(evening)
    nothing: tuple[Path, ...] = ()
    paths, lost = _tried("the daily report could not be written", lambda: _reported(workspace, result), nothing)
    said = f"{len(paths)} files" if paths else "not written" if lost else "written before"
    study = _tried("the factors could not be studied", lambda: "" if evening.past else study_factors(workspace, result, evening.now), "")
    attention = (*lost, *study[1], *(keep_drift(workspace) if paths else ()))
    return Done(Step.REPORT, f"{said}{'; ' if study[0] else ''}{study[0]}", paths, attention, time.perf_counter() - began)


def _reported(workspace: Workspace, result: NightResult) -> tuple[Path, ...]:
    with workspace.ledger() as ledger:
        return write_reports(workspace, ledger, result)


def _tried(what: str, make: Callable[[], Made], otherwise: Made) -> tuple[Made, tuple[str, ...]]:
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
    _, lost = _tried("the drift from the replay is not known", lambda: _drifted(workspace), None)
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


def alert(evening: Evening, result: NightResult, steps: Sequence[Done[Any]]) -> Done[int]:
    """Put what must be told into the ledger's outbox, each once however often the night is performed; how many were new."""
    began = time.perf_counter()
    with _workspace(evening).ledger() as ledger:
        known = _known_alerts(ledger)  # of the same night performed before, in other words perhaps
        new = sum(ledger.post_alert(row) for row in alerts_of(result, steps) if row.id not in known)
    return Done(Step.ALERT, f"{new} in the outbox" if new else "nothing new to tell", new, (), time.perf_counter() - began)


def alerts_of(result: NightResult, steps: Sequence[Done[Any]]) -> tuple[Alert, ...]:
    """What must be told of a night: its outcome, and one alert for each step that wants attention."""
    from mech_exo.domain.verdict import RiskState
    from mech_exo.execution.rows import Alert

    session = result.session
    told = "\n".join(done.said for done in steps)
    found = [Alert(f"night-{session}", "info", f"Night of {session}", told)]  # repeated or not: the first may have died before telling
    if result.day.state is not RiskState.ACTIVE:
        said = "No new risk is taken." if result.day.state is RiskState.HALTED else "Risk is being reduced."
        found.append(Alert(f"state-{session}", "critical", f"{session}: {result.day.state.value.upper()}", f"{said} See exo risk status"))
    if result.gate.breaks:
        found.append(
            Alert(f"break-{session}", "critical", f"{session}: ledger and broker differ", _lines([str(one) for one in result.gate.breaks]))
        )
    if result.missed:
        said = "They were booked, nothing was decided at them."
        found.append(Alert(f"missed-{session}", "warning", f"{session}: {len(result.missed)} nights were missed before", said))
    wanted = [done for done in steps if done.attention]
    found += [Alert(f"{done.step}-{session}", "warning", f"{session}: {done.step}", _lines(done.attention)) for done in wanted]
    if doubtful := [sent for sent in result.sent if sent.outcome == "unknown"]:
        said = "The broker has not said what became of them; no new risk is taken until it has. Look at the broker, then: exo reconcile"
        title = f"{session}: {len(doubtful)} {'order is' if len(doubtful) == 1 else 'orders are'} in doubt"
        found.append(Alert(f"doubt-{session}", "critical", title, f"{said}\n{_lines(withheld(doubtful))}"))
    return tuple(found)


def session_of(text: str | None) -> date | None:
    """The session that a flow's parameter asks for, None for the last one. Raises InputError for a date that is none."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise InputError(f"a session is written YYYY-MM-DD; got {cut(text or '')!r}") from None


def _workspace(evening: Evening) -> Workspace:
    from mech_exo.assembly import Workspace

    return Workspace.open(evening.home, evening.route)


@contextmanager
def _at_desks(workspace: Workspace, ledger: Ledger) -> Iterator[Desks]:
    """The desks of a night; the broker's connection ends with it."""
    desks = workspace.desks(ledger)
    try:
        yield desks
    finally:
        desks.broker.close()


def _worth_beginning(evening: Evening) -> None:
    """Raises ConfigError or MissingDataError where a workspace without any data could not get some either."""
    workspace = _workspace(evening)
    if evening.past or not evening.download or workspace.config.data.sources.bars is None:
        _ = workspace.storage


def _post_failure(evening: Evening, error: Exception) -> None:
    """An evening that could not be done is told, each reason once, where the ledger can be written at all."""
    from mech_exo.execution.ledger import Ledger, default_path
    from mech_exo.execution.rows import Alert
    from mech_exo.utils.calendar import latest_session

    if evening.past or not default_path(evening.home).exists():
        return
    session = evening.session or latest_session(evening.now)
    row = Alert(f"failed-{session}", "critical", f"The night of {session} could not be performed", _told(error))
    with suppress(LedgerError, OSError), Ledger.open(default_path(evening.home), wait=PATIENCE) as ledger:
        known = {alert.id: alert.text for alert in ledger.alerts()}
        if known.get(row.id, row.text) != row.text:
            row = replace(row, id=f"{row.id}-{hashlib.sha256(row.text.encode()).hexdigest()[:8]}")
        ledger.post_alert(row)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, MechExoError) else f"{type(error).__name__}: {error}"


def _lines(said: Sequence[str]) -> str:
    more = [f"… and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    return "\n".join([*said[:SHOWN], *more])
