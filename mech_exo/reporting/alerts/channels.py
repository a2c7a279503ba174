"""The channels of a workspace: which there are, who is told what, and whether that will do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from mech_exo.domain.errors import ConfigError
from mech_exo.reporting.alerts.rows import Posted
from mech_exo.utils import log
from mech_exo.utils.alert_settings import ChannelRules, Kind, Severity
from mech_exo.utils.settings import ApiKeys, Config

KEYS = {
    Kind.SLACK: "slack_webhook", Kind.TELEGRAM: "telegram.bot_token and telegram.chat_id", Kind.EMAIL: "smtp",
    Kind.DISCORD: "discord_webhook", Kind.NTFY: "ntfy_topic", Kind.URL: "alert_urls",
}  # fmt: skip
LOCAL = "config/api_keys_local.yml"
SPOKEN = {
    r"slack://|https://hooks\.slack": Kind.SLACK, r"discord://|https://discord(app)?\.com/": Kind.DISCORD,
    r"mailtos?://": Kind.EMAIL, r"ntfys?://|https://ntfy\.sh/": Kind.NTFY,
}  # fmt: skip
"""By what begins an address that apprise takes."""
SHORTEST_PIECE = 8
PUBLIC = frozenset({"services", "webhooks", "workflows", "triggers"})
"""Words of those addresses that are no secrets: masked, they would be missing in honest texts."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel with the secret that lets it in: an address (slack, discord, ntfy, url), a bot's token (telegram), a password (email)."""

    name: str
    rules: ChannelRules
    secret: str
    user: str = ""
    """Whom it speaks as (email) or to (telegram: the chat)."""

    def __repr__(self) -> str:
        return f"Channel({self.name}, {self.rules.kind})"

    @property
    def kind(self) -> Kind:
        """Through what it speaks."""
        return self.rules.kind


@dataclass(frozen=True, slots=True)
class Directory:
    """Every channel by name, and the names of those told of each severity."""

    channels: Mapping[str, Channel]
    routes: Mapping[Severity, Sequence[str]]
    digest: Sequence[str]

    def told(self, alert: Posted) -> Sequence[str]:
        """Who is told of an alert."""
        return self.digest if alert.alone else self.routes[Severity(alert.severity)]


def directory(config: Config) -> Directory:
    """The channels of ``config``.

    Raises
    ------
    ConfigError
        A channel lacks its key, or critical alerts have fewer than two channels.
    """
    rules = config.alerts
    declared = dict(rules.channels) or _by_keys(config.keys)
    channels = {name: _channel(name, one, config.keys) for name, one in declared.items()}
    if unknown := sorted({name for names in (*dict(rules.routes).values(), rules.digest) for name in names or ()} - set(channels)):
        raise ConfigError(
            f"routes and digest of alerts.yml name channels; {unknown[0]} has no key and none is configured",
            remedy=f"write its key into {LOCAL} (docs/alerts.md)",
        )
    everybody = tuple(channels)
    routes = {
        severity: tuple(dict.fromkeys(everybody if named is None else named))
        for severity, named in ((one, getattr(rules.routes, one.value)) for one in Severity)
    }
    if channels and len(routes[Severity.CRITICAL]) < 2 and not rules.single_critical_channel:
        told = ", ".join(routes[Severity.CRITICAL]) or "none"
        raise ConfigError(
            f"critical alerts need at least two channels, so that one may fail; alerts.yml has {told}",
            remedy="add a channel (docs/alerts.md), or write single_critical_channel: true",
        )
    if channels and not routes[Severity.CRITICAL]:
        raise ConfigError("critical alerts need a channel; routes.critical of alerts.yml is empty", remedy="name one, or null for all")
    return Directory(channels, routes, tuple(rules.digest))


def _by_keys(keys: ApiKeys) -> dict[str, ChannelRules]:
    """The channels of a workspace that only has keys: Slack and Telegram."""
    found = {}
    if keys.slack_webhook.get_secret_value().strip():
        found["slack"] = ChannelRules(kind=Kind.SLACK)
    if keys.telegram.bot_token.get_secret_value().strip() and keys.telegram.chat_id.get_secret_value().strip():
        found["telegram"] = ChannelRules(kind=Kind.TELEGRAM)
    return found


def _channel(name: str, rules: ChannelRules, keys: ApiKeys) -> Channel:
    """A channel with its secret, whose parts are masked from now on wherever they turn up."""
    secrets: dict[Kind, Callable[[], str]] = {
        Kind.SLACK: keys.slack_webhook.get_secret_value,
        Kind.TELEGRAM: keys.telegram.bot_token.get_secret_value,
        Kind.EMAIL: keys.smtp.password.get_secret_value,
        Kind.DISCORD: keys.discord_webhook.get_secret_value,
        Kind.NTFY: keys.ntfy_topic.get_secret_value,
        Kind.URL: lambda: keys.alert_urls[name].get_secret_value() if name in keys.alert_urls else "",
    }
    secret = secrets[rules.kind]().strip()
    user = keys.telegram.chat_id.get_secret_value().strip() if rules.kind is Kind.TELEGRAM else ""
    if rules.kind is Kind.EMAIL:
        user = keys.smtp.user.strip()
        lacks = bool(user) is not bool(secret)
    else:
        lacks = not secret or (rules.kind is Kind.TELEGRAM and not user)
    if lacks:
        key = f"{KEYS[rules.kind]}.{name}" if rules.kind is Kind.URL else KEYS[rules.kind]
        raise ConfigError(f"the channel {name} ({rules.kind}) needs its key; {key} is not set", remedy=f"write it into {LOCAL}")
    register(secret)
    if rules.kind is Kind.URL:
        rules = rules.model_copy(update={"kind": _spoken(secret)})
    return Channel(name, rules, secret, user)


def register(secret: str) -> None:
    """Mask ``secret`` in every log and message: as it is, as it stands in an address, and its pieces but for scheme and host."""
    log.redact(secret)
    log.redact(quote(secret, safe=""))
    pieces = re.split(r"[/:@?&=]+", re.sub(r"^[a-z]+://", "", secret))
    for piece in pieces if "/" in secret or len(pieces) > 1 else ():
        if len(piece) >= SHORTEST_PIECE and "." not in piece and piece not in PUBLIC:
            log.redact(piece)


def _spoken(address: str) -> Kind:
    """Which words an address of kind url takes: those of the service it leads to, where it is one of ours."""
    return next((kind for pattern, kind in SPOKEN.items() if re.match(pattern, address, re.IGNORECASE)), Kind.URL)
