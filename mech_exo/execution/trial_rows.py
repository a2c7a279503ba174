"""The ledger's rows about looking at history: runs that count, sweeps that compare them, and promotions of what was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Metric:
    """A named figure; None = not enough data."""

    name: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Trial:
    """A backtest or sweep run. Each ``run_id`` counts once, however often it is recorded."""

    run_id: str
    kind: str
    config_hash: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class TrialFigure:
    """One metric of a counted run; NaN = not known."""

    run_id: str
    kind: str
    config_hash: str
    value: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """Runs that were compared with each other, and what the comparison says of the choice among them (PBO, p-values)."""

    id: str
    run_ids: tuple[str, ...]
    figures: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class Replaced:
    """A configuration file by name, and the SHA-256 of its bytes before and after."""

    name: str
    former: str
    now: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """The workspace's configuration was replaced: by that of ``run_id``, or back to what it was before the promotion ``undoes``.

    ``who`` is the user of the operating system, ``at`` in UTC, the hashes those of the whole configuration before and after, ``figures``
    what the run was judged by, ``accepted`` the objections passed over. ``id`` names the folder that keeps the former files.
    """

    id: str
    run_id: str
    who: str
    at: datetime
    reason: str
    former_hash: str
    config_hash: str
    files: tuple[Replaced, ...]
    figures: tuple[Metric, ...] = ()
    accepted: tuple[str, ...] = ()
    undoes: str | None = None
