"""The quality gate: :func:`assess` runs every check over the store, stores what changed, and says how the data stand."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mech_exo.datasource.quality import identity, presence, steps
from mech_exo.datasource.quality.findings import Evidence, places
from mech_exo.datasource.quality.report import QualityReport, report
from mech_exo.domain.errors import MissingDataError
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.domain.panel import BarPanel
    from mech_exo.utils.settings import Config

FORMAT = 1  # of the rules: a change of them assesses anew
REACH = 400  # days a restated bar may reach forward in the windows of the checks


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of the registry: what it says, and the function that finds it; several names may share one."""

    names: tuple[str, ...]
    says: str
    find: Callable[[Evidence], pl.DataFrame]


CHECKS = (
    Check(
        (steps.JUMP, steps.MISSED, steps.INVENTED, steps.LATE, steps.UNIT),
        "a price step that no stored action explains, or a stored split that no step follows",
        steps.steps,
    ),
    Check(("stale",), "no bar for some sessions", presence.stale),
    Check(("coverage",), "too many sessions without a bar", presence.coverage),
    Check(("zero_volume",), "prices without volume", presence.zero_volume),
    Check(("stuck_price",), "the same close over and over", presence.stuck),
    Check(("refused",), "rows refused at import for their prices", presence.refused),
    Check(("duplicate",), "another symbol's bars", identity.duplicate),
    Check(("reused_symbol",), "another price level after a long gap", identity.reused),
    Check(("sources",), "two sources disagree", identity.sources),
    Check(("currency",), "reports in another currency than the prices", identity.currency),
)
NAMES = tuple(name for check in CHECKS for name in check.names)


def assess(
    storage: DataStorage, config: Config, *, now: datetime, progress: Callable[[str], None] = lambda _: None
) -> QualityReport:
    """Check every stored bar and store the verdicts that changed; what was assessed already, as it stands, is not looked at again.

    The verdict of a session reads nothing after it, so a longer history leaves earlier verdicts as they are. Findings are known at their
    session's close, or when a bar they rest on was restated. Finds nothing and stores nothing where no bar is stored.

    Parameters
    ----------
    now
        Instant of recording (tz-aware).
    """
    began = time.perf_counter()
    tables, view = storage.quality(), storage.view()
    basis = hashlib.sha256(f"{FORMAT} {tables.state()} {config.data.quality!r} {config.data.max_jump}".encode()).hexdigest()[:16]
    try:
        panel = view.panel()
    except MissingDataError:
        return QualityReport.empty()
    fresh = tables.assessed() != basis
    changed = 0
    if fresh:
        evidence = Evidence(
            panel, config.data.quality, config.data.max_jump, refused=tables.refused(), disputes=tables.disputes(), foreign=tables.foreign()
        )
        findings = dated(panel, found_in(evidence, progress), tables.late())
        findings = accepted(findings, tables.notes())
        last = storage.last_recorded()
        back = calendar.session_close(calendar.latest_session(now))
        added = tables.record(findings, basis, taken_back_at=back, now=now if last is None or now >= last else None)
        changed = added.new + added.restated
    return report(panel, storage.view().findings(), changed=changed, fresh=fresh, seconds=time.perf_counter() - began)


def found_in(evidence: Evidence, progress: Callable[[str], None] = lambda _: None) -> pl.DataFrame:
    """The findings of every check of the registry: row, column, check, verdict, value, limit, evidence, lasts."""
    parts = []
    for check in CHECKS:
        progress(f"checking: {check.says}")
        parts.append(check.find(evidence))
    return pl.concat(parts)


def dated(panel: BarPanel, findings: pl.DataFrame, late: pl.DataFrame) -> pl.DataFrame:
    """``findings`` with symbol, session and known_at: the session's close, or later where a bar within reach became known later."""
    closes: Any = calendar.closes(panel.sessions).astype("datetime64[us]")
    at = findings["row"].to_numpy()
    rows = findings.with_columns(
        symbol=pl.Series(panel.symbols, dtype=pl.String).gather(findings["column"]),
        session=pl.Series(panel.sessions).gather(findings["row"]).cast(pl.Date),
        known_at=pl.Series(closes[at]).dt.replace_time_zone("UTC"),
    ).drop("row", "column")
    if late.is_empty():
        return rows
    told = _told(panel, late, at, findings["column"].to_numpy())
    return rows.with_columns(pl.max_horizontal("known_at", pl.Series(told).dt.replace_time_zone("UTC")))


def _told(panel: BarPanel, late: pl.DataFrame, rows: Any, columns: Any) -> Any:
    """When the last of the ``late`` bars and actions that each cell's windows may reach became known; 1970 where there is none."""
    at, place, cells = places(panel, late)
    grid = np.zeros(panel.shape, np.int64)
    np.maximum.at(grid, (at, place), cells["known_at"].dt.epoch("us").to_numpy())
    first = np.searchsorted(panel.sessions, panel.sessions - np.timedelta64(REACH, "D"))[rows]
    told = [grid[begin : row + 1, column].max() for begin, row, column in zip(first, rows, columns, strict=True)]
    return np.array(told, np.int64).view("datetime64[us]")


def accepted(findings: pl.DataFrame, notes: pl.DataFrame) -> pl.DataFrame:
    """``findings`` with those a person has accepted turned to ok, known from when that was said: an earlier close knew nothing of it."""
    if notes.is_empty():
        return findings
    rows = findings.join(notes, on=["symbol", "session", "check"], how="left", maintain_order="left")
    said = pl.col("because").is_not_null()
    return rows.with_columns(
        verdict=pl.when(said).then(pl.lit("ok")).otherwise("verdict"),
        evidence=pl.when(said).then(pl.format("accepted: {} ({})", "because", "evidence")).otherwise("evidence"),
        known_at=pl.max_horizontal("known_at", "said_at"),
    ).drop("because", "said_at")
