"""What the delivery process looks at by itself: a night that did not come, HALT, the ledger, the disk, its own channels.

Each alarm is told once when it begins and once when it is over. They are kept in the record of deliveries: the ledger is not written.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from mech_exo.reporting.alerts.office import MINUTE, Office
from mech_exo.reporting.alerts.rows import Alarm, Posted
from mech_exo.utils.alert_settings import Severity

NIGHT = "night-"
LAST_NIGHT, UNREADABLE = "last night", "unreadable since"
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at the workspace found: why the ledger could not be read, why nothing that adds risk is sent (None: all is well)."""

    trouble: str | None
    halted: str | None


class Watch:
    """Looks at the workspace ``home``; nights are due ``after_close`` minutes after the close."""

    def __init__(self, home: Path, office: Office, after_close: int) -> None:
        self._home, self._office, self._after_close = home, office, after_close
        self._rules = office.config.watch
        self._store = office.store

    def look(self, sight: Sight) -> None:
        """Raise what is the matter, clear what is over."""
        self._night()
        self._halt(sight)
        self._ledger(sight)
        self._disk()
        self._channels()

    def night_came(self, alerts: Sequence[Posted]) -> date | None:
        """Note the latest night among new alerts of the outbox; it, or None."""
        nights = [session for session in (_session(one.id) for one in alerts) if session is not None]
        if not nights:
            return None
        latest = max(nights)
        known = self.last_night()
        if known is None or latest > known:
            self._store.remember(LAST_NIGHT, latest.isoformat())
        return latest

    def last_night(self) -> date | None:
        """The latest session whose night was told, None before the first."""
        known = self._store.fact(LAST_NIGHT)
        return None if known is None else date.fromisoformat(known)

    def missed(self) -> date | None:
        """The session whose night is overdue; None while none is, and before the first night ever."""
        last = self.last_night()
        if last is None:
            return None
        session, _ = self._due()
        return session if last < session else None

    def _due(self) -> tuple[date, datetime]:
        """The last session whose night must have come by now, and when it was due."""
        from mech_exo.utils.calendar import due_and_next

        before = datetime.fromtimestamp(self._office.now(), UTC) - timedelta(minutes=self._rules.grace_minutes)
        return due_and_next(before, self._after_close, 0)[0]

    def _night(self) -> None:
        session, last = self.missed(), self.last_night()
        if session is None:
            self._over("night", "The night came after all", f"The last one is that of {last}.")
            return
        _, due = self._due()
        text = f"It was due at {due:%Y-%m-%d %H:%M} UTC; the last night told is that of {last}. Stops that rest at the broker stay there; "
        text += "nothing may have been decided, booked or compared. Look why, then perform it: exo run"
        self._raise("night", f"no-night-{session}", f"The night of {session} did not come", text)

    def _halt(self, sight: Sight) -> None:
        if sight.halted is not None:
            known = next((alarm for alarm in self._store.alarms() if alarm.name == "halt"), None)
            name = known.id if known is not None else f"halted-{self._office.now():.0f}"
            text = f"{sight.halted}\nSeen at {self._time()}. Cancels and reductions still pass. exo resume --reason '…' ends it."
            self._raise("halt", name, "HALT: nothing that adds risk is sent", text)
        elif sight.trouble is None:
            text = f"Seen at {self._time()}. What was denied meanwhile stays denied; the next decision is made anew."
            self._over("halt", "The halt is over", text)

    def _time(self) -> str:
        """Now, in words: a second halt in the words of the first would wait until the window of equal words is over."""
        return f"{datetime.fromtimestamp(self._office.now(), UTC):%Y-%m-%d %H:%M:%S} UTC"

    def _ledger(self, sight: Sight) -> None:
        now = self._office.now()
        if sight.trouble is None:
            if self._store.fact(UNREADABLE):
                self._store.remember(UNREADABLE, "")
            self._over("ledger", "The ledger can be read again", "")
            return
        since = float(self._store.fact(UNREADABLE) or 0.0)
        if not since or since > now:
            since = now
            self._store.remember(UNREADABLE, str(now))
        if now - since >= self._rules.unreadable_minutes * MINUTE:
            text = f"{sight.trouble}\nAlerts of the night cannot be told while this lasts."
            self._raise("ledger", f"ledger-{since:.0f}", "The ledger cannot be read", text)

    def _disk(self) -> None:
        try:
            free = shutil.disk_usage(self._home / "data").free
        except OSError:
            return  # a workspace without data: the ledger's alarm speaks
        if free < self._rules.disk_free_mb * MB:
            text = f"{free / MB:,.0f} MB are free, {self._rules.disk_free_mb:,} should be. A full disk stops the night; HALT still works."
            known = next((alarm for alarm in self._store.alarms() if alarm.name == "disk"), None)
            self._raise("disk", known.id if known is not None else f"disk-{self._office.now():.0f}", "The disk is nearly full", text)
        elif free > 1.1 * self._rules.disk_free_mb * MB:
            self._over("disk", "The disk has room again", f"{free / MB:,.0f} MB are free.")

    def _channels(self) -> None:
        """A channel that has failed for long is told to the others, or by itself once it answers again where there is no other."""
        every = tuple(self._office.directory.channels)
        for name in every:
            row = self._store.channel(name)
            others = tuple(other for other in every if other != name) or (name,)
            if row.failing_since is None:
                self._over(f"channel {name}", f"The channel {name} delivers again", "", others)
            elif self._office.now() - row.failing_since >= self._rules.silent_channel_minutes * MINUTE:
                title = f"The channel {name} does not deliver"
                since = f"{datetime.fromtimestamp(row.failing_since, UTC):%Y-%m-%d %H:%M} UTC"
                text = f"{row.failures} attempts have failed since {since}: {row.said}"
                self._raise(f"channel {name}", f"channel-{name}-{row.failing_since:.0f}", title, text, Severity.WARNING, others)

    def _raise(
        self, name: str, id_: str, title: str, text: str, severity: Severity = Severity.CRITICAL, channels: Sequence[str] | None = None
    ) -> None:
        """Tell an alarm once by its id; a new id of the same name is told again."""
        if any(alarm.name == name and alarm.id == id_ for alarm in self._store.alarms()):
            return
        now = self._office.now()
        with self._store.transaction():
            self._store.raise_alarm(Alarm(name, id_, now, title))
            self._office.post(Posted(id_, severity, title, text, now), channels=channels)

    def _over(self, name: str, title: str, text: str, channels: Sequence[str] | None = None) -> None:
        """Tell that an alarm is over, to those who were told of it; nothing where there was none."""
        alarm = next((one for one in self._store.alarms() if one.name == name), None)
        if alarm is None:
            return
        told = self._office.directory.routes[Severity.CRITICAL] if channels is None else channels
        with self._store.transaction():
            self._store.clear_alarm(name)
            over = Posted(f"{alarm.id}-over", Severity.WARNING, f"All clear: {title}", text or f"Over: {alarm.text}", self._office.now())
            self._office.post(over, channels=told)


def _session(id_: str) -> date | None:
    """The session of a night's own alert (``night-2024-05-31``), None for any other."""
    if not id_.startswith(NIGHT):
        return None
    try:
        return date.fromisoformat(id_.removeprefix(NIGHT))
    except ValueError:
        return None
