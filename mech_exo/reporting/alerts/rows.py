"""The rows of the record of deliveries: alerts, channels, deliveries, commands. Instants are Unix seconds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Posted:
    """An alert to be told. ``at``: when it was posted; ``alone``: never part of a digest."""

    id: str
    severity: str
    title: str
    text: str
    at: float
    alone: bool = False

    @property
    def words(self) -> str:
        """Hash of what it says: equal for alerts that say the same."""
        return hashlib.sha256(f"{self.severity}\x1f{self.title}\x1f{self.text}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Due:
    """An alert waiting for a channel. ``doubt``: an earlier attempt may have arrived."""

    seq: int
    alert: Posted
    words: str
    attempts: int
    doubt: bool


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """How a channel has fared: failures in a row, until when it rests, since when it fails (None: it does not)."""

    name: str
    failures: int = 0
    rests_until: float = 0.0
    failing_since: float | None = None
    last_success: float | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the delivery process noticed and is not over."""

    name: str
    id: str
    since: float
    text: str


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One alert on one channel, as ``exo alert list`` shows it."""

    id: str
    severity: str
    title: str
    at: float
    channel: str
    state: str
    attempts: int
    due: float
    ended: float | None
    doubt: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that was taken and not answered yet."""

    update_id: int
    chat: int
    text: str
    at: float
