"""Bars into the store: only the sessions missing and ten before them, and never another company's or another scale's."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.base import BarSource, Kind
from mech_exo.datasource.downloads import SILENT, Downloaded, Job, Patience, batches, sessions_before
from mech_exo.datasource.fetching import Outcome, Status
from mech_exo.datasource.spans import days_of, missing_sessions
from mech_exo.domain.errors import DataError, InputError
from mech_exo.domain.panel import PriceBasis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.datasource.storage import ImportSummary

NO_DAYS = np.array([], "datetime64[D]")
OVERLAP = 10
SAME_SCALE, RESCALED, LEAST_COMMON = 0.02, 0.05, 3


@dataclass
class _Tally:
    new: int = 0
    restated: int = 0
    unchanged: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    trouble: str = ""

    def add(self, summary: ImportSummary) -> None:
        self.new += summary.new
        self.restated += summary.restated
        self.unchanged += summary.unchanged
        self.notices += summary.attention


def update_bars(job: Job, source: BarSource) -> Downloaded:
    """Ask ``source`` for what the store lacks up to the job's session, and store it batch by batch."""
    began = time.perf_counter()
    last = job.storage.reach().last
    askable, refused = job.askable()
    current = [name for name in askable if name in last and last[name] >= job.session]
    open_ = [name for name in askable if name not in current]
    tally = _Tally(outcomes={one.symbol: one for one in refused})
    patience = Patience(len(open_), source.batch)
    done = 0
    for start, names in _by_start(open_, last, job.config.data.sources.history_start).items():
        for batch in batches(names, source.batch):
            job.progress(f"bars from {source.name}: {done} of {len(open_)} symbols")
            _one_batch(job, source, batch, start, last, tally, patience)
            done += len(batch)
            if tally.trouble:
                break
        if tally.trouble:
            break
    silent = [name for name in open_ if name not in tally.outcomes]
    tally.outcomes.update((name, _stale(Outcome(name, Status.FAILED, detail=SILENT), last, job.session)) for name in silent)
    told = tuple(tally.outcomes[name] for name in dict.fromkeys((*open_, *tally.outcomes)))
    return Downloaded(
        Kind.BARS, source.name, len(current), tally.new, tally.restated, tally.unchanged, told, tuple(tally.notices), tally.trouble,
        time.perf_counter() - began,
    )  # fmt: skip


def _by_start(names: list[str], last: Mapping[str, date], history_start: date) -> dict[date, list[str]]:
    """The symbols by the day to ask from, the shortest span first: what a night needs comes before new histories."""
    starts: dict[date, list[str]] = {}
    known: dict[date, date] = {}
    for name in names:
        start = history_start if name not in last else known.setdefault(last[name], sessions_before(last[name], OVERLAP))
        starts.setdefault(start, []).append(name)
    return dict(sorted(starts.items(), reverse=True))


def _one_batch(
    job: Job, source: BarSource, batch: list[str], start: date, last: Mapping[str, date], tally: _Tally, patience: Patience
) -> None:
    try:
        frame = source.fetch(batch, start=start)
    except DataError as error:
        frame = None
        if not source.report:
            tally.trouble = error.message
    outcomes = {one.symbol: one for one in source.report}
    if frame is not None:
        factors = _rescaled(frame, job.storage.closes_since([name for name in batch if name in last], start))
        frame = _on_one_scale(source, frame, factors, outcomes)
        _store(job, source, frame, outcomes, tally)
    days = {} if frame is None else days_of(frame)
    told = [_stale(one, last, job.session, days.get(one.symbol, NO_DAYS)) for one in outcomes.values()]
    tally.outcomes.update((one.symbol, one) for one in told)
    job.storage.note_downloads(Kind.BARS, source.name, told, job.now)
    tally.trouble = tally.trouble or patience.trouble_after(told)


def _store(job: Job, source: BarSource, frame: pl.DataFrame, outcomes: dict[str, Outcome], tally: _Tally) -> None:
    if frame.is_empty():
        return
    try:
        file = f"download from {source.name}"
        summary = job.storage.store_ohlc_data(frame, source=source.name, price_basis=source.price_basis, file=file)
    except InputError as error:
        for name in frame["symbol"].unique():
            outcomes[name] = dataclasses.replace(outcomes[name], status=Status.REFUSED, detail=error.message)
        return
    tally.add(summary)


def _stale(outcome: Outcome, last: Mapping[str, date], session: date, days: NDArray[np.datetime64] = NO_DAYS) -> Outcome:
    """``outcome`` with every session after the symbol's last stored bar that is not among ``days`` either."""
    if outcome.symbol not in last:
        return outcome
    return dataclasses.replace(outcome, missing=missing_sessions(days, last[outcome.symbol] + timedelta(days=1), session))


def _rescaled(frame: pl.DataFrame, stored: pl.DataFrame) -> dict[str, float]:
    """Symbols whose bars, where the store has them already, all differ from it by one factor, and that factor."""
    both = frame.select("symbol", "date", "close").join(stored.rename({"close": "known"}), on=["symbol", "date"])
    ratio = (pl.col("close") / pl.col("known")).alias("ratio")
    found = both.select("symbol", ratio).group_by("symbol").agg(
        pl.col("ratio").median().alias("factor"), pl.col("ratio").min().alias("low"), pl.col("ratio").max().alias("high"), pl.len()
    )  # fmt: skip
    one_factor = (pl.col("high") / pl.col("low") < 1.0 + SAME_SCALE) & (pl.col("len") >= LEAST_COMMON)
    off = (pl.col("factor") > 1.0 + RESCALED) | (pl.col("factor") < 1.0 - RESCALED)
    return dict(found.filter(one_factor & off).select("symbol", "factor").iter_rows())


def _on_one_scale(source: BarSource, frame: pl.DataFrame, factors: Mapping[str, float], outcomes: dict[str, Outcome]) -> pl.DataFrame:
    """A split-adjusted source has divided its whole history: take all of it. As-traded prices do not do that: refuse them."""
    if not factors:
        return frame
    others = frame.filter(~pl.col("symbol").is_in(list(factors)))
    if source.price_basis is PriceBasis.SPLIT_ADJUSTED:
        try:
            whole = source.fetch(sorted(factors))
        except DataError as error:  # what came is on another scale than what is stored: without the whole it cannot be used
            for name in factors:
                outcomes[name] = dataclasses.replace(outcomes[name], status=Status.FAILED, detail=error.message)
            return others
        for name, factor in factors.items():
            said = f"adjusted anew by a factor of {factor:.4g}: its whole history was taken"
            outcomes[name] = dataclasses.replace(outcomes[name], detail=said)
        return pl.concat([others, whole], how="diagonal").sort("symbol", "date")
    for name, factor in factors.items():
        why = f"its bars differ from those stored by a factor of {factor:.4g}: another company, another currency or a split nobody named"
        outcomes[name] = dataclasses.replace(outcomes[name], status=Status.REFUSED, detail=why)
    return others
