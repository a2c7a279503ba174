"""Storing a frame of bars: read, sort out, and write what is new, all in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from mech_exo.datasource import base, inspection
from mech_exo.datasource.columns import UNREADABLE, renamed, typed
from mech_exo.datasource.inspection import REMEDIES, Inspection, Reason
from mech_exo.datasource.storage import facts
from mech_exo.datasource.storage.connection import Connection, run, table, transaction
from mech_exo.datasource.storage.others import add_sectors
from mech_exo.datasource.storage.summary import ImportSummary
from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.frames import as_polars
from mech_exo.domain.panel import PriceBasis

SCHEMA: Mapping[str, Any] = {**base.BARS, **base.BAR_EXTRAS}
SHOWN = 5
NEAR = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says so, what its prices are, and in which file."""

    source: str
    price_basis: PriceBasis
    file: str


def store(con: Connection, frame: Any, origin: Origin, *, now: datetime, max_jump: float) -> ImportSummary:
    """See :meth:`mech_exo.datasource.storage.DataStorage.store_ohlc_data`."""
    began = time.perf_counter()
    raw = as_polars(frame)
    named = renamed(raw, base.BARS, base.BAR_EXTRAS, what="bars")
    rows = typed(named, SCHEMA)
    if rows.is_empty():
        raise InputError("bars need at least one row; there is none", remedy="check the file: it holds a header and nothing else")
    notices = []
    if origin.price_basis is PriceBasis.SPLIT_ADJUSTED and "split_ratio" in rows.columns:
        rows = rows.drop("split_ratio")
        notices.append("splits were not stored: a split-adjusted source has them in its prices already")
    stored = _stored_around(con, rows)
    before = _closes_before(con, rows, stored)
    found = inspection.inspect(rows, now=now, max_jump=max_jump, before=before, splits=_stored_splits(con))
    _refuse_nothing_usable(named, found)
    runs = found.bars["symbol"].rle().struct.unnest()  # bars stand by symbol: one run each
    single = _single_bar_symbols(con, runs)
    with transaction(con):
        _note_basis(con, origin, now)
        bars = facts.add(con, facts.BARS, found.bars, now, source=origin.source, stored=stored)
        actions = _add_actions(con, found.actions, origin.source, now)
        sectors = add_sectors(con, found.sectors, now) if found.sectors.height else facts.Added(0, 0, 0)
        _add_flags(con, found.flags, origin.source, now)
        _add_quarantine(con, raw, found.refused, origin, now)
    return ImportSummary(
        source=origin.source,
        file=origin.file,
        rows=raw.height,
        new=bars.new,
        restated=bars.restated,
        unchanged=bars.unchanged,
        duplicates=found.duplicates,
        quarantined=_counts(found.refused["reason"]),
        flagged=_counts(found.flags["check"]),
        actions=actions.new + actions.restated,
        sectors=sectors.new + sectors.restated,
        symbols=runs.height,
        first=found.bars["session"].min(),  # type: ignore[arg-type]
        last=found.bars["session"].max(),  # type: ignore[arg-type]
        seconds=time.perf_counter() - began,
        attention=_attention(named, rows, found, single, runs["value"]),
        notices=(*notices, *_notices(con, single, runs.height)),
    )


def _stored_around(con: Connection, rows: pl.DataFrame) -> pl.DataFrame:
    """The bars stored of the sessions of ``rows`` and of the weeks before, as :func:`facts.latest` gives them: read once."""
    first, last = rows["date"].min(), rows["date"].max()
    return facts.latest(con, facts.BARS, max(first, facts.ALWAYS + NEAR) - NEAR, last)  # type: ignore[type-var, operator, arg-type]


def _closes_before(con: Connection, rows: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """symbol, session, close: each symbol's last stored bar before its first row in the frame; ``stored`` are the bars around it."""
    if stored.is_empty() and not run(con, "select 1 from bars limit 1"):
        return stored.select("symbol", "session", "close")
    starts = rows.group_by("symbol").agg(pl.col("date").min().alias("start")).drop_nulls()
    before = stored.filter(pl.col("session") < starts["start"].max()).join(starts, on="symbol").filter(pl.col("session") < pl.col("start"))
    near = before.group_by("symbol").agg(pl.col("session", "close").sort_by("session").last())
    # Nearly every symbol traded within the weeks before: the whole history is searched for the others alone.
    others = starts.join(near, on="symbol", how="anti")
    if others.is_empty():
        return near
    sql = f"""
        select b.symbol, max(b.session) as session, arg_max(b.close, b.session) as close
        from ({facts.visible(facts.BARS)}) b join {facts.STAGED} s on b.symbol = s.symbol and b.session < s.start group by b.symbol
    """
    with facts.staged(con, others):
        return pl.concat([near, table(con, sql, facts.Cut().params())])


def _stored_splits(con: Connection) -> pl.DataFrame:
    return facts.read(con, facts.ACTIONS, facts.Cut(), "kind = 'split'").select("symbol", "session", pl.col("value").alias("split_ratio"))


def _refuse_nothing_usable(named: pl.DataFrame, found: Inspection) -> None:
    """Raise when no row is believed; ``named`` has the values as they came."""
    if found.bars.height:
        return
    worst = found.refused["reason"].value_counts(sort=True)["reason"][0]
    first = named.row(found.refused.filter(pl.col("reason") == worst)["place"][0], named=True)
    why = ", ".join(f"{count} × {reason}" for reason, count in _counts(found.refused["reason"]).items())
    raise InputError(
        f"at least one row must be usable; all {named.height} are refused: {why}; first {_told(first)}",
        remedy=f"{REMEDIES[Reason(worst)]}; nothing was stored and nothing stored before has changed",
    )


def _single_bar_symbols(con: Connection, runs: pl.DataFrame) -> list[str]:
    """Symbols new to the store with one bar in the frame."""
    lone = runs.filter(pl.col("len") == 1).select(pl.col("value").alias("symbol"))
    if lone.is_empty():
        return []
    with facts.staged(con, lone):
        return table(con, f"select symbol from {facts.STAGED} anti join bars using (symbol) order by symbol")["symbol"].to_list()


def _note_basis(con: Connection, origin: Origin, now: datetime) -> None:
    """A source has one price basis; an adjusted and an as-traded price of one source could never be told apart again."""
    key = f"price_basis:{origin.source}"
    known = run(con, "select value from meta where key = $key", {"key": key})
    if not known:
        run(con, "insert into meta values ($key, $value, $now)", {"key": key, "value": origin.price_basis.value, "now": now})
    elif known[0][0] != origin.price_basis.value:
        raise InputError(
            f"a source has one price basis; {origin.source!r} is {known[0][0]}, this import says {origin.price_basis.value}",
            remedy="name another source (--source NAME), or import with the same --adjusted as before",
        )


def _add_actions(con: Connection, actions: pl.DataFrame, source: str, now: datetime) -> facts.Added:
    """Neutral values (no split, no dividend) are stored only where they take a stored one back."""
    neutral = pl.col("value") == pl.when(pl.col("kind") == "split").then(1.0).otherwise(0.0)
    stored = facts.read(con, facts.ACTIONS, facts.Cut()).select(facts.ACTIONS.keys)
    kept = pl.concat([actions.filter(~neutral), actions.filter(neutral).join(stored, on=list(facts.ACTIONS.keys), how="semi")])
    return facts.add(con, facts.ACTIONS, kept, now, source=source)


def _add_flags(con: Connection, flags: pl.DataFrame, source: str, now: datetime) -> None:
    if flags.is_empty():
        return
    sql = f"""
        insert into data_quality by name
        select symbol, session, "check", value, "limit", known_at, $now as recorded_at, $source as source
        from {facts.STAGED} anti join (select * from data_quality where source = $source) using (symbol, session, "check", value)
    """
    with facts.staged(con, flags):
        run(con, sql, {"now": now, "source": source})


def _add_quarantine(con: Connection, raw: pl.DataFrame, refused: pl.DataFrame, origin: Origin, now: datetime) -> None:
    if refused.is_empty():
        return
    text = (
        raw[refused["place"]]
        .with_columns(pl.col(pl.Categorical).cast(pl.String))
        .select(pl.struct(pl.all()).struct.json_encode().alias("row"))
    )
    rows = pl.DataFrame({"row": text["row"], "reason": refused["reason"]}).unique(maintain_order=True)
    sql = f"""
        insert into quarantine by name
        select "row", reason, $file as file, $now as recorded_at
        from {facts.STAGED} anti join (select * from quarantine where file = $file) using ("row", reason)
    """
    with facts.staged(con, rows):
        run(con, sql, {"now": now, "file": origin.file or origin.source})


def _attention(named: pl.DataFrame, rows: pl.DataFrame, found: Inspection, single: list[str], stored: pl.Series) -> tuple[str, ...]:
    """What is probably a fault of the file rather than a bad tick."""
    said = []
    counts = _counts(found.refused["reason"])
    lost = sorted(set(rows["symbol"].unique().drop_nulls()) - set(stored)) if found.refused.height else []
    if lost:
        said.append(f"every symbol needs at least one usable bar; {_some(lost)} had none → see exo data quarantine, fetch them anew")
    for reason in (Reason.FUTURE, Reason.CONFLICT, Reason.SESSION, Reason.UNREADABLE):
        if reason in counts:
            place = found.refused.filter(pl.col("reason") == reason.value)["place"][0]
            said.append(f"{reason}; {counts[reason]} rows break it, first {_told(named.row(place, named=True))} → {REMEDIES[reason]}")
    if found.duplicates:
        said.append(f"a symbol has one row per date; {found.duplicates} identical rows more were dropped → drop the doubles in the file")
    if single and len(single) == len(stored):
        said.append(
            f"a history needs at least two bars; {_some(single)} have one and none was stored before → import the earlier bars as well"
        )
    return tuple(said)


def _notices(con: Connection, single: list[str], symbols: int) -> list[str]:
    said = []
    if single and len(single) < symbols:
        said.append(f"one bar only, and none stored before: {_some(single)}")
    if run(con, "select count(distinct value) from meta where key like 'price_basis:%'")[0][0] > 1:
        said.append("the store now mixes as-traded and split-adjusted sources: returns across the seam are wrong")
    return said


def _counts(reasons: pl.Series) -> dict[str, int]:
    return dict(reasons.value_counts(sort=True).iter_rows())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(cut, names[:SHOWN])) + more


def _told(row: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={cut(value)}" for name, value in row.items() if name != UNREADABLE and name in base.BARS)
