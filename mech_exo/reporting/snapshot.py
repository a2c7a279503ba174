"""The daily snapshot: one night's report as HTML, JSON and a Markdown digest under ``reports/daily``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mech_exo.reporting import page
from mech_exo.reporting.caveats import is_synthetic
from mech_exo.reporting.daily_view import Tile, digest_lines, sections, tiles
from mech_exo.reporting.needs import Need, needs
from mech_exo.reporting.night import NavPoint, NightReport
from mech_exo.reporting.schema import plain, schema_of
from mech_exo.reporting.text import UNKNOWN, percent
from mech_exo.reporting.view import Section
from mech_exo.utils.durable import write_text

__all__ = ["DailySnapshot", "NightReport", "SnapshotPaths"]

WIDTH, HEIGHT = 720.0, 120.0


@dataclass(frozen=True, slots=True)
class SnapshotPaths:
    """Where a snapshot was written."""

    html: Path
    json: Path
    markdown: Path


@dataclass(frozen=True, slots=True)
class Shown:
    """What the templates read."""

    report: NightReport
    headline: str
    good: bool
    synthetic: bool
    needs: tuple[Need, ...]
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    digest: tuple[tuple[str, tuple[str, ...]], ...]
    curve: str
    curve_from: str


class DailySnapshot:
    """One night of one book, written for a person (HTML, a Markdown digest) and for a program (JSON).

    ``DailySnapshot(report).write(home / "reports")`` writes ``daily/DATE.html``, ``.json`` and ``.md``. The same report gives
    the same bytes; each file appears whole or not at all.
    """

    def __init__(self, report: NightReport) -> None:
        self.report = report

    def write(self, folder: Path | str, *, aside: bool = False) -> SnapshotPaths:
        """Write the three files under ``folder``/daily and return their paths; ``aside``: in a folder of the book's own."""
        place = Path(folder) / "daily"
        place = place / re.sub(r"[^\w.…-]+", "-", self.report.book).strip(".") if aside else place
        stem = place / self.report.session.isoformat()
        return SnapshotPaths(
            html=write_text(stem.with_suffix(".html"), self.html()),
            json=write_text(stem.with_suffix(".json"), self.json()),
            markdown=write_text(stem.with_suffix(".md"), self.markdown()),
        )

    def html(self) -> str:
        """A self-contained page without scripts, light or dark as the reader's system is; the NAV curve is drawn as SVG."""
        return page.render("daily.html", self._shown())

    def markdown(self) -> str:
        """The digest: the verdict and what needs a person first, then the most telling lines; it reads as plain text, too."""
        return page.render("daily.md", self._shown())

    def as_dict(self) -> dict[str, Any]:
        """Every field and property of the report, its verdict and its needs; unknown is None, dates are ISO text."""
        return {"verdict": headline(self.report), "needs": plain(needs(self.report)), **plain(self.report)}

    def json(self) -> str:
        """:meth:`as_dict` as JSON text; ``docs/daily-report.schema.json`` is its schema."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    def _shown(self) -> Shown:
        report = self.report
        wanted = needs(report)
        return Shown(
            report=report,
            headline=headline(report),
            good=not any(need.severity == "critical" for need in wanted),
            synthetic=is_synthetic(report.warnings),
            needs=wanted,
            tiles=tiles(report),
            sections=sections(report),
            digest=tuple((title, lines) for title, lines in digest_lines(report) if lines),
            curve=_curve(report.history),
            curve_from=report.history[0].session.isoformat() if report.history else UNKNOWN,
        )


def daily_schema() -> dict[str, Any]:
    """The JSON schema of a daily report."""
    return schema_of(NightReport, "Mech-Exo daily report", verdict=str, needs=tuple[Need, ...])


def headline(report: NightReport) -> str:
    """The night in one sentence."""
    held, ordered, withheld = len(report.holdings), len(report.planned), len(report.withheld)
    state = "halted" if report.halted else report.state
    if not report.decided:
        plan = "no decision was journaled"
    else:
        anew = "the book was decided anew" if report.scheduled else "no rebalance was due"
        plan = f"{anew}; {_count(ordered, 'order')} for {report.orders_for}, {_count(withheld, 'limit')} bound"
    return f"{state.capitalize()}: day {percent(report.money.day_return)}, {_count(held, 'position')} held; {plan}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _curve(history: tuple[NavPoint, ...]) -> str:
    """Points of an SVG polyline of the growth index over :data:`WIDTH` × :data:`HEIGHT`, from its last gap on; "" below 2 points."""
    known = []
    for point in reversed(history):
        if point.index is None:
            break
        known.append(point.index)
    values = known[::-1]
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = WIDTH / (len(values) - 1)
    return " ".join(f"{i * step:.1f},{HEIGHT - 6 - (value - low) / span * (HEIGHT - 12):.1f}" for i, value in enumerate(values))
