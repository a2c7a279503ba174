"""Workspaces with channels, and what is posted in them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import Alert
from mech_exo.utils.workspace import create
from tests.reporting.alerts.servers import DISCORD, NTFY, TOKEN, WEBHOOK

START = datetime(2024, 3, 6, 22, 0, tzinfo=UTC)
HASTY = {"shortest_seconds": 1.0, "longest_seconds": 2.0, "answer_seconds": 1.0, "hang_seconds": 2.0}


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


def home(folder: Path, mail_port: int = 25, *, per_minute: int = 600, **rules: object) -> Path:
    """A fresh workspace that tells Slack, Telegram and by mail, with ``rules`` of alerts.yml laid over that."""
    create(folder)
    mail = {"server": "127.0.0.1", "port": mail_port, "security": "none", "sender": "exo@example.com", "to": "me@example.com"}
    kinds: dict[str, dict[str, object]] = {"slack": {"kind": "slack"}, "telegram": {"kind": "telegram"}, "mail": {"kind": "email", "mail": mail}}
    channels = {name: rules_ | {"per_minute": per_minute} for name, rules_ in kinds.items()}
    write(folder, **{"channels": channels, "retry": HASTY} | rules)
    keys = {
        "slack_webhook": WEBHOOK, "telegram": {"bot_token": TOKEN, "chat_id": "4242"}, "discord_webhook": DISCORD, "ntfy_topic": NTFY,
        "heartbeat_url": "https://hc-ping.example/11111111-secret-uuid", "night_heartbeat_url": "https://hc-ping.example/22222222-secret-uuid",
    }  # fmt: skip
    file = folder / "config" / "api_keys_local.yml"
    file.write_text(yaml.safe_dump(keys))
    file.chmod(0o600)
    return folder


def write(folder: Path, **rules: object) -> None:
    (folder / "config" / "alerts.yml").write_text(yaml.safe_dump(rules))


def post(folder: Path, alerts: Iterable[Alert], at: datetime = START) -> None:
    """The night posts alerts, in one commit."""
    with Ledger.open(default_path(folder), clock=lambda: at) as ledger, ledger.transaction():
        for alert in alerts:
            ledger.post_alert(alert)


def alerts(count: int, severity: str = "info", name: str = "a") -> list[Alert]:
    return [Alert(f"{name}-{n}", severity, f"Alert {name}-{n}.", f"text {n}") for n in range(count)]
