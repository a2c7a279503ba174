"""Storing a frame of bars: read, sort out, and write what is new, all in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says so, what its prices are, and in which file."""

    source: str
    price_basis: PriceBasis
    file: str


def store(con: Connection, frame: Any, origin: Origin, *, now: datetime) -> ImportSummary:
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
    found = inspection.inspect(rows, now=now)
    _refuse_nothing_usable(named, found)
    runs = found.bars["symbol"].rle().struct.unnest()  # bars stand by symbol: one run each
    single = _single_bar_symbols(con, runs)
    with transaction(con):
        _note_basis(con, origin, now)
        said = facts.without_repaired(con, facts.BARS, found.bars)
        bars = facts.add(con, facts.BARS, said, now, source=origin.source)
        actions = _add_actions(con, found.actions, origin.source, now)
        sectors = add_sectors(con, found.sectors, now) if found.sectors.height else facts.Added(0, 0, 0)
        _add_quarantine(con, raw, found.refused, origin, now)
    return ImportSummary(
        source=origin.source,
        file=origin.file,
        rows=raw.height,
        new=bars.new,
        restated=bars.restated,
        unchanged=bars.unchanged + found.bars.height - said.height,
        duplicates=found.duplicates,
        quarantined=_counts(found.refused["reason"]),
        actions=actions.new + actions.restated,
        sectors=sectors.new + sectors.restated,
        symbols=runs.height,
        first=found.bars["session"].min(),  # type: ignore[arg-type]
        last=found.bars["session"].max(),  # type: ignore[arg-type]
        seconds=time.perf_counter() - began,
        attention=_attention(named, rows, found, single, runs["value"]),
        notices=(*notices, *_notices(con, single, runs.height)),
    )


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
    """Neutral values (no split, no dividend) are stored only where they take a stored one back; a repair's is not the source's to take."""
    if actions.is_empty():
        return facts.Added(0, 0, 0)
    neutral = pl.col("value") == pl.when(pl.col("kind") == "split").then(1.0).otherwise(0.0)
    stored = facts.read(con, facts.ACTIONS, facts.Cut(), "source <> $repair", {"repair": facts.REPAIR}).select(facts.ACTIONS.keys)
    actions = facts.without_repaired(con, facts.ACTIONS, actions)
    kept = pl.concat([actions.filter(~neutral), actions.filter(neutral).join(stored, on=list(facts.ACTIONS.keys), how="semi")])
    return facts.add(con, facts.ACTIONS, kept, now, source=source)


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
