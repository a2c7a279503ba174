"""How the data stand: coverage, verdicts, and who is blocked tonight and what clears it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.quality.presence import present
from mech_exo.datasource.storage.verdicts import spans, verdicts
from mech_exo.domain.verdict import DataVerdict

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel

REPAIRABLE = ("missed_split", "invented_split", "late_split", "unit_error", "refused")
TREND = 12


@dataclass(frozen=True, slots=True)
class Blocked:
    """A name without new risk tonight: by which check, since when, for how many sessions yet (None: no end), why, what clears it."""

    symbol: str
    check: str
    session: date
    left: int | None
    evidence: str
    clear: str


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What the gate says of the whole store.

    ``coverage`` is the share of the living names that have a bar in the last session, ``coverage_all`` the mean of it over all sessions
    (None: nothing to measure). ``names`` counts the symbols with a bar in the last session or the month before; ``blocked`` and
    ``warned`` are those of tonight. ``counts`` tells by check how many findings of all times warn and block. ``trend`` is (month,
    coverage, blocked a session) of the last months. ``changed`` findings are new or different since the last time; ``fresh`` is false
    where nothing had changed.
    """

    as_of: date | None
    sessions: int
    names: int
    coverage: float | None
    coverage_all: float | None
    blocked: tuple[Blocked, ...]
    warned: tuple[str, ...]
    counts: Mapping[str, tuple[int, int]]
    trend: tuple[tuple[str, float | None, float], ...]
    changed: int
    fresh: bool
    seconds: float

    @classmethod
    def empty(cls) -> QualityReport:
        """Of a store without bars."""
        return cls(None, 0, 0, None, None, (), (), {}, (), 0, False, 0.0)


def report(panel: BarPanel, findings: pl.DataFrame, *, changed: int = 0, fresh: bool = False, seconds: float = 0.0) -> QualityReport:
    """The report on ``panel`` from ``findings``, the visible rows of the table data_quality."""
    share, code = present(panel), verdicts(panel, findings)
    code = np.zeros(panel.shape, np.int8) if code is None else code
    last = len(panel.sessions) - 1
    alive = np.asarray((~np.isnan(panel.close[max(0, last - 21) :])).any(axis=0))
    tonight = spans(panel, findings).filter((pl.col("begin") <= last) & (pl.col("stop") > last) & (pl.col("code") >= DataVerdict.BLOCK))
    blocked = tuple(
        Blocked(symbol, check, session, None if lasts is None else first + lasts - last, evidence, clearing(symbol, session, check))
        for symbol, check, session, lasts, first, evidence in tonight.select(
            "symbol", "check", "session", "lasts", "first", "evidence"
        ).iter_rows()
        if alive[panel.column_of(symbol)]
    )
    standing = findings.filter(pl.col("verdict").is_in(["warn", "block"])).group_by("check").agg(
        (pl.col("verdict") == "warn").sum().alias("warn"), (pl.col("verdict") == "block").sum().alias("block")
    )
    return QualityReport(
        as_of=panel.sessions[-1].item(),
        sessions=len(panel.sessions),
        names=int(alive.sum()),
        coverage=_known(share[-1]),
        coverage_all=_known(float(np.nanmean(share))) if (~np.isnan(share)).any() else None,
        blocked=blocked,
        warned=tuple(panel.symbols[j] for j in np.flatnonzero((code[-1] == DataVerdict.WARN) & alive)),
        counts={check: (warn, block) for check, warn, block in standing.sort("check").iter_rows()},
        trend=_trend(panel, share, code),
        changed=changed,
        fresh=fresh,
        seconds=seconds,
    )


def clearing(symbol: str, session: date, check: str) -> str:
    """The command that clears a finding."""
    accept = f'exo data quality accept {symbol} {session} {check} --because "…"'
    return f"exo data repair --dry-run --symbol {symbol}   (or, where the data are right: {accept})" if check in REPAIRABLE else accept


def _trend(panel: BarPanel, share: np.ndarray, code: np.ndarray) -> tuple[tuple[str, float | None, float], ...]:
    months = panel.sessions.astype("datetime64[M]")
    blocked = (code >= DataVerdict.BLOCK) & ~np.isnan(panel.close)
    lines = []
    for month in np.unique(months)[-TREND:]:
        here = months == month
        known = share[here][~np.isnan(share[here])]
        lines.append((str(month), _known(known.mean()) if len(known) else None, float(blocked[here].sum(axis=1).mean())))
    return tuple(lines)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
