"""``exo alert``: deliver what the ledger's outbox holds, try the channels, see what waits."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.domain.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.reporting.alerts.rows import DeliveryRow
    from mech_exo.reporting.alerts.service import Service
    from mech_exo.reporting.alerts.status import Status
    from mech_exo.utils.settings import Config

app = typer.Typer(help="Deliver alerts, try the channels, see what waits.")
FAILED, UNREADABLE = 1, 4
"""Exit codes of a round in which a channel failed, or the ledger could not be read."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a test message to a channel came to."""

    channel: str
    kind: str
    arrived: bool
    said: str


@app.command()
def run(
    once: Annotated[bool, typer.Option("--once", help="Deliver what is due, then end: for cron.")] = False, as_json: JsonOption = False
) -> None:
    """Deliver alerts until stopped, watch the nights, HALT and the disk, and answer Telegram commands. One process at a time.

    With --once the exit code is 1 where a channel failed and 4 where the ledger cannot be read; what failed waits for the next time.
    """
    from mech_exo.reporting.alerts.process import only_one
    from mech_exo.reporting.alerts.service import Service

    place, config = home(), _config()

    def open_house() -> Workspace:  # for commands alone: it takes a second to import
        from mech_exo.assembly import Workspace

        return Workspace.open(place)

    with only_one(place):
        service = Service(place, config, open_house)
        try:
            if once:
                _once(service, as_json)
            else:
                _serve(service, place)
        finally:
            service.close()


@app.command("test")
def try_channels(
    channel: Annotated[str | None, typer.Argument(metavar="[CHANNEL]", help="Only this channel; default all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a real test message to each channel and say what came of it. Exit code 1 where one failed."""
    from mech_exo.reporting.alerts.channels import directory
    from mech_exo.reporting.alerts.sending import attempt, sender
    from mech_exo.reporting.alerts.service import require_channels
    from mech_exo.reporting.alerts.wording import written
    from mech_exo.utils.alert_settings import Severity

    config = _config()
    known = directory(config)
    require_channels(known)
    channels = known.channels
    if channel is not None and channel not in channels:
        raise UserError(f"the channel must be one of {', '.join(channels)}; got {channel}")
    retry, tried = config.alerts.retry, []
    for name in [channel] if channel is not None else list(channels):
        one = channels[name]
        text = f"If you can read this, the channel {name} works. Markup stays as it is: <b>&amp; *x* `y` <!channel> @everyone"
        said = written(one.kind, "Mech-Exo: test message", f"{text}\nSent {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC.", Severity.INFO)
        outcome = attempt(sender(one, retry.answer_seconds), said, retry.hang_seconds)
        tried.append(Tried(name, one.kind.value, outcome.arrived, outcome.said))
    emit(tried, as_json, lambda paper: _show_tried(paper, tried))
    if not all(one.arrived for one in tried):
        raise typer.Exit(FAILED)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """What waits on each channel, when it last delivered and tries next, the heartbeat, the chats that may command."""
    from mech_exo.reporting.alerts.status import look

    found = look(home(), _config(), datetime.now(UTC))
    emit(found, as_json, lambda paper: _show_status(paper, found))


@app.command("list")
def list_(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what is not delivered yet.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Lines at most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """The latest alerts and what became of each on every channel, the newest first."""
    from mech_exo.reporting.alerts.store import DeliveryStore

    store = DeliveryStore.look(home())
    rows: tuple[DeliveryRow, ...] = ()
    if store is not None:
        with store:
            rows = store.listed(limit, waiting=waiting)
    data = [
        {
            "id": row.id, "severity": row.severity, "title": row.title, "posted": _at(row.at), "channel": row.channel, "state": row.state,
            "attempts": row.attempts, "next": _at(row.due) if row.state == "waiting" else None, "ended": _at(row.ended),
            "in_doubt": bool(row.doubt),
        }
        for row in rows
    ]  # fmt: skip
    emit(data, as_json, lambda paper: _show_rows(paper, rows))


@app.command()
def show(id_: Annotated[str, typer.Argument(metavar="ID", help="As exo alert list shows it.")], as_json: JsonOption = False) -> None:
    """One alert with its whole text."""
    from mech_exo.reporting.alerts.store import DeliveryStore

    store = DeliveryStore.look(home())
    found = None
    if store is not None:
        with store:
            found = store.alert(id_)
    if found is None:
        raise UserError(f"an alert is shown by its id; {id_} is none that was taken in for delivery", remedy="exo alert list")
    data = {"id": found.id, "severity": found.severity, "posted": _at(found.at), "title": found.title, "text": found.text}
    said = f"{found.id}  {found.severity}  {_shown(_at(found.at))} UTC\n{found.title}\n\n{found.text}"
    emit(data, as_json, lambda paper: paper.print(said, soft_wrap=True, markup=False, highlight=False))


def _config() -> Config:
    from mech_exo.utils.config import load

    return load(home())


def _once(service: Service, as_json: bool) -> None:
    told = service.once()
    data = {"arrived": told.arrived, "failed": told.failed, "trouble": told.trouble}

    def render(paper: Console) -> None:
        lines = [f"{name}: {count} messages delivered" for name, count in told.arrived.items()]
        lines += [f"{name} failed: {why}" for name, why in told.failed.items()] + ([told.trouble] if told.trouble else [])
        paper.print("\n".join(lines) or "nothing was due", soft_wrap=True, markup=False, highlight=False)

    emit(data, as_json, render)
    if told.failed or told.trouble:
        raise typer.Exit(FAILED if told.failed else UNREADABLE)


def _serve(service: Service, place: Path) -> None:
    before = {number: signal.signal(number, lambda *_: service.stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        console().print(f"delivering the alerts of {place}   (Ctrl-C ends it)", highlight=False, markup=False, soft_wrap=True)
        service.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _at(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _shown(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _show_tried(paper: Console, tried: list[Tried]) -> None:
    for one in tried:
        said = "[green]arrived[/green]" if one.arrived else f"[red]failed[/red]: {escape(one.said)}"
        paper.print(f"{one.channel} ({one.kind}): {said}", soft_wrap=True, highlight=False)


def _show_status(paper: Console, found: Status) -> None:
    from rich.table import Table

    table = Table("channel", "kind", "told of", "waiting", "last delivered (UTC)", "failures", "next try (UTC)", "what it said")
    for one in found.channels:
        waiting = ", ".join(f"{count} {severity}" for severity, count in one.waiting.items()) or "0"
        cells = (one.name, one.kind, ", ".join(one.told_of), waiting, _shown(one.last_success), str(one.failures))
        table.add_row(*map(escape, cells), "" if one.next_try is None else _shown(one.next_try), escape(one.said))
    if found.channels:
        paper.print(table)
    else:
        paper.print("no channel is configured: nobody is told anything (docs/alerts.md)", soft_wrap=True)
    runs = f"process {found.process}" if found.process else "no process delivers now: exo alert run"
    missed = f"missed {found.grace_minutes} minutes later"
    lines = [
        f"last look: {_shown(found.last_round)}{' UTC' if found.last_round else ''} ({runs})",
        f"last night told: {found.last_night or 'none yet'}; the next is due {_shown(found.next_night)} UTC, {missed}",
        f"heartbeat: {found.heartbeat}",
        f"chats that may command: {', '.join(found.chats) or 'none'}",
        *(f"ALARM since {_shown(since)} UTC: {text}" for text, since in found.alarms),
    ]
    paper.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)


def _show_rows(paper: Console, rows: tuple[DeliveryRow, ...]) -> None:
    from rich.table import Table

    if not rows:
        paper.print("nothing: exo alert run delivers what the nights have posted", highlight=False)
        return
    table = Table("posted (UTC)", "id", "severity", "alert", "channel", "state", "tries", "next or ended (UTC)")
    for row in rows:
        state = row.state.replace("_", " ") + (" (may have arrived)" if row.doubt else "")
        when = row.due if row.state == "waiting" else row.ended
        told = (row.id, row.severity, row.title, row.channel, state, str(row.attempts))
        table.add_row(_shown(_at(row.at)), *map(escape, told), _shown(_at(when)))
    paper.print(table)
