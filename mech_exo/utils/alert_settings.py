"""``alerts.yml``: who is told what, and how. No part of a decision, so no part of the config hash.

Secrets (webhooks, tokens, passwords) stand in ``api_keys_local.yml``. What needs both files to be judged, such as whether critical
alerts have two channels, is judged by ``exo config check`` and by ``exo alert``, never by a night: no mistake here stops trading.
"""

from __future__ import annotations

import re
from datetime import time
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from mech_exo.utils.model import Model

NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
Seconds = Annotated[float, Field(ge=1.0, le=86_400.0)]
Minutes = Annotated[int, Field(ge=0, le=1440)]
Days = Annotated[float, Field(gt=0.0, le=365.0)]
Address = Annotated[str, Field(pattern=r"^[^@\s,;<>\"]+@[^@\s,;<>\"]+$", max_length=254)]


class Kind(StrEnum):
    """Through what a channel speaks, and by which key it is let in."""

    SLACK = "slack"
    TELEGRAM = "telegram"
    EMAIL = "email"
    DISCORD = "discord"
    NTFY = "ntfy"
    URL = "url"


class Severity(StrEnum):
    """How urgent an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class MailSecurity(StrEnum):
    """How the connection to a mail server is secured."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class MailRules(Model):
    """``mail:`` of a channel: the server, and between whom. User and password are ``smtp`` of ``api_keys_local.yml``."""

    server: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9.:-]+$")]
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, description="null: 587 starttls, 465 tls, 25 none")
    security: MailSecurity = MailSecurity.STARTTLS
    sender: Address
    to: Address


class ChannelRules(Model):
    """A channel: one place that is told. More places are more channels, so that each is acknowledged by itself."""

    kind: Kind
    mail: MailRules | None = Field(None, description="for kind email")
    per_minute: Annotated[int, Field(ge=1, le=600)] = Field(10, description="messages at most; what is more comes in one digest")

    @model_validator(mode="after")
    def _mail_for_email(self) -> ChannelRules:
        if (self.mail is None) is (self.kind is Kind.EMAIL):
            raise ValueError(f"mail: (server, sender, to) belongs to kind email and to no other; the kind is {self.kind}")
        return self


class Routes(Model):
    """Which channels are told of a severity, by name; null: all of them."""

    info: list[str] | None = Field(None, description="channels by name; null: all")
    warning: list[str] | None = Field(None, description="channels by name; null: all")
    critical: list[str] | None = Field(None, description="channels by name, two at least; null: all")


class QuietHours(Model):
    """``quiet:`` between these times of day info waits; warnings and critical alerts never do."""

    begins: time = Field(description="a time of day like 22:00")
    ends: time = Field(description="a time of day like 07:00")
    zone: str = Field("America/New_York", description="of the times: a name like Europe/Berlin")

    @model_validator(mode="after")
    def _a_span(self) -> QuietHours:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"zone must be a time zone like Europe/Berlin; got {self.zone}") from None
        if self.begins == self.ends or self.begins.tzinfo is not None or self.ends.tzinfo is not None:
            raise ValueError(f"begins and ends are two different times of day without a zone; got {self.begins} and {self.ends}")
        return self


class RetryRules(Model):
    """``retry:`` after a failure. Waits double from the shortest to the longest, less up to a half by chance, never below the shortest."""

    shortest_seconds: Seconds = Field(30.0, description="a channel rests at least so long after any failure")
    longest_seconds: Seconds = Field(900.0, description="the longest wait between two tries")
    answer_seconds: Annotated[float, Field(ge=1.0, le=120.0)] = Field(15.0, description="until a server that says nothing counts as failed")
    hang_seconds: Annotated[float, Field(ge=2.0, le=600.0)] = Field(60.0, description="until an attempt is given up, whatever it does")
    give_up_info_days: Days = Field(3.0, description="then a row says that it was given up, and a warning names it")
    give_up_warning_days: Days = Field(14.0, description="the same for warnings; critical alerts are never given up")

    @model_validator(mode="after")
    def _grows(self) -> RetryRules:
        if self.longest_seconds < self.shortest_seconds:
            raise ValueError(
                f"longest_seconds cannot be below shortest_seconds; got {self.longest_seconds:g} and {self.shortest_seconds:g}"
            )
        return self


class FloodRules(Model):
    """``flood:`` what keeps many alerts from being as many messages."""

    single_messages: Annotated[int, Field(ge=1, le=100)] = Field(5, description="due at once and sent one by one; more come as a digest")
    same_minutes: Minutes = Field(60, description="the same words again within so long are counted, and told at its end")


class WatchRules(Model):
    """``watch:`` what the delivery process looks at by itself. The night is due night_after_close (data.yml) after the close."""

    grace_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(90, description="after a night was due until it is missed")
    disk_free_mb: Annotated[int, Field(ge=1, le=10_000_000)] = Field(500, description="less left in the workspace is an alarm")
    silent_channel_minutes: Annotated[int, Field(ge=1, le=10_080)] = Field(60, description="of failures, until the others are told")
    unreadable_minutes: Minutes = Field(1, description="a ledger that cannot be read so long is an alarm")


class CommandRules(Model):
    """``commands:`` what a Telegram chat may ask. Nothing is answered to a chat that is not named here."""

    chats: list[Annotated[int, Field(strict=True)]] = Field([], description="ids of the chats that may ask; empty: nobody")
    oldest_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(10, description="older commands are not carried out, and are told so")


class AlertsConfig(Model):
    """``alerts.yml``."""

    channels: dict[str, ChannelRules] = Field({}, description="empty: Slack and Telegram where their keys are set")
    routes: Routes = Routes()
    digest: list[str] = Field([], description="channels that get the night's digest (reports/daily/DATE.md)")
    single_critical_channel: bool = Field(False, description="true: critical alerts may have one channel alone")
    quiet: QuietHours | None = Field(None, description="when info waits; null: never")
    retry: RetryRules = RetryRules()
    flood: FloodRules = FloodRules()
    watch: WatchRules = WatchRules()
    commands: CommandRules = CommandRules()

    @model_validator(mode="after")
    def _named(self) -> AlertsConfig:
        asked = {name for names in (self.routes.info, self.routes.warning, self.routes.critical, self.digest) for name in names or ()}
        if odd := sorted(name for name in self.channels if not NAME.fullmatch(name)):
            raise ValueError(f"a channel's name is small letters, digits, - and _, a letter first; got {odd[0]!r}")
        known = set(self.channels) or {Kind.SLACK.value, Kind.TELEGRAM.value}
        if unknown := sorted(asked - known):
            raise ValueError(f"routes and digest name channels; {', '.join(unknown)} is none of {', '.join(sorted(known))}")
        return self
