"""The delivery process: a thread for each channel, one for Telegram's commands, one that collects and watches.

None waits for another. The ledger is opened to read, for moments, when it changed; the night never waits for any of this.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.domain.errors import LedgerError, UserError
from mech_exo.execution.ledger import Ledger, utc_now
from mech_exo.execution.ledger import default_path as ledger_path
from mech_exo.execution.safety import HaltSwitch, halt_reason
from mech_exo.reporting.alerts.answers import Answers
from mech_exo.reporting.alerts.channels import Directory, directory, register
from mech_exo.reporting.alerts.commands import Commands
from mech_exo.reporting.alerts.heartbeat import EVERY_SECONDS, FAIL, START, SUCCESS, Heartbeat
from mech_exo.reporting.alerts.office import CURSOR, Office, Parcel
from mech_exo.reporting.alerts.rows import Posted
from mech_exo.reporting.alerts.sending import Outcome, Sender, attempt, sender
from mech_exo.reporting.alerts.store import DeliveryStateError, DeliveryStore, default_path
from mech_exo.reporting.alerts.telegram import Bot, TelegramError
from mech_exo.reporting.alerts.watch import Sight, Watch
from mech_exo.reporting.alerts.wording import written
from mech_exo.utils import log
from mech_exo.utils.alert_settings import Severity

if TYPE_CHECKING:
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.utils.settings import Config

LOG = log.get(__name__)
ROUND_SECONDS = 2.0
WATCH_SECONDS = 15.0
TROUBLE_SECONDS = 30.0
STOP_SECONDS = 20.0
"""How long a process that was told to stop waits for what is being sent."""
ROUND, PROCESS = "last round", "process"
SETTLED = 50_000_000
"""Nanoseconds after which a file that is written again shows another time: until then the ledger is read again, changed or not."""


@dataclass(slots=True)
class Told:
    """What one round did: messages that arrived and that failed, by channel, and what was the matter with the workspace."""

    arrived: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    trouble: str | None = None


class Service:
    """Delivers for the workspace ``home``; to be used within :func:`mech_exo.reporting.alerts.process.only_one`.

    Raises
    ------
    ConfigError
        No channel, or one that will not do.
    UserError
        apprise is not installed.
    """

    def __init__(self, home: Path, config: Config, open_house: Callable[[], House], clock: Callable[[], datetime] = utc_now) -> None:
        self.home, self._config, self._clock = home, config, clock
        self._cried: datetime | None
        channels = directory(config)
        require_channels(channels)
        self._senders: dict[str, Sender] = {
            name: sender(channel, config.alerts.retry.answer_seconds) for name, channel in channels.channels.items()
        }
        self._channels, self._cried = channels, None
        try:
            self._store = DeliveryStore(default_path(home))
        except DeliveryStateError as error:
            self._cry(error, wait=True)
            raise
        self.office = Office(self._store, config.alerts, channels, clock)
        self._watch = Watch(home, self.office, config.data.night_after_close)
        self._heart = _heartbeat(config.keys.heartbeat_url.get_secret_value())
        self._night_heart = _heartbeat(config.keys.night_heartbeat_url.get_secret_value())
        self._commands = self._listening(open_house)
        self._stop, self._wake = threading.Event(), threading.Condition()
        self._seen: tuple[object, Sight] | None = None
        self._broken: BaseException | None = None
        self._resumed = False

    def close(self) -> None:
        """Let go of everything."""
        self._store.close()

    def once(self) -> Told:
        """Collect, watch, deliver what is due, and end. Raises DeliveryStateError, once the channels were told of it."""
        try:
            return self._once()
        except DeliveryStateError as error:
            self._cry(error, wait=True)
            raise

    def _once(self) -> Told:
        self._begin()
        told = Told()
        sight = self._collect()
        told.trouble = sight.trouble
        self._watch.look(sight)
        self.office.give_up()
        workers = [threading.Thread(target=self._drain, args=(name, told), daemon=True) for name in self._senders]
        for worker in workers:
            worker.start()
        if self._commands is not None:  # figures take seconds: no alarm waits for them
            self._ask(self._commands, 0)
        for worker in workers:
            worker.join()
        self._store.remember(ROUND, str(self.office.now()))
        self._heart.ping(FAIL if told.trouble or told.failed else SUCCESS)
        self._ended()
        return told

    def run(self) -> None:
        """Serve until :meth:`stop`. A bug in any thread ends all of it: the next process takes up the rest."""
        self._heart.ping(START)
        while not self._began():
            if self._stop.wait(TROUBLE_SECONDS):
                return
        workers = [self._thread(name, partial(self._serve, name)) for name in self._senders]
        if self._commands is not None:
            self._thread("commands", partial(self._listen, self._commands)).start()
        for worker in workers:
            worker.start()
        looked = pinged = float("-inf")
        while not self._stop.is_set():
            now = time.monotonic()  # a clock that is set back must not stop the watch
            try:
                fine = self._round(watching=now - looked >= WATCH_SECONDS)
                looked = now if now - looked >= WATCH_SECONDS else looked
            except DeliveryStateError as error:
                fine = False
                self._cry(error)
            if now - pinged >= EVERY_SECONDS:
                self._heart.ping(SUCCESS if fine else FAIL)
                pinged = now
            self._stop.wait(ROUND_SECONDS)
        with self._wake:
            self._wake.notify_all()
        for worker in workers:
            worker.join(STOP_SECONDS)
        self._ended()
        if self._broken is not None:
            raise self._broken

    def stop(self) -> None:
        """Let :meth:`run` end; safe in a signal handler."""
        self._stop.set()

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - the outermost edge of a thread, a library's panic included; run() raises it
                self._broken = error
                self._stop.set()

        return threading.Thread(target=guarded, name=name, daemon=True)

    def _began(self) -> bool:
        try:
            self._begin()
        except DeliveryStateError as error:
            self._cry(error)
            self._heart.ping(FAIL)
            return False
        return True

    def _begin(self) -> None:
        if doubtful := self.office.open():
            LOG.warning("%d messages were being sent when the last process ended: they go again, marked (repeated)", doubtful)
        self._store.remember(PROCESS, str(os.getpid()))

    def _round(self, *, watching: bool) -> bool:
        self.office.keep_time()
        sight = self._collect()
        if watching:
            self._watch.look(sight)
            self.office.give_up()
            self._store.remember(ROUND, str(self.office.now()))
        with self._wake:
            self._wake.notify_all()
        return sight.trouble is None

    def _collect(self) -> Sight:
        """Read the outbox when the ledger changed; HALT's file always."""
        path, switch = ledger_path(self.home), HaltSwitch(self.home)
        file = switch.state()
        files = (_stamp(path), _stamp(path.with_name(path.name + "-wal")))
        stamp, settled = (files, str(file)), time.time_ns() - max(at for at, _ in files) > SETTLED
        if self._seen is not None and self._seen[0] == stamp and self._seen[1].trouble is None:
            return self._seen[1]
        if not path.exists():
            gone = (self._store.fact(CURSOR) or "").partition(" ")[0] not in ("", "0")
            return Sight(f"{path} is gone" if gone else None, str(file) if file.halted else None)
        try:
            with Ledger.open(path, read_only=True) as ledger:
                new = self.office.collect(ledger)
                sight = Sight(None, halt_reason(ledger, switch))
        except (LedgerError, OSError) as error:
            return Sight(str(error), str(file) if file.halted else None)
        self._nights(new)
        self._seen = (stamp, sight) if settled else None
        return sight

    def _nights(self, new: tuple[Posted, ...]) -> None:
        """A night that came: its heartbeat, and its digest for those who get it."""
        session = self._watch.night_came(new)
        if session is None:
            return
        self._night_heart.ping(SUCCESS)
        if self.office.directory.digest and (digest := night_digest(self.home, session.isoformat(), self.office.now())) is not None:
            self.office.post(digest)

    def _cry(self, error: DeliveryStateError, *, wait: bool = False) -> None:
        """What cannot be written down is not sent, but for this: once an hour those told of critical alerts are told that it is so."""
        if not self._may_cry():
            return
        LOG.error("%s", error)
        crying = []
        for name in self._channels.routes[Severity.CRITICAL]:
            kind = self._channels.channels[name].kind
            text = f"{error}\nThey are kept in the ledger: exo alert list, once this is mended."
            said = written(kind, "CRITICAL: alerts cannot be delivered", text, Severity.CRITICAL)
            crying.append(threading.Thread(target=attempt, args=(self._senders[name], said, self._hang), daemon=True))
            crying[-1].start()
        for one in crying if wait else ():
            one.join()

    def _may_cry(self) -> bool:
        """Once an hour, restarts included: a file's time tells the next process, and takes no room on a full disk."""
        now, mark = self._clock(), default_path(self.home).with_name("alerts.cried")
        cried = [] if self._cried is None else [self._cried]
        with suppress(OSError):
            cried.append(datetime.fromtimestamp(mark.stat().st_mtime, UTC))
        if any(abs(now - one) < timedelta(hours=1) for one in cried):
            return False
        self._cried = now
        with suppress(OSError):
            mark.touch()
            os.utime(mark, (now.timestamp(), now.timestamp()))
        return True

    @property
    def _hang(self) -> float:
        return self._config.alerts.retry.hang_seconds

    def _drain(self, channel: str, told: Told) -> None:
        """Deliver what may go to a channel now."""
        try:
            while (parcel := self.office.take(channel)) is not None:
                outcome = attempt(self._senders[channel], parcel.message, self._hang)
                self.office.settle(parcel, outcome)
                if not outcome.arrived:
                    told.failed[channel] = outcome.said
                    return
                told.arrived[channel] = told.arrived.get(channel, 0) + 1
        except DeliveryStateError as error:
            told.failed[channel] = str(error)

    def _serve(self, channel: str) -> None:
        """Deliver to a channel until told to stop."""
        while not self._stop.is_set():
            try:
                parcel = self.office.take(channel)
                at = self.office.next_at(channel) if parcel is None else None
            except DeliveryStateError as error:
                LOG.error("%s", error)
                self._stop.wait(TROUBLE_SECONDS)
                continue
            if parcel is None:
                wait = ROUND_SECONDS if at is None else min(ROUND_SECONDS, max(0.01, at - self.office.now()))
                with self._wake:
                    if not self._stop.is_set():
                        self._wake.wait(wait)
                continue
            self._settle(parcel, attempt(self._senders[channel], parcel.message, self._hang))

    def _settle(self, parcel: Parcel, outcome: Outcome) -> None:
        """Note the outcome; on a full disk until it can be noted, since the next message must not overtake it."""
        while True:
            try:
                self.office.settle(parcel, outcome)
            except DeliveryStateError as error:
                LOG.error("%s", error)
                if self._stop.wait(TROUBLE_SECONDS):
                    return
            else:
                break
        if not outcome.arrived:
            LOG.warning("the channel %s failed: %s", parcel.channel, outcome.said)

    def _listening(self, open_house: Callable[[], House]) -> Commands | None:
        token = self._config.keys.telegram.bot_token.get_secret_value().strip()
        if not self._config.alerts.commands.chats or not token:
            return None
        register(token)
        bot = Bot(token, self._config.alerts.retry.answer_seconds)
        return Commands(self.office, bot, Answers(self.office, self.home, open_house))

    def _ask(self, commands: Commands, seconds: int) -> float:
        """Ask for commands once; how long to wait after it."""
        try:
            if not self._resumed:
                commands.resume()
                self._resumed = True
            commands.poll(seconds)
        except TelegramError as error:
            LOG.warning("Telegram's commands cannot be asked for: %s", error)
            return max(TROUBLE_SECONDS, error.retry_after or 0.0)
        except DeliveryStateError as error:  # what cannot be noted is not carried out
            LOG.error("%s", error)
            return TROUBLE_SECONDS
        return 0.0

    def _listen(self, commands: Commands) -> None:
        while not self._stop.is_set():
            wait = self._ask(commands, POLL)
            self._stop.wait(wait)

    def _ended(self) -> None:
        with suppress(DeliveryStateError):
            self._store.remember(PROCESS, "")
        self._heart.end(STOP_SECONDS)
        self._night_heart.end(STOP_SECONDS)


POLL = 25
"""Seconds one question for commands stays open."""


def require_channels(channels: Directory) -> None:
    """Raises UserError where there is nobody to be told."""
    if not channels.channels:
        raise UserError(
            "alerts need a channel; none is configured",
            remedy="write slack_webhook and telegram into config/api_keys_local.yml, or channels into config/alerts.yml (docs/alerts.md)",
        )


def night_digest(home: Path, session: str, now: float) -> Posted | None:
    """The night's digest as it is told, None where the night wrote none."""
    path = home / "reports" / "daily" / f"{session}.md"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return Posted(f"digest-{session}", Severity.INFO, f"Mech-Exo: digest of {session}", text, now, alone=True)


def _heartbeat(address: str) -> Heartbeat:
    if address:
        register(address)
    return Heartbeat(address)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_size
