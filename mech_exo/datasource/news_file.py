"""Headlines out of a file: a stranger's columns, mark-up and clocks become ours."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from mech_exo.datasource.columns import renamed
from mech_exo.datasource.fetching import SYMBOL
from mech_exo.datasource.news import distinct, plain_text
from mech_exo.domain.errors import InputError, cut

EXCHANGE = "America/New_York"
INSTANT = pl.Datetime("us", "UTC")
ALIASES = {
    "headline": ("title", "text"), "published": ("date", "datetime", "time", "timestamp", "published_at"), "symbol": ("ticker", "stock"),
    "source": ("publisher", "provider"), "url": ("link",), "id": ("uuid",),
}  # fmt: skip


def news_rows(frame: Any, source: str, *, now: datetime) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """symbol, published (UTC), headline, source, id, url, one row per symbol and headline, and what had to be left out.

    ``published`` may be an instant with its time zone, seconds since 1970, or a bare date: then the story counts as published when that
    day ends in New York, because nobody knows the hour. ``source`` fills in where the file names none.

    Raises
    ------
    InputError
        A column is missing, no row is usable, or the instants carry no time zone.
    """
    rows = _ours(frame)
    total = rows.height
    made = rows.with_columns(_instant(rows["published"]), pl.col("symbol").cast(pl.String).str.strip_chars().str.to_uppercase())
    made = made.with_columns(pl.col("headline").cast(pl.String).map_elements(plain_text, return_dtype=pl.String))
    refused = {
        "no readable time of publication": pl.col("published").is_null(),
        "published after now": pl.col("published") > now,
        "no symbol that could be one": ~pl.col("symbol").str.contains(f"^(?:{SYMBOL.pattern})$").fill_null(False),
        "no headline": pl.col("headline").is_null() | (pl.col("headline") == ""),
    }
    why = pl.coalesce([pl.when(rule).then(pl.lit(reason)) for reason, rule in refused.items()])
    made = made.with_columns(why=why)
    counts = dict(made["why"].drop_nulls().value_counts(sort=True).iter_rows())
    good = made.filter(pl.col("why").is_null()).drop("why")
    if good.is_empty():
        raise InputError(f"at least one headline must be usable; all {total} are refused: {_told(counts) or 'there is none'}")
    named = pl.col("source").cast(pl.String).fill_null(source) if "source" in good.columns else pl.lit(source).alias("source")
    good = good.with_columns(named)
    single = distinct(good)
    said = [f"headlines left out: {_told(counts)}"] if counts else []
    said += [f"headlines that repeat another one: {good.height - single.height}"] if good.height > single.height else []
    return single.sort("published", "symbol", "headline"), tuple(said)


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} with {reason}" for reason, count in counts.items())


def _ours(frame: Any) -> pl.DataFrame:
    """The wanted columns by their usual names; ours first."""
    names = {column.strip().lower().replace(" ", "_"): column for column in frame.columns}
    found = {ours: next((names[one] for one in (ours, *theirs) if one in names), None) for ours, theirs in ALIASES.items()}
    given = frame.rename({column: ours for ours, column in found.items() if column is not None and ours not in frame.columns})
    return renamed(given, ("symbol", "published", "headline"), ("source", "url", "id"), what="news")


def _instant(values: pl.Series) -> pl.Series:
    """Instants in UTC; null where nothing can be read."""
    name, kind = values.name, values.dtype
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is None:
            raise InputError("news need instants with a time zone; the column has none", remedy="write them like 2024-03-05T14:30:00Z")
        return values.dt.convert_time_zone("UTC").cast(INSTANT)
    if kind == pl.Date:
        return _ends(values)
    if kind.is_numeric():
        return _since_1970(values.cast(pl.Float64)).alias(name)
    text = values.cast(pl.String).str.strip_chars()
    bare = text.str.contains(r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$").fill_null(False)
    if bare.any():
        first = text.filter(bare)[0]
        raise InputError(
            f"news need instants with a time zone; {int(bare.sum())} of {len(text)} have none, first {cut(first)!r}",
            remedy="write them like 2024-03-05T14:30:00Z or 2024-03-05 09:30:00-05:00",
        )
    day = text.str.contains(r"^\d{4}-\d{2}-\d{2}$").fill_null(False)
    seconds = text.str.contains(r"^\d{9,11}$").fill_null(False)
    zoned = text.set(day | seconds, None).str.replace(" ", "T").str.replace("Z$", "+00:00")
    parsed = zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
    short = zoned.str.to_datetime("%Y-%m-%dT%H:%M%:z", time_unit="us", time_zone="UTC", strict=False)
    epoch = _since_1970(text.set(~seconds, None))
    dates = _ends(text.set(~day, None).str.to_date(strict=False))
    return pl.select(pl.coalesce(parsed, short, epoch, dates).cast(INSTANT).alias(name)).to_series()


def _since_1970(seconds: pl.Series) -> pl.Series:
    return pl.from_epoch(seconds.cast(pl.Int64, strict=False), "s").dt.replace_time_zone("UTC").cast(INSTANT)


def _ends(days: pl.Series) -> pl.Series:
    """The last microsecond of each day in New York, in UTC."""
    return days.dt.offset_by("1d").cast(pl.Datetime("us")).dt.replace_time_zone(EXCHANGE).dt.offset_by("-1us").dt.convert_time_zone("UTC")
