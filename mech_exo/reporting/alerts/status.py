"""How delivery stands, for a person: read from the record of deliveries, nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.reporting.alerts.channels import directory
from mech_exo.reporting.alerts.rows import ChannelRow
from mech_exo.reporting.alerts.service import PROCESS, ROUND
from mech_exo.reporting.alerts.store import DeliveryStore
from mech_exo.reporting.alerts.watch import LAST_NIGHT
from mech_exo.utils.alert_settings import Severity

if TYPE_CHECKING:
    from mech_exo.utils.settings import Config

GONE_SECONDS = 120.0
"""A process that has not looked for so long is gone or stuck."""


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """A channel: of which severities it is told, what waits by severity, when it last delivered and tries next (None: nothing to try)."""

    name: str
    kind: str
    told_of: tuple[str, ...]
    waiting: Mapping[str, int]
    last_success: datetime | None
    failures: int
    next_try: datetime | None
    said: str


@dataclass(frozen=True, slots=True)
class Status:
    """Everything ``exo alert status`` says. ``process`` None: nobody delivers now; ``chats``: the last digits of those that may command."""

    channels: tuple[ChannelStatus, ...]
    last_round: datetime | None
    process: int | None
    last_night: str | None
    next_night: datetime
    grace_minutes: int
    heartbeat: str
    chats: tuple[str, ...]
    alarms: tuple[tuple[str, datetime], ...]


def look(home: Path, config: Config, now: datetime) -> Status:
    """How delivery stands. Raises ConfigError for channels that will not do."""
    from mech_exo.utils.calendar import next_runs

    channels, rules = directory(config), config.alerts
    store = DeliveryStore.look(home)
    try:
        waiting = {} if store is None else store.waiting()
        rows = tuple(
            _channel(
                ChannelRow(name) if store is None else store.channel(name), one.kind.value,
                tuple(severity.value for severity in Severity if name in channels.routes[severity]),
                waiting.get(name, {}), None if store is None else store.next_due(name),
            )
            for name, one in channels.channels.items()
        )  # fmt: skip
        facts = {} if store is None else {name: store.fact(name) for name in (ROUND, LAST_NIGHT, PROCESS)}
        alarms = () if store is None else tuple((alarm.text, _at(alarm.since)) for alarm in store.alarms())
    finally:
        if store is not None:
            store.close()
    keys, round_ = config.keys, facts.get(ROUND)
    addresses = {"the delivery process": keys.heartbeat_url, "the night": keys.night_heartbeat_url}
    pinged = [name for name, address in addresses.items() if address.get_secret_value().strip()]
    return Status(
        channels=rows,
        last_round=None if round_ is None else _at(float(round_)),
        process=_serving(facts, now),
        last_night=facts.get(LAST_NIGHT),
        next_night=next_runs(now, config.data.night_after_close, 1)[0][1],
        grace_minutes=rules.watch.grace_minutes,
        heartbeat=f"an address is pinged for {' and '.join(pinged)}" if pinged else "no address is pinged",
        chats=tuple(f"…{str(chat)[-3:]}" for chat in rules.commands.chats),
        alarms=alarms,
    )


def _serving(facts: Mapping[str, str | None], now: datetime) -> int | None:
    """The process that delivers, None where it ended or has not looked for a while."""
    process, round_ = facts.get(PROCESS), facts.get(ROUND)
    fresh = round_ is not None and abs(now.timestamp() - float(round_)) < GONE_SECONDS
    return int(process) if process and fresh else None


def _channel(row: ChannelRow, kind: str, told_of: tuple[str, ...], waiting: Mapping[str, int], due: float | None) -> ChannelStatus:
    next_try = None if due is None else _at(max(due, row.rests_until))
    last = None if row.last_success is None else _at(row.last_success)
    return ChannelStatus(row.name, kind, told_of, waiting, last, row.failures, next_try, row.said)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
