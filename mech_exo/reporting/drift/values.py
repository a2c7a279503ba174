"""The values of a drift report: frozen, in USD, and the way they are kept in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from mech_exo.domain.errors import StoreError
from mech_exo.utils import durable

FILE = "drift.json"
FORMAT = 1


class Cause(StrEnum):
    """Why an account earned something else than its replay, in the order in which a report shows it."""

    LATE_DATA = "late_data"
    PRICE = "price"
    COSTS = "costs"
    MISSED = "missed"
    MANUAL = "manual"
    CORPORATE_ACTION = "corporate_action"


LABELS = {
    Cause.LATE_DATA: "Late data",
    Cause.PRICE: "Price and fill",
    Cause.COSTS: "Costs",
    Cause.MISSED: "Missed and partial",
    Cause.MANUAL: "Manual",
    Cause.CORPORATE_ACTION: "Corporate actions",
}


@dataclass(frozen=True, slots=True)
class DriftParts:
    """USD that each cause added to the account's P&L (negative: took from it), beside its replay."""

    late_data: float
    price: float
    costs: float
    missed: float
    manual: float
    corporate_action: float
    residual: float

    @property
    def total(self) -> float:
        """The drift: what all causes add up to."""
        return math.fsum(getattr(self, field.name) for field in fields(self))

    @classmethod
    def summed(cls, parts: Iterable[DriftParts]) -> DriftParts:
        """Cause by cause."""
        every = tuple(parts)
        return cls(*(math.fsum(getattr(one, field.name) for one in every) for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class DriftDay:
    """One session: P&L of the account and of its replay in USD, and what explains the difference. ``apart`` names are held differently."""

    session: date
    live_pnl: float
    replay_pnl: float
    parts: DriftParts
    apart: int

    @property
    def drift(self) -> float:
        """USD: the account's P&L less its replay's."""
        return self.live_pnl - self.replay_pnl


@dataclass(frozen=True, slots=True)
class DriftPosition:
    """A name that account and replay hold differently at the end: shares of each, and the last mark in USD (None: unknown)."""

    symbol: str
    live_shares: int
    replay_shares: int
    mark: float | None

    @property
    def value(self) -> float | None:
        """USD by which the account holds more (negative: less)."""
        return None if self.mark is None else (self.live_shares - self.replay_shares) * self.mark


@dataclass(frozen=True, slots=True)
class DriftEvent:
    """Something that made a difference, said in words. ``usd``: what it came to that day by itself, None where only a replay can tell."""

    session: date
    symbol: str
    cause: Cause
    said: str
    usd: float | None


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The account of ``book`` over ``days`` beside its replay. ``nav`` is the account's at the last close; ``made`` in UTC.

    ``notes`` say what a reader must know of the figures, e.g. that some nights were decided by another version of the code.
    """

    book: str
    start: date
    end: date
    made: datetime
    code_version: str
    nav: float
    live_pnl: float
    replay_pnl: float
    parts: DriftParts
    days: tuple[DriftDay, ...]
    positions: tuple[DriftPosition, ...]
    events: tuple[DriftEvent, ...]
    notes: tuple[str, ...]

    @property
    def drift(self) -> float:
        """USD: the account's P&L less its replay's."""
        return self.live_pnl - self.replay_pnl


def headline(report: DriftReport) -> str:
    """The report in one line of plain words."""
    span = f"In {len(report.days)} session{'s' if len(report.days) != 1 else ''} ({report.start} to {report.end})"
    earned = f"{span} the account earned {report.live_pnl:+,.2f} USD and its replay {report.replay_pnl:+,.2f}"
    if abs(report.drift) < 0.005 and all(abs(value) < 0.005 for value in asdict(report.parts).values()):
        return f"{earned}: no drift"
    way = "more" if report.drift > 0.0 else "less"
    named = {cause: getattr(report.parts, cause.value) for cause in Cause}
    largest = max(named, key=lambda cause: abs(named[cause]))
    if abs(named[largest]) < 0.005:
        return f"{earned}: {abs(report.drift):,.2f} USD {way}, which no cause explains"
    return f"{earned}: {abs(report.drift):,.2f} USD {way}, most of it by {LABELS[largest].lower()} ({named[largest]:+,.2f})"


def as_dict(report: DriftReport) -> dict[str, Any]:
    """The report as ``exo report drift --json`` prints it: the fields, and the differences that follow from them."""
    made = asdict(report)
    made["drift"] = report.drift
    for line, day in zip(made["days"], report.days, strict=True):
        line["drift"] = day.drift
    for line, position in zip(made["positions"], report.positions, strict=True):
        line["value"] = position.value
    return made | {"headline": headline(report)}


def save(report: DriftReport, reports: Path) -> Path:
    """Write the report to ``drift.json`` in the folder ``reports``, whole or not at all, and return its path."""
    text = json.dumps({"format": FORMAT, "report": asdict(report)}, default=str, allow_nan=False)
    return durable.write_text(reports / FILE, text)


def load(reports: Path) -> DriftReport | None:
    """What :func:`save` wrote last; None when nothing was. Raises StoreError for a damaged file."""
    path = reports / FILE
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["format"] != FORMAT:
            return None
        return _report(found["report"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the kept drift report must be readable; {path}: {error}", remedy="make it anew: exo report drift") from error


def _report(found: Mapping[str, Any]) -> DriftReport:
    days = tuple(
        DriftDay(date.fromisoformat(day["session"]), day["live_pnl"], day["replay_pnl"], DriftParts(**day["parts"]), day["apart"])
        for day in found["days"]
    )
    events = tuple(
        DriftEvent(date.fromisoformat(one["session"]), one["symbol"], Cause(one["cause"]), one["said"], one["usd"])
        for one in found["events"]
    )
    made = {
        "start": date.fromisoformat(found["start"]), "end": date.fromisoformat(found["end"]), "made": datetime.fromisoformat(found["made"]),
        "parts": DriftParts(**found["parts"]), "days": days, "events": events, "notes": tuple(found["notes"]),
        "positions": tuple(DriftPosition(**one) for one in found["positions"]),
    }  # fmt: skip
    return DriftReport(**{**found, **made})
