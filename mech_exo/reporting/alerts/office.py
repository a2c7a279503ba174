"""The rules of delivery: what goes next to a channel, what waits, what is given up. No threads and no network in here.

An alert is noted as being sent before it leaves, and as delivered once the server said so. What fails waits, longer each time; what may
have arrived all the same is marked "(repeated)" when it goes again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mech_exo.reporting.alerts.channels import Directory
from mech_exo.reporting.alerts.rows import Due, Posted
from mech_exo.reporting.alerts.sending import Outcome
from mech_exo.reporting.alerts.wording import Message, message
from mech_exo.utils.alert_settings import AlertsConfig, QuietHours, RetryRules, Severity

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.reporting.alerts.store import DeliveryStore

MINUTE, DAY = 60.0, 86_400.0
CURSOR, CLOCK = "outbox", "clock"
NAMED = 20


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message that is noted as being sent: it must be settled."""

    channel: str
    number: int
    message: Message
    alerts: tuple[str, ...]


class Office:
    """Decides over the deliveries in ``store`` by the rules of ``config``; ``clock`` tells the present instant (UTC)."""

    def __init__(
        self, store: DeliveryStore, config: AlertsConfig, channels: Directory, clock: Callable[[], datetime],
        chance: random.Random | None = None,
    ) -> None:  # fmt: skip
        self.store, self.config, self.directory = store, config, channels
        self._clock, self._chance = clock, chance or random.Random()  # noqa: S311 - waits, not secrets

    def now(self) -> float:
        """Unix seconds."""
        return self._clock().timestamp()

    def open(self) -> int:
        """Take up what the last process left: messages in doubt wait again, channels that are gone lose theirs to the present ones."""
        self.keep_time()
        now = self.now()
        self.store.reroute(self.directory.told, tuple(self.directory.channels), now)
        return self.store.recover(now)

    def keep_time(self) -> None:
        """Notice a clock that was set back: what it had put off until a time that is far away now is put off no more."""
        now, before = self.now(), float(self.store.fact(CLOCK) or 0.0)
        if now < before - MINUTE:
            self.store.set_back(now)
        if abs(now - before) >= MINUTE / 4:
            self.store.remember(CLOCK, str(now))

    def post(self, *alerts: Posted, channels: Sequence[str] | None = None) -> int:
        """Take alerts in, for the channels of their severity unless others are named; how many were new."""
        return self.store.post(alerts, self.directory.told if channels is None else lambda _: channels, self.now())

    def collect(self, ledger: Ledger) -> tuple[Posted, ...]:
        """Take in what the ledger's outbox holds and was not taken before: what was new, oldest first. Survives a restored ledger."""
        known, _, digest = (self.store.fact(CURSOR) or "0 ").partition(" ")
        restored = ledger.row_hash(int(known)) != digest
        rows = ledger.outbox(0 if restored else int(known))
        if not rows:
            return ()
        said = ((row.alert, row.at.timestamp()) for row in rows)
        found = tuple(Posted(one.id, _severity(one.severity), one.title, one.text, at) for one, at in said)
        if restored:
            found = tuple(new for one in found if (new := self._anew(one)) is not None)
        with self.store.transaction():
            self.post(*found)
            self.store.remember(CURSOR, f"{rows[-1].seq} {ledger.row_hash(rows[-1].seq)}")
        return found

    def _anew(self, one: Posted) -> Posted | None:
        """An alert of a restored ledger, None where it is known. Nights performed anew may use a known id for other words."""
        known = self.store.alert(one.id)
        if known is None:
            return one
        again = replace(one, id=f"{one.id}-{one.words[:8]}")
        return None if known.words == one.words or self.store.alert(again.id) is not None else again

    def take(self, channel: str) -> Parcel | None:
        """The next message for ``channel``, noted as being sent; None when nothing may go now."""
        now = self.now()
        if self.store.channel(channel).rests_until > now or self._allowed_at(channel, now) > now:
            return None
        self.store.hold_same(channel, now, self.config.flood.same_minutes * MINUTE)
        quiet = self.config.quiet is not None and is_quiet(self.config.quiet, datetime.fromtimestamp(now, UTC))
        due = [row for row in self.store.due(channel, now) if not (quiet and row.alert.severity == Severity.INFO)]
        rows = next_rows(due, self.config.flood.single_messages)
        if not rows:
            return None
        made = message(self.directory.channels[channel].kind, rows)
        number = self.store.begin(channel, rows, made.content, now)
        return Parcel(channel, number, made, tuple(row.alert.id for row in rows))

    def settle(self, parcel: Parcel, outcome: Outcome) -> None:
        """Note what became of a message."""
        now = self.now()
        if outcome.arrived:
            self.store.acknowledged(parcel.number, parcel.channel, now)
            return
        before = self.store.channel(parcel.channel)
        failures = before.failures + 1
        wait = max(backoff(self.config.retry, failures, self._chance.random()), outcome.retry_after or 0.0)
        since = before.failing_since if before.failing_since is not None else now
        after = replace(before, failures=failures, rests_until=now + wait, failing_since=since)
        self.store.failed(parcel.number, after, outcome.said, doubt=outcome.doubt, now=now)

    def next_at(self, channel: str) -> float | None:
        """When it is worth asking :meth:`take` again, Unix seconds; None when nothing waits."""
        due = self.store.next_due(channel)
        if due is None:
            return None
        now = self.now()
        at = max(due, self.store.channel(channel).rests_until, self._allowed_at(channel, now))
        return at if at > now else now + MINUTE  # due and not taken: quiet hours

    def give_up(self) -> None:
        """End what nobody could be told for days, and say so: a warning names it. Critical alerts are never given up."""
        now, retry = self.now(), self.config.retry
        for severity, days in ((Severity.INFO, retry.give_up_info_days), (Severity.WARNING, retry.give_up_warning_days)):
            with self.store.transaction():
                for channel, titles in self.store.give_up(severity, now - days * DAY, now).items():
                    named = "\n".join([*titles[:NAMED], *([f"… and {len(titles) - NAMED} more"] if len(titles) > NAMED else [])])
                    title = f"{len(titles)} {severity} alerts could not be delivered to {channel} in {days:g} days and were given up"
                    self.post(Posted(f"gave-up-{channel}-{severity}-{now:.0f}", Severity.WARNING, title, named, now))

    def _allowed_at(self, channel: str, now: float) -> float:
        """From when the channel's messages a minute leave room for one more."""
        most = self.directory.channels[channel].rules.per_minute
        sent = self.store.sent_since(channel, now - MINUTE)
        return sent[-most] + MINUTE if len(sent) >= most else now


def next_rows(rows: Sequence[Due], singly: int) -> Sequence[Due]:
    """Which of what is due goes into the next message: one alert (with those that say the same), or everything beyond ``singly`` at once.

    Critical alerts are sent one by one unless they alone are more than ``singly``; what must stand alone goes last.
    """
    together = [row for row in rows if not row.alert.alone]
    if not together:
        return rows[:1]
    critical = [row for row in together if row.alert.severity == Severity.CRITICAL]
    if _kinds(together) > singly:
        if not critical or _kinds(critical) > singly:
            return together
        together = critical
    return [row for row in together if row.words == together[0].words]


def backoff(rules: RetryRules, failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, less up to a half by ``chance`` in [0, 1)."""
    longest = min(rules.longest_seconds, rules.shortest_seconds * 2.0 ** min(failures - 1, 30))
    return max(rules.shortest_seconds, longest * (1.0 - chance / 2.0))


def is_quiet(hours: QuietHours, at: datetime) -> bool:
    """Whether an instant lies in the quiet hours of their zone, over midnight too."""
    now = at.astimezone(ZoneInfo(hours.zone)).time()
    if hours.begins < hours.ends:
        return hours.begins <= now < hours.ends
    return now >= hours.begins or now < hours.ends


def _kinds(rows: Sequence[Due]) -> int:
    return len({row.words for row in rows})


def _severity(text: str) -> Severity:
    """A severity nobody knows is told as the gravest."""
    return Severity(text) if text in set(Severity) else Severity.CRITICAL
