"""Fundamentals and news into the store: what was answered since the last close is not asked again tonight."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from mech_exo.datasource.base import Kind, Source
from mech_exo.datasource.downloads import SILENT, Downloaded, Job, Patience, batches
from mech_exo.datasource.fetching import Outcome, Status
from mech_exo.datasource.news import unheard
from mech_exo.domain.errors import DataError
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from mech_exo.datasource.storage import FactSummary

BATCH = 50
NEWS_DAYS, LONGEST_NEWS_DAYS = 7, 30


def update_fundamentals(job: Job, source: Source) -> Downloaded:
    """Figures of every symbol that has not been answered for since the last close."""

    def store(frame: pl.DataFrame) -> Iterator[FactSummary]:
        for part in frame.partition_by("source"):
            yield job.storage.store_fundamentals(part, source=part["source"][0])

    return _update(job, source, store, lambda _: None)


def update_news(job: Job, source: Source) -> Downloaded:
    """Headlines since the day before they were last asked for, at most thirty days; the first time seven."""

    def begin(asked: datetime | None) -> date:
        earliest = job.now - timedelta(days=LONGEST_NEWS_DAYS)
        return max(earliest, job.now - timedelta(days=NEWS_DAYS) if asked is None else asked - timedelta(days=1)).astimezone(UTC).date()

    def store(frame: pl.DataFrame) -> Iterator[FactSummary]:
        told = job.storage.view().news(frame["symbol"].unique().to_list())
        since = frame.select(pl.col("published").min() - pl.duration(days=1)).item()
        fresh = unheard(frame, told.filter(pl.col("published") >= since))
        if not fresh.is_empty():
            yield job.storage.store_news(fresh, sentiment=job.config.data.sentiment)

    return _update(job, source, store, begin)


def _update(
    job: Job, source: Source, store: Callable[[pl.DataFrame], Iterator[FactSummary]], since: Callable[[datetime | None], date | None]
) -> Downloaded:
    began = time.perf_counter()
    close = calendar.session_close(job.session)
    answered = job.storage.answered(source.kind, source.name)
    askable, refused = job.askable()
    current = [name for name in askable if name in answered and answered[name] >= close]
    open_ = [name for name in askable if name not in current]
    starts: dict[date | None, list[str]] = {}
    for name in open_:
        starts.setdefault(since(answered.get(name)), []).append(name)
    summaries: list[FactSummary] = []
    outcomes = {one.symbol: one for one in refused}
    trouble = ""
    patience = Patience(len(open_), BATCH)
    for start, batch in [(start, batch) for start, names in starts.items() for batch in batches(names, BATCH)]:
        job.progress(f"{source.kind} from {source.name}: {len(outcomes) - len(refused)} of {len(open_)} symbols")
        try:
            frame = source.fetch(batch) if start is None else source.fetch(batch, start=start)
        except DataError as error:
            trouble = "" if source.report else error.message
        else:
            summaries += store(frame) if not frame.is_empty() else ()
        outcomes.update((one.symbol, one) for one in source.report)
        job.storage.note_downloads(source.kind, source.name, source.report, job.now)
        trouble = trouble or patience.trouble_after(source.report)
        if trouble:
            break
    for name in open_:
        outcomes.setdefault(name, Outcome(name, Status.FAILED, detail=SILENT))
    new, restated, unchanged = (sum(getattr(one, name) for one in summaries) for name in ("new", "restated", "unchanged"))
    told = tuple(outcomes[name] for name in dict.fromkeys((*open_, *outcomes)))
    seconds = time.perf_counter() - began
    return Downloaded(Kind(source.kind), source.name, len(current), new, restated, unchanged, told, (), trouble, seconds)
